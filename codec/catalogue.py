"""The index of an archive: what its blocks hold, and what the pictures are called.

index = zlib of: error (u16), dimensions (u8), flags (u8), a row for each block (count, height, width, channels, alpha,
        depth; 15 bytes), the order (u32 for each picture, if flagged), names (UTF-8, each ended by a zero byte)

Numbers are little endian. The length of all but the names is known before anything is inflated.
"""

from __future__ import annotations

import itertools
import unicodedata
import zlib
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.errors import CorruptStream, LimitExceeded, UnsupportedInput
from codec.picture import Image
from codec.tile import Plan, largest_error

__all__ = ["Block", "Catalogue", "Look", "check_name", "check_names", "read_catalogue", "runs", "write_catalogue"]

BLOCK_PIXELS = 1 << 13  # of several pictures side by side: what has to be decoded for one of them
PICTURE_PIXELS = 1 << 14  # of a picture that may stand in a block
MAX_NAME = 1024  # bytes of UTF-8
MAX_NAMES = 1 << 26  # bytes of all names
SIDE = 9  # of a plan; pictures of archives are never cut in tiles
DIMENSIONS = (0, 3, 4, 5)
ORDERED = 1  # flag: the order of the pictures is not that of the blocks
FRAMES_FIRST = 2  # flag: of an array of clips; its first axis is that of the frames, the second one counts clips

_ROW = np.dtype(
    [("count", "<u4"), ("height", "<u4"), ("width", "<u4"), ("channels", "u1"), ("alpha", "u1"), ("depth", "u1")]
)
_HEAD = np.dtype([("error", "<u2"), ("dimensions", "u1"), ("flags", "u1")])


class Look(NamedTuple):
    """What pictures have in common that can stand side by side."""

    height: int
    width: int
    channels: int
    alpha: bool
    depth: int

    @classmethod
    def of(cls, image: Image) -> Look | None:
        """The look of a picture, if it is small and plain: no palette, no profile, no EXIF."""
        if image.palette is not None or image.icc is not None or image.exif is not None:
            return None
        if image.height * image.width > PICTURE_PIXELS:
            return None
        return cls(image.height, image.width, image.channels, image.alpha is not None, image.bit_depth)

    @property
    def most(self) -> int:
        """How many such pictures a block holds at most."""
        return max(1, BLOCK_PIXELS // (self.height * self.width))

    def plan(self, error: int) -> Plan:
        return Plan(self.channels, self.alpha, self.depth, error, SIDE)


@dataclass(frozen=True, slots=True)
class Block:
    """`count` pictures of a look; or, without one, a file: one picture, or `count` clips (clips.py)."""

    count: int
    look: Look | None


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """What an index says.

    Attributes
    ----------
    layout : the blocks
    error : bound of the error of colour, in blocks of pictures side by side
    dimensions : of the array that the pictures come from, 3 or 4, or clips, 4 or 5; 0 for those with names
    names : in the order in which the pictures were packed; none for those of an array
    order : (pictures,) which picture stands at each place of the blocks
    frames_first : the array that clips come from is (T, N, ...), not (N, T, ...)
    """

    layout: tuple[Block, ...]
    error: int
    dimensions: int
    names: tuple[str, ...]
    order: NDArray[np.int64]
    frames_first: bool = False


def check_names(names: Sequence[str]) -> None:
    """UnsupportedInput unless all names are different relative paths that stay inside the folder they go to."""
    seen: set[str] = set()
    for name in names:
        check_name(name, seen)
        seen.add(name)
    if sum(len(name.encode()) + 1 for name in names) > MAX_NAMES:
        raise UnsupportedInput(f"names of more than {MAX_NAMES:,} bytes together; make several archives")


def check_name(name: str, taken: Container[str]) -> None:
    """UnsupportedInput unless a name is a relative path that stays inside, and none of those that are taken."""
    if fault := _fault(name):
        shown = ascii(name if len(name) <= 80 else name[:77] + "...")
        raise UnsupportedInput(f"{shown} is no name for a picture: {fault}")
    if name in taken:
        raise UnsupportedInput(f"two pictures are called {name!r}; each needs a name of its own")


def _fault(name: str) -> str:
    """What is wrong with a name; nothing if it is a relative path that is safe everywhere."""
    if not name.isprintable() and any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name):
        return "it has control characters, or bytes that are no text"
    if len(name.encode()) > MAX_NAME:
        return f"it is longer than {MAX_NAME} bytes"
    if "\\" in name or ":" in name:
        return "it has a '\\' or ':', which name drives and folders on some systems"
    if not {"", ".", ".."}.isdisjoint(name.split("/")):
        return "expected a relative path without '..'"
    return ""


def runs(looks: Sequence[Look]) -> Iterator[Block]:
    """Pictures of one look in blocks."""
    for look, run in itertools.groupby(looks):
        count = len(list(run))
        while count > 0:
            yield Block(min(count, look.most), look)
            count -= look.most


def write_catalogue(catalogue: Catalogue) -> bytes:
    """Data of chunk I."""
    ordered = bool((catalogue.order != np.arange(len(catalogue.order))).any())
    flags = (ORDERED if ordered else 0) | (FRAMES_FIRST if catalogue.frames_first else 0)
    head = np.array([(catalogue.error, catalogue.dimensions, flags)], _HEAD)
    rows = np.array([(b.count, *(b.look or (0, 0, 0, 0, 0))) for b in catalogue.layout], _ROW)
    order = catalogue.order.astype("<u4").tobytes() if ordered else b""
    names = b"".join(name.encode() + b"\0" for name in catalogue.names)
    return zlib.compress(head.tobytes() + rows.tobytes() + order + names, 9)


def read_catalogue(data: bytes, blocks: int, pictures: int) -> Catalogue:
    """The twin of `write_catalogue`, for so many blocks and pictures.

    Raises
    ------
    CorruptStream, LimitExceeded
        It makes no sense, or holds more names than `MAX_NAMES`.
    """
    _require(blocks > 0, "there are no blocks")
    source = _Inflated(data)
    error, dimensions, flags = (int(n) for n in source.table(_HEAD, 1)[0])
    known = ORDERED | (FRAMES_FIRST if dimensions > 3 else 0)
    _require(dimensions in DIMENSIONS and flags & ~known == 0, f"dimensions {dimensions}, flags {flags}")
    rows = source.table(_ROW, blocks)
    layout = tuple(_block(*row, error=error) for row in rows.tolist())
    total = sum(block.count for block in layout)
    _require(total == pictures, f"{total} pictures, and the header says {pictures}")
    looks = {block.look for block in layout}
    if dimensions:
        _require(len(looks) == 1, "an array of pictures that differ")
        clips = dimensions == 5 or bool(flags & FRAMES_FIRST)
        _require(looks <= {None} or not clips, "an array of clips that holds pictures")
        _require(looks <= {None} or dimensions == 4 or all(look and look[2:4] == (1, False) for look in looks),
                 "an array of 3 dimensions with channels")  # fmt: skip
    order = np.arange(pictures)
    if flags & ORDERED:
        order = source.table(np.dtype("<u4"), pictures).astype(np.int64)
        _require(int(order.max()) < pictures, "an order that names pictures that are not there")
        _require(bool((np.bincount(order, minlength=pictures) == 1).all()), "an order that leaves pictures out")
    names = source.rest(0 if dimensions else pictures)
    try:
        check_names(names)
    except UnsupportedInput as refused:
        raise CorruptStream(f"the index of the archive: {refused}") from None
    return Catalogue(layout, error, dimensions, names, order, bool(flags & FRAMES_FIRST))


def _block(count: int, height: int, width: int, channels: int, alpha: int, depth: int, *, error: int) -> Block:
    if channels == 0:
        _require((height, width, alpha, depth) == (0, 0, 0, 0) and count > 0, "a look of pictures in a file")
        return Block(count, None)
    _require(channels in (1, 3) and alpha in (0, 1) and 1 <= depth <= 16, "a look that no picture has")
    look, what = Look(height, width, channels, bool(alpha), depth), f"a block of {count} x {height} x {width} pixels"
    _require(0 < height * width <= PICTURE_PIXELS and 0 < count <= look.most, what)
    _require(error <= largest_error(depth), f"an error of {error} for samples of {depth} bits")
    return Block(count, look)


class _Inflated:
    """The text of an index, inflated as far as it is asked for, so that nothing is larger than it should be."""

    def __init__(self, data: bytes) -> None:
        self._inflate, self._left = zlib.decompressobj(), data

    def _take(self, most: int) -> bytes:
        try:
            out = self._inflate.decompress(self._left, most) if most else b""
        except zlib.error as error:
            raise CorruptStream(f"the index of the archive is damaged: {error}") from None
        self._left = self._inflate.unconsumed_tail
        return out

    def table(self, kind: np.dtype[Any], rows: int) -> NDArray[Any]:
        """Rows of a table; CorruptStream if there are fewer."""
        data = self._take(kind.itemsize * rows)
        _require(len(data) == kind.itemsize * rows, "it ends too early")
        return np.frombuffer(data, kind)

    def rest(self, count: int) -> tuple[str, ...]:
        """The names, which end the index."""
        most = min(count * (MAX_NAME + 1), MAX_NAMES)
        data = self._take(most + 1)
        if len(data) > MAX_NAMES:
            raise LimitExceeded(f"names of more than {MAX_NAMES:,} bytes")
        _require(len(data) <= most, "names that are too long, or more than pictures")
        _require(self._inflate.eof and not self._inflate.unused_data, "it is cut, or goes on after its end")
        _require(data.count(b"\0") == count and data[-1:] in (b"", b"\0"), f"other than {count} names")
        try:
            return tuple(data.decode().split("\0")[:-1])
        except UnicodeDecodeError as error:
            raise CorruptStream(f"the index of the archive: a name is no UTF-8: {error}") from None


def _require(true: bool, what: str) -> None:
    if not true:
        raise CorruptStream(f"the index of the archive: {what}")
