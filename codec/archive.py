"""Many pictures in one file, each to be had on its own: the two-part code of a set.

    file   = header, [M: the model], I: index, B: block, B: block, ...           L(H) + L(D|H)
    block  = pictures of one kind side by side, as a tile (tile.py); or one picture as a file of its own
    index  = what the blocks hold, and names (catalogue.py)

Pictures that are small and plain share a block, and with it the state of the coder: a digit costs its bits, no header.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from codec import lossless, residual
from codec.catalogue import Block, Catalogue, Look, check_names, read_catalogue, runs, write_catalogue
from codec.container import Chunk, Header, Kind, pack, unpack
from codec.errors import Desync, ModelMismatch, UnsupportedInput, UnsupportedVersion
from codec.files import read_bytes
from codec.jobs import Progress, in_order
from codec.limits import DEFAULT, Limits
from codec.model import Model, find_model, unpack_model
from codec.picture import Image
from codec.tile import Mode, decode_tile, encode_tile

__all__ = ["Archive", "Item", "open_archive", "pack_archive"]

Samples = NDArray[Any]


class Item(NamedTuple):
    """A picture and its name; pictures of an array have none."""

    name: str
    image: Image


def pack_archive(
    items: Iterable[Item],
    model: Model,
    *,
    embed: bytes | None = None,
    max_error: int = 0,
    dimensions: int = 0,
    threads: int = 0,
    progress: Progress | None = None,
    encode_file: Callable[[Image], bytes] | None = None,
) -> bytes:
    """Write an archive.

    Parameters
    ----------
    items : pictures and their names
    model : a lossless model, for all of them
    embed : bytes of the model file, to go into the archive; otherwise the model is referred to by its id
    max_error : see `lossless.encode`
    dimensions : of the array that the pictures come from, 3 or 4: they have no names then. 0 for pictures with names
    encode_file : makes a file of a picture that stands on its own; all of them do if it is given. Lossless by default

    Raises
    ------
    UnsupportedInput
        No items, a name that is not a relative path, or comes twice.
    """
    listed = list(items)
    if not listed:
        raise UnsupportedInput("there are no pictures to pack")
    if not dimensions:
        check_names([item.name for item in listed])
    built = residual.residual(model)

    def single(image: Image) -> bytes:
        return lossless.encode(image, model, max_error=max_error, threads=1)

    looks = [None if encode_file else Look.of(item.image) for item in listed]
    order = sorted(range(len(listed)), key=lambda i: (looks[i] is None, looks[i] or ()))  # stable: looks together
    layout = list(runs([looks[i] for i in order]))
    starts = itertools.accumulate((block.count for block in layout), initial=0)

    def code(block: Block, first: int) -> bytes:
        images = [listed[i].image for i in order[first : first + block.count]]
        if block.look is None:
            return (encode_file or single)(images[0])
        planes = [image.alpha for image in images if image.alpha is not None]
        alpha = np.stack(planes) if planes else None
        colour = np.stack([image.colour for image in images])
        return encode_tile(built, block.look.plan(max_error), colour, alpha)

    jobs = ((block, partial(code, block, first)) for block, first in zip(layout, starts, strict=False))
    blocks = list[bytes]()
    for done, (_, data) in enumerate(in_order(iter(jobs), threads, len(layout)), 1):
        blocks.append(data)
        if progress:
            progress(done, len(layout))
    chunks = [Chunk("M", embed)] if embed else []
    names = tuple(item.name for item in listed)
    catalogue = Catalogue(tuple(layout), max_error, dimensions, names, tuple(order))
    chunks += [Chunk("I", write_catalogue(catalogue)), *(Chunk("B", data) for data in blocks)]
    widths, heights = [item.image.width for item in listed], [item.image.height for item in listed]
    first = listed[0].image
    header = Header(
        Kind.ARCHIVE, max(widths), max(heights), first.channels, first.bit_depth, len(listed), model.id, _digest(blocks)
    )
    return pack(header, chunks)


class Archive(Sequence[Samples]):
    """An archive that is open: a sequence of arrays, of which any can be had without the others.

    `archive[i]` is a picture as an array, (H, W) or (H, W, C); `archive.image(i)` an Image. Pictures come in the order
    in which they were packed.

    Raises
    ------
    CodecError
        And nothing else, whatever the bytes.
    """

    def __init__(self, data: bytes, *, model: Model | None = None, limits: Limits = DEFAULT) -> None:
        self.header, chunks = unpack(data, limits)
        if self.header.kind != Kind.ARCHIVE:
            raise UnsupportedVersion(f"a file of kind {self.header.kind.name}, expected ARCHIVE")
        self._limits = limits
        self._blocks = [chunk.data for chunk in chunks if chunk.type == "B"]
        self.embedded = next((chunk.data for chunk in chunks if chunk.type == "M"), None)  # a model file
        self._model = model if self.embedded is None else unpack_model(self.embedded, limits)
        index = next((chunk.data for chunk in chunks if chunk.type == "I"), b"")
        self.catalogue = read_catalogue(index, len(self._blocks), self.header.frames)
        self._place = np.argsort(self.catalogue.order)  # of each picture in the order of the blocks
        self._starts = [0, *itertools.accumulate(block.count for block in self.catalogue.layout)]
        self._open: tuple[int, list[Image]] | None = None  # the block that was decoded last
        if self.header.digest != _digest(self._blocks):
            raise Desync("all checksums fit, but the blocks are not those that were packed")

    def __len__(self) -> int:
        return self._starts[-1]

    @overload
    def __getitem__(self, index: int) -> Samples: ...
    @overload
    def __getitem__(self, index: slice) -> list[Samples]: ...
    def __getitem__(self, index: int | slice) -> Samples | list[Samples]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        image = self.image(index)
        return image.colour[..., 0] if image.channels == 1 and image.alpha is None else image.pixels

    def image(self, index: int) -> Image:
        """The picture number `index`; negative ones count from the end. IndexError if there is none."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"picture {index} of {len(self)}")
        place = int(self._place[index % len(self)])
        block = int(np.searchsorted(self._starts, place, side="right")) - 1
        if self._open is None or self._open[0] != block:
            self._open = block, self._decode(block)
        return self._open[1][place - self._starts[block]]

    def number(self, name: str) -> int:
        """The number of the picture of a name; KeyError if there is none."""
        try:
            return self.catalogue.names.index(name)
        except ValueError:
            raise KeyError(name) from None

    def contents(self) -> list[tuple[str, Look | None]]:
        """Names and looks, in order; None for pictures that stand on their own."""
        looks = [block.look for block in self.catalogue.layout for _ in range(block.count)]
        return [(name, looks[place]) for name, place in zip(self.catalogue.names, self._place, strict=True)]

    def _decode(self, number: int) -> list[Image]:
        """The pictures of a block."""
        block, data = self.catalogue.layout[number], self._blocks[number]
        if block.look is None:
            from codec.still import decode

            return [decode(data, model=self._needed(data), limits=self._limits, threads=1)]
        look = block.look
        plan = look.plan(self.catalogue.error)
        size = (block.count, look.height, look.width)
        built = residual.residual(self._found()) if data[:1] == bytes([Mode.RESIDUAL]) else None
        x = decode_tile(built, plan, data, size)
        colour, alpha = x[..., : look.channels], x[..., -1] if look.alpha else [None] * block.count
        return [Image(c, a, bit_depth=look.depth) for c, a in zip(colour, alpha, strict=True)]

    def _found(self) -> Model:
        """The model that side-by-side blocks need: the archive's own, the one that was given, or one by its id."""
        model = self._model or find_model(self.header.model_id)
        if model.id != self.header.model_id:
            raise ModelMismatch(f"the archive needs model {self.header.model_id.hex()}, not {model.id.hex()}")
        return model

    def _needed(self, data: bytes) -> Model | None:
        """The archive's model if a file inside it needs that one; None to look for another."""
        needed = unpack(data, self._limits)[0].model_id
        return self._model if self._model is not None and self._model.id == needed else None


class Lazy(Archive):
    """An archive on disk that is read when it is first used: it can be pickled, and opens itself in every worker."""

    def __init__(self, path: str | Path, *, limits: Limits = DEFAULT) -> None:
        self._path, self._given = Path(path), limits

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_path" not in self.__dict__ or "header" in self.__dict__:
            raise AttributeError(name)
        Archive.__init__(self, read_bytes(self._path, self._given), limits=self._given)
        return getattr(self, name)

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_given": self._given}


def open_archive(path: str | Path, *, limits: Limits = DEFAULT) -> Archive:
    """Open an archive as a sequence of arrays; torch's DataLoader takes it as a map-style data set.

    Raises
    ------
    OSError, CodecError
        When it is first used.
    """
    return Lazy(path, limits=limits)


def _digest(blocks: Sequence[bytes]) -> bytes:
    """First 4 bytes of BLAKE2b over the first 16 bytes of every block, in which stands the digest of its pixels."""
    return hashlib.blake2b(b"".join(block[:16] for block in blocks)).digest()[:4]
