"""What only the encoder does: choosing codes under the prior's tables.

    k = argmin_k  w ||r - c_k||^2 + bits_k

r is what the prior's mean leaves of the coefficients, in steps, and bits_k what the codeword costs here, flags and
splits included. At high rates dD/dR of a uniform quantiser says w = 6 / ln 4 = 8.7 bits per squared step; a little less
is better in practice, since a zero also makes its neighbours cheaper. Nothing here has to be exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import intnet
from codec.codebook import UNIT, codebook
from codec.entropy import PRECISION, frequencies_of_bit
from codec.hyper import HYPER_GROUPS, Hyper
from codec.layers import Input, Layers, chained
from codec.prior import Pass, Prior
from codec.symbols import Ints, Scalars, half_queries

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

WEIGHT = 9.0  # bits that a squared step is worth
DEAD, LONELY = 0.6, 0.78  # without tables: below this, in steps, a number is zero; and if it is its group's only one
HYPER_UNIT = 32
HYPER_FEATURES = 132  # 3 means, 29 coefficients, 16 groups of 4, 84 of 8
HYPER_WORTH = 0.01 * HYPER_UNIT**2  # squared distance (in 32nds) that a bit of the hyper-latent is worth


class Rounding:
    """Chooses codes without the prior's tables, by rounding with a dead zone: quicker, and worse.

    Parameters
    ----------
    prior : unused, for the same signature as `Retriever`
    y : (h * w, 768) coefficients in steps, in the model's order
    """

    def __init__(self, prior: Prior, y: F64) -> None:
        self.y = y

    def __call__(self, now: Pass) -> I64:
        """The codes of a pass: integers around the mean, in the shape of its parameters."""
        mean = now.parameters.mean
        r = self.y[now.at, now.start : now.stop].reshape(mean.shape) - mean / UNIT
        if isinstance(now.parameters, Scalars):
            return np.rint(r).astype(np.int64)
        k = np.trunc(r + np.copysign(1 - DEAD, r)).astype(np.int64)
        lone = (k != 0).sum(axis=2, keepdims=True) == 1
        k[lone & (np.abs(r) < LONELY)] = 0
        return k


class Retriever:
    """Chooses codes for one tile; an instance is what `Prior.walk` calls.

    Parameters
    ----------
    prior : the prior that is walked
    y : (h * w, 768) coefficients in steps, in the model's order

    Attributes
    ----------
    spent : (h * w,) what each block has cost so far: its bits, and `weight` times its squared error
    """

    def __init__(self, prior: Prior, y: F64) -> None:
        self.prior, self.y, self.weight = prior, y, WEIGHT
        self.spent = np.zeros(len(y))
        self._scalar_bits = _bits(prior.symbols.scalar_freqs)
        self._split_bits = _bits(prior.symbols.split_freqs)

    def __call__(self, now: Pass) -> I64:
        """The codes of a pass: integers around the mean, in the shape of its parameters."""
        parameters = now.parameters
        y = self.y[now.at, now.start : now.stop].reshape(parameters.mean.shape)
        r = y - parameters.mean / UNIT
        if isinstance(parameters, Scalars):
            numbers, costs = self._numbers(self._scalar_bits, parameters.scale, r)
            self.spent[now.at] += costs.sum(axis=1)
            return numbers
        dim = parameters.dim
        flat, out = r.reshape(-1, dim), np.zeros((r.size // dim, dim), np.int64)
        rows = np.flatnonzero(np.abs(flat).max(axis=1) > 0.5)
        flags = _bits(frequencies_of_bit(parameters.flag.ravel()))
        spent = self.weight * (flat**2).sum(1) + flags[:, 0]
        query = parameters.query.reshape(len(flat), -1)[rows]
        words, cost = self._words(dim, query, parameters.scale.reshape(len(flat), dim)[rows], flat[rows])
        cost = cost + flags[rows, 1]
        kept = cost < spent[rows]
        out[rows[kept]], spent[rows[kept]] = words[kept], cost[kept]
        self.spent[now.at] += spent.reshape(len(now.at), -1).sum(axis=1)
        return out.reshape(r.shape)

    def _words(self, dim: int, query: Any, scale: I64, r: F64, half: bool = False) -> tuple[I64, F64]:
        """Best codewords (n, dim), splits included, and their costs in bits (n,)."""
        book = codebook(dim, zero=half)
        bits = _bits(self.prior.symbols.word_tables(dim, query, half))
        c = book.words.astype(np.float32)
        cost = bits[:, :-1] + np.float32(self.weight) * ((c**2).sum(1) - 2 * (r.astype(np.float32) @ c.T))
        best = cost.argmin(axis=1)
        words = book.words[best]
        total = cost[np.arange(len(best)), best] + self.weight * (r**2).sum(1)
        rows = np.flatnonzero(book.index(np.rint(r).astype(np.int64)) == book.split)  # a split is only worth a try here
        if len(rows):
            if dim == 8:
                halves = half_queries(query[rows]), scale[rows].reshape(-1, 4), r[rows].reshape(-1, 4)
                parts, costs = self._words(4, *halves, half=True)
            else:
                parts, costs = self._numbers(self._split_bits, scale[rows], r[rows])
            costs = costs.reshape(len(rows), -1).sum(1) + bits[rows, -1]
            better = costs < total[rows]
            words[rows[better]] = parts.reshape(len(rows), dim)[better]
            total[rows[better]] = costs[better]
        return words, total

    def _numbers(self, bits: F64, scale: I64, r: F64) -> tuple[I64, F64]:
        """Best integers around each number, the nearest or the one before it towards zero, and their costs in bits."""
        reach = bits.shape[1] // 2
        near = np.rint(r).astype(np.int64)
        less = near - np.sign(near)
        costs = [
            bits[scale, np.clip(k, -reach, reach) + reach] + self.weight * (r - k) ** 2 + _gamma_bits(k, reach)
            for k in (near, less)
        ]
        return np.where(costs[1] < costs[0], less, near), np.minimum(*costs)


class HyperEncoder:
    """h_a and the retrieval of the hyper-latent's codes: what the encoder tells in advance of a tile."""

    def __init__(self, layers: Layers, hyper: Hyper) -> None:
        self.words = hyper.words.astype(np.float64)
        self.bits = _bits(hyper.freqs)
        wide, narrow = layers.size("h_a.0.bias"), layers.size("h_a.1.bias")
        high = 1 << 12
        self.units = chained(
            layers.unit("h_a.0", (Input(HYPER_FEATURES, -(1 << 9), 1 << 9, kernel=3, stride=2),), wide, 0, high),
            layers.unit("h_a.1", (Input(wide, 0, high, kernel=3, stride=2),), narrow, 0, high),
            layers.unit("h_a.2", (Input(narrow, 0, high),), self.words[:, 0].size, -high, high),
        )

    def __call__(self, y: F64, shape: tuple[int, int]) -> I64:
        """(h * w, 768) coefficients in steps -> (ceil(h/4) * ceil(w/4), 2) codes."""
        size = np.abs(y)
        means = np.clip(y[:, :3] / 16, -8, 8)
        fours, eights = (size[:, a:b].reshape(len(y), -1, d).mean(2) for a, b, d in ((32, 96, 4), (96, y.shape[1], 8)))
        groups = np.concatenate([fours, eights], 1)
        features = np.concatenate([means, np.log2(1 + size[:, 3:32]), np.log2(1 + 4 * groups)], 1)
        z = np.clip(np.rint(features * HYPER_UNIT), -(1 << 9), 1 << 9).reshape(*shape, -1)
        for unit in self.units:
            z = intnet.run(unit, z)
        vectors = z.reshape(-1, HYPER_GROUPS, self.words.shape[2]).astype(np.float64)
        distance = ((vectors[:, :, None] - self.words) ** 2).sum(3)  # (n, groups, words)
        return np.asarray((distance + HYPER_WORTH * self.bits).argmin(2))


def _bits(freqs: Ints) -> Any:
    return PRECISION - np.log2(freqs.astype(np.float32))


def _gamma_bits(k: I64, reach: int) -> F64:
    return np.where(np.abs(k) >= reach, 2 * np.log2(np.maximum(np.abs(k) - reach, 0) + 1.0) + 1, 0)
