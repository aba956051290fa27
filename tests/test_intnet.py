"""codec/intnet.py: exact, or refused."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given

from codec import intnet
from codec.errors import ModelError
from codec.intnet import Conv, Unit
from tests.checks import naive_unit, units


@given(units())
def test_units_are_exact(drawn: tuple[Unit, list[np.ndarray], np.ndarray]) -> None:
    unit, maps, extra = drawn
    expected = naive_unit(unit, *maps, extra=extra)
    before = [x.copy() for x in maps]
    y = intnet.run(unit, *maps, extra=extra)
    assert y.dtype == unit.dtype
    assert np.array_equal(y, expected)
    at = np.random.default_rng(0).permutation(expected[..., 0].size)[: expected[..., 0].size // 2]
    assert np.array_equal(intnet.run(unit, *maps, at=at, extra=extra), expected.reshape(-1, expected.shape[2])[at])
    assert all(np.array_equal(a, b) for a, b in zip(before, maps, strict=True))  # inputs stay as they were


@pytest.mark.parametrize("finer", [0, 24])
def test_a_chain_of_units_is_one_run_after_the_other(finer: int) -> None:
    rng, sizes, low, units = np.random.default_rng(finer), (9, 7, 5), -255, []
    for size, outputs in itertools.pairwise(sizes):
        weight = rng.integers(-90, 91, (outputs, 1, 1, size)) << finer  # the sums of the second carrier need float64
        shift = rng.integers(0, 12, outputs) + finer
        units.append(Unit("u", (Conv(weight, low, 255),), rng.integers(-99, 100, outputs) << finer, shift, 0, 255))
        low = 0
    assert units[0].dtype == (np.float64 if finer else np.float32)
    for count in (0, 1, 300):
        x = rng.integers(-255, 256, (count, 9)).astype(np.float32)
        before = x.copy()
        found = intnet.chain(units, x)
        assert np.array_equal(found, intnet.run(units[1], intnet.run(units[0], x)))
        assert np.array_equal(x, before)  # inputs stay as they were
        for row, one in zip(found, x[:5], strict=False):
            maps = naive_unit(units[1], naive_unit(units[0], one[None, None]).astype(np.float64))
            assert np.array_equal(row, maps[0, 0])


@pytest.mark.parametrize("exact", [1 << 24, 1 << 53])
@pytest.mark.parametrize("side", [-1, 1])
def test_sums_at_the_very_bound_are_exact(exact: int, side: int) -> None:
    # 9 * 7 products and a bias reach exactly 2^24 - 1 (2^53 - 1), and one more changes the carrier.
    size = 63
    w = exact // (size * 128)
    rest = exact - 1 - size * 128 * w
    weight = side * np.full((1, 3, 3, 7), w)
    x = np.full((3, 3, 7), 128.0)
    unit = Unit("edge", (Conv(weight, -128, 128),), np.array([side * rest]), np.array([0]), -exact + 1, exact - 1)
    assert unit.bound == exact - 1
    assert unit.dtype == (np.float32 if exact == 1 << 24 else np.float64)
    assert intnet.run(unit, x)[1, 1, 0] == side * (exact - 1)
    bias = np.array([side * (rest + 1)])
    if exact == 1 << 24:
        assert Unit("past", unit.convs, bias, np.array([0]), 0, 1).dtype == np.float64
    else:
        with pytest.raises(ModelError, match="past: sums may reach 9007199254740992"):
            Unit("past", unit.convs, bias, np.array([0]), 0, 1)


def test_the_half_of_a_shift_counts_in_the_bound() -> None:
    conv = Conv(np.array([[[[1]]]]), -1, 1)
    assert Unit("u", (conv,), np.array([0]), np.array([24]), 0, 1).bound == 1 + (1 << 23)
    assert Unit("u", (conv,), np.array([0]), np.array([25]), 0, 1).dtype == np.float64


def test_halves_round_up_and_floors_go_down() -> None:
    unit = Unit("u", (Conv(np.array([[[[1]]]]), -9, 9),), np.array([0]), np.array([1]), -9, 9)
    x = np.arange(-5, 6).reshape(1, 11, 1)
    assert intnet.run(unit, x).ravel().tolist() == [-2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3]


def test_large_maps_are_worked_on_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = Unit("u", (Conv(intnet.pattern((4, 3, 3, 5), -9, 9), -9, 9, 2),), np.zeros(4, int), np.array(3), -50, 50)
    x = intnet.pattern((37, 23, 5), -9, 9)
    whole = intnet.run(unit, x)
    monkeypatch.setattr(intnet, "_BLOCK", 5 * 12 * 45)
    assert np.array_equal(intnet.run(unit, x), whole)


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (4, 5)])
@pytest.mark.parametrize("stride", [1, 2])
def test_maps_may_lie_in_memory_as_they_like(shape: tuple[int, int], stride: int) -> None:
    conv = Conv(intnet.pattern((3, 3, 3, 7), -9, 9), -99, 99, stride)
    unit = Unit("layout", (conv,), np.zeros(3, int), np.array(0), -(1 << 20), 1 << 20)
    x = intnet.pattern((*shape, 7), -99, 99).astype(unit.dtype)
    layouts = np.asfortranarray(x), x[::-1, ::-1].copy()[::-1, ::-1], np.repeat(x, 2, axis=2)[..., ::2]
    for other in (*layouts, np.asfortranarray(x.reshape(-1, 7)).reshape(x.shape)):
        assert np.array_equal(intnet.run(unit, other), naive_unit(unit, x))


def test_units_that_make_no_sense_are_refused() -> None:
    conv = Conv(np.ones((2, 1, 1, 3), int), -1, 1)
    good = {"name": "u", "convs": (conv,), "bias": np.zeros(2, int), "shift": np.array(1), "lo": 0, "hi": 1, "extra": 0}
    Unit(**good)
    for wrong in (
        {"convs": ()},
        {"convs": (conv, Conv(np.ones((3, 1, 1, 3), int), -1, 1))},
        {"bias": np.zeros(3, int)},
        {"bias": np.zeros(2)},
        {"bias": np.zeros((2, 1), int)},
        {"bias": np.array(0)},
        {"shift": np.array(-1)},
        {"shift": np.array([1, 60])},
        {"shift": np.array(1.0)},
        {"shift": np.array([1, 1, 1])},
        {"lo": 2},
        {"hi": 1 << 53},
        {"extra": -1},
        {"extra": 1 << 53},
    ):
        with pytest.raises(ModelError):
            Unit(**(good | wrong))
    for weight, low, high, stride in (
        (np.ones((2, 1, 1, 3)), -1, 1, 1),
        (np.ones((2, 2, 2, 3), int), -1, 1, 1),
        (np.ones((2, 1, 1, 0), int), -1, 1, 1),
        (np.ones((2, 3), int), -1, 1, 1),
        (np.ones((2, 1, 1, 3), int), 1, -1, 1),
        (np.ones((2, 1, 1, 3), int), -1, 1, 0),
    ):
        with pytest.raises(ModelError):
            Conv(weight, low, high, stride)
    with pytest.raises(ModelError, match=r"\[-2, 1\] feeds a layer that takes \[-1, 1\]"):
        conv.accepts(-2, 1)
    with pytest.raises(ModelError, match="expected"):
        intnet.run(Unit(**good), np.zeros((4, 4, 2)))
    with pytest.raises(ModelError, match="up to 1, declared were 0"):
        intnet.run(Unit(**good), np.zeros((4, 4, 3)), extra=np.array([0, -1]))
    with pytest.raises(ModelError, match="2 maps for 1"):
        intnet.run(Unit(**good), np.zeros((4, 4, 3)), np.zeros((4, 4, 3)))


def test_proof_takes_hostile_numbers() -> None:
    for least, dtype in ((-(2**31), np.int32), (-(2**63), np.int64)):
        huge = np.full((1, 3, 3, 4), least, dtype)  # |w| does not fit its own type
        assert Conv(huge, -1, 0).bound() == [-36 * least]
        for low, high, bias in ((-(2**62), 2**62, 0), (0, 1, -(2**63))):
            with pytest.raises(ModelError, match="sums may reach"):
                Unit("u", (Conv(huge, low, high),), np.array([bias]), np.array([0]), 0, 1)


def test_the_self_test_sees_a_machine_that_computes_wrong() -> None:
    conv = Conv(intnet.pattern((8, 3, 3, 16), -127, 127), -5000, 5000)
    unit = Unit("u", (conv,), np.zeros(8, int), np.array(8), -9999, 9999)

    class HalfPrecision:
        """Ten bits of mantissa, as in the matrix units that are used if one lets them."""

        @staticmethod
        def run(unit: Unit, x: np.ndarray, at: np.ndarray | None = None, extra: np.ndarray | None = None) -> np.ndarray:
            return intnet.run(unit, x.astype(np.float16), at=at, extra=extra)

    assert intnet.self_test(unit) == intnet.self_test(unit)
    assert intnet.self_test(unit) != intnet.self_test(unit, HalfPrecision)


def test_the_self_test_does_not_change() -> None:
    # Models in the field carry digests of these very inputs.
    convs = Conv(intnet.pattern((8, 3, 3, 16), -127, 127), -60, 60), Conv(intnet.pattern((8, 1, 1, 3), -9, 9), 0, 7)
    unit = Unit("u", convs, intnet.pattern((8,), -999, 999), np.arange(8), -99, 99, 50)
    assert intnet.self_test(unit).hex() == "f4028a06e7c3c0d1"


SETTINGS = [
    {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads} | ({"OPENBLAS_CORETYPE": core} if core else {})
    for threads in ("1", "2")
    for core in ("", "Prescott", "Nehalem", "Haswell", "SkylakeX", "Zen")
]

PROBE = """
import hashlib, numpy as np
from codec import intnet
digest = hashlib.blake2b(digest_size=8)
for k, i, o, x, shift in ((3, 96, 96, 100, 9), (1, 200, 64, 300, 5), (3, 32, 24, 30000, 12)):
    unit = intnet.Unit("u", (intnet.Conv(intnet.pattern((o, k, k, i), -127, 127), -x, x),),
                       intnet.pattern((o,), -999, 999), np.array(shift), -(2**20), 2**20)
    y = intnet.run(unit, intnet.pattern((40, 33, i), -x, x).astype(unit.dtype))
    digest.update(y.astype("<i8").tobytes() + intnet.self_test(unit))
a, b = (intnet.pattern((300, 300), -(2**20), 2**20).astype(np.float32) * np.float32(0.1) for _ in range(2))
print(digest.hexdigest(), hashlib.blake2b((a @ b).tobytes(), digest_size=8).hexdigest())
"""


def test_threads_and_kernels_give_one_result() -> None:
    exact, floats = set(), set()
    for setting in SETTINGS:
        command, env = [sys.executable, "-c", PROBE], os.environ | setting
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=120)
        integers, control = done.stdout.split()
        exact.add(integers)
        floats.add(control)
    print(f"{len(SETTINGS)} settings: {len(exact)} integer result, {len(floats)} float results")
    assert len(exact) == 1
