"""codec/tensors.py: tensors come back, cost little, and damaged bytes do no harm."""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.entropy import Encoder
from codec.errors import CodecError, LimitExceeded, ModelError
from codec.intnet import pattern
from codec.limits import Limits
from codec.tensors import MAX_TENSORS, _Code, _densities, _put, _put_raw, pack_tensors, unpack_tensors

INT32 = 2**31
DIRECTORY = _Code(center=0, low=0, radius=127, escape=1, shape=2, axes=0, first=32, span=0)


def check_roundtrip(tensors: dict[str, np.ndarray]) -> int:
    """Pack and unpack, compare everything; length in bytes."""
    data = pack_tensors(tensors)
    back = unpack_tensors(data)
    assert list(back) == list(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == np.int32
        assert back[name].shape == tensor.shape
        assert np.array_equal(back[name], tensor)
    return len(data)


@st.composite
def tensors(draw: st.DrawFn) -> np.ndarray:
    """Bells of any width, off centre, with outliers, with a scale for each row or column; constants; anything."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = tuple(draw(st.lists(st.integers(1, 12), max_size=4)))
    values = rng.normal(0, 2.0 ** draw(st.integers(-2, 28)), shape) + draw(st.sampled_from([0, 0, -7, 10**6]))
    if draw(st.booleans()) and shape:
        values = values * np.exp(rng.normal(0, 2, (shape[0],) + (1,) * (len(shape) - 1)))
    outliers = rng.random(shape) < draw(st.sampled_from([0, 0.01, 0.5]))
    values = np.where(outliers, rng.uniform(-INT32, INT32 - 1, shape), values)
    return np.clip(np.rint(values * draw(st.sampled_from([0, 1, 1]))), -INT32, INT32 - 1).astype(np.int64)


@given(st.lists(st.tuples(st.text(max_size=20), tensors()), max_size=5, unique_by=lambda item: item[0]))
def test_tensors_come_back(items: list[tuple[str, np.ndarray]]) -> None:
    check_roundtrip(dict(items))


def test_names_and_extremes_come_back() -> None:
    check_roundtrip({})
    ends = np.array([-INT32, INT32 - 1])
    check_roundtrip({"": np.array(0), "ä" * 127: ends, "ä" * 126 + "ö": ends.reshape(1, 1, 2, 1), "ä": ends[:1]})
    check_roundtrip({f"layer.{i}.weight": np.arange(i + 1) for i in range(300)})
    check_roundtrip({"bits": np.array([0, 1] * 50, np.uint8), "long": pattern((9, 700), -5, 5)})


def test_constants_are_nearly_free() -> None:
    zero = check_roundtrip({"zero": np.zeros((64, 3, 3, 64), int)})
    assert zero <= 24
    assert check_roundtrip({"zero": np.zeros((64, 3, 3, 64), int), "nine": np.full(1000, 9)}) <= zero + 20


def test_the_size_is_close_to_the_entropy() -> None:
    rng = np.random.default_rng(0)
    n = 60_000
    for sigma in (1.5, 20, 3000):  # 8-bit weights, and 16-bit ones
        gauss = np.rint(rng.normal(0, sigma, n)).astype(int)
        assert check_roundtrip({"w": gauss}) * 8 / n < 1.005 * math.log2(math.sqrt(2 * math.pi * math.e) * sigma) + 0.03
    laplace = np.rint(rng.laplace(0, 10, n)).astype(int)
    assert check_roundtrip({"w": laplace}) * 8 / n < 1.005 * math.log2(2 * math.e * 10) + 0.02
    spike = rng.choice([-90, 0, 1, 77], n, p=[0.1, 0.7, 0.15, 0.05])  # no bell: an explicit table
    assert check_roundtrip({"w": spike}) * 8 / n < 1.35


def test_a_scale_for_each_row_pays() -> None:
    rng = np.random.default_rng(0)
    scales = 2.0 ** rng.uniform(0, 6, (200, 1, 1, 1))
    rows = np.rint(rng.normal(0, 1, (200, 3, 3, 30)) * scales).astype(int)
    mixed = rng.permutation(rows.ravel()).reshape(rows.shape)
    assert check_roundtrip({"w": rows}) < 0.9 * check_roundtrip({"w": mixed})


def test_what_cannot_be_stored_is_refused() -> None:
    shapeless = np.zeros((1, 1, 1, 1, 1), int), np.zeros((2, 0), int)
    for tensor in (np.zeros(3), *shapeless, np.array([INT32]), np.array([-INT32 - 1])):
        with pytest.raises(ValueError, match="x"):
            pack_tensors({"x": tensor})
    with pytest.raises(ValueError, match="as a tensor"):
        pack_tensors({"ä" * 128: np.array(0)})
    with pytest.raises(ValueError, match="allowed"):
        pack_tensors({str(i): np.array(0) for i in range(MAX_TENSORS + 1)})


SMALL = {
    "a.weight": pattern((4, 3, 3, 2), -100, 100) // 3,
    "a.shift": np.full(8, 7),
    "a.bias": pattern((8,), -(2**20), 2**20),
    "b": np.arange(20) % 3 * 50,
}


def test_damaged_bytes_do_no_harm() -> None:
    data = pack_tensors(SMALL)
    damaged = [data[:length] for length in range(len(data))]
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    refused, slowest = 0, 0.0
    for attempt in damaged:
        start = time.process_time()
        try:
            unpack_tensors(attempt, Limits(max_model_bytes=2**22))
        except CodecError as error:
            refused += len(str(error)) > 10
        slowest = max(slowest, time.process_time() - start)
    assert 0 < refused < len(damaged)  # a coder notices some damage, never all
    assert slowest < 5


@given(st.binary(max_size=200))
def test_any_bytes_do_no_harm(data: bytes) -> None:
    with contextlib.suppress(CodecError):
        assert all(v.dtype == np.int32 for v in unpack_tensors(data, Limits(max_model_bytes=2**22)).values())


def hostile(*directory: int, length: int | None = None, numbers: tuple[_Code, np.ndarray] | None = None) -> bytes:
    """A store with any directory, of any length, and perhaps with the numbers of one tensor."""
    encoder = Encoder()
    _put_raw(encoder, np.array([len(directory) if length is None else length]), 32)
    _put(encoder, DIRECTORY, np.array(directory, np.int64), np.full(1, DIRECTORY.first), None)
    if numbers is not None:
        _put(encoder, *numbers, np.zeros(1, np.int64), None)
    return encoder.getvalue()


CODE = (5, 0, 0, 0, 1, 0, 0, 0)  # a constant: center, low, radius, escape, shape, axes, first, span


def test_a_hostile_directory_is_refused() -> None:
    assert unpack_tensors(hostile(0, 1, 97, 1, 3, *CODE))["a"].tolist() == [5, 5, 5]
    for directory, message in (
        ((0, 1, 97, 1, 3, *CODE[:-1]), "ends too early"),
        ((0, 1, 97, 1), "ends too early"),
        ((0, 2, 97), "ends too early"),
        ((0, 1, 97, 1, 3, *CODE, 1, 0, 1, 3, *CODE), "comes twice"),
        ((0, 1, 97, 1, 0, *CODE), "no numbers"),
        ((0, 1, 97, 1, -3, *CODE), "no numbers"),
        ((0, 1, 97, 5, 1, 1, 1, 1, 1, *CODE), "axes"),
        ((0, 256, *[97] * 256, 0, *CODE), "length of a name"),
        ((1, 0, 0, *CODE), "shared part"),
        ((0, 1, 300, 0, *CODE), "damaged"),
        ((0, 1, 255, 0, *CODE), "damaged"),
    ):
        with pytest.raises(ModelError, match=message):
            unpack_tensors(hostile(*directory))
    for field, value in ((1, 27), (2, 128), (3, 2), (4, 5), (5, 16), (6, 64), (7, 64), *((i, -1) for i in range(1, 8))):
        code = *CODE[:field], value, *CODE[field + 1 :]
        with pytest.raises(ModelError, match="expected at most"):
            unpack_tensors(hostile(0, 1, 97, 1, 3, *code))
    beyond = _Code(INT32 - 1, 0, 1, 0, 1, 0, 0, 0)
    with pytest.raises(ModelError, match="beyond int32"):
        unpack_tensors(hostile(0, 1, 97, 0, *astuple(beyond), numbers=(beyond, np.array(INT32))))
    with pytest.raises(ModelError, match="4,294,967,295 integers"):
        unpack_tensors(hostile(length=2**32 - 1))


def test_a_bomb_is_refused_before_anything_is_allocated() -> None:
    for sizes in ((2**31 - 1,) * 4, (2**23, 3, 1, 1), (2**24 + 1, 1, 1, 1)):
        with pytest.raises(LimitExceeded, match="max_model_bytes"):
            unpack_tensors(hostile(0, 1, 97, 4, *sizes, *CODE))
    many = [number for i in range(100) for number in (0, 2, 97, i, 1, 2**20, *CODE)]
    with pytest.raises(LimitExceeded, match="max_model_bytes"):
        unpack_tensors(hostile(*many))


def test_the_code_does_not_change() -> None:
    # Models in the field were coded with these very tables and this order.
    assert hashlib.blake2b(pack_tensors(SMALL), digest_size=8).hexdigest() == "5aba45254a0e423e"
    densities = np.stack([_densities(shape) for shape in range(1, 5)])
    assert hashlib.blake2b(densities.astype("<i8").tobytes(), digest_size=8).hexdigest() == "56ccad8cdba29bde"
    w = 2.0 ** ((np.arange(64)[:, None] - 8) / 4)
    exact = 32 * (np.arange(128) / w) ** 1.5
    assert np.abs(densities[2] - np.minimum(exact, 2048)).max() <= 1
