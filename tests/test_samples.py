from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from codec.errors import UnsupportedInput
from codec.picture import Image, replicate
from codec.pixels import read_image
from codec.samples import pack_pnm, pack_tiff
from tests.pictures import png, saved, tiff

RNG = np.random.default_rng(4)
DEEP = {bands: RNG.integers(0, 65536, (11, 7, bands), np.uint16) for bands in (1, 2, 3, 4)}
COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}


def exact(data: bytes) -> Image:
    return read_image(data, exact=True)


@pytest.mark.parametrize("bands", DEEP)
@pytest.mark.parametrize("interlaced", [False, True])
def test_sixteen_bits_of_png_are_kept(bands, interlaced):
    image = exact(png(DEEP[bands], 16, COLOUR_TYPE[bands], interlaced=interlaced))
    assert np.array_equal(image.pixels, DEEP[bands])
    assert (image.bit_depth, image.source, image.notices) == (16, "PNG", ())


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflated", [False, True])
def test_sixteen_bits_of_tiff_are_kept(bands, order, deflated):
    image = exact(tiff(DEEP[bands], order, deflated=deflated))
    assert np.array_equal(image.pixels, DEEP[bands])
    assert (image.bit_depth, image.source, image.notices) == (16, "TIFF", ())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff_is_turned_as_one_of_eight_bits(order, orientation):
    deep = exact(tiff(DEEP[3], order, t274=orientation))
    flat = exact(tiff((DEEP[3] >> 8).astype(np.uint8), order, t274=orientation))
    assert np.array_equal(deep.colour >> 8, flat.colour)


@pytest.mark.parametrize("white", [1, 5, 15, 100, 127, 255, 256, 1000, 1023, 4095, 65534, 65535])
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("plain", [False, True])
def test_samples_of_pnm_are_kept_as_they_stand(white, bands, plain):
    x = RNG.integers(0, white + 1, (5, 6, bands)).astype(np.uint8 if white < 256 else np.uint16)
    magic = {(1, True): 2, (3, True): 3, (1, False): 5, (3, False): 6}[bands, plain]
    body = (
        " # a remark\n".join(map(str, x.ravel())).encode() if plain else x.astype(x.dtype.newbyteorder(">")).tobytes()
    )
    image = exact(f"P{magic} # remark\n6 5\n{white}\n".encode() + body)
    assert np.array_equal(image.colour, x)
    assert image.bit_depth == white.bit_length()
    assert bool(image.notices) == (white + 1 != 1 << image.bit_depth)


def test_twelve_bits_of_tiff_are_kept():
    x = RNG.integers(0, 4096, (4, 6, 1), np.uint16)
    bits = np.unpackbits(x.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, 4:]
    data = bytearray(tiff(np.packbits(bits).reshape(4, 9, 1), t256=6))
    at = data.index(b"\x02\x01\x03\x00")  # the tag of the bits
    data[at + 8] = 12
    image = exact(bytes(data))
    assert np.array_equal(image.colour, x)
    assert image.bit_depth == 12


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("interlaced", [False, True])
def test_few_bits_of_grey_are_kept_or_converted(depth, interlaced):
    x = RNG.integers(0, 1 << depth, (11, 7, 1), np.uint8)
    data = png(x, depth, 0, interlaced=interlaced)
    image = exact(data)
    assert np.array_equal(image.colour, x)
    assert (image.bit_depth, image.notices) == (depth, ())
    eight = read_image(data)
    assert np.array_equal(eight.colour, x * (255 // ((1 << depth) - 1)))
    assert (eight.bit_depth, len(eight.notices)) == (8, 1)


@pytest.mark.parametrize("form", ["BMP", "TIFF", "PPM", "PNG"])
def test_one_bit_is_kept_in_other_formats(form):
    x = RNG.integers(0, 2, (11, 7), np.uint8)
    image = exact(saved(PIL.Image.fromarray(x.astype(bool)), form))
    assert np.array_equal(image.colour[..., 0], x)
    assert image.bit_depth == 1


@pytest.mark.parametrize(("bands", "depth"), [(1, 1), (1, 2), (1, 4), (1, 8), (1, 16), (3, 8), (3, 16)])
def test_a_transparent_colour_becomes_alpha_at_any_depth(bands, depth):
    x = RNG.integers(0, 2, (11, 7, bands)) * ((1 << depth) - 1)
    x = x.astype(np.uint16 if depth > 8 else np.uint8)
    data = png(x, depth, COLOUR_TYPE[bands], tRNS=x[2, 3].astype(">u2").tobytes())
    image = exact(data)
    assert np.array_equal(image.colour, x)
    assert np.array_equal(image.alpha, np.where((x == x[2, 3]).all(axis=2), 0, (1 << depth) - 1))
    assert image.bit_depth == depth
    assert "transparent" in image.notices[0]
    if depth <= 8:
        assert np.array_equal(read_image(data).alpha > 0, image.alpha > 0)


@pytest.mark.parametrize(("depth", "count"), [(1, 2), (2, 3), (4, 16), (8, 5), (8, 256)])
@pytest.mark.parametrize("alphas", [None, b"\0", b"\x07\xff\x00", b"\xff\xff"])
def test_palettes_of_png_are_kept(depth, count, alphas):
    x = RNG.integers(0, count, (11, 7, 1), np.uint8)
    entries = RNG.integers(0, 256, (count, 3), np.uint8)
    chunks = {"PLTE": entries.tobytes()} | ({} if alphas is None else {"tRNS": alphas[:count]})
    data = png(x, depth, 3, **chunks)
    image = exact(data)
    assert np.array_equal(image.colour, x)
    assert np.array_equal(image.palette[:, :3], entries)
    assert image.bit_depth == depth
    if alphas is not None:
        assert bytes(image.palette[:, 3]) == alphas[:count].ljust(count, b"\xff")
    assert np.array_equal(image.expanded().pixels, read_image(data).pixels)
    assert image.expanded().notices == read_image(data).notices


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF"])
def test_palettes_of_other_formats_are_kept(form):
    picture = PIL.Image.fromarray(np.arange(60, dtype=np.uint8).reshape(6, 10) % 12)
    picture.putpalette(RNG.integers(0, 256, 36, np.uint8).tobytes())
    image = exact(saved(picture, form))
    assert np.array_equal(image.colour[..., 0], np.asarray(picture))
    assert image.palette[:12].ravel().tolist() == picture.getpalette()
    assert (image.bit_depth, image.notices) == (8, ())


def test_the_transparent_colour_of_a_gif_is_an_entry():
    picture = PIL.Image.fromarray(np.arange(60, dtype=np.uint8).reshape(6, 10) % 4)
    picture.putpalette(bytes(range(40, 52)))
    image = exact(saved(picture, "GIF", transparency=2))
    assert image.palette[:, 3].tolist() == [255, 255, 0, 255]


@pytest.mark.parametrize(("index", "alphas"), [(1, [255, 255]), (3, [255, 255, 255, 0])])
def test_a_transparent_colour_beyond_those_of_a_gif_gets_an_entry_if_used(index, alphas):
    head = b"GIF89a" + bytes([1, 0, 1, 0, 0x80, 0, 0]) + bytes(range(40, 46))
    control = b"\x21\xf9\4" + bytes([1, 0, 0, 3, 0])  # 3 is transparent
    codes = 4 | index << 3 | 5 << 6  # clear, index, end, of 3 bits each
    frame = b"\x2c" + bytes([0, 0, 0, 0, 1, 0, 1, 0, 0]) + bytes([2, 2]) + codes.to_bytes(2, "little") + b"\0\x3b"
    image = exact(head + control + frame)
    assert image.colour.tolist() == [[[index]]]
    assert image.palette[:, 3].tolist() == alphas


def test_an_index_beyond_the_palette_is_refused_and_no_palette_too():
    x = np.array([[[3]]], np.uint8)
    with pytest.raises(UnsupportedInput, match="palette of 3 colours"):
        exact(png(x, 8, 3, PLTE=bytes(9)))
    with pytest.raises(UnsupportedInput, match="palette of 0 colours"):
        exact(png(x, 8, 3))


def test_entries_of_sixteen_bits_are_rounded_with_a_notice():
    picture = PIL.Image.fromarray(np.zeros((2, 2), np.uint8))
    picture.putpalette(b"\x77" * 3)
    data = saved(picture, "TIFF")
    assert exact(data).notices == ()
    image = exact(data.replace(b"\0\x77", b"\1\x77", 1))
    assert image.palette[0].tolist() == [0x77] * 3
    assert "rounded" in image.notices[0]


@pytest.mark.parametrize("depth", [9, 10, 12, 15])
@pytest.mark.parametrize("bands", DEEP)
def test_scaled_samples_are_narrowed_where_the_file_says_so(depth, bands):
    x = RNG.integers(0, 1 << depth, (11, 7, bands), np.uint16)
    data = png(replicate(x, depth), 16, COLOUR_TYPE[bands], sBIT=bytes([depth] * bands))
    image = exact(data)
    assert np.array_equal(image.pixels, x)
    assert image.bit_depth == depth
    told = exact(png(DEEP[bands], 16, COLOUR_TYPE[bands], sBIT=bytes([depth] * bands)))
    assert np.array_equal(told.pixels, DEEP[bands])  # says so, but is not
    assert told.bit_depth == 16


def test_without_exact_reading_scaled_samples_stay_as_they_are():
    x = replicate(RNG.integers(0, 32, (11, 7, 3), np.uint8), 5)
    data = png(x, 8, 2, sBIT=b"\5\5\5")
    assert np.array_equal(read_image(data).colour, x)
    assert read_image(data).notices == ()
    assert np.array_equal(exact(data).colour, x >> 3)


REFUSED = {
    "signed": tiff(DEEP[1], t339=2),
    "signed 8 bits": tiff((DEEP[1] >> 8).astype(np.uint8), t339=2),
    "float": saved(PIL.Image.new("F", (4, 3)), "TIFF"),
    "32 bits": saved(PIL.Image.new("I", (4, 3)), "TIFF"),
    "float pnm": b"Pf 2 2 1.0\n" + bytes(16),
    "white is zero": tiff(DEEP[1], t262=0),
    "planes apart": tiff(DEEP[3], t284=2),
    "planes apart, deflated": tiff(DEEP[3], t284=2, deflated=True),
    "premultiplied": tiff(DEEP[4], t338=1),
    "cmyk": tiff(DEEP[4], t262=5, t338=0),
    "grey + alpha": tiff(DEEP[2]),
    "jpeg 2000": saved(PIL.Image.new("I;16", (4, 3)), "JPEG2000"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_exactly_is_refused_with_a_remedy(name):
    with pytest.raises(UnsupportedInput, match="convert"):
        exact(REFUSED[name])


def test_sixteen_bits_that_pillow_hides_are_refused():
    imagecodecs = pytest.importorskip("imagecodecs")
    deep = np.ascontiguousarray(DEEP[3] >> 6)
    for data in (imagecodecs.jpeg2k_encode(deep, bitspersample=10), imagecodecs.avif_encode(deep, bitspersample=10)):
        with pytest.raises(UnsupportedInput, match="convert to a PNG"):
            exact(data)


@pytest.mark.parametrize(("tag", "word"), [(0, "left out"), (1, "divided")])
def test_rare_fourth_channels_of_tiff_are_told(tag, word):
    eight = (DEEP[4] >> 8).astype(np.uint8)
    assert word in exact(tiff(eight, t338=tag)).notices[0]
    assert exact(tiff(eight)).notices == ()


def test_a_fourth_channel_without_a_meaning_is_left_out_of_sixteen_bits():
    image = exact(tiff(DEEP[4], t338=0))
    assert np.array_equal(image.pixels, DEEP[4][..., :3])
    assert "left out" in image.notices[0]


@pytest.mark.parametrize("body", [b"1 2 x 4", b"1 2 3", b"1 -2 3 4", b"1 2 3 9", b"1 2 3 99999999999999999999"])
def test_damaged_plain_pnm_is_refused(body):
    with pytest.raises(UnsupportedInput, match="damaged"):
        exact(b"P2 2 2 8\n" + body)


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_another_reader_takes_our_tiff(bands):
    tags = PIL.Image.Exif()
    tags[271] = "maker"
    data = pack_tiff(Image.of(DEEP[bands]), tags)
    picture = PIL.Image.open(io.BytesIO(data))
    assert picture.tag_v2[271] == "maker"
    high = DEEP[bands] if bands == 1 else DEEP[bands] >> 8
    assert np.array_equal(np.asarray(picture).reshape(high.shape), high)


@pytest.mark.parametrize("depth", range(1, 17))
@pytest.mark.parametrize("channels", [1, 3])
def test_pnm_gives_any_depth_back(depth, channels):
    x = RNG.integers(0, 1 << depth, (4, 5, channels)).astype(np.uint8 if depth <= 8 else np.uint16)
    image = exact(pack_pnm(Image(x, bit_depth=depth)))
    assert np.array_equal(image.colour, x)
    assert (image.bit_depth, image.notices) == (depth, ())
