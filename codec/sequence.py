"""Clips <-> folders of numbered pictures, such as frames/000000.png, frames/000001.png."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from codec.animation import packed
from codec.clip import DEFAULT_RATE, Clip, Frame
from codec.errors import UnsupportedInput
from codec.limits import DEFAULT, Limits
from codec.picture import Image
from codec.pixels import FORMATS, read_image

__all__ = ["numbered", "open_sequence", "write_sequence"]

NUMBERED = re.compile(r"(.*?)(\d+)")  # of a name without its extension: what all have in common, and the number


def numbered(folder: Path, limits: Limits = DEFAULT) -> list[Path]:
    """Pictures whose names end in a number, in the order of their numbers. Other files, and hidden ones, do not count.

    Raises
    ------
    UnsupportedInput
        Two have one number, or their names differ before it.
    LimitExceeded
        There are more than `limits.max_frames`.
    OSError
        The folder cannot be read.
    """
    names = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in FORMATS and path.name[0] != "."]
    series = [(match[1], int(match[2]), path) for path in names if (match := NUMBERED.fullmatch(path.stem))]
    limits.check("max_frames", len(series), f"pictures in {folder}")
    series.sort(key=lambda each: each[1])
    for (prefix, number, path), (other, following, twin) in pairwise(series):
        if prefix != other or number == following:
            raise UnsupportedInput(f"{folder} holds {path.name} and {twin.name}; expected one series of numbers")
    return [path for _, _, path in series]


def open_sequence(folder: Path, limits: Limits = DEFAULT) -> Clip:
    """Open a folder of numbered pictures, at `DEFAULT_RATE`. All are looked at; one in colour makes all RGB.

    Raises
    ------
    UnsupportedInput
        There are none, they are damaged or differ in size, or see `numbered`.
    LimitExceeded
        They are too large or too many.
    OSError
        They cannot be read.
    """
    paths = numbered(folder, limits)
    if not paths:
        kinds = " ".join(FORMATS)
        raise UnsupportedInput(f"{folder} holds no numbered pictures, such as 000000.png; read are {kinds}")
    notices: dict[str, None] = {}  # a set that keeps its order
    channels, size = 1, (0, 0)
    for path in paths:
        image = _read(path, limits)
        here = image.width, image.height
        if path != paths[0] and here != size:
            raise UnsupportedInput(f"{path} has {here[0]} x {here[1]} pixels, {paths[0].name} {size[0]} x {size[1]}")
        size, channels = here, max(channels, image.channels)
        notices |= dict.fromkeys(image.notices)
        if image.alpha is not None:
            notices["transparency is left out; what is behind it is black"] = None
        if image.icc or image.exif:
            notices["ICC profiles and EXIF are left out"] = None
    return Clip(*size, channels, DEFAULT_RATE, len(paths), partial(_pixels, paths, limits, channels), tuple(notices))


def write_sequence(folder: Path, frames: Iterable[Frame]) -> None:
    """Write frames as PNG files into a folder that is there: 000000.png and so on."""
    for number, frame in enumerate(frames):
        (folder / f"{number:06}.png").write_bytes(packed(frame, "PNG"))


def _read(path: Path, limits: Limits) -> Image:
    try:
        return read_image(path, limits)
    except UnsupportedInput as error:
        raise UnsupportedInput(f"{path}: {error}") from error


def _pixels(paths: list[Path], limits: Limits, channels: int) -> Iterator[Frame]:
    """The frames as pixels."""
    for path in paths:
        image = _read(path, limits)
        frame = image.colour
        if image.alpha is not None:
            frame = ((frame * image.alpha[..., np.newaxis].astype(np.uint16) + 127) // 255).astype(np.uint8)
        yield frame[..., 0] if channels == 1 else np.repeat(frame, 3 // image.channels, axis=2)
