"""Frames whose chroma has half the resolution, as in nearly all video files: RGB <-> y, cb, cr.

    chroma --bicubic, 2 x 2--> cb', cr' in 1/512      r, g, b = clip(floor(matrix (y, cb', cr') + 1/2))

A clip that was read from such a file has half as many samples as it shows. The conversion is that of libswscale where
it is told to be exact (bicubic with B = 0 and C = 0.6, Mitchell and Netravali 1988; accurate rounding), in integers: so
planes that are found again give all pixels back, bit by bit. What they do not give back is up to the caller
(codec/exactframes.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "Planes", "kind_of", "painted", "recovered"]


class Matrix(NamedTuple):
    """From y, cb and cr to RGB, factors in 2^-13."""

    y: int
    black: int  # in y
    red_cr: int
    green_cb: int
    green_cr: int
    blue_cb: int


Taps = tuple[int, int, int, int]


class Filter(NamedTuple):
    """Weights of the samples k - 2 + p .. k + 1 + p for pixel 2 k + p; two pixels near the border have their own."""

    even: Taps
    odd: Taps
    first: Taps  # pixel 0
    third: Taps  # pixel 2


MATRICES = (
    Matrix(9539, 16, 13075, -3209, -6660, 16525),  # BT.601, black and white at 16 and 235
    Matrix(9539, 16, 14686, -1747, -4366, 17305),  # BT.709
    Matrix(8192, 0, 11485, -2819, -5850, 14516),  # BT.601, black and white at 0 and 255
    Matrix(8192, 0, 12901, -1534, -3835, 15201),  # BT.709
)
ACROSS = (  # sums 2^14
    Filter(
        (0, 0, 16384, 0), (-1229, 9421, 9421, -1229), (0, 0, 16384, 0), (0, 0, 16384, 0)
    ),  # chroma is at even pixels
    Filter(
        (-461, 3943, 14284, -1382), (-1382, 14284, 3943, -461), (0, 0, 17729, -1345), (0, 3835, 13894, -1345)
    ),  # between
)
DOWN = Filter((-115, 985, 3572, -346), (-346, 3572, 985, -115), (0, 0, 4432, -336), (0, 959, 3473, -336))  # sums 2^12
KINDS = len(MATRICES) * len(ACROSS)  # a kind: index into MATRICES, and 4 times that into ACROSS
MOST = (1 << 15) - 1  # of a sample between the two filters, in 2^-7
TURNS, MORE_TURNS = 16, 40  # of the search for chroma, the latter where much is clipped
MUCH = 0.01  # share of samples
GAIN = 1.3  # of a turn: a little more than the error's mean
NEAR = (0, 1, -1)  # values of y that are tried
WINDOW, MARGIN = 64, 8  # pixels: parts of a frame that tell its kind, and what of them depends on what is around
DOUBTFUL = 0.5  # share of pixels that are not given back, from which a frame is of no kind

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """A frame as a video file holds it.

    Attributes
    ----------
    kind : 0 .. KINDS - 1, of the conversion
    y : (H, W) uint8, H and W even
    chroma : (H / 2, W / 2, 2) uint8, cb and cr
    """

    kind: int
    y: U8
    chroma: U8


def painted(planes: Planes) -> U8:
    """(H, W, 3): the pixels that the planes stand for."""
    return _converted(planes.y, _tinted(planes.chroma, planes.kind), planes.kind)


def kind_of(frame: U8) -> int | None:
    """The kind of planes that a frame (H, W, C) seems to be made of, from some parts of it; None if it is of none."""
    height, width, channels = frame.shape
    if channels != 3 or height % 2 or width % 2:
        return None
    parts = []
    for row in (1, 2, 3):
        top, left = (length * row // 4 // 2 * 2 for length in (height, width))
        top, left = (max(0, min(at - WINDOW // 2, length - WINDOW)) for at, length in ((top, height), (left, width)))
        parts.append(np.ascontiguousarray(frame[top : top + WINDOW, left : left + WINDOW]))
    wrong = []
    for kind in range(KINDS):
        missed = [(painted(recovered(part, kind)) != part).any(axis=2) for part in parts]
        inner = [each[MARGIN:-MARGIN, MARGIN:-MARGIN] if min(each.shape) > 3 * MARGIN else each for each in missed]
        wrong.append(sum(float(each.mean()) for each in inner) / len(parts))
    best = min(range(KINDS), key=wrong.__getitem__)
    return best if wrong[best] < DOUBTFUL else None


def recovered(frame: U8, kind: int) -> Planes:
    """Planes that a frame (H, W, 3) with even sides is likely to have been made of.

    Nothing here has to be exact: `painted` tells how much of the frame they give back.
    """
    matrix = MATRICES[kind % len(MATRICES)]
    forward = _forward(matrix)
    chroma = np.clip(np.rint(_chroma(frame, kind, forward) + 128), 0, 255).astype(np.uint8)
    tint = _tinted(chroma, kind)
    free = (frame > 0) & (frame < 255)
    opinions = frame - tint.astype(np.float32) * np.float32(2.0**-22)  # of the three colours on y's share
    count = free.sum(axis=2)
    share = np.where(count > 0, (opinions * free).sum(axis=2) / np.maximum(count, 1), opinions.mean(axis=2))
    guess = np.rint(share * (8192 / matrix.y)).astype(np.int64) + matrix.black
    y = np.clip(guess, 0, 255).astype(np.uint8)
    found = np.zeros(guess.shape, np.bool_)
    for offset in NEAR:
        other = np.clip(guess + offset, 0, 255).astype(np.uint8)
        fits = ~found & (_converted(other, tint, kind) == frame).all(axis=2)
        y[fits] = other[fits]
        found |= fits
        if found.all():
            break
    return Planes(kind, y, chroma)


def _converted(y: U8, tint: I64, kind: int) -> U8:
    """y, and what chroma adds to RGB -> RGB."""
    matrix = MATRICES[kind % len(MATRICES)]
    light = (y.astype(np.int64) - matrix.black) * (512 * matrix.y) + (1 << 21)
    pixels: U8 = np.clip(light[..., None] + tint >> 22, 0, 255).astype(np.uint8)
    return pixels


def _tinted(chroma: U8, kind: int) -> I64:
    """What chroma (h, w, 2) adds to red, green and blue, in 2^-22: (2 h, 2 w, 3)."""
    matrix, across = MATRICES[kind % len(MATRICES)], ACROSS[kind // len(MATRICES)]
    wide = np.minimum(_interpolated(chroma.astype(np.int64), across, 1) >> 7, MOST)
    large = _interpolated(wide, DOWN, 0) + (1 << 9) - (128 << 19) >> 10
    b, r = large[..., 0], large[..., 1]
    return np.stack([matrix.red_cr * r, matrix.green_cb * b + matrix.green_cr * r, matrix.blue_cb * b], axis=-1)


def _interpolated(x: NDArray[Any], weights: Filter, axis: int, scale: Any = 1) -> NDArray[Any]:
    """Twice as many samples along an axis; outside are those at the border."""
    n = x.shape[axis]
    table = np.array([weights.even, weights.odd] * n)
    table[0] = weights.first
    if n > 1:
        table[2] = weights.third
    scaled = (table * scale).astype(x.dtype)
    pixels = np.arange(2 * n)
    first = pixels // 2 + pixels % 2 - 2
    shape = [1] * x.ndim
    shape[axis] = 2 * n
    out = np.zeros((), x.dtype)
    for tap in range(4):
        out = out + np.take(x, np.clip(first + tap, 0, n - 1), axis=axis) * scaled[:, tap].reshape(shape)
    return out


def _forward(matrix: Matrix) -> F32:
    """y's share, cb and cr -> RGB, as a matrix."""
    rows = [[8192, 0, matrix.red_cr], [8192, matrix.green_cb, matrix.green_cr], [8192, matrix.blue_cb, 0]]
    return np.array(rows, np.float32) / np.float32(8192)


def _chroma(frame: U8, kind: int, forward: F32) -> F32:
    """Chroma (h, w, 2), neutral at 0, whose enlargement is near the frame's: errors are projected back.

    Samples that are clipped count as what is expected of them, as far as that is beyond black or white.
    """
    backward, across = np.linalg.inv(forward), ACROSS[kind // len(MATRICES)]
    pixels = frame.astype(np.float32)
    dark, bright = frame == 0, frame == 255
    clipped = float(dark.mean() + bright.mean())
    seen = pixels @ backward.T
    chroma = _mean(seen[..., 1:])
    for _ in range(MORE_TURNS if clipped > MUCH else TURNS):
        wide = _interpolated(chroma, across, 1, 2.0**-14)
        large = _interpolated(wide, DOWN, 0, 2.0**-12)
        if clipped > 0:
            expected = np.concatenate([seen[..., :1], large], axis=2) @ forward.T
            filled = np.where(dark, np.minimum(expected, 0), np.where(bright, np.maximum(expected, 255), pixels))
            seen = filled @ backward.T
        chroma = chroma + np.float32(GAIN) * _mean(seen[..., 1:] - large)
    return chroma


def _mean(x: F32) -> F32:
    """Of 2 x 2 pixels."""
    h, w, channels = x.shape
    means: F32 = x.reshape(h // 2, 2, w // 2, 2, channels).mean(axis=(1, 3))
    return means
