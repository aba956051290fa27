"""Product vector quantisation whose dimension follows the variance, and rate-aware retrieval.

    k = argmin_k  ||r - c_k||^2 + bits_k / w          (entropy-constrained; Chou, Lookabaugh & Gray 1989)

Read as an associative memory this is one step of a modern Hopfield network with a prior as the bias of each pattern,
p_k ~ exp(-beta (||r - c_k||^2 / 2 + mu bits_k)), at beta -> infinity.

The 768 coefficients of a block are sorted by variance into slices, and each slice into groups of 1, 2, 4 or 8 that
share a codeword. Codebooks are balls of the integer lattice in units of the quantiser's step; the zero codeword is a
flag of its own, since at usual rates nine groups of ten are zero. A group that no codeword fits is split: eight into
two fours, a four or a two into single numbers. So a stage is added only where the range needs it, and one set of
codebooks serves every quality.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
F32 = NDArray[np.float32]

UNIT = 16  # decoded coefficients are integers in units of step / UNIT


@dataclass(frozen=True, slots=True)
class Slice:
    """A run of coefficients, coarse to fine, that is coded together.

    Attributes
    ----------
    dim : coefficients in a group
    groups : groups
    start : first coefficient, in the model's order
    """

    dim: int
    groups: int
    start: int

    @property
    def size(self) -> int:
        return self.dim * self.groups

    @property
    def stop(self) -> int:
        return self.start + self.size


def _slices(*shape: tuple[int, int]) -> tuple[Slice, ...]:
    starts = itertools.accumulate((dim * groups for dim, groups in shape), initial=0)
    return tuple(Slice(dim, groups, start) for (dim, groups), start in zip(shape, starts, strict=False))


SLICES = _slices((1, 3), (1, 9), (2, 10), (4, 16), (8, 12), (8, 24), (8, 48))


def lattice(dim: int) -> I64:
    """Non-zero codewords (K, dim), by norm: the part of Z^dim that is worth a name of its own.

    dim 2: up to 3 in each coordinate (48). dim 4: squared norm up to 5 (136). dim 8: one or two ones, or a two (144).
    """
    if dim == 2:
        words = [c for c in itertools.product(range(-3, 4), repeat=2) if any(c)]
    elif dim == 4:
        words = [c for c in itertools.product(range(-2, 3), repeat=4) if 0 < sum(v * v for v in c) <= 5]
    elif dim == 8:
        one = [(i, s) for i in range(8) for s in (1, -1)]
        ones = [((i, s),) for i, s in one] + [((i, s), (j, t)) for i, s in one for j, t in one if j < i]
        twos = [((i, 2 * s),) for i, s in one]
        words = [tuple(dict(word).get(i, 0) for i in range(8)) for word in ones + twos]
    else:
        raise ValueError(f"there are codebooks of dimension 2, 4 and 8, not {dim}")
    return np.array(sorted(words, key=lambda c: (sum(v * v for v in c), c)), np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Codebook:
    """Codewords and the way back from a vector to its index.

    Attributes
    ----------
    words : (K, dim) int64; the symbol K (one past the last) says that the vector is split
    """

    words: I64
    _radix: int
    _place: I64  # (dim,)
    _index: NDArray[np.int16]  # (radix ** dim,)

    @property
    def dim(self) -> int:
        return int(self.words.shape[1])

    @property
    def split(self) -> int:
        return len(self.words)

    def index(self, vectors: I64) -> I64:
        """(n, dim) integers -> (n,) symbols; `split` where there is no such codeword."""
        half = self._radix // 2
        clipped = np.clip(vectors, -half, half)
        found = self._index[(clipped + half) @ self._place]
        return np.where((clipped == vectors).all(axis=1), found, self.split).astype(np.int64)


@functools.cache
def codebook(dim: int, zero: bool = False) -> Codebook:
    """The lattice codebook of a dimension, with the zero codeword in front if asked for (halves of a split eight)."""
    words = lattice(dim)
    if zero:
        words = np.concatenate([np.zeros((1, dim), np.int64), words])
    radix = 2 * int(np.abs(words).max()) + 1
    place = radix ** np.arange(dim, dtype=np.int64)
    index = np.full(radix**dim, len(words), np.int16)
    index[(words + radix // 2) @ place] = np.arange(len(words))
    return Codebook(words, radix, place, index)
