"""codec/chroma.py: planes of video files give the pixels that libswscale gives, and are found again in them."""

from __future__ import annotations

import numpy as np
import pytest

from codec import movie
from codec.chroma import KINDS, Planes, kind_of, painted, recovered
from tools.exact_streams import halved
from tools.synthetic import picture


def planes(height: int, width: int, kind: int, contrast: float = 0.7) -> Planes:
    rng = np.random.default_rng(height * width + kind)
    y = np.clip(128 + contrast * rng.integers(-128, 128, (height, width)), 0, 255).astype(np.uint8)
    return Planes(kind, y, rng.integers(100, 156, (height // 2, width // 2, 2), np.uint8))


def shown(made: Planes) -> np.ndarray:
    """What FFmpeg makes of planes."""
    av = movie.require_av()
    height, width = made.y.shape
    frame = av.VideoFrame(width, height, "yuv420p")
    for number, samples in enumerate((made.y, made.chroma[..., 0], made.chroma[..., 1])):
        plane = frame.planes[number]
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        padded[:, : plane.width] = samples
        plane.update(padded.tobytes())
    frame.color_range = movie.FULL if made.kind % 4 >= 2 else movie.LIMITED
    matrix = movie._swscale(movie.BT709 if made.kind % 2 else movie.BT601)
    convert = av.video.reformatter.VideoReformatter().reformat
    return convert(frame, format="rgb24", src_colorspace=matrix, **movie._exactly(av)).to_ndarray()


@pytest.mark.parametrize("kind", range(4, KINDS))
@pytest.mark.parametrize("size", [(2, 16), (16, 2), (18, 40), (64, 66)])
def test_pixels_are_those_of_libswscale(size, kind):
    made = planes(*size, kind)
    assert np.array_equal(painted(made), shown(made))


@pytest.mark.parametrize("kind", range(KINDS))
def test_planes_are_found_again(kind):
    made = planes(40, 50, kind, contrast=0.4)
    frame = painted(made)
    found = recovered(frame, kind)
    assert (found.chroma == made.chroma).mean() > 0.98  # the finest detail is hard to tell from rounding
    assert (painted(found) == frame).all(axis=2).mean() > 0.95


@pytest.mark.parametrize("kind", range(KINDS))
def test_the_kind_is_found(kind):
    assert kind_of(halved(1, 90, 120, kind)[0]) == kind


def test_most_pixels_come_back_where_many_are_clipped():
    frame = halved(1, 60, 80, 0, contrast=2.5)[0]
    assert ((frame == 0) | (frame == 255)).mean() > 0.1
    assert (painted(recovered(frame, 0)) == frame).all(axis=2).mean() > 0.6


@pytest.mark.parametrize("frame", [picture(60, 80, 3, 5), picture(61, 80, 3, 5), picture(60, 80, 1, 5)])
def test_pictures_with_all_their_chroma_are_of_no_kind(frame):
    assert kind_of(frame) is None


@pytest.mark.parametrize("size", [(2, 2), (2, 4), (4, 2), (6, 6)])
def test_the_smallest_frames_have_planes(size):
    made = planes(*size, 0, contrast=0.3)
    assert painted(recovered(painted(made), 0)).shape == (*size, 3)
