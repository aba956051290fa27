"""Symbols of the prior: numbers and codewords <-> what the range coder is given.

    number      a symbol up to the table's reach; beyond it an Elias gamma code follows
    group       flag: is it zero; a codeword by its query's association with the keys; or 'split': halves, then numbers

The tables of a group are its query's association with the keys of the codewords (key . query + bias, base-2 softmax):
modern Hopfield retrieval (Ramsauer et al. 2020), read as a probability instead of a value. Keys start as features of
the codeword (-|c|, c), so that neighbouring codewords generalise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import intnet
from codec.codebook import codebook
from codec.entropy import PRECISION, frequencies_from_logits, frequencies_of_bit
from codec.errors import ModelError
from codec.intnet import Carrier
from codec.layers import Input, Layers

Ints = NDArray[np.integer[Any]]
I64 = NDArray[np.int64]
Live = NDArray[np.bool_]  # (h * w,), which blocks are coded
Code = Callable[[Ints, Any], Any]  # tables, symbols (None on the decoder's side) -> symbols

REACH, SPLIT_REACH = 127, 15  # scalars up to here have a symbol of their own; beyond, an Elias gamma code follows
SCALES = 64
QUERY = 127  # clip of queries, in 16ths
FREE = 4  # dimensions of a query that no feature of the codeword is tied to
LOGIT = 1 << 20  # clip of logits


@dataclass(frozen=True, slots=True)
class Scalars:
    """Parameters of numbers coded one by one: n positions, g coefficients.

    mean (n, g) int64 in 1/16 steps, scale (n, g) int64 in [0, 64)
    """

    mean: I64
    scale: I64


@dataclass(frozen=True, slots=True)
class Groups:
    """Parameters of groups coded by codewords of dimension d: n positions, g groups.

    mean (n, g, d) int64 in 1/16 steps; flag (n, g) logits of being non-zero in 1/32 bit; query (n, g, F) in 16ths;
    scale (n, g, d) int64 in [0, 64), for the numbers of a group that is split to the end
    """

    mean: I64
    flag: I64
    query: Carrier
    scale: I64

    @property
    def dim(self) -> int:
        return int(self.scale.shape[2])


class Symbols:
    """The prior's tables.

    Raises
    ------
    ModelError
        Tensors that do not fit together, or sums that could be inexact.
    """

    def __init__(self, layers: Layers) -> None:
        self.scalar_freqs = tables_of(layers.tensor("scalars.freqs", SCALES, 2 * REACH + 1))
        self.split_freqs = tables_of(layers.tensor("splits.freqs", SCALES, 2 * SPLIT_REACH + 1))
        self.levels = {
            name: layers.unit(f"levels.{name}", (Input(n + FREE, -QUERY, QUERY),), symbols, -LOGIT, LOGIT)
            for name, n, symbols in (
                ("pair", 4, codebook(2).split + 1),
                ("quad", 8, codebook(4).split + 1),
                ("octet", 8, codebook(8).split + 1),
                ("half", 4, codebook(4, zero=True).split + 1),
            )
        }

    def scalars(self, parameters: Scalars, picked: I64 | None, code: Code) -> I64:
        flat = None if picked is None else picked.ravel()
        return _numbers(self.scalar_freqs, parameters.scale.ravel(), flat, code).reshape(parameters.scale.shape)

    def groups(self, parameters: Groups, picked: I64 | None, code: Code) -> I64:
        """Flag, codeword, and where no codeword fits, halves and single numbers: (n, g, d) integers."""
        dim = parameters.dim
        flat = None if picked is None else picked.reshape(-1, dim)
        out = np.zeros((parameters.flag.size, dim), np.int64)
        nonzero = None if flat is None else flat.any(axis=1).astype(np.int64)
        rows = np.flatnonzero(code(frequencies_of_bit(parameters.flag.ravel()), nonzero))
        query = parameters.query.reshape(len(out), -1)[rows]
        out[rows], split = self._words(dim, query, None if flat is None else flat[rows], code)
        rows, query, scale = rows[split], query[split], parameters.scale.reshape(len(out), dim)[rows[split]]
        if dim == 8:
            halves = None if flat is None else flat[rows].reshape(-1, 4)
            words, split = self._words(4, half_queries(query), halves, code, half=True)
            numbers = None if halves is None else halves[split].ravel()
            words[split] = _numbers(self.split_freqs, scale.reshape(-1, 4)[split].ravel(), numbers, code).reshape(-1, 4)
            out[rows] = words.reshape(-1, 8)
        else:
            numbers = None if flat is None else flat[rows].ravel()
            out[rows] = _numbers(self.split_freqs, scale.ravel(), numbers, code).reshape(-1, dim)
        return out.reshape(parameters.scale.shape)

    def _words(self, dim: int, query: Carrier, picked: I64 | None, code: Code, half: bool = False) -> tuple[I64, I64]:
        """One level of codewords: (n, dim) integers (zeros where split), and the rows that are split."""
        book = codebook(dim, zero=half)
        symbols = code(self.word_tables(dim, query, half), None if picked is None else book.index(picked))
        split = np.flatnonzero(symbols == book.split)
        words = book.words[np.minimum(symbols, book.split - 1)]
        words[split] = 0
        return words, split

    def word_tables(self, dim: int, query: Carrier, half: bool = False) -> Ints:
        """(n, F) queries -> (n, K + 1) frequencies of the codewords and of 'split'."""
        level = self.levels["half" if half else {2: "pair", 4: "quad", 8: "octet"}[dim]]
        return frequencies_from_logits(intnet.run(level, query[:, None])[:, 0])


def half_queries(query: Carrier) -> Carrier:
    """Queries of split eights (n, 8 + FREE) -> of their halves (2 n, 4 + FREE)."""
    free = np.repeat(query[:, 8:], 2, axis=0)
    return np.concatenate([query[:, :8].reshape(-1, 4), free], axis=1)


def _numbers(tables: Ints, scale: I64, numbers: I64 | None, code: Code) -> I64:
    """Single numbers: a symbol up to the table's reach, and what is beyond it by an Elias gamma code."""
    reach = tables.shape[1] // 2
    symbols = code(tables[scale], None if numbers is None else np.clip(numbers, -reach, reach) + reach)
    out: I64 = symbols.astype(np.int64) - reach
    far = np.flatnonzero(np.abs(out) == reach)
    if len(far):
        beyond = None if numbers is None else np.minimum(np.abs(numbers[far]) - reach, (1 << 14) - 2)
        out[far] += np.sign(out[far]) * _gamma(len(far), beyond, code)
    return out


def _gamma(n: int, numbers: I64 | None, code: Code) -> I64:
    """Elias gamma code of numbers in [0, 2^14 - 2]: p(length l) = 2^-(l+1), then l equally likely bits."""
    lengths = np.array([1 << (PRECISION - 1 - b) for b in range(13)] + [1 << (PRECISION - 13)])
    plus = None if numbers is None else numbers + 1
    digits = None if plus is None else np.frexp(plus)[1].astype(np.int64) - 1
    length = code(np.broadcast_to(lengths, (n, len(lengths))), digits)
    out = np.ones(n, np.int64)
    flat = np.full(2, 1 << (PRECISION - 1))
    for bit in range(len(lengths) - 2, -1, -1):
        rows = np.flatnonzero(length > bit)
        symbols = code(np.broadcast_to(flat, (len(rows), 2)), None if plus is None else (plus[rows] >> bit) & 1)
        out[rows] = 2 * out[rows] + symbols
    return out - 1


def tables_of(freqs: Ints) -> Ints:
    """The tables as they are, if they add up to 2^16."""
    if (freqs < 1).any() or (freqs.astype(np.int64).sum(axis=1) != 1 << PRECISION).any():
        raise ModelError(f"the model's tables do not add up to {1 << PRECISION}")
    return freqs
