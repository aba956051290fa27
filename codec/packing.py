"""Pictures and clips -> an archive: which of them share a block, and in what order. The twin of archive.py.

    items --one by one--> parts --coded, here or on other machines--> blocks --sorted--> archive

A part is what becomes a block: pictures of one look, as many as a block holds, or one picture on its own. It is coded
as soon as it is full, and its pictures are let go: in memory are the parts that wait for more, and those at work.
Clips are coded one by one, and then those that are alike are put together (clips.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.archive import Archive, digest_of
from codec.catalogue import Block, Catalogue, Look, check_name, check_names, write_catalogue
from codec.clip import Clip
from codec.clips import Film, encode_clip, is_of_sprites, together
from codec.container import Chunk, Header, Kind, pack
from codec.errors import ModelMismatch, UnsupportedInput
from codec.jobs import Progress, Run, in_forks
from codec.limits import DEFAULT
from codec.model import Model
from codec.picture import Image
from codec.still import decode, encode
from codec.tile import Plan, decode_tile, encode_tile, largest_error, networks

__all__ = ["Item", "encode_block", "encode_file", "pack_archive"]

Samples = NDArray[Any]


class Item(NamedTuple):
    """A picture and its name; pictures of an array have none."""

    name: str
    image: Image


class Part(NamedTuple):
    """Numbers of the pictures that share a block, and their look; without, of one that is a file, or of clips."""

    look: Look | None
    numbers: tuple[int, ...]


def pack_archive(
    items: Sequence[Item],
    model: Model,
    *,
    embed: bytes | None = None,
    alone: Model | None = None,
    max_error: int = 0,
    quality: float | None = None,
    dimensions: int = 0,
    verify: bool = False,
    threads: int = 0,
    run: Run | None = None,
    progress: Progress | None = None,
    after: Archive | None = None,
    films: Sequence[Film] = (),
    moving: Model | None = None,
    frames_first: bool = False,
) -> bytes:
    """Write an archive. Its bytes depend neither on `threads` nor on `run`.

    Parameters
    ----------
    items : pictures and their names; gone through once
    model : a lossless model, for the pictures that stand side by side; any that the archive refers to, if none do
    embed : bytes of the model file, to go into the archive; otherwise the model is referred to by its id
    alone : the model of pictures that stand on their own: a photo model if there is a quality, otherwise a lossless
        one; `model`, if it is not given
    max_error : see `lossless.encode`
    quality : 0 .. 100: all pictures are coded with loss, each as a file of its own
    dimensions : of the array that the pictures come from, 3 or 4: they have no names then. 0 for pictures with names
    verify : decode what has been coded, where it has been coded; `Desync` if it is not what it should be
    run : what does the jobs, if not threads; jobs are partials of functions of this module. See cluster.py.
    after : an archive that these pictures are added to. Its blocks are taken over byte for byte, and so is its model:
        `model`, `max_error` and `dimensions` have to be those that it was made with.
    films : clips and their names, which come after the pictures; exact, or with loss if there is a quality
    moving : the model of clips; None to choose what suits each
    frames_first : the array that the clips come from is (T, N, ...), not (N, T, ...)

    Raises
    ------
    UnsupportedInput, ModelMismatch
        No items, a name that is not a relative path or comes twice, a bound that is too large for a picture, something
        that does not fit the archive it is added to, or more blocks than a file holds.
    """
    if not items and not films:
        raise UnsupportedInput("there are no pictures to pack")
    if after is not None:
        _check_fits(after, model, max_error, dimensions, frames_first)
    planes = 0 if quality is not None or is_of_sprites(model) else len(networks(model).nets)
    gathered = _Gathered(planes, max_error, dimensions, after)
    room = DEFAULT.max_chunks - 2 - (len(after.blocks) if after else 0)
    file = partial(encode_file, alone or model, max_error=max_error, quality=quality, verify=verify)
    clip = partial(encode_clip, moving, quality=quality, verify=verify)

    def jobs() -> Iterator[tuple[Part | int, Callable[[], bytes]]]:
        for count, (part, images) in enumerate(gathered.parts(items)):
            if count == room:
                raise UnsupportedInput(_no_room(room))
            if part.look is None:
                yield part, partial(file, *images)
            else:
                yield part, partial(encode_block, model, part.look.plan(max_error), *_stacked(images), verify=verify)
        for number, film in gathered.films(films, len(items)):
            yield number, partial(clip, film)

    coded, done = list[tuple[Part, bytes]](), 0
    moved = list[tuple[int, bytes]]()
    run = run or partial(in_forks, threads=threads)
    with contextlib.closing(run(jobs())) as results:  # at once, if anything goes wrong: jobs may be under way
        for part, data in results:
            if isinstance(part, Part):
                coded.append((part, data))
                done += len(part.numbers)
            else:
                moved.append((part, data))
                done += 1
            if progress:
                progress(done, len(items) + len(films))
    coded += [(Part(None, numbers), data) for numbers, data in together(moved)]
    if len(coded) > room:
        raise UnsupportedInput(_no_room(room))
    coded.sort(key=lambda each: (each[0].look is None, each[0].look or (), each[0].numbers))
    if not dimensions:
        check_names(gathered.names)
    order = np.array([number for part, _ in coded for number in part.numbers], np.int64)
    layout, blocks = [Block(len(part.numbers), part.look) for part, _ in coded], [data for _, data in coded]
    if after is not None:
        order = np.concatenate([after.catalogue.order, order + len(after)])
        layout, blocks, embed = [*after.catalogue.layout, *layout], [*after.blocks, *blocks], after.embedded
    names = tuple(gathered.names)
    index = write_catalogue(Catalogue(tuple(layout), max_error, dimensions, names, order, frames_first))
    largest = gathered.largest
    sizes = largest.width, largest.height, largest.channels, largest.depth
    header = Header(Kind.ARCHIVE, *sizes, len(order), model.id, digest_of(index, blocks))
    return pack(header, [*([Chunk("M", embed)] if embed else []), Chunk("I", index), *(Chunk("B", b) for b in blocks)])


def encode_block(model: Model, plan: Plan, colour: Samples, alpha: Samples | None, *, verify: bool) -> bytes:
    """The data of a block: n pictures side by side, (n, h, w, channels), and alpha, (n, h, w), if they have any."""
    built = networks(model)
    data = encode_tile(built, plan, colour, alpha)
    if verify:
        decode_tile(built, plan, data, colour.shape[:-1])  # which compares digests of the samples
    return data


def encode_file(model: Model, image: Image, *, max_error: int, quality: float | None, verify: bool) -> bytes:
    """The file of a picture that stands on its own: exact or within `max_error`, or with loss if there is a quality."""
    if quality is None:
        data = encode(image, quality=0, max_error=max_error, model=model, threads=1)
    else:
        data = encode(image.expanded().filled(), quality=quality, model=model, threads=1)
    if verify:
        decode(data, model=model, threads=1)
    return data


class _Gathered:
    """Pictures on their way into an archive; those of at most `planes` channels may stand side by side.

    Attributes
    ----------
    names : of all, those of the archive that they are added to first
    largest : look of the picture with the most pixels
    """

    def __init__(self, planes: int, max_error: int, dimensions: int, after: Archive | None) -> None:
        self._planes, self._error, self._dimensions = planes, max_error, dimensions
        self.names = [] if after is None else list(after.catalogue.names)
        self._seen = set(self.names)
        self.largest = Look(0, 0, 0, False, 0) if after is None else after.largest
        array = after if dimensions else None
        self._film: tuple[int, ...] | None = None  # shape of the clips of an array
        if array is not None and array.entry(0).frames:
            self._film, array = array.entry(0).film, None
        self._like: Samples | None = None if array is None else array.image(0).pixels

    def parts(self, items: Sequence[Item]) -> Iterator[tuple[Part, list[Image]]]:
        """The parts, each as soon as it is full, and its pictures."""
        waiting: dict[Look, list[tuple[int, Image]]] = {}
        for number, item in enumerate(items):
            image = self._taken(number, item)
            look = Look.of(image)
            if look is None or look.channels > self._planes:
                yield Part(None, (number,)), [image]
                continue
            waiting.setdefault(look, []).append((number, image))
            if len(waiting[look]) == look.most:
                yield _part(look, waiting.pop(look))
        while waiting:
            yield _part(*waiting.popitem())

    def films(self, films: Iterable[Film], start: int) -> Iterator[tuple[int, Clip]]:
        """Numbers of the clips, from `start` on, and the clips."""
        for number, (name, clip) in enumerate(films, start):
            if self._dimensions:
                shape = (clip.frames or 0, *clip.shape)
                self._film = self._film or shape
                if shape != self._film or self._like is not None:
                    raise UnsupportedInput(f"clips of one array have one shape, not {shape} and another one")
            else:
                self._named(name)
            self._grown(Look(clip.height, clip.width, clip.channels, False, 8))
            yield number, clip

    def _taken(self, number: int, item: Item) -> Image:
        """A picture, if it fits; its name and size are remembered."""
        image = item.image.expanded() if self._error else item.image
        if self._error > largest_error(image.bit_depth):
            what = f"{item.name or number}: samples of {image.bit_depth} bits cannot be {self._error} off"
            raise UnsupportedInput(f"{what}; pack it without a bound")
        if self._dimensions:
            pixels = image.pixels
            self._like = like = pixels if self._like is None else self._like
            if (pixels.shape, pixels.dtype) != (like.shape, like.dtype) or self._film is not None:
                found = f"{pixels.shape} of {pixels.dtype}, and {like.shape} of {like.dtype}"
                raise UnsupportedInput(f"pictures of one array have one shape and type, not {found}")
        else:
            self._named(item.name)
        self._grown(Look(image.height, image.width, image.channels, image.alpha is not None, image.bit_depth))
        return image

    def _named(self, name: str) -> None:
        check_name(name, self._seen)
        self._seen.add(name)
        self.names.append(name)

    def _grown(self, look: Look) -> None:
        self.largest = max(self.largest, look, key=lambda look: look.height * look.width)


def _part(look: Look, found: Sequence[tuple[int, Image]]) -> tuple[Part, list[Image]]:
    return Part(look, tuple(number for number, _ in found)), [image for _, image in found]


def _stacked(images: Sequence[Image]) -> tuple[Samples, Samples | None]:
    """Colour and alpha of pictures of one look."""
    planes = [image.alpha for image in images if image.alpha is not None]
    return np.stack([image.colour for image in images]), np.stack(planes) if planes else None


def _no_room(room: int) -> str:
    return f"more than {room:,} blocks, and there is no room for them; make several archives"


def _check_fits(after: Archive, model: Model, max_error: int, dimensions: int, frames_first: bool) -> None:
    """UnsupportedInput or ModelMismatch unless pictures of this kind can be added to an archive."""
    if after.header.model_id != model.id:
        raise ModelMismatch(f"the archive was made with model {after.header.model_id.hex()}, not {model.id.hex()}")
    if after.catalogue.error != max_error:
        raise UnsupportedInput(f"the archive was made with an error of {after.catalogue.error}, not {max_error}")
    if after.catalogue.frames_first != frames_first:
        order = {False: "clips, then frames", True: "frames, then clips"}
        raise UnsupportedInput(f"the archive's array has {order[not frames_first]}; this one {order[frames_first]}")
    if after.catalogue.dimensions != dimensions:
        kinds = {0: "pictures with names", 3: "an array (N, H, W)", 4: "an array (N, H, W, C)", 5: "an array of clips"}
        raise UnsupportedInput(f"the archive holds {kinds[after.catalogue.dimensions]}, not {kinds[dimensions]}")
