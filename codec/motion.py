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

__all__ = ["CELL", "FARTHEST", "QUARTERS", "filter_rows", "predict"]

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
    sums = np.zeros((len(planes), rows + 3, CELL, columns + 3, CELL), np.float32)  # quarters of windows, side by side
    step = max(1, STRIP // (columns + 2))
    for top in range(0, rows + 2, step):
        strip = around[top : top + step]
        i, j = np.mgrid[top : top + len(strip), : columns + 2]
        corner = np.stack([i, j], 2).reshape(-1, 2) * CELL - CELL - MARGIN  # of a cell's window, in the frame
        patches = _windows(planes, corner, strip.reshape(-1, 2))
        patches *= WINDOW[:, None] * WINDOW
        parts = patches.reshape(len(planes), len(strip), columns + 2, 2, CELL, 2, CELL)
        for a in (0, 1):
            for b in (0, 1):
                here = sums[:, top + a : top + a + len(strip), :, b : b + columns + 2]
                here += parts[:, :, :, a, :, b].transpose(0, 1, 3, 2, 4)
    joined = sums.reshape(len(planes), CELL * (rows + 3), -1)
    start = CELL + MARGIN
    inner = joined[:, start : start + CELL * rows, start : start + CELL * columns].transpose(1, 2, 0)
    mean = np.floor((inner + 128) * np.float32(1 / 256))
    return np.clip(mean, 0, 255 << FRACTION)


def _windows(planes: U8, corner: I64, vectors: I64) -> F32:
    """(C, n, SIDE, SIDE) samples in 2^-FRACTION grey levels, not clipped, of windows at corners + vectors (n, 2)."""
    whole, fraction = np.divmod(vectors, QUARTERS)
    start = corner + whole
    phase = fraction[:, 0] * QUARTERS + fraction[:, 1]
    out = np.empty((len(planes), len(corner), SIDE, SIDE), np.float32)
    for each in np.unique(phase):
        at = np.flatnonzero(phase == each)
        down, right = divmod(int(each), QUARTERS)
        out[:, at] = _interpolated(planes, start[at], down, right)
    return out


def _interpolated(planes: U8, start: I64, down: int, right: int) -> F32:
    """Windows whose vectors have the same fractions: (C, n, SIDE, SIDE)."""
    height, width = planes.shape[1:]
    reach = SIDE + TAPS - 1
    rows = _run(start[:, :1], reach if down else SIDE, down, height)
    columns = _run(start[:, 1:], reach if right else SIDE, right, width)
    x = planes[:, rows[:, :, None], columns[:, None, :]].astype(np.float32)
    if not down and not right:
        return x * (1 << FRACTION)
    if right:
        x = filter_rows(x, right)
    if down:
        x = filter_rows(x.swapaxes(2, 3), down).swapaxes(2, 3)
    return x if not (down and right) else np.floor((x + 32) * np.float32(1 / 64))


def _run(start: I64, length: int, fraction: int, stop: int) -> I64:
    """Indices of `length` pixels from (n, 1) starts on, and the taps before them; outside, those of the border."""
    return np.clip(start + np.arange(length) - (BEFORE if fraction else 0), 0, stop - 1)


def filter_rows(x: F32, fraction: int) -> F32:
    """(..., n + 7) samples -> (..., n) samples that are so many quarters further, times 64."""
    n = x.shape[-1] - TAPS + 1
    out = np.zeros((*x.shape[:-1], n), np.float32)
    for tap in np.flatnonzero(FILTERS[fraction]):
        out += FILTERS[fraction, tap] * x[..., tap : tap + n]
    return out
