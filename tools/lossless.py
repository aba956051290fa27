"""Exact codecs on pictures: whole files, seconds, and whether what comes back is what went in.

    picture ──encode──▶ bytes ──decode, three times──▶ picture'      one `Measured`: bytes, seconds, largest error

Bits per subpixel are 8 × bytes / (width × height × channels), alpha being a channel and indices of a palette one.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from codec.picture import Image
from tools.exact import Array, Exact

__all__ = ["OURS", "LeftOut", "Measured", "Subject", "compare", "engram", "measure", "measure_all"]

OURS = "engram"
TIMES = 3  # decodings, of whose seconds the median counts
WARM = 64  # pixels of a side of the picture that warms a codec up
MODES = {"residual": "networks", "graphics": "graphics", "stored": "as they are"}  # of codec.tile.Mode


@dataclass(frozen=True, slots=True)
class Subject:
    """A picture to measure on, without metadata, and the hash of its file."""

    name: str
    hash: str
    image: Image

    @property
    def subpixels(self) -> int:
        return self.image.height * self.image.width * (self.image.channels + (self.image.alpha is not None))

    def facts(self) -> dict[str, Any]:
        """What results.json says about it."""
        image = self.image
        shape = {"height": image.height, "width": image.width, "channels": image.channels}
        kind = {"alpha": image.alpha is not None, "palette": image.palette is not None, "bit_depth": image.bit_depth}
        return {"name": self.name, "hash": self.hash} | shape | kind


@dataclass(frozen=True, slots=True)
class Measured:
    """One picture through one codec.

    Attributes
    ----------
    key : equal keys, equal measurement
    bpsp : bits per subpixel
    exact : every sample came back
    largest_error : of a sample; None if another shape came back
    psnr : dB over all samples; None if they are equal
    tiles : how many were coded in which way, for our files
    """

    key: str
    picture: str
    codec: str
    bytes: int
    bpsp: float
    exact: bool
    largest_error: int | None
    psnr: float | None
    encode_seconds: float
    decode_seconds: float
    tiles: dict[str, int]
    version: str
    machine: str
    date: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A picture that a codec could not take."""

    picture: str
    codec: str
    reason: str


def engram(model: str, *, effort: int = 5, threads: int = 1, max_error: int = 0) -> Exact:
    """Engram with one lossless model, exact or with a bound on the error.

    Raises
    ------
    CodecError
        There is no such model, it does not load, or it is not lossless.
    """
    from codec import lossless
    from codec.model import load_model
    from codec.residual import residual
    from tools.engram import source_version

    loaded = load_model(model)
    residual(loaded)
    return Exact(
        name=f"{OURS}-{max_error}" if max_error else OURS,
        label=f"Engram \N{PLUS-MINUS SIGN}{max_error}" if max_error else "Engram",
        settings=f"model {Path(model).stem} ({loaded.id.hex()}), effort {effort}, threads {threads}",
        version=source_version(),
        suffix=".egm",
        encode=lambda x: lossless.encode(x, loaded, max_error=max_error, effort=effort, threads=threads),
        decode=lambda data: lossless.decode(data, model=loaded, threads=threads),
        palettes="kept",
        max_error=max_error,
    )


def measure(subject: Subject, codec: Exact, machine: str) -> Measured:
    """Code a picture, decode what the file holds, and compare. The clock runs over the codec's own work in memory."""
    image = _fitting(subject.image, codec)
    start = time.perf_counter()
    data = codec.encode(image)
    encoded = time.perf_counter() - start
    seconds = []
    for _ in range(TIMES):
        start = time.perf_counter()
        decoded = codec.decode(data)
        seconds.append(time.perf_counter() - start)
    original = subject.image.expanded()
    largest, psnr = compare(original.pixels, colours(decoded), (1 << original.bit_depth) - 1)
    return Measured(
        key=key_of(subject, codec),
        picture=subject.name,
        codec=codec.name,
        bytes=len(data),
        bpsp=8 * len(data) / subject.subpixels,
        exact=largest == 0,
        largest_error=largest,
        psnr=psnr,
        encode_seconds=encoded,
        decode_seconds=statistics.median(seconds),
        tiles=tiles_of(data) if codec.name.startswith(OURS) else {},
        version=codec.version,
        machine=machine,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def measure_all(
    subjects: Sequence[Subject],
    codecs: Sequence[Exact],
    *,
    machine: str,
    known: Iterable[Measured] = (),
    done: Callable[[Measured | None, bool], None] = lambda found, fresh: None,
) -> tuple[list[Measured], list[LeftOut]]:
    """Measure every picture with every codec, codec by codec.

    `known` measurements are taken over; `done(measured, fresh)` hears of each, and of a picture left out as None.

    Raises
    ------
    CodecError
        From our own codec. What a rival's library raises leaves the picture out, with what it says.
    """
    reusable = {found.key: found for found in known}
    measured, left_out = list[Measured](), list[LeftOut]()
    for codec in codecs:
        warm = False
        for subject in subjects:
            reason = codec.unfit(subject.image)
            found = None if reason else reusable.get(key_of(subject, codec))
            fresh = found is None
            if found is not None:
                found = replace(found, picture=subject.name)  # its file may have been renamed
            elif not reason:
                try:
                    if not warm:
                        codec.decode(codec.encode(_fitting(corner(subject.image), codec)))
                        warm = True
                    found = measure(subject, codec, machine)
                except Exception as error:
                    if codec.name.startswith(OURS):
                        raise
                    reason = f"{type(error).__name__}: {error}"  # a dozen libraries, each with errors of its own
            if found is None:
                left_out.append(LeftOut(subject.name, codec.name, reason))
            else:
                measured.append(found)
            done(found, fresh)
    return measured, left_out


def key_of(subject: Subject, codec: Exact) -> str:
    """What a measurement is of, so that it need not be made again."""
    return f"{subject.hash}/{codec.fingerprint}"


def corner(image: Image) -> Image:
    """The first rows and columns of a picture."""
    alpha = None if image.alpha is None else image.alpha[:WARM, :WARM]
    return replace(image, colour=np.ascontiguousarray(image.colour[:WARM, :WARM]), alpha=alpha)


def colours(decoded: Image | Array) -> Array:
    """Samples (H, W, C) of what a decoder gave, palettes expanded."""
    if isinstance(decoded, Image):
        return decoded.expanded().pixels
    return decoded[..., None] if decoded.ndim == 2 else decoded


def compare(original: Array, decoded: Array, white: int) -> tuple[int | None, float | None]:
    """Largest error and PSNR; None for another shape or type, and for equal samples.

    Grey that comes back as RGB is compared with all three, and alpha that is left out counts as opaque.
    """
    channels, opaque = original.shape[2], np.full((*original.shape[:2], 1), white, original.dtype)
    if decoded.dtype != original.dtype or decoded.shape[:2] != original.shape[:2]:
        return None, None
    grey, alpha = channels <= 2, channels in (2, 4)
    if alpha and decoded.shape[2] in (1, 3):
        decoded = np.concatenate([decoded, opaque], axis=2)
    if grey and decoded.shape[2] >= 3:
        original = np.concatenate([original[..., :1]] * 3 + [original[..., 1:]], axis=2)
    if decoded.shape != original.shape:
        return None, None
    error = decoded.astype(np.int32) - original
    power = float(np.mean(np.square(error, dtype=np.float64)))
    return int(np.abs(error).max()), 10 * float(np.log10(white**2 / power)) if power else None


def tiles_of(data: bytes) -> dict[str, int]:
    """How many tiles of one of our files are coded in which way."""
    from codec.container import unpack
    from codec.tile import Mode

    modes = (Mode(chunk.data[0]) for chunk in unpack(data)[1] if chunk.type == "T")
    return dict(Counter(MODES[mode.name.lower()] for mode in modes))


def _fitting(image: Image, codec: Exact) -> Image:
    return image if codec.palettes == "kept" else image.expanded()
