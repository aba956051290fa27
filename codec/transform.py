"""The fixed part of the photo codec: colour axes and the 16x16 lapped orthogonal transform (LOT).

    y = A_H (x C) A_W^T          x = A_H^T y A_W C^T

C holds three orthonormal colour axes (luma, orange-blue, green-magenta): within 0.1 degree the KLT of the training
photos, and in a closed form that gives grey pictures no chroma. A is the type-II fast LOT: a rotation across every
block border (Malvar, *Signal Processing with Lapped Transforms*, 1992, section 4.4), then a DCT of each block. It is
orthogonal, so squared error in y is squared error in x, and its basis functions overlap, so there are no block edges
to see.

Analysis runs in float64 and need not be exact. Synthesis is integer: the matrices are rounded to 2^-14, every product
is carried in float64 below 2^53, and each stage is rounded to 2^-FRACTION grey levels. So is the analysis of a
prediction (`project`), which decoders of video run, too; its stages are rounded to 1/256 grey level.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 16
COEFFICIENTS = 3 * BLOCK * BLOCK
MATRIX_BITS = 14
GREY = 127.5  # taken off before the transform
FRACTION = 6  # bits after the point between the stages of the synthesis

F64 = NDArray[np.float64]


def colour_axes() -> F64:
    """Orthonormal 3x3 matrix; column j is colour axis j."""
    axes = np.array([[1, 1, 1], [-1, 0, 1], [1, -2, 1]], dtype=np.float64).T
    return np.asarray(axes / np.sqrt((axes**2).sum(0)))


def dct(n: int) -> F64:
    """Orthonormal DCT-II matrix (n, n); row k is frequency k."""
    k, m = np.mgrid[:n, :n]
    c = np.cos(np.pi / n * (m + 0.5) * k) * math.sqrt(2 / n)
    c[0] /= math.sqrt(2)
    return np.asarray(c)


def border_rotation(n: int = BLOCK) -> F64:
    """Orthogonal (n, n) matrix applied to the n samples around a block border, before the DCT."""
    h = n // 2
    eye, flip = np.eye(h), np.eye(h)[::-1]
    butterfly = np.block([[eye, flip], [flip, -eye]]) / math.sqrt(2)
    k, m = np.mgrid[:h, :h]
    dct4 = math.sqrt(4 / n) * np.cos(np.pi / h * (m + 0.5) * (k + 0.5))
    odd = flip @ dct(h).T @ dct4 @ flip
    return np.asarray(butterfly @ np.block([[eye, np.zeros((h, h))], [np.zeros((h, h)), odd]]) @ butterfly)


def analysis(x: NDArray[np.uint8] | F64) -> F64:
    """Pixels -> coefficients.

    Parameters
    ----------
    x : (16 h, 16 w, 3), grey levels 0..255

    Returns
    -------
    (h, w, 768) float64, in grey levels: colour axis, vertical frequency, horizontal frequency, the last one fastest
    """
    y = (x - GREY) @ colour_axes()
    rotation, basis = border_rotation(), dct(BLOCK)
    for axis in (0, 1):
        y = np.moveaxis(y, axis, 0)
        y = _across_borders(np.ascontiguousarray(y), rotation)
        y = np.moveaxis(_in_blocks(y, basis), 0, axis)
    h, w = x.shape[0] // BLOCK, x.shape[1] // BLOCK
    return y.reshape(h, BLOCK, w, BLOCK, 3).transpose(0, 2, 4, 1, 3).reshape(h, w, COEFFICIENTS)


def project(x: NDArray[np.floating[Any]]) -> F64:
    """Coefficients of a prediction: `analysis`, but exactly the same integers on every machine.

    Parameters
    ----------
    x : (16 h, 16 w, 3) integers in 2^-FRACTION grey levels, 0 .. 255 * 2^FRACTION

    Returns
    -------
    (h, w, 768) float64 holding integers in 1/256 grey levels, laid out as those of `analysis`, below 2^22
    """
    rotation, basis, axes = (matrix.T for matrix in _synthesis_matrices())
    fine = 2.0 ** (8 - FRACTION)
    y = _rounded((x.astype(np.float64) - (255 << FRACTION) // 2) * fine @ axes, MATRIX_BITS)
    for axis in (0, 1):
        y = np.moveaxis(y, axis, 0)
        y = _across_borders(np.ascontiguousarray(y), rotation, MATRIX_BITS)
        y = np.moveaxis(_rounded(_in_blocks(y, basis), MATRIX_BITS), 0, axis)
    h, w = x.shape[0] // BLOCK, x.shape[1] // BLOCK
    return y.reshape(h, BLOCK, w, BLOCK, 3).transpose(0, 2, 4, 1, 3).reshape(h, w, COEFFICIENTS)


def synthesis(y: NDArray[np.integer[Any]], shape: tuple[int, int]) -> F64:
    """Coefficients -> pixels, exactly the same integers on every machine.

    Parameters
    ----------
    y : (h, w, 768) integers in 1/256 grey levels, |y| <= 2^23 (the sums are below 2^53 up to 2^31)
    shape : (h, w)

    Returns
    -------
    (16 h, 16 w, 3) float64 holding integers in 2^-FRACTION grey levels, not clipped to 0..255
    """
    h, w = shape
    rotation, basis, axes = _synthesis_matrices()
    x = y.astype(np.float64).reshape(h, w, 3, BLOCK, BLOCK).transpose(0, 3, 1, 4, 2).reshape(BLOCK * h, BLOCK * w, 3)
    first = 8 - FRACTION  # the input has 8 bits after the point
    for axis in (0, 1):
        x = np.moveaxis(x, axis, 0)
        x = _rounded(_in_blocks(np.ascontiguousarray(x), basis), MATRIX_BITS + first)
        x = np.moveaxis(_across_borders(x, rotation, MATRIX_BITS), 0, axis)
        first = 0
    return _rounded(x @ axes, MATRIX_BITS) + (255 << FRACTION) // 2


@functools.cache
def _synthesis_matrices() -> tuple[F64, F64, F64]:
    """Rotation, DCT and colour axes, transposed and rounded to 2^-MATRIX_BITS."""
    # Ties are impossible to hit by a last bit's difference between two machines' cosines: tests freeze a digest.
    rotation, basis, axes = border_rotation().T, dct(BLOCK).T, colour_axes().T
    return tuple(np.rint(np.ldexp(m, MATRIX_BITS)) for m in (rotation, basis, axes))  # type: ignore[return-value]


def _in_blocks(x: F64, matrix: F64) -> F64:
    """matrix @ each run of 16 rows of x (16 h, ...)."""
    return (matrix @ x.reshape(-1, BLOCK, x[0].size)).reshape(x.shape)


def _across_borders(x: F64, matrix: F64, shift: int | None = None) -> F64:
    """matrix @ the 16 rows around each border between two runs, rounded by `shift` if it is given. Overwrites x."""
    half = BLOCK // 2
    if len(x) > BLOCK:
        inner = _in_blocks(x[half:-half], matrix)
        x[half:-half] = inner if shift is None else _rounded(inner, shift)
    return x


def _rounded(x: F64, shift: int) -> F64:
    """floor(x / 2^shift + 1/2)."""
    x *= 2.0**-shift
    x += 0.5
    return np.floor(x, out=x)
