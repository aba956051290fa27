"""The codecs Engram is measured against, each as one `Codec`: pixels and a setting in, a whole file out, and back.

    pixels (H, W, C) uint8 ──encode(setting)──▶ bytes of a file ──decode──▶ pixels (H, W, C) uint8

Every rival gets its best ordinary settings and one thread: libaom's output depends on the number of threads, so one
thread is also what makes the sizes reproducible. A codec without a greyscale mode codes grey as RGB.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec with one knob.

    `ladder` holds settings from the smallest file to the largest; curves are measured on it, searches stay within it.
    """

    name: str  # key in results.json and on the command line
    label: str
    settings: str  # all that is fixed, in words
    version: str  # of the library that does the work
    knob: str  # what the setting means
    ladder: tuple[float, ...]
    suffix: str
    encode: Callable[[Pixels, float], bytes]
    decode: Callable[[bytes], Pixels]
    whole: bool = True  # the knob takes whole numbers only

    @property
    def fingerprint(self) -> str:
        """Names exact behaviour: a point measured under another fingerprint is another point."""
        return hashlib.blake2b("\n".join((self.name, self.settings, self.version)).encode(), digest_size=8).hexdigest()

    def at(self, position: float) -> float:
        """The setting at a position on the ladder, 0 (smallest file) to 1 (largest)."""
        steps = np.linspace(0, 1, len(self.ladder))
        setting = float(np.interp(position, steps, self.ladder))
        return float(round(setting)) if self.whole else round(setting, 3)

    def rungs(self, points: int | None = None) -> tuple[float, ...]:
        """That many settings spread over the ladder, without repeats; None takes the ladder as it is."""
        if points is None:
            return self.ladder
        return tuple(dict.fromkeys(self.at(float(position)) for position in np.linspace(0, 1, points)))


def jpeg() -> Codec:
    """JPEG with optimised Huffman tables; progressive, which is smaller than baseline at most rates."""
    return Codec(
        name="jpeg",
        label="JPEG",
        settings="libjpeg-turbo through Pillow, 4:2:0, optimize, progressive",
        version=_pillow("libjpeg_turbo"),
        knob="quality",
        ladder=(5, 10, 20, 35, 55, 75, 88, 94),
        suffix=".jpg",
        encode=_save("JPEG", subsampling="4:2:0", optimize=True, progressive=True),
        decode=_open,
    )


def webp() -> Codec:
    """WebP lossy; the format knows 4:2:0 only."""
    return Codec(
        name="webp",
        label="WebP",
        settings="libwebp through Pillow, lossy, method 6",
        version=_pillow("webp"),
        knob="quality",
        ladder=(0, 5, 20, 45, 70, 85, 95),
        suffix=".webp",
        encode=_save("WEBP", method=6),
        decode=_open,
    )


def avif() -> Codec:
    """AVIF tuned for PSNR; one tile, because tiles cost about 1 % on small pictures."""
    options = {"codec": "aom", "speed": 6, "max_threads": 1, "autotiling": False, "advanced": {"tune": "psnr"}}
    return Codec(
        name="avif",
        label="AVIF",
        settings="libaom through Pillow, 4:4:4, speed 6, tune=psnr, one tile, one thread",
        version=_pillow("avif"),
        knob="quality",
        ladder=(5, 14, 25, 36, 48, 60, 72),
        suffix=".avif",
        encode=_save("AVIF", subsampling="4:4:4", **options),
        decode=_open,
    )


def jpegxl() -> Codec:
    """JPEG XL, VarDCT mode, by Butteraugli distance."""
    import imagecodecs

    return Codec(
        name="jxl",
        label="JPEG XL",
        settings="libjxl through imagecodecs, VarDCT, effort 7, one thread",
        version=str(imagecodecs.jpegxl_version()),
        knob="distance",
        ladder=(15.0, 9.0, 5.0, 3.0, 1.7, 1.0, 0.6),
        suffix=".jxl",
        encode=lambda x, d: bytes(imagecodecs.jpegxl_encode(_flat(x), distance=d, effort=7, numthreads=1)),
        decode=lambda data: _full(imagecodecs.jpegxl_decode(data, numthreads=1)),
        whole=False,
    )


def jpeg2000() -> Codec:
    """JPEG 2000, 9/7 wavelet, bare codestream, by target PSNR."""
    import imagecodecs

    return Codec(
        name="jpeg2000",
        label="JPEG 2000",
        settings="OpenJPEG through imagecodecs, 9/7, codestream, target PSNR",
        version=str(imagecodecs.jpeg2k_version()),
        knob="target dB",
        ladder=(23.0, 26.0, 29.0, 32.0, 35.0, 38.0, 41.0),
        suffix=".j2k",
        encode=lambda x, db: bytes(imagecodecs.jpeg2k_encode(_flat(x), level=db, codecformat="j2k", reversible=False)),
        decode=lambda data: _full(imagecodecs.jpeg2k_decode(data)),
        whole=False,
    )


RIVALS: dict[str, Callable[[], Codec]] = {
    "jpeg": jpeg,
    "webp": webp,
    "avif": avif,
    "jxl": jpegxl,
    "jpeg2000": jpeg2000,
}


def _save(format: str, **options: Any) -> Callable[[Pixels, float], bytes]:
    """An encoder through Pillow with the given options; the setting is Pillow's `quality`."""

    def encode(pixels: Pixels, quality: float) -> bytes:
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(_flat(pixels)).save(file, format, quality=int(quality), **options)
        return file.getvalue()

    return encode


def _open(data: bytes) -> Pixels:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        return _full(np.asarray(picture if picture.mode == "L" else picture.convert("RGB")))


def _pillow(feature: str) -> str:
    from PIL import __version__, features

    check = features.version(feature)
    if check is None:
        raise RuntimeError(f"this Pillow ({__version__}) is built without {feature}")
    return f"{feature} {check}, Pillow {__version__}"


def _flat(pixels: Pixels) -> Pixels:
    """(H, W, 1) -> (H, W), which libraries take as grey; RGB stays as it is."""
    return np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _full(pixels: Any) -> Pixels:
    """(H, W) -> (H, W, 1); RGB stays as it is."""
    array = np.asarray(pixels, dtype=np.uint8)
    return array[..., None] if array.ndim == 2 else array
