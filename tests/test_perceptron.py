"""codec/perceptron.py: what it computes is what the units compute, to the last digit."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from codec import intnet
from codec.intnet import Conv, Unit, pattern
from codec.perceptron import Perceptron, perceptron

TOP = 255


def unit(name: str, size: int, outputs: int, most: int, shift: int, reach: int, largest: int = 40) -> Unit:
    """A unit of pseudo-random integers: inputs up to `most`, weights up to `largest`, outputs up to `reach`."""
    weight = pattern((outputs, 1, 1, size), -largest, largest)
    shifts = np.arange(outputs) % 3 + shift if shift else np.zeros(outputs, np.int64)  # not all alike
    return Unit(name, (Conv(weight, -most, most),), pattern((outputs,), -999, 999), shifts, -reach, reach)


@pytest.mark.parametrize("shift", [0, 1, 7])
@pytest.mark.parametrize("largest", [40, 1 << 20])  # sums that fit float32, and sums that need float64
def test_outputs_are_those_of_the_units(shift, largest):
    units = (unit("a", 5 + 2 * 4, 6, TOP, shift, 20_000, largest), unit("b", 6, 3, 20_000, shift, 1 << 20))
    assert units[0].dtype == (np.float32 if largest == 40 else np.float64)
    x = pattern((50, 5), -TOP, TOP).astype(np.float32)
    first, second = (pattern((50,), 0, 3), pattern((50,), 0, 3)[::-1])
    places = [np.eye(4, dtype=np.float32)[which] * TOP for which in (first, second)]
    expected = functools.reduce(lambda y, each: intnet.run(each, y), units, np.concatenate([x, *places], axis=1))
    found = Perceptron(units, 4, TOP)(x, first, second)
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found)) > 4  # not all of them at an end of the range
    for row in range(3):
        one = Perceptron(units, 4, TOP)(x[row : row + 1], first[row : row + 1], second[row : row + 1])
        np.testing.assert_array_equal(one[0], expected[row])


def test_it_is_made_once():
    units = (unit("a", 10, 6, TOP, 3, 300),)
    assert perceptron(units, 4, TOP) is perceptron(units, 4, TOP)
    assert perceptron(units, 3, TOP) is not perceptron(units, 4, TOP)
