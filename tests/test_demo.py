from __future__ import annotations

import io

import numpy as np
from PIL import Image

from tools.demo import jpeg_bytes, jpeg_of, psnr, side_by_side

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))


def test_the_jpeg_is_the_smallest_that_is_good_enough():
    sizes = [jpeg_bytes(PICTURE, target) for target in (0, 10, 12, 99)]
    assert sizes == sorted(sizes)
    stream = io.BytesIO()
    PICTURE.save(stream, "JPEG", quality=5, subsampling=2, optimize=True)
    assert sizes[0] == len(stream.getvalue())


def test_psnr_of_a_known_error():
    grey = Image.new("RGB", (4, 4), (100, 100, 100))
    assert np.isclose(psnr(grey, Image.new("RGB", (4, 4), (105, 105, 105))), 10 * np.log10(255**2 / 25))


def test_the_jpeg_for_comparison_is_the_best_within_the_bytes():
    small, size = jpeg_of(PICTURE, 1200)
    large, larger = jpeg_of(PICTURE, 1600)
    assert size <= 1200 < larger <= 1600
    assert psnr(PICTURE, small) < psnr(PICTURE, large)


def test_pictures_stand_side_by_side():
    red, blue = (Image.new("RGB", (32, 32), colour) for colour in ("red", "blue"))
    sheet = side_by_side([(red, "one"), (blue, "two")])
    assert sheet.getpixel((10, 10)) == (255, 0, 0)
    assert sheet.getpixel((sheet.width - 10, 10)) == (0, 0, 255)
