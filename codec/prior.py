"""The learned prior: what has been decoded -> integer tables for what comes next.

    hyper-latent z (1/64) -> state (1/16) -> slice 0, interlaced in five passes
                               ^    |
                               |    v                               for each further slice, coarse to fine:
                               +-- update <- codes of the slice before    even squares of a checkerboard, then odd ones

Everything is integers (intnet.py). A map in 32nds holds floor(32 v + 1/2); the state is kept in [-127, 127], hidden
layers in [0, 255]. What a slice's head says of numbers and groups becomes tables in symbols.py.

`walk` is the whole schedule, and both sides walk it. They differ in `choose` (the encoder retrieves codewords, the
decoder has none to choose) and in `code` (encode the symbols, or decode them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from codec import intnet
from codec.codebook import SLICES, UNIT
from codec.context import Context, Hints, hint_of
from codec.features import energy, feature_count, features_of, features_of_dc, neighbours, rounded_mean, signed
from codec.hyper import Hyper
from codec.intnet import Carrier, Unit
from codec.layers import Input, Layers, chained
from codec.symbols import FREE, I64, QUERY, SCALES, Code, Groups, Live, Scalars, Symbols

Shape = tuple[int, int]  # blocks

STEPS = 64  # qualities
STEP_UNIT = 16  # the quantiser's step is an integer number of 1/16 grey levels
STATE, HIDDEN = 127, 255  # clips of the state and of hidden layers, in 32nds
FEATURE = 127  # largest feature
FINE = 8191  # clip of coefficients that enter linear prediction, in 1/16 steps
OUTPUTS = {1: 2, 2: 13, 4: 17, 8: 21}  # of a slice's head for one group; `_parameters` says what they are
LINEAR = (1, 2, 3)  # slices with a linear prediction

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
        inter = layers.has("context.1.bias")
        width = layers.size("context.1.bias") if inter else layers.size("h_s.1.bias", 4)
        first, wide = layers.size("dc.0.hidden.bias"), layers.size("slices.1.hidden.bias")
        self.width, size, count = width, SLICES[0].size, range(1, len(SLICES))
        self.condition = layers.tensor("condition", STEPS, width + len(SLICES) * wide).astype(np.int64)
        self.symbols = Symbols(layers)
        extra = int(np.abs(self.condition).max())
        state = Input(width, -STATE, STATE)
        self.hyper = None if inter else Hyper(layers, state, HIDDEN, extra)
        self.context = Context(layers, state, HIDDEN, extra) if inter else None
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
        hints = [(hint_of(i, -FEATURE, FEATURE),) if inter else () for i in range(len(SLICES))]
        heads = [part.groups * OUTPUTS[part.dim] for part in SLICES]
        self.slices = tuple(
            chained(
                layers.unit(f"slices.{i}.hidden", (state, seen[i], *hints[i]), wide, 0, HIDDEN, extra),
                layers.unit(f"slices.{i}.head", (Input(wide, 0, HIDDEN),), heads[i], -FINE, FINE),
            )
            for i in count
        )
        near = {i: [Input(n, -FINE, FINE, 3) for n in (SLICES[min(i, 2)].start, SLICES[i].size)] for i in LINEAR}
        self.linear = {
            i: layers.unit(f"slices.{i}.linear", tuple(near[i]), SLICES[i].size, -FINE, FINE) for i in LINEAR
        }

    def units(self) -> Iterator[Unit]:
        """All integer layers, in a fixed order."""
        for begin in (self.hyper, self.context):
            if begin is not None:
                yield from begin.units()
        for stage in (*self.dc, *self.updates, *self.slices):
            yield from stage
        yield from self.linear.values()
        yield from self.symbols.levels.values()

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
        hints: Hints | None = None,
    ) -> I64:
        """Code all coefficients of a tile.

        Parameters
        ----------
        hyper : (ceil(h/4) * ceil(w/4), 2) hyper-latent codes, or None when decoding
        shape : (h, w) blocks
        step_index, step : quality in [0, 64) and its step in 1/16 grey levels
        live : (h * w,) the blocks that are coded; those of the others are 0. None for all blocks
        hints : what is known of an inter frame; for a prior of inter frames, which has no hyper-latent

        Returns
        -------
        (h * w, 768) int64, decoded coefficients in 1/16 steps, in the model's order
        """
        h, w = shape
        values = np.zeros((h * w, SLICES[-1].stop), np.int64)
        condition = self.condition[step_index]
        live = np.ones(h * w, np.bool_) if live is None else live
        if self.hyper is not None:
            state = self.hyper.start(self.hyper.code(hyper, shape, live, code), shape, condition[: self.width])
        elif self.context is not None and hints is not None:
            state = self.context.start(hints, shape, live, condition[: self.width])
        else:
            raise ValueError("a prior of inter frames wants hints")
        self._interlaced(values, state, shape, live, choose, code)
        features = features_of_dc(values[:, : SLICES[0].stop], shape, step)
        hidden_conditions = condition[self.width :].reshape(len(SLICES), -1)
        for i, part in enumerate(SLICES[1:], 1):
            state = self._update(i, state, features)
            self._checkerboard(i, values, state, shape, live, hidden_conditions[i], choose, code, hints)
            if i + 1 < len(SLICES):
                features = features_of(i, values[:, part.start : part.stop]).reshape(h, w, -1)
        return values

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
            picked = self.symbols.scalars(parameters, choose(Pass(at, 0, size, parameters)), code)
            values[at, :size] = parameters.mean + picked * UNIT

    def _checkerboard(
        self,
        i: int,
        values: I64,
        state: Carrier,
        shape: Shape,
        live: Live,
        condition: I64,
        choose: Choose,
        code: Code,
        hints: Hints | None,
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
            if hints is not None:
                sums = sums + intnet.convolve(hidden, 2, hints.of(i, at))
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
                codes = self.symbols.scalars(parameters, picked, code)
                values[at, part.start : part.stop] = parameters.mean + codes * UNIT
            else:
                codes = self.symbols.groups(parameters, picked, code)
                values[at, part.start : part.stop] = (parameters.mean + codes * UNIT).reshape(len(at), -1)

    def _update(self, i: int, state: Carrier, features: Carrier) -> Carrier:
        hidden, out = self.updates[i - 1]
        sums = intnet.accumulate(out, intnet.run(hidden, state, features))
        return intnet.requantise(out, sums, state * np.ldexp(out.dtype.type(1), out.shift.astype(np.int32)))


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
