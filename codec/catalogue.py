"""The index of an archive: what its blocks hold, and what the pictures are called.

index = zlib of JSON: {"blocks": [[count, height, width, channels, alpha, depth] or [1], ...], "error": N,
                       "dimensions": of the array, or 0, "names": [...], "order": [...]}
"""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from codec.errors import CorruptStream, LimitExceeded, UnsupportedInput
from codec.picture import Image
from codec.tile import Plan

__all__ = ["Block", "Catalogue", "Look", "check_names", "read_catalogue", "runs", "write_catalogue"]

BLOCK_PIXELS = 1 << 14  # of pictures side by side: what has to be decoded for one of them
MAX_NAME = 1024  # characters
MAX_INDEX = 1 << 26  # bytes of JSON
SIDE = 9  # of a plan; pictures of archives are never cut in tiles


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
        if image.palette is not None or image.icc or image.exif or image.height * image.width > BLOCK_PIXELS:
            return None
        return cls(image.height, image.width, image.channels, image.alpha is not None, image.bit_depth)

    def plan(self, error: int) -> Plan:
        return Plan(self.channels, self.alpha, self.depth, error, SIDE)


@dataclass(frozen=True, slots=True)
class Block:
    """`count` pictures of a look; or one picture as a file of its own, without."""

    count: int
    look: Look | None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What an index says.

    Attributes
    ----------
    layout : the blocks
    error : bound of the error of colour
    dimensions : of the array that the pictures come from, 3 or 4; 0 for pictures with names
    names : in the order in which the pictures were packed; numbers for those of an array
    order : which picture stands at each place of the blocks
    """

    layout: tuple[Block, ...]
    error: int
    dimensions: int
    names: tuple[str, ...]
    order: tuple[int, ...]


def check_names(names: Sequence[str]) -> None:
    """UnsupportedInput unless all names are different relative paths that stay inside the folder they go to."""
    for name in names:
        parts = PurePosixPath(name).parts
        bad = not parts or name.startswith("/") or ".." in parts or name != "/".join(parts) or len(name) > MAX_NAME
        if bad or any(c in name for c in "\\:\0") or any(ord(c) < 32 for c in name):
            raise UnsupportedInput(f"{name!r} is no name for a picture: a relative path without '..', '\\' and ':'")
    if len(set(names)) != len(names):
        raise UnsupportedInput(f"two pictures are called {next(n for n in names if list(names).count(n) > 1)!r}")


def runs(looks: Sequence[Look | None]) -> Iterator[Block]:
    """Pictures of one look in blocks of at most BLOCK_PIXELS."""
    for look, run in itertools.groupby(looks):
        count = len(list(run))
        most = 1 if look is None else max(1, BLOCK_PIXELS // (look.height * look.width))
        while count > 0:
            yield Block(min(count, most), look)
            count -= most


def write_catalogue(catalogue: Catalogue) -> bytes:
    """Data of chunk I."""
    index: dict[str, Any] = {
        "blocks": [[b.count, *map(int, b.look)] if b.look else [b.count] for b in catalogue.layout]
    }
    index |= {"error": catalogue.error, "dimensions": catalogue.dimensions}
    if not catalogue.dimensions:
        index["names"] = [catalogue.names[i] for i in catalogue.order]
    if list(catalogue.order) != sorted(catalogue.order):
        index["order"] = list(catalogue.order)
    return zlib.compress(json.dumps(index, ensure_ascii=False, separators=(",", ":")).encode(), 9)


def read_catalogue(data: bytes, blocks: int, pictures: int) -> Catalogue:
    """The twin of `write_catalogue`: CorruptStream unless it makes sense, for so many blocks and pictures."""
    index = _inflated(data)

    def require(true: bool, what: str) -> None:
        if not true:
            raise CorruptStream(f"the index of the archive: {what}")

    require(isinstance(index, dict), "it is no object")
    rows, error, dimensions = (index.get(key) for key in ("blocks", "error", "dimensions"))
    require(isinstance(rows, list) and len(rows) == blocks, f"it does not list {blocks} blocks")
    require(type(error) is int and 0 <= error <= 1 << 15, "its error is no number in range")
    require(dimensions in (0, 3, 4), "its dimensions are not 0, 3 or 4")
    layout = list[Block]()
    for row in rows:
        numbers = (
            isinstance(row, list) and len(row) in (1, 6) and all(type(n) is int and 0 < n < 1 << 31 for n in row[:4])
        )
        require(numbers and all(type(n) is int and n >= 0 for n in row), "a block is not described by 1 or 6 numbers")
        if len(row) == 1:
            require(row[0] == 1, "a file holds one picture")
            layout.append(Block(1, None))
            continue
        count, height, width, channels, alpha, depth = row
        require(channels in (1, 3) and alpha in (0, 1) and 1 <= depth <= 16, "a look that no picture has")
        require(count * height * width <= BLOCK_PIXELS, "a block of too many pixels")
        require(error <= ((1 << depth) - 1) // 2, "an error that is too large for the samples")
        layout.append(Block(count, Look(height, width, channels, bool(alpha), depth)))
    total = sum(block.count for block in layout)
    require(total == pictures, f"{total} pictures, and the header says {pictures}")
    names = index.get("names", [])
    require(isinstance(names, list) and all(isinstance(name, str) for name in names), "names that are none")
    require(len(names) == (0 if dimensions else total), "as many names as pictures are needed")
    order = index.get("order", list(range(total)))
    require(isinstance(order, list) and all(type(n) is int for n in order), "an order that is none")
    require(sorted(order) == list(range(total)), "an order that leaves pictures out")
    try:
        check_names(names)
    except UnsupportedInput as refused:
        raise CorruptStream(f"the index of the archive: {refused}") from None
    if not names:
        digits = len(str(total - 1))
        ordered = [f"{number:0{digits}d}" for number in range(total)]
    else:
        ordered = [""] * total
        for place, number in enumerate(order):
            ordered[number] = names[place]
    return Catalogue(tuple(layout), error, dimensions, tuple(ordered), tuple(order))


def _inflated(data: bytes) -> Any:
    inflate = zlib.decompressobj()
    try:
        text = inflate.decompress(data, MAX_INDEX + 1)
        if len(text) > MAX_INDEX:
            raise LimitExceeded(f"an index of more than {MAX_INDEX} bytes")
        if not inflate.eof or inflate.unused_data:
            raise CorruptStream("the index is cut, or goes on after its end")
        return json.loads(text.decode())
    except (zlib.error, ValueError, RecursionError) as error:
        raise CorruptStream(f"the index is damaged: {error}") from None
