"""codec/footage.py: a model of video codes clips together with its photo model, and says so if that is not there."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from codec import footage, photo
from codec.container import Chunk, pack, split, unpack
from codec.errors import CodecError, ModelError, ModelMismatch, ModelNotFound
from codec.footage import build, card, inter, self_test
from codec.model import load_model, pack_model, unpack_model
from codec.video import decode_video, encode_video
from tests.checks import ROOT, check_only_codec_errors, conformance_model, conformance_video
from tests.clips import moving, psnr
from training import engine

V1 = ROOT / "bitstreams" / "v1"
MODEL = conformance_model()
TENSORS = dict(conformance_video().tensors)
ALONE = replace(conformance_video(), intra=None)  # as it is read from its file


def coded(frames: list[np.ndarray], **options: Any) -> bytes:
    return encode_video(frames, **{"model": conformance_video(), "quality": 70, "threads": 1} | options)


def opened(data: bytes, threads: int = 1) -> list[np.ndarray]:
    return list(decode_video(data, model=conformance_video(), threads=threads))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (31, 50)])
def test_clips_come_back(size, channels):
    frames = moving(4, *size, channels)
    found = opened(coded(frames))  # and the digest of the group is compared on the way
    assert {frame.shape for frame in found} == {frames[0].shape}
    assert psnr(frames, found) > 28


def test_nothing_depends_on_threads():
    frames = moving(3, 40, 90)
    data = coded(frames)
    assert data == coded(frames, threads=2)
    assert all(np.array_equal(one, other) for one, other in zip(opened(data), opened(data, 2), strict=True))


@pytest.mark.parametrize("effort", [1, 5])
def test_intra_frames_are_those_of_the_photo_model_and_inter_frames_are_not(effort):
    frames = moving(2, 40, 56)
    groups = [unpack(coded(frames, model=model, effort=effort))[1][1].data for model in (conformance_video(), MODEL)]
    (intra, inter_frame), (same, other) = (split(data[5:], 2) for data in groups)
    assert intra == same
    assert inter_frame != other


def test_a_photo_model_alone_is_a_model_of_video():
    built = footage.footage(MODEL)
    assert built is photo.photo(MODEL)
    assert built.inter is None


def test_the_networks_are_those_of_both_models():
    built, photos = footage.footage(conformance_video()), photo.photo(MODEL)
    assert built.inter is inter(conformance_video())
    assert built.prior is photos.prior
    assert built.restoration is photos.restoration
    assert built.inter.width != built.prior.width


def test_without_its_photo_model_it_says_which_one_is_lacking(monkeypatch, tmp_path):
    with pytest.raises(ModelNotFound, match=f"'conformance-video' lacks .* {MODEL.id.hex()} is not here"):
        encode_video(moving(2, 8, 8), model=ALONE)
    data = coded(moving(2, 8, 8))
    with pytest.raises(ModelNotFound, match="'conformance-video' lacks its photo model"):
        list(decode_video(data, model=ALONE))
    with pytest.raises(ModelNotFound, match=conformance_video().id.hex()):
        decode_video(data)
    for name in ("conformance.egmm", "conformance-video.egmm"):
        (tmp_path / name).write_bytes((V1 / name).read_bytes())
    monkeypatch.setenv("ENGRAM_MODELS", str(tmp_path))
    expected = opened(data)
    for model in (None, ALONE, load_model("conformance-video")):
        found = list(decode_video(data, model=model))
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_another_photo_model_than_its_own_is_refused():
    with pytest.raises(ModelMismatch, match=r"goes with .*, not with"):
        footage.footage(replace(ALONE, intra=load_model("photo")))
    with pytest.raises(ModelMismatch):
        decode_video(coded(moving(2, 8, 8)), model=MODEL)


@pytest.mark.parametrize("named", [None, "", "photo", 7, "00" * 7, "00" * 9, ["00" * 8]])
def test_a_card_that_names_no_photo_model_is_refused(named):
    changed = {**conformance_video().card, "intra": named}
    with pytest.raises(ModelError, match="which is no id"):
        footage.footage(replace(ALONE, card=changed))


def test_its_photo_model_has_to_be_one():
    other = load_model("lossless")
    named = {**conformance_video().card, "intra": other.id.hex()}
    with pytest.raises(ModelError, match="is no photo model"):
        footage.footage(replace(ALONE, card=named))


@pytest.mark.parametrize("which", ["lossless", "digits"])
def test_other_models_are_refused(which):
    with pytest.raises(ModelError, match="is no model of video"):
        footage.footage(load_model(which))


def test_both_engines_give_one_self_test_and_the_card_has_it():
    prior = inter(conformance_video())
    assert self_test(prior) == self_test(prior, engine) == conformance_video().card["self_test"]
    made = card(prior, bytes(8), name="x")
    assert json.loads(json.dumps(made)) == made
    assert (made["name"], made["structure"], made["intra"]) == ("x", footage.STRUCTURE, "00" * 8)


def test_a_model_that_was_changed_fails_its_self_test():
    tensors = {name: np.array(tensor) for name, tensor in TENSORS.items()}
    tensors["context.1.weight.0"].flat[3] += 1
    changed = unpack_model(pack_model(conformance_video().card, tensors))
    with pytest.raises(ModelError, match="self-test gives"):
        footage.footage(replace(changed, intra=MODEL))


@pytest.mark.parametrize("name", TENSORS)
def test_a_model_needs_every_tensor_in_its_shape(name):
    others = {key: tensor for key, tensor in TENSORS.items() if key != name}
    for tensors in (others, others | {name: np.array(1, np.int32)}, others | {name: TENSORS[name][None]}):
        with pytest.raises(ModelError):
            build(tensors)


def test_a_model_has_no_other_tensors_and_is_no_photo_model():
    with pytest.raises(ModelError, match="backdoor"):
        build(TENSORS | {"backdoor": np.zeros(1, np.int32)})
    with pytest.raises(ModelError, match="none of inter frames"):
        build(MODEL.tensors)
    with pytest.raises(ModelError, match=r"none of photos|no tensor"):
        photo.build(TENSORS | {name: MODEL.tensors[name] for name in ("order", "steps")})


def test_damage_inside_of_groups_is_an_error_of_the_codec():
    rng = np.random.default_rng(2)
    header, (plan, group) = unpack(coded(moving(2, 40, 56)))
    for number in range(15):
        damaged = bytearray(group.data)
        for _ in range(int(rng.integers(1, 4))):
            damaged[rng.integers(len(damaged) // 2, len(damaged))] = int(rng.integers(256))
        check_only_codec_errors(opened, pack(header, [plan, Chunk("G", bytes(damaged))]), f"damage {number}")


def test_any_weights_are_refused_or_code_something():
    """One tensor of noise at a time: nothing but a CodecError, and no warning."""
    rng, coded_some = np.random.default_rng(0), 0
    for name in rng.permutation(sorted(TENSORS))[:12]:
        noise = rng.integers(-(2**31), 2**31, TENSORS[name].shape).astype(np.int32)
        try:
            prior = build(TENSORS | {name: noise})
            model = unpack_model(pack_model(card(prior, MODEL.id), TENSORS | {name: noise}))
            data = coded(moving(2, 17, 17), model=replace(model, intra=MODEL), rate=Fraction(1))
        except CodecError:
            continue
        assert len(data) > 0
        coded_some += 1
    assert coded_some > 0
