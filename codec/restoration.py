"""The non-linear branch of the synthesis: what quantisation does to a picture, and a linear transform cannot undo.

    x_hat = x + step / 4 * shuffle(head(blocks(stem(u)))),      u = (x - mean of its 8x8 cell) / step

A residual network on cells of 8x8 pixels (1/8 resolution), zero at the start of training, on top of the linear decoder,
conditioned on the quantiser's step. It is part of the exact integer decoder, so checksums of pixels hold with it.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import intnet
from codec.intnet import Unit
from codec.layers import Input, Layers, chained
from codec.transform import BLOCK, FRACTION

Ints = NDArray[np.integer[Any]]
F64 = NDArray[np.float64]

CELL = 8
CHANNELS = 3 * CELL * CELL
ACTIVATION, HIDDEN = 127, 255  # clips, in 32nds
HEAD_BITS = 10  # the head's outputs are in step / 2^HEAD_BITS
HEAD = (1 << HEAD_BITS) * 8  # their clip
RECIPROCAL_BITS = 20
MOST_BLOCKS = 16


class Restoration:
    """The network of a model; `halo` is how many 16x16 blocks around a block it looks at.

    Raises
    ------
    ModelError
        Tensors that do not fit together, or sums that could be inexact.
    """

    def __init__(self, layers: Layers, steps: int) -> None:
        width = layers.size("restore.stem.bias")
        names = (f"restore.block.{i}.out.bias" for i in range(MOST_BLOCKS))
        self.blocks = sum(1 for _ in takewhile(layers.has, names))
        self.condition = layers.tensor("restore.condition", steps, (self.blocks + 1) * width).astype(np.int64)
        extra = int(np.abs(self.condition).max())
        seen = Input(CHANNELS, -ACTIVATION, ACTIVATION, kernel=3)
        state, hidden = Input(width, -ACTIVATION, ACTIVATION), Input(width, 0, HIDDEN)
        self.stem = layers.unit("restore.stem", (seen,), width, -ACTIVATION, ACTIVATION, extra)
        self.body = tuple(
            chained(
                layers.unit(f"restore.block.{i}.hidden", (state._replace(kernel=3),), width, 0, HIDDEN, extra),
                layers.unit(f"restore.block.{i}.out", (hidden,), width, -ACTIVATION, ACTIVATION, ACTIVATION),
            )
            for i in range(self.blocks)
        )
        self.head = layers.unit("restore.head", (state,), CHANNELS, -HEAD, HEAD)
        chained(self.stem, *(unit for pair in self.body for unit in pair), self.head)
        self.halo = -(-(1 + self.blocks) * CELL // BLOCK)  # a cell for each kernel of 3

    def units(self) -> list[Unit]:
        """All integer layers, in a fixed order."""
        return [self.stem, *(unit for pair in self.body for unit in pair), self.head]

    def __call__(self, x: F64, step_index: int, step: int) -> F64:
        """Restore a picture.

        Parameters
        ----------
        x : (16 h, 16 w, 3) integers in 2^-FRACTION grey levels
        step_index, step : quality and its step in 1/16 grey levels

        Returns
        -------
        the same shape and unit
        """
        h, w = x.shape[0] // CELL, x.shape[1] // CELL
        cells = np.ascontiguousarray(_cells(x)).reshape(h, w, 3, CELL * CELL)
        factor = ((16 << RECIPROCAL_BITS) // step) * 2.0**-RECIPROCAL_BITS  # exact: few bits times few bits
        u = np.empty((h, w, CHANNELS), np.float32)
        for row, out in zip(cells, u, strict=True):
            row -= np.floor(row.sum(axis=2, keepdims=True) / (CELL * CELL) + 0.5)
            row *= factor
            row += 0.5
            np.clip(np.floor(row, out=row), -ACTIVATION, ACTIVATION, out=row)
            out[:] = row.reshape(out.shape)
        condition = self.condition[step_index].reshape(self.blocks + 1, -1)
        state = intnet.run(self.stem, u, extra=_shifted(condition[0], self.stem))
        for (hidden, out), vector in zip(self.body, condition[1:], strict=True):
            sums = intnet.accumulate(out, intnet.run(hidden, state, extra=_shifted(vector, hidden)))
            state = intnet.requantise(out, sums, state * np.ldexp(out.dtype.type(1), out.shift.astype(np.int32)))
        change = intnet.run(self.head, state).astype(np.float64).reshape(h, w, 3, CELL, CELL)
        change *= step * 2.0 ** (FRACTION - 6 - HEAD_BITS)  # step is in 1/16, the head in quarters of it
        change += 0.5
        restored = x.copy(order="K")
        cells = _cells(restored)
        cells += np.floor(change, out=change)
        return restored


def _cells(x: F64) -> F64:
    """View of a picture: (8 h, 8 w, 3) -> (h, w, 3, 8, 8)."""
    return x.reshape(len(x) // CELL, CELL, -1, CELL, 3).transpose(0, 2, 4, 1, 3)


def _shifted(vector: Ints, unit: Unit) -> Ints:
    return vector.astype(np.int64) << unit.shift.astype(np.int64)
