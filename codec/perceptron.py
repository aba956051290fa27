"""Exact perceptrons for few rows at a time, some of whose features only say which one of a few it is.

    y = clip(floor(x W' + b'), lo, hi),    W' = W 2^-shift,  b' = (b + 2^(shift-1)) 2^-shift            (intnet.Unit)

A power of two changes no digit of a float, so what is proved exact of a unit is exact of its weights that are divided
beforehand; and a feature that is one of several is a row that is looked up, not a product.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.intnet import Carrier, Unit

__all__ = ["Perceptron", "perceptron"]

Ints = NDArray[np.integer[Any]]


class Perceptron:
    """Units with one 1x1 convolution each, one after the other.

    Parameters
    ----------
    choices : the last `choices` inputs of the first unit stand for a choice: one of them is `top`, the others are 0;
        so it is once more with the `choices` before them
    """

    def __init__(self, units: Sequence[Unit], choices: int, top: int) -> None:
        self._layers = [(unit.dtype, *_divided(unit), unit.lo, unit.hi) for unit in units]
        kind, matrix, offset, *_ = self._layers[0]
        self._first, self._second = matrix[-2 * choices : -choices] * kind.type(top), matrix[-choices:] * kind.type(top)
        self._first += offset
        self._seen = np.ascontiguousarray(matrix[: -2 * choices])

    def __call__(self, x: Carrier, first: Ints, second: Ints) -> Carrier:
        """Outputs (n, O) of rows (n, I - 2 choices) and their two choices (n,)."""
        added = self._first.take(first, axis=0)
        added += self._second.take(second, axis=0)
        matrix = self._seen
        for number, (kind, whole, offset, lo, hi) in enumerate(self._layers):
            x = x.astype(kind, copy=False) @ (whole if number else matrix)
            x += offset if number else added
            np.floor(x, out=x)
            np.maximum(x, lo, out=x)
            np.minimum(x, hi, out=x)
        return x


@functools.lru_cache(maxsize=64)
def perceptron(units: tuple[Unit, ...], choices: int, top: int) -> Perceptron:
    """The perceptron of some units, made once."""
    return Perceptron(units, choices, top)


def _divided(unit: Unit) -> tuple[Carrier, Carrier]:
    """Weights (I, O) and offsets (O,) that are divided by 2^shift."""
    o, shift = len(unit.bias), unit.shift
    halves = np.ldexp(0.5, shift) * (shift > 0)
    matrix = np.ldexp(unit.convs[0].weight.reshape(o, -1).T.astype(np.float64), -shift)
    offset = np.ldexp(unit.bias + halves, -shift)
    return np.ascontiguousarray(matrix.astype(unit.dtype)), offset.astype(unit.dtype)
