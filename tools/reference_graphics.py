"""Graphics tiles for the second decoder of lossless files, written from SPEC.md; nothing of codec/ is in it either."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from tools.reference_model import Array, Message, table_of

__all__ = ["graphics"]

OUTSIDE, GOLDEN, WRAP = -1, 0x9E3779B97F4A7C15, (1 << 64) - 1
NEAR = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-2, 1), (-2, -1), (-1, -2), (0, -3), (-2, 2), (-2, -2))
NEIGHBOURS = (12, 6, 4, 2)
ORDERS = ([0], [0, 1], [1, 0, 2], [1, 0, 2, 3])
LOGITS = range(-480, 481)
ODDS = [int(table_of((0, logit))[1]) for logit in LOGITS]


def weighed(weights: Sequence[int]) -> Array:
    """The table of weights."""
    total, k = sum(weights), len(weights)
    f = [weight * (65536 - k) // total + 1 for weight in weights]
    f[weights.index(max(weights))] += 65536 - sum(f)
    return np.array(f)


def clip(n: int, low: int, high: int) -> int:
    return min(max(n, low), high)


def token_of(u: int) -> int:
    p = u.bit_length() - 1
    return u if u < 8 else 8 + 2 * (p - 3) + (u >> (p - 1) & 1)


def raw_bits(token: int) -> int:
    return 0 if token < 8 else 2 + (token - 8) // 2


def first_of(token: int) -> int:
    p = 3 + (token - 8) // 2
    return token if token < 8 else (1 << p) + ((token - 8) % 2 << (p - 1))


class Steps:
    """What is added to predictions."""

    def __init__(self, message: Message, channels: int, depth: int) -> None:
        self.message, self.channels = message, channels
        fresh = [max(1, 60 // (1 + i)) for i in range(1 + token_of((1 << depth) - 1))]
        self.counts: dict[tuple[int, int, int], list[int]] = defaultdict(lambda: fresh[:])

    def __call__(self, levels: Sequence[int]) -> list[list[int]]:
        """Steps of some pixels, (pixels, channels)."""
        tokens = [[0] * self.channels for _ in levels]
        for channel in range(self.channels):
            used = []
            for pixel, level in zip(tokens, levels, strict=True):
                before = (0, 1, 2, 2, 3)[min(pixel[channel - 1], 4)] if channel else 0
                row = (channel, level, before)
                pixel[channel] = self.message.symbol(weighed(self.counts[row]))
                used.append((row, pixel[channel]))
            for row, token in used:
                self.counts[row][token] += 60
            for row in {row for row, _ in used}:
                if sum(self.counts[row]) > 120000:
                    self.counts[row] = [(count + 1) // 2 for count in self.counts[row]]
        raw = [[0] * self.channels for _ in levels]
        for s in range(0, 16, 4):
            for channel in range(self.channels):
                for pixel, bits in zip(tokens, raw, strict=True):
                    if (m := min(raw_bits(pixel[channel]) - s, 4)) > 0:
                        table = [(65520 + (1 << m)) >> m] * (1 << m) + [1] * (16 - (1 << m))
                        table[0] += 65536 - sum(table)
                        bits[channel] |= self.message.symbol(np.array(table)) << s
        steps = []
        for pixel, bits in zip(tokens, raw, strict=True):
            u = [first_of(token) + number for token, number in zip(pixel, bits, strict=True)]
            step = [-(number + 1) // 2 if number % 2 else number // 2 for number in u]
            steps.append(step if self.channels < 3 else [step[0], step[1] + step[0], step[2] + step[0], *step[3:]])
        return steps


class Pixel:
    """One pixel of a wavefront: where it is, what is around it, and what has been decided."""

    places: list[int]  # of its slots, order by order
    found: list[tuple[int, int, int]]  # in them: colour, second colour, state
    told: list[int]
    second: list[int]
    states: list[int]
    agree: list[int]
    inputs: list[int]
    candidates: list[int]
    guess: int
    sel: int
    mixed: int
    d: int
    right: int
    flag: int
    key: int

    def __init__(self, tile: dict[tuple[int, int], int], y: int, x: int) -> None:
        self.tile, self.at, self.colour = tile, (y, x), OUTSIDE
        self.near = [tile.get((y + dy, x + dx), OUTSIDE) for dy, dx in NEAR]


class Decoder:
    def __init__(self, message: Message, shape: tuple[int, int, int], depth: int, kind: int) -> None:
        self.message, self.shape, self.depth, self.patterns, self.means = message, shape, depth, kind == 2, kind == 3
        self.steps = Steps(message, shape[2], depth)
        self.palette: list[int] = []
        if self.patterns:
            uniform = table_of([0] * 64)
            self.read_palette(64 * message.symbol(uniform) + message.symbol(uniform))
        self.down, self.across = -(-shape[0] // 512), -(-shape[1] // 512)
        self.h, self.w = -(-shape[0] // self.down), -(-shape[1] // self.across)
        count = self.down * self.across
        self.tiles: list[dict[tuple[int, int], int]] = [{} for _ in range(count)]
        self.b = clip((count * self.h * self.w).bit_length(), 6, 18)
        self.slots: list[dict[int, tuple[int, int, int]]] = [{} for _ in range(4)]
        self.hits = {
            (o, s, a): [16 * s + 8, 16 * s + 16] if a else [5, 26] for o in range(4) for s in range(16) for a in (0, 1)
        }
        self.weights: dict[tuple[int, int], int] = {(o, sel): 26214 * (o < 4) for o in range(5) for sel in range(64)}
        self.seen: dict[int, list[int]] = defaultdict(lambda: [2, 2])
        self.choices = [[4, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 1] for _ in range(16)]
        self.index = [1] * (len(self.palette) + 1)
        self.index_w, self.index_n = Counter[tuple[int, int]](), Counter[tuple[int, int]]()

    def parts(self, colour: int) -> list[int]:
        c = self.shape[2]
        return [colour >> self.depth * (c - 1 - i) & ((1 << self.depth) - 1) for i in range(c)]

    def joined(self, parts: Sequence[int]) -> int:
        colour = 0
        for part in parts:
            colour = colour << self.depth | part % (1 << self.depth)
        return colour - (1 << 64) if colour >> 63 else colour

    def read_palette(self, size: int) -> None:
        parts = [0] * self.shape[2]
        for first in range(0, size, 32):
            for step in self.steps([34] * min(32, size - first)):
                parts = [(part + number) % (1 << self.depth) for part, number in zip(parts, step, strict=True)]
                self.palette.append(self.joined(parts))
        assert self.palette == sorted(set(self.palette))

    def decode(self) -> Array:
        for t in range(self.w + 2 * (self.h - 1)):
            places = [(y, t - 2 * y) for y in range(self.h) if 0 <= t - 2 * y < self.w]
            pixels = [Pixel(tile, y, x) for tile in self.tiles for y, x in places]
            if self.patterns:
                self.wavefront(pixels)
            else:
                self.residuals(pixels)
            for pixel in pixels:
                pixel.tile[pixel.at] = pixel.colour
        height, width, channels = self.shape
        out = np.zeros(self.shape, np.int64)
        for y, x in np.ndindex(height, width):
            tile = self.tiles[y // self.h * self.across + x // self.w]
            parts = self.parts(tile[y % self.h, x % self.w])
            for channel, part in zip(ORDERS[channels - 1], parts, strict=True):
                out[y, x, channel] = part
        return out

    def residuals(self, pixels: list[Pixel]) -> None:
        guesses, levels = [], []
        for pixel in pixels:
            w, n = pixel.near[:2]
            n = w if n == OUTSIDE else n
            around = [n if colour == OUTSIDE else colour for colour in pixel.near[:7]]
            parts = [self.parts(0 if colour == OUTSIDE else colour) for colour in around]
            each = list(zip(*parts, strict=True))
            if self.means:
                guesses.append([(4 * (a + b) + 2 * (c + d) + sum(rest) + 7) // 15 for a, b, c, d, *rest in each])
            else:
                guesses.append([sorted((a, b, a + b - c))[1] for a, b, c, *_ in each])
            levels.append(token_of(min(65535, sum(abs(a - c) + abs(b - c) + abs(b - d) for a, b, c, d, *_ in each))))
        if pixels:
            for pixel, guess, step in zip(pixels, guesses, self.steps(levels), strict=True):
                pixel.colour = self.joined([a + b for a, b in zip(guess, step, strict=True)])

    def share(self, o: int, s: int, a: int) -> int:
        hits, tries = self.hits[o, s, a]
        return clip((hits << 16) // tries, 1, 65535)

    def look(self, pixel: Pixel) -> None:
        """The slots of a pixel, and what they foretell."""
        pixel.places = []
        for n in NEIGHBOURS:
            total = sum(colour * pow(GOLDEN, i + 1, 1 << 64) for i, colour in enumerate(pixel.near[:n])) & WRAP
            pixel.places.append(((total ^ total >> 29) * GOLDEN & WRAP) >> (64 - self.b))
        pixel.found = [self.slots[o].get(pixel.places[o], (OUTSIDE, OUTSIDE, 0)) for o in range(4)]
        pixel.told, pixel.second, pixel.states = (list(part) for part in zip(*pixel.found, strict=True))
        w, n, nw, ne = pixel.near[:4]
        sure = [o for o in range(4) if pixel.states[o]]
        pixel.guess = n if w == OUTSIDE else w
        if sure:
            pixel.guess = pixel.told[max(sure, key=lambda o: (self.share(o, pixel.states[o], 1), -o))]
        pixel.agree = [int(told == pixel.guess) for told in pixel.told]
        same = (w == n, n == ne, nw == n, w == nw, pixel.guess == w, pixel.guess == n)
        pixel.sel = sum(1 << i for i, equal in enumerate(same) if equal)
        shares = [self.share(o, pixel.states[o], pixel.agree[o]) for o in range(4)]
        pixel.inputs = [next((i for i, odds in zip(LOGITS, ODDS, strict=True) if odds >= p), 480) for p in shares] + [
            32
        ]
        total = sum(self.weights[o, pixel.sel] * pixel.inputs[o] for o in range(5)) >> 16
        pixel.mixed = ODDS[clip(total, -480, 480) + 480]
        v = [2 * (0, 1, 1, 2, 2, 2, 3)[min(s, 6)] + a for s, a in zip(pixel.states, pixel.agree, strict=True)]
        pixel.d = 2048 * v[0] + 256 * v[1] + 32 * v[2] + 8 * (pixel.sel // 16) + pixel.sel % 8
        miss, hit = self.seen[pixel.d]
        pixel.right = clip((pixel.mixed + ((hit << 16) + 10 * pixel.mixed) // (miss + hit + 10)) // 2, 1, 65535)

    def wavefront(self, pixels: list[Pixel]) -> None:
        for pixel in pixels:
            self.look(pixel)
        for pixel in pixels:
            pixel.flag = self.message.symbol(np.array([65536 - pixel.right, pixel.right]))
            pixel.colour = pixel.guess
        rest = [pixel for pixel in pixels if not pixel.flag]
        chosen = [self.choose(pixel) for pixel in rest]
        for pixel, choice in zip(rest, chosen, strict=True):
            self.choices[pixel.key][choice] += 1
        rest = [pixel for pixel, choice in zip(rest, chosen, strict=True) if choice == 11]
        if self.palette:
            rest = self.indices(rest)
        self.residuals(rest)
        self.learn(pixels)

    def choose(self, pixel: Pixel) -> int:
        told, second, near = pixel.told, pixel.second, pixel.near
        pixel.candidates = [told[0], told[1], near[0], near[1], near[3], near[2], told[2], told[3], *second[1:]]
        fresh = [
            colour not in (OUTSIDE, pixel.guess) and colour not in pixel.candidates[:i]
            for i, colour in enumerate(pixel.candidates)
        ]
        pixel.key = fresh[0] + 2 * fresh[1] + 4 * fresh[2] + 8 * fresh[6]
        weights = [weight * there for weight, there in zip(self.choices[pixel.key], [*fresh, True], strict=True)]
        choice = self.message.symbol(weighed(weights))
        if choice < 11:
            pixel.colour = pixel.candidates[choice]
        return choice

    def indices(self, pixels: list[Pixel]) -> list[Pixel]:
        """Those that the palette does not have."""
        used, total = [], sum(self.index)
        for pixel in pixels:
            w, n = ((colour * GOLDEN & WRAP) >> 56 for colour in pixel.near[:2])
            counts = [self.index_w[w, i] + self.index_n[n, i] for i in range(len(self.index))]
            weights = [(count << 16) // total + 1 + (counts[i] << 14) for i, count in enumerate(self.index)]
            for i, colour in enumerate(self.palette, 1):
                if colour in (pixel.guess, *pixel.candidates):
                    weights[i] = 0
            i = self.message.symbol(weighed(weights))
            pixel.colour = self.palette[i - 1] if i else OUTSIDE
            used.append((w, n, i))
        for w, n, i in used:
            self.index[i] += 20
            self.index_w[w, i] += 1
            self.index_n[n, i] += 1
        return [pixel for pixel, (_, _, i) in zip(pixels, used, strict=True) if i == 0]

    def learn(self, pixels: list[Pixel]) -> None:
        steps, counts = Counter[tuple[int, int]](), Counter[int]()
        for pixel in pixels:
            c = pixel.colour
            for o in range(4):
                told, second, s = pixel.found[o]
                if told != c and s <= 4:
                    self.slots[o][pixel.places[o]] = c, told, 1
                elif told != c:
                    self.slots[o][pixel.places[o]] = told, c, s // 4
                elif s < 15:
                    self.slots[o][pixel.places[o]] = told, second, s + 1
                hits = self.hits[o, s, pixel.agree[o]]
                hits[0] += 16 * pixel.flag
                hits[1] += 16
            self.seen[pixel.d][pixel.flag] += 5
            counts[pixel.sel] += 1
            for o in range(5):
                steps[o, pixel.sel] += pixel.inputs[o] * ((pixel.flag << 16) - pixel.mixed)
        for hits in self.hits.values():
            if hits[1] > 6400:
                hits[:] = hits[0] // 2, hits[1] // 2
        for (o, sel), g in steps.items():
            self.weights[o, sel] += g // (80 * (20 + counts[sel]))


def graphics(data: bytes, shape: tuple[int, int, int], depth: int) -> Array:
    """The integers of a tile (H, W, C)."""
    if data[0] == 0:
        return np.frombuffer(data[1:], "<u1" if depth <= 8 else "<u2").reshape(shape)
    return Decoder(Message(data[1:]), shape, depth, data[0]).decode()
