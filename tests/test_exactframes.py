"""codec/exactframes.py: frames come back exactly, whatever they are, and in a short way."""

from __future__ import annotations

import numpy as np
import pytest

from codec import exactframes
from codec.chroma import KINDS
from codec.container import join, split
from codec.errors import CodecError, CorruptStream
from codec.exactframes import CORRECTED, EXPECTED, Way, decode_frames, encode_frames
from codec.tile import networks
from tests.checks import lossless_model
from tests.clips import moving
from tools.exact_streams import halved, sliding

BUILT = networks(lossless_model())


def clip(frames: int, height: int, width: int, channels: int) -> list[np.ndarray]:
    return [frame.reshape(height, width, -1) for frame in moving(frames, height, width, channels)]


def opened(data: bytes, frames: list[np.ndarray]) -> list[np.ndarray]:
    return list(decode_frames(BUILT, data, len(frames), frames[0].shape))


def check(frames: list[np.ndarray]) -> list[bytes]:
    """The frames come back; their payloads."""
    data = encode_frames(BUILT, frames, threads=1)
    assert all(np.array_equal(one, other) for one, other in zip(frames, opened(data, frames), strict=True))
    return split(data, len(frames))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (7, 30), (40, 33)])
def test_frames_of_any_size_come_back(size, channels):
    check(clip(3, *size, channels))


def test_the_shortest_way_is_taken():
    noise = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), np.uint8)
    spot = noise[0].copy()
    spot[5, 6] += 200
    ways = [payload[0] for payload in check([noise[0], noise[0].copy(), spot, noise[1]])]
    assert ways == [Way.ALONE, Way.SAME, Way.MOVED, Way.ALONE]


def test_frames_from_files_are_coded_as_files_hold_them():
    frames = halved(3, 40, 52, 4)
    payloads = check(frames)
    assert [payload[0] for payload in payloads] == [Way.HALVED] * 3
    assert [payload[1] & EXPECTED > 0 for payload in payloads] == [False, True, True]
    assert {payload[1] % KINDS for payload in payloads} == {4}


def test_pixels_that_planes_do_not_give_back_are_corrected():
    frames = halved(2, 40, 52, 0)
    frames[1][3, 4, 1] ^= 1
    payloads = check(frames)
    assert [payload[0] for payload in payloads] == [Way.HALVED] * 2
    assert [payload[1] & CORRECTED > 0 for payload in payloads] == [False, True]


def test_a_clip_may_change_its_kind():
    frames = [*halved(2, 32, 36, 2), *sliding(2, 32, 36, 3), *halved(2, 32, 36, 2)]
    flags = [payload[1] & EXPECTED if payload[0] == Way.HALVED else None for payload in check(frames)]
    assert flags == [0, EXPECTED, None, None, 0, EXPECTED]


def test_what_moves_costs_little():
    noise = np.random.default_rng(3).integers(0, 256, (60, 60, 1), np.uint8)
    alone, moved = check([noise[:48, :48].copy(), noise[5:53, 3:51].copy()])
    assert moved[0] == Way.MOVED
    assert len(moved) < len(alone) / 2


@pytest.mark.parametrize("made", [clip(2, 33, 20, 3), halved(2, 34, 20, 3)])
def test_large_frames_fall_into_tiles(made, monkeypatch):
    monkeypatch.setattr(exactframes, "SIDE", 4)
    payloads = check(made)
    if payloads[0][0] == Way.ALONE:
        assert len(split(payloads[0][1:], 6)) == 6
    else:
        assert len(split(payloads[0][2:], 6 + 2 * 2)) == 10


def test_frames_that_are_too_large_are_coded_alone(monkeypatch):
    monkeypatch.setattr(exactframes, "LARGEST", 100)
    assert [payload[0] for payload in check(halved(2, 10, 12, 0))] == [Way.ALONE] * 2


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ([b"", b""], "way"),
        ([b"\x05", b"\x00"], "way"),
        ([b"\x00", b"\x00"], "way 0"),
        ([b"\x02\x00", b"\x00"], "way 2"),
        ([b"\x03\x00", b"\x00"], "way 3"),
        ([None, b"\x00\x01"], "bytes long"),
        ([None, b"\x04"], "begin with nothing"),
        ([None, b"\x04\x20"], "begin with 32"),
        ([None, b"\x04\x00"], "chroma is halved"),
        ([None, b"\x03\x00\x01\x02"], "begins with 02"),
        ([None, b"\x03\x00\x00"], "begins with nothing"),
        ([None], "part 1"),
        ([None, b"\x00", b"\x00"], "follow"),
    ],
)
def test_what_no_encoder_writes_is_refused(parts, what):
    frames = clip(2, 8, 8, 1)
    first = split(encode_frames(BUILT, frames, threads=1), 2)[0]
    with pytest.raises(CorruptStream, match=what):
        opened(join([first if part is None else part for part in parts]), frames)


@pytest.mark.parametrize("frames", [clip(2, 12, 12, 1), clip(2, 11, 12, 3), halved(2, 12, 12, 0)])
def test_damaged_tiles_are_noticed(frames):
    good, rng = encode_frames(BUILT, frames, threads=1), np.random.default_rng(1)
    missed = 0
    for _ in range(40):
        data = bytearray(good)
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        try:
            found = opened(bytes(data), frames)
        except CodecError:
            continue
        # bits that no symbol needs have no meaning; a field is under the group's digest alone
        missed += not all(np.array_equal(one, other) for one, other in zip(frames, found, strict=True))
    assert missed <= 4
