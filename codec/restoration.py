"""The non-linear branch of the synthesis: what quantisation does to a picture, and a linear transform cannot undo.

    x_hat = x + step / 4 * shuffle(head(blocks(stem(u)))),      u = (x - mean of its 8x8 cell) / step

A residual network on cells of 8x8 pixels (1/8 resolution), zero at the start of training, on top of the linear decoder, conditioned
on the quantiser's step. It is part of the exact integer decoder, so checksums of pixels hold with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import intnet
from codec.errors import ModelError
from codec.intnet import Conv, Unit
from codec.transform import BLOCK, FRACTION

Ints = NDArray[np.integer[Any]]
F64 = NDArray[np.float64]

CELL = 8
CHANNELS = 3 * CELL * CELL
ACTIVATION, HIDDEN = 127, 255  # clips, in 32nds
HEAD_BITS = 10  # the head's outputs are in step / 2^HEAD_BITS
HEAD = (1 << HEAD_BITS) * 8  # their clip
RECIPROCAL_BITS = 20


class Restoration:
    """The network of a model; `halo` is how many 16x16 blocks around a block it looks at."""

    def __init__(self, tensors: dict[str, Ints], steps: int) -> None:
        self.blocks = sum(name.startswith("restore.block.") and name.endswith(".hidden.bias") for name in tensors)
        missing = {"restore.condition", "restore.stem.bias", "restore.head.bias"} - set(tensors)
        if missing:
            raise ModelError(f"the model has no tensor {sorted(missing)[0]}")
        width = len(tensors["restore.stem.bias"])
        self.condition = tensors["restore.condition"].astype(np.int64)
        if self.condition.shape != (steps, (self.blocks + 1) * width):
            raise ModelError(f"the model's restore.condition has shape {self.condition.shape}")
        extra = int(np.abs(self.condition).max())

        def unit(name: str, low: int, high: int, lo: int, hi: int, extra: int = 0) -> Unit:
            try:
                weight, bias, shift = (tensors[f"restore.{name}.{part}"] for part in ("weight.0", "bias", "shift"))
            except KeyError as missing_tensor:
                raise ModelError(f"the model has no tensor {missing_tensor}") from None
            return Unit(name, (Conv(weight, low, high),), bias, shift, lo, hi, extra << min(int(shift.max()), 40))

        a, h = ACTIVATION, HIDDEN
        self.stem = unit("stem", -a, a, -a, a, extra)
        self.body = tuple(
            (unit(f"block.{i}.hidden", -a, a, 0, h, extra), unit(f"block.{i}.out", 0, h, -a, a, a)) for i in range(self.blocks)
        )
        self.head = unit("head", -a, a, -HEAD, HEAD)
        reach = sum((u.convs[0].weight.shape[1] // 2) for u in (self.stem, self.head, *(u for pair in self.body for u in pair)))
        self.halo = -(-reach * CELL // BLOCK)

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
        cells = x.reshape(h, CELL, w, CELL, 3).transpose(0, 2, 4, 1, 3).reshape(h, w, 3, CELL * CELL)
        mean = np.floor(cells.sum(axis=3, keepdims=True) / (CELL * CELL) + 0.5)
        factor = ((16 << RECIPROCAL_BITS) // step) * 2.0**-RECIPROCAL_BITS  # exact: few bits times few bits
        u = np.clip(np.floor((cells - mean) * factor + 0.5), -ACTIVATION, ACTIVATION).reshape(h, w, CHANNELS)
        condition = self.condition[step_index].reshape(self.blocks + 1, -1)
        state = intnet.run(self.stem, u.astype(np.float32), extra=_shifted(condition[0], self.stem))
        for (hidden, out), vector in zip(self.body, condition[1:], strict=True):
            sums = intnet.accumulate(out, intnet.run(hidden, state, extra=_shifted(vector, hidden)))
            state = intnet.requantise(out, sums, state * np.ldexp(1.0, out.shift.astype(np.int32)))
        change = intnet.run(self.head, state).astype(np.float64).reshape(h, w, 3, CELL, CELL).transpose(0, 3, 1, 4, 2)
        scale = step * 2.0 ** (FRACTION - 6 - HEAD_BITS)  # step is in 1/16, the head in quarters of it
        return np.asarray(x + np.floor(change.reshape(x.shape) * scale + 0.5))


def _shifted(vector: Ints, unit: Unit) -> Ints:
    return vector.astype(np.int64) << unit.shift.astype(np.int64)
