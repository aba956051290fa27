"""codec/exactframes.py: frames come back exactly, whatever they are, and in the shortest of three ways."""

from __future__ import annotations

import numpy as np
import pytest

from codec import exactframes
from codec.container import join, split
from codec.errors import CodecError, CorruptStream
from codec.exactframes import Way, decode_frames, encode_frames
from codec.tile import networks
from tests.checks import lossless_model
from tests.clips import moving

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
    assert ways == [Way.ALONE, Way.SAME, Way.DIFFERENCE, Way.ALONE]


def test_large_frames_fall_into_tiles(monkeypatch):
    monkeypatch.setattr(exactframes, "SIDE", 4)
    payloads = check(clip(2, 33, 20, 3))
    assert len(split(payloads[0][1:], 6)) == 6


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ([b"", b""], "way"),
        ([b"\x03", b"\x00"], "way"),
        ([b"\x00", b"\x00"], "way 0"),
        ([b"\x02\x00", b"\x00"], "way 2"),
        ([None, b"\x00\x01"], "bytes long"),
        ([None], "part 1"),
        ([None, b"\x00", b"\x00"], "follow"),
    ],
)
def test_what_no_encoder_writes_is_refused(parts, what):
    frames = clip(2, 8, 8, 1)
    first = split(encode_frames(BUILT, frames, threads=1), 2)[0]
    with pytest.raises(CorruptStream, match=what):
        opened(join([first if part is None else part for part in parts]), frames)


def test_damaged_tiles_are_noticed():
    frames = clip(2, 12, 12, 1)
    good, rng = encode_frames(BUILT, frames, threads=1), np.random.default_rng(1)
    for number in range(40):
        data = bytearray(good)
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        try:
            found = opened(bytes(data), frames)
        except CodecError:
            continue
        # bits that no symbol needs have no meaning
        assert all(np.array_equal(one, other) for one, other in zip(frames, found, strict=True)), number
