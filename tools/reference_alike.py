"""Tiles of pictures that are alike, for the second decoder of lossless files: wavefronts, written from SPEC.md."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tools.reference_mixture import Mixture, clip, decision, network, plain, stepped, within
from tools.reference_model import Array, Message, table_of

__all__ = ["Fronts"]

BEFORE = [(y, x) for y, x in within(8) if (y == 0 and x < 0) or (y < 0 and x < -2 * y)][:64]
AROUND = within(8)[:13]
Pixels = list[list[int]]


class Fronts:
    """The planes of a tile, front by front."""

    def __init__(self, tensors: dict[str, Array], data: bytes, h: int, w: int, groups: list[tuple[int, int]]) -> None:
        self.message, self.h, self.w, self.groups = Message(data), h, w, groups
        planes = 3 if "10.0.bias" in tensors else 1
        self.nets = [[network(tensors, f"{k}{j}") for j in range(2)] for k in range(planes)]
        self.anchors: list[list[int]] = tensors["anchors"].reshape(planes, -1).tolist()

    def decode(self) -> list[Array]:
        planes: list[Pixels] = []
        for count, depth in self.groups:
            group: list[Pixels] = []
            for _ in range(count):
                group.append(self.plane(group, depth))
            planes += group
        return [np.array(plane) for plane in planes]

    def plane(self, earlier: Sequence[Pixels], depth: int) -> Pixels:
        high = (1 << depth) - 1
        low = -high if earlier else 0
        if decision(self.message, 1 << 15):
            return [plain(self.message, 1, low, high) * self.w] * self.h
        pixels = [[clip(self.anchors[len(earlier)][0], low, high)] * self.w for _ in range(self.h)]
        count = self.w + 2 * (self.h - 1)
        first, last = self.message.symbols(2, table_of([0] * count)).tolist()
        for t in range(first, count - last):
            front = [(y, t - 2 * y) for y in range(self.h) if 0 <= t - 2 * y < self.w]
            found = self.front(front, [*earlier, pixels], depth, low, high)
            for (y, x), number in zip(front, found, strict=True):
                pixels[y][x] = number
        return pixels

    def front(self, front: list[tuple[int, int]], group: list[Pixels], depth: int, low: int, high: int) -> list[int]:
        k = len(group) - 1
        anchors, outputs = self.anchors[k], [self.outputs(k, self.features(group, depth, *place)) for place in front]
        symbols = [self.message.symbol(table_of([0, *o[9:]])) for o in outputs]
        spread, base = 1 << (9 + max(depth - 8, 0)), 0 if k else 2 << depth
        others = [Mixture(o, spread, base, low, high) for o, s in zip(outputs, symbols, strict=True) if s == 0]
        if high - low < 512:
            rest = [low + self.message.symbol(tabled(mixture, low, high, anchors)) for mixture in others]
        else:
            rest = stepped(self.message, others)
        following = iter(rest)
        return [clip(anchors[s - 1], low, high) if s else next(following) for s in symbols]

    def features(self, group: list[Pixels], depth: int, y: int, x: int) -> list[int]:
        def at(pixels: Pixels, offset: tuple[int, int]) -> int:
            row, column = y + offset[0], x + offset[1]
            number = pixels[row][column] if 0 <= row < self.h and 0 <= column < self.w else 0
            return max((number << 8) >> depth, -255)

        z = [at(group[-1], offset) for offset in BEFORE]
        z += [at(other, offset) for other in group[:-1] for offset in AROUND]
        for part in (32 * y // self.h, 32 * x // self.w):
            z += [255 * (i == part) for i in range(32)]
        return z

    def outputs(self, k: int, z: list[int]) -> list[int]:
        x = np.array([z], np.int64)
        for layer in self.nets[k][len(set(z[:24])) == 1]:
            x = layer(x)
        found: list[int] = x[0].tolist()
        return found


def tabled(mixture: Mixture, low: int, high: int, anchors: Sequence[int]) -> Array:
    """The table of all values but the anchors."""
    parts = [zip(mixture.weight, mixture.parts(v), strict=True) for v in range(low, high)]
    heights = [0, *(sum(weight * part for weight, part in pairs) for pairs in parts), sum(mixture.weight) << 22]
    mass = [after - before for before, after in pairwise(heights)]
    for anchor in anchors:
        if low <= anchor <= high:
            mass[anchor - low] = 0
    total = max(1, sum(mass))
    f = [(65536 - len(mass)) * each // total + 1 for each in mass]
    f[f.index(max(f))] += 65536 - sum(f)
    return np.array(f)
