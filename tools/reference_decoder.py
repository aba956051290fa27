"""A second decoder, written from SPEC.md: it imports nothing of codec/, computes in int64, and takes its time.

    python -m tools.reference_decoder MODEL.egmm FILE.egm OUT.ppm

It decodes photos that are whole; what SPEC.md says a decoder must reject is the other one's part.
"""  # fmt: skip

from __future__ import annotations

import hashlib
import math
import sys
import zlib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from tools.reference_model import Array, Message, read_file, read_model, table_of

__all__ = ["Networks", "Tile", "decode", "matrices", "pixels_of", "restored", "rounded", "synthesis"]


def rounded(v: Array, s: Any) -> Array:
    return np.asarray((v + (1 << np.asarray(s, np.int64) >> 1)) >> s)


class Networks:
    def __init__(self, tensors: dict[str, Array]) -> None:
        self.t = tensors

    def unit(self, name: str, *maps: Array, lo: int, hi: int, e: Any = 0) -> Array:
        """Maps (h, w, C) -> (h, w, O)."""
        h, w, _ = maps[0].shape
        shift = self.t[f"{name}.shift"]
        total = self.t[f"{name}.bias"] + (np.asarray(e, np.int64) << shift)
        for m, x in enumerate(maps):
            weight = self.t[f"{name}.weight.{m}"]
            r = weight.shape[1] // 2
            padded = np.pad(x, ((r, r), (r, r), (0, 0)))
            for a, b in np.ndindex(weight.shape[1:3]):
                total = total + np.einsum("yxc,oc->yxo", padded[a : a + h, b : b + w], weight[:, a, b])
        return np.clip(rounded(total, shift), lo, hi)


SLICES = (
    (1, 3, 0, 0),
    (1, 9, 3, 2),
    (2, 10, 12, 13),
    (4, 16, 32, 17),
    (8, 12, 96, 21),
    (8, 24, 192, 21),
    (8, 48, 384, 21),
)
QUERY = {2: 4, 4: 8, 8: 8}
DIAGONAL, STRAIGHT = ((-1, -1), (-1, 1), (1, -1), (1, 1)), ((-1, 0), (1, 0), (0, -1), (0, 1))
NEAR = ((), tuple((2 * a, 2 * b) for a, b in DIAGONAL), tuple((2 * a, 2 * b) for a, b in STRAIGHT), DIAGONAL, STRAIGHT)
RING = tuple((a, b) for a, b in product((-1, 0, 1), repeat=2) if a or b)
REACHED = [next(v for v in range(4096) if (4 + v) ** 32 >= 2 ** (2 * n - 1) * 4**32) for n in range(1, 128)]
ENERGY = np.array([sum(v >= least for least in REACHED) for v in range(4096)])


def pass_of(y: int, x: int) -> int:
    if (y + x) % 2:
        return 4
    if y % 2:
        return 3
    return 0 if y % 4 == x % 4 == 0 else 1 if y % 4 == x % 4 == 2 else 2


def codewords(dim: int) -> list[tuple[int, ...]]:
    if dim == 2:
        words = [c for c in product(range(-3, 4), repeat=2) if any(c)]
    elif dim == 4:
        words = [c for c in product(range(-2, 3), repeat=4) if 0 < sum(v * v for v in c) <= 5]
    else:
        ones = [c for c in product((-1, 0, 1), repeat=8) if 1 <= sum(map(abs, c)) <= 2]
        words = ones + [tuple(v * (i == j) for j in range(8)) for i in range(8) for v in (2, -2)]
    return sorted(words, key=lambda c: (sum(v * v for v in c), c))


WORDS = {dim: codewords(dim) for dim in (2, 4, 8)}


def signed(v: Array) -> Array:
    return np.asarray(np.clip((v + 1) >> 1, -127, 127))


def energy(v: Array) -> Array:
    return np.asarray(ENERGY[np.minimum(np.abs(v), 4095)])


def shuffle(x: Array) -> Array:
    h, w, c = x.shape
    out = np.zeros((2 * h, 2 * w, c // 4), np.int64)
    for a, b in product((0, 1), repeat=2):
        out[a::2, b::2] = x[:, :, 2 * a + b :: 4]
    return out


class Tile:
    """The prior of a tile, walked through."""

    def __init__(self, nets: Networks, data: bytes, h: int, w: int) -> None:
        self.nets, self.message, self.h, self.w = nets, Message(data[1:]), h, w
        self.step, self.condition = int(nets.t["steps"][data[0]]), nets.t["condition"][data[0]]
        self.values = np.zeros((h, w, 768), np.int64)
        self.live = np.ones((h, w), np.bool_)  # blocks that are coded; of a photo all are

    def decode(self) -> Array:
        """(h, w, 768) coefficients in 1/256 grey levels."""
        t, unit = self.nets.t, self.nets.unit
        state = self.start()
        self.slice_0(state)
        n, wide = state.shape[2], len(t["slices.1.hidden.bias"])
        for i in range(1, 7):
            hidden = unit(f"update.{i}.hidden", state, self.features(i - 1, self.values), lo=0, hi=255)
            state = unit(f"update.{i}.out", hidden, lo=-127, hi=127, e=state)
            e = self.condition[n + i * wide : n + (i + 1) * wide]
            for parity in (0, 1):
                self.half_slice(i, parity, state, e)
        y = np.zeros_like(self.values)
        y[..., t["order"]] = np.clip(self.values * self.step, -(1 << 23), 1 << 23)
        return y

    def start(self) -> Array:
        """The first state."""
        t = self.nets.t
        codes = [self.hyper(t["hyper.freqs"][g]) for g in (0, 1)]
        z = np.concatenate([t["hyper.words"][g][codes[g]] for g in (0, 1)], axis=2)
        e = np.repeat(self.condition[: len(t["h_s.1.bias"]) // 4], 4)
        up = shuffle(self.nets.unit("h_s.0", z, lo=0, hi=255))
        return shuffle(self.nets.unit("h_s.1", up, lo=-127, hi=127, e=e))[: self.h, : self.w]

    def told(self, i: int) -> list[Array]:
        """What the hidden layer of a slice sees besides; of a photo nothing."""
        return []

    def hyper(self, table: Array) -> Array:
        codes = np.full((-(-self.h // 4), -(-self.w // 4)), int(table.argmax()), np.int64)
        for i, j in np.ndindex(codes.shape):
            if self.live[4 * i : 4 * i + 4, 4 * j : 4 * j + 4].any():
                codes[i, j] = self.message.symbol(table)
        return codes

    def around(self, y: int, x: int, near: Any) -> tuple[Array, Array]:
        """Mean of slice 0 of neighbours (3,), and what each is more than it (n, 3)."""
        inside = [0 <= y + a < self.h and 0 <= x + b < self.w for a, b in near]
        v = [self.values[y + a, x + b, :3] if there else None for (a, b), there in zip(near, inside, strict=True)]
        count, total = sum(inside), sum((each for each in v if each is not None), np.zeros(3, np.int64))
        mean = (2 * total + count) // (2 * count) if count else np.zeros(3, np.int64)
        return mean, np.array([np.zeros(3, np.int64) if each is None else each - mean for each in v])

    def slice_0(self, state: Array) -> None:
        for p in range(5):
            blocks = [(y, x) for y, x in np.argwhere(self.live).tolist() if pass_of(y, x) == p]
            means, scales = [], []
            for y, x in blocks:
                base, d = self.around(y, x, NEAR[p])
                maps = [state[y : y + 1, x : x + 1]]
                if p:
                    maps.append(np.concatenate([signed(d).ravel(), energy(d).ravel()])[None, None])
                hidden = self.nets.unit(f"dc.{p}.hidden", *maps, lo=0, hi=255)
                o = self.nets.unit(f"dc.{p}.head", hidden, lo=-8191, hi=8191)[0, 0]
                means.append(base + o[:3])
                scales += np.clip(o[3:], 0, 63).tolist()
            k = self.numbers("scalars.freqs", scales).reshape(-1, 3)
            for (y, x), mean, codes in zip(blocks, means, k, strict=True):
                self.values[y, x, :3] = mean + 16 * codes

    def features(self, i: int, values: Array) -> Array:
        dim, groups, start, _ = SLICES[i]
        v = values[..., start : start + dim * groups]
        if i == 0:
            d = np.zeros_like(v)
            for y, x in np.ndindex(self.h, self.w):
                d[y, x] = v[y, x] - self.around(y, x, RING)[0]
            grey = np.clip((v * self.step + 4096) >> 13, -127, 127)
            return np.concatenate([grey, signed(d), energy(d)], axis=2)
        if i <= 2:
            return np.concatenate([signed(v), energy(v)], axis=2)
        pool = {3: 1, 4: 4, 5: 8, 6: 8}[i]
        return energy(np.abs(v).reshape(self.h, self.w, -1, pool).sum(3))

    def half_slice(self, i: int, parity: int, state: Array, e: Array) -> None:
        dim, groups, start, outputs = SLICES[i]
        size = dim * groups
        maps = [state, self.features(i, self.values), *self.told(i)]
        hidden = self.nets.unit(f"slices.{i}.hidden", *maps, lo=0, hi=255, e=e)
        out = self.nets.unit(f"slices.{i}.head", hidden, lo=-8191, hi=8191)
        base = np.zeros((self.h, self.w, size), np.int64)
        if i <= 3:
            lower, own = self.values[..., : 3 if i == 1 else 12], self.values[..., start : start + size]
            near = (np.clip(v, -8191, 8191) for v in (lower, own))
            base = self.nets.unit(f"slices.{i}.linear", *near, lo=-8191, hi=8191)
        blocks = [(y, x) for y, x in np.argwhere(self.live).tolist() if (y + x) % 2 == parity]
        if not blocks:
            return
        o = np.array([out[at].reshape(groups, outputs) for at in blocks])  # (n, groups, outputs)
        mean = np.array([base[at].reshape(groups, dim) for at in blocks])
        if dim == 1:
            mean += o[..., :1]
            k = self.numbers("scalars.freqs", np.clip(o[..., 1], 0, 63).ravel()).reshape(mean.shape)
        else:
            q = 1 + QUERY[dim]
            if dim == 2:
                mean += o[..., q + dim + 4 :]
            query = np.clip(np.concatenate([o[..., 1:q], o[..., q + dim : q + dim + 4]], axis=2), -127, 127)
            scale = np.clip(o[..., q : q + dim], 0, 63)
            k = self.groups(dim, o[..., 0].ravel(), query.reshape(-1, query.shape[2]), scale.reshape(-1, dim))
        for at, values in zip(blocks, (mean + 16 * k.reshape(mean.shape)).reshape(len(blocks), -1), strict=True):
            self.values[at][start : start + size] = values

    def numbers(self, tables: str, scales: Any) -> Array:
        table = self.nets.t[tables]
        m = table.shape[1] // 2
        k = np.array([self.message.symbol(table[scale]) - m for scale in scales], np.int64)
        far = [i for i, number in enumerate(k) if abs(number) == m]
        lengths = [1 << (15 - b) for b in range(13)] + [8]
        b = self.message.symbols(len(far), np.array(lengths))
        v = np.ones(len(far), np.int64)
        for j in range(12, -1, -1):
            for i in np.flatnonzero(b > j):
                v[i] = 2 * v[i] + self.message.symbol(np.array([1 << 15, 1 << 15]))
        k[far] += np.sign(k[far]) * (v - 1)
        return k

    def words(self, level: str, words: list[tuple[int, ...]], query: Array) -> tuple[Array, list[int]]:
        """A codeword for each query, and which are split instead."""
        out, split = np.zeros((len(query), len(words[0])), np.int64), []
        for i, q in enumerate(query):
            logits = self.nets.unit(f"levels.{level}", q[None, None], lo=-(1 << 20), hi=1 << 20)[0, 0]
            k = self.message.symbol(table_of(logits))
            if k == len(words):
                split.append(i)
            else:
                out[i] = words[k]
        return out, split

    def groups(self, dim: int, flags: Array, query: Array, scale: Array) -> Array:
        out = np.zeros((len(flags), dim), np.int64)
        rows = np.flatnonzero([self.message.symbol(table_of((0, flag))) for flag in flags])
        out[rows], split = self.words({2: "pair", 4: "quad", 8: "octet"}[dim], WORDS[dim], query[rows])
        rows = rows[split]
        if dim < 8:
            out[rows] = self.numbers("splits.freqs", scale[rows].ravel()).reshape(-1, dim)
            return out
        halves = [np.concatenate([q[part : part + 4], q[8:]]) for q in query[rows] for part in (0, 4)]
        words, split = self.words("half", [(0, 0, 0, 0), *WORDS[4]], np.array(halves).reshape(-1, 8))
        words[split] = self.numbers("splits.freqs", scale[rows].reshape(-1, 4)[split].ravel()).reshape(-1, 4)
        out[rows] = words.reshape(-1, 8)
        return out


def matrices() -> tuple[Array, Array, Array]:
    """T, P and C."""
    pi = math.pi
    t = np.array(
        [[math.sqrt(1 / 8) * math.cos(pi * (m + 0.5) * k / 16) if k else 0.25 for k in range(16)] for m in range(16)]
    )
    d = np.array(
        [[math.cos(pi * (m + 0.5) * k / 8) / 2 if k else math.sqrt(1 / 8) for m in range(8)] for k in range(8)]
    )
    e = np.array([[math.cos(pi * (m + 0.5) * (k + 0.5) / 8) / 2 for m in range(8)] for k in range(8)])
    one, zero, j = np.eye(8), np.zeros((8, 8)), np.eye(8)[::-1]
    b = math.sqrt(0.5) * np.block([[one, j], [j, -one]])
    p = (b @ np.block([[one, zero], [zero, j @ d.T @ e @ j]]) @ b).T
    c = np.array([[1, -1, 1], [1, 0, -2], [1, 1, 1]]) / np.sqrt([3, 2, 6])
    whole = [np.rint(m * 16384).astype(np.int64) for m in (t, p, c)]
    return whole[0], whole[1], whole[2]


def synthesis(y: Array) -> Array:
    """(h, w, 768) -> (16 h, 16 w, 3) in 1/64 grey levels."""
    t, p, c = matrices()
    h, w, _ = y.shape
    x = np.zeros((16 * h, 16 * w, 3), np.int64)
    for a, v, u in np.ndindex(3, 16, 16):
        x[v::16, u::16, a] = y[..., 256 * a + 16 * v + u]
    for axis, s in ((0, 16), (1, 14)):
        lines = np.moveaxis(x, axis, 0).copy()
        for matrix, first, shift in ((t, 0, s), (p, 8, 14)):
            for top in range(first, len(lines) - 15, 16):
                lines[top : top + 16] = rounded(np.einsum("mk,k...->m...", matrix, lines[top : top + 16]), shift)
        x = np.moveaxis(lines, 0, axis)
    return rounded(np.einsum("ca,yxa->yxc", c, x), 14) + 8160


def restored(nets: Networks, x: Array, t: int) -> Array:
    step, (height, width, _) = int(nets.t["steps"][t]), x.shape
    cells = np.zeros((height // 8, width // 8, 192), np.int64)
    for c, i, j in np.ndindex(3, 8, 8):
        cells[..., 64 * c + 8 * i + j] = x[i::8, j::8, c]
    means = rounded(cells.reshape(*cells.shape[:2], 3, 64).sum(3), 6)
    u = np.clip(rounded((cells - np.repeat(means, 64, axis=2)) * ((1 << 24) // step), 20), -127, 127)
    r = len(nets.t["restore.stem.bias"])
    e = nets.t["restore.condition"][t].reshape(-1, r)
    s = nets.unit("restore.stem", u, lo=-127, hi=127, e=e[0])
    for i in range(len(e) - 1):
        hidden = nets.unit(f"restore.block.{i}.hidden", s, lo=0, hi=255, e=e[i + 1])
        s = nets.unit(f"restore.block.{i}.out", hidden, lo=-127, hi=127, e=s)
    change = rounded(nets.unit("restore.head", s, lo=-8192, hi=8192) * step, 10)
    out = x.copy()
    for c, i, j in np.ndindex(3, 8, 8):
        out[i::8, j::8, c] += change[..., 64 * c + 8 * i + j]
    return out


def pixels_of(x: Array, height: int, width: int, channels: int) -> Array:
    x = rounded(x, 6) if channels == 3 else (x.sum(2, keepdims=True) + 96) // 192
    return np.asarray(np.clip(x[:height, :width], 0, 255), np.uint8)


def decode(data: bytes, tensors: dict[str, Array]) -> tuple[Array, Array | None]:
    """Colour (H, W, C) and alpha (H, W) or None; AssertionError if the digest is another."""
    header, chunks = read_file(data)
    height, width, channels = header["height"], header["width"], header["channels"]
    nets, h, w = Networks(tensors), -(-height // 16), -(-width // 16)
    tiles = (chunk for letter, chunk in chunks if letter == "T")
    y = np.zeros((h, w, 768), np.int64)
    for top, left in product(range(0, h, 64), range(0, w, 64)):
        tile, (th, tw) = next(tiles), (min(64, h - top), min(64, w - left))
        y[top : top + th, left : left + tw] = Tile(nets, tile, th, tw).decode()
        index = tile[0]
    colour = pixels_of(restored(nets, synthesis(y), index), height, width, channels)
    alpha = None
    for letter, chunk in chunks:
        if letter == "A":
            rows = np.frombuffer(zlib.decompress(chunk[1:]), np.uint8).reshape(height, width).copy()
            for i in range(1, (0, width, height)[chunk[0]]):
                at, before = ((slice(None), i), (slice(None), i - 1)) if chunk[0] == 1 else (i, i - 1)
                rows[at] = rows[at] + rows[before]
            alpha = rows
    sizes = b"".join(n.to_bytes(4, "little") for n in (height, width, channels))
    pixels = colour.tobytes() + (b"" if alpha is None else alpha.tobytes())
    assert hashlib.blake2b(sizes + pixels).digest()[:4] == header["digest"]
    return colour, alpha


def main() -> None:
    model, source, target = sys.argv[1:]
    colour, _ = decode(Path(source).read_bytes(), read_model(Path(model).read_bytes()))
    head = f"P{5 if colour.shape[2] == 1 else 6} {colour.shape[1]} {colour.shape[0]} 255\n"
    Path(target).write_bytes(head.encode() + colour.tobytes())


if __name__ == "__main__":
    main()
