"""Samples as a picture file has them, where Pillow would convert them, and files of samples that Pillow cannot write.

    palette    indices and entries of PNG, GIF, BMP, TIFF
    shallow    1, 2, 4 bits of grey, not scaled to 8
    deep       9 .. 16 bits: grey, grey + alpha, RGB, RGBA of PNG; grey, RGB, RGBA of TIFF; grey, RGB of PNM

Pillow has no mode for 16 bits of colour: it keeps one byte of each sample, the one that it takes for the high byte. So
the file is read twice, the second time with the byte order reversed, which gives the low bytes.
"""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from codec.errors import UnsupportedInput
from codec.picture import Image, Samples
from codec.png import narrow, read_chunks

if TYPE_CHECKING:
    from PIL.Image import Exif
    from PIL.Image import Image as Loaded
    from PIL.ImageFile import ImageFile as Picture

__all__ = ["copy_samples", "pack_pnm", "pack_tiff", "read_samples", "sample_bits"]

STRIP = 256  # rows that are copied at a time, so that a large picture is not in memory three times
OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}  # of Pillow's raw modes
BITS_PER_SAMPLE, PHOTOMETRIC, PLANES, COLOR_MAP, EXTRA_SAMPLES, SAMPLE_FORMAT = 258, 262, 284, 320, 338, 339  # TIFF


def sample_bits(picture: Picture, data: bytes) -> int:
    """Bits of a sample in the file of an opened picture, not loaded yet; its mode does not tell.

    Raises
    ------
    UnsupportedInput
        The samples are float, signed, or of more than 16 bits.
    """
    bits, kind = 8, 1
    if picture.format == "PNG":
        bits = data[24]
    elif picture.format == "TIFF":
        bits, kind = max(_tag(picture, BITS_PER_SAMPLE, 1)), max(_tag(picture, SAMPLE_FORMAT, 1))
    elif picture.format == "PPM":
        bits, kind = _white(picture).bit_length(), 3 if picture.mode == "F" else 1
    elif picture.format == "JPEG2000" and (at := data.find(b"\xff\x4f\xff\x51")) >= 0:  # SOC, SIZ; Ssiz is at + 42
        bits = (data[at + 42] & 0x7F) + 1
    elif picture.format == "AVIF" and (at := data.find(b"av1C")) >= 0:
        bits = 10 if data[at + 6] & 0x40 else 8  # high_bitdepth: 10 or 12
    if bits > 16 or kind != 1 or picture.mode == "F":
        name = {2: "signed", 3: "float"}.get(kind, f"{bits}-bit")
        raise UnsupportedInput(f"{name} samples; convert to 8 bits first, or to 16 bits without a sign for --lossless")
    return 16 if picture.mode.startswith("I;16") and bits <= 8 else bits


def read_samples(picture: Picture, data: bytes, *, exact: bool) -> Image | None:
    """The samples of an opened picture, bare of metadata, or None if it is of a kind that has to be converted.

    Parameters
    ----------
    picture : as Pillow opened it, not loaded yet
    data : the file
    exact : keep palettes, and depths that PNM and sBIT tell; without it, palettes give None and the others 8 bits

    Raises
    ------
    UnsupportedInput
        More than 8 bits in a form that cannot be read without loss.
    """
    bits, mode, white = sample_bits(picture, data), picture.mode, _white(picture)
    if mode == "P":
        return _indexed(picture, data) if exact else None
    if picture.format == "PPM" and mode in ("L", "I", "RGB") and white != 255 and exact:
        return _pnm(picture, data, white)
    if bits > 8:
        samples, full = _deep(picture, data), bits
    elif mode in ("1", "L", "LA", "RGB", "RGBA"):
        picture.load()
        samples = copy_samples(picture)
        full = 1 if mode == "1" else bits if mode == "L" and picture.format in ("PNG", "TIFF") else 8
        if 1 < full < 8:
            samples //= 255 // ((1 << full) - 1)
    else:
        return None
    notices: list[str] = []
    extra = _tag(picture, EXTRA_SAMPLES, 2)
    if 0 in extra:
        notices.append("a channel that the file does not explain is left out")
    elif 1 in extra:
        notices.append("the colours are divided by the alpha that they were multiplied with")
    chunks = read_chunks(data) if picture.format == "PNG" else {}
    if "transparency" in picture.info and samples.shape[2] in (1, 3):
        # Pillow scales the key of 1 bit but not those of 2 and 4, so that of the file is taken
        stored = chunks.get(b"tRNS")
        key = np.frombuffer(stored, ">u2", samples.shape[2]) if stored else np.asarray(picture.info["transparency"])
        alpha = np.where((samples == key).all(axis=2), 0, (1 << full) - 1)
        samples = np.dstack((samples, alpha.astype(samples.dtype)))
        kind, target = ("grey", "LA") if samples.shape[2] == 2 else ("colour", "RGBA")
        notices.append(f"transparent {kind} converted to {target}")
    if exact and full in (8, 16):
        samples, full = narrow(samples, chunks.get(b"sBIT", b""))
    return replace(Image.of(samples), bit_depth=full, notices=tuple(notices))


def copy_samples(picture: Loaded, out: Samples | None = None) -> Samples:
    """The samples of a loaded picture, into `out` if it is given; uint8 or uint16, (H, W, bands)."""
    width, height = picture.size
    bands = len(picture.getbands())
    if out is None:
        out = np.empty((height, width, bands), np.uint16 if picture.mode.startswith("I;16") else np.uint8)
    for top in range(0, height, STRIP):
        bottom = min(top + STRIP, height)
        out[top:bottom] = np.asarray(picture.crop((0, top, width, bottom))).reshape(-1, width, bands)
    return out


def pack_pnm(image: Image) -> bytes:
    """The bytes of a binary PNM file: grey (P5) or RGB (P6), of any bit depth."""
    head = f"P{5 if image.channels == 1 else 6}\n{image.width} {image.height}\n{(1 << image.bit_depth) - 1}\n"
    return head.encode() + image.colour.astype(image.colour.dtype.newbyteorder(">")).tobytes()


def pack_tiff(image: Image, tags: Exif | None) -> bytes:
    """The bytes of a TIFF file of 16 bits, not compressed: grey, RGB or RGBA, with tags that describe it."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    samples = image.pixels
    height, width, bands = samples.shape
    directory = ImageFileDirectory_v2(prefix=b"II")
    for tag, value in () if tags is None else tags.items():
        directory[tag] = value
    directory[256], directory[257], directory[277] = width, height, bands
    directory[BITS_PER_SAMPLE], directory[259] = (16,) * bands, 1  # not compressed
    directory[PHOTOMETRIC], directory[PLANES] = 2 if image.channels == 3 else 1, 1  # black is zero, interleaved
    directory[273], directory[278], directory[279] = 0, height, samples.nbytes  # one strip, right after the tags
    if image.alpha is not None:
        directory[EXTRA_SAMPLES] = 2  # not multiplied in
    if image.icc is not None:
        directory[34675] = image.icc
    stream = io.BytesIO()
    directory.save(stream)
    return stream.getvalue() + samples.astype("<u2").tobytes()


def _indexed(picture: Picture, data: bytes) -> Image:
    """Indices and palette: the entries of the file, with alpha if any of them or a key of transparency tells."""
    notices = []
    if any(value & 0xFF not in (0, value >> 8) for value in _tag(picture, COLOR_MAP, 0)):
        notices.append("entries of the palette rounded down from 16 to 8 bits")
    depth = data[24] if picture.format == "PNG" else 8
    picture.load()
    plane = copy_samples(picture)
    columns = "RGBA" if picture.palette is not None and picture.palette.mode.endswith("A") else "RGB"
    palette = np.array(picture.getpalette(columns) or [], np.uint8).reshape(-1, len(columns))[: 1 << depth]
    key = picture.info.get("transparency")
    if key is not None:
        if isinstance(key, int):
            if key >= len(palette) and (plane == key).any():  # GIF allows a key beyond the colours
                palette = np.vstack((palette, np.zeros((key + 1 - len(palette), len(columns)), np.uint8)))
            key = b"\xff" * key + b"\0"
        alpha = np.frombuffer(key.ljust(len(palette), b"\xff"), np.uint8, len(palette))
        palette = np.column_stack((palette[:, :3], alpha))
    return Image(plane, palette=palette, bit_depth=depth, notices=tuple(notices))


def _pnm(picture: Picture, data: bytes, white: int) -> Image:
    """The samples of a PNM file as they stand, which Pillow scales to 8 or 16 bits."""
    decoder, _, offset, _ = picture.tile[0]
    shape = picture.height, picture.width, len(picture.getbands())
    count, bits = int(np.prod(shape)), white.bit_length()
    if decoder == "ppm_plain":
        words = re.sub(rb"#[^\r\n]*", b"", data[offset:]).split()
        samples = np.fromiter(map(int, words[:count]), np.uint16, count)
    else:
        samples = np.frombuffer(data, ">u2" if bits > 8 else np.uint8, count, offset)
    if int(samples.max()) > white:
        raise UnsupportedInput(f"the picture is damaged: a sample is {int(samples.max())}, the header allows {white}")
    here = (1 << bits) - 1
    notices = () if white == here else (f"white is {white} in the file and {here} in what is made of it",)
    colour = samples.astype(np.uint16 if bits > 8 else np.uint8).reshape(shape)
    return Image(colour, notices=notices, bit_depth=bits)


def _deep(picture: Picture, data: bytes) -> Samples:
    """Samples of more than 8 bits, (H, W, 1 .. 4)."""
    from PIL import Image as pillow

    width, height = picture.size
    if picture.format not in ("PNG", "TIFF"):
        raise UnsupportedInput(f"more than 8 bits in {picture.format}; convert to a PNG or TIFF file of 16 bits first")
    if picture.mode.startswith("I;16"):
        if picture.format == "TIFF" and _tag(picture, PHOTOMETRIC, 0)[0] == 0:
            raise UnsupportedInput("16 bits with white as zero; convert to black as zero first")
        picture.load()
        return copy_samples(picture)
    if picture.format == "PNG" and data[25] == 4:  # grey + alpha: four bytes, which can be taken as RGBA of 8 bits
        _read_as(picture, "RGBA")
        picture.load()
        return copy_samples(picture).view(">u2").astype(np.uint16)
    args = picture.tile[0].args
    raw = str(args[0] if isinstance(args, tuple) else args)
    form, _, order = raw.partition(";16")
    if form not in ("RGB", "RGBA", "RGBX") or order not in OTHER_ORDER or _tag(picture, PLANES, 1)[0] != 1:
        raise UnsupportedInput("16 bits of a rare kind (CMYK, planes apart, alpha multiplied in); convert to RGB first")
    out = np.empty((height, width, len(picture.getbands())), "<u2")
    low, high = (out.view(np.uint8)[..., byte::2] for byte in (0, 1))
    picture.load()
    copy_samples(picture, high)
    with pillow.open(io.BytesIO(data), formats=(picture.format,)) as twin:
        _read_as(twin, f"{form};16{OTHER_ORDER[order]}")
        twin.load()
        copy_samples(twin, low)
    return out.astype(np.uint16, copy=False)


def _read_as(picture: Picture, raw: str) -> None:
    """Change the raw mode that loading will use."""
    picture.tile = [
        tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw) for tile in picture.tile
    ]


def _white(picture: Picture) -> int:
    """The largest sample that the header of a PNM file allows; 255 for other formats."""
    args = picture.tile[0].args if picture.format == "PPM" and picture.tile else ()
    if isinstance(args, tuple) and len(args) == 2:
        return int(args[1])
    return 65535 if picture.format == "PPM" and picture.mode == "I" else 255


def _tag(picture: Picture, tag: int, default: int) -> tuple[int, ...]:
    """Numbers of a tag of TIFF; `default` if it is not there, or the file is of another format."""
    value = picture.tag_v2.get(tag, default) if hasattr(picture, "tag_v2") else default
    return tuple(map(int, value if isinstance(value, tuple) else (value,)))
