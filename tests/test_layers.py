"""codec/layers.py: tensors that do not fit end in a ModelError."""

from __future__ import annotations

import numpy as np
import pytest

from codec.errors import ModelError
from codec.intnet import Conv, Unit, run
from codec.layers import MOST, Input, Layers, chained

TENSORS = {
    "a.weight.0": np.ones((2, 3, 3, 4), np.int32),
    "a.weight.1": np.ones((2, 1, 1, 5), np.int32),
    "a.bias": np.array([7, -7], np.int32),
    "a.shift": np.array([1, 2], np.int32),
}
INPUTS = (Input(4, -9, 9, kernel=3), Input(5, 0, 99))


def test_a_unit_is_made_of_its_tensors():
    layers = Layers(TENSORS)
    unit = layers.unit("a", INPUTS, layers.size("a.bias"), -50, 50, extra=3)
    layers.finish()
    assert unit.extra == 3 << 2
    assert run(unit, np.ones((1, 1, 4)), np.ones((1, 1, 5))).tolist() == [[[8, 1]]]  # 16 / 2, 2 / 4 rounded up


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("change", ["missing", "scalar", "cut", "one more axis", "floats"])
def test_what_does_not_fit_is_named(name, change):
    changes = {
        "scalar": lambda t: t.ravel()[0],
        "cut": lambda t: t[..., :-1],
        "one more axis": lambda t: t[None],
        "floats": lambda t: t.astype(float),
    }
    others = {key: tensor for key, tensor in TENSORS.items() if key != name}
    tensors = others if change == "missing" else others | {name: np.asarray(changes[change](TENSORS[name]))}
    with pytest.raises(ModelError, match=name):
        Layers(tensors).unit("a", INPUTS, 2, -50, 50)


def test_what_is_left_over_is_named():
    layers = Layers(TENSORS | {"b": np.zeros(1, int)})
    layers.unit("a", INPUTS, 2, -50, 50)
    with pytest.raises(ModelError, match="no layer takes: b"):
        layers.finish()


@pytest.mark.parametrize(("count", "divisor"), [(0, 1), (MOST + 1, 1), (7, 4), (4 * MOST + 4, 4)])
def test_sizes_have_bounds(count, divisor):
    with pytest.raises(ModelError, match=f"has {count} numbers"):
        Layers({"v": np.zeros(count, int)}).size("v", divisor)


def test_numbers_have_bounds():
    layers = Layers({"v": np.array([-3, 5])})
    assert layers.bounded("v", 2, low=-3, high=5).tolist() == [-3, 5]
    for low, high in ((-2, 5), (-3, 4)):
        with pytest.raises(ModelError, match=r"-3 \.\. 5"):
            layers.bounded("v", 2, low=low, high=high)


@pytest.mark.parametrize("shift", [-1, 53, 2**31 - 1, -(2**31)])
def test_a_shift_out_of_range_is_refused_whatever_is_added(shift):
    tensors = TENSORS | {"a.shift": np.array([0, shift])}
    for extra in (0, 1, 2**31):
        with pytest.raises(ModelError):
            Layers(tensors).unit("a", INPUTS, 2, -50, 50, extra)


def test_a_chain_takes_what_it_gives():
    def unit(low: int, high: int, lo: int, hi: int) -> Unit:
        return Unit("u", (Conv(np.ones((1, 1, 1, 1), int), low, high),), np.zeros(1, int), np.zeros(1, int), lo, hi)

    fits = unit(-1, 1, 0, 255), unit(0, 255, -9, 9), unit(-9, 9, 0, 1)
    assert chained(*fits) == fits
    with pytest.raises(ModelError, match=r"\[0, 255\] feeds a layer that takes \[0, 127\]"):
        chained(fits[0], unit(0, 127, 0, 1))
