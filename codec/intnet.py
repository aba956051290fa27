"""Exact integer networks, carried in float arrays.

    y = clip(floor((sum_m W_m * x_m + b + 2^(shift-1)) / 2^shift), lo, hi)          (a unit; no half where shift = 0)

Float networks give other results with another thread count, instruction set or library version, and one differing
probability ruins the rest of a stream. Integers do not, and they need no slow kernels: as long as sum|w| max|x| stays
below 2^24, every partial sum of a float32 matrix product is an exact integer, in whatever order a BLAS adds them up;
below 2^53 the same holds for float64. Adding a bias within that bound, multiplying by a power of two, floor and clip
are exact too. The bound is proved when a `Unit` is made, so there is no unit without a proof.

Arrays are channels-last, (H, W, C), and hold integers in the carrier dtype of the unit that made them (float32 or
float64). Zero may carry a sign (-0.0): compare values or convert to an integer type, never compare the raw bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.errors import ModelError

Carrier = NDArray[np.floating[Any]]  # integers in float32 or float64
Ints = NDArray[np.integer[Any]]

_BLOCK = 1 << 18  # numbers gathered at a time: bounds the memory of a convolution, whatever the size of the map


@dataclass(frozen=True, slots=True, eq=False)
class Conv:
    """A convolution, odd kernel, zero padding of half a kernel, from one map of integers to sums.

    Attributes
    ----------
    weight : (O, kh, kw, I) integers
    low, high : declared range of the input; whoever connects two units checks it with `accepts`
    stride : every stride-th row and column, starting at the first; output ceil(H / stride) x ceil(W / stride)
    """

    weight: Ints
    low: int
    high: int
    stride: int = 1

    def __post_init__(self) -> None:
        w = self.weight
        if w.ndim != 4 or w.dtype.kind not in "iu" or 0 in w.shape or not w.shape[1] % 2 == w.shape[2] % 2 == 1:
            raise ModelError(f"a convolution needs (O, odd, odd, I) integer weights, not {w.dtype} {w.shape}")
        if self.low > self.high or self.stride < 1:
            raise ModelError(f"a convolution cannot have inputs in [{self.low}, {self.high}] and stride {self.stride}")

    def bound(self) -> list[int]:
        """Largest |sum| of each output channel for any inputs in range."""
        # Fewer than 2^30 numbers of int32 have a sum within int64; all else, products too, is for Python's integers.
        w, largest = self.weight, max(abs(self.low), abs(self.high))
        fits = w.min() >= -(1 << 31) and w.max() < 1 << 31
        sums = np.abs(w.astype(np.int64 if fits else object)).reshape(len(w), -1).sum(axis=1)
        return [largest * total for total in sums.tolist()]

    def accepts(self, low: int, high: int) -> None:
        """Raise ModelError unless every integer in [low, high] is a legal input."""
        if low < self.low or high > self.high:
            raise ModelError(f"a map with values in [{low}, {high}] feeds a layer that takes [{self.low}, {self.high}]")


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """One or several convolutions, added up and requantised once: y = clip((sum_m W_m * x_m + b) >> shift, lo, hi).

    Attributes
    ----------
    name : for messages
    convs : one per input map
    bias : (O,) integers
    shift : (O,) integers >= 0, or one for all: the sum is divided by 2^shift and rounded, halves up
    lo, hi : range of the outputs
    extra : bound of |vector| that a call of `requantise` may add to the sums (a condition, such as the quality)
    bound : largest |number| on the way, over all channels and legal inputs                                  (proved)
    dtype : the carrier, float32 or float64                                                                  (proved)

    Raises
    ------
    ModelError
        Shapes do not fit, or the sums do not fit into a float64 exactly.
    """

    name: str
    convs: tuple[Conv, ...]
    bias: Ints
    shift: Ints
    lo: int
    hi: int
    extra: int = 0
    bound: int = field(init=False)
    dtype: np.dtype[Any] = field(init=False)
    _matrices: tuple[Carrier, ...] = field(init=False, repr=False)  # (kh kw I, O) each
    _offset: Carrier = field(init=False, repr=False)  # (O,) bias and half a step
    _factor: Carrier = field(init=False, repr=False)  # (O,) 2^-shift

    def __post_init__(self) -> None:
        bias, shift, o = np.asarray(self.bias), np.asarray(self.shift), np.size(self.bias)
        if bias.shape != (o,) or shift.shape not in ((o,), ()) or {bias.dtype.kind, shift.dtype.kind} - set("iu"):
            given = f"bias {bias.dtype} {bias.shape} and shift {shift.dtype} {shift.shape}"
            raise ModelError(f"{self.name}: {given}, expected integers of shape (O,)")
        if not self.convs or any(len(conv.weight) != o for conv in self.convs):
            raise ModelError(f"{self.name}: {len(self.convs)} convolutions, not all with {o} outputs")
        if shift.min() < 0 or shift.max() > 52 or self.lo > self.hi or self.extra < 0:
            raise ModelError(f"{self.name}: shift, output range or extra make no sense")
        shift = np.full(o, shift, np.int64)
        halves = [1 << s >> 1 for s in shift.tolist()]
        sums = [sum(channel) for channel in zip(*(conv.bound() for conv in self.convs), strict=True)]
        numbers = [s + abs(b) + self.extra + h for s, b, h in zip(sums, bias.tolist(), halves, strict=True)]
        bound = max(*numbers, abs(self.lo), abs(self.hi))
        dtype: np.dtype[Any] = np.dtype(np.float32 if bound < 1 << 24 else np.float64)
        if bound >= 1 << 53:
            raise ModelError(f"{self.name}: sums may reach {bound}, and float64 is exact only below 2^53")
        proved = {
            "bias": bias, "shift": shift, "bound": bound, "dtype": dtype,
            "_matrices": tuple(conv.weight.reshape(o, -1).T.astype(dtype, order="C") for conv in self.convs),
            "_offset": (bias + np.array(halves)).astype(dtype),
            "_factor": np.ldexp(dtype.type(1), -shift),
        }  # fmt: skip
        for name, value in proved.items():
            object.__setattr__(self, name, value)


def run(unit: Unit, *maps: Carrier, at: Ints | None = None, extra: Ints | Carrier | None = None) -> Carrier:
    """The unit's outputs for its input maps: `requantise` of `accumulate`."""
    return requantise(unit, accumulate(unit, *maps, at=at), extra)


def accumulate(unit: Unit, *maps: Carrier, at: Ints | None = None) -> Carrier:
    """Exact sums of the convolutions, before bias and shift.

    Parameters
    ----------
    maps : (H, W, I) for each convolution, integers in its declared range, in any dtype; if all kernels are 1x1, (n, I)
        will do as well
    at : (n,) flat positions y * W' + x of the output map to compute, or None for all of them

    Returns
    -------
    (H', W', O), or (n, O) with `at` or for (n, I), in the unit's carrier dtype
    """
    if len(maps) != len(unit.convs):
        raise ModelError(f"{unit.name}: {len(maps)} maps for {len(unit.convs)} convolutions")
    total = convolve(unit, 0, maps[0], at)
    for m, x in enumerate(maps[1:], 1):
        total += convolve(unit, m, x, at)
    return total


def convolve(unit: Unit, m: int, x: Carrier, at: Ints | None = None) -> Carrier:
    """One term of `accumulate`: convolution `m` of the unit alone. What does not change between passes can be kept."""
    conv, matrix = unit.convs[m], unit._matrices[m]
    o, kh, kw, i = conv.weight.shape
    pointwise = kh == kw == conv.stride == 1
    if x.ndim not in ((2, 3) if pointwise else (3,)) or x.shape[-1] != i:
        raise ModelError(f"{unit.name}: input {m} has shape {x.shape}, expected (H, W, {i})")
    x = x.astype(unit.dtype, copy=False)
    if pointwise:
        rows = x.reshape(-1, i) if at is None else x.reshape(-1, i)[at]
        return (rows @ matrix).reshape(*(x.shape[:-1] if at is None else at.shape), o)
    patches = _patches(x, conv)  # (H', W', kh, kw I), a view
    height, width = patches.shape[:2]
    if at is not None:
        ys, xs = np.divmod(at, width)
        return patches[ys, xs].reshape(len(at), len(matrix)) @ matrix
    out = np.empty((height, width, o), unit.dtype)
    for rows_ in _strips(height, width * len(matrix)):
        np.matmul(patches[rows_].reshape(-1, len(matrix)), matrix, out=out[rows_].reshape(-1, o))
    return out


def requantise(unit: Unit, sums: Carrier, extra: Ints | Carrier | None = None) -> Carrier:
    """clip(floor((sums + bias + extra + 2^(shift-1)) / 2^shift), lo, hi), in place where it can be.

    Parameters
    ----------
    sums : (..., O) from `accumulate` (overwritten), carrier dtype
    extra : (O,) or (..., O) integers in [-unit.extra, unit.extra], or None for zero
    """
    sums += unit._offset
    if extra is not None:
        if (largest := max(extra.max(), -extra.min())) > unit.extra:
            raise ModelError(f"{unit.name}: adds a vector up to {largest}, declared were {unit.extra}")
        sums += extra.astype(unit.dtype, copy=False)
    if unit.shift.any():
        sums *= unit._factor
        np.floor(sums, out=sums)
    np.maximum(sums, unit.lo, out=sums)  # np.clip takes longer to call than to do this for a few rows
    return np.minimum(sums, unit.hi, out=sums)


def chain(units: Sequence[Unit], x: Carrier) -> Carrier:
    """Outputs (n, O) of units with one 1x1 convolution each, one after the other, for rows (n, I): `run`, and no more.

    For few rows at a time: `run` takes longer to look at its arguments than to work on them.
    """
    for unit in units:
        x = x.astype(unit.dtype, copy=False) @ unit._matrices[0]
        x += unit._offset
        x *= unit._factor
        np.floor(x, out=x)
        np.maximum(x, unit.lo, out=x)
        np.minimum(x, unit.hi, out=x)
    return x


def self_test(unit: Unit, engine: Any = None) -> bytes:
    """Digest (8 bytes) of the unit's outputs for fixed pseudo-random inputs.

    A model carries the digest that its export found; a machine that finds another one computes wrong, and must not
    decode.
    `engine` is any module with this module's `run` (training/engine.py is one), this module by default.
    """
    compute = run if engine is None else engine.run
    maps = [pattern((7, 6, c.weight.shape[3]), c.low, c.high).astype(unit.dtype) for c in unit.convs]
    extra = pattern((len(unit.bias),), -unit.extra, unit.extra)
    y = compute(unit, *maps, extra=extra)
    some = compute(unit, *maps, at=np.arange(0, y.shape[0] * y.shape[1], 2), extra=extra)
    digest = hashlib.blake2b(digest_size=8)
    for result in (y, some):
        digest.update(result.astype("<i8").tobytes())
    return digest.digest()


def pattern(shape: tuple[int, ...], low: int, high: int) -> NDArray[np.int64]:
    """Fixed pseudo-random integers in [low, high], a quarter of them at the ends; numpy's own generators may change."""
    index = np.arange(np.prod(shape), dtype=np.uint64)
    mixed = (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)  # wraps at 2^64
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    values = (mixed >> np.uint64(3)) % np.uint64(high - low + 1)
    values = np.where(mixed % 8 == 0, 0, np.where(mixed % 8 == 1, high - low, values))
    return (values.astype(np.int64) + low).reshape(shape)


def _patches(x: Carrier, conv: Conv) -> Carrier:
    """Pixels under the kernel: (H, W, I) -> view (H', W', kh, kw I), whose last axis is contiguous in memory."""
    _, kh, kw, i = conv.weight.shape
    padded = np.pad(np.ascontiguousarray(x), ((kh // 2,) * 2, (kw // 2,) * 2, (0, 0)))  # pad keeps Fortran's order
    height, width = -(-x.shape[0] // conv.stride), -(-x.shape[1] // conv.stride)
    row, column, item = padded.strides
    return np.lib.stride_tricks.as_strided(
        padded,
        (height, width, kh, kw * i),
        (row * conv.stride, column * conv.stride, row, item),
        writeable=False,
    )


def _strips(height: int, numbers_per_row: int) -> Iterator[slice]:
    step = max(1, _BLOCK // numbers_per_row)
    return (slice(top, min(top + step, height)) for top in range(0, height, step))
