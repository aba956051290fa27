"""How an inter frame is predicted, block by block, and its code: encode and decode as twins.

    kind of a block: is anything coded on top of the prediction? is its vector the expected one?
    then, for those that are not: is it split into four cells? vectors, as differences from what is expected

Blocks come in the five interlaced passes of the prior's slice 0. Expected is the median of the four neighbours known by
then and of the vector at the same place in the frame before. Counts adapt after every pass, and live for one group of
pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec.entropy import TOTAL
from codec.errors import CorruptStream
from codec.features import neighbours
from codec.medians import tables
from codec.motion import FARTHEST
from codec.prior import INTERLACE
from codec.symbols import Code

__all__ = ["Field", "FieldCoder"]

COUNT, FULL = 32, 16_384  # what one symbol adds to its count; the sum from which counts are halved
DIRECT = 8  # magnitudes below have a token of their own; above, one for each power of two
FIRST_KINDS, FIRST_SPLITS = (48, 8, 24, 8), (24, 8)  # what counts begin with
FIRST_TOKENS = tuple(max(2, 40 // (1 + token)) for token in range(DIRECT + 12))
SPREADS = np.array([1, 3, 9])  # quarters of a pixel by which the neighbours' vectors differ: borders of contexts

I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """How a frame of h x w blocks is predicted.

    Attributes
    ----------
    live : (h, w) of bool, blocks on whose prediction coefficients are coded
    split : (h, w) of bool, blocks whose four cells have vectors of their own
    vectors : (2 h, 2 w, 2) int64 in quarters of a pixel, within +-FARTHEST; four equal ones in a block not split
    """

    live: Flags
    split: Flags
    vectors: I64

    @classmethod
    def still(cls, shape: tuple[int, int]) -> Field:
        """Nothing moves, nothing is coded."""
        h, w = shape
        return cls(np.zeros(shape, np.bool_), np.zeros(shape, np.bool_), np.zeros((2 * h, 2 * w, 2), np.int64))


class FieldCoder:
    """Either side of the code of fields, with what it has learned in the group so far."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._before = Field.still(shape)
        self._kinds = _Counts(6 * 3 * 2, FIRST_KINDS)  # 2 live + moved
        self._splits = _Counts(6, FIRST_SPLITS)
        self._tokens = _Counts(2 * (len(SPREADS) + 2), FIRST_TOKENS)

    @property
    def before(self) -> Field:
        """The field of the frame before."""
        return self._before

    def code(self, code: Code, field: Field | None) -> Field:
        """Code a field.

        Parameters
        ----------
        code : tables, symbols -> symbols, as for `Prior.walk`
        field : None for a decoder

        Raises
        ------
        CorruptStream
            A vector that is longer than `FARTHEST`.
        """
        h, w = self._shape
        i, j = np.mgrid[:h, :w]
        cells = None if field is None else _cells(field.vectors, self._shape)
        told = _cells(self._before.vectors, self._shape).sum(axis=1) >> 2  # (n, 2), a vector for each block
        mine = np.zeros((h * w, 5), np.int64)  # live, moved, split, and the mean of the vectors
        found = np.zeros((h * w, 4, 2), np.int64)
        live_before = self._before.live.ravel().astype(np.int64)
        for where, near in INTERLACE:
            at = np.flatnonzero(where(i, j))
            if len(at) == 0:
                continue
            around, there = neighbours(mine, at, self._shape, near, 5) if near else _nobody(len(at))
            ring = np.where(there == 1, around[..., 3:], told[at][:, None])
            ring = np.concatenate([ring, told[at][:, None]], axis=1)
            expected = np.sort(ring, axis=1)[:, ring.shape[1] // 2]  # (n, 2)
            counted = around[..., :3].sum(axis=1)
            level = counted[:, 0] if near else np.full(len(at), 5)
            row = (level * 3 + np.minimum(counted[:, 1], 2)) * 2 + live_before[at]
            kinds = None
            if field is not None and cells is not None:
                moved = (cells[at] != expected[:, None]).any(axis=(1, 2))
                kinds = 2 * field.live.ravel()[at] + moved
            kind = self._kinds.code(code, row, kinds)
            mine[at, 0], mine[at, 1] = kind >> 1, kind & 1
            found[at] = expected[:, None]
            rows = np.flatnonzero(kind & 1)
            here = at[rows]
            splits = None if field is None else field.split.ravel()[here].astype(np.int64)
            split = self._splits.code(code, counted[rows, 2] if near else np.full(len(rows), 5), splits)
            mine[here, 2] = split
            spread = np.searchsorted(SPREADS, np.ptp(ring, axis=1).max(axis=1)[rows], side="right")
            first = self._vectors(code, spread, expected[rows], None if cells is None else cells[here, 0])
            found[here] = first[:, None]
            quartered, base = here[split == 1], first[split == 1]
            for cell in (1, 2, 3):
                target = None if cells is None else cells[quartered, cell]
                spread = np.full(len(quartered), len(SPREADS) + 1)
                found[quartered, cell] = self._vectors(code, spread, base, target)
            mine[at, 3:] = found[at].sum(axis=1) >> 2
        vectors = found.reshape(h, w, 2, 2, 2).transpose(0, 2, 1, 3, 4).reshape(2 * h, 2 * w, 2)
        flags = mine[:, :3].reshape(h, w, 3) == 1
        self._before = Field(flags[..., 0], flags[..., 2], vectors)
        return self._before

    def _vectors(self, code: Code, spread: I64, expected: I64, vectors: I64 | None) -> I64:
        """(n, 2) vectors, as differences from the expected ones."""
        out = expected.copy()
        for axis in (0, 1):
            steps = None if vectors is None else vectors[:, axis] - expected[:, axis]
            out[:, axis] += self._steps(code, 2 * spread + axis, steps)
        if np.abs(out).max(initial=0) > FARTHEST:
            raise CorruptStream(f"a vector of {np.abs(out).max()} quarters of a pixel, {FARTHEST} is the largest")
        return out

    def _steps(self, code: Code, row: I64, steps: I64 | None) -> I64:
        """(n,) integers: a token of the magnitude, then its low bits, then the sign."""
        size = None if steps is None else np.abs(steps)
        tokens = None if size is None else np.where(size < DIRECT, size, DIRECT - 4 + np.frexp(size)[1])
        token = self._tokens.code(code, row, tokens)
        out, bits = token.copy(), np.maximum(token - DIRECT + 3, 0)
        large = token >= DIRECT
        out[large] = 1 << bits[large]
        for bit in range(int(bits.max(initial=0)) - 1, -1, -1):
            rows = np.flatnonzero(large & (bits > bit))
            out[rows] += _fair(code, len(rows), None if size is None else size[rows] >> bit & 1) << bit
        rows = np.flatnonzero(out)
        signs = _fair(code, len(rows), None if steps is None else (steps[rows] < 0).astype(np.int64))
        out[rows] *= 1 - 2 * signs
        return out


class _Counts:
    """Adaptive tables of several contexts."""

    def __init__(self, contexts: int, first: tuple[int, ...]) -> None:
        self._counts = np.tile(np.array(first), (contexts, 1))

    def code(self, code: Code, row: I64, symbols: I64 | None) -> I64:
        """Code symbols, each in its context, and learn from them."""
        if len(row) == 0:
            return row
        found: I64 = np.asarray(code(tables(self._counts[row]), symbols), np.int64)
        np.add.at(self._counts, (row, found), COUNT)
        full = self._counts.sum(axis=1) > FULL
        if full.any():
            self._counts[full] = self._counts[full] + 1 >> 1
        return found


def _fair(code: Code, n: int, symbols: I64 | None) -> I64:
    return np.asarray(code(np.full((n, 2), TOTAL // 2), symbols) if n else (), np.int64)


def _cells(vectors: I64, shape: tuple[int, int]) -> I64:
    """(2 h, 2 w, 2) -> (h * w, 4, 2), row by row within a block."""
    h, w = shape
    return vectors.reshape(h, 2, w, 2, 2).transpose(0, 2, 1, 3, 4).reshape(h * w, 4, 2)


def _nobody(n: int) -> tuple[I64, I64]:
    """What `neighbours` would give of four that are not known."""
    return np.zeros((n, 4, 5), np.int64), np.zeros((n, 4, 1), np.int64)
