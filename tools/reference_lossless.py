"""A second decoder of lossless files, written from SPEC.md: it imports nothing of codec/, and takes its time.

    python -m tools.reference_lossless MODEL.egmm FILE.egm OUT.ppm

It decodes files that are whole; what SPEC.md says a decoder must reject is the other one's part.
"""  # fmt: skip

from __future__ import annotations

import hashlib
import math
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from tools.reference_alike import Fronts
from tools.reference_graphics import graphics
from tools.reference_mixture import Layer, Mixture, clip, decision, log, network, plain, stepped, within
from tools.reference_model import Array, Message, read_file, read_model

__all__ = ["decode", "tile"]

Pixels = list[list[int]]

RULES: tuple[Callable[[int, int], bool | int], ...] = (
    lambda y, x: y % 2 and x % 2,
    lambda y, x: (y + x) % 2,
    lambda y, x: y % 2 or x % 2,
)
NEAR = [[o for o in within(4) if rule(*o)][:count] for rule, count in zip(RULES, (16, 24, 28), strict=True)]
AROUND = within(4)[:13]
PLACES = ((1, 1), (0, 1), (1, 0))  # of the phases


def mirrored(i: int, n: int) -> int:
    m = 0 if n == 1 else i % (2 * (n - 1))
    return min(m, 2 * (n - 1) - m) if n > 1 else 0


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
    """The planes of a tile, walked through; or of n pictures of one size, which stand one below the other."""

    def __init__(
        self, tensors: dict[str, Array], data: bytes, h: int, w: int, groups: list[tuple[int, int]], n: int = 1
    ) -> None:
        self.tensors, self.nets, self.n = tensors, dict[str, list[Layer]](), n
        self.message, self.h, self.w, self.planes = Message(data), h, w, list[Plane]()
        for count, depth in groups:
            group: list[Plane] = []
            for _ in range(count):
                group.append(Plane(depth, group[:], False, []))
            self.planes += group

    def size(self, level: int) -> tuple[int, int]:
        return -(-self.h >> level), -(-self.w >> level)

    def decode(self) -> list[Array]:
        top = (max(self.h, self.w) - 1).bit_length() - (3 if max(self.h, self.w) > 128 else 0)
        for plane in self.planes:
            self.coarsest(plane, *self.size(top))
        for level in range(top - 1, -1, -1):
            for plane in self.planes:
                (rows, columns), (coarser, _) = self.size(level), self.size(level + 1)
                before = [plane.pixels[k * coarser + y // 2] for k in range(self.n) for y in range(rows)]
                plane.pixels = [[row[x // 2] for x in range(columns)] for row in before]
                for phase in () if plane.constant else range(3):
                    self.phase(plane, phase, level)
        return [np.array(plane.pixels) for plane in self.planes]

    def net(self, name: str) -> list[Layer]:
        if name not in self.nets:
            self.nets[name] = network(self.tensors, name)
        return self.nets[name]

    def coarsest(self, plane: Plane, rows: int, columns: int) -> None:
        plane.constant = bool(decision(self.message, 1 << 15))
        count = 1 if plane.constant else self.n * rows * columns
        numbers = plain(self.message, count, plane.low, plane.high) * (self.n * rows * columns // count)
        plane.pixels = [numbers[y * columns : (y + 1) * columns] for y in range(self.n * rows)]

    def phase(self, plane: Plane, phase: int, level: int) -> None:
        rows, columns = self.size(level)
        top, left = PLACES[phase]
        places = [[(y, x) for x in range(left, columns, 2)] for y in range(top, rows, 2)]
        if not places or not places[0]:
            return
        strip = max(1, 8192 // (self.n * len(places[0])))
        known = [row[:] for row in plane.pixels]
        for first in range(0, len(places), strip):
            inner = [place for row in places[first : first + strip] for place in row]
            now = [(k * rows + y, x) for k in range(self.n) for y, x in inner]
            seen = [features(plane, known, rows, phase, level, *place) for place in now]
            x = np.array([z for z, _, _ in seen], np.int64)
            for layer in self.net(f"{len(plane.earlier)}{phase}"):
                x = layer(x)
            outputs = zip(x.tolist(), seen, strict=True)
            mixtures = [Mixture(o, spread, base, plane.low, plane.high) for o, (_, spread, base) in outputs]
            for (y, x_), number in zip(now, stepped(self.message, mixtures), strict=True):
                plane.pixels[y][x_] = number


def features(
    plane: Plane, known: Pixels, rows: int, phase: int, level: int, y: int, x: int
) -> tuple[list[int], int, int]:
    """Features, spread and base of a pixel in one of the pictures of so many rows."""
    top, columns = y - y % rows, len(known[0])

    def at(pixels: Pixels, offset: tuple[int, int]) -> int:
        return pixels[top + mirrored(y - top + offset[0], rows)][mirrored(x + offset[1], columns)]

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


def tile(
    payload: bytes,
    shape: tuple[int, int, int],
    channels: int,
    depth: int,
    error: int,
    tensors: dict[str, Array],
    n: int = 1,
) -> Array:
    """The integers of a tile, (rows, columns, channels and alpha), or of n pictures that stand one below the other.

    AssertionError if the digest is another.
    """
    white, kind = (1 << depth) - 1, "<u1" if depth <= 8 else "<u2"
    groups = [(channels, ((white + error) // (2 * error + 1)).bit_length())] + [(1, depth)] * (shape[2] - channels)
    if payload[0] == 0:
        x = stored(payload[5:], shape, depth)
    elif payload[0] == 2:
        if "anchors" in tensors:
            assert n == 1
            planes = Fronts(tensors, payload[5:], *shape[:2], groups).decode()
        else:
            planes = Tile(tensors, payload[5:], shape[0] // n, shape[1], groups, n).decode()
        x = np.clip(np.stack(colours(planes[:channels]) + planes[channels:], axis=2), 0, white)
    else:
        x = graphics(payload[5:], shape, depth)
    assert hashlib.blake2b(x.astype(kind).tobytes()).digest()[:4] == payload[1:5]
    return x


def decode(data: bytes, tensors: dict[str, Array]) -> tuple[Array, Array | None]:
    """Samples (H, W, colour and alpha) and the palette or None; AssertionError if a digest is another."""
    header, chunks = read_file(data)
    height, width, channels, depth = (header[name] for name in ("height", "width", "channels", "depth"))
    first = dict(chunks)
    flags, side, error = struct.unpack("<BBH", first["P"])
    white, kind = (1 << depth) - 1, "<u1" if depth <= 8 else "<u2"
    tiles = (chunk for letter, chunk in chunks if letter == "T")
    samples = np.zeros((height, width, channels + flags), np.int64)
    for top, bottom in runs(height, side):
        for left, right in runs(width, side):
            shape = (bottom - top, right - left, channels + flags)
            samples[top:bottom, left:right] = tile(next(tiles), shape, channels, depth, error, tensors)
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
