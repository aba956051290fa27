"""codec/video.py: clips in, files out, and any frame of them without those of other groups."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from codec import group, video
from codec.container import Chunk, pack, spell, unpack
from codec.errors import (
    CorruptStream,
    Desync,
    EncodeError,
    LimitExceeded,
    ModelMismatch,
    UnsupportedInput,
    UnsupportedVersion,
)
from codec.group import Way, way_of
from codec.image import encode
from codec.limits import Limits
from codec.model import load_model
from codec.picture import Image
from codec.tracks import Sprite, compose
from codec.video import decode_video, encode_video, plan_of
from tests.checks import check_only_codec_errors, check_truncations, conformance_model, lossless_model
from tests.clips import moving, psnr

MODEL = conformance_model()
RATE = Fraction(30000, 1001)


def coded(frames: object, **options: object) -> bytes:
    chosen = {"rate": RATE, "quality": 70, "threads": 1, "model": MODEL} | options
    return encode_video(frames, **chosen)


def opened(data: bytes, frames: slice | None = None, **options: object) -> list[np.ndarray]:
    return list(decode_video(data, frames, **{"model": MODEL, "threads": 1} | options))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (31, 50)])
def test_clips_come_back_with_shape_and_rate(size, channels):
    frames = moving(5, *size, channels)
    clip = decode_video(coded(iter(frames)), model=MODEL)
    assert (clip.width, clip.height, clip.channels, clip.rate, clip.frames) == (size[1], size[0], channels, RATE, 5)
    found = list(clip)
    assert {frame.shape for frame in found} == {frames[0].shape}
    assert psnr(frames, found) > 28
    assert all(np.array_equal(one, other) for one, other in zip(found, clip, strict=True))  # it can be read again


@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_clips_come_back_exactly(channels):
    frames = moving(5, 20, 33, channels)
    data = coded(frames, lossless=True, model=lossless_model(), rate=Fraction(2), interval=1)
    assert len(plan_of(*unpack(data)).groups) == 3
    found = opened(data, model=lossless_model())
    assert all(np.array_equal(one, other) for one, other in zip(frames, found, strict=True))


def test_any_frames_are_decoded_from_their_groups_alone(monkeypatch):
    data = coded(moving(11, 24, 32), rate=Fraction(4), interval=1)
    whole = opened(data)
    assert [count for _, count in plan_of(*unpack(data)).groups] == [4, 4, 3]
    begun: list[bytes] = []
    decode = video.decode_group

    def counted(model: object, data: bytes, *others: object) -> object:
        begun.append(data)
        return decode(model, data, *others)

    monkeypatch.setattr(video, "decode_group", counted)
    for part, groups in (
        (slice(5, 7), 1),
        (slice(3, 5), 2),
        (slice(-1, None), 1),
        (slice(0, 0), 0),
        (slice(0, 99, 5), 3),
    ):
        begun.clear()
        found = opened(data, part)
        assert len(found) == len(whole[part])
        assert all(np.array_equal(one, other) for one, other in zip(found, whole[part], strict=True))
        assert len(begun) == groups


def test_frames_taken_apart_are_shown_as_long():
    clip = decode_video(coded(moving(9, 16, 16)), slice(0, None, 3), model=MODEL)
    assert (clip.frames, clip.rate) == (3, RATE / 3)
    with pytest.raises(ValueError, match="forwards"):
        decode_video(coded(moving(2, 16, 16)), slice(None, None, -1), model=MODEL)


def test_a_cut_begins_a_group():
    rng = np.random.default_rng(0)
    other = np.repeat(np.repeat(rng.integers(0, 256, (5, 7, 3)), 8, axis=0), 8, axis=1).astype(np.uint8)
    data = coded([*moving(3, 40, 56), *[other] * 3])
    assert [count for _, count in plan_of(*unpack(data)).groups] == [3, 3]


def test_bytes_do_not_depend_on_threads():
    frames = moving(3, 40, 300)
    assert len({coded(frames, threads=threads) for threads in (1, 3)}) == 1
    exact = {coded(frames, threads=threads, lossless=True, model=lossless_model()) for threads in (1, 2)}
    assert len(exact) == 1


def test_memory_does_not_grow_with_the_clip():
    def peak(count: int) -> int:
        frames = (frame for _ in range(count // 4) for frame in moving(4, 64, 64))
        tracemalloc.start()
        data = coded(frames, interval=0.2, effort=1)
        for _ in decode_video(data, model=MODEL, threads=1):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(4)
    assert peak(48) < 1.2 * peak(12) + 200_000


def test_encoder_and_decoder_do_not_drift():
    frames = moving(30, 33, 40)
    data = coded(frames, quality=30, interval=100)
    assert len(plan_of(*unpack(data)).groups) == 1
    assert psnr(frames[-3:], opened(data)[-3:]) > 25  # and the digest of the group is compared on the way


@pytest.mark.parametrize(
    ("frames", "error", "what"),
    [
        ([], EncodeError, "no frames"),
        ([np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8)], EncodeError, "one size"),
        ([np.zeros((4, 4), np.uint16)], UnsupportedInput, "uint8"),
        ([np.zeros((4, 4, 4), np.uint8)], UnsupportedInput, "uint8"),
        ([np.zeros((0, 4), np.uint8)], UnsupportedInput, "uint8"),
    ],
)
def test_frames_that_are_none_are_refused(frames, error, what):
    with pytest.raises(error, match=what):
        coded(frames)


@pytest.mark.parametrize("options", [{"quality": 101}, {"effort": 0}, {"interval": 0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="quality is"):
        coded(moving(1, 8, 8), **options)


def test_every_cut_is_noticed():
    check_truncations(lambda data: opened(data), coded(moving(2, 8, 8)))


def altered(data: bytes, plan: bytes | None = None, groups: list[bytes] | None = None, **fields: object) -> bytes:
    header, chunks = unpack(data)
    bodies = [chunk.data for chunk in chunks[1:]] if groups is None else groups
    first = [] if plan == b"" else [Chunk("P", chunks[0].data if plan is None else plan)]
    return pack(replace(header, **fields), [*first, *(Chunk("G", body) for body in bodies)])


def test_files_that_do_not_fit_together_are_refused():
    data = coded(moving(4, 8, 8), interval=0.05)
    _, chunks = unpack(data)
    bodies = [chunk.data for chunk in chunks[1:]]
    assert len(bodies) == 4
    assert opened(altered(data))
    plans = ([0, 1, 1, 1, 1, 1], [30, 0, 1, 1, 1, 1], [60, 2, 1, 1, 1, 1], [30, 1, 1, 1, 1], [30, 1, 1, 1, 0, 2])
    for plan in (b"", b"\x80", *map(spell, plans), spell([30, 1, 1, 1, 1, 2]), spell([1 << 33, 1, 1, 1, 1, 1])):
        with pytest.raises(CorruptStream):
            opened(altered(data, plan))
    with pytest.raises(CorruptStream):
        opened(altered(data, frames=5))
    with pytest.raises(CorruptStream):
        opened(altered(data, groups=[*bodies[:3], b"\x00"]))
    with pytest.raises(Desync):
        opened(altered(data, groups=[bodies[1], bodies[0], *bodies[2:]]))
    with pytest.raises(ModelMismatch):
        opened(altered(data, model_id=bytes(8)))
    for fields in ({"channels": 2}, {"bit_depth": 10}):
        with pytest.raises(UnsupportedVersion):
            opened(altered(data, **fields))
    with pytest.raises(UnsupportedVersion, match="PHOTO"):
        opened(encode(Image.of(moving(1, 8, 8)[0]), MODEL, quality=50))


def test_limits_are_checked_before_anything_is_decoded(monkeypatch):
    data = coded(moving(4, 8, 8))
    monkeypatch.setattr(group, "decode_tiles", None)
    for limits in (Limits(max_pixels=63), Limits(max_frames=3), Limits(max_side=7), Limits(max_chunks=1)):
        with pytest.raises(LimitExceeded):
            decode_video(data, model=MODEL, limits=limits)
    decode_video(data, model=MODEL, limits=Limits(max_pixels=64))  # a frame at a time
    monkeypatch.setattr(group, "LARGEST_FRAME", 63)
    with pytest.raises(LimitExceeded, match="at most 63"):
        opened(data)
    monkeypatch.setattr(video, "LARGEST_FRAME", 63)
    with pytest.raises(UnsupportedInput, match="8 x 8 pixels"):
        coded(moving(1, 8, 8))


def test_damage_inside_of_groups_is_an_error_of_the_codec():
    data, rng = coded(moving(3, 20, 20)), np.random.default_rng(2)
    body = unpack(data)[1][1].data
    for number in range(40):
        damaged = bytearray(body)
        for _ in range(int(rng.integers(1, 4))):
            damaged[rng.integers(5, len(body))] = int(rng.integers(256))
        check_only_codec_errors(opened, altered(data, groups=[bytes(damaged)]), f"damage {number}")


def test_progress_counts_frames():
    seen: list[tuple[int, int]] = []
    data = coded(moving(3, 8, 8), progress=lambda *each: seen.append(each))
    assert seen == [(1, 0), (2, 0), (3, 0)]
    seen.clear()
    opened(data, slice(1, 3), progress=lambda *each: seen.append(each))
    assert seen == [(1, 2), (2, 2)]


def test_things_that_move_over_black_cost_their_sprites_and_little_more():
    rng = np.random.default_rng(0)
    ways = [np.array([2, 3]) + np.arange(12)[:, None] * [1, 2], np.array([24, 6]) - np.arange(12)[:, None] * [2, 0]]
    things = [Sprite(rng.integers(1, 256, (6, 5)).astype(np.uint8), way) for way in ways]
    frames = compose(things, (12, 40, 40))
    data = encode_video(frames, rate=Fraction(10), lossless=True)
    header, chunks = unpack(data)
    assert [way_of(group) for group, _ in plan_of(header, chunks).groups] == [Way.SPRITES]
    assert header.model_id == load_model("digits").id
    assert len(data) < 250  # 60 pixels of noise, twelve frames
    np.testing.assert_array_equal(np.stack(list(decode_video(data))), frames)
    np.testing.assert_array_equal(np.stack(list(decode_video(data, slice(5, 7)))), frames[5:7])
