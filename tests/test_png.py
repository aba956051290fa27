from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
from hypothesis import given

from codec.picture import Image, replicate
from codec.png import narrow, pack_png, read_chunks
from tests.pictures import images

RNG = np.random.default_rng(3)


def opened(image: Image) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(pack_png(image)))


@given(image=images())
def test_pillow_reads_what_is_written_as_far_as_it_can(image):
    picture = opened(image)
    assert picture.size == (image.width, image.height)
    if image.palette is not None:
        assert np.array_equal(np.asarray(picture), image.colour[..., 0])
    rgba = np.asarray(picture.convert("RGBA"))
    full = image.expanded().filled()
    if full.bit_depth == 8 or full.channels == 3:  # Pillow clips 16 bits of grey
        assert np.array_equal(rgba[..., : full.channels], full.colour >> full.bit_depth - 8)
        assert np.all(rgba[..., 3] == (255 if full.alpha is None else full.alpha >> full.bit_depth - 8))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_another_decoder_reads_sixteen_bits(channels):
    imagecodecs = pytest.importorskip("imagecodecs")
    x = (RNG.normal(30_000, 900, (70, 50, channels)).cumsum(1) % 65536).astype(np.uint16)
    assert np.array_equal(imagecodecs.png_decode(pack_png(Image.of(x))).reshape(x.shape), x)


def test_smooth_pictures_gain_from_the_filters():
    i, j = np.mgrid[:300, :200]
    smooth = (np.sin(i / 30) * np.cos(j / 20) * 30_000 + 32_000).astype(np.uint16)
    data = pack_png(Image.of(smooth))
    stored = io.BytesIO()
    PIL.Image.fromarray(smooth).save(stored, "PNG", compress_level=3)
    assert len(data) < 1.1 * len(stored.getvalue()) < smooth.nbytes


def test_rows_beyond_a_strip_continue(monkeypatch):
    deep = RNG.integers(0, 65536, (50, 7, 3)).astype(np.uint16)
    flat = Image(RNG.integers(0, 4, (50, 7, 1), np.uint8), bit_depth=2)
    whole = pack_png(Image(deep)), pack_png(flat)
    monkeypatch.setattr("codec.png.STRIP", 5 * 21)
    assert (pack_png(Image(deep)), pack_png(flat)) == whole


def test_chunks_before_the_samples_are_found_and_damage_is_no_matter():
    image = Image(np.zeros((4, 4, 3), np.uint16), icc=b"profile", exif=b"II*\0", bit_depth=12)
    data = pack_png(image)
    assert list(read_chunks(data)) == [b"IHDR", b"sBIT", b"iCCP", b"eXIf"]
    assert read_chunks(data)[b"sBIT"] == bytes([12, 12, 12])
    for cut in range(len(data)):
        assert read_chunks(data[:cut]).keys() <= read_chunks(data).keys()


def test_narrowing_undoes_replication_and_nothing_else():
    x = RNG.integers(0, 1 << 12, (5, 5, 3)).astype(np.uint16)
    samples, bits = narrow(replicate(x, 12), bytes([12, 12, 12]))
    assert np.array_equal(samples, x)
    assert bits == 12
    shifted = replicate(x, 12) & 0xFFF0 | (x == 77)
    for other, significant in ((shifted, b"\x0c"), (x, b"\x08"), (x, b""), (x, b"\x10"), (x, b"\x0c\x0c\x0b")):
        samples, bits = narrow(other, significant)
        assert samples is other
        assert bits == 16
