"""Pixels <-> picture files, by Pillow.

What a picture file holds is kept, converted with a notice, or refused with a remedy:

    kept        8 bits: grey, grey + alpha, RGB, RGBA; ICC profile; EXIF (orientation included, which is not applied)
    converted   palette, CMYK, YCbCr, a transparent colour, 1 bit
    left out    XMP, with a notice; comments, resolution outside EXIF
    refused     more than 8 bits a sample, float, animations, several pages, and whatever Pillow cannot decode
"""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codec.container import MAGIC
from codec.errors import CodecError, EncodeError, LimitExceeded, UnsupportedInput
from codec.files import read_bytes, write_bytes
from codec.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Exif
    from PIL.Image import Image as Picture

__all__ = ["FORMATS", "Image", "format_of", "read_image", "write_image"]

# Extension -> Pillow's name and options. PNG level 3: half the time of level 6 for 2 % more bytes.
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {"compress_level": 3}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"lossless": True, "exact": True}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
    ".bmp": ("BMP", {}),
    ".ppm": ("PPM", {}),
    ".pgm": ("PPM", {}),
    ".pnm": ("PPM", {}),
}
METADATA = {"PNG", "JPEG", "WEBP", "TIFF"}  # formats that hold ICC and EXIF
OPAQUE = {"JPEG", "BMP", "PPM"}  # formats without alpha
# What read_image lets Pillow try. Formats that start other programs (EPS) or have no magic of their own are left out.
READABLE = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "JPEG2000", "GIF", "BMP", "PPM", "QOI")
EXIF_PREFIX = b"Exif\x00\x00"  # how EXIF opens in JPEG; the TIFF structure follows
# Tags of a TIFF file that are about the picture: names, orientation, resolution, time, EXIF, GPS.
TIFF_TAGS = (270, 271, 272, 274, 282, 283, 296, 305, 306, 315, 33432, 34665, 34853)
STRIP = 256  # rows that are copied at a time, so that a large picture is not in memory three times
_PILLOW = threading.Lock()  # Pillow's limit of pixels is a global


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A still picture.

    Attributes
    ----------
    colour : ndarray of uint8, (H, W, C)
        C is 1 (grey) or 3 (red, green, blue).
    alpha : ndarray of uint8, (H, W), or None
    icc, exif : bytes or None
        ICC profile; EXIF as a TIFF structure. Carried, not interpreted.
    notices : tuple of str
        What reading the picture changed.

    Raises
    ------
    UnsupportedInput
        An array is of another shape or type, or has no pixels.
    """

    colour: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    notices: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for name, array in (("colour", self.colour), ("alpha", self.alpha)):
            if array is not None and array.dtype != np.uint8:
                raise UnsupportedInput(
                    f"{name} has samples of type {array.dtype}, expected uint8; "
                    "scale them to 0 .. 255, round, and convert with .astype(numpy.uint8)"
                )
        if self.colour.ndim != 3 or self.colour.shape[2] not in (1, 3) or self.colour.size == 0:
            raise UnsupportedInput(f"colour has the shape {self.colour.shape}, expected (height, width, 1 or 3)")
        if self.alpha is not None and self.alpha.shape != self.colour.shape[:2]:
            raise UnsupportedInput(f"alpha has the shape {self.alpha.shape}, expected {self.colour.shape[:2]}")

    @classmethod
    def of(cls, array: NDArray[np.uint8]) -> Image:
        """Wrap an array of uint8: (H, W) grey, or (H, W, C) with C = 1, 2 (grey + alpha), 3 or 4 (RGB + alpha)."""
        array = array[..., np.newaxis] if array.ndim == 2 else array
        if array.ndim == 3 and array.shape[2] in (2, 4):
            return cls(array[..., :-1], array[..., -1])
        return cls(array)

    @property
    def height(self) -> int:
        return int(self.colour.shape[0])

    @property
    def width(self) -> int:
        return int(self.colour.shape[1])

    @property
    def channels(self) -> int:
        """Channels of colour, alpha not counted."""
        return int(self.colour.shape[2])

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """Colour, and alpha as the last channel if there is one; uint8, (H, W, 1 .. 4)."""
        return self.colour if self.alpha is None else np.dstack((self.colour, self.alpha))


def read_image(source: str | Path | bytes, limits: Limits = DEFAULT) -> Image:
    """Read a picture from a path, from standard input (`-`), or from the bytes of a file.

    Raises
    ------
    UnsupportedInput
        The picture is of a kind that the codec does not take, or is damaged.
    LimitExceeded
        It has more pixels than `limits` allow; nothing is decoded then.
    OSError
        The file cannot be read.
    """
    data = source if isinstance(source, bytes) else read_bytes(source, limits)
    try:
        with _opened(data, limits) as picture:
            return _convert(picture, data, limits)
    except (CodecError, MemoryError):
        raise
    except Exception as error:  # Pillow answers damage with a dozen exception types
        raise UnsupportedInput(f"the picture is damaged, or of a kind that Pillow cannot decode: {error}") from error


def write_image(image: Image, path: str | Path, *, force: bool = False) -> tuple[str, ...]:
    """Write a picture file, in the format of its extension; PNG to standard output (`-`). Returns notices.

    Raises
    ------
    EncodeError
        The format is unknown, or does not hold such a picture.
    OSError
        The file cannot be written, or exists and `force` is not set.
    """
    from PIL import Image as pillow

    name, options = FORMATS[format_of(path)]
    if image.alpha is not None and name in OPAQUE:
        raise EncodeError(f"{name} holds no alpha channel, which this picture has; write PNG, WebP or TIFF")
    metadata: dict[str, Any] = {"icc_profile": image.icc, "exif": image.exif}
    metadata = {key: value for key, value in metadata.items() if value is not None}
    notices = []
    if metadata and name not in METADATA:
        notices.append(f"{name} holds no ICC profile and no EXIF; they are left out")
        metadata = {}
    if name == "JPEG":
        notices.append("JPEG is lossy: the file does not hold the decoded pixels exactly")
    stream = io.BytesIO()
    try:
        if image.exif is not None and name == "JPEG":
            metadata["exif"] = EXIF_PREFIX + image.exif
        if image.exif is not None and name == "TIFF":
            tags = pillow.Exif()
            tags.load(image.exif)
            metadata["exif"] = _descriptive(tags)
        _picture(image).save(stream, name, **options, **metadata)
    except MemoryError:
        raise
    except Exception as error:  # too large a side or too much metadata for the format
        raise EncodeError(f"this picture cannot be written as {name}: {error}; try PNG") from error
    write_bytes(path, stream.getvalue(), force=force)
    return tuple(notices)


def format_of(path: str | Path) -> str:
    """The extension that names the format of a picture file to write, a key of `FORMATS`; `-` stands for PNG.

    Raises
    ------
    EncodeError
        No format of that extension is written.
    """
    extension = ".png" if path == "-" else Path(path).suffix.lower()
    if extension not in FORMATS:
        known = " ".join(FORMATS)
        raise EncodeError(f"no picture format has the extension {extension or '(none)'}; known are {known}")
    return extension


@contextlib.contextmanager
def _opened(data: bytes, limits: Limits) -> Iterator[Picture]:
    """Open a picture, its header read and its size checked, with Pillow's global limit set to ours meanwhile."""
    from PIL import Image as pillow
    from PIL import UnidentifiedImageError

    if data.startswith(MAGIC):
        raise UnsupportedInput("this is an Engram file already; decompress it first")
    with _PILLOW, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # doubts about the metadata; what cannot be used is dropped with a notice
        warnings.simplefilter("error", pillow.DecompressionBombWarning)
        before, pillow.MAX_IMAGE_PIXELS = pillow.MAX_IMAGE_PIXELS, limits.max_pixels
        try:
            with pillow.open(io.BytesIO(data), formats=READABLE) as picture:
                limits.check_size(*picture.size)
                yield picture
        except UnidentifiedImageError:
            known = ", ".join(READABLE)
            raise UnsupportedInput(f"no picture that can be read; convert it to PNG first (read are {known})") from None
        except (pillow.DecompressionBombError, pillow.DecompressionBombWarning):
            raise LimitExceeded(f"the picture has more than max_pixels = {limits.max_pixels:,} pixels") from None
        finally:
            pillow.MAX_IMAGE_PIXELS = before


def _convert(picture: Picture, data: bytes, limits: Limits) -> Image:
    """Bring an opened picture to one of the four modes that are kept."""
    notices: list[str] = []
    if picture.format == "MPO":
        notices.append("the file holds several pictures (MPO); the first one is taken")
    elif getattr(picture, "is_animated", False):
        raise UnsupportedInput("the file holds several frames or pages; extract one first, since video comes later")
    if (bits := _sample_bits(picture, data)) > 8:
        raise UnsupportedInput(f"samples of {bits} bits; convert to 8 bits first, since 16 bits and float come later")
    picture.load()
    mode, icc, exif = picture.mode, picture.info.get("icc_profile") or b"", _exif(picture)
    if mode in ("CMYK", "LAB"):
        picture = _to_srgb(picture, icc)
        icc = b""
        notices.append(f"{mode} converted to sRGB; its ICC profile, if any, is used up")
    elif mode == "1":
        picture = picture.convert("L")
        notices.append("1 bit converted to 8 bits grey")
    elif mode not in ("L", "LA", "RGB", "RGBA") or "transparency" in picture.info:
        grey = mode in ("L", "La")
        target = ("LA" if grey else "RGBA") if picture.has_transparency_data else "RGB"
        picture = picture.convert(target)
        kind = {"P": "palette", "PA": "palette", "L": "transparent grey", "RGB": "transparent colour"}.get(mode, mode)
        notices.append(f"{kind} converted to {target}")
    if "xmp" in picture.info:
        notices.append("XMP is left out")
    if exif and not exif.startswith((b"II*\x00", b"MM\x00*")):
        exif = b""
        notices.append("EXIF is damaged and left out")
    if len(icc) > limits.max_metadata_bytes or len(exif) > limits.max_metadata_bytes:
        icc = exif = b""
        notices.append(f"ICC profile and EXIF are left out, being over {limits.max_metadata_bytes:,} bytes")
    array = _array(picture)
    alpha = array[..., -1] if len(picture.getbands()) in (2, 4) else None
    colour = array if alpha is None else array[..., :-1]
    return Image(colour, alpha, icc or None, exif or None, tuple(notices))


def _sample_bits(picture: Picture, data: bytes) -> int:
    """Bits of a sample in the file, which the mode does not tell: Pillow reads 16-bit colour as 8 bits."""
    if picture.mode.startswith("I;16"):
        return 16
    if picture.mode in ("I", "F"):
        return 16 if picture.format in ("PNG", "PPM") and picture.mode == "I" else 32
    if picture.format == "PNG":
        return data[24]
    if picture.format == "TIFF":
        return max(map(int, getattr(picture, "tag_v2", {}).get(258, (8,))))
    if picture.format == "PPM":
        arguments = picture.tile[0].args if hasattr(picture, "tile") else ()
        return int(arguments[1]).bit_length() if isinstance(arguments, tuple) and len(arguments) > 1 else 8
    if picture.format == "JPEG2000" and (at := data.find(b"\xff\x4f\xff\x51")) >= 0:  # SOC, SIZ; Ssiz is at + 42
        return (data[at + 42] & 0x7F) + 1
    if picture.format == "AVIF" and (at := data.find(b"av1C")) >= 0:
        return 10 if data[at + 6] & 0x40 else 8  # high_bitdepth: 10 or 12
    return 8


def _exif(picture: Picture) -> bytes:
    """EXIF as a TIFF structure, or nothing, after loading (when Pillow has applied the orientation of a TIFF file)."""
    if picture.format != "TIFF":
        return bytes(picture.info.get("exif") or b"").removeprefix(EXIF_PREFIX)
    return _descriptive(picture.getexif())


def _descriptive(tags: Exif) -> bytes:
    """EXIF with those tags of a TIFF file, or of EXIF, that are about the picture and not about its file."""
    from PIL import Image as pillow

    kept = pillow.Exif()
    for tag in TIFF_TAGS:
        if tag in tags:
            kept[tag] = tags.get_ifd(tag) if tag in (34665, 34853) else tags[tag]
    return kept.tobytes().removeprefix(EXIF_PREFIX) if len(kept) else b""


def _to_srgb(picture: Picture, icc: bytes | None) -> Picture:
    """Convert a CMYK or CIELAB picture, by its profile if it has one that can be used."""
    from PIL import ImageCms

    if icc or picture.mode == "LAB":
        source = ImageCms.createProfile("LAB") if picture.mode == "LAB" else io.BytesIO(icc or b"")
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
    return picture.convert("RGB")


def _array(picture: Picture) -> NDArray[np.uint8]:
    """The samples of a loaded picture, uint8, (H, W, bands)."""
    width, height = picture.size
    bands = len(picture.getbands())
    out = np.empty((height, width, bands), np.uint8)
    for top in range(0, height, STRIP):
        bottom = min(top + STRIP, height)
        out[top:bottom] = np.asarray(picture.crop((0, top, width, bottom))).reshape(-1, width, bands)
    return out


def _picture(image: Image) -> Picture:
    """The twin of `_array`."""
    from PIL import Image as pillow

    picture = pillow.fromarray(np.ascontiguousarray(image.colour.squeeze(2) if image.channels == 1 else image.colour))
    if image.alpha is not None:
        picture.putalpha(pillow.fromarray(np.ascontiguousarray(image.alpha)))
    return picture
