"""Pixels of pictures that are no photos, under a model that learns while it codes.

Text, icons and lines repeat: what followed the same neighbours before follows them again. So each pixel is first asked
whether it is the colour that hashed contexts of 12, 6, 4 and 2 neighbours foretell (a flag); if not, which of eleven
colours seen there or nearby it is; if none, which entry of the palette; and if it has none, its difference from a
prediction (medians.py). All tables are counts that adapt, and all numbers are integers.

Pixels with equal x + 2 y form a wavefront: each has its neighbours W, N, NW, NE in earlier ones, so a wavefront is
coded as one vector. The picture is cut into tiles, which go side by side: fewer and longer vectors. Counts are updated
after each wavefront, and both sides do exactly the same, so `code_pixels` is encoder and decoder at once.

Hashed contexts with mixed predictions: Mahoney, "Adaptive weighing of context models for lossless data compression"
(2005); exceptions to a foretold symbol: Bloom, "Solving the problems of context modeling" (1998).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import entropy
from codec.errors import CorruptStream
from codec.medians import OUTSIDE, Coder, Residuals, tables

I64 = NDArray[np.int64]
Ints = NDArray[np.integer[Any]]

NEAR = (  # neighbours (dy, dx), the nearest first
    *((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)),
    *((-2, 1), (-2, -1), (-1, -2), (0, -3), (-2, 2), (-2, -2)),
)
ORDERS = 4  # contexts: the first 12, 6, 4 and 2 neighbours
STEPS = 7  # wavefronts in memory: this one, and as far back as neighbours reach
SURE = 15  # the highest state of a slot; a state counts how often it was right of late
DOUBT = 4  # up to this state a slot that was wrong takes the new colour
CHOICES = 12  # candidates after the first, and "none of them"
CONTEXT_COLOURS = 256  # hashed colours of W, and of N, under which palette indices are counted
INDEX_BUDGET = 256  # table entries of palette indices that a picture may need per pixel, so that decoding ends in time
_GOLDEN = 0x9E3779B97F4A7C15
_MULTIPLIERS = np.array([pow(_GOLDEN, i + 1, 1 << 64) for i in range(len(NEAR))], np.uint64)[:, None]
_FILLED = np.tile(np.repeat([0] + [1] * SURE, 2), ORDERS)  # whether a slot has a colour, by order, state, agreement
_LEVELS = np.tile(np.repeat([0, 2, 2, 4, 4, 4] + [6] * 10, 2) + [0, 1] * (SURE + 1), ORDERS)  # the same more coarsely
_LATER = np.triu(np.ones((CHOICES - 1, CHOICES - 1), bool))[:, :, None]
_ROWS = 64 * np.arange(ORDERS + 1)[:, None]
_SPREAD = np.array([_GOLDEN], np.uint64)
_ODDS = entropy.frequencies_of_bit(np.arange(-480, 481))[:, 1].astype(np.int64)  # p(1) of logits, within 15 bits
_LOGITS = np.searchsorted(_ODDS, np.arange(entropy.TOTAL + 1)).clip(0, 960) - 480  # the first logit with p(1) >= p


def code_pixels(
    coder: Coder, residuals: Residuals, palette: I64 | None, tiles: tuple[int, int, int], x: I64 | None
) -> I64:
    """Code all pixels of a picture.

    Parameters
    ----------
    coder : where symbols go to or come from
    residuals : codes colours that are not in the palette
    palette : (K,) colours, ascending; None if all pixels are to be residuals
    tiles : (S, h, w): how many, rows, columns
    x : (S, h w) colours; None for a decoder

    Returns
    -------
    (S, h w) colours

    Raises
    ------
    CorruptStream
        More palette indices than `INDEX_BUDGET` allows.
    """
    count, height, width = tiles
    out = np.empty((count, height * width), np.int64) if x is None else x
    code = residuals.code_colours
    if palette is not None:
        code = _Model(coder, residuals, palette, count * height * width).code
    neighbours = NEAR if palette is not None else NEAR[:7]
    recent = [np.full((count, height + 2), OUTSIDE, np.int64) for _ in range(STEPS)]
    for t in range(width + 2 * (height - 1)):
        first, last = max(0, (t - width + 2) // 2), min(height - 1, t // 2)
        if last < first:
            continue
        views = [recent[(t + dx + 2 * dy) % STEPS][:, first + 2 + dy : last + 3 + dy] for dy, dx in neighbours]
        near = np.stack(views).reshape(len(views), -1)
        place = np.arange(first, last + 1) * (width - 2) + t
        colours = code(near, None if x is None else x[:, place].ravel()).reshape(count, -1)
        if x is None:
            out[:, place] = colours
        recent[t % STEPS].fill(OUTSIDE)
        recent[t % STEPS][:, first + 2 : last + 3] = colours
    return out


def _bounded(p: I64) -> I64:
    return np.minimum(np.maximum(p, 1), entropy.TOTAL - 1)


class _Model:
    """Everything that adapts. Slots, counts and weights are changed at the end of a wavefront only."""

    def __init__(self, coder: Coder, residuals: Residuals, palette: I64, pixels: int) -> None:
        self._coder, self._residuals, self._palette = coder, residuals, palette
        bits = min(18, max(6, pixels.bit_length()))
        self._drop = np.uint64(64 - bits)
        self._base = (np.arange(ORDERS) << bits)[:, None]
        self._colour = np.full(ORDERS << bits, OUTSIDE, np.int64)  # what followed a context of late
        self._second = np.full(ORDERS << bits, OUTSIDE, np.int64)  # what else did
        self._state = np.zeros(ORDERS << bits, np.uint8)
        # How often a slot's colour was right, by order, state, and whether it is the candidate: in 1/16.
        state = np.tile(np.repeat(np.arange(SURE + 1), 2), ORDERS)
        agrees = np.arange(len(state)) % 2 == 1
        self._hits, self._tries = np.where(agrees, 16 * state + 8, 5), np.where(agrees, 16 * state + 16, 26)
        self._weights = np.full((ORDERS + 1, 64), 26214)  # of the mixer, in 2^-16, by selector
        self._weights[ORDERS] = 0
        self._direct = np.full(2 << 14, 2)  # counts of misses and hits in 1/5, by states and selector
        self._choices = np.tile([4, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 1], (16, 1)).astype(np.int64)
        size = len(palette) + 1
        self._index = np.ones(size, np.int64)  # counts of palette indices in 1/20; the first is "no entry"
        self._index_w = np.zeros((CONTEXT_COLOURS, size), np.int32)
        self._index_n = np.zeros((CONTEXT_COLOURS, size), np.int32)
        self._budget = INDEX_BUDGET * pixels + (1 << 20)

    def code(self, near: I64, colours: I64 | None) -> I64:
        """Code a wavefront: neighbours (12, n), and colours (n,) that a decoder does not know -> colours (n,)."""
        n = near.shape[1]
        sums = np.add.reduceat(near.view(np.uint64) * _MULTIPLIERS, (0, 2, 4, 6), axis=0).cumsum(axis=0)[::-1]
        slots = ((sums ^ (sums >> np.uint64(29))) * _SPREAD >> self._drop).astype(np.int64) + self._base  # (4, n)
        told, state = self._colour[slots], self._state[slots].astype(np.int64)
        rows = 32 * np.arange(ORDERS)[:, None] + 2 * state
        p = _bounded((self._hits << 16) // self._tries)
        trust = (p * _FILLED)[rows + 1]
        best = trust.argmax(axis=0)
        pixel = np.arange(n)
        guess = told[best, pixel]
        w, north, nw, ne = near[:4]
        guess = np.where(trust[best, pixel] > 0, guess, np.where(w != OUTSIDE, w, north))

        agrees = told == guess
        rows += agrees
        selector = (w == north) + 2 * (north == ne) + 4 * (nw == north) + 8 * (w == nw)
        selector += 16 * (guess == w) + 32 * (guess == north)
        inputs = np.full((ORDERS + 1, n), 32)
        inputs[:ORDERS] = _LOGITS[p][rows]
        logit = (self._weights[:, selector] * inputs).sum(axis=0) >> 16
        mixed = _ODDS[np.minimum(np.maximum(logit, -480), 480) + 480]
        levels = _LEVELS[rows[:3]]
        direct = (levels[0] << 11) + (levels[1] << 8) + (levels[2] << 5) + (selector >> 4 << 3) + (selector & 7)
        misses, hits = self._direct[2 * direct], self._direct[2 * direct + 1]
        right = _bounded(mixed + ((hits << 16) + 10 * mixed) // (misses + hits + 10) >> 1)

        freqs = np.empty((n, 2), np.int64)
        freqs[:, 0], freqs[:, 1] = entropy.TOTAL - right, right
        hit = self._coder.code(freqs, None if colours is None else (colours == guess).view(np.int8)).astype(np.int64)
        found: I64 = guess.copy()
        wrong = np.flatnonzero(hit == 0)
        if len(wrong):
            second = self._second[slots[1:, wrong]]
            known = None if colours is None else colours[wrong]
            found[wrong] = self._choose(guess[wrong], near[:4, wrong], told[:, wrong], second, known)

        self._learn_slots(slots, told, state, found)
        self._hits += 16 * np.bincount(rows[:, hit == 1].ravel(), minlength=len(p))
        self._tries += 16 * np.bincount(rows.ravel(), minlength=len(p))
        old = self._tries > 6400
        self._hits[old] >>= 1
        self._tries[old] >>= 1
        np.add.at(self._direct, 2 * direct + hit, 5)
        slope = (inputs * ((hit << 16) - mixed)).ravel()  # sums stay below 2^53, so exact as floats
        places = (_ROWS + selector).ravel()
        total = np.bincount(places, weights=slope, minlength=self._weights.size).astype(np.int64).reshape(-1, 64)
        self._weights += total // (80 * (20 + np.bincount(selector, minlength=64)))
        return found

    def _learn_slots(self, slots: I64, told: I64, state: I64, found: I64) -> None:
        """Change the slots that have to; of several pixels that change one slot, the last in raster order does."""
        right = told == found
        change = np.flatnonzero(~right | (state < SURE))
        slot, told, right, state = (array.ravel()[change] for array in (slots, told, right, state))
        found = np.tile(found, ORDERS)[change]
        replace = ~right & (state <= DOUBT)
        self._state[slot] = np.where(right, np.minimum(state + 1, SURE), np.where(replace, 1, state >> 2))
        self._second[slot] = np.where(right, self._second[slot], np.where(replace, told, found))
        self._colour[slot] = np.where(replace, found, told)

    def _choose(self, guess: I64, near: I64, told: I64, second: I64, colours: I64 | None) -> I64:
        """Pixels that are not the guess: one of the candidates, or an entry of the palette, or a residual."""
        n = len(guess)
        w, north, nw, ne = near
        candidates = np.stack([told[0], told[1], w, north, ne, nw, told[2], told[3], *second])
        fresh = (candidates != OUTSIDE) & (candidates != guess)
        fresh &= ((candidates[:, None] != candidates) | _LATER).all(axis=1)
        context = fresh[0] + 2 * fresh[1] + 4 * fresh[2] + 8 * fresh[6]
        symbols = None
        if colours is not None:
            same = np.vstack([fresh & (candidates == colours), np.ones((1, n), bool)])
            symbols = same.argmax(axis=0)
        weights = self._choices[context] * np.vstack([fresh, np.ones((1, n), bool)]).T
        chosen = self._coder.code(tables(weights), symbols)
        found: I64 = np.vstack([candidates, guess])[chosen, np.arange(n)]
        np.add.at(self._choices, (context, chosen), 1)
        new = np.flatnonzero(chosen == CHOICES - 1)
        if len(new):
            tried = np.vstack([guess, candidates])[:, new]
            known = None if colours is None else colours[new]
            found[new] = self._look_up(tried, near[:, new], known)
        return found

    def _look_up(self, tried: I64, near: I64, colours: I64 | None) -> I64:
        """Pixels that are none of the colours `tried` (12, n): an entry of the palette, or a residual."""
        if len(self._palette) == 0:
            return self._residuals.code_colours(near, colours)
        n, size = tried.shape[1], len(self._index)
        self._budget -= n * size
        if self._budget < 0:
            raise CorruptStream("graphics: more palette indices than a picture of this size can have")
        context = (near[:2].view(np.uint64) * _SPREAD >> np.uint64(56)).astype(np.int64)
        local = self._index_w[context[0]] + self._index_n[context[1]]
        weights = (self._index << 16) // self._index.sum() + 1 + (local.astype(np.int64) << 14)
        place, entry = self._entries(tried)
        pixel = np.broadcast_to(np.arange(n), tried.shape)
        weights[pixel[entry], place[entry] + 1] = 0  # it is none of these
        symbols = None
        if colours is not None:
            place, entry = self._entries(colours)
            symbols = np.where(entry, place + 1, 0)
        index = self._coder.code(tables(weights), symbols)
        np.add.at(self._index, index, 20)
        np.add.at(self._index_w, (context[0], index), 1)
        np.add.at(self._index_n, (context[1], index), 1)
        found: I64 = self._palette[index - 1]
        other = np.flatnonzero(index == 0)
        if len(other):
            found[other] = self._residuals.code_colours(near[:, other], None if colours is None else colours[other])
        return found

    def _entries(self, colours: I64) -> tuple[I64, NDArray[np.bool_]]:
        """Where colours stand in the palette, and whether they do."""
        place = np.minimum(np.searchsorted(self._palette, colours), len(self._palette) - 1)
        return place, self._palette[place] == colours
