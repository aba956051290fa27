from __future__ import annotations

import contextlib
import io

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import EncodeError, LimitExceeded, UnsupportedInput
from codec.limits import Limits
from codec.pixels import FORMATS, Image, format_of, read_image, write_image
from tests.checks import check_same_picture
from tests.pictures import images, png, saved, tiff

RNG = np.random.default_rng(1)
COLOUR = RNG.integers(0, 256, (9, 13, 3), np.uint8)
GREY = COLOUR[..., :1]
ALPHA = RNG.integers(0, 256, (9, 13), np.uint8)
ICC = b"not a real profile, carried all the same"
LOSSLESS = [extension for extension, (name, _) in FORMATS.items() if name != "JPEG"]


def exif(orientation: int) -> bytes:
    tags = PIL.Image.Exif()
    tags[274], tags[271] = orientation, "maker"
    tags.get_ifd(34665)[36867] = "2026:01:02 03:04:05"
    return tags.tobytes().removeprefix(b"Exif\x00\x00")


EXIF = exif(orientation=6)  # to be turned by a quarter


def picture(mode: str) -> PIL.Image.Image:
    base = PIL.Image.fromarray(COLOUR)
    if mode in ("LA", "RGBA"):
        base = base.convert(mode[:-1])
        base.putalpha(PIL.Image.fromarray(ALPHA))
    return base.convert(mode)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_eight_bit_pictures_are_kept_exactly(mode, form):
    image = read_image(saved(picture(mode), form))
    assert np.array_equal(image.pixels.squeeze(), np.asarray(picture(mode)))
    assert image.notices == ()
    assert image.channels == (1 if mode[0] == "L" else 3)


def test_a_fully_opaque_alpha_is_kept():
    image = read_image(saved(PIL.Image.fromarray(COLOUR).convert("RGBA"), "PNG"))
    assert (image.alpha == 255).all()


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF", "JPEG2000", "BMP", "PPM", "QOI"])
def test_the_other_formats_are_read_as_pillow_reads_them(form):
    data = saved(picture("RGB"), form)
    assert np.array_equal(read_image(data).colour, np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize(
    ("mode", "form", "channels", "word"),
    [("P", "PNG", 3, "palette"), ("1", "PNG", 1, "1 bit"), ("CMYK", "JPEG", 3, "CMYK"), ("YCbCr", "TIFF", 3, "YCbCr")],
)
def test_other_modes_are_converted_with_a_notice(mode, form, channels, word):
    data = saved(picture(mode), form)
    image = read_image(data)
    expected = PIL.Image.open(io.BytesIO(data)).convert("L" if channels == 1 else "RGB")
    assert np.array_equal(image.colour.squeeze(), np.asarray(expected))
    assert any(word in notice for notice in image.notices)


def test_a_transparent_palette_becomes_alpha():
    data = saved(picture("P"), "PNG", transparency=picture("P").getpixel((0, 0)))
    image = read_image(data)
    assert np.array_equal(image.pixels, np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGBA")))
    assert image.alpha[0, 0] == 0
    assert "palette converted to RGBA" in image.notices


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_transparent_colour_becomes_alpha(mode):
    image = read_image(saved(picture(mode), "PNG", transparency=picture(mode).getpixel((3, 2))))
    assert image.alpha[2, 3] == 0
    assert image.channels == len(mode)
    assert "transparent" in image.notices[0]


def test_cmyk_is_converted_by_its_profile_which_does_not_fit_any_more():
    image = read_image(saved(picture("CMYK"), "TIFF", icc_profile=ICC))
    assert image.icc is None
    assert image.channels == 3


DEEP = {
    "png grey": png(np.zeros((3, 4, 1), np.uint16), 16, 0),
    "png grey alpha": png(np.zeros((3, 4, 2), np.uint16), 16, 4),
    "png rgb": png(np.zeros((3, 4, 3), np.uint16), 16, 2),
    "png rgba": png(np.zeros((3, 4, 4), np.uint16), 16, 6),
    "ppm rgb": b"P6 2 2 65535\n" + bytes(24),
    "pgm": b"P5 2 2 65535\n" + bytes(8),
    "ppm 10 bits": b"P6 2 2 1023\n" + bytes(24),
    "pfm": b"Pf 2 2 1.0\n" + bytes(16),
    "tiff 16": saved(PIL.Image.new("I;16", (4, 3)), "TIFF"),
    "tiff 32": saved(PIL.Image.new("I", (4, 3)), "TIFF"),
    "tiff float": saved(PIL.Image.new("F", (4, 3)), "TIFF"),
    "jpeg 2000": saved(PIL.Image.new("I;16", (4, 3)), "JPEG2000"),
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_eight_bits_are_refused_with_a_remedy(name):
    with pytest.raises(UnsupportedInput, match="convert to 8 bits first"):
        read_image(DEEP[name])


def test_sixteen_bits_of_colour_are_noticed_where_pillow_hides_them():
    imagecodecs = pytest.importorskip("imagecodecs")
    deep = np.ascontiguousarray(COLOUR.astype(np.uint16) * 4)
    ten = {"bitspersample": 10}
    for data in (imagecodecs.jpeg2k_encode(deep, **ten), imagecodecs.avif_encode(deep, **ten)):
        with pytest.raises(UnsupportedInput, match="convert to 8 bits first"):
            read_image(data)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_several_frames_are_refused_with_a_remedy(form):
    frames = [PIL.Image.fromarray(COLOUR), PIL.Image.fromarray(255 - COLOUR)]
    with pytest.raises(UnsupportedInput, match="extract one"):
        read_image(saved(frames[0], form, save_all=True, append_images=frames[1:]))


def test_of_several_jpegs_in_one_file_the_first_is_taken():
    frames = [PIL.Image.fromarray(COLOUR), PIL.Image.fromarray(255 - COLOUR)]
    image = read_image(saved(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert (image.height, image.width) == COLOUR.shape[:2]
    assert "first" in image.notices[0]


@pytest.mark.parametrize(("extension", "alpha"), [(".png", ALPHA), (".webp", ALPHA), (".png", None), (".jpg", None)])
def test_metadata_survive_and_orientation_is_not_applied(tmp_path, extension, alpha):
    path = tmp_path / f"picture{extension}"
    write_image(Image(COLOUR, alpha, ICC, EXIF), path)
    image = read_image(path)
    assert (image.icc, image.exif) == (ICC, EXIF)
    assert image.colour.shape == COLOUR.shape


def test_metadata_survive_in_tiff_where_pillow_applies_the_orientation(tmp_path):
    write_image(Image(COLOUR, ALPHA, ICC, EXIF), tmp_path / "a.tif")
    image = read_image(tmp_path / "a.tif")
    tags = PIL.Image.Exif()
    tags.load(image.exif)
    assert image.icc == ICC
    assert (tags.get(274, 1), tags[271], tags.get_ifd(34665)[36867]) == (1, "maker", "2026:01:02 03:04:05")
    assert np.array_equal(image.colour, np.rot90(COLOUR, -1))


def test_damaged_exif_is_left_out_with_a_notice():
    image = read_image(saved(picture("RGB"), "PNG", exif=b"damaged"))
    assert image.exif is None
    assert image.notices == ("EXIF is damaged and left out",)


@pytest.mark.parametrize("colour", [COLOUR, COLOUR.astype(np.uint16)])
def test_damaged_exif_does_not_keep_a_tiff_from_being_written(tmp_path, colour):
    notices = write_image(Image(colour, exif=b"II*\0damaged"), tmp_path / "a.tif")
    assert notices == ("EXIF is damaged and left out",)
    assert np.array_equal(read_image(tmp_path / "a.tif", exact=True).colour, colour)


def test_metadata_over_the_limit_are_left_out_with_a_notice():
    image = read_image(saved(picture("RGB"), "PNG", icc_profile=bytes(1000)), Limits(max_metadata_bytes=999))
    assert image.icc is None
    assert "left out" in image.notices[0]


@pytest.mark.parametrize("extension", LOSSLESS)
@pytest.mark.parametrize("colour", [COLOUR, GREY, COLOUR[:1, :1], GREY[:, ::2]])
def test_lossless_formats_give_the_pixels_back(tmp_path, extension, colour):
    write_image(Image(colour), tmp_path / f"picture{extension}")
    back = read_image(tmp_path / f"picture{extension}").colour
    assert np.array_equal(np.broadcast_to(colour, back.shape), back)  # WebP has no grey


@pytest.mark.parametrize("extension", [".png", ".webp", ".tiff"])
def test_colours_under_a_transparent_alpha_are_kept(tmp_path, extension):
    write_image(Image(COLOUR, ALPHA * 0), tmp_path / f"picture{extension}")
    back = read_image(tmp_path / f"picture{extension}")
    assert np.array_equal(back.colour, COLOUR)
    assert not back.alpha.any()


@pytest.mark.parametrize("extension", [".jpg", ".bmp", ".ppm"])
def test_alpha_is_not_dropped_in_silence(tmp_path, extension):
    with pytest.raises(EncodeError, match="no alpha"):
        write_image(Image(COLOUR, ALPHA), tmp_path / f"picture{extension}")
    assert not list(tmp_path.iterdir())


@given(image=images())
def test_a_png_file_gives_any_picture_back(image, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.png"
    assert write_image(image, path, force=True) == ()
    back = read_image(path, exact=True)
    check_same_picture(back, image)
    assert (back.notices, back.source) == ((), "PNG")


@given(image=images(metadata=False), extension=st.sampled_from(LOSSLESS))
def test_the_other_formats_give_the_same_picture_or_refuse(image, extension, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / f"any{extension}"
    path.unlink(missing_ok=True)
    full, form = image if extension == ".png" else image.expanded().filled(), FORMATS[extension][0]
    deep_refused = form in ("WEBP", "BMP") or (form == "TIFF" and full.alpha is not None and full.channels == 1)
    if (full.alpha is not None and form in ("BMP", "PPM")) or (full.bit_depth > 8 and deep_refused):
        with pytest.raises(EncodeError, match="; write PNG"):
            write_image(image, path)
        assert not path.exists()
        return
    notices = write_image(image, path)
    back = read_image(path, exact=True)
    back = back if extension == ".png" else back.filled()
    assert np.array_equal(back.colour, np.broadcast_to(full.colour, back.colour.shape))  # WebP has no grey
    assert (back.alpha is None) == (full.alpha is None)
    assert full.alpha is None or np.array_equal(back.alpha, full.alpha)
    if form in ("TIFF", "BMP", "WEBP"):
        assert any("converted" in notice for notice in notices) == (full is not image)


def test_a_picture_is_read_exactly_only_if_it_is_asked_for():
    indices = np.zeros((2, 2, 1), np.uint8)
    data = png(indices, 8, 3, PLTE=b"abc")
    assert read_image(data, exact=True).palette.tolist() == [[97, 98, 99]]
    assert read_image(data).palette is None
    assert read_image(data).colour.tolist() == [[[97, 98, 99]] * 2] * 2
    with pytest.raises(UnsupportedInput, match="--lossless"):
        read_image(DEEP["png rgb"])
    assert read_image(DEEP["png rgb"], exact=True).bit_depth == 16


@pytest.mark.parametrize(
    ("form", "source"), [("JPEG", "JPEG"), ("MPO", "MPO"), ("PNG", "PNG"), ("WEBP", "WEBP"), ("PPM", "PPM")]
)
def test_the_format_that_a_picture_came_from_is_told(form, source):
    several = {"save_all": True, "append_images": [picture("RGB")]} if form == "MPO" else {}
    assert read_image(saved(picture("RGB"), form, **several)).source == source
    assert Image(COLOUR).source == ""


@pytest.mark.parametrize("extension", [".jpg", ".webp", ".bmp"])
def test_sixteen_bits_are_not_dropped_in_silence(tmp_path, extension):
    with pytest.raises(EncodeError, match="write PNG or TIFF"):
        write_image(Image(COLOUR.astype(np.uint16)), tmp_path / f"picture{extension}")
    assert not list(tmp_path.iterdir())


def test_metadata_survive_in_a_tiff_of_sixteen_bits(tmp_path):
    assert write_image(Image(COLOUR.astype(np.uint16), None, ICC, EXIF), tmp_path / "a.tif") == ()
    image = read_image(tmp_path / "a.tif", exact=True)
    tags = PIL.Image.Exif()
    tags.load(image.exif)
    assert image.icc == ICC
    assert (tags[271], tags.get_ifd(34665)[36867]) == ("maker", "2026:01:02 03:04:05")
    assert np.array_equal(image.colour, np.rot90(COLOUR, -1))


def test_what_a_format_loses_is_told(tmp_path):
    assert "lossy" in write_image(Image(COLOUR), tmp_path / "a.jpg")[0]
    assert "left out" in write_image(Image(COLOUR, icc=ICC), tmp_path / "a.bmp")[0]
    assert write_image(Image(COLOUR, icc=ICC), tmp_path / "a.png") == ()


def test_a_picture_that_does_not_fit_the_format_is_an_encode_error(tmp_path):
    with pytest.raises(EncodeError, match="WEBP"):
        write_image(Image(np.zeros((1, 20_000, 3), np.uint8)), tmp_path / "a.webp")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["picture", "picture.xyz", "picture.egm", ".png"])
def test_unknown_extensions_are_refused(name):
    with pytest.raises(EncodeError, match="known are"):
        format_of(name)
    assert format_of("-") == ".png"
    assert format_of("A.JPEG") == ".jpeg"


def test_rows_beyond_a_strip_are_read():
    tall = RNG.integers(0, 256, (600, 3, 3), np.uint8)
    assert np.array_equal(read_image(saved(PIL.Image.fromarray(tall), "PNG")).colour, tall)


@pytest.mark.parametrize("data", [b"", b"text", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x00" * 100, b"<svg/>", b"\xceEGM\x01"])
def test_what_is_no_picture_is_unsupported(data):
    with pytest.raises(UnsupportedInput, match="first"):
        read_image(data)


FILES = [saved(picture("RGB"), form, exif=EXIF) for form in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF")]
FILES += [saved(picture("RGB"), form) for form in ("GIF", "BMP", "PPM", "JPEG2000")]
FILES += [DEEP[name] for name in DEEP]
FILES += [saved(picture("P"), form) for form in ("PNG", "GIF", "TIFF", "BMP")]
FILES += [saved(picture("1"), form) for form in ("PNG", "TIFF", "PPM", "BMP")]
FILES += [tiff(COLOUR.astype(np.uint16), ">", deflated=True), b"P3 2 1 9\n1 2 3 4 5 6", b"P5 2 2 99\n" + bytes(4)]


@given(data=st.sampled_from(FILES), cut=st.integers(0, 10**4), noise=st.binary(), exact=st.booleans())
def test_damage_to_a_picture_gives_a_picture_or_unsupported(data, cut, noise, exact):
    cut %= len(data)
    for damaged in (data[:cut], data[:cut] + noise + data[cut + len(noise) :]):
        with contextlib.suppress(UnsupportedInput, LimitExceeded):
            image = read_image(damaged, exact=exact)
            assert exact or (image.pixels.dtype == np.uint8 and image.palette is None)


def test_limits_come_before_decoding_and_pillow_keeps_its_own():
    data = saved(PIL.Image.new("L", (100, 100)), "PNG")
    before = PIL.Image.MAX_IMAGE_PIXELS
    for most in (99, 5_000, 9_999):
        with pytest.raises(LimitExceeded, match="max_pixels"):
            read_image(data, Limits(max_pixels=most))
    with pytest.raises(LimitExceeded, match="max_side"):
        read_image(data, Limits(max_side=99))
    assert read_image(data, Limits(max_pixels=10_000)).width == 100
    assert before == PIL.Image.MAX_IMAGE_PIXELS


def test_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.png")
