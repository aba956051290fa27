"""Finding vectors: what only the encoder does. Nothing here has to be exact.

    coarse    every vector within a reach, on frames of a quarter of the size
    blocks    candidates (none, coarse, the frame before), then those of the neighbours, then ever finer steps
    cells     the same from the block's vector on; a block is split where that pays

The cost of a vector is a sum of differences (Huber's: absolute, and squared where they are small) and what its bits are
worth. All blocks are tried at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.motion import CELL, FARTHEST, QUARTERS, filtered
from codec.transform import BLOCK

__all__ = ["search"]

MARGIN = 24  # pixels around the reference; vectors that point farther out find the border's pixels
COARSE = 4  # the coarse frames are so much smaller
WORTH = 0.4  # what a bit is worth, in absolute differences of a step
SOFT = 0.35  # steps up to which a difference counts by its square: there it is not coded, and only adds to the error
REACH = 7  # of the coarse search, in coarse pixels, and more in large frames
STEPS = (8, 4, 2, 1)  # quarters of a pixel
NONZERO = 1.0  # bits that a component costs, about, if it is not the expected one, and as many as its magnitude has
SPLIT_BITS = 6  # what splitting costs, without its vectors
RING = np.array([(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b])

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


def search(current: U8, reference: U8, before: I64, step: float) -> tuple[I64, NDArray[np.bool_]]:
    """Vectors of a frame.

    Parameters
    ----------
    current : (16 h, 16 w, C)
    reference : (H, W, C), the decoded frame before, not padded
    before : (2 h, 2 w, 2) vectors of the frame before
    step : of the quantiser, in grey levels

    Returns
    -------
    vectors (2 h, 2 w, 2), and which blocks are split, (h, w)
    """
    h, w = current.shape[0] // BLOCK, current.shape[1] // BLOCK
    luma, known = _luma(current), _luma(reference)
    fine = _upsampled(known)
    matcher = _Matcher(luma, fine, BLOCK, step)
    vectors, cost = matcher.start(np.zeros((h, w, 2), np.int64))
    for candidate in (*_coarse(luma, known), before[::2, ::2], before[1::2, 1::2]):
        vectors, cost = matcher.better(vectors, cost, candidate)
    vectors, cost = matcher.improve(vectors, cost, STEPS)
    cells = _Matcher(luma, fine, CELL, step)
    parents = np.repeat(np.repeat(vectors, 2, axis=0), 2, axis=1)
    small, least = cells.start(parents)
    small, least = cells.improve(small, least, STEPS[1:], parents)
    split = least.reshape(h, 2, w, 2).sum(axis=(1, 3)) + SPLIT_BITS * WORTH * step < cost
    kept = np.repeat(np.repeat(split, 2, axis=0), 2, axis=1)
    return np.where(kept[..., None], small, parents), split


class _Matcher:
    """Compares all blocks of one size with the reference at once; `fine` is what `_upsampled` gives."""

    def __init__(self, luma: F32, fine: U8, side: int, step: float) -> None:
        h, w = self.shape = luma.shape[0] // side, luma.shape[1] // side
        cut = luma.reshape(h, side, w, side).swapaxes(1, 2)
        self._blocks = np.clip(np.rint(cut), 0, 255).astype(np.uint8).reshape(-1, side, side)
        self._corner = np.mgrid[:h, :w].reshape(2, -1).T * side + MARGIN
        self._windows = np.lib.stride_tricks.sliding_window_view(fine, (side, side), axis=(2, 3))
        size, soft = np.arange(256, dtype=np.float32), SOFT * step
        self._costs = np.where(size < soft, size**2 / (2 * soft), size - soft / 2)
        self._worth = WORTH * step

    def cost(self, vectors: I64, told: I64) -> F32:
        """(h, w, 2) vectors and what is expected of them -> (h, w)."""
        whole, phase = np.divmod(vectors.reshape(-1, 2), QUARTERS)
        y, x = np.clip(self._corner + whole, 0, np.array(self._windows.shape[2:4]) - 1).T
        found = self._windows[phase[:, 0], phase[:, 1], y, x]
        apart_by = np.maximum(found, self._blocks) - np.minimum(found, self._blocks)
        differences = self._costs.take(apart_by).reshape(len(found), -1).sum(axis=1).reshape(self.shape)
        apart = np.abs(vectors - told)
        bits = (2 * np.log2(1 + apart) + NONZERO * (apart > 0)).sum(axis=2)
        return np.asarray(differences + self._worth * bits, np.float32)

    def start(self, vectors: I64) -> tuple[I64, F32]:
        return vectors, self.cost(vectors, vectors)

    def better(self, vectors: I64, cost: F32, candidate: I64, told: I64 | None = None) -> tuple[I64, F32]:
        """The better of two vectors of each block."""
        candidate = np.clip(candidate, -FARTHEST, FARTHEST)
        new = self.cost(candidate, _expected(vectors) if told is None else told)
        wins = new < cost
        return np.where(wins[..., None], candidate, vectors), np.where(wins, new, cost)

    def improve(self, vectors: I64, cost: F32, steps: tuple[int, ...], told: I64 | None = None) -> tuple[I64, F32]:
        """Try the neighbours' vectors, and then those around, step by step."""
        for step in steps:
            cost = self.cost(vectors, _expected(vectors) if told is None else told)
            padded = np.pad(vectors, ((1, 1), (1, 1), (0, 0)), mode="edge")
            for a, b in ((0, 1), (1, 0), (1, 2), (2, 1)):
                around = padded[a : a + self.shape[0], b : b + self.shape[1]]
                vectors, cost = self.better(vectors, cost, around, told)
            center = vectors
            for offset in RING * step:
                vectors, cost = self.better(vectors, cost, center + offset, told)
        return vectors, cost


def _expected(vectors: I64) -> I64:
    """About what the entropy coder will expect: the median of the four neighbours."""
    padded = np.pad(vectors, ((1, 1), (1, 1), (0, 0)), mode="edge")
    around = np.stack([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
    median: I64 = np.sort(around, axis=0)[1:3].sum(axis=0) >> 1
    return median


def _luma(x: U8) -> F32:
    weights = np.array([1.0] if x.shape[2] == 1 else [0.25, 0.5, 0.25], np.float32)
    luma: F32 = x.astype(np.float32) @ weights
    return luma


def _upsampled(luma: F32) -> U8:
    """(H, W) -> (4, 4, H + 2 MARGIN, W + 2 MARGIN), as prediction interpolates: so many quarters down and right."""
    padded: F32 = np.pad(luma, ((MARGIN + 3, MARGIN + 4), (MARGIN + 3, MARGIN + 4)), mode="edge")
    out = np.empty((QUARTERS, QUARTERS, luma.shape[0] + 2 * MARGIN, luma.shape[1] + 2 * MARGIN), np.uint8)
    for right in range(QUARTERS):
        shifted = filtered(padded, right, 1)
        for down in range(QUARTERS):
            x = filtered(shifted, down, 0)
            x *= np.float32(1 / 64**2)
            np.copyto(out[down, right], np.clip(np.rint(x, out=x), 0, 255, out=x), casting="unsafe")
    return out


def _coarse(luma: F32, known: F32) -> tuple[I64, I64]:
    """Best vectors of each block alone, and with the blocks around it, from frames of a quarter of the size."""
    small = _shrunk(luma)
    pad = luma.shape[0] - known.shape[0], luma.shape[1] - known.shape[1]
    reach = max(REACH, min(16, luma.shape[1] // 80))
    other = np.pad(_shrunk(np.pad(known, ((0, pad[0]), (0, pad[1])), mode="edge")), reach, mode="edge")
    (rows, columns), block, run = small.shape, BLOCK // COARSE, np.arange(-reach, reach + 1)
    shape = rows // block, columns // block
    best = [np.full(shape, np.inf, np.float32) for _ in range(2)]
    found = [np.zeros((*shape, 2), np.int64) for _ in range(2)]
    for down in run:
        strip = other[reach + down : reach + down + rows]
        shifted = np.lib.stride_tricks.sliding_window_view(strip, columns, axis=1).swapaxes(0, 1)  # (len(run), ...)
        apart = np.abs(small - shifted).reshape(len(run), shape[0], block, columns).sum(axis=2)
        alone = apart.reshape(len(run), *shape, block).sum(axis=3)
        alone += np.float32(0.05) * (abs(down) + np.abs(run)[:, None, None])
        padded = np.pad(alone, ((0, 0), (1, 1), (1, 1)), mode="edge")
        around = alone + padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
        for each, costs in enumerate((alone, around)):
            right, least = run[costs.argmin(axis=0)], costs.min(axis=0)
            wins = least < best[each]
            best[each][wins] = least[wins]
            found[each][wins] = np.stack([np.full(shape, down), right], 2)[wins] * COARSE * QUARTERS
    return found[0], found[1]


def _shrunk(x: F32) -> F32:
    """Means of COARSE x COARSE pixels."""
    rows, columns = x.shape[0] // COARSE, x.shape[1] // COARSE
    means: Any = x.reshape(rows, COARSE, columns, COARSE).mean(axis=(1, 3))
    return np.asarray(means, np.float32)
