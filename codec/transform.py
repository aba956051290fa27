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
    y = np.tensordot(colour_axes().T, x.transpose(2, 0, 1) - GREY, 1)
    return _forward(y, border_rotation(), dct(BLOCK), exact=False)


def project(x: NDArray[np.floating[Any]]) -> F64:
    """Coefficients of a prediction: `analysis`, but exactly the same integers on every machine.

    Parameters
    ----------
    x : (16 h, 16 w, 3) integers in 2^-FRACTION grey levels, 0 .. 255 * 2^FRACTION

    Returns
    -------
    (h, w, 768) float64 holding integers in 1/256 grey levels, laid out as those of `analysis`, below 2^22
    """
    rotation, basis, axes = (matrix.T * 2.0**-MATRIX_BITS for matrix in _synthesis_matrices())
    y = x.transpose(2, 0, 1).astype(np.float64, order="C")
    y -= (255 << FRACTION) // 2
    y = _rounded(np.tensordot(axes.T * 2.0 ** (8 - FRACTION), y, 1))
    return _forward(y, rotation, basis, exact=True)


def synthesis(y: NDArray[np.integer[Any]], shape: tuple[int, int]) -> F64:
    """Coefficients -> pixels, exactly the same integers on every machine.

    Parameters
    ----------
    y : (h, w, 768) integers in 1/256 grey levels, |y| <= 2^23 (the sums are below 2^53 up to 2^31)
    shape : (h, w)

    Returns
    -------
    (16 h, 16 w, 3) float64 holding integers in 2^-FRACTION grey levels, not clipped to 0..255; plane after plane in
    memory
    """
    h, w = shape
    rotation, basis, axes = (matrix * 2.0**-MATRIX_BITS for matrix in _synthesis_matrices())
    x: F64 = np.empty((3, h, BLOCK, w, BLOCK))
    x[:] = y.reshape(h, w, 3, BLOCK, BLOCK).transpose(2, 0, 3, 1, 4)
    x = x.reshape(3, BLOCK * h, BLOCK * w)
    for plane in x:
        plane *= 2.0 ** (FRACTION - 8)  # the input has 8 bits after the point
        for axis in (0, 1):
            _in_blocks(plane, basis, axis)
            _across_borders(plane, rotation, axis)
    x = _rounded(np.tensordot(axes.T, x, 1))
    x += (255 << FRACTION) // 2
    return x.transpose(1, 2, 0)


@functools.cache
def _synthesis_matrices() -> tuple[F64, F64, F64]:
    """Rotation, DCT and colour axes, transposed and rounded to 2^-MATRIX_BITS."""
    # Ties are impossible to hit by a last bit's difference between two machines' cosines: tests freeze a digest.
    rotation, basis, axes = border_rotation().T, dct(BLOCK).T, colour_axes().T
    return tuple(np.rint(np.ldexp(m, MATRIX_BITS)) for m in (rotation, basis, axes))  # type: ignore[return-value]


def _forward(y: F64, rotation: F64, basis: F64, exact: bool) -> F64:
    """Planes (3, 16 h, 16 w), which it overwrites -> coefficients (h, w, 768)."""
    for plane in y:
        for axis in (0, 1):
            _across_borders(plane, rotation, axis, exact)
            _in_blocks(plane, basis, axis, exact)
    h, w = y.shape[1] // BLOCK, y.shape[2] // BLOCK
    return y.reshape(3, h, BLOCK, w, BLOCK).transpose(1, 3, 0, 2, 4).reshape(h, w, COEFFICIENTS)


def _in_blocks(x: F64, matrix: F64, axis: int, exact: bool = True) -> None:
    """matrix @ each run of 16 samples along an axis of a plane (16 h, 16 w), in place; if `exact`, rounded."""
    rows, columns = x.shape
    if axis == 0:
        y = matrix @ x.reshape(rows // BLOCK, BLOCK, columns)
    else:
        y = x.reshape(rows, columns // BLOCK, BLOCK) @ matrix.T
    if exact:
        y += 0.5
        np.floor(y, out=y)
    x[:] = y.reshape(x.shape)


def _across_borders(x: F64, matrix: F64, axis: int, exact: bool = True) -> None:
    """`_in_blocks` for the 16 samples around each border between two runs."""
    inner = x[BLOCK // 2 : -BLOCK // 2] if axis == 0 else x[:, BLOCK // 2 : -BLOCK // 2]
    if inner.size:
        _in_blocks(inner, matrix, axis, exact)


def _rounded(x: F64) -> F64:
    """floor(x + 1/2), in place."""
    x += 0.5
    return np.floor(x, out=x)
