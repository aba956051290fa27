"""What the decoder knows of an inter frame before anything of it is sent, and the state that its networks begin with.

    energies of the prediction, energies of what was coded in the frame before, live blocks -> two layers -> state
    coefficients of the prediction -> hidden layer of each slice, block by block

Where the prediction has an edge it can be wrong by an edge; where much was coded a moment ago, more will be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from codec import intnet
from codec.codebook import SLICES
from codec.features import ENERGIES, energies, feature_count, features_of
from codec.intnet import Carrier, Unit
from codec.layers import Input, Layers, chained
from codec.symbols import I64, Live

__all__ = ["Context", "Hints"]

LIVE = 127  # how a live block is marked


@dataclass(frozen=True, slots=True, eq=False)
class Hints:
    """What both sides know of a frame.

    Attributes
    ----------
    known : (h * w, 768) int64, coefficients of the prediction in 1/16 steps, in the model's order
    before : the same of what was coded of the frame before, 0 where nothing was
    """

    known: I64
    before: I64

    def of(self, number: int, at: I64) -> Carrier:
        """Features (n, F) of a slice 1..6 of the prediction at some blocks."""
        part = SLICES[number]
        return features_of(number, self.known[at, part.start : part.stop])


class Context:
    """The networks; ModelError if their tensors do not fit. Parameters as of `hyper.Hyper`."""

    def __init__(self, layers: Layers, state: Input, hidden: int, extra: int) -> None:
        seen = Input(2 * ENERGIES + 1, 0, LIVE, kernel=3)
        self.layers = chained(
            layers.unit("context.0", (seen,), state.channels, 0, hidden),
            layers.unit("context.1", (Input(state.channels, 0, hidden),), state.channels, state.low, state.high, extra),
        )

    def units(self) -> Iterator[Unit]:
        yield from self.layers

    def start(self, hints: Hints, shape: tuple[int, int], live: Live, condition: I64) -> Carrier:
        """The first state (h, w, C), with the quality's condition (C,)."""
        seen = np.concatenate([energies(hints.known), energies(hints.before), LIVE * live[:, None]], axis=1)
        first, second = self.layers
        hidden = intnet.run(first, seen.astype(np.float32).reshape(*shape, -1))
        return intnet.run(second, hidden, extra=condition << second.shift.astype(np.int64))


def hint_of(number: int, low: int, high: int) -> Input:
    """What a slice's hidden layer is given of the prediction."""
    return Input(feature_count(number), low, high)
