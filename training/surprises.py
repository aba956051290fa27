"""What inter frames leave to code: recorded from clips by the encoder itself, in a closed loop.

The statistics of what a prediction misses depend on everything before it: the quantiser, the search, the restoration,
the errors of the frames before. So clips are encoded with the photo model, and what the prior is asked to code is kept.
"""

from __future__ import annotations

import io
import itertools
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.features import energies
from codec.group import COARSER
from codec.image import encode_tiles
from codec.interframe import Past, compare, encode_surprise
from codec.jobs import in_forks
from codec.photo import Photo
from codec.transform import COEFFICIENTS
from training.clips import Movies, cut, moved
from training.data import Photos
from training.errors import DataError

__all__ = ["Frame", "Surprises", "record", "record_all"]

U8 = NDArray[np.uint8]
ARRAYS = ("t", "live", "context", "missed", "known")
FARTHEST = (1 << 15) - 1
SIDE, LENGTH = 208, 6  # pixels and frames of a clip
FILMED = 0.5  # share of the clips that are from movies
COARSEST = 5  # of the step indices that clips are coded with


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An inter frame of h x w blocks, n of them live.

    Attributes
    ----------
    t : quality 0..1
    live : (h, w)
    missed : (n, 768), what the prediction misses in live blocks, in steps and in the model's order
    known : (n, 768), the prediction there, in 1/16 steps
    context : (h, w, 2 ENERGIES), energies 0..127 of the prediction and of what was coded in the frame before
    """

    t: float
    live: NDArray[np.bool_]
    missed: NDArray[np.float32]
    known: NDArray[np.int64]
    context: U8


def record(built: Photo, clip: U8, step_index: int, effort: int = 3) -> list[Frame]:
    """Encode a clip (T, 16 h, 16 w, 3), and keep what its inter frames have to code."""
    past = Past.after(encode_tiles(built, clip[0], step_index, effort, 1)[1], 1)
    index, found = max(step_index - COARSER, 0), []
    step = int(built.steps[index])
    for frame in clip[1:]:
        before, surprise = past.values, compare(built, frame, past, index)
        live = surprise.field.live
        if live.any():
            # the same rounding as in codec/interframe.py
            known = surprise.known.reshape(len(before), -1)[:, built.order].astype(np.int64)
            known = (2 * known + step) // (2 * step)
            context = np.concatenate([energies(known), energies(before)], axis=1).astype(np.uint8)
            rows = live.ravel()
            found.append(
                Frame(
                    index / (len(built.steps) - 1),
                    live,
                    surprise.missed[rows].astype(np.float32),
                    known[rows],
                    context.reshape(*live.shape, -1),
                )
            )
        encode_surprise(built, frame, past, surprise, index, effort)
    return found


class Surprises:
    """Frames of one size, recorded, in memory.

    Attributes
    ----------
    t, live, context : of each frame, see `Frame`
    missed, known : of all their live blocks (R, 768), as float16 and int16
    starts : (N + 1,) where the live blocks of each frame begin
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        try:
            self.t, self.live, self.context, self.missed, self.known = (arrays[name] for name in ARRAYS)
        except KeyError as error:
            raise DataError(
                f"expected recorded frames, with the arrays {', '.join(ARRAYS)}; there is no {error}"
            ) from None
        self.starts = np.concatenate([[0], np.cumsum(self.live.sum((1, 2)))])
        rows = (int(self.starts[-1]), COEFFICIENTS)
        maps = self.live.shape == self.context.shape[:3] == (len(self.t), *self.live.shape[1:])
        if not maps or not self.missed.shape == self.known.shape == rows:
            raise DataError("the arrays of the recorded frames do not fit together")

    def __len__(self) -> int:
        return len(self.t)

    @classmethod
    def of(cls, frames: Sequence[Frame]) -> Surprises:
        """Frames as they were recorded; DataError if there are none."""
        if not frames:
            raise DataError("no clip has anything to code in its inter frames")
        known = np.concatenate([frame.known for frame in frames])
        return cls(
            {
                "t": np.array([frame.t for frame in frames], np.float32),
                "live": np.stack([frame.live for frame in frames]),
                "context": np.stack([frame.context for frame in frames]),
                "missed": np.concatenate([frame.missed for frame in frames]).astype(np.float16),
                "known": np.clip(known, -FARTHEST, FARTHEST).astype(np.int16),
            }
        )

    @classmethod
    def joined(cls, parts: Sequence[Surprises]) -> Surprises:
        """All frames of several."""
        return cls({name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS})

    def part(self, start: int, stop: int) -> Surprises:
        """Frames `start` to `stop`."""
        rows = slice(*self.starts[[start, stop]])
        each = {name: getattr(self, name)[start:stop] for name in ARRAYS[:3]}
        return Surprises(each | {name: getattr(self, name)[rows] for name in ARRAYS[3:]})

    def getvalue(self) -> bytes:
        """All of it as an .npz file."""
        file = io.BytesIO()
        np.savez(file, **{name: getattr(self, name) for name in ARRAYS})
        return file.getvalue()

    @classmethod
    def read(cls, data: bytes | Path) -> Surprises:
        """What `getvalue` gave, or a file of it; DataError if it is none."""
        try:
            with np.load(io.BytesIO(data) if isinstance(data, bytes) else data, allow_pickle=False) as found:
                return cls({name: found[name] for name in found.files})
        except (ValueError, TypeError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"no .npz file of recorded frames: {error}") from error


def record_all(
    built: Photo,
    photos: Photos,
    movies: Movies | None,
    frames: int,
    *,
    seed: int = 0,
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Surprises:
    """Record clips, half of them from movies if there are any, the others of photos, until there are so many frames."""
    stretches = [] if movies is None else movies.stretches(SIDE, LENGTH)
    jobs = (partial(_recorded, built, photos, stretches, seed, number) for number in itertools.count())
    found: list[Surprises] = []
    for _, data in in_forks(((None, job) for job in jobs), threads):
        if data:
            found.append(Surprises.read(data))
        done = sum(map(len, found))
        if progress:
            progress(min(done, frames), frames)
        if done >= frames:
            break
    return Surprises.joined(found)


def _recorded(built: Photo, photos: Photos, stretches: Sequence[U8], seed: int, number: int) -> bytes:
    """The frames of one clip; nothing if nothing happens in it."""
    rng = np.random.default_rng([seed, number])
    filmed = len(stretches) > 0 and rng.random() < FILMED
    clip = cut(stretches[int(rng.integers(len(stretches)))], rng, SIDE) if filmed else moved(photos, rng, SIDE, LENGTH)
    frames = record(built, clip, int(rng.integers(COARSEST, len(built.steps))))
    return Surprises.of(frames).getvalue() if frames else b""
