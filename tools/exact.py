"""The codecs that Engram's lossless files are measured against, each as one `Exact`: a picture <-> a whole file.

Every rival gets its best ordinary settings and one thread. Files hold samples and no metadata; samples of less than 8
or 16 bits go in as they are, not scaled. A format without grey gets grey as RGB. Of a palette picture, a format that
finds palettes by itself gets the colours, RGB or RGBA; one that has none leaves it out.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from codec.picture import Image

__all__ = ["RIVALS", "Exact", "default"]

Array = NDArray[Any]  # samples, (H, W) or (H, W, C), uint8 or uint16


@dataclass(frozen=True, slots=True)
class Exact:
    """A codec that gives every sample back, or gives it back within `max_error`.

    `encode` takes a picture without ICC profile and EXIF, and with a palette only where palettes are kept; `decode`
    gives samples (H, W) or (H, W, C), maybe of another C: grey as RGB, alpha that is opaque left out.
    """

    name: str  # key in results.json and on the command line
    label: str
    settings: str  # all that is fixed, in words
    version: str  # of the library that does the work
    suffix: str
    encode: Callable[[Image], bytes]
    decode: Callable[[bytes], Image | Array]
    deepest: int = 16  # bits of a sample
    palettes: Literal["kept", "as colours", "none"] = "none"
    max_error: int = 0

    @property
    def fingerprint(self) -> str:
        """Names exact behaviour: a file measured under another fingerprint is another measurement."""
        text = "\n".join((self.name, self.settings, self.version))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def unfit(self, image: Image) -> str:
        """Why the codec cannot take a picture; nothing if it can."""
        if image.bit_depth > self.deepest:
            return f"no samples of {image.bit_depth} bits"
        if image.palette is not None and self.palettes == "none":
            return "no palettes"
        if self.max_error and image.palette is not None:
            return "indices of a palette have no error that could be bounded"
        if 2 * self.max_error + 1 >= 1 << image.bit_depth:
            return f"an error of {self.max_error} is too large for samples of {image.bit_depth} bits"
        return ""


def jpegxl(effort: int) -> Exact:
    """JPEG XL, modular mode."""
    import imagecodecs

    return Exact(
        name="jxl" if effort == 7 else f"jxl-{effort}",
        label=f"JPEG XL e{effort}",
        settings=f"libjxl through imagecodecs, lossless, effort {effort}, one thread",
        version=str(imagecodecs.jpegxl_version()),
        suffix=".jxl",
        palettes="as colours",
        encode=lambda x: bytes(imagecodecs.jpegxl_encode(_flat(x), lossless=True, effort=effort, numthreads=1)),
        decode=lambda data: np.asarray(imagecodecs.jpegxl_decode(data, numthreads=1)),
    )


def webp(method: int) -> Exact:
    """WebP lossless; the format knows RGB and RGBA only, and sides up to 16383."""
    return Exact(
        name="webp" if method == 6 else "webp-fast",
        label="WebP" if method == 6 else f"WebP method {method}",
        settings=f"libwebp through Pillow, lossless, method {method}, quality 100, exact",
        version=_pillow("webp"),
        suffix=".webp",
        palettes="as colours",
        encode=lambda x: _saved(_pillow_image(x), "WEBP", lossless=True, method=method, quality=100, exact=True),
        decode=_open,
        deepest=8,
    )


def png() -> Exact:
    """PNG of the picture's own kind: grey, RGB, with alpha, palette. 16 bits go through libpng, Pillow has no mode."""
    import imagecodecs

    def encode(x: Image) -> bytes:
        if x.bit_depth > 8:
            return bytes(imagecodecs.png_encode(_flat(x), level=9))
        return _saved(_pillow_image(x), "PNG", optimize=True)

    def decode(data: bytes) -> Image | Array:
        return np.asarray(imagecodecs.png_decode(data)) if data[24] == 16 else _open(data)  # bit depth, in IHDR

    return Exact(
        name="png",
        label="PNG",
        settings="zlib through Pillow, optimize; over 8 bits: libpng through imagecodecs, level 9",
        version=f"{_pillow('zlib')}, {imagecodecs.png_version()}",
        suffix=".png",
        encode=encode,
        decode=decode,
        palettes="kept",
    )


def jpegls() -> Exact:
    """JPEG-LS of the planes G, R - G, B - G, a codestream each; differences modulo 2^bits, zero in the middle."""
    import imagecodecs

    def encode(x: Image) -> bytes:
        depth, middle = x.bit_depth, 1 << (x.bit_depth - 1)
        planes = [x.colour[..., 0]]
        if x.channels == 3:
            red, green, blue = (x.colour[..., channel].astype(np.int32) for channel in range(3))
            differences = [((c - green + middle) & ((1 << depth) - 1)).astype(x.colour.dtype) for c in (red, blue)]
            planes = [x.colour[..., 1], *differences]
        planes += [] if x.alpha is None else [x.alpha]
        parts = [bytes(imagecodecs.jpegls_encode(np.ascontiguousarray(plane))) for plane in planes]
        return bytes([depth]) + _joined(parts)

    def decode(data: bytes) -> Array:
        depth, middle = data[0], 1 << (data[0] - 1)
        planes = [np.asarray(imagecodecs.jpegls_decode(part)) for part in _parts(data[1:])]
        if len(planes) >= 3:
            green, *others = (plane.astype(np.int32) for plane in planes[:3])
            red, blue = (((c + green - middle) & ((1 << depth) - 1)).astype(planes[0].dtype) for c in others)
            planes = [red, planes[0], blue, *planes[3:]]
        return np.stack(planes, axis=2)

    return Exact(
        name="jpegls",
        label="JPEG-LS",
        settings="CharLS through imagecodecs, planes G, R-G, B-G and alpha, a codestream each",
        version=str(imagecodecs.jpegls_version()),
        suffix=".jls",
        encode=encode,
        decode=decode,
    )


def jpeg2000() -> Exact:
    """JPEG 2000, 5/3 wavelet and reversible colour transform; alpha in a codestream of its own, for the RCT's sake."""
    import imagecodecs

    def code(x: Array, depth: int) -> bytes:
        options: dict[str, Any] = {"level": 0, "reversible": True, "codecformat": "j2k", "numthreads": 1}
        options |= {"mct": x.ndim == 3, "bitspersample": depth}
        return bytes(imagecodecs.jpeg2k_encode(np.ascontiguousarray(x), **options))

    def encode(x: Image) -> bytes:
        colour = code(_flat(replace(x, alpha=None)), x.bit_depth)
        return colour if x.alpha is None else b"\0" + _joined([colour, code(x.alpha, x.bit_depth)])

    def decode(data: bytes) -> Array:
        parts = [data] if data[0] else _parts(data[1:])  # a codestream opens with FF
        return np.dstack([np.asarray(imagecodecs.jpeg2k_decode(part, numthreads=1)) for part in parts])

    return Exact(
        name="jpeg2000",
        label="JPEG 2000",
        settings="OpenJPEG through imagecodecs, 5/3, RCT, codestream, one thread",
        version=str(imagecodecs.jpeg2k_version()),
        suffix=".j2k",
        encode=encode,
        decode=decode,
    )


def avif() -> Exact:
    """AVIF lossless: RGB as planes of 4:4:4, without a colour transform."""
    import imagecodecs

    return Exact(
        name="avif",
        label="AVIF",
        settings="libaom through imagecodecs, lossless, speed 6, one thread",
        version=str(imagecodecs.avif_version()),
        suffix=".avif",
        encode=lambda x: bytes(imagecodecs.avif_encode(_flat(x), level=100, speed=6, codec="aom", numthreads=1)),
        decode=lambda data: np.asarray(imagecodecs.avif_decode(data, numthreads=1)),
        deepest=8,
    )


def xz() -> Exact:
    """LZMA of samples as they lie in memory, behind their shape; a palette comes before them as a row of bytes."""
    head = struct.Struct("<IIBBHB")  # height, width, channels, bytes of a sample, colours of the palette, their columns

    def encode(x: Image) -> bytes:
        samples, palette = x.pixels, x.palette if x.palette is not None else np.empty((0, 0), np.uint8)
        opening = head.pack(*samples.shape, samples.itemsize, *palette.shape)
        data = opening + palette.tobytes() + samples.astype(samples.dtype.newbyteorder("<")).tobytes()
        window = max(len(data), 4096)  # a larger dictionary takes memory and time, and saves nothing
        return lzma.compress(
            data, filters=[{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": window}]
        )

    def decode(data: bytes) -> Image | Array:
        raw = lzma.decompress(data)
        *shape, size, colours, columns = head.unpack_from(raw)
        entries = np.frombuffer(raw, np.uint8, colours * columns, head.size).reshape(colours, columns)
        samples = np.frombuffer(raw, f"<u{size}", offset=head.size + entries.size).reshape(shape)
        samples = samples.astype(samples.dtype.newbyteorder("="))
        return Image(samples, palette=entries) if colours else samples

    return Exact(
        name="xz",
        label="xz",
        settings="liblzma, preset 9e, of the raw samples",
        version="Python's lzma",
        suffix=".xz",
        encode=encode,
        decode=decode,
        palettes="kept",
    )


def flif() -> Exact:
    """FLIF by its program, if that is installed, through PNG files; its seconds hold those of both."""
    import imagecodecs

    def run(arguments: Sequence[str], data: bytes, source: str, target: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"picture{suffix}" for suffix in (source, target)]
            paths[0].write_bytes(data)
            subprocess.run(["flif", *arguments, *map(str, paths)], check=True, capture_output=True)
            return paths[1].read_bytes()

    said = subprocess.run(["flif", "--version"], capture_output=True, text=True)
    number = re.search(r"\d+\.\d+.*", said.stdout + said.stderr)
    return Exact(
        name="flif",
        label="FLIF",
        settings="the program flif, -E100 -N -K, through PNG files",
        version=number.group().strip() if number else "of an unknown version",
        suffix=".flif",
        palettes="as colours",
        encode=lambda x: run(["-e", "-E100", "-N", "-K"], _plain_png(x), ".png", ".flif"),
        decode=lambda data: np.asarray(imagecodecs.png_decode(run(["-d"], data, ".flif", ".png"))),
    )


RIVALS: dict[str, Callable[[], Exact]] = {  # the slowest last: what is interrupted has the others
    "png": png,
    "jpegls": jpegls,
    "jpeg2000": jpeg2000,
    "xz": xz,
    "jxl": lambda: jpegxl(7),
    "flif": flif,
    "jxl-9": lambda: jpegxl(9),
    "webp": lambda: webp(6),
    "webp-fast": lambda: webp(4),
    "avif": avif,
}


def default() -> tuple[str, ...]:
    """Names of the rivals that are measured if none are named."""
    left_out = {"webp-fast", "avif"} | (set() if shutil.which("flif") else {"flif"})
    return tuple(name for name in RIVALS if name not in left_out)


def _flat(image: Image) -> Array:
    """Samples, with grey as (H, W)."""
    x = image.pixels
    return np.ascontiguousarray(x[..., 0] if x.shape[2] == 1 else x)


def _plain_png(image: Image) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.png_encode(_flat(image), level=1))


def _pillow_image(image: Image) -> Any:
    """The picture as Pillow has it; grey of up to 4 bits with a palette of greys, which PNG packs."""
    from PIL import Image as pillow

    picture = pillow.fromarray(_flat(image))
    palette = image.palette
    if palette is None and image.bit_depth <= 4 and image.channels == 1 and image.alpha is None:
        palette = np.repeat(np.arange(1 << image.bit_depth, dtype=np.uint8)[:, None], 3, axis=1)
    if palette is not None:
        picture.putpalette(palette[:, :3].tobytes())
        if palette.shape[1] == 4:
            picture.info["transparency"] = palette[:, 3].tobytes()
    return picture


def _saved(picture: Any, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def _open(data: bytes) -> Image | Array:
    from PIL import Image as pillow

    with pillow.open(io.BytesIO(data)) as picture:
        picture.load()
        samples = np.asarray(picture)
        if picture.mode != "P":
            return samples
        entries = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
        clear = picture.info.get("transparency")
        if clear is not None:  # of each entry, or the only one that is transparent
            clear = b"\xff" * clear + b"\0" if isinstance(clear, int) else clear
            alpha = np.frombuffer(clear.ljust(len(entries), b"\xff"), np.uint8, len(entries))
            entries = np.column_stack([entries, alpha])
        return Image(samples[..., None], palette=entries)


def _joined(parts: Sequence[bytes]) -> bytes:
    """Parts in a row, each behind its length."""
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def _parts(data: bytes) -> list[bytes]:
    """The twin of `_joined`."""
    parts = []
    while data:
        stop = 4 + int.from_bytes(data[:4], "little")
        parts.append(data[4:stop])
        data = data[stop:]
    return parts


def _pillow(feature: str) -> str:
    from PIL import __version__, features

    return f"{feature} {features.version(feature)}, Pillow {__version__}"
