"""Where the bits of a tile of an exact picture go: levels, planes, phases, and cells of the picture.

The tile is decoded with a coder that looks up what each decision cost. Which pixels a decision is about the walk does
not tell its coder: `_Walk` reads it from the variables of the functions that called it, as a debugger would, which
keeps this instrument out of the decoder, and the decoder's mathematics out of this file.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import residual
from codec.lattice import PHASES
from codec.residual import Group, Residual
from tools.meter import CELL, Meter, cell_sums

__all__ = ["RAW", "TileBits", "tile_bits"]

RAW = -1  # in place of a phase: the coarsest level, which is sent as it is

F64 = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]


@dataclass(slots=True)
class TileBits:
    """What the decisions of a tile cost.

    Attributes
    ----------
    maps : by level, (rows, columns) bits of each cell of 16 x 16 pixels; a pixel counts where it stands
    parts : by level, plane (of all groups) and phase (or RAW), bits
    bits : of all decisions
    """

    maps: dict[int, F64] = field(default_factory=dict)
    parts: dict[tuple[int, int, int], float] = field(default_factory=lambda: defaultdict(float))
    bits: float = 0.0


def tile_bits(built: Residual, groups: Sequence[Group], shape: tuple[int, int], data: bytes) -> TileBits:
    """Follow the decoding of a tile of (height, width) pixels, whose data `residual.decode_planes` takes."""
    walk = _Walk(data, shape)
    residual._walk(built, groups, shape, walk.code, None)
    walk.found.bits = walk.meter.bits
    return walk.found


class _Walk:
    """The decoder's side of `residual._walk`, keeping books."""

    def __init__(self, data: bytes, shape: tuple[int, int]) -> None:
        self.meter, self.found = Meter(data), TileBits()
        self.cells = tuple(-(-side // CELL) for side in shape)

    def code(self, ones: Any, _: Any) -> NDArray[np.int32]:
        """What the walk calls for decisions."""
        decisions = self.meter.decode_bits(ones)
        level, plane, phase, y, x = _place(len(ones))
        costs = self.meter.costs
        self.found.parts[level, plane, phase] += float(costs.sum())
        rows, columns = self.cells
        cells = ((y << level) // CELL) * columns + (x << level) // CELL
        self.found.maps[level] = self.found.maps.get(level, 0.0) + cell_sums(cells, costs, (rows, columns))
        return decisions


def _place(count: int) -> tuple[int, int, int, Ints, Ints]:
    """What the coder is called for: level, plane, phase or RAW, and rows and columns (n,) of the level's pixels."""
    frame = sys._getframe(2)
    callers: dict[str, dict[str, Any]] = {}
    while frame.f_back and "_walk" not in callers:
        callers[frame.f_code.co_name] = frame.f_locals
        frame = frame.f_back
    walk = callers.get("_walk", {})
    try:
        if "_code_phase" in callers:
            at, strip = callers["code_samples"]["index"], callers["_code_phase"]
            level, plane, phase = strip["level"], walk["number"], strip["phase"]
            y, x = np.divmod(at, strip["part"].shape[-1])
            y, x = 2 * (y + strip["rows"].start) + PHASES[phase].top, 2 * x + PHASES[phase].left
        else:  # whether a plane is constant, and then its coarsest level
            coarse = callers.get("plain", {"shape": (1, 1)})["shape"]
            level, phase, plane = walk["levels"], RAW, len(walk["constant"]) - ("plain" in callers)
            y, x = np.divmod(np.arange(count), coarse[-1])
    except KeyError as error:
        raise RuntimeError(f"the walk of codec/residual.py has changed: no variable {error}") from error
    if len(y) != count:
        raise RuntimeError(f"{count} decisions where {len(y)} are expected: the walk of codec/residual.py has changed")
    return level, plane, phase, y, x
