"""Labelled sets of small pictures: MNIST, Fashion-MNIST, or anything in the same form.

one .npz with train_images, train_labels, test_images, test_labels        or
a folder with the four files of MNIST's own format (IDX), bare or gzipped
"""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.rate_distortion import MeasureError

__all__ = ["ImageSet", "load"]

NAMES = ("train_images", "train_labels", "test_images", "test_labels")
IDX = {  # the names that these files have had for ever
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Pictures (N, pixels) uint8 and labels (N,) int64, which count from 0, for training and for testing."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]

    @property
    def pixels(self) -> int:
        """Of one picture."""
        return int(self.train_images.shape[1])

    @property
    def classes(self) -> int:
        """Labels are smaller than that."""
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1

    @property
    def digest(self) -> str:
        """Of everything in it: equal digests, equal sets."""
        hasher = hashlib.blake2b(digest_size=8)
        for name in NAMES:
            array = getattr(self, name)
            hasher.update(f"{name} {array.shape}".encode())
            hasher.update(array.tobytes())
        return hasher.hexdigest()


def load(path: Path) -> ImageSet:
    """Read a set from an .npz file or from a folder of IDX files.

    Raises
    ------
    MeasureError
        It is not such a set; the message says what is missing.
    OSError
        It cannot be read.
    """
    arrays = {name: _idx(path, stem) for name, stem in IDX.items()} if path.is_dir() else _npz(path)
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if images.dtype != np.uint8 or images.ndim < 2 or 0 in images.shape:
            raise MeasureError(f"{path}: {part}_images should be (N, height, width) uint8, got {_form(images)}")
        if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1] or labels.min() < 0:
            raise MeasureError(f"{path}: {part}_labels should be {len(images)} whole numbers, got {_form(labels)}")
    if arrays["train_images"].shape[1:] != arrays["test_images"].shape[1:]:
        raise MeasureError(f"{path}: pictures for training and for testing have different sizes")
    return ImageSet(*(_flat(arrays[name]) for name in NAMES))


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(len(array), -1) if array.ndim > 1 else array.astype(np.int64)


def _form(array: NDArray[Any]) -> str:
    return f"{array.shape} {array.dtype}"


def _npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            if missing := [name for name in NAMES if name not in file.files]:
                raise MeasureError(f"{path} has no {', '.join(missing)}")
            return {name: file[name] for name in NAMES}
    except (AttributeError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise MeasureError(f"{path} is no .npz file of arrays: {error}") from error


def _idx(folder: Path, stem: str) -> NDArray[np.uint8]:
    bare, packed = folder / stem, folder / f"{stem}.gz"
    try:
        data = bare.read_bytes() if bare.exists() else gzip.decompress(packed.read_bytes())
        kind, rank = struct.unpack_from(">HBB", data)[1:]
        shape = struct.unpack_from(f">{rank}I", data, 4)
    except FileNotFoundError as error:
        raise MeasureError(f"{folder} has neither {stem} nor {stem}.gz") from error
    except (gzip.BadGzipFile, EOFError, struct.error, zlib.error) as error:
        raise MeasureError(f"{folder / stem} is no IDX file: {error}") from error
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * rank)
    if kind != 8 or values.size != np.prod(shape, dtype=object):  # type 8: unsigned bytes
        raise MeasureError(f"{folder / stem} is no IDX file of {shape} bytes")
    return values.reshape(shape).copy()  # torch wants what may be written to
