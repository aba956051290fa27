"""What the prior's networks see of decoded coefficients: integers in [-127, 127], in 32nds.

    signed(v) = clip(floor((v + 1) / 2))       energy(v) = min(127, round(16 log2(1 + |v| / 4)))       v in 1/16 steps

Coarse slices are seen coefficient by coefficient, fine ones as energies of four or eight at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.codebook import SLICES

I64 = NDArray[np.int64]
Carrier = NDArray[np.floating[Any]]

# The energies are written out as the smallest |v| that reaches each value, so that no
# logarithm is computed where its last bit could matter.
_LOG_REACH = [next(v for v in range(4096) if (4 + v) ** 32 >= 2 ** (2 * n - 1) * 4**32) for n in range(1, 128)]
_LOG = np.searchsorted(np.array(_LOG_REACH), np.arange(4096), side="right").astype(np.float32)


ENERGIES = sum(part.groups for part in SLICES[1:])


def feature_count(i: int) -> int:
    """Features of slice i."""
    dim, size = SLICES[i].dim, SLICES[i].size
    return 3 * size if i == 0 else 2 * size if dim <= 2 else size if dim == 4 else size // _pooled(i)


def features_of_dc(dc: I64, shape: tuple[int, int], step: int) -> Carrier:
    """Slice 0 (h * w, 3) -> (h, w, 9): in units of 32 grey levels, and how far each is from its neighbours' mean."""
    h, w = shape
    ring = tuple((a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b)
    near, there = neighbours(dc, np.arange(h * w), shape, ring, dc.shape[1])
    off = dc - rounded_mean(near.sum(1), there.sum(1))
    grey = np.clip((dc * step + (1 << 12)) >> 13, -127, 127).astype(np.float32)
    return np.concatenate([grey, signed(off), energy(off)], axis=1).reshape(h, w, -1)


def features_of(i: int, values: I64) -> Carrier:
    """Slice i = 1..6: (n, size) values in 1/16 steps -> (n, F)."""
    dim = SLICES[i].dim
    if dim <= 2:
        return np.concatenate([signed(values), energy(values)], axis=1)
    if dim == 4:
        return energy(values)
    return energy(np.abs(values).reshape(len(values), -1, _pooled(i)).sum(2))


def energies(values: I64) -> Carrier:
    """(n, 768) values in 1/16 steps -> (n, ENERGIES): one for each group of the slices 1..6."""
    size = np.abs(values)
    parts = [size[:, s.start : s.stop].reshape(len(size), s.groups, s.dim).sum(2) for s in SLICES[1:]]
    return energy(np.concatenate(parts, axis=1))


def _pooled(i: int) -> int:
    return 4 if i == 4 else 8  # finer slices are many and weak: one number for eight


def neighbours(
    values: I64, at: I64, shape: tuple[int, int], offsets: tuple[tuple[int, int], ...], size: int
) -> tuple[I64, I64]:
    """Values around positions (n, len(offsets), size), zero outside, and which are inside (n, len(offsets), 1)."""
    h, w = shape
    i, j = np.divmod(at[:, None], w)
    di, dj = np.array(offsets).T
    i, j = i + di, j + dj
    inside = ((i >= 0) & (i < h) & (j >= 0) & (j < w)).astype(np.int64)[..., None]
    return values[np.clip(i, 0, h - 1) * w + np.clip(j, 0, w - 1), :size] * inside, inside


def rounded_mean(total: I64, count: I64) -> I64:
    """floor(total / count + 1/2), or 0 where count is 0."""
    count = np.maximum(count, 1)
    return (2 * total + count) // (2 * count)


def signed(values: I64) -> Carrier:
    return np.asarray(np.clip((values + 1) >> 1, -127, 127), np.float32)


def energy(values: I64) -> Carrier:
    return np.asarray(_LOG[np.minimum(np.abs(values), len(_LOG) - 1)])


def shuffle(x: Carrier) -> Carrier:
    """(h, w, 4 C) -> (2 h, 2 w, C), channel 4 c + 2 dy + dx going to (dy, dx)."""
    h, w, c = x.shape
    return x.reshape(h, w, c // 4, 2, 2).transpose(0, 3, 1, 4, 2).reshape(2 * h, 2 * w, c // 4)
