"""Where the bits of a photo's tile go: blocks, slices, passes and kinds of symbols; and which codewords are used.

The prior walks a tile as it does when decoding, with a coder that looks up what each symbol cost. The walk only hands
over tables; whose symbols they are for is told beside it, in the walk's own order (codec/prior.py), by `_owners`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.codebook import SLICES, codebook
from codec.hyper import HYPER_GROUPS, HYPER_WORDS
from codec.photo import Photo
from codec.prior import Pass
from codec.symbols import REACH, SPLIT_REACH, Scalars
from tools.meter import Meter, cell_sums

__all__ = ["HALVES", "HYPER", "KINDS", "TileBits", "tile_bits"]

HYPER = -1  # in place of a slice: the hyper-latent
HALVES = -2  # in place of a slice: halves of split eights, of all slices
HYPER_SIDE = 4  # blocks of a side of what a code of the hyper-latent stands for
KINDS = ("flags", "codewords", "halves", "numbers", "beyond")

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Owners = Generator[tuple[str, I64], Any, None]  # kind, rows of the parameters that the next symbols are for; -> symbols


@dataclass(slots=True)
class TileBits:
    """What the symbols of a tile of (h, w) blocks cost.

    Attributes
    ----------
    maps : by slice or HYPER, (h, w) bits of each block
    passes : by slice and pass, bits
    kinds : by slice and kind of symbol, bits and how many symbols
    words : by slice with codewords, HYPER or HALVES, (groups, K + 1) how often each codeword was taken, `split` last
        (the hyper-latent's cannot be split: (2, 64))
    bits : of all symbols
    """

    maps: dict[int, F64] = field(default_factory=dict)
    passes: dict[tuple[int, int], float] = field(default_factory=lambda: defaultdict(float))
    kinds: dict[tuple[int, str], tuple[float, int]] = field(default_factory=lambda: defaultdict(lambda: (0.0, 0)))
    words: dict[int, I64] = field(default_factory=dict)
    bits: float = 0.0


def tile_bits(built: Photo, payload: bytes, shape: tuple[int, int]) -> TileBits:
    """Follow the decoding of a tile of (h, w) blocks, whose payload `photo.decode_tile` takes."""
    walk = _Walk(payload[1:], shape)
    built.prior.walk(None, shape, payload[0], int(built.steps[payload[0]]), walk.choose, walk.code)
    walk.found.bits = walk.meter.bits
    return walk.found


class _Walk:
    """The decoder's side of `Prior.walk`, keeping books."""

    def __init__(self, message: bytes, shape: tuple[int, int]) -> None:
        self.meter, self.shape, self.found = Meter(message), shape, TileBits()
        self.slice, self.pass_, self.groups = HYPER, 0, HYPER_GROUPS
        self.blocks: I64 = np.arange(-(-shape[0] // HYPER_SIDE) * -(-shape[1] // HYPER_SIDE))
        self.owners = _hyper_owners(len(self.blocks))
        self.expected = next(self.owners)

    def choose(self, now: Pass) -> None:
        """What the walk calls before the symbols of a pass."""
        self.slice = next(i for i, part in enumerate(SLICES) if part.start == now.start)
        self.pass_ = _pass(self.slice, *divmod(int(now.at[0]), self.shape[1]))
        self.blocks, self.groups = now.at, now.parameters.mean.shape[1]
        self.owners = _owners(now)
        self.expected = next(self.owners)

    def code(self, freqs: Any, _: Any) -> NDArray[np.int32]:
        """What the walk calls for symbols."""
        symbols = self.meter.decode(freqs)
        kind, rows = self.expected
        if len(rows) != len(symbols):
            raise RuntimeError(f"{len(symbols)} symbols where the books have {len(rows)}: {kind} of slice {self.slice}")
        self._book(kind, rows, symbols)
        self.expected = self.owners.send(symbols)
        return symbols

    def _book(self, kind: str, rows: I64, symbols: NDArray[np.int32]) -> None:
        found, costs, blocks = self.found, self.meter.costs, self.blocks[rows // self.groups]
        total = float(costs.sum())
        found.passes[self.slice, self.pass_] += total
        bits, count = found.kinds[self.slice, kind]
        found.kinds[self.slice, kind] = bits + total, count + len(rows)
        spread = _shared if self.slice == HYPER else cell_sums
        found.maps[self.slice] = found.maps.get(self.slice, 0.0) + spread(blocks, costs, self.shape)
        if self.slice == HYPER:
            self._count(HYPER, rows, symbols, HYPER_WORDS)
        elif kind == "codewords":
            self._count(self.slice, rows, symbols, codebook(SLICES[self.slice].dim).split + 1)
        elif kind == "halves":
            self._count(HALVES, rows, symbols, codebook(4, zero=True).split + 1)

    def _count(self, book: int, rows: I64, symbols: NDArray[np.int32], size: int) -> None:
        groups = 1 if book == HALVES else self.groups
        flat = np.bincount(rows % groups * size + symbols, minlength=groups * size)
        self.found.words[book] = self.found.words.get(book, np.int64(0)) + flat.reshape(groups, size)


def _pass(slice_: int, i: int, j: int) -> int:
    """Which pass a block is in: of the five of slice 0, or of the two of a checkerboard."""
    if slice_ or (i + j) % 2:
        return (i + j) % 2 if slice_ else 4
    return 3 if i % 2 else 2 if (i + j) % 4 else 1 if i % 4 else 0


def _shared(codes: I64, costs: F64, shape: tuple[int, int]) -> F64:
    """Costs of the hyper-latent's codes, each shared by the blocks that it stands for."""
    zh, zw = (-(-side // HYPER_SIDE) for side in shape)
    each = cell_sums(codes, costs, (zh, zw)).repeat(HYPER_SIDE, 0).repeat(HYPER_SIDE, 1)[: shape[0], : shape[1]]
    sides = [np.bincount(np.arange(side) // HYPER_SIDE).repeat(HYPER_SIDE)[:side] for side in shape]
    return np.asarray(each / np.outer(*sides))


def _hyper_owners(n: int) -> Owners:
    for group in range(HYPER_GROUPS):
        yield "codewords", np.arange(n) * HYPER_GROUPS + group
    yield "end", np.zeros(0, np.int64)


def _owners(now: Pass) -> Owners:
    """A pass of `Prior.walk`: the kind of each call for symbols, and for which group of which block each one is."""
    parameters = now.parameters
    rows = np.arange(parameters.mean.shape[0] * parameters.mean.shape[1])
    if isinstance(parameters, Scalars):
        yield from _numbers(rows, REACH)
    else:
        flags = yield "flags", rows
        rows = rows[np.flatnonzero(flags)]
        words = yield "codewords", rows
        split = rows[words == codebook(parameters.dim).split]
        if parameters.dim == 8:
            halves = split.repeat(2)
            words = yield "halves", halves
            yield from _numbers(halves[words == codebook(4, zero=True).split].repeat(4), SPLIT_REACH)
        else:
            yield from _numbers(split.repeat(parameters.dim), SPLIT_REACH)
    yield "end", np.zeros(0, np.int64)


def _numbers(rows: I64, reach: int) -> Owners:
    """Numbers one by one, and what the largest are beyond the table, by an Elias gamma code."""
    symbols = yield "numbers", rows
    far = rows[np.abs(symbols - reach) == reach]
    if len(far):
        length = yield "beyond", far
        for bit in range(12, -1, -1):
            yield "beyond", far[length > bit]
