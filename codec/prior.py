"""The learned prior: what has been decoded -> integer tables for what comes next.

    hyper-latent z (1/64) -> state (1/16) -> slice 0, interlaced in five passes
                               ^    |
                               |    v                               for each further slice, coarse to fine:
                               +-- update <- codes of the slice before    even squares of a checkerboard, then odd ones

Everything is integers (intnet.py). A map in 32nds holds floor(32 v + 1/2); the state is kept in [-127, 127], hidden
layers in [0, 255]. The tables of a group are its query's association with the keys of the codewords (key . query +
bias, base-2 softmax): modern Hopfield retrieval (Ramsauer et al. 2020), read as a probability instead of a value. Keys
start as features of the codeword (-|c|, c), so that neighbouring codewords generalise.

`walk` is the whole schedule, and both sides walk it. They differ in `choose` (the encoder retrieves codewords, the
decoder has none to choose) and in `code` (encode the symbols, or decode them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import intnet
from codec.codebook import SLICES, UNIT, codebook
from codec.entropy import PRECISION, frequencies_from_logits, frequencies_of_bit
from codec.errors import ModelError
from codec.features import energy, feature_count, features_of, features_of_dc, neighbours, rounded_mean, shuffle, signed
from codec.intnet import Carrier, Unit
from codec.layers import Input, Layers, chained

Ints = NDArray[np.integer[Any]]
I64 = NDArray[np.int64]
Live = NDArray[np.bool_]  # (h * w,), which blocks are coded
Shape = tuple[int, int]  # blocks
Code = Callable[[Ints, Any], Any]  # tables, symbols (None on the decoder's side) -> symbols

STEPS = 64  # qualities
STEP_UNIT = 16  # the quantiser's step is an integer number of 1/16 grey levels
STATE, HIDDEN = 127, 255  # clips of the state and of hidden layers, in 32nds
FEATURE = 127  # largest feature
FINE = 8191  # clip of coefficients that enter linear prediction, in 1/16 steps
REACH, SPLIT_REACH = 127, 15  # scalars up to here have a symbol of their own; beyond, an Elias gamma code follows
SCALES = 64
QUERY = 127  # clip of queries, in 16ths
FREE = 4  # dimensions of a query that no feature of the codeword is tied to
LOGIT = 1 << 20  # clip of logits
OUTPUTS = {1: 2, 2: 13, 4: 17, 8: 21}  # of a slice's head for one group; `_parameters` says what they are
LINEAR = (1, 2, 3)  # slices with a linear prediction
HYPER_GROUPS, HYPER_WORDS, HYPER_DIM = 2, 64, 4

# Interlacing of slice 0: where a pass stands in the 4 x 4 pattern, and its neighbours that are known by then.
_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_STRAIGHT = ((-1, 0), (1, 0), (0, -1), (0, 1))
INTERLACE: tuple[tuple[Callable[[I64, I64], Any], tuple[tuple[int, int], ...]], ...] = (
    (lambda i, j: (i % 4 == 0) & (j % 4 == 0), ()),
    (lambda i, j: (i % 4 == 2) & (j % 4 == 2), tuple((2 * a, 2 * b) for a, b in _DIAGONAL)),
    (lambda i, j: (i % 2 == 0) & (j % 2 == 0) & ((i + j) % 4 == 2), tuple((2 * a, 2 * b) for a, b in _STRAIGHT)),
    (lambda i, j: (i % 2 == 1) & (j % 2 == 1), _DIAGONAL),
    (lambda i, j: (i + j) % 2 == 1, _STRAIGHT),
)


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


@dataclass(frozen=True, slots=True)
class Pass:
    """One call of `choose`: which coefficients come next, and what the prior says of them.

    at (n,) flat positions in the block grid; start, stop: the coefficients, in the model's order
    """

    at: I64
    start: int
    stop: int
    parameters: Scalars | Groups


Choose = Callable[[Pass], "I64 | None"]  # -> integers (n, g) or (n, g, d) around the mean, or None when decoding


class Prior:
    """The prior's networks and tables.

    Raises
    ------
    ModelError
        Tensors that do not fit together, or sums that could be inexact.
    """

    def __init__(self, layers: Layers) -> None:
        width, inner = layers.size("h_s.1.bias", 4), layers.size("h_s.0.bias", 4)
        first, wide = layers.size("dc.0.hidden.bias"), layers.size("slices.1.hidden.bias")
        self.width, size, count = width, SLICES[0].size, range(1, len(SLICES))
        self.condition = layers.tensor("condition", STEPS, width + len(SLICES) * wide).astype(np.int64)
        words = (HYPER_GROUPS, HYPER_WORDS, HYPER_DIM)
        self.hyper_words = layers.bounded("hyper.words", *words, low=-STATE, high=STATE)
        self.hyper_freqs = _tables(layers.tensor("hyper.freqs", HYPER_GROUPS, HYPER_WORDS))
        self.scalar_freqs = _tables(layers.tensor("scalars.freqs", SCALES, 2 * REACH + 1))
        self.split_freqs = _tables(layers.tensor("splits.freqs", SCALES, 2 * SPLIT_REACH + 1))
        extra = int(np.abs(self.condition).max())
        hyper, state = Input(HYPER_GROUPS * HYPER_DIM, -STATE, STATE), Input(width, -STATE, STATE)
        self.h_s = chained(
            layers.unit("h_s.0", (hyper,), 4 * inner, 0, HIDDEN),
            layers.unit("h_s.1", (Input(inner, 0, HIDDEN),), 4 * width, -STATE, STATE, extra),
        )
        around = [(Input(2 * size * len(near), -FEATURE, FEATURE),) if near else () for _, near in INTERLACE]
        self.dc = tuple(
            chained(
                layers.unit(f"dc.{p}.hidden", (state, *around[p]), first, 0, HIDDEN),
                layers.unit(f"dc.{p}.head", (Input(first, 0, HIDDEN),), 2 * size, -FINE, FINE),
            )
            for p in range(len(INTERLACE))
        )
        seen = [Input(feature_count(i), -FEATURE, FEATURE, kernel=3) for i in range(len(SLICES))]
        self.updates = tuple(
            chained(
                layers.unit(f"update.{i}.hidden", (state._replace(kernel=3), seen[i - 1]), width, 0, HIDDEN),
                layers.unit(f"update.{i}.out", (Input(width, 0, HIDDEN),), width, -STATE, STATE, STATE),
            )
            for i in count
        )
        heads = [part.groups * OUTPUTS[part.dim] for part in SLICES]
        self.slices = tuple(
            chained(
                layers.unit(f"slices.{i}.hidden", (state, seen[i]), wide, 0, HIDDEN, extra),
                layers.unit(f"slices.{i}.head", (Input(wide, 0, HIDDEN),), heads[i], -FINE, FINE),
            )
            for i in count
        )
        near = {i: [Input(n, -FINE, FINE, 3) for n in (SLICES[min(i, 2)].start, SLICES[i].size)] for i in LINEAR}
        self.linear = {
            i: layers.unit(f"slices.{i}.linear", tuple(near[i]), SLICES[i].size, -FINE, FINE) for i in LINEAR
        }
        self.levels = {
            name: layers.unit(f"levels.{name}", (Input(n + FREE, -QUERY, QUERY),), symbols, -LOGIT, LOGIT)
            for name, n, symbols in (
                ("pair", 4, codebook(2).split + 1),
                ("quad", 8, codebook(4).split + 1),
                ("octet", 8, codebook(8).split + 1),
                ("half", 4, codebook(4, zero=True).split + 1),
            )
        }

    def units(self) -> Iterator[Unit]:
        """All integer layers, in a fixed order."""
        yield from self.h_s
        for stage in (*self.dc, *self.updates, *self.slices):
            yield from stage
        yield from self.linear.values()
        yield from self.levels.values()

    # ---- the schedule ----------------------------------------------------------------------------------------------

    def walk(
        self,
        hyper: I64 | None,
        shape: Shape,
        step_index: int,
        step: int,
        choose: Choose,
        code: Code,
        live: Live | None = None,
    ) -> I64:
        """Code all coefficients of a tile.

        Parameters
        ----------
        hyper : (ceil(h/4) * ceil(w/4), 2) hyper-latent codes, or None when decoding
        shape : (h, w) blocks
        step_index, step : quality in [0, 64) and its step in 1/16 grey levels
        live : (h * w,) the blocks that are coded; those of the others are 0. None for all blocks

        Returns
        -------
        (h * w, 768) int64, decoded coefficients in 1/16 steps, in the model's order
        """
        h, w = shape
        values = np.zeros((h * w, SLICES[-1].stop), np.int64)
        condition = self.condition[step_index]
        live = np.ones(h * w, np.bool_) if live is None else live
        state = self._start(self._hyper(hyper, shape, live, code), shape, condition[: self.width])
        self._interlaced(values, state, shape, live, choose, code)
        features = features_of_dc(values[:, : SLICES[0].stop], shape, step)
        hidden_conditions = condition[self.width :].reshape(len(SLICES), -1)
        for i, part in enumerate(SLICES[1:], 1):
            state = self._update(i, state, features)
            self._checkerboard(i, values, state, shape, live, hidden_conditions[i], choose, code)
            if i + 1 < len(SLICES):
                features = features_of(i, values[:, part.start : part.stop]).reshape(h, w, -1)
        return values

    def _hyper(self, picked: I64 | None, shape: Shape, live: Live, code: Code) -> I64:
        """Codes (n, 2); where none of the 4 x 4 blocks is live, those of the highest frequency, which are not sent."""
        zh, zw = -(-shape[0] // 4), -(-shape[1] // 4)
        padded = np.pad(live.reshape(shape), ((0, 4 * zh - shape[0]), (0, 4 * zw - shape[1])))
        at = np.flatnonzero(padded.reshape(zh, 4, zw, 4).any(axis=(1, 3)))
        out = np.tile(self.hyper_freqs.argmax(axis=1), (zh * zw, 1))
        for g, freqs in enumerate(self.hyper_freqs):
            tables = np.broadcast_to(freqs, (len(at), len(freqs)))
            out[at, g] = code(tables, None if picked is None else picked[at, g])
        return out

    def _start(self, hyper: I64, shape: Shape, condition: I64) -> Carrier:
        h, w = shape
        zh, zw = -(-h // 4), -(-w // 4)
        z = np.concatenate([self.hyper_words[g][hyper[:, g]] for g in range(HYPER_GROUPS)], axis=1).reshape(zh, zw, -1)
        up = shuffle(intnet.run(self.h_s[0], z.astype(np.float32)))
        extra = np.repeat(condition, 4) << self.h_s[1].shift.astype(np.int64)
        return np.ascontiguousarray(shuffle(intnet.run(self.h_s[1], up, extra=extra))[:h, :w])

    def _interlaced(self, values: I64, state: Carrier, shape: Shape, live: Live, choose: Choose, code: Code) -> None:
        h, w = shape
        i, j = np.mgrid[:h, :w]
        flat = state.reshape(h * w, 1, -1)
        size = SLICES[0].stop
        for p, (where, near) in enumerate(INTERLACE):
            at = np.flatnonzero(where(i, j).ravel() & live)
            if len(at) == 0:
                continue
            hidden, head = self.dc[p]
            base = np.zeros((len(at), size), np.int64)
            maps = [flat[at]]
            if near:
                known, there = neighbours(values, at, shape, near, size)  # (n, 4, 3), (n, 4, 1)
                base = rounded_mean(known.sum(1), there.sum(1))
                off = ((known - base[:, None]) * there).reshape(len(at), -1)
                maps.append(np.concatenate([signed(off), energy(off)], axis=1)[:, None])
            out = intnet.run(head, intnet.run(hidden, *maps)).reshape(len(at), 2 * size).astype(np.int64)
            parameters = Scalars(base + out[:, :size], np.clip(out[:, size:], 0, SCALES - 1))
            picked = self._scalars(parameters, choose(Pass(at, 0, size, parameters)), code)
            values[at, :size] = parameters.mean + picked * UNIT

    def _checkerboard(
        self, i: int, values: I64, state: Carrier, shape: Shape, live: Live, condition: I64, choose: Choose, code: Code
    ) -> None:
        part, (hidden, head) = SLICES[i], self.slices[i - 1]
        h, w = shape
        odd = np.add.outer(np.arange(h), np.arange(w)).ravel() % 2
        now = values[:, part.start : part.stop]
        extra = condition << hidden.shift.astype(np.int64)
        low = np.clip(values[:, : SLICES[min(i, 2)].start], -FINE, FINE).reshape(h, w, -1).astype(np.float64)
        for phase in (0, 1):
            at = np.flatnonzero((odd == phase) & live)
            if len(at) == 0:
                continue
            sums = intnet.convolve(hidden, 0, state, at)
            if phase:
                sums = sums + intnet.convolve(hidden, 1, features_of(i, now).reshape(h, w, -1), at)
            out = intnet.run(head, intnet.requantise(hidden, sums, extra)[:, None]).reshape(len(at), part.groups, -1)
            mean = np.zeros((len(at), part.size), np.int64)
            if i in self.linear:
                guess = intnet.convolve(self.linear[i], 0, low, at)
                if phase:
                    around = np.clip(now, -FINE, FINE).reshape(h, w, -1).astype(np.float64)
                    guess = guess + intnet.convolve(self.linear[i], 1, around, at)
                mean = intnet.requantise(self.linear[i], guess).astype(np.int64)
            parameters = _parameters(part.dim, out, mean)
            picked = choose(Pass(at, part.start, part.stop, parameters))
            if isinstance(parameters, Scalars):
                codes = self._scalars(parameters, picked, code)
                values[at, part.start : part.stop] = parameters.mean + codes * UNIT
            else:
                codes = self._groups(parameters, picked, code)
                values[at, part.start : part.stop] = (parameters.mean + codes * UNIT).reshape(len(at), -1)

    def _update(self, i: int, state: Carrier, features: Carrier) -> Carrier:
        hidden, out = self.updates[i - 1]
        sums = intnet.accumulate(out, intnet.run(hidden, state, features))
        return intnet.requantise(out, sums, state * np.ldexp(1.0, out.shift.astype(np.int32)))

    # ---- symbols ---------------------------------------------------------------------------------------------------

    def _scalars(self, parameters: Scalars, picked: I64 | None, code: Code) -> I64:
        flat = None if picked is None else picked.ravel()
        return _numbers(self.scalar_freqs, parameters.scale.ravel(), flat, code).reshape(parameters.scale.shape)

    def _groups(self, parameters: Groups, picked: I64 | None, code: Code) -> I64:
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


def _parameters(dim: int, out: Carrier, mean: I64) -> Scalars | Groups:
    """Outputs of a slice's head (n, g, .) -> parameters. Layouts are those of training/networks.py."""
    n, g, _ = out.shape
    if dim == 1:
        return Scalars(mean + out[..., 0].astype(np.int64), np.clip(out[..., 1], 0, SCALES - 1).astype(np.int64))
    shaped = 1 + dim * (1 if dim == 8 else 2)  # flag, then -|c| and (below eight) c of each coordinate
    query = np.concatenate([out[..., 1:shaped], out[..., shaped + dim : shaped + dim + FREE]], axis=2)
    mean = mean.reshape(n, g, dim)
    if dim == 2:
        mean = mean + out[..., shaped + dim + FREE :].astype(np.int64)
    scale = np.clip(out[..., shaped : shaped + dim], 0, SCALES - 1).astype(np.int64)
    return Groups(mean, out[..., 0].astype(np.int64), np.clip(query, -QUERY, QUERY), scale)


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


def _tables(freqs: Ints) -> Ints:
    if (freqs < 1).any() or (freqs.astype(np.int64).sum(axis=1) != 1 << PRECISION).any():
        raise ModelError(f"the model's tables do not add up to {1 << PRECISION}")
    return freqs
