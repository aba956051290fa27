"""Motion compensation: the frame that vectors make of the frame before it.

    x~(p) = sum over cells c of window(p - c) x(p + v_c)                         (overlapped: Orchard and Sullivan 1994)

A cell is 8 x 8 pixels and has a vector in quarters of a pixel; its window is 16 x 16, so that cells fade into each
other and the lapped transform finds no edges to code. Fractions of a pixel are interpolated by the eight-tap filters of
HEVC. All of it is integers: 2^-FRACTION grey levels, carried in float32 below 2^24. Pixels outside of the frame are
those at its border.
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
WINDOW_2D = WINDOW[:, None] * WINDOW  # 256 with those of all neighbours
QUARTERS_OF_WINDOW = [(a, b) for a in (0, 1) for b in (0, 1)]
START = CELL + MARGIN  # pixels by which the window of the cell before the first begins before the frame
STRIP = 2048  # cells that are worked on at a time

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
    (16 h, 16 w, C) integers in 2^-FRACTION grey levels, 0 .. 255 * 2^FRACTION
    """
    rows, columns = vectors.shape[:2]
    around = np.pad(vectors.astype(np.int64), ((1, 1), (1, 1), (0, 0)), mode="edge")  # windows reach in from outside
    planes = np.ascontiguousarray(reference.transpose(2, 0, 1))
    common = _most_frequent(around)
    alike = (around == common).all(axis=2)
    # sums of the windows, in a grid of CELL x CELL pixels that a window covers four of, from -START on
    shape = CELL * (rows + 3), CELL * (columns + 3)
    sums = _moved(planes, np.full((1, 2), -START), common[None], shape)[:, 0]
    grid = sums.reshape(len(planes), rows + 3, CELL, columns + 3, CELL)
    grid *= _weights(alike)
    i, j = np.nonzero(~alike)
    for first in range(0, len(i), STRIP):
        y, x = i[first : first + STRIP], j[first : first + STRIP]
        corner = np.stack([y, x], 1) * CELL - START
        parts = _moved(planes, corner, around[y, x], (SIDE, SIDE)) * WINDOW_2D
        parts = parts.reshape(len(planes), len(y), 2, CELL, 2, CELL)
        for a, b in QUARTERS_OF_WINDOW:
            grid[:, y + a, :, x + b] += parts[:, :, a, :, b].swapaxes(0, 1)
    inner = sums[:, START : START + CELL * rows, START : START + CELL * columns].transpose(1, 2, 0)
    mean: F32 = np.clip(np.floor((inner + 128) * np.float32(1 / 256)), 0, 255 << FRACTION)
    return mean


def _most_frequent(vectors: I64) -> I64:
    """Of (h, w, 2) vectors: one that most cells have."""
    flat = vectors.reshape(-1, 2)
    _, first, counts = np.unique(flat @ np.array([1 << 32, 1]), return_index=True, return_counts=True)
    found: I64 = flat[first[counts.argmax()]]
    return found


def _weights(alike: NDArray[np.bool_]) -> F32:
    """Sums of the windows of those cells: (h + 1, CELL, w + 1, CELL), for h x w cells."""
    rows, columns = alike.shape
    grid = np.zeros((rows + 1, CELL, columns + 1, CELL), np.float32)
    quarters = WINDOW_2D.reshape(2, CELL, 2, CELL)
    for a, b in QUARTERS_OF_WINDOW:
        grid[a : a + rows, :, b : b + columns] += alike[:, None, :, None] * quarters[a, :, b][:, None]
    return grid


def _moved(planes: U8, corner: I64, vectors: I64, size: tuple[int, int]) -> F32:
    """Rectangles at corners + vectors (n, 2): (C, n, *size) samples in 2^-FRACTION grey levels, not clipped."""
    whole, fraction = np.divmod(vectors, QUARTERS)
    start = corner + whole
    phase = fraction[:, 0] * QUARTERS + fraction[:, 1]
    out = np.empty((len(planes), len(corner), *size), np.float32)
    for each in np.unique(phase):
        at = np.flatnonzero(phase == each)
        out[:, at] = _interpolated(planes, start[at], size, *divmod(int(each), QUARTERS))
    return out


def _interpolated(planes: U8, start: I64, size: tuple[int, int], down: int, right: int) -> F32:
    """Rectangles whose vectors have the same fractions."""
    rows, columns = (
        _run(start[:, axis, None], size[axis], fraction, planes.shape[1 + axis])
        for axis, fraction in enumerate((down, right))
    )
    x = planes[:, rows[:, :, None], columns[:, None, :]].astype(np.float32)
    if not down and not right:
        return x * (1 << FRACTION)
    if right:
        x = filtered(x, right, 3)
    if down:
        x = filtered(x, down, 2)
    return x if not (down and right) else np.floor((x + 32) * np.float32(1 / 64))


def _run(start: I64, length: int, fraction: int, stop: int) -> I64:
    """Indices of `length` pixels from (n, 1) starts on, with the taps around them; outside, those of the border."""
    first, count = (BEFORE, length + TAPS - 1) if fraction else (0, length)
    indices: I64 = np.clip(start - first + np.arange(count), 0, stop - 1)
    return indices


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
