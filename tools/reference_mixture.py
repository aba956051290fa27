"""Networks and mixtures of the second decoder of lossless files, written from SPEC.md.

Integers are Python's. A number of IEEE 754 binary32 is held in a Python float, and `fl` rounds to it after each step; a
double has so many more digits that rounding twice gives what rounding once does.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np

from tools.reference_decoder import rounded
from tools.reference_model import Array, Message, root

__all__ = ["Layer", "Mixture", "Offsets", "clip", "decision", "log", "network", "plain", "stepped", "within"]

FLOAT = struct.Struct("<f")
Offsets = list[tuple[int, int]]


def fl(x: float) -> float:
    """The nearest binary32, ties to even."""
    return float(FLOAT.unpack(FLOAT.pack(x))[0])


def within(reach: int) -> Offsets:
    every = [(y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]
    return sorted(every, key=lambda o: (o[0] ** 2 + o[1] ** 2, o[0], o[1]))


WEIGHTS = [root(1 << (768 - 2 * j), 6) for j in range(384)]
SCALES = {i: fl(root(1 << (320 + i), 4) / 2**20) for i in range(-64, 241)}
SLOPES = {i: fl(math.floor(2**23 / scale) / 2**20) for i, scale in SCALES.items()}


def logistic() -> list[int]:
    term, r = 1 << 64, 1 << 64
    for i in range(1, 11):
        term //= 1024 * i
        r += term
    table, g = [0] * 12289, 1 << 64
    for j in range(6145):
        p = g * r >> 64
        g = p * r >> 64
        table[6144 + j] = (p << 22) // (p + (1 << 64))
        if j < 6144:
            table[6143 - j] = (1 << 22) - table[6144 + j]
    return table


TABLE = logistic()


def ladder() -> list[float]:
    rungs = [0.0]
    for m in range(7):
        for j in range(1 << m):
            place = next(i for i, number in enumerate(TABLE) if number << m >= (2 * j + 1) << 21)
            rungs.append((place - 6144) / 512)
    return rungs


LADDER = ladder()


def log(n: int) -> int:
    e = n.bit_length() - 1
    return 16 * e + (16 * n >> e) - 16


def clip(n: int, low: int, high: int) -> int:
    return min(max(n, low), high)


class Layer:
    """A unit of 1 x 1 kernels."""

    def __init__(self, tensors: dict[str, Array], name: str, lo: int, hi: int) -> None:
        self.weight = tensors[f"{name}.weight.0"][:, 0, 0].astype(np.int64)
        self.bias, self.shift = (tensors[f"{name}.{part}"].astype(np.int64) for part in ("bias", "shift"))
        self.lo, self.hi = lo, hi

    def __call__(self, x: Array) -> Array:
        return np.clip(rounded(x @ self.weight.T + self.bias, self.shift), self.lo, self.hi)


def network(tensors: dict[str, Array], name: str) -> list[Layer]:
    n = next((i for i in range(8) if f"{name}.{i + 1}.bias" not in tensors), 8)
    hidden = [Layer(tensors, f"{name}.{i}", 0, 2047) for i in range(n)]
    return [*hidden, Layer(tensors, f"{name}.{n}", -2047, 2047)]


def decision(message: Message, p: int) -> int:
    return message.symbol(np.array([65536 - p, p]))


def plain(message: Message, count: int, low: int, high: int) -> list[int]:
    """Numbers that nothing is known of."""
    numbers = [0] * count
    for bit in range((high - low).bit_length()):
        for place in range(count):
            numbers[place] |= decision(message, 1 << 15) << bit
    return [min(low + number, high) for number in numbers]


class Mixture:
    """The steps of one pixel: `ask` says under what the next decision is, `tell` takes it."""

    def __init__(self, o: Sequence[int], spread: int, base: int, low: int, high: int) -> None:
        gaps = [max(o[:3]) - logit for logit in o[:3]]
        self.weight = [WEIGHTS[gap] if gap < 384 else 0 for gap in gaps]
        self.mean = [fl(math.floor(fl(o[3 + c] * (spread / 64))) + 16 * base) for c in range(3)]
        places = [clip(o[6 + c] + log(spread) - 96, -64, 240) for c in range(3)]
        scale, self.slope = [SCALES[i] for i in places], [SLOPES[i] for i in places]
        self.centre, self.width = self.blend(self.mean) / 64, self.blend(scale)
        self.even, self.low = min(scale) / 8, low
        self.leak = fl(2**21 / (high - low + 1))
        self.lo, self.hi, self.below, self.node, self.t = low, high, 0.0, 1, 0
        self.above = fl(2**22 * sum(self.weight) + fl(self.leak * (high - low + 1)))

    def blend(self, x: Sequence[float]) -> float:
        total = 0.0
        for weight, number in zip(self.weight, x, strict=True):
            total = fl(total + fl(weight * number))
        return fl(total / sum(self.weight))

    def parts(self, v: int) -> list[int]:
        """The table of the logistic at v, for each component."""
        both = zip(self.mean, self.slope, strict=True)
        cells = (fl(fl(fl(64 * v + 32 - mean) * slope) + 6144) for mean, slope in both)
        return [TABLE[math.floor(min(max(cell, 0), 12288))] for cell in cells]

    def cdf(self, v: int) -> float:
        total = 0.0
        for weight, part in zip(self.weight, self.parts(v), strict=True):
            total = fl(total + fl(weight * part))
        return fl(total + fl(self.leak * (v - self.low + 1)))

    def ask(self) -> int:
        v = (self.lo + self.hi) // 2
        if self.t < 7:
            v = math.floor(fl(fl(LADDER[self.node] * self.width) + self.centre))
        self.v = min(max(v, self.lo), self.hi - 1)
        self.middle = self.cdf(self.v)
        mass = fl(self.above - self.below)
        if self.hi - self.lo < self.even or mass <= 0:
            share = fl((self.hi - self.v) / (self.hi - self.lo + 1))
        else:
            share = fl(fl(self.above - self.middle) / mass)
        return math.floor(min(max(65536 * share, 1), 65535))

    def tell(self, larger: int) -> None:
        if larger:
            self.lo, self.below = self.v + 1, self.middle
        else:
            self.hi, self.above = self.v, self.middle
        self.node, self.t = 2 * self.node + larger, self.t + 1


def stepped(message: Message, mixtures: Sequence[Mixture]) -> list[int]:
    """The pixels of mixtures, decision by decision, side by side."""
    going = list(mixtures)
    while going:
        for mixture in going:
            mixture.tell(decision(message, mixture.ask()))
        going = [mixture for mixture in going if mixture.lo < mixture.hi]
    return [mixture.lo for mixture in mixtures]
