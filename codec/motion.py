"""Motion compensation: the frame that vectors make of the frame before it.

    x~(p) = sum over cells c of window(p - c) x(p + v_c)                         (overlapped: Orchard and Sullivan 1994)

A cell is 8 x 8 pixels and has a vector in quarters of a pixel; its window is 16 x 16, so that cells fade into each
other and the lapped transform finds no edges to code. Fractions of a pixel are interpolated by the eight-tap filters of
HEVC, along rows and then along columns, as products of small matrices. All of it is integers: 2^-FRACTION grey levels,
carried in float32 below 2^24. Pixels outside of the frame are those at its border.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.transform import FRACTION

__all__ = ["CELL", "FARTHEST", "QUARTERS", "filtered", "predict"]

CELL = 8  # pixels
QUARTERS = 4  # of a pixel: the unit of vectors
FARTHEST = 1 << 13  # largest component of a vector
TAPS = 8
BEFORE = 3  # taps before the pixel itself
FILTERS = np.array(
    [
        [0, 0, 0, 64, 0, 0, 0, 0],
        [-1, 4, -10, 58, 17, -5, 1, 0],
        [-1, 4, -11, 40, 40, -11, 4, -1],
        [0, 1, -5, 17, 58, -10, 4, -1],
    ],
    np.float32,
)  # sums 64; sums of magnitudes at most 112, so two passes stay below 255 x 112^2 < 2^22
WINDOW = np.array([1, 3, 5, 7, 9, 11, 13, 15, 15, 13, 11, 9, 7, 5, 3, 1], np.float32)  # 16 with its neighbour's
MARGIN = CELL // 2  # pixels that a window reaches beyond its cell
SIDE = 2 * CELL
PATCH = SIDE + TAPS - 1  # pixels to a side that a window is interpolated from
WINDOW_2D = WINDOW[:, None] * WINDOW  # 256 with those of all neighbours
STRIP = 256  # cells that are worked on at a time: they stay in the processor's cache

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Ints = NDArray[np.integer[Any]]


def predict(reference: U8, vectors: Ints) -> F32:
    """The frame that is expected.

    Parameters
    ----------
    reference : (H, W, C), the decoded frame before
    vectors : (2 h, 2 w, 2) integers, down and right in quarters of a pixel; h = ceil(H / 16), w = ceil(W / 16)

    Returns
    -------
    (16 h, 16 w, C) integers in 2^-FRACTION grey levels, 0 .. 255 * 2^FRACTION; plane after plane in memory
    """
    around = np.pad(vectors.astype(np.int64), ((1, 1), (1, 1), (0, 0)), mode="edge")  # windows reach in from outside
    rows, columns = around.shape[:2]
    # Every window that lies outside as a whole finds what the one at PATCH pixels from the border does.
    planes = np.pad(reference.transpose(2, 0, 1), ((0, 0), (PATCH, PATCH), (PATCH, PATCH)), mode="edge")
    patches = np.lib.stride_tricks.sliding_window_view(planes, (PATCH, PATCH), axis=(1, 2)).transpose(1, 2, 0, 3, 4)
    # sums of the windows, in a grid of CELL x CELL pixels that a window covers four of
    sums = np.zeros((rows + 1, columns + 1, len(planes), CELL, CELL), np.float32)
    high, wide = max(1, STRIP // columns), min(STRIP, columns)
    buffers = tuple(np.empty((high * wide, len(planes), *size), np.float32) for size in _SIZES)
    for top in range(0, rows, high):
        for left in range(0, columns, wide):
            parts = _windows(patches, around[top : top + high, left : left + wide], (top - 1, left - 1), buffers)
            h, w = parts.shape[:2]
            across = np.zeros((h, w + 1, *parts.shape[2:4], CELL), np.float32)
            across[:, :-1] = parts[..., :CELL]
            across[:, 1:] += parts[..., CELL:]
            sums[top : top + h, left : left + w + 1] += across[..., :CELL, :]
            sums[top + 1 : top + h + 1, left : left + w + 1] += across[..., CELL:, :]
    sums += 128
    sums *= np.float32(1 / 256)
    np.clip(np.floor(sums, out=sums), 0, 255 << FRACTION, out=sums)
    whole = sums.transpose(2, 0, 3, 1, 4).reshape(len(planes), CELL * (rows + 1), CELL * (columns + 1))
    inner = slice(CELL + MARGIN, -CELL - MARGIN)
    return whole[:, inner, inner].transpose(1, 2, 0)


def _windows(patches: U8, vectors: I64, corner: tuple[int, int], buffers: tuple[F32, ...]) -> F32:
    """Windows (h, w, C, SIDE, SIDE) of h x w cells, the first of which is that at `corner`, times WINDOW_2D."""
    h, w = vectors.shape[:2]
    whole, fraction = np.divmod(vectors.reshape(-1, 2), QUARTERS)
    start = (np.mgrid[:h, :w].reshape(2, -1).T + corner) * CELL + whole + (PATCH - MARGIN - BEFORE)
    y, x = (np.clip(start[:, axis], 0, patches.shape[axis] - 1) for axis in (0, 1))
    found, along, out = (buffer[: h * w] for buffer in buffers)
    found[:] = patches[y, x]
    np.matmul(found, _ALONG[fraction[:, 1], None], out=along)
    np.matmul(_DOWN[fraction[:, 0], None], along, out=out)
    out += 0.5
    np.floor(out, out=out)
    out *= WINDOW_2D
    return out.reshape(h, w, -1, SIDE, SIDE)


def _banded(filters: F32) -> F32:
    """Filters (n, TAPS) -> matrices (n, PATCH, SIDE) that are multiplied by from the right."""
    matrices = np.zeros((len(filters), PATCH, SIDE), np.float32)
    for sample in range(SIDE):
        matrices[:, sample : sample + TAPS, sample] = filters
    return matrices


_SIZES = (PATCH, PATCH), (PATCH, SIDE), (SIDE, SIDE)  # of a window on its way
_ALONG = _banded(FILTERS)
_DOWN = np.ascontiguousarray(_banded(FILTERS * np.float32(1 / 64)).swapaxes(1, 2))


def filtered(x: F32, fraction: int, axis: int) -> F32:
    """n + 7 samples along an axis -> n samples that are so many quarters further, times 64."""
    n = x.shape[axis] - TAPS + 1
    at: list[Any] = [slice(None)] * x.ndim
    out: F32 | None = None
    for tap in np.flatnonzero(FILTERS[fraction]):
        at[axis] = slice(tap, tap + n)
        part = x[tuple(at)] * FILTERS[fraction, tap]
        out = part if out is None else np.add(out, part, out=out)
    return np.zeros(0, np.float32) if out is None else out
