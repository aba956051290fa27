"""A second decoder of lossless files, written from SPEC.md: it imports nothing of codec/, and takes its time.

    python -m tools.reference_lossless MODEL.egmm FILE.egm OUT.ppm

Integers are Python's. A number of IEEE 754 binary32 is held in a Python float, and `fl` rounds to it after each step; a
double has so many more digits that rounding twice gives what rounding once does. It decodes files that are whole; what
SPEC.md says a decoder must reject is the other one's part.
"""  # fmt: skip

from __future__ import annotations

import hashlib
import math
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from tools.reference_decoder import rounded
from tools.reference_graphics import graphics
from tools.reference_model import Array, Message, read_file, read_model, root

__all__ = ["decode"]

FLOAT = struct.Struct("<f")
Pixels = list[list[int]]
Offsets = list[tuple[int, int]]


def fl(x: float) -> float:
    """The nearest binary32, ties to even."""
    return float(FLOAT.unpack(FLOAT.pack(x))[0])


def within(reach: int) -> Offsets:
    every = [(y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]
    return sorted(every, key=lambda o: (o[0] ** 2 + o[1] ** 2, o[0], o[1]))


RULES: tuple[Callable[[int, int], bool | int], ...] = (
    lambda y, x: y % 2 and x % 2,
    lambda y, x: (y + x) % 2,
    lambda y, x: y % 2 or x % 2,
)
NEAR = [[o for o in within(4) if rule(*o)][:count] for rule, count in zip(RULES, (16, 24, 28), strict=True)]
WIDE = [[o for o in within(8) if rule(*o)][:60] for rule in RULES]
AROUND = within(4)[:13]
PLACES = ((1, 1), (0, 1), (1, 0))  # of the phases

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


def mirrored(i: int, n: int) -> int:
    m = 0 if n == 1 else i % (2 * (n - 1))
    return min(m, 2 * (n - 1) - m) if n > 1 else 0


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


class Mixture:
    """The steps of one pixel: `ask` says under what the next decision is, `tell` takes it."""

    def __init__(
        self, o: Sequence[int], spread: int, base: int, low: int, high: int, anchors: Sequence[int] = ()
    ) -> None:
        logits = [*o[:3], *o[9:]]
        gaps = [max(logits) - logit for logit in logits]
        self.weight = [WEIGHTS[gap] if gap < 384 else 0 for gap in gaps]
        self.mean = [fl(math.floor(fl(o[3 + c] * (spread / 64))) + 16 * base) for c in range(3)]
        self.mean += [64.0 * anchor for anchor in anchors]
        places = [clip(o[6 + c] + log(spread) - 96, -64, 240) for c in range(3)] + [-64] * len(anchors)
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

    def cdf(self, v: int) -> float:
        total = 0.0
        for weight, mean, slope in zip(self.weight, self.mean, self.slope, strict=True):
            cell = fl(fl(fl(64 * v + 32 - mean) * slope) + 6144)
            total = fl(total + fl(weight * TABLE[math.floor(min(max(cell, 0), 12288))]))
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


@dataclass
class Plane:
    """A plane at the level that it has come to."""

    depth: int
    earlier: list[Plane]  # those before it in its group
    constant: bool
    pixels: Pixels

    @property
    def high(self) -> int:
        return int((1 << self.depth) - 1)

    @property
    def low(self) -> int:
        return -self.high if self.earlier else 0


class Tile:
    """The planes of a tile, walked through."""

    def __init__(self, tensors: dict[str, Array], data: bytes, h: int, w: int, groups: list[tuple[int, int]]) -> None:
        self.tensors, self.alike, self.nets = tensors, "anchors" in tensors, dict[str, list[Layer]]()
        self.message, self.h, self.w, self.planes = Message(data), h, w, list[Plane]()
        for count, depth in groups:
            group: list[Plane] = []
            for _ in range(count):
                group.append(Plane(depth, group[:], False, []))
            self.planes += group

    def decision(self, p: int) -> int:
        return self.message.symbol(np.array([65536 - p, p]))

    def size(self, level: int) -> tuple[int, int]:
        return -(-self.h >> level), -(-self.w >> level)

    def decode(self) -> list[Array]:
        top = (max(self.h, self.w) - 1).bit_length() - (3 if max(self.h, self.w) > 128 else 0)
        for plane in self.planes:
            self.coarsest(plane, *self.size(top))
        for level in range(top - 1, -1, -1):
            for plane in self.planes:
                rows, columns = self.size(level)
                plane.pixels = [[plane.pixels[y // 2][x // 2] for x in range(columns)] for y in range(rows)]
                for phase in () if plane.constant else range(3):
                    self.phase(plane, phase, level)
        return [np.array(plane.pixels) for plane in self.planes]

    def net(self, name: str) -> list[Layer]:
        if name not in self.nets:
            self.nets[name] = network(self.tensors, name)
        return self.nets[name]

    def anchors(self, k: int) -> list[int]:
        planes = 3 if "100.0.bias" in self.tensors else 1
        found: list[int] = self.tensors["anchors"].reshape(planes, -1)[k].tolist() if self.alike else []
        return found

    def coarsest(self, plane: Plane, rows: int, columns: int) -> None:
        plane.constant = bool(self.decision(1 << 15))
        count = 1 if plane.constant else rows * columns
        numbers = [0] * count
        for bit in range((plane.high - plane.low).bit_length()):
            for place in range(count):
                numbers[place] |= self.decision(1 << 15) << bit
        numbers = [min(plane.low + number, plane.high) for number in numbers] * (rows * columns // count)
        plane.pixels = [numbers[y * columns : (y + 1) * columns] for y in range(rows)]

    def phase(self, plane: Plane, phase: int, level: int) -> None:
        rows, columns = self.size(level)
        top, left = PLACES[phase]
        places = [[(y, x) for x in range(left, columns, 2)] for y in range(top, rows, 2)]
        if not places or not places[0]:
            return
        strip = max(1, 8192 // len(places[0]))
        known = [row[:] for row in plane.pixels]
        for first in range(0, len(places), strip):
            now = [place for row in places[first : first + strip] for place in row]
            see = absolute if self.alike else features
            seen = [see(plane, known, phase, level, *place) for place in now]
            x = np.array([z for z, _, _ in seen], np.int64)
            for layer in self.net(f"{len(plane.earlier)}{phase}" + f"{min(level, 2)}" * self.alike):
                x = layer(x)
            outputs = zip(x.tolist(), seen, strict=True)
            anchors = self.anchors(len(plane.earlier))
            mixtures = [Mixture(o, spread, base, plane.low, plane.high, anchors) for o, (_, spread, base) in outputs]
            going = mixtures
            while going:
                for mixture in going:
                    mixture.tell(self.decision(mixture.ask()))
                going = [mixture for mixture in going if mixture.lo < mixture.hi]
            for (y, x_), mixture in zip(now, mixtures, strict=True):
                plane.pixels[y][x_] = mixture.lo


def features(plane: Plane, known: Pixels, phase: int, level: int, y: int, x: int) -> tuple[list[int], int, int]:
    """Features, spread and base of a pixel."""
    rows, columns = len(known), len(known[0])

    def at(pixels: Pixels, offset: tuple[int, int]) -> int:
        return pixels[mirrored(y + offset[0], rows)][mirrored(x + offset[1], columns)]

    base = sum(at(known, offset) for offset in NEAR[phase][:4])
    d = [4 * at(known, offset) - base for offset in NEAR[phase]]
    spread = 45 + sum(map(abs, d[:16]))
    z, logs = [256 * number // spread for number in d], []
    for other in plane.earlier:
        middle = sum(at(other.pixels, offset) for offset in NEAR[phase][:4])
        e = [4 * at(other.pixels, offset) - middle for offset in AROUND]
        z += [256 * number // spread for number in e]
        logs.append(log(45 + sum(map(abs, e))) - 16 * plane.depth)
    middle = 0 if plane.earlier else 2 << plane.depth
    z += [log(spread) - 16 * plane.depth, 16 * (base - middle) >> plane.depth, *logs]
    z += [16 * (level == 0), 16 * (level == 1)]
    return [clip(number, -192, 192) for number in z], spread, base


def absolute(plane: Plane, known: Pixels, phase: int, level: int, y: int, x: int) -> tuple[list[int], int, int]:
    """Features, spread and base of a pixel, for a model with anchors."""
    rows, columns = len(known), len(known[0])

    def at(pixels: Pixels, offset: tuple[int, int]) -> int:
        row, column = y + offset[0], x + offset[1]
        number = pixels[row][column] if 0 <= row < rows and 0 <= column < columns else 0
        return max((number << 8) >> plane.depth, -255)

    z = [at(known, offset) for offset in WIDE[phase]]
    z += [at(other.pixels, offset) for other in plane.earlier for offset in AROUND]
    z += [256 * y // rows - 128, 256 * x // columns - 128, 32 * min(level, 7)]
    return z, 1 << (9 + max(plane.depth - 8, 0)), 0 if plane.earlier else 2 << plane.depth


def colours(planes: list[Array]) -> list[Array]:
    """Red, green, blue of y, co, cg; grey as it is."""
    if len(planes) == 1:
        return planes
    y, co, cg = planes
    t = y - (cg >> 1)
    blue = t - (co >> 1)
    return [blue + co, cg + t, blue]


def runs(n: int, side: int) -> list[tuple[int, int]]:
    units = -(-n // 64)
    count = -(-64 * units // (1 << side))
    cuts = [64 * (units * i // count) for i in range(count)] + [n]
    return list(pairwise(cuts))


def stored(data: bytes, shape: tuple[int, int, int], depth: int) -> Array:
    if depth == 16:
        return np.frombuffer(data, "<u2").reshape(shape)
    bits = "".join(f"{byte:08b}" for byte in data)
    return np.array([int(bits[at * depth : (at + 1) * depth], 2) for at in range(math.prod(shape))]).reshape(shape)


def decode(data: bytes, tensors: dict[str, Array]) -> tuple[Array, Array | None]:
    """Samples (H, W, colour and alpha) and the palette or None; AssertionError if a digest is another."""
    header, chunks = read_file(data)
    height, width, channels, depth = (header[name] for name in ("height", "width", "channels", "depth"))
    first = dict(chunks)
    flags, side, error = struct.unpack("<BBH", first["P"])
    white, kind = (1 << depth) - 1, "<u1" if depth <= 8 else "<u2"
    groups = [(channels, ((white + error) // (2 * error + 1)).bit_length())] + [(1, depth)] * flags
    tiles = (chunk for letter, chunk in chunks if letter == "T")
    samples = np.zeros((height, width, channels + flags), np.int64)
    for top, bottom in runs(height, side):
        for left, right in runs(width, side):
            payload = next(tiles)
            shape = (bottom - top, right - left, channels + flags)
            if payload[0] == 0:
                x = stored(payload[5:], shape, depth)
            elif payload[0] == 2:
                planes = Tile(tensors, payload[5:], *shape[:2], groups).decode()
                x = np.clip(np.stack(colours(planes[:channels]) + planes[channels:], axis=2), 0, white)
            else:
                x = graphics(payload[5:], shape, depth)
            assert hashlib.blake2b(x.astype(kind).tobytes()).digest()[:4] == payload[1:5]
            samples[top:bottom, left:right] = x
    colour = np.minimum(samples[..., :channels] * (2 * error + 1), white)
    samples = np.concatenate([colour, samples[..., channels:]], axis=2).astype(kind)
    sizes = b"".join(n.to_bytes(4, "little") for n in (height, width, channels))
    parts = samples[..., :channels].tobytes() + samples[..., channels:].tobytes()
    assert hashlib.blake2b(sizes + parts).digest()[:4] == header["digest"]
    palette = first.get("C")
    return samples, None if palette is None else np.frombuffer(palette[1:], np.uint8).reshape(-1, palette[0])


def main() -> None:
    model, source, target = sys.argv[1:]
    samples, _ = decode(Path(source).read_bytes(), read_model(Path(model).read_bytes()))
    colour = samples[..., : 3 if samples.shape[2] > 2 else 1]
    white = 255 if samples.itemsize == 1 else 65535
    head = f"P{5 if colour.shape[2] == 1 else 6} {colour.shape[1]} {colour.shape[0]} {white}\n"
    Path(target).write_bytes(head.encode() + colour.astype(colour.dtype.newbyteorder(">")).tobytes())


if __name__ == "__main__":
    main()
