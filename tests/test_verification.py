"""codec/verification.py: what a file decodes to is compared with the picture, and nothing else passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codec.errors import Desync
from codec.picture import Image
from codec.verification import Comparison, largest_difference, verification
from tests.pictures import samples

RGBA = Image.of(samples("photo", (9, 8, 4)))
PALETTE = Image(samples("noise", (9, 8, 1), 2), palette=np.eye(4, 3, dtype=np.uint8), bit_depth=2)


def test_equal_pictures_pass():
    assert verification(RGBA, RGBA, 0) == ({"max_error": 0}, "exact")
    assert verification(PALETTE, PALETTE, 0) == ({"max_error": 0}, "exact")
    assert verification(RGBA, RGBA, None)[0] == {"psnr": None}


def test_the_error_that_is_found_is_told_up_to_the_bound():
    other = replace(RGBA, colour=np.where(RGBA.colour > 99, RGBA.colour - 2, RGBA.colour).astype(np.uint8))
    assert verification(RGBA, other, 3) == ({"max_error": 2}, "within 2")
    with pytest.raises(Desync, match="is 2 off, and at most 1"):
        verification(RGBA, other, 1)
    assert 35 < verification(RGBA, other, None)[0]["psnr"] < 60


@pytest.mark.parametrize("other", [
    replace(RGBA, alpha=None), replace(RGBA, alpha=RGBA.alpha ^ 1), replace(RGBA, icc=b"x"), replace(RGBA, exif=b"x"),
    Image(RGBA.colour[..., :1], RGBA.alpha), Image(RGBA.colour // 2, RGBA.alpha // 2, bit_depth=7),
])  # fmt: skip
def test_whatever_else_is_not_kept_is_an_error(other):
    with pytest.raises(Desync):
        verification(RGBA, other, 255)


def test_another_palette_is_an_error():
    with pytest.raises(Desync, match="palette"):
        verification(PALETTE, replace(PALETTE, palette=PALETTE.palette + 1), 0)


def test_the_largest_difference_is_found_wherever_it_is():
    x = np.zeros((3000, 500), np.uint16)
    for at in ((0, 0), (2999, 499), (1500, 3)):
        y = x.copy()
        y[at] = 65535
        assert largest_difference(x, y) == largest_difference(y, x) == 65535


def test_clips_are_compared_frame_by_frame():
    frames = np.random.default_rng(0).integers(0, 250, (3, 6, 7), np.uint8)
    lossy, exact = Comparison(exact=False), Comparison(exact=True)
    for frame, error in zip(frames, (0, 1, 2), strict=True):
        lossy.add(frame, frame + np.uint8(error))
        exact.add(frame, frame.copy())
    assert exact.result() == ({"max_error": 0}, "exact")
    assert lossy.result()[0]["psnr"] == pytest.approx(10 * np.log10(255**2 / (5 / 3)))
    with pytest.raises(Desync, match="frame 3"):
        exact.add(frames[0], frames[1])
    with pytest.raises(Desync, match="frame 3"):
        lossy.add(frames[0], frames[0, :3])
    same = Comparison(exact=False)
    same.add(frames[0], frames[0])
    assert same.result()[0] == {"psnr": None}
