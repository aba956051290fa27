"""A folder of pictures -> batches of crops. A batch depends on the random generator alone, so that runs can resume.

Also the digits that clips are made of, see `moving_mnist.py`.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from codec.transform import BLOCK
from training.errors import DataError

__all__ = ["Photos", "crops", "load_digits", "symmetry"]

U8 = NDArray[np.uint8]

SUFFIXES = {".png", ".webp", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}
CACHE_BYTES = 2**30  # of decoded pictures; further ones are decoded each time
SYMMETRIES = 8


class Photos:
    """The pictures of a folder, in the order of their names, decoded when they are first asked for.

    Parameters
    ----------
    folder : pictures in subfolders do not count
    smallest : pictures with a side below it are left out

    Raises
    ------
    DataError
        There is no such folder, or no picture in it that is large enough.
    """

    def __init__(self, folder: Path, smallest: int = BLOCK, cache_bytes: int = CACHE_BYTES) -> None:
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder} to take pictures from")
        names = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
        self.paths = [path for path in names if min(_size(path)) >= smallest]
        if not self.paths:
            what = f"{len(names)} pictures, all with a side below {smallest}" if names else "no pictures"
            raise DataError(f"{folder} holds {what}; expected files with a suffix of {', '.join(sorted(SUFFIXES))}")
        self.left_out = len(names) - len(self.paths)
        self._cache: dict[int, U8] = {}
        self._room = cache_bytes

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> U8:
        """(H, W, 3) uint8, RGB."""
        if number in self._cache:
            return self._cache[number]
        pixels = _read(self.paths[number])
        if pixels.nbytes <= self._room:
            self._room -= pixels.nbytes
            self._cache[number] = pixels
        return pixels

    def spread(self, most: int | None = None) -> range:
        """Numbers of at most `most` pictures, spread over all."""
        return range(0, len(self), 1 if most is None else -(-len(self) // most))

    def whole(self, most: int | None = None, longest: int = 2**30) -> Iterator[Tensor]:
        """At most `most` pictures, spread over all, cut to whole blocks and to `longest`: (16 h, 16 w, 3) uint8."""
        for number in self.spread(most):
            pixels = self[number]
            height, width = (min(side, longest) // BLOCK * BLOCK for side in pixels.shape[:2])
            yield torch.from_numpy(pixels[:height, :width].copy())


def crops(photos: Photos, rng: np.random.Generator, count: int, size: int, grey: float = 0.0) -> Tensor:
    """Random windows of random pictures under random symmetries.

    Parameters
    ----------
    grey : probability that the first one is made grey

    Returns
    -------
    (count, size, size, 3) float32, grey levels 0..255
    """
    batch = []
    for _ in range(count):
        pixels = photos[int(rng.integers(len(photos)))]
        top, left = (int(rng.integers(side - size + 1)) for side in pixels.shape[:2])
        window = pixels[top : top + size, left : left + size]
        batch.append(symmetry(window, int(rng.integers(SYMMETRIES))))
    x = torch.from_numpy(np.stack(batch)).float()
    if rng.random() < grey:
        x[:1] = x[:1].mean(-1, keepdim=True).round()
    return x


def symmetry(pixels: U8, which: int) -> U8:
    """One of the 8 symmetries of the square: bit 0 mirrors left and right, 1 top and bottom, 2 swaps the axes."""
    if which & 1:
        pixels = pixels[:, ::-1]
    if which & 2:
        pixels = pixels[::-1]
    return pixels.transpose(1, 0, 2) if which & 4 else pixels


def load_digits(path: Path, part: Literal["train", "test"]) -> U8:
    """Digits such as those of MNIST: `train_images` or `test_images` of an .npz file, or all of an .npy file.

    Returns
    -------
    (N, H, W) uint8

    Raises
    ------
    DataError
        The file has no such array.
    OSError
        It cannot be read.
    """
    name = f"{part}_images"
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            images = found if isinstance(found, np.ndarray) else found[name]
    except KeyError as error:
        raise DataError(f"{path} has no {name}") from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is no .npz or .npy file of arrays: {error}") from error
    if images.dtype != np.uint8 or images.ndim != 3 or 0 in images.shape:
        raise DataError(f"{path}: expected {name} of (N, height, width) uint8, got {images.shape} {images.dtype}")
    return images


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as picture:
            return picture.size
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is not a picture that can be read: {error}") from error


def _read(path: Path) -> U8:
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be decoded: {error}") from error
