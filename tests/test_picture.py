from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import UnsupportedInput
from codec.picture import Image, replicate
from tests.checks import check_same_picture
from tests.pictures import images

RNG = np.random.default_rng(1)
COLOUR = RNG.integers(0, 256, (9, 13, 3), np.uint8)
INDICES = np.arange(12, dtype=np.uint8).reshape(3, 4, 1) % 3
PALETTE = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.uint8)
ALPHAS = np.array([[0], [200], [255]], np.uint8)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 2), (5, 4, 3), (5, 4, 4)])
def test_arrays_of_one_to_four_channels_are_taken(shape, kind):
    array = RNG.integers(0, np.iinfo(kind).max + 1, shape, kind)
    image = Image.of(array)
    assert np.array_equal(image.pixels.reshape(shape), array)
    assert (image.alpha is None) == (len(shape) == 2 or shape[2] in (1, 3))
    assert image.bit_depth == 8 * array.itemsize


@pytest.mark.parametrize("kind", [np.float64, np.uint32, bool, np.int8, np.int16, ">u2"])
def test_other_sample_types_are_refused_with_a_remedy(kind):
    with pytest.raises(UnsupportedInput, match=r"astype\(numpy.uint8\)"):
        Image.of(np.zeros((4, 4, 3), kind))


@pytest.mark.parametrize("shape", [(4,), (0, 4, 3), (4, 0), (4, 4, 5), (1, 4, 4, 3), ()])
def test_other_shapes_are_refused(shape):
    with pytest.raises(UnsupportedInput, match="shape"):
        Image.of(np.zeros(shape, np.uint8))


def test_alpha_has_the_size_and_the_type_of_the_colour():
    for alpha in (np.zeros((8, 13), np.uint8), np.zeros((9, 13), np.uint16)):
        with pytest.raises(UnsupportedInput, match="alpha"):
            Image(COLOUR, alpha)


@pytest.mark.parametrize(("kind", "depths"), [(np.uint8, range(1, 9)), (np.uint16, range(9, 17))])
def test_samples_have_the_bits_that_the_picture_says(kind, depths):
    for depth in range(-1, 20):
        white = np.full((2, 2, 1), (1 << max(depth, 1)) - 1 & np.iinfo(kind).max, kind)
        if depth in depths:
            assert Image(white, bit_depth=depth).bit_depth == depth
        elif depth:
            with pytest.raises(UnsupportedInput, match="bit depth"):
                Image(white, bit_depth=depth)
    for depth in depths[:-1]:
        with pytest.raises(UnsupportedInput, match="too large"):
            Image(np.full((2, 2, 1), 1 << depth, kind), bit_depth=depth)
        with pytest.raises(UnsupportedInput, match="too large"):
            Image(np.zeros((2, 2, 1), kind), np.full((2, 2), 1 << depth, kind), bit_depth=depth)


@pytest.mark.parametrize(
    "wrong",
    [
        {"palette": PALETTE[:2]},  # an index too large
        {"palette": PALETTE[:0]},
        {"palette": np.zeros((257, 3), np.uint8)},
        {"palette": PALETTE.astype(np.uint16)},
        {"palette": PALETTE[:, :2]},
        {"palette": PALETTE[0]},
        {"palette": PALETTE, "bit_depth": 1},
        {"palette": PALETTE, "bit_depth": 3},
        {"palette": PALETTE, "alpha": INDICES[..., 0]},
        {"palette": PALETTE, "colour": COLOUR % 3},
        {"palette": PALETTE, "colour": INDICES.astype(np.uint16)},
    ],
)
def test_palettes_that_do_not_fit_are_refused(wrong):
    assert Image(INDICES, palette=PALETTE, bit_depth=2).bit_depth == 2
    with pytest.raises(UnsupportedInput, match="palette"):
        Image(**{"colour": INDICES} | wrong)


@pytest.mark.parametrize(("palette", "kind"), [(PALETTE, "RGB"), (np.hstack((PALETTE, ALPHAS)), "RGBA")])
def test_a_palette_expands_to_its_colours(palette, kind):
    image = Image(INDICES, icc=b"profile", palette=palette, source="PNG").expanded()
    assert np.array_equal(image.pixels, palette[INDICES[..., 0]])
    assert image.notices == (f"palette converted to {kind}",)
    assert (image.palette, image.bit_depth, image.icc, image.source) == (None, 8, b"profile", "PNG")


@given(image=images())
def test_pictures_that_need_no_change_are_left_alone(image):
    assert image.expanded().palette is None
    assert image.filled().bit_depth == (8 * image.colour.itemsize if image.palette is None else image.bit_depth)
    for changed, needed in (
        (image.expanded(), image.palette is not None),
        (image.filled(), image.palette is None and image.bit_depth not in (8, 16)),
    ):
        assert (changed is image) != needed
        assert len(changed.notices) == needed


@given(image=images())
def test_filling_the_bits_is_undone_by_a_shift(image):
    full = image.filled()
    shift = full.bit_depth - image.bit_depth
    alpha = None if full.alpha is None else full.alpha >> shift
    back = Image(full.colour >> shift, alpha, image.icc, image.exif, palette=image.palette, bit_depth=image.bit_depth)
    check_same_picture(back, image)


@pytest.mark.parametrize(("kind", "full"), [(np.uint8, 8), (np.uint16, 16)])
def test_replicated_samples_reach_white_and_are_within_one_of_the_product(kind, full):
    for bits in range(full - 7, full + 1):
        white = (1 << bits) - 1
        samples = np.arange(white + 1).astype(kind)
        product = samples.astype(float) * ((1 << full) - 1) / white
        assert np.abs(replicate(samples, bits) - product).max() < 1
    assert replicate(np.array([0b101], np.uint8), 3) == 0b10110110


@given(depth=st.integers(1, 16))
def test_bits_are_told_in_the_notice(depth):
    notices = Image(np.zeros((1, 1, 1), np.uint8 if depth <= 8 else np.uint16), bit_depth=depth).filled().notices
    assert all(f"{depth} bit" in notice for notice in notices)
