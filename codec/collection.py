"""What is to be packed: pictures of folders, files, or of one array, read when they are needed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any, overload

import numpy as np

from codec import batch
from codec.catalogue import check_names
from codec.errors import UnsupportedInput
from codec.packing import Item
from codec.picture import Image
from codec.pixels import FORMATS, read_image

__all__ = ["ARRAY", "Collection", "save_array"]

ARRAY = ".npy"
BUNDLE = ".npz"
SUFFIXES = {*FORMATS, ".gif", ".avif", ".jp2", ".qoi"}  # of pictures in folders


class Collection(Sequence[Item]):
    """Pictures and their names, in the order of the inputs; those of a folder by their names.

    Parameters
    ----------
    without : files that are taken as clips (films.py); if there are any, there may be no pictures

    Attributes
    ----------
    dimensions : of the array that the pictures come from, 3 or 4; 0 for files

    Raises
    ------
    UnsupportedInput
        There are none, two have one name, a name is none for an archive, or an array is of another kind.
    OSError
        A file cannot be read.
    """

    def __init__(self, inputs: Sequence[str], without: Set[Path] = frozenset()) -> None:
        suffixes = {Path(source).suffix.lower() for source in inputs if Path(source) not in without}
        self._array = _read_array(inputs[0]) if suffixes == {ARRAY} and len(inputs) == 1 else None
        self.dimensions = 0 if self._array is None else self._array.ndim
        self._told: set[str] = set()
        if self._array is not None:
            return
        if both := suffixes & {ARRAY, BUNDLE}:
            remedy = "save the one that is meant with numpy.save" if BUNDLE in both else "pack them one by one"
            remedy += ", or each as a clip (T, H, W) with --axes THW"
            raise UnsupportedInput(f"an archive holds one {ARRAY} array, or picture files; {remedy}")
        self._found = [(name, path) for name, path in _pictures(inputs) if path not in without]
        if not self._found and not without:
            where = ", ".join(map(batch.shown, inputs))
            raise UnsupportedInput(f"no pictures in {where}; {ARRAY} files of folders are clips with --axes THW")
        check_names([name for name, _ in self._found])

    def __len__(self) -> int:
        return len(self._found if self._array is None else self._array)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if self._array is not None:
            return Item("", Image.of(self._array[index]))
        name, path = self._found[index]
        image = read_image(path, exact=True)
        if name not in self._told:  # it may be read again, and what was changed is told once
            self._told.add(name)
            batch.notify(str(path), image.notices)
        return Item(name, image)


def _pictures(inputs: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Names and paths of the pictures: those of a folder with their place in it."""
    for source in map(Path, inputs):
        if not source.is_dir():
            yield source.name, source
            continue
        for path in sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
            yield path.relative_to(source).as_posix(), path


def _read_array(path: str) -> Any:
    """An array of pictures, which stays on the disk until they are used; UnsupportedInput if it is none."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UnsupportedInput(f"{batch.shown(path)} is no array of numbers: {error}") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise UnsupportedInput(f"{batch.shown(path)} holds several arrays; save the one that is meant with numpy.save")
    found = f"{batch.shown(path)} holds {array.dtype} {array.shape}"
    if array.dtype not in (np.uint8, np.uint16):
        raise UnsupportedInput(f"{found}, expected uint8 or uint16: scale, round and convert it with .astype first")
    if array.ndim not in (3, 4) or array.size == 0 or (array.ndim == 4 and array.shape[3] > 4):
        expected = "expected pictures (N, H, W) or (N, H, W, C) with C = 1 .. 4; of clips, say --axes NTHW or TNHW"
        raise UnsupportedInput(f"{found}, {expected}")
    return np.asarray(array)  # a plain array, which is mapped all the same


def save_array(pictures: Any, dimensions: int) -> bytes:
    """The .npy file of an array (N, H, W, C), or (N, H, W) if it has 3 dimensions."""
    stream = io.BytesIO()
    np.save(stream, pictures[..., 0] if dimensions == 3 else pictures, allow_pickle=False)
    return stream.getvalue()
