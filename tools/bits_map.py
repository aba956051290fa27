"""Where the bits of a whole file go: a map of the picture, a table, and what no part of the picture accounts for.

    bits of the file = bits of all cells + container, checksums, metadata, and what the coder itself loses

The second part is listed, so that nothing of a file is unaccounted for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import lossless, photo, residual
from codec.codebook import SLICES
from codec.container import Chunk, Header, Kind, unpack
from codec.errors import ModelMismatch
from codec.lossless import plan_of
from codec.model import Model
from codec.picture import Image
from codec.still import decode
from codec.tile import Mode
from tools import lossless_bits, photo_bits
from tools.meter import CELL

__all__ = ["Bars", "BitsMap", "bits_map", "slice_name"]

F64 = NDArray[np.float64]
Key = Any

PASSES = ("every 4th block", "between on diagonals", "every 2nd block", "the odd ones", "the other half")
PHASES = ("sent as it is", "diagonal", "row", "column")  # RAW is -1
OTHERWISE = {Mode.STORED: "tiles stored as they are", Mode.GRAPHICS: "tiles coded as graphics"}
CHUNKS = {"A": "alpha", "i": "ICC profile", "e": "EXIF", "C": "palette", "P": "parameters"}


@dataclass(frozen=True, slots=True)
class Bars:
    """Bits of a whole, part by part."""

    title: str
    parts: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class BitsMap:
    """What is known of a file.

    Attributes
    ----------
    size : bytes of the file
    image : the picture that it decodes to
    maps : title, and (rows, columns) bits of each cell of 16 x 16 pixels; they add up to the bits of the picture
    columns, table : bits by row and column; None where there can be none
    bars : shares of other divisions
    overhead : what no cell accounts for, bits; all of it is listed
    words : of a photo, by slice, how often each codeword was taken; see `photo_bits.TileBits`
    flags : of a photo, by slice, how many groups there were
    costs : of a photo, by slice, bits of its codewords under the prior
    step : of a photo, its index
    """

    name: str
    size: int
    kind: Kind
    image: Image
    maps: tuple[tuple[str, F64], ...]
    columns: tuple[str, ...]
    table: tuple[tuple[str, tuple[float | None, ...]], ...]
    bars: tuple[Bars, ...]
    overhead: tuple[tuple[str, float], ...]
    words: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    flags: dict[int, int] = field(default_factory=dict)
    costs: dict[int, float] = field(default_factory=dict)
    step: int = -1

    @property
    def cells(self) -> F64:
        """(rows, columns) bits of all cells."""
        return np.asarray(sum(cells for _, cells in self.maps))

    @property
    def pixels(self) -> int:
        return self.image.height * self.image.width


def bits_map(name: str, data: bytes, model: Model, threads: int = 1) -> BitsMap:
    """Follow the decoding of a file.

    Parameters
    ----------
    data : a file of kind PHOTO or LOSSLESS
    model : that it was made with

    Raises
    ------
    CodecError
        The file is damaged, or was made with another model.
    """
    image = decode(data, model=model, threads=threads)  # all checks, so that what follows need not check
    header, chunks = unpack(data)
    if any(header.model_id) and header.model_id != model.id:
        raise ModelMismatch(f"the file needs model {header.model_id.hex()}, not {model.id.hex()} ({model.name})")
    fixed = 8.0 * (len(data) - sum(len(chunk.data) for chunk in chunks))
    overhead = {"header, names, lengths and checksums of chunks": fixed}
    for chunk in chunks:
        if chunk.type != "T":
            label = CHUNKS.get(chunk.type, f"chunk {chunk.type}")
            overhead[label] = overhead.get(label, 0.0) + 8 * len(chunk.data)
    read = _photo if header.kind == Kind.PHOTO else _lossless
    return read(name, len(data), image, model, header, chunks, overhead)


def slice_name(number: int) -> str:
    """In words."""
    if number == photo_bits.HYPER:
        return "hyper-latent"
    part = SLICES[number]
    what = f"{part.groups} groups of {part.dim}" if part.dim > 1 else f"{part.groups} numbers"
    return f"slice {number}: {what}"


def _photo(
    name: str,
    size: int,
    image: Image,
    model: Model,
    header: Header,
    chunks: Sequence[Chunk],
    overhead: dict[str, float],
) -> BitsMap:
    built = photo.photo(model)
    h, w = -(-header.height // CELL), -(-header.width // CELL)
    boxes = [(slice(t, min(t + photo.TILE, h)), slice(u, min(u + photo.TILE, w))) for t, u in _corners(h, w)]
    maps: dict[int, F64] = defaultdict(lambda: np.zeros((h, w)))
    passes, kinds, counts = defaultdict[Key, float](float), defaultdict[Key, float](float), defaultdict[Key, int](int)
    words: dict[int, NDArray[np.int64]] = {}
    tiles = [chunk.data for chunk in chunks if chunk.type == "T"]
    lost = 0.0
    for tile, box in zip(tiles, boxes, strict=True):
        found = photo_bits.tile_bits(built, tile, (box[0].stop - box[0].start, box[1].stop - box[1].start))
        lost += 8 * (len(tile) - 1) - found.bits
        for number, cells in found.maps.items():
            maps[number][box] += cells
        for key, bits in found.passes.items():
            passes[key] += bits
        for key, (bits, count) in found.kinds.items():
            kinds[key] += bits
            counts[key] += count
        for number, taken in found.words.items():
            words[number] = words.get(number, np.int64(0)) + taken
    overhead |= {"quality of each tile": 8.0 * len(tiles), "the range coder's rounding, and its end": lost}
    places = (photo_bits.HYPER, *range(len(SLICES)))
    table = tuple((slice_name(i), tuple(kinds.get((i, kind)) for kind in photo_bits.KINDS)) for i in places)
    early = tuple((f"slice 0, {PASSES[p]}", passes[0, p]) for p in range(len(PASSES)))
    late = tuple(
        (f"slice {i}, {half} squares", passes[i, p]) for i in places[2:] for p, half in enumerate(("even", "odd"))
    )
    return BitsMap(
        name,
        size,
        header.kind,
        image,
        tuple((slice_name(i), maps[i]) for i in places),
        photo_bits.KINDS,
        table,
        (Bars("Passes, in the order of the file", (("hyper-latent", passes[photo_bits.HYPER, 0]), *early, *late)),),
        tuple(overhead.items()),
        words,
        {i: counts[i, "flags"] for i in places},
        {i: kinds[i, "codewords"] for i in places} | {photo_bits.HALVES: sum(kinds[i, "halves"] for i in places)},
        tiles[0][0],
    )


def _lossless(
    name: str,
    size: int,
    image: Image,
    model: Model,
    header: Header,
    chunks: Sequence[Chunk],
    overhead: dict[str, float],
) -> BitsMap:
    plan, _ = plan_of(header, tuple(chunks))
    shape = -(-header.height // CELL), -(-header.width // CELL)
    maps: dict[Any, F64] = defaultdict(lambda: np.zeros(shape))
    parts = defaultdict[tuple[int, int, int], float](float)
    otherwise, lost = defaultdict[str, float](float), 0.0
    tiles = [chunk.data for chunk in chunks if chunk.type == "T"]
    for tile, box in zip(tiles, lossless._boxes(header.height, header.width, plan.side), strict=True):
        rows, columns = slice(box.top // CELL, -(-box.bottom // CELL)), slice(box.left // CELL, -(-box.right // CELL))
        if tile[0] != Mode.RESIDUAL:
            label, bits = OTHERWISE[Mode(tile[0])], 8.0 * (len(tile) - 5)
            otherwise[label] += bits
            maps[label][rows, columns] += bits * _areas(box)
            continue
        built = residual.residual(model)
        found = lossless_bits.tile_bits(built, plan.groups, (box.bottom - box.top, box.right - box.left), tile[5:])
        lost += 8 * (len(tile) - 5) - found.bits
        for level, cells in found.maps.items():
            maps[level][rows, columns] += cells
        for key, bits in found.parts.items():
            parts[key] += bits
    overhead |= {"mode and digest of each tile": 40.0 * len(tiles)}
    if parts:
        overhead["the range coder's rounding, and its end"] = lost
    levels, planes = sorted({level for level, _, _ in parts}), sorted({plane for _, plane, _ in parts})
    names = [*(("luma", "orange-blue", "green-magenta") if plan.channels == 3 else ("grey",)), "alpha"]
    table = [(_level_name(level), tuple(_sum(parts, level, plane) for plane in planes)) for level in levels]
    table += [(label, (bits, *[None] * max(0, len(planes) - 1))) for label, bits in otherwise.items()]
    phases = [(PHASES[phase + 1], sum(b for (_, _, p), b in parts.items() if p == phase)) for phase in (0, 1, 2, -1)]
    titles = {level: _level_name(level) for level in levels}
    return BitsMap(
        name,
        size,
        header.kind,
        image,
        tuple((titles.get(key, key), cells) for key, cells in sorted(maps.items(), key=lambda item: str(item[0]))),
        tuple(names[plane] for plane in planes) or ("samples",),
        tuple(table),
        (Bars("Phases of all levels", tuple(phases)),) if parts else (),
        tuple(overhead.items()),
    )


def _sum(parts: dict[tuple[int, int, int], float], level: int, plane: int) -> float:
    return sum(bits for place, bits in parts.items() if place[:2] == (level, plane))


def _level_name(level: int) -> str:
    if level == 0:
        return "level 0: every pixel"
    ending = "nd" if (1 << level) % 10 == 2 and (1 << level) % 100 != 12 else "th"
    return f"level {level}: every {1 << level}{ending}"


def _corners(h: int, w: int) -> Iterator[tuple[int, int]]:
    return ((t, u) for t in range(0, h, photo.TILE) for u in range(0, w, photo.TILE))


def _areas(box: lossless.Box) -> F64:
    """Shares of a tile's pixels that its cells have."""
    sides = [np.diff(np.r_[0 : stop - start : CELL, stop - start]) for start, stop in (box[:2], box[2:])]
    return np.outer(*sides) / np.outer(*sides).sum()
