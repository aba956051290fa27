"""Clips of archives <-> files: what is packed as clips, opened when it is needed, and where they are unpacked to.

    input                                      without --axes           with
    movies, animated .gif .png .webp           clips                    clips
    .npy                                       pictures                 THW: each file is a clip (T, H, W[, 3])
                                               (collection.py)          NTHW, TNHW: one file of many clips

Nothing is guessed from the lengths of axes: (20, 10000, 64, 64) is 10 000 clips because TNHW says so.
What is unpacked holds the frames exactly, if need be in a file of another kind than the clip came from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from codec import batch
from codec.animation import ANIMATIONS, is_animated
from codec.arrays import ARRAYS
from codec.clip import DEFAULT_RATE, Clip
from codec.clips import Film
from codec.errors import CorruptStream, UnsupportedInput
from codec.frames import open_clip, write_clip
from codec.jobs import Progress
from codec.limits import Limits
from codec.movie import MOVIES

if TYPE_CHECKING:
    from codec.archive import Archive, Entry

__all__ = ["AXES", "Films", "film_suffix", "write_film", "write_films"]

ARRAY = ".npy"
ONE, CLIPS_FIRST, FRAMES_FIRST = "THW", "NTHW", "TNHW"
AXES = (ONE, CLIPS_FIRST, FRAMES_FIRST)


class Films(Sequence[Film]):
    """Clips and their names, in the order of the inputs; those of a folder by their names.

    Frames of an array travel with their clip to other processes; files are read where the clip is coded, so that
    machines of a cluster have to see them under the same path.

    Parameters
    ----------
    inputs : files and folders; what is no clip is passed over
    axes : of arrays, one of `AXES`: clips (N), frames (T), rows, columns, and 3 colours after them if there is one more

    Attributes
    ----------
    taken : files that are clips
    dimensions : of the array that the clips come from, 4 or 5; 0 for files
    frames_first : its first axis is that of the frames

    Raises
    ------
    UnsupportedInput
        An array is of another kind.
    OSError
        A file cannot be read.
    """

    def __init__(self, inputs: Sequence[str], axes: str | None = None) -> None:
        self._array = _read_array(inputs, axes) if axes in (CLIPS_FIRST, FRAMES_FIRST) else None
        self.dimensions = 0 if self._array is None else self._array.ndim
        self.frames_first = axes == FRAMES_FIRST
        self._told: set[str] = set()
        self._found = [] if self._array is not None else list(_clips(inputs, axes))
        self.taken = frozenset(map(Path, inputs) if self._array is not None else (path for _, path in self._found))

    def __len__(self) -> int:
        return len(self._found) if self._array is None else self._array.shape[1 if self.frames_first else 0]

    @overload
    def __getitem__(self, index: int) -> Film: ...
    @overload
    def __getitem__(self, index: slice) -> list[Film]: ...
    def __getitem__(self, index: int | slice) -> Film | list[Film]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if self._array is not None:
            frames = np.ascontiguousarray(self._array[:, index] if self.frames_first else self._array[index])
            count, height, width, *colours = frames.shape
            channels = colours[0] if colours else 1
            return Film("", Clip(width, height, channels, DEFAULT_RATE, count, partial(iter, frames)))
        name, path = self._found[index]
        clip = open_clip(path.absolute())  # which other processes may read
        if name not in self._told:
            self._told.add(name)
            batch.notify(str(path), clip.notices)
        return Film(name, clip)


def film_suffix(suffix: str, entry: Entry) -> str:
    """What has to follow a name that ends in `suffix`, so that its file holds the frames of a clip exactly."""
    if suffix in (".mkv", ".npy", ".png", ".apng") or (suffix == ".gif" and entry.look.channels == 1):
        return ""
    if suffix in MOVIES:
        return ".mkv"
    return ".png" if suffix in ANIMATIONS else ARRAY


def write_film(clip: Clip, target: Path, force: bool) -> tuple[str, ...]:
    """Write a clip in the format of the name; notices of what that does not keep."""
    notices = write_clip(target, clip, clip.rate, clip.shape, force=force)
    if target.suffix.lower() == ARRAY and clip.rate == DEFAULT_RATE:  # as arrays have none, and are given this one
        return ()
    return notices


def write_films(opened: Archive, target: Path, limits: Limits, force: bool, progress: Progress | None) -> None:
    """Write the array of an archive of clips that came from one, (N, T, ...) or (T, N, ...).

    Raises
    ------
    CorruptStream
        They make no such array.
    LimitExceeded
        It is too large.
    """
    clip = opened.entry(0).film
    for entry in opened.entries():
        if entry.film != clip or opened.catalogue.dimensions != 1 + len(clip):
            raise CorruptStream(f"clip {entry.name} of an array has another shape than the first one, or the array's")
    limits.check("max_pixels", len(opened) * math.prod(clip[:3]), "pixels of the array")

    def clips() -> Iterator[NDArray[np.uint8]]:
        for number in range(len(opened)):
            yield opened[number]
            if progress:
                progress(number + 1, len(opened))

    if opened.catalogue.frames_first:
        array = np.empty((clip[0], len(opened), *clip[1:]), np.uint8)
        for number, x in enumerate(clips()):
            array[:, number] = x
        write_clip(target, array, DEFAULT_RATE, array.shape[1:], force=force)
    else:
        write_clip(target, clips(), DEFAULT_RATE, clip, force=force)


def _clips(inputs: Sequence[str], axes: str | None) -> Iterator[tuple[str, Path]]:
    """Names and paths of the clips: those of a folder with their place in it."""
    for source in map(Path, inputs):
        if not source.is_dir():
            if _is_clip(source, axes):
                yield source.name, source
            continue
        for path in sorted(path for path in source.rglob("*") if path.is_file() and _is_clip(path, axes)):
            yield path.relative_to(source).as_posix(), path


def _is_clip(path: Path, axes: str | None) -> bool:
    suffix = path.suffix.lower()
    if suffix in ARRAYS:
        return axes == ONE
    return suffix in MOVIES or (suffix in ANIMATIONS and is_animated(path))


def _read_array(inputs: Sequence[str], axes: str | None) -> Any:
    """An array of clips, which stays on the disk until they are used; UnsupportedInput if it is none."""
    if len(inputs) != 1 or Path(inputs[0]).suffix.lower() != ARRAY:
        raise UnsupportedInput(f"--axes {axes} is for one {ARRAY} array of clips; --axes {ONE} for files of one each")
    path = batch.shown(inputs[0])
    try:
        array = np.load(inputs[0], mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UnsupportedInput(f"{path} is no array of numbers: {error}") from None
    found = f"{path} holds {getattr(array, 'dtype', 'several arrays')} {getattr(array, 'shape', '')}"
    expected = f"expected uint8 clips of axes {axes}, with 3 colours as a fifth axis or without"
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.size == 0:
        raise UnsupportedInput(f"{found}, {expected}")
    if array.ndim != 4 and array.shape[4:] != (3,):
        raise UnsupportedInput(f"{found}, {expected}")
    return np.asarray(array)
