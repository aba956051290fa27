"""training/engine.py: the independent engine agrees bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given

from codec import intnet
from codec.errors import ModelError
from codec.intnet import Conv, Unit
from tests.checks import naive_unit, units
from training import engine


@given(units())
def test_both_engines_agree(drawn: tuple[Unit, list[np.ndarray], np.ndarray]) -> None:
    unit, maps, extra = drawn
    y = intnet.run(unit, *maps, extra=extra)
    at = np.arange(y.shape[0] * y.shape[1])[::3]
    for dtype in (torch.int64, torch.float64):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine, "DTYPE", dtype)
            other = engine.run(unit, *maps, extra=extra)
            assert other.dtype == y.dtype
            assert np.array_equal(other, y)
            some = engine.run(unit, *maps, at=at, extra=extra)
            assert np.array_equal(some, intnet.run(unit, *maps, at=at, extra=extra))
            assert intnet.self_test(unit, engine) == intnet.self_test(unit)


@pytest.mark.parametrize("exact", [1 << 24, 1 << 53])
def test_both_engines_agree_at_the_bound(exact: int) -> None:
    w = exact // (2 * 9 * 40 * 64)
    conv = Conv(np.where(intnet.pattern((16, 3, 3, 40), 0, 1) > 0, w, -w), -64, 64)
    shift = np.arange(16)
    bias = np.full(16, exact // 2 - (1 << 15))
    unit = Unit("edge", (conv,), bias, shift, -exact + 1, exact - 1)
    assert unit.dtype == (np.float32 if exact == 1 << 24 else np.float64)
    x = np.where(intnet.pattern((9, 8, 40), 0, 1) > 0, 64, -64).astype(unit.dtype)
    x[2:5, 2:5] = 64 * np.sign(conv.weight[3])  # one sum as large as it can be
    y = intnet.run(unit, x)
    assert np.array_equal(y, naive_unit(unit, x))
    assert np.array_equal(y, engine.run(unit, x))


def test_both_engines_take_rows_for_pointwise_units() -> None:
    unit = Unit("rows", (Conv(intnet.pattern((3, 1, 1, 5), -9, 9), -9, 9),), np.zeros(3, int), np.array(2), -50, 50)
    rows = intnet.pattern((20, 5), -9, 9)
    y = intnet.run(unit, rows)
    assert y.shape == (20, 3)
    assert np.array_equal(y, engine.run(unit, rows))
    assert np.array_equal(y.reshape(4, 5, 3), intnet.run(unit, rows.reshape(4, 5, 5)))
    assert np.array_equal(y[::2], intnet.run(unit, rows, at=np.arange(0, 20, 2)))
    assert np.array_equal(y[::2], engine.run(unit, rows, at=np.arange(0, 20, 2)))
    for none in (rows[:0], rows[:0, None]):
        assert intnet.run(unit, none).shape == engine.run(unit, none).shape == (*none.shape[:-1], 3)


def test_the_engine_refuses_what_the_runtime_refuses() -> None:
    unit = Unit("u", (Conv(np.ones((2, 1, 1, 3), int), -1, 1),), np.zeros(2, int), np.array(1), 0, 1)
    with pytest.raises(ModelError, match="2 maps for 1"):
        engine.run(unit, np.zeros((4, 4, 3)), np.zeros((4, 4, 3)))
    with pytest.raises(ModelError, match="expected"):
        engine.run(unit, np.zeros((4, 4, 2)))
