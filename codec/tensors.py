"""Named integer tensors <-> bytes: the first part of a two-part code, whose length is L(H).

    v = center - floor(2^low / 2) + 2^low q + r,    q ~ 2^-(|q| / w)^(shape / 2),    w = 2^((scale - 8) / 4)

A tensor is coded under a small family: a generalised Gaussian (shape 4 is the Gaussian, 2 the Laplacian) whose scale
may differ along some of its axes, say from output row to output row; or (shape 0) an explicit table. r is sent as it
is, `low` bits of each number, since below a fraction of the scale they are noise. Numbers with |q| > radius are sent as
an escape and 32 bits. A constant tensor has radius 0 and costs nothing beyond its entry in the directory. The encoder
tries the family and takes the cheapest; the decoder needs integers only.

    bytes = range coder message of: number of directory integers, directory, tensors in the directory's order
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.entropy import LOGIT_UNIT, PRECISION, Decoder, Encoder, frequencies_from_logits
from codec.errors import ModelError
from codec.limits import DEFAULT, Limits

MAX_TENSORS = 1 << 12
MAX_AXES = 4
MAX_NAME = 255  # bytes of UTF-8

_RADIUS = 127
_LOW = 26
_SCALES = 64
_SHAPES = 4
_ESCAPE = -(1 << 12)  # logit of an escape: so low that its frequency is the least one, 1
_STEP = LOGIT_UNIT // 8  # explicit tables hold logits in steps of 1/8 bit, 8 bits each
_INT32 = 1 << 31

I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Code:
    """How one array is coded: all of it small integers, written to the directory in this order."""

    center: int
    low: int  # raw bits of each number
    radius: int  # largest |q| with a symbol of its own
    escape: int  # 1: there is an escape symbol, the last one
    shape: int  # twice the exponent of the density, or 0 for an explicit table
    axes: int  # bit i: the scale differs along axis i
    first: int  # smallest scale in use
    span: int  # largest minus smallest

    def check(self, name: str) -> None:
        most = _Code(_INT32 - 1, _LOW, _RADIUS, 1, _SHAPES, (1 << MAX_AXES) - 1, _SCALES - 1, _SCALES - 1 - self.first)
        for field, value, bound in zip(fields(self), astuple(self), astuple(most), strict=True):
            if not (-_INT32 if field.name == "center" else 0) <= value <= bound:
                raise ModelError(f"tensor {name!r}: {field.name} is {value}, expected at most {bound}")

    @property
    def symbols(self) -> int:
        return 2 * self.radius + 1 + self.escape

    def split(self, v: I64) -> tuple[I64, I64, I64]:
        """Numbers -> symbols, raw bits, and those numbers that are escapes."""
        u = v - self.center + (1 << self.low >> 1)
        symbols = (u >> self.low) + self.radius
        outside = (symbols < 0) | (symbols > 2 * self.radius)
        return np.where(outside, 2 * self.radius + 1, symbols), u & ((1 << self.low) - 1), v[outside]

    def join(self, symbols: NDArray[Any], raw: I64) -> I64:
        """The inverse of `split` but for the escapes."""
        return ((symbols.astype(np.int64) - self.radius) << self.low) + raw + (self.center - (1 << self.low >> 1))

    def tables(self, explicit: I64 | None = None) -> NDArray[np.int32]:
        """(span + 1, symbols) frequencies, one row for each scale in use."""
        magnitudes = np.abs(np.arange(-self.radius, self.radius + 1))
        scales = slice(self.first, self.first + self.span + 1)
        logits = -_densities(self.shape)[scales, magnitudes] if explicit is None else explicit[None] * _STEP
        return frequencies_from_logits(np.pad(logits, ((0, 0), (0, self.escape)), constant_values=_ESCAPE))


_DIRECTORY = _Code(center=0, low=0, radius=_RADIUS, escape=1, shape=2, axes=0, first=32, span=0)


def pack_tensors(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Code named tensors; order is kept.

    Parameters
    ----------
    tensors : up to 4 axes, none of length 0, integers that fit int32

    Raises
    ------
    ValueError
        Something else.
    """
    if len(tensors) > MAX_TENSORS:
        raise ValueError(f"{len(tensors)} tensors; {MAX_TENSORS} are allowed")
    directory: list[int] = []
    chosen: list[tuple[_Code, I64, I64 | None]] = []
    last = b""
    for name, tensor in tensors.items():
        encoded = name.encode()
        if tensor.dtype.kind not in "iu" or tensor.ndim > MAX_AXES or not tensor.size or len(encoded) > MAX_NAME:
            raise ValueError(f"cannot store {name!r}, {tensor.dtype} {tensor.shape}, as a tensor of integers")
        if tensor.min() < -_INT32 or tensor.max() >= _INT32:
            raise ValueError(f"{name!r} holds numbers beyond int32")
        chosen.append(_choose(tensor.astype(np.int64)))
        pairs = enumerate(zip(last, encoded, strict=False))
        shared = next((i for i, (a, b) in pairs if a != b), min(len(last), len(encoded)))
        rest, last = encoded[shared:], encoded
        directory += [shared, len(rest), *rest, tensor.ndim, *tensor.shape, *astuple(chosen[-1][0])]
    encoder = Encoder()
    _put_raw(encoder, np.array([len(directory)]), 32)
    _put(encoder, _DIRECTORY, np.array(directory, np.int64), np.full(1, _DIRECTORY.first), None)
    for tensor, (code, scales, explicit) in zip(tensors.values(), chosen, strict=True):
        _put(encoder, code, tensor.astype(np.int64), scales, explicit)
    return encoder.getvalue()


def unpack_tensors(data: bytes, limits: Limits = DEFAULT) -> dict[str, NDArray[np.int32]]:
    """The twin of `pack_tensors`.

    Raises
    ------
    ModelError, CorruptStream
        The bytes are no tensor store. Damaged bytes may just give other numbers: compare checksums first.
    LimitExceeded
        The tensors, with four bytes a number, are more than `limits.max_model_bytes`.
    """
    decoder = Decoder(data)
    length = int(_take_raw(decoder, 1, 32)[0])
    if length > MAX_TENSORS * (MAX_NAME + MAX_AXES + 16):
        raise ModelError(f"a directory of {length:,} integers; {MAX_TENSORS} tensors need less")
    entries = list(_entries(iter(_take(decoder, _DIRECTORY, (length,), 1).tolist())))
    limits.check("max_model_bytes", 4 * sum(math.prod(shape) for _, shape, _ in entries), "bytes of a model's tensors")
    tensors = {}
    for name, shape, code in entries:
        values = _take(decoder, code, shape, math.prod(s for i, s in enumerate(shape) if code.axes >> i & 1))
        if values.min() < -_INT32 or values.max() >= _INT32:
            raise ModelError(f"tensor {name!r} holds numbers beyond int32")
        tensors[name] = values.astype(np.int32)
    return tensors


def _entries(numbers: Iterator[int]) -> Iterator[tuple[str, tuple[int, ...], _Code]]:
    """Read the directory: name, shape and code of each tensor."""
    last, seen = b"", set[bytes]()
    for shared in numbers:
        try:
            length = _within(next(numbers), MAX_NAME, "length of a name")
            kept = last[: _within(shared, len(last), "shared part of a name")]
            last = kept + bytes(itertools.islice(numbers, length))
            name = last.decode()
            shape = tuple(itertools.islice(numbers, _within(next(numbers), MAX_AXES, f"axes of {name!r}")))
            code = _Code(*[next(numbers) for _ in fields(_Code)])
            code.check(name)
        except (StopIteration, TypeError, ValueError) as error:
            raise ModelError(f"the directory of tensors is damaged: {str(error) or 'it ends too early'}") from None
        if last in seen or len(seen) == MAX_TENSORS or any(size < 1 for size in shape):
            raise ModelError(f"tensor {name!r} of shape {shape}: it comes twice, is one too many, or has no numbers")
        seen.add(last)
        yield name, shape, code


def _within(value: int, most: int, what: str) -> int:
    if not 0 <= value <= most:
        raise ModelError(f"{what} is {value}, expected at most {most}")
    return value


def _put(encoder: Encoder, code: _Code, v: I64, scales: I64, explicit: I64 | None) -> None:
    _put_uniform(encoder, scales - code.first, code.span + 1)
    if explicit is not None:
        _put_uniform(encoder, explicit, 256)
    symbols, raw, escapes = code.split(v.ravel())
    order, counts = _by_scale(scales - code.first, v.shape, code)
    for table, part in zip(code.tables(explicit), np.split(symbols[order], np.cumsum(counts)[:-1]), strict=True):
        encoder.encode(part, table)
    _put_raw(encoder, escapes + _INT32, 32)
    _put_raw(encoder, raw, code.low)


def _take(decoder: Decoder, code: _Code, shape: tuple[int, ...], groups: int) -> I64:
    scales = _take_uniform(decoder, groups, code.span + 1)
    explicit = _take_uniform(decoder, 2 * code.radius + 1, 256) if code.shape == 0 else None
    order, counts = _by_scale(scales, shape, code)
    symbols = np.empty(math.prod(shape), np.int32)
    symbols[order] = np.concatenate([decoder.decode(*part) for part in zip(code.tables(explicit), counts, strict=True)])
    escaped = symbols > 2 * code.radius
    escapes = _take_raw(decoder, int(escaped.sum()), 32) - _INT32
    v = code.join(symbols, _take_raw(decoder, len(symbols), code.low))
    v[escaped] = escapes
    return v.reshape(shape)


def _by_scale(scales: I64, shape: tuple[int, ...], code: _Code) -> tuple[Any, list[int]]:
    """An order that puts numbers of one scale together, and how many each scale has: the coder is fastest that way."""
    if code.span == 0:
        return slice(None), [math.prod(shape)]
    own = np.broadcast_to(_spread(scales.astype(np.uint8), shape, code.axes), shape).ravel()
    return own.argsort(kind="stable"), np.bincount(own, minlength=code.span + 1).tolist()


def _spread(groups: NDArray[Any], shape: tuple[int, ...], axes: int) -> NDArray[Any]:
    """One number for each group -> an array that broadcasts to the tensor's shape."""
    return groups.reshape([size if axes >> axis & 1 else 1 for axis, size in enumerate(shape)])


def _put_uniform(encoder: Encoder, values: NDArray[Any], k: int) -> None:
    encoder.encode(values, frequencies_from_logits(np.zeros((1, k)))[0])


def _take_uniform(decoder: Decoder, n: int, k: int) -> I64:
    return decoder.decode(frequencies_from_logits(np.zeros((1, k)))[0], n).astype(np.int64)


def _put_raw(encoder: Encoder, values: I64, width: int) -> None:
    for at in range(0, width, 8):
        k = 1 << min(8, width - at)
        _put_uniform(encoder, values >> at & (k - 1), k)


def _take_raw(decoder: Decoder, n: int, width: int) -> I64:
    values = np.zeros(n, np.int64)
    for at in range(0, width, 8):
        values |= _take_uniform(decoder, n, 1 << min(8, width - at)) << at
    return values


@functools.cache
def _densities(shape: int) -> I64:
    """(scale, |q|) -> floor(32 (|q| / w)^(shape / 2)), by three integer square roots of its eighth power."""
    table = np.empty((_SCALES, _RADIUS + 1), np.int64)
    for scale, q in np.ndindex(table.shape):
        number, power = q ** (4 * shape), 40 + shape * (8 - scale)
        number = number << power if power >= 0 else number >> -power
        table[scale, q] = min(math.isqrt(math.isqrt(math.isqrt(number))), 1 << 11)
    return table


def _choose(v: I64) -> tuple[_Code, I64, I64 | None]:
    """The cheapest code of the family for a tensor, its scale for each group, and its explicit table if it has one."""
    center = int(np.partition(v.ravel(), v.size // 2)[v.size // 2])
    widest = int(np.abs(v - center).max())
    fit = next(low for low in range(_LOW + 1) if widest + (1 << low >> 1) >> low <= _RADIUS)
    best: tuple[float, _Code, I64, I64 | None] | None = None
    for low in range(fit, max(-1, fit - 5), -1):
        radius = min(_RADIUS, widest + (1 << low >> 1) >> low)
        base = _Code(center, low, radius, int(low < fit), shape=1, axes=0, first=0, span=_SCALES - 1)
        symbols, _, escapes = base.split(v)
        fixed = float(v.size * low + 32 * len(escapes))
        for axes in range(1 << v.ndim):
            groups = math.prod(size for axis, size in enumerate(v.shape) if axes >> axis & 1)
            if axes and not 2 <= groups <= v.size // 16:
                continue
            index = _spread(np.arange(groups) * base.symbols, v.shape, axes) + symbols
            counts = np.bincount(index.ravel(), minlength=groups * base.symbols).reshape(groups, -1).astype(float)
            for candidate in _fitted(base, axes, counts):
                if best is None or fixed + candidate[0] < best[0]:
                    best = (fixed + candidate[0], *candidate[1:])
    if best is None:
        raise ValueError("no code fits")
    return best[1:]


@functools.lru_cache(maxsize=64)
def _costs(radius: int, escape: int, shape: int) -> NDArray[np.float64]:
    """(symbols, scales) bits."""
    code = _Code(0, 0, radius, escape, shape, axes=0, first=0, span=_SCALES - 1)
    return np.ascontiguousarray(PRECISION - np.log2(code.tables()).T)


def _fitted(base: _Code, axes: int, counts: NDArray[np.float64]) -> Iterator[tuple[float, _Code, I64, I64 | None]]:
    """Codes with this split and these groups: bits, code, scales, explicit table. counts (groups, symbols)"""
    changed = functools.partial(replace, base, axes=axes)
    if base.symbols == 1:
        yield 0.0, changed(first=0, span=0), np.zeros(len(counts), np.int64), None
        return
    for shape in range(1, _SHAPES + 1):
        cost = counts @ _costs(base.radius, base.escape, shape)  # (groups, scales)
        scales = cost.argmin(axis=1)
        first, span = int(scales.min()), int(scales.max() - scales.min())
        bits = cost.min(axis=1).sum() + len(counts) * math.log2(span + 1) + 64
        yield bits, changed(shape=shape, first=first, span=span), scales, None
    if axes == 0:
        share = counts[0, : 2 * base.radius + 1] / counts.max()
        explicit = np.rint(np.log2(np.maximum(share, 2.0**-20)) * 8 + 255).clip(0).astype(np.int64)
        code = changed(shape=0, first=0, span=0)
        bits = counts[0] @ (PRECISION - np.log2(code.tables(explicit)[0])) + 8 * len(explicit) + 64
        yield bits, code, np.zeros(1, np.int64), explicit
