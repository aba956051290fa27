"""Interlaced levels of a picture, and what a pixel can see of those that are known already.

    level l: every 2^l-th row and column of a tile. Its even rows and columns are level l + 1; the other three quarters
    are its phases, each coded in parallel, plane after plane:

        known    o . o .     diagonal   o . o .     row   o 2 o 2     column   o 2 o 2
                 . . . .                . 1 . 1           . 1 . 1              3 1 3 1

A pixel sees the nearest known pixels of its own plane, and all pixels around it of the planes before. What it sees is
taken relative to the mean of its four nearest, and in units of the mean distance from it: so a network that was trained
on one contrast, level or bit depth knows them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.intnet import Carrier

__all__ = [
    "AROUND",
    "MARGIN",
    "PHASES",
    "UNIT",
    "Offset",
    "Phase",
    "View",
    "columns",
    "logarithm",
    "nearest",
    "view",
]

MARGIN = 4  # pixels around a plane that a view may reach into
UNIT = 16  # a feature of 16 is one mean distance
QUARTERS = 4  # planes are held in quarters, so that the mean of four is an integer
CLIP = 12 * UNIT  # features stay within
FLOOR = 45  # added to the summed distance: 0.7 grey levels on average
NEAR = 16  # pixels whose distances are summed
AROUND = 13  # pixels seen of each plane before, the one at the same place first
OCTAVE = 16  # steps of a logarithm
LOG_ZERO = 8 * OCTAVE  # of a feature: a sum of 256, which is a mean distance of 4 grey levels
LEVELS = 2  # finest levels with an indicator of their own

Offset = tuple[int, int]


class Phase(NamedTuple):
    """A quarter of a level: where it begins, and the offsets of the pixels it sees, the nearest first."""

    top: int
    left: int
    near: tuple[Offset, ...]

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the phase in a level of height x width."""
        return (height - self.top + 1) // 2, (width - self.left + 1) // 2


def nearest(count: int, known: Callable[[int, int], bool], farthest: int = MARGIN) -> tuple[Offset, ...]:
    """Offsets of the pixels nearest to one, of those that are `known`: `count` of them, or all there are."""
    reach = range(-farthest, farthest + 1)
    offsets = sorted((y * y + x * x, y, x) for y in reach for x in reach if known(y, x))
    return tuple((y, x) for _, y, x in offsets[:count])


_KNOWN: tuple[Callable[[int, int], bool], ...] = (
    lambda y, x: y % 2 == 1 and x % 2 == 1,
    lambda y, x: (y + x) % 2 == 1,
    lambda y, x: y % 2 == 1 or x % 2 == 1,
)
PHASES = (
    Phase(1, 1, nearest(16, _KNOWN[0])),
    Phase(0, 1, nearest(24, _KNOWN[1])),
    Phase(1, 0, nearest(28, _KNOWN[2])),
)
_ALL_AROUND = nearest(AROUND, lambda y, x: True)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What n pixels of a phase see.

    Attributes
    ----------
    z : (n, K) integers in [-CLIP, CLIP], in the carrier's dtype: inputs of the network
    base : (n,) integers, mean of the four nearest in quarters of a grey level
    spread : (n,) integers >= FLOOR, mean distance from it in 1/64 grey levels
    log : (n,) integers, logarithm of the spread in 1/OCTAVE octaves
    """

    z: Carrier
    base: Carrier
    spread: Carrier
    log: NDArray[np.int32]


def columns(plane: int, phase: int) -> int:
    """K: how many features a pixel of a phase has in a plane."""
    return len(PHASES[phase].near) + AROUND * plane + 2 + plane + LEVELS


def view(known: Sequence[Carrier], phase: int, level: int, depth: int, rows: slice) -> View:
    """What the pixels of some rows of a phase see.

    Parameters
    ----------
    known : planes of the level with a margin, (..., h + 2 MARGIN, w + 2 MARGIN) integers in quarters of a grey level;
        the last one is the plane to code, those before it are known completely
    phase : index into PHASES
    level : 0 is the finest
    depth : bits of a sample, 1 .. 16
    rows : rows of the phase, with start and stop

    Returns
    -------
    View
        Of n pixels in raster order (with leading axes, one raster after another).

    Notes
    -----
    Exact in float32 up to 8 bits and in float64 up to 16: all numbers are integers below 2^24 (2^53), and a quotient of
    such integers does not round up to the next integer.
    """
    here, last = PHASES[phase], len(known) - 1
    width = (known[-1].shape[-1] - 2 * MARGIN - here.left + 1) // 2
    count = rows.stop - rows.start

    def seen(plane: Carrier, offset: Offset) -> Carrier:
        top, left = MARGIN + here.top + offset[0] + 2 * rows.start, MARGIN + here.left + offset[1]
        return plane[..., top : top + 2 * count : 2, left : left + 2 * width : 2]

    first = seen(known[-1], (0, 0))
    z = np.empty((columns(last, phase), *first.shape), known[-1].dtype)
    near = len(here.near)
    for row, offset in zip(z, here.near, strict=False):
        row[...] = seen(known[-1], offset)
    base = z[:4].sum(axis=0) / 4
    z[:near] -= base
    spread = np.abs(z[:NEAR]).sum(axis=0) + FLOOR
    log = logarithm(spread)
    zero = LOG_ZERO + OCTAVE * (depth - 8)
    extra = near + AROUND * last
    for number, plane in enumerate(known[:-1]):
        part = z[near + AROUND * number : near + AROUND * (number + 1)]
        for row, offset in zip(part, _ALL_AROUND, strict=True):
            row[...] = seen(plane, offset)
        part -= sum(seen(plane, offset) for offset in here.near[:4]) / 4
        z[extra + 2 + number] = logarithm(np.abs(part).sum(axis=0) + FLOOR) - zero
    z[:extra] *= 16 * UNIT
    z[:extra] /= spread
    np.floor(z[:extra], out=z[:extra])
    z[extra] = log - zero
    middle = QUARTERS << (depth - 1) if last == 0 else 0
    np.floor((base - middle) * 2.0 ** (4 - depth), out=z[extra + 1])
    for number in range(LEVELS):
        z[extra + 2 + last + number] = UNIT if level == number else 0
    np.clip(z, -CLIP, CLIP, out=z)
    return View(z.reshape(len(z), -1).T, base.ravel(), spread.ravel(), log.ravel())


def logarithm(x: Carrier) -> NDArray[np.int32]:
    """16 log2 of numbers >= 1, linear between powers of two: exponent and first digits of a float32, as an integer."""
    bits: NDArray[Any] = x.astype(np.float32).view(np.int32)
    return (bits >> 19) - (127 << 4)
