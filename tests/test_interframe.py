"""codec/interframe.py: a frame like the one before it costs little, and both sides get the same pixels."""

from __future__ import annotations

import numpy as np
import pytest

from codec.errors import CorruptStream
from codec.interframe import Past, decode_frame, encode_frame
from codec.photo import photo
from tests.checks import check_only_codec_errors, conformance_model
from tests.clips import moving, psnr

BUILT = photo(conformance_model())
QUALITY = 50


def clip(frames: int, height: int, width: int, channels: int = 3) -> list[np.ndarray]:
    return [frame.reshape(height, width, -1) for frame in moving(frames, height, width, channels)]


def coded(frames: list[np.ndarray], step_index: int = QUALITY, effort: int = 5) -> tuple[list[bytes], list[np.ndarray]]:
    """Payloads of all frames but the first, which is known as it is, and the decoded frames."""
    past = Past.after(frames[0], threads=1)
    payloads, decoded = [], []
    for frame in frames[1:]:
        payloads.append(encode_frame(BUILT, frame, past, step_index, effort))
        decoded.append(past.frame)
    return payloads, decoded


def opened(first: np.ndarray, payloads: list[bytes], threads: int = 1) -> list[np.ndarray]:
    past = Past.after(first, threads)
    return [decode_frame(BUILT, payload, past) for payload in payloads]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 40), (50, 35)])
def test_both_sides_get_the_same_pixels(size, channels):
    frames = clip(4, *size, channels)
    payloads, decoded = coded(frames)
    found = opened(frames[0], payloads)
    assert all(np.array_equal(one, other) for one, other in zip(decoded, found, strict=True))
    assert psnr(frames[1:], found) > 28


def test_nothing_depends_on_threads():
    frames = clip(3, 40, 600)
    payloads, decoded = coded(frames)
    for threads in (2, 4):
        found = opened(frames[0], payloads, threads)
        assert all(np.array_equal(one, other) for one, other in zip(decoded, found, strict=True))


def test_a_frame_that_repeats_costs_a_few_bytes_and_stays_as_it_is():
    frames = [clip(1, 70, 90)[0]] * 6
    payloads, decoded = coded(frames)
    assert max(map(len, payloads)) <= 6
    assert all(np.array_equal(frame, frames[0]) for frame in decoded)


def test_motion_is_cheaper_than_no_motion_and_quality_costs():
    x = np.random.default_rng(0).integers(0, 256, (8, 12, 3))
    big = np.repeat(np.repeat(x, 12, axis=0), 12, axis=1).astype(np.uint8)
    moved, other = big[8:72, 20:100], big[96 - 72 : 96 - 8, 144 - 100 : 144 - 20]
    start = big[4:68, 14:94]
    sizes = [len(coded([start, frame], step_index)[0][0]) for frame in (moved, other) for step_index in (20, 55)]
    assert sizes[0] < sizes[1] < sizes[3]
    assert 3 * sizes[0] < sizes[2] < sizes[3]


def test_quick_efforts_decode_as_well():
    frames = clip(3, 40, 40)
    payloads, decoded = coded(frames, effort=1)
    assert np.array_equal(opened(frames[0], payloads)[-1], decoded[-1])


@pytest.mark.parametrize("payload", [b"", b"\x80", b"\xff\x00"])
def test_what_no_encoder_writes_is_refused(payload):
    with pytest.raises(CorruptStream, match="inter frame"):
        opened(clip(1, 20, 20)[0], [payload])


def test_any_bytes_are_a_frame_or_are_refused():
    rng, first = np.random.default_rng(3), clip(1, 36, 50)[0]
    good = coded(clip(2, 36, 50))[0][0]
    for number in range(40):
        noise = rng.integers(0, 256, rng.integers(1, 60), np.uint8).tobytes()
        payload = noise if number % 2 else good[: rng.integers(1, len(good))] + noise
        check_only_codec_errors(lambda data: opened(first, [data]), payload, f"payload {number}")
