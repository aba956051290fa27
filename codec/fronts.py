"""Wavefronts of pictures side by side: the order in which pictures that are alike are coded.

    0 1 2 3 4 5
    2 3 4 5 6 7        t = x + SLOPE y
    4 5 6 7 8 9

Pixels with one t, in all pictures, are coded at once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["PLACES", "REACH", "SLOPE", "Front", "every", "fronts", "together"]

SLOPE = 2  # columns that a row is ahead of the one below it
REACH = 8  # pixels around a plane that a view may reach into
PLACES = 32  # rows and columns are told apart as far as this
KEPT = 1 << 14  # pixels: the wavefronts of so small a stack are kept for the next one of that shape


class Front(NamedTuple):
    """Pixels that are coded at once, n of them: picture by picture, from the top row down.

    Attributes
    ----------
    pixels, framed : (n,) their numbers in a stack of planes, and in one with margins
    rows, columns : (n,) where they are in their pictures, in 0 .. PLACES - 1
    """

    pixels: NDArray[np.intp]
    framed: NDArray[np.intp]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]


def fronts(pictures: int, height: int, width: int) -> Iterable[Front]:
    """The wavefronts of a stack of pictures, one for each t = 0 .. width - 1 + SLOPE (height - 1)."""
    stack = pictures, height, width
    return _kept(*stack) if math.prod(stack) <= KEPT else _made(*stack)


def every(pictures: int, height: int, width: int) -> Front:
    """All pixels of a stack of pictures, in raster order."""
    axes = np.arange(pictures)[:, None, None], np.arange(height)[:, None], np.arange(width)
    return _front(*axes, height, width)


def together(each: Iterable[Front], pixels: int) -> Iterator[tuple[Front, list[int]]]:
    """Fronts as one, as many as have about so many pixels, and where each of them ends in it."""
    some, ends = list[Front](), list[int]()
    for front in each:
        some.append(front)
        ends.append((ends[-1] if ends else 0) + len(front.pixels))
        if ends[-1] >= pixels:
            yield _joined(some), ends
            some, ends = [], []
    if some:
        yield _joined(some), ends


def _joined(some: Sequence[Front]) -> Front:
    return some[0] if len(some) == 1 else Front(*(np.concatenate(parts) for parts in zip(*some, strict=True)))


@functools.lru_cache(maxsize=4)
def _kept(pictures: int, height: int, width: int) -> list[Front]:
    return list(_made(pictures, height, width))


def _made(pictures: int, height: int, width: int) -> Iterator[Front]:
    each = np.arange(pictures)[:, None]
    for t in range(width + SLOPE * (height - 1)):
        rows = np.arange(max(0, -((width - 1 - t) // SLOPE)), min(height - 1, t // SLOPE) + 1)
        yield _front(each, rows, t - SLOPE * rows, height, width)


def _front(picture: Any, y: Any, x: Any, height: int, width: int) -> Front:
    picture, y, x = (part.ravel() for part in np.broadcast_arrays(picture, y, x))
    framed = (picture * (height + 2 * REACH) + y + REACH) * (width + 2 * REACH) + x + REACH
    return Front((picture * height + y) * width + x, framed, y * PLACES // height, x * PLACES // width)
