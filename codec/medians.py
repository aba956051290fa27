"""Colours as differences from the median prediction of JPEG-LS (LOCO-I), or from a mean, under counts that adapt.

    median    median(W, N, W + N - NW) in each channel
    mean      (4 W + 4 N + 2 NW + 2 NE + WW + NN + NNE + 7) / 15: for noise

The second and third of three channels or more take the difference of the first along: grey stays grey. A difference is
a token and raw bits, as in JPEG XL; tokens are counted by channel, by how much the neighbours differ, and by the token
of the channel before. A colour is an integer: the first channel in its highest bits.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codec import entropy

I64 = NDArray[np.int64]
Ints = NDArray[np.integer[Any]]

OUTSIDE = -1  # the colour beyond the borders
_MEAN = np.array([4, 4, 2, 2, 1, 1, 1])[:, None, None]
FULL = 120_000  # counts of a context are halved beyond this sum
_COUNT = 60  # of one token
_EXACT = 8  # numbers below have a token of their own; above, two tokens for each power of two
_LOW_TOKENS = np.array([0, 1, 2, 2, *[3] * 60])  # token of the channel before -> context
_RAW = 4  # raw bits coded at a time
_UNIFORM = np.ones((_RAW + 1, 1 << _RAW), np.int64)  # tables of b raw bits
for _bits in range(_RAW + 1):
    _UNIFORM[_bits, : 1 << _bits] = (entropy.TOTAL - (1 << _RAW) + (1 << _bits)) >> _bits
    _UNIFORM[_bits, 0] += entropy.TOTAL - _UNIFORM[_bits].sum()


class Coder(Protocol):
    """Either side of the entropy coder: takes tables, and symbols that a decoder ignores; gives the symbols."""

    def code(self, freqs: Ints, symbols: Ints | None) -> Ints: ...


def tables(weights: I64) -> I64:
    """Weights (n, K) >= 0, in each row some positive -> tables; what is left over goes to the first largest."""
    k = weights.shape[1]
    freqs: I64 = weights * (entropy.TOTAL - k) // weights.sum(axis=1, keepdims=True) + 1
    freqs[np.arange(len(freqs)), weights.argmax(axis=1)] += entropy.TOTAL - freqs.sum(axis=1)
    return freqs


class Residuals:
    """The counts, and both sides of the code under them."""

    def __init__(self, coder: Coder, channels: int, depth: int, means: bool = False) -> None:
        self._coder, self._channels, self._depth, self._means = coder, channels, depth, means
        self._shifts = depth * np.arange(channels - 1, -1, -1)[:, None]
        self._mask = (1 << depth) - 1
        self._count = _TOKENS[self._mask] + 1  # of tokens
        first = np.maximum(1, _COUNT // (1 + np.arange(self._count)))
        self._counts = np.tile(first, (channels * _LEVELS * 4, 1))
        self._sums = self._counts.sum(axis=1)

    def code_colours(self, near: I64, colours: I64 | None) -> I64:
        """Code colours.

        Parameters
        ----------
        near : (4, n) colours W, N, NW, NE, or `OUTSIDE`; for means (7, n) with WW, NN, NNE
        colours : (n,); None for a decoder

        Returns
        -------
        (n,) colours
        """
        north = np.where(near[1] == OUTSIDE, near[0], near[1])
        around = np.where(near == OUTSIDE, north, near)
        around[around == OUTSIDE] = 0
        samples = (around[:, None] >> self._shifts) & self._mask  # (4 or 7, channels, n)
        w, n, nw, ne = samples[:4]
        if self._means:
            told = ((samples * _MEAN).sum(axis=0) + 7) // 15
        else:
            told = np.clip(w + n - nw, np.minimum(w, n), np.maximum(w, n))
        active = (np.abs(w - nw) + np.abs(n - nw) + np.abs(n - ne)).sum(axis=0)
        level = _TOKENS[np.minimum(active, len(_TOKENS) - 1)]
        steps = None if colours is None else ((colours >> self._shifts) & self._mask) - told
        samples = (told + self.code_steps(level, steps)) & self._mask
        found: I64 = np.bitwise_or.reduce(samples << self._shifts, axis=0)
        return found

    def code_palette(self, size: int, palette: I64 | None) -> I64:
        """Code `size` colours in ascending order, as steps from one to the next."""
        samples = None if palette is None else (palette >> self._shifts) & self._mask
        steps = None if samples is None else np.diff(samples, axis=1, prepend=0)
        level = np.full(size, _LEVELS - 1)
        parts = [slice(i, min(i + 32, size)) for i in range(0, size, 32)]
        coded = [self.code_steps(level[part], None if steps is None else steps[:, part]) for part in parts]
        samples = np.cumsum(np.concatenate(coded, axis=1), axis=1) & self._mask
        found: I64 = np.bitwise_or.reduce(samples << self._shifts, axis=0)
        return found

    def code_steps(self, level: I64, steps: I64 | None) -> I64:
        """Code differences (channels, n) modulo 2^depth, each in a context `level` (n,)."""
        folded = None
        if steps is not None:
            apart = steps.copy()
            if self._channels > 2:
                apart[1:3] -= steps[0]
            half = (self._mask + 1) >> 1
            apart = ((apart + half) & self._mask) - half
            folded = np.where(apart < 0, -2 * apart - 1, 2 * apart)
        tokens = np.zeros((self._channels, len(level)), np.int64)
        for channel in range(self._channels):
            before = _LOW_TOKENS[tokens[channel - 1]] if channel else 0
            row = (channel * _LEVELS + level) * 4 + before
            symbols = None if folded is None else _TOKENS[folded[channel]]
            tokens[channel] = self._coder.code(tables(self._counts[row]), symbols)
            self._learn(row, tokens[channel])
        folded = _FIRST[tokens] + self._code_raw(_BITS[tokens], None if folded is None else folded - _FIRST[tokens])
        apart = np.where(folded & 1, -(folded + 1 >> 1), folded >> 1)
        if self._channels > 2:
            apart[1:3] += apart[0]
        return apart

    def _learn(self, row: I64, token: I64) -> None:
        np.add.at(self._counts, (row, token), _COUNT)
        np.add.at(self._sums, row, _COUNT)
        full = np.unique(row[self._sums[row] > FULL])
        if len(full):
            self._counts[full] = self._counts[full] + 1 >> 1
            self._sums[full] = self._counts[full].sum(axis=1)

    def _code_raw(self, bits: I64, numbers: I64 | None) -> I64:
        """Numbers of so many bits each, all shapes alike: the low bits of all, then the next of all."""
        bits = bits.copy()
        out = np.zeros(bits.shape, np.int64)
        for shift in range(0, self._depth, _RAW):
            where = bits > shift
            if not where.any():
                break
            width = np.minimum(bits[where] - shift, _RAW)
            symbols = None if numbers is None else (numbers[where] >> shift) & ((1 << width) - 1)
            piece = self._coder.code(_UNIFORM[width], symbols).astype(np.int64)
            out[where] |= piece << shift
        return out


def _token_tables() -> tuple[I64, I64, I64]:
    """Token of each number below 2^16; first number and count of raw bits of each token."""
    first, bits = list(range(_EXACT)), [0] * _EXACT
    for power in range(_EXACT.bit_length() - 1, 16):
        first += [1 << power, 3 << power - 1]
        bits += [power - 1] * 2
    starts = np.array(first)
    return np.searchsorted(starts, np.arange(1 << 16), side="right") - 1, starts, np.array(bits)


_TOKENS, _FIRST, _BITS = _token_tables()
_LEVELS = int(_TOKENS[-1]) + 2  # contexts by activity, and one for palettes
