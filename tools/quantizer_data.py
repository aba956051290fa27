"""Small pictures for studies of quantisers, from whatever form they have.

    .npz, or a folder of IDX files    as for `tools.image_sets`
    .npy                              (N, height, width) or (N, height, width, bands) uint8
    a folder of photos                crops of them

Of an .npy file the last seventh is held out; of photos those in the folder val/ if there are train/ and val/, and every
seventh one if not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools import image_sets
from tools.image_sets import IDX, ImageSet
from tools.rate_distortion import MeasureError
from training.data import Photos
from training.errors import DataError

__all__ = ["CROP", "held_back", "name", "read"]

CROP = 16  # pixels, a side
CROPS, HELD_OUT = 60_000, 10_000  # drawn for training and for testing, as many as MNIST has
PART = 7  # one picture of so many is held out where nothing says which

U8 = NDArray[np.uint8]


def name(path: Path) -> str:
    """What a set is called."""
    return path.resolve().stem if path.is_file() else path.resolve().name


def read(path: Path, crops: int = CROPS, held_out: int = HELD_OUT) -> ImageSet:
    """A set, with all labels 0 where it has none.

    Raises
    ------
    MeasureError
        It has none of the forms above; the message says what is missing.
    OSError
        It cannot be read.
    """
    if path.is_dir() and not any((path / f"{stem}{end}").exists() for stem in IDX.values() for end in ("", ".gz")):
        return _photos(path, crops, held_out)
    if path.suffix != ".npy":
        return image_sets.load(path)
    try:
        images = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise MeasureError(f"{path} is no .npy file: {error}") from error
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or len(images) < PART or 0 in images.shape:
        form = f"{images.shape} {images.dtype}"
        raise MeasureError(f"{path} should hold (N, height, width) uint8 with N at least {PART}, got {form}")
    first = len(images) - len(images) // PART
    return _set(images[:first], images[first:])


def held_back(images: ImageSet) -> ImageSet:
    """The training part alone, its last seventh as test part: what choices may be made on."""
    first = len(images.train_images) - max(1, len(images.train_images) // PART)
    return _set(images.train_images[:first], images.train_images[first:])


def _photos(folder: Path, crops: int, held_out: int) -> ImageSet:
    try:
        if (folder / "train").is_dir() and (folder / "val").is_dir():
            train, test = (Photos(folder / part, CROP, cache_bytes=0) for part in ("train", "val"))
            return _set(_drawn(train, range(len(train)), crops), _drawn(test, range(len(test)), held_out))
        photos = Photos(folder, CROP, cache_bytes=0)  # each is looked at once
        if len(photos) < PART:
            raise MeasureError(f"{folder} holds {len(photos)} photos; at least {PART} are needed, or train/ and val/")
        test = range(0, len(photos), PART)
        return _set(_drawn(photos, sorted({*range(len(photos))} - {*test}), crops), _drawn(photos, test, held_out))
    except DataError as error:
        raise MeasureError(str(error)) from error


def _drawn(photos: Photos, numbers: Sequence[int], count: int) -> U8:
    """Windows (count, CROP, CROP, 3) of photos, as many of each, in their order: always the same ones."""
    rng, found = np.random.default_rng(0), []
    shares = np.diff(np.linspace(0, count, len(numbers) + 1).round().astype(int))
    for number, share in zip(numbers, shares, strict=True):
        pixels = photos[number]
        tops, lefts = (rng.integers(side - CROP + 1, size=share) for side in pixels.shape[:2])
        found += [pixels[top : top + CROP, left : left + CROP] for top, left in zip(tops, lefts, strict=True)]
    return np.stack(found)


def _set(train: U8, test: U8) -> ImageSet:
    flat = [part.reshape(len(part), -1) for part in (train, test)]
    labels = [np.zeros(len(part), np.int64) for part in flat]
    return ImageSet(flat[0], labels[0], flat[1], labels[1])
