"""codec/photo.py: a tile and its twin; and what a hostile model file can do, which is nothing."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from codec import intnet, photo
from codec.codebook import SLICES
from codec.errors import CodecError, CorruptStream, ModelError
from codec.intnet import pattern
from codec.photo import LARGEST, build, card, decode_tile, dequantise, encode_tile, self_test
from codec.transform import analysis, synthesis
from tests.checks import conformance_model
from tools.synthetic import picture
from training import engine

SHAPES = [(1, 1), (1, 5), (7, 1), (4, 4), (3, 9)]
TENSORS = dict(conformance_model().tensors)


def latent(h: int, w: int, noise: float = 4.0) -> np.ndarray:
    return analysis(picture(16 * h, 16 * w, 3, 5, noise))


@functools.cache
def small() -> bytes:
    return encode_tile(photo.photo(conformance_model()), latent(2, 3, 30.0), 50)[0]


@pytest.mark.parametrize("index", [0, 31, 63])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_decoder_gets_what_the_encoder_says(shape, index):
    built = photo.photo(conformance_model())
    payload, sent = encode_tile(built, latent(*shape), index)
    found, received = decode_tile(built, payload, shape)
    assert found == index
    assert np.array_equal(received, sent)


def test_a_fine_step_comes_close_to_the_picture():
    built, y = photo.photo(conformance_model()), latent(4, 5)
    step = built.steps[63] / 16
    _, sent = encode_tile(built, y, 63)
    assert np.abs(sent / 256 - y).max() < 1.2 * step
    assert np.abs(sent / 256 - y)[..., :8].mean() < 0.4 * step


def test_coefficients_are_clipped_where_no_picture_goes():
    built = photo.photo(conformance_model())
    values = pattern((6, SLICES[-1].stop), -(1 << 22), 1 << 22)
    y = dequantise(built, values, (2, 3), int(built.steps[0]))
    assert (y.min(), y.max()) == (-LARGEST, LARGEST)
    assert LARGEST / 4 > 127.5 * (32 * 32 * 3) ** 0.5 * 256  # a basis function of norm 1 sees 32 x 32 pixels


@pytest.mark.parametrize("payload", [b"", b"\x40", b"\xff\x00\x00"])
def test_a_tile_without_a_legal_step_index_is_refused(payload):
    with pytest.raises(CorruptStream, match="step index"):
        decode_tile(photo.photo(conformance_model()), payload, (1, 1))


def test_both_engines_give_one_self_test():
    built = photo.photo(conformance_model())
    assert self_test(built) == self_test(built, engine) == conformance_model().card["self_test"]


def test_a_whole_tile_is_the_same_in_torch(monkeypatch):
    built, x = photo.photo(conformance_model()), pattern((64, 96, 3), 0, 16320).astype(float)
    payload, sent = encode_tile(built, latent(4, 6), 40)
    expected = built.restoration(x, 40, int(built.steps[40]))
    calls = []
    for name in ("run", "accumulate", "convolve", "requantise"):
        other = getattr(engine, name)
        monkeypatch.setattr(intnet, name, lambda *a, other=other, **k: calls.append(1) or other(*a, **k))
    assert np.array_equal(decode_tile(built, payload, (4, 6))[1], sent)
    assert np.array_equal(built.restoration(x, 40, int(built.steps[40])), expected)
    assert len(calls) > 50


def test_a_model_is_built_once():
    assert photo.photo(conformance_model()) is photo.photo(conformance_model())


def refused(tensors: dict[str, Any], message: str | None = None) -> None:
    with pytest.raises(ModelError, match=message):
        build(tensors)


@pytest.mark.parametrize("name", TENSORS)
def test_a_model_needs_every_tensor_in_its_shape(name):
    others = {key: tensor for key, tensor in TENSORS.items() if key != name}
    refused(others)
    refused(others | {name: np.array(1, np.int32)})
    refused(others | {name: TENSORS[name][None]})
    refused(others | {name: np.concatenate([TENSORS[name], TENSORS[name]])})


def test_a_model_has_no_other_tensors():
    refused(TENSORS | {"prior.backdoor": np.zeros(1, np.int32)}, "backdoor")


@pytest.mark.parametrize("step", [0, -1, 4097, 2**31 - 1])
def test_steps_have_bounds(step):
    refused(TENSORS | {"steps": np.r_[TENSORS["steps"][:-1], step]}, "steps has numbers")


@pytest.mark.parametrize("order", [np.zeros(768, int), np.arange(768) + 1, -np.arange(768), np.arange(768) % 767])
def test_the_order_is_a_permutation(order):
    refused(TENSORS | {"order": order}, "permutation")


FILLED = [name for name in TENSORS if name not in ("order", "steps")]


@pytest.mark.parametrize("value", [-(2**31), 2**31 - 1, "noise"])
def test_any_numbers_are_refused_or_decoded_to_something(value):
    """With weights of all sizes, and one tensor at a time: nothing but a CodecError, and no warning."""
    rng = np.random.default_rng(0)
    for name in rng.permutation(FILLED)[:40]:
        shape = TENSORS[name].shape
        tensor = rng.integers(-(2**31), 2**31, shape) if value == "noise" else np.full(shape, value)
        try:
            built = build(TENSORS | {name: tensor.astype(np.int32)})
            _, y = decode_tile(built, small(), (2, 3))
            x = built.restoration(synthesis(y, (2, 3)), 50, int(built.steps[50]))
        except CodecError:
            continue
        assert np.abs(y).max() <= LARGEST
        assert np.isfinite(x).all()


def test_a_model_that_was_changed_fails_its_self_test():
    tensors = {name: np.array(tensor) for name, tensor in TENSORS.items()}
    tensors["slices.3.head.weight.0"].flat[7] += 1
    with pytest.raises(ModelError, match="self-test gives"):
        photo.photo(replace(conformance_model(), tensors=tensors))
    with pytest.raises(ModelError, match="structure is 'other'"):
        photo.photo(replace(conformance_model(), card={"structure": "other"}))


def test_a_card_says_what_the_networks_are():
    built = photo.photo(conformance_model())
    made = card(built, name="x", licence="CC0-1.0")
    assert json.loads(json.dumps(made)) == made
    assert made["self_test"] == conformance_model().card["self_test"]
    assert (made["name"], made["structure"]) == ("x", "lot16-pvq-1")
