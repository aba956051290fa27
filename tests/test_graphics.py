"""codec/graphics.py: every pixel comes back, in few bytes where pixels repeat, and bad bytes are refused."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from codec import graphics
from codec.errors import CodecError, CorruptStream
from codec.graphics import TILE, looks_like_graphics, pack_graphics, unpack_graphics
from tests.pictures import picture

KINDS = ("constant", "gradient", "noise", "few colours", "many colours", "blocks", "white")


def drawing(kind: str, shape: tuple[int, int, int], dtype: type, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    height, width, channels = shape
    if kind == "gradient":
        i, j = np.mgrid[:height, :width]
        x = (i[..., None] * rng.integers(0, 9, channels) + j[..., None] * rng.integers(0, 9, channels)) % (top + 1)
    elif kind == "noise":
        x = rng.integers(0, top + 1, shape)
    elif kind in ("few colours", "many colours"):
        colours = rng.integers(0, top + 1, (5 if kind == "few colours" else 300, channels))
        x = colours[rng.integers(0, len(colours), (height, width))]
    elif kind == "blocks":
        x = np.resize(np.tile(rng.integers(0, top + 1, (7, 7, channels)), (10, 10, 1)), shape)
    else:
        x = np.broadcast_to(top if kind == "white" else rng.integers(0, top + 1, channels), shape)
    return x.astype(dtype)


def screenshot(height: int = 160, width: int = 260) -> np.ndarray:
    """A window: bars, borders, lines of "text" made of a few soft-edged glyphs."""
    rng = np.random.default_rng(5)
    x = np.full((height, width, 3), 250, np.uint8)
    x[:24], x[24:, :60] = (40, 60, 120), (225, 228, 235)
    x[24], x[:, 60] = 90, 90
    glyphs = np.repeat(rng.choice([0, 60, 140, 200, 250, 250, 250], (20, 9, 6, 1)), 3, axis=3)
    for top in range(34, height - 10, 14):
        for left in range(68, width - 8, 7):
            if rng.random() < 0.8:
                x[top : top + 9, left : left + 6] = glyphs[rng.integers(20)]
    return x


def check_comes_back(x: np.ndarray, bit_depth: int | None = None) -> bytes:
    data = pack_graphics(x, bit_depth)
    decoded = unpack_graphics(data, x.shape, x.dtype, bit_depth)
    assert decoded.dtype == x.dtype
    assert np.array_equal(decoded, x)
    assert len(data) <= x.nbytes + 1
    return data


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4)),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(0, 99),
)
def test_any_picture_comes_back(kind, shape, dtype, seed):
    check_comes_back(drawing(kind, shape, dtype, seed))


@pytest.mark.parametrize("kind", ["blocks", "few colours", "noise"])
def test_pictures_of_several_tiles_come_back(kind, monkeypatch):
    check_comes_back(drawing(kind, (2, TILE + 1, 1), np.uint8, 1))
    monkeypatch.setattr(graphics, "TILE", 16)
    for height, width in ((17, 3), (2, 33), (35, 34), (48, 16)):
        check_comes_back(drawing(kind, (height, width, 3), np.uint8, 1))


@pytest.mark.parametrize("bits", [1, 4, 10, 12])
def test_fewer_bits_than_the_type_has(bits):
    x = picture(30, 31).astype(np.uint16) * 257 >> 16 - bits
    assert len(check_comes_back(x, bits)) <= len(check_comes_back(x))
    with pytest.raises(ValueError, match="do not fit"):
        pack_graphics(x + (1 << bits), bits)


def test_a_photo_comes_back_too():
    check_comes_back(picture(48, 60))


def test_a_screenshot_is_smaller_than_its_png():
    x = screenshot()
    png = io.BytesIO()
    Image.fromarray(x).quantize(256).save(png, "PNG", optimize=True)
    assert np.array_equal(np.asarray(Image.open(png).convert("RGB")), x)
    assert len(check_comes_back(x)) <= 0.9 * len(png.getvalue())


def test_noise_is_foretold_by_means():
    x = np.clip(np.random.default_rng(1).normal(128, 3, (60, 60, 1)).round(), 0, 255).astype(np.uint8)
    data = check_comes_back(x)
    assert data[0] == 3
    assert len(data) < 0.6 * x.size


def test_what_repeats_costs_little():
    once, often = (len(pack_graphics(np.tile(drawing("noise", (16, 16, 3), np.uint8, 3), (n, n, 1)))) for n in (1, 8))
    assert often < 2 * once


def test_graphics_are_told_from_photos():
    assert looks_like_graphics(screenshot())
    assert looks_like_graphics(drawing("constant", (1, 9, 4), np.uint16, 0))
    assert not looks_like_graphics(picture(64, 64))
    assert not looks_like_graphics(drawing("noise", (64, 64, 1), np.uint8, 0))


@pytest.mark.parametrize("kind", ["few colours", "blocks", "gradient", "noise"])
def test_damaged_bytes_are_decoded_or_refused(kind):
    x = drawing(kind, (9, 14, 3), np.uint8, 2)
    data = pack_graphics(x)
    rng = np.random.default_rng(7)
    for _ in range(12):
        broken = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            broken[place] = rng.integers(256)
        with contextlib.suppress(CodecError):
            assert unpack_graphics(bytes(broken), x.shape, x.dtype).shape == x.shape
    for length in (1, 2, 3, len(data) // 2, len(data) - 1):
        with contextlib.suppress(CodecError):
            assert unpack_graphics(data[:length], x.shape, x.dtype).shape == x.shape


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 4), st.binary(max_size=40), st.sampled_from([(1, 1, 1), (3, 5, 4), (40, 7, 2)]))
def test_any_bytes_are_decoded_or_refused(kind, data, shape):
    with contextlib.suppress(CodecError):
        assert unpack_graphics(bytes([kind]) + data, shape, np.uint16, 9).max() < 1 << 9


def test_stored_samples_of_another_size_are_refused():
    for data in (b"", b"\x04", b"\x00" + bytes(14), b"\x00" + bytes(16)):
        with pytest.raises(CorruptStream):
            unpack_graphics(data, (3, 5, 1), np.uint8)
    with pytest.raises(CorruptStream, match="beyond 4 bits"):
        unpack_graphics(b"\x00" + bytes([16] * 15), (3, 5, 1), np.uint8, 4)


def test_other_arrays_are_none():
    for x in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 5), np.uint8), np.zeros((4, 4, 1), np.int16)):
        with pytest.raises(ValueError, match="graphics are"):
            pack_graphics(x)
