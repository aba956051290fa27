"""The archives of the conformance pack: pictures and clips that a decoder has to find, and what it has to refuse."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.archive import Archive, digest_of
from codec.catalogue import Block, Catalogue, Look, write_catalogue
from codec.clips import together
from codec.container import Chunk, Header, Kind, join, pack, spell, unpack
from codec.errors import CorruptStream, Desync, TruncatedStream, UnsupportedVersion
from codec.group import Way
from codec.model import Model
from codec.packing import Item, pack_archive
from codec.picture import Image
from codec.tile import Plan, encode_tile, networks
from tools.streams import Bad
from tools.synthetic import picture
from tools.video_streams import sliding

__all__ = ["decode_items", "invalid_archives", "valid_archives"]

Make = Callable[[Model], bytes]
Frames = list[NDArray[np.uint8]]
WIDTH = 12  # of all items, so that they can be told as one picture, one below the other


def valid_archives() -> dict[str, Make]:
    """Streams by name. All samples are kept exactly."""
    stills = [Item(f"{n}.png", Image(picture(height, WIDTH, 1, n))) for n, height in enumerate((9, 7, 9, 150, 7))]
    tall = [Item("tall", Image(picture(1400, WIDTH, 1, 9)))]  # a file of its own
    array = [Item("", Image(picture(8, WIDTH, 3, n))) for n in range(3)]
    clips = [sliding(t, 9, WIDTH, 1, n) for n, t in enumerate((4, 3, 4))]
    names = ("a.mkv", "deep/b.npy", "c")
    still, low = sliding(1, 9, WIDTH, 1, 5) * 3, sliding(2, 6, WIDTH, 1)
    grey, colour = ([sliding(2, 6, WIDTH, channels, n) for n in range(3)] for channels in (1, 3))
    made: dict[str, Make] = {
        "pictures": partial(pack_archive, stills + tall, threads=1),
        "array": partial(pack_archive, array, dimensions=4, threads=1),
        "clips": partial(_packed, clips=clips, names=names),
        "mixed": partial(_packed, items=stills[:2], clips=[clips[0], low, still, clips[2]], names=("w", "x", "y", "z")),
        "clip-groups": partial(_packed, clips=[sliding(7, 6, WIDTH, 1)], names=("long",), longest=3),
        "clips-array": partial(_packed, clips=grey, dimensions=4),
        "clips-colour": partial(_packed, clips=colour, dimensions=5, frames_first=True),
    }
    return {f"archive-{name}": make for name, make in made.items()}


def decode_items(data: bytes, model: Model) -> NDArray[Any]:
    """The items of an archive and their frames, one below the other: (H, W, C)."""
    opened = Archive(data, model=model)
    channels = opened.entry(0).look.channels
    rows = [np.asarray(item).reshape(-1, opened.entry(n).look.width, channels) for n, item in enumerate(opened)]
    return np.concatenate(rows)


def invalid_archives(model: Model) -> dict[str, Bad]:
    """Streams by name."""
    three = [sliding(3, 6, WIDTH, 1, n) for n in range(3)]
    clips, single = _packed(model, three, ("0", "1", "2")), _packed(model, three[:1], ("0",))
    stills = pack_archive([Item(str(n), Image(picture(6, WIDTH, 1, n))) for n in range(2)], model, threads=1)
    (block,) = Archive(clips, model=model).blocks
    header, (plan, first, second, third) = unpack(block)
    bad: dict[str, Bad] = {}

    def add(name: str, error: Any, what: str, file: bytes) -> None:
        bad[f"archive-{name}"] = Bad(file, error, what)

    def counted(name: str, count: int, what: str, error: Any = CorruptStream, data: bytes = block) -> None:
        add(name, error, what, _sealed(clips, _files(count), [data], frames=max(1, count)))

    counted("clips-fewer", 2, "two clips in a video of three groups")
    counted("clips-more", 4, "four clips in a video of three groups")
    counted("clips-none", 0, "a block without clips")
    counted("clips-archive", 3, "an archive in a block", UnsupportedVersion, clips)
    counted("clips-cut", 3, "a video that is cut", TruncatedStream, block[:-5])
    swapped = pack(header, [plan, second, first, third])
    counted("clips-swapped", 3, "groups in another order", Desync, swapped)
    add("clips-digest", Desync, "an index of another archive", _sealed(clips, _files(3), [block], digest=bytes(4)))
    add("clips-frames", CorruptStream, "one item more in the header", _sealed(clips, _files(3), [block], frames=4))
    first_of = Catalogue((Block(1, None),), 0, 3, (), np.arange(1), True)
    (one,) = Archive(single, model=model).blocks
    add("frames-first-3", CorruptStream, "frames first in an array of pictures", _sealed(single, first_of, [one]))
    looks = (Block(2, Look(6, WIDTH, 1, False, 8)),)
    side = Catalogue(looks, 0, 5, (), np.arange(2))
    blocks = Archive(stills, model=model).blocks
    add("clips-pictures", CorruptStream, "pictures side by side in an array of clips", _sealed(stills, side, blocks))
    return bad


def _packed(
    model: Model,
    clips: list[Frames],
    names: tuple[str, ...] = (),
    items: list[Item] | None = None,
    dimensions: int = 0,
    frames_first: bool = False,
    longest: int = 99,
) -> bytes:
    """An archive of clips, after pictures; those that are alike stand together."""
    opened = Archive(pack_archive(items, model, threads=1)) if items else None
    layout, blocks = (list(opened.catalogue.layout), opened.blocks) if opened else ([], [])
    numbers: list[int] = opened.catalogue.order.tolist() if opened else []
    files = enumerate((_file(model, frames, longest) for frames in clips), len(numbers))
    for taken, data in sorted(together(files)):
        layout.append(Block(len(taken), None))
        blocks.append(data)
        numbers += taken
    names = (*(opened.catalogue.names if opened else ()), *names)
    index = write_catalogue(Catalogue(tuple(layout), 0, dimensions, names, np.array(numbers), frames_first))
    height, width, channels = _shape(clips[0])
    header = Header(Kind.ARCHIVE, width, height, channels, 8, len(numbers), model.id, digest_of(index, blocks))
    return pack(header, [Chunk("I", index), *(Chunk("B", block) for block in blocks)])


def _file(model: Model, frames: Frames, longest: int) -> bytes:
    """The video file of a clip of small frames: exact, and without motion."""
    shape = _shape(frames)
    runs = [frames[start : start + longest] for start in range(0, len(frames), longest)]
    groups = [_group(model, [np.reshape(frame, shape) for frame in run]) for run in runs]
    plan = Chunk("P", spell([10, 1, *map(len, runs)]))
    digest = hashlib.blake2b(b"".join(group[1:5] for group in groups)).digest()[:4]
    header = Header(Kind.VIDEO, shape[1], shape[0], shape[2], 8, len(frames), model.id, digest)
    return pack(header, [plan, *(Chunk("G", group) for group in groups)])


def _group(model: Model, frames: Frames) -> bytes:
    """Each frame like the one before it, on its own, or as what it adds."""
    plan = Plan(frames[0].shape[2], False, 8, 0, 9)
    parts = []
    for frame, before in zip(frames, [None, *frames[:-1]], strict=True):
        if before is not None and np.array_equal(frame, before):
            parts.append(b"\0")
        else:
            x = np.ascontiguousarray(frame if before is None else frame - before)
            parts.append(bytes([1 if before is None else 2]) + join([encode_tile(networks(model), plan, x, None)]))
    digest = hashlib.blake2b(np.stack(frames).tobytes()).digest()[:4]
    return bytes([Way.EXACT]) + digest + join(parts)


def _shape(frames: Frames) -> tuple[int, ...]:
    """Height, width and channels."""
    return (*frames[0].shape, 1)[:3]


def _files(count: int) -> Catalogue:
    return Catalogue((Block(count, None),), 0, 0, tuple(map(str, range(count))), np.arange(count))


def _sealed(data: bytes, index: Catalogue, blocks: list[bytes], **fields: Any) -> bytes:
    """An archive with another index and other blocks, and right checksums and digests."""
    header, _ = unpack(data)
    names = ("width", "height", "channels", "bit_depth", "frames", "model_id")
    facts = {name: getattr(header, name) for name in names}
    text = write_catalogue(index)
    new = Header(Kind.ARCHIVE, **facts | {"digest": digest_of(text, blocks)} | fields)
    return pack(new, [Chunk("I", text), *(Chunk("B", each) for each in blocks)])
