"""Pixels <-> picture files, by Pillow.

What a picture file holds is kept, converted with a notice, or refused with a remedy. For a lossy codec, and exactly:

    kept        8 bits: grey, grey + alpha, RGB, RGBA; ICC profile; EXIF (orientation included, which is not applied)
    exactly     also palettes with their order, 1 .. 7 bits of grey, 9 .. 16 bits of PNG, TIFF and PNM
    converted   palette, fewer bits, CMYK, YCbCr, a transparent colour; exactly: the last three
    left out    XMP, with a notice; comments, resolution outside EXIF
    refused     more than 8 bits (exactly: in other formats), float, signed and 32-bit samples, animations, several
                pages, and whatever Pillow cannot decode
"""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codec.container import MAGIC
from codec.errors import CodecError, EncodeError, LimitExceeded, UnsupportedInput
from codec.files import read_bytes, write_bytes
from codec.limits import DEFAULT, Limits
from codec.picture import Image
from codec.png import pack_png
from codec.samples import copy_samples, pack_pnm, pack_tiff, read_samples, sample_bits

if TYPE_CHECKING:
    from PIL.Image import Exif
    from PIL.Image import Image as Picture
    from PIL.ImageFile import ImageFile

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
DEEP = {"PNG", "TIFF", "PPM"}  # formats of 16 bits
# What read_image lets Pillow try. Formats that start other programs (EPS) or have no magic of their own are left out.
READABLE = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "JPEG2000", "GIF", "BMP", "PPM", "QOI")
EXIF_PREFIX = b"Exif\x00\x00"  # how EXIF opens in JPEG; the TIFF structure follows
# Tags of a TIFF file that are about the picture: names, orientation, resolution, time, EXIF, GPS.
TIFF_TAGS = (270, 271, 272, 274, 282, 283, 296, 305, 306, 315, 33432, 34665, 34853)
_PILLOW = threading.Lock()  # Pillow's limit of pixels is a global


def read_image(source: str | Path | bytes, limits: Limits = DEFAULT, *, exact: bool = False) -> Image:
    """Read a picture from a path, from standard input (`-`), or from the bytes of a file.

    Parameters
    ----------
    source, limits
    exact : keep palettes and bit depths of 1 to 16. Without it all pictures come as grey or RGB of 8 bits.

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
            return _read(picture, data, limits, exact)
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
    name, options = FORMATS[format_of(path)]
    already, image = len(image.notices), _fitting(image, name)
    notices = list(image.notices[already:])
    metadata: dict[str, Any] = {"icc_profile": image.icc, "exif": image.exif}
    metadata = {key: value for key, value in metadata.items() if value is not None}
    if metadata and name not in METADATA:
        notices.append(f"{name} holds no ICC profile and no EXIF; they are left out")
        metadata = {}
    if name == "JPEG":
        notices.append("JPEG is lossy: the file does not hold the decoded pixels exactly")
    if "exif" in metadata and name == "JPEG":
        metadata["exif"] = EXIF_PREFIX + metadata["exif"]
    stream, tags = io.BytesIO(), None
    if "exif" in metadata and name == "TIFF":
        tags = _tags(metadata.pop("exif"))
        if tags is None:
            notices.append("EXIF is damaged and left out")
        else:
            metadata["exif"] = _packed(tags)
    try:
        if name == "PPM":
            stream.write(pack_pnm(image))
        elif image.palette is None and image.bit_depth == 8:
            _picture(image).save(stream, name, **options, **metadata)
        else:
            stream.write(pack_png(image) if name == "PNG" else pack_tiff(image, tags))
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
def _opened(data: bytes, limits: Limits) -> Iterator[ImageFile]:
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


def _fitting(image: Image, name: str) -> Image:
    """A picture as the format of that name holds it, with notices of what that changed; or the remedy, as an error."""
    if name != "PNG":
        image = image.expanded()
    if name not in ("PNG", "PPM"):
        image = image.filled()
    if image.alpha is not None and name in OPAQUE:
        other = "PNG, WebP or TIFF" if image.bit_depth <= 8 else "PNG or TIFF"
        raise EncodeError(f"{name} holds no alpha channel, which this picture has; write {other}")
    if image.bit_depth > 8 and name not in DEEP:
        raise EncodeError(f"{name} holds 8 bits a sample, this picture has {image.bit_depth}; write PNG or TIFF")
    if image.bit_depth > 8 and name == "TIFF" and image.alpha is not None and image.channels == 1:
        raise EncodeError("a TIFF file of 16 bits is written as grey, RGB or RGBA, not as grey + alpha; write PNG")
    return image


def _read(picture: ImageFile, data: bytes, limits: Limits, exact: bool) -> Image:
    """Samples of an opened picture, read or converted, and its metadata."""
    notices: list[str] = []
    form = picture.format or ""
    if form == "MPO":
        notices.append("the file holds several pictures (MPO); the first one is taken")
    elif getattr(picture, "is_animated", False):
        raise UnsupportedInput("the file holds several frames or pages; extract one first, since video comes later")
    if (bits := sample_bits(picture, data)) > 8 and not exact:
        raise UnsupportedInput(f"samples of {bits} bits; convert to 8 bits first, or compress it with --lossless")
    image = read_samples(picture, data, exact=exact)
    icc = picture.info.get("icc_profile") or b""
    if image is None:
        picture.load()
        image = _converted(picture, icc)
        icc = b"" if picture.mode in ("CMYK", "LAB") else icc
    if not exact:
        image = image.filled()
    notices += image.notices
    exif = _exif(picture)
    if "xmp" in picture.info:
        notices.append("XMP is left out")
    if exif and not exif.startswith((b"II*\x00", b"MM\x00*")):
        exif = b""
        notices.append("EXIF is damaged and left out")
    if len(icc) > limits.max_metadata_bytes or len(exif) > limits.max_metadata_bytes:
        icc = exif = b""
        notices.append(f"ICC profile and EXIF are left out, being over {limits.max_metadata_bytes:,} bytes")
    return replace(image, icc=icc or None, exif=exif or None, notices=tuple(notices), source=form)


def _converted(picture: Picture, icc: bytes) -> Image:
    """A loaded picture of another mode as RGB or RGBA, or grey + alpha, of 8 bits."""
    mode = picture.mode
    if mode in ("CMYK", "LAB"):
        notice = f"{mode} converted to sRGB; its ICC profile, if any, is used up"
        picture = _to_srgb(picture, icc)
    else:
        target = ("LA" if mode == "La" else "RGBA") if picture.has_transparency_data else "RGB"
        notice = f"{'palette' if mode in ('P', 'PA') else mode} converted to {target}"
        picture = picture.convert(target)
    return replace(Image.of(copy_samples(picture)), notices=(notice,))


def _exif(picture: Picture) -> bytes:
    """EXIF as a TIFF structure, or nothing, after loading (when Pillow has applied the orientation of a TIFF file)."""
    if picture.format != "TIFF":
        return bytes(picture.info.get("exif") or b"").removeprefix(EXIF_PREFIX)
    return _packed(_descriptive(picture.getexif()))


def _descriptive(tags: Exif) -> Exif:
    """Those tags of a TIFF file, or of EXIF, that are about the picture and not about its file."""
    from PIL import Image as pillow

    kept = pillow.Exif()
    for tag in TIFF_TAGS:
        if tag in tags:
            kept[tag] = tags.get_ifd(tag) if tag in (34665, 34853) else tags[tag]
    return kept


def _tags(exif: bytes) -> Exif | None:
    """The descriptive tags of EXIF, or None if it is damaged."""
    from PIL import Image as pillow

    tags = pillow.Exif()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            tags.load(exif)
            return _descriptive(tags)
        except Exception:  # Pillow answers damage with a dozen exception types
            return None


def _packed(tags: Exif) -> bytes:
    return tags.tobytes().removeprefix(EXIF_PREFIX) if len(tags) else b""


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


def _picture(image: Image) -> Picture:
    """The twin of `copy_samples`."""
    from PIL import Image as pillow

    picture = pillow.fromarray(np.ascontiguousarray(image.colour.squeeze(2) if image.channels == 1 else image.colour))
    if image.alpha is not None:
        picture.putalpha(pillow.fromarray(np.ascontiguousarray(image.alpha)))
    return picture
