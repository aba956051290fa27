"""Pictures -> an archive: which of them share a block, and in what order. The twin of archive.py."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec import lossless
from codec.archive import Archive, digest_of
from codec.catalogue import Block, Catalogue, Look, check_names, runs, write_catalogue
from codec.container import Chunk, Header, Kind, pack
from codec.errors import ModelMismatch, UnsupportedInput
from codec.jobs import Progress, in_order
from codec.limits import DEFAULT
from codec.model import Model
from codec.picture import Image
from codec.tile import Networks, encode_tile, largest_error, networks

__all__ = ["Item", "pack_archive"]


class Item(NamedTuple):
    """A picture and its name; pictures of an array have none."""

    name: str
    image: Image


def pack_archive(
    items: Sequence[Item],
    model: Model,
    *,
    embed: bytes | None = None,
    max_error: int = 0,
    dimensions: int = 0,
    threads: int = 0,
    progress: Progress | None = None,
    encode_file: Callable[[Image], bytes] | None = None,
    apart: bool = False,
    after: Archive | None = None,
) -> bytes:
    """Write an archive. Of large pictures there are no more in memory at once than threads, and a few.

    Parameters
    ----------
    items : pictures and their names; gone through once
    model : a lossless model, for the pictures that stand side by side; any model that the archive refers to if none do
    embed : bytes of the model file, to go into the archive; otherwise the model is referred to by its id
    max_error : see `lossless.encode`
    dimensions : of the array that the pictures come from, 3 or 4: they have no names then. 0 for pictures with names
    threads : the bytes do not depend on it
    encode_file : makes a file of a picture that stands on its own; if it is not given, exactly, by the same model
    apart : all pictures stand on their own
    after : an archive that these pictures are added to. Its blocks are taken over byte for byte, and so is its model:
        `model`, `max_error` and `dimensions` have to be those that it was made with.

    Raises
    ------
    UnsupportedInput, ModelMismatch
        No items, a name that is not a relative path or comes twice, a bound that is too large for a picture, something
        that does not fit the archive it is added to, or more blocks than a file holds.
    """
    if not items:
        raise UnsupportedInput("there are no pictures to pack")
    if after is not None:
        _check_fits(after, model, max_error, dimensions)
    built = None if apart else networks(model)
    alone = encode_file or partial(lossless.encode, model=model, max_error=max_error, threads=1)
    gathered = _Gathered(0 if built is None else len(built.nets), max_error, dimensions, after)

    def read() -> Iterator[tuple[int, Callable[[], bytes]]]:
        for number, item in enumerate(items):
            if (image := gathered.add(number, item)) is not None:
                yield number, partial(alone, image)
            if progress:
                progress(number, 2 * len(items))

    files = list(in_order(read(), threads, len(items)))
    if not dimensions:
        check_names(gathered.names)
    shared = sorted(gathered.shared, key=lambda each: each[:2])
    layout = list(runs([look for look, _, _ in shared]))
    room = DEFAULT.max_chunks - 2 - (len(after.blocks) if after else 0)
    if (count := len(files) + len(layout)) > room:
        raise UnsupportedInput(f"{count:,} blocks, and there is room for {room:,}; make several archives")
    blocks = list[bytes]()
    images = [image for _, _, image in shared]
    for done, data in enumerate(_coded(built, layout, images, max_error, threads) if built else (), 1):
        blocks.append(data)
        if progress:
            progress(len(items) + len(items) * done // len(layout), 2 * len(items))
    order = np.array([number for _, number, _ in shared] + [number for number, _ in files], np.int64)
    layout += [Block(1, None)] * len(files)
    blocks += [data for _, data in files]
    if after is not None:
        order = np.concatenate([after.catalogue.order, order + len(after)])
        layout, blocks, embed = [*after.catalogue.layout, *layout], [*after.blocks, *blocks], after.embedded
    index = write_catalogue(Catalogue(tuple(layout), max_error, dimensions, tuple(gathered.names), order))
    largest = gathered.largest
    sizes = largest.width, largest.height, largest.channels, largest.depth
    header = Header(Kind.ARCHIVE, *sizes, len(order), model.id, digest_of(index, blocks))
    return pack(header, [*([Chunk("M", embed)] if embed else []), Chunk("I", index), *(Chunk("B", b) for b in blocks)])


class _Gathered:
    """Pictures on their way into an archive; those of at most `planes` channels may stand side by side.

    Attributes
    ----------
    names : of all, those of the archive that they are added to first
    shared : look, number and picture of those that stand side by side
    largest : look of the picture with the most pixels
    """

    def __init__(self, planes: int, max_error: int, dimensions: int, after: Archive | None) -> None:
        self._planes, self._error, self._dimensions = planes, max_error, dimensions
        self.names = [] if after is None else list(after.catalogue.names)
        self.shared = list[tuple[Look, int, Image]]()
        self.largest = Look(0, 0, 0, False, 0) if after is None else after.largest
        self._like: NDArray[Any] | None = after.image(0).pixels if after is not None and dimensions else None

    def add(self, number: int, item: Item) -> Image | None:
        """Take a picture in; it is returned if it has to stand on its own."""
        image = item.image.expanded() if self._error else item.image
        if self._error > largest_error(image.bit_depth):
            what = f"{item.name or number}: samples of {image.bit_depth} bits cannot be {self._error} off"
            raise UnsupportedInput(f"{what}; pack it without a bound")
        if self._dimensions:
            pixels = image.pixels
            self._like = like = pixels if self._like is None else self._like
            if (pixels.shape, pixels.dtype) != (like.shape, like.dtype):
                found = f"{pixels.shape} of {pixels.dtype}, and {like.shape} of {like.dtype}"
                raise UnsupportedInput(f"pictures of one array have one shape and type, not {found}")
        else:
            self.names.append(item.name)
        found_look = Look(image.height, image.width, image.channels, image.alpha is not None, image.bit_depth)
        self.largest = max(self.largest, found_look, key=lambda look: look.height * look.width)
        look = Look.of(image)
        if look is None or look.channels > self._planes:
            return image
        self.shared.append((look, number, image))
        return None


def _coded(
    built: Networks, layout: Sequence[Block], images: Sequence[Image], max_error: int, threads: int
) -> Iterator[bytes]:
    """Data of the blocks of pictures that stand side by side."""

    def code(look: Look, part: Sequence[Image]) -> bytes:
        planes = [image.alpha for image in part if image.alpha is not None]
        colour = np.stack([image.colour for image in part])
        return encode_tile(built, look.plan(max_error), colour, np.stack(planes) if planes else None)

    starts = itertools.accumulate((block.count for block in layout), initial=0)
    jobs = (
        (None, partial(code, block.look, images[first : first + block.count]))
        for block, first in zip(layout, starts, strict=False)
        if block.look is not None
    )
    return (data for _, data in in_order(jobs, threads, len(layout)))


def _check_fits(after: Archive, model: Model, max_error: int, dimensions: int) -> None:
    """UnsupportedInput or ModelMismatch unless pictures of this kind can be added to an archive."""
    if after.header.model_id != model.id:
        raise ModelMismatch(f"the archive was made with model {after.header.model_id.hex()}, not {model.id.hex()}")
    if after.catalogue.error != max_error:
        raise UnsupportedInput(f"the archive was made with an error of {after.catalogue.error}, not {max_error}")
    if after.catalogue.dimensions != dimensions:
        kinds = {0: "pictures with names", 3: "an array (N, H, W)", 4: "an array (N, H, W, C)"}
        raise UnsupportedInput(f"the archive holds {kinds[after.catalogue.dimensions]}, not {kinds[dimensions]}")
