"""The second decoder for lossy video, written from SPEC.md: it imports nothing of codec/, and takes its time.

It decodes videos that are whole; what SPEC.md says a decoder must reject is the other one's part.
"""

from __future__ import annotations

import hashlib
from itertools import product

import numpy as np

from tools.reference_decoder import (
    NEAR,
    SLICES,
    Networks,
    Tile,
    energy,
    matrices,
    pass_of,
    pixels_of,
    restored,
    rounded,
    synthesis,
)
from tools.reference_model import Array, Message, read_file

__all__ = ["decode"]

TAPS = (
    (0, 0, 0, 64, 0, 0, 0, 0),
    (-1, 4, -10, 58, 17, -5, 1, 0),
    (-1, 4, -11, 40, 40, -11, 4, -1),
    (0, 1, -5, 17, 58, -10, 4, -1),
)
WINDOW = np.array([1, 3, 5, 7, 9, 11, 13, 15, 15, 13, 11, 9, 7, 5, 3, 1])
FAIR = np.array([1 << 15, 1 << 15])


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def parts(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        length, at = varint(data, at)
        found.append(data[at : at + length])
        at += length
    return found


class Counts:
    """Adaptive tables."""

    def __init__(self, rows: int, first: list[int]) -> None:
        self.counts = np.array([first] * rows)

    def symbols(self, message: Message, rows: list[int]) -> list[int]:
        tables = []
        for row in rows:
            c = self.counts[row]
            f = c * (65536 - len(c)) // c.sum() + 1
            f[c.argmax()] += 65536 - f.sum()
            tables.append(f)
        found = [message.symbol(table) for table in tables]
        for row, symbol in zip(rows, found, strict=True):
            self.counts[row, symbol] += 32
        for row in set(rows):
            if self.counts[row].sum() > 16384:
                self.counts[row] = (self.counts[row] + 1) // 2
        return found


class Fields:
    """How frames are predicted, with what has been learned in the group."""

    def __init__(self, h: int, w: int) -> None:
        self.h, self.w = h, w
        self.kinds, self.splits = Counts(36, [48, 8, 24, 8]), Counts(6, [24, 8])
        self.tokens = Counts(10, [max(2, 40 // (1 + token)) for token in range(20)])
        self.live, self.cells = np.zeros((h, w), np.bool_), np.zeros((h, w, 4, 2), np.int64)
        self.values = np.zeros((h, w, 768), np.int64)  # of the frame before

    def decode(self, message: Message) -> None:
        h, w = self.h, self.w
        told, live_before = self.cells.sum(2) >> 2, self.live
        live, moved, split = (np.zeros((h, w), np.int64) for _ in range(3))
        cells = np.zeros((h, w, 4, 2), np.int64)
        for p in range(5):
            blocks = [at for at in np.ndindex(h, w) if pass_of(*at) == p]
            near = {
                (y, x): [(y + a, x + b) for a, b in NEAR[p] if 0 <= y + a < h and 0 <= x + b < w] for y, x in blocks
            }
            expected, spreads = {}, {}
            for at in blocks:
                means = [cells[other].sum(0) >> 2 for other in near[at]]
                ring = np.array(means + [told[at]] * (5 - len(means)))
                expected[at], spreads[at] = np.sort(ring, axis=0)[2], int(np.ptp(ring, axis=0).max())
            count = {at: [sum(int(flags[n]) for n in near[at]) for flags in (live, moved, split)] for at in blocks}
            rows = [6 * (count[at][0] if p else 5) + 2 * min(count[at][1], 2) + int(live_before[at]) for at in blocks]
            for at, kind in zip(blocks, self.kinds.symbols(message, rows), strict=True):
                live[at], moved[at] = divmod(kind, 2)
                cells[at] = expected[at]
            blocks = [at for at in blocks if moved[at]]
            for at, one in zip(
                blocks, self.splits.symbols(message, [count[at][2] if p else 5 for at in blocks]), strict=True
            ):
                split[at] = one
            levels = [sum(spreads[at] >= border for border in (1, 3, 9)) for at in blocks]
            for at, vector in zip(blocks, self.vectors(message, levels, [expected[at] for at in blocks]), strict=True):
                cells[at] = vector
            blocks = [at for at in blocks if split[at]]
            for cell in (1, 2, 3):
                found = self.vectors(message, [4] * len(blocks), [cells[at][0] for at in blocks])
                for at, vector in zip(blocks, found, strict=True):
                    cells[at][cell] = vector
        self.live, self.cells = live == 1, cells

    def vectors(self, message: Message, levels: list[int], base: list[Array]) -> Array:
        out = np.array(base, np.int64).reshape(-1, 2)
        for component in (0, 1):
            tokens = self.tokens.symbols(message, [2 * level + component for level in levels])
            size = [token if token < 8 else 1 << (token - 5) for token in tokens]
            for j in range(13, -1, -1):
                for i, token in enumerate(tokens):
                    if token >= 8 and j < token - 5:
                        size[i] += message.symbol(FAIR) << j
            for i, magnitude in enumerate(size):
                if magnitude:
                    out[i, component] += -magnitude if message.symbol(FAIR) else magnitude
        return out


class Informed(Tile):
    """The prior of inter frames of a model of video."""

    def __init__(self, nets: Networks, data: bytes, h: int, w: int) -> None:
        super().__init__(nets, data, h, w)
        self.known, self.before = np.zeros_like(self.values), np.zeros_like(self.values)

    def start(self) -> Array:
        live = np.where(self.live, 127, 0)[..., None]
        seen = np.concatenate([energies(self.known), energies(self.before), live], axis=2)
        e = self.condition[: len(self.nets.t["context.1.bias"])]
        return self.nets.unit("context.1", self.nets.unit("context.0", seen, lo=0, hi=255), lo=-127, hi=127, e=e)

    def told(self, i: int) -> list[Array]:
        return [self.features(i, self.known)]


def energies(v: Array) -> Array:
    h, w, _ = v.shape
    sums = [
        np.abs(v[..., start : start + dim * groups]).reshape(h, w, groups, dim).sum(3)
        for dim, groups, start, _ in SLICES[1:]
    ]
    return energy(np.concatenate(sums, axis=2))


def predicted(x: Array, cells: Array) -> Array:
    """(16 h, 16 w, C) in 1/64 grey levels."""
    h, w = cells.shape[:2]
    vectors = np.zeros((2 * h, 2 * w, 2), np.int64)
    for cell in range(4):
        vectors[cell // 2 :: 2, cell % 2 :: 2] = cells[:, :, cell]
    vectors = np.pad(vectors, ((1, 1), (1, 1), (0, 0)), mode="edge")
    sums = np.zeros((16 * h + 24, 16 * w + 24, x.shape[2]), np.int64)
    for c, d in np.ndindex(vectors.shape[:2]):
        (row, a), (column, b) = (divmod(int(v), 4) for v in vectors[c, d])
        rows = np.clip(8 * (c - 1) - 4 + row + np.arange(-3, 20), 0, len(x) - 1)
        columns = np.clip(8 * (d - 1) - 4 + column + np.arange(-3, 20), 0, x.shape[1] - 1)
        seen = x[rows[:, None], columns].astype(np.int64)
        down = [[TAPS[a][s - i] if 0 <= s - i < 8 else 0 for s in range(23)] for i in range(16)]
        right = [[TAPS[b][s - i] if 0 <= s - i < 8 else 0 for s in range(23)] for i in range(16)]
        at = rounded(np.einsum("is,jt,stc->ijc", np.array(down), np.array(right), seen), 6)
        sums[8 * c : 8 * c + 16, 8 * d : 8 * d + 16] += (WINDOW[:, None] * WINDOW)[..., None] * at
    return np.clip(rounded(sums[12:-12, 12:-12], 8), 0, 16320)


def projected(x: Array) -> Array:
    """(16 h, 16 w, 3) in 1/64 grey levels -> (h, w, 768) in 1/256 of them."""
    t, p, c = matrices()
    y = rounded(np.einsum("ca,yxc->yxa", c, 4 * (x - 8160)), 14)
    for axis in (0, 1):
        lines = np.moveaxis(y, axis, 0).copy()
        for matrix, first in ((p, 8), (t, 0)):
            for top in range(first, len(lines) - 15, 16):
                lines[top : top + 16] = rounded(np.einsum("km,k...->m...", matrix, lines[top : top + 16]), 14)
        y = np.moveaxis(lines, 0, axis)
    q = np.zeros((len(y) // 16, y.shape[1] // 16, 768), np.int64)
    for a, v, u in np.ndindex(3, 16, 16):
        q[..., 256 * a + 16 * v + u] = y[v::16, u::16, a]
    return q


def intra(nets: Networks, data: bytes, height: int, width: int, channels: int) -> Array:
    h, w, tiles = -(-height // 16), -(-width // 16), iter(parts(data))
    y = np.zeros((h, w, 768), np.int64)
    for top, left in product(range(0, h, 64), range(0, w, 64)):
        tile, (th, tw) = next(tiles), (min(64, h - top), min(64, w - left))
        y[top : top + th, left : left + tw] = Tile(nets, tile, th, tw).decode()
    return pixels_of(restored(nets, synthesis(y), tile[0]), height, width, channels)


def inter(nets: Networks, data: bytes, before: Array, fields: Fields) -> Array:
    kind = Informed if "context.0.bias" in nets.t else Tile
    tile = kind(nets, bytes([data[0] % 64]) + data[1:], fields.h, fields.w)
    fields.decode(tile.message)
    x = predicted(before, fields.cells)
    y = projected(np.broadcast_to(x, (*x.shape[:2], 3)))
    if isinstance(tile, Informed):
        tile.known, tile.before = (2 * y[..., nets.t["order"]] + tile.step) // (2 * tile.step), fields.values
    tile.live = fields.live
    if tile.live.any():
        y = y + tile.decode()
    fields.values = tile.values
    x = synthesis(y)
    if data[0] & 64:
        x = restored(nets, x, data[0] % 64)
    return pixels_of(x, *before.shape)


def decode(data: bytes, tensors: dict[str, Array], video: dict[str, Array] | None = None) -> list[Array]:
    """Frames (H, W, C), with a photo model and perhaps one of `video`; AssertionError if a digest is another."""
    header, chunks = read_file(data)
    shape = header["height"], header["width"], header["channels"]
    nets, own, digests = Networks(tensors), Networks(tensors | (video or {})), b""
    frames: list[Array] = []
    for group in (chunk for letter, chunk in chunks if letter == "G"):
        assert group[0] == 0
        first, *others = parts(group[5:])
        made = [intra(nets, first, *shape)]
        fields = Fields(-(-shape[0] // 16), -(-shape[1] // 16))
        for payload in others:
            made.append(inter(own, payload, made[-1], fields))
        digest = hashlib.blake2b(b"".join(frame.tobytes() for frame in made)).digest()[:4]
        assert digest == group[1:5]
        digests, frames = digests + digest, frames + made
    assert hashlib.blake2b(digests).digest()[:4] == header["digest"]
    return frames
