"""A clip: frames that are made when they are asked for, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFAULT_RATE", "Clip", "Frame", "rate_of"]

Frame = NDArray[np.uint8]  # (H, W) or (H, W, 3)

DEFAULT_RATE = Fraction(25)  # frames a second, where a source does not tell
# Of rates that are worked out from times. It holds those of television, 24000/1001, 30000/1001 and 60000/1001.
LARGEST_DENOMINATOR = 1001


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames of one size, and how fast they follow each other. Iterating reads them, each time from the start.

    Attributes
    ----------
    width, height : pixels
    channels : 1 (grey) or 3 (red, green, blue)
    rate : frames a second
    frames : how many there are, as the source tells before they are read; None if it does not
    source : begins to read, and gives frames of `shape`, uint8, which belong to the caller
    notices : what reading changes or leaves out
    """

    width: int
    height: int
    channels: int
    rate: Fraction
    frames: int | None
    source: Callable[[], Iterator[Frame]] = field(repr=False, compare=False)
    notices: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Frame]:
        return self.source()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a frame: (height, width), or (height, width, 3)."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, 3)


def rate_of(frames: int, seconds: Fraction | float) -> Fraction:
    """The simplest rate near `frames` in `seconds`, both positive."""
    rate = frames / Fraction(seconds)
    return (
        rate.limit_denominator(LARGEST_DENOMINATOR)
        if rate >= 1
        else 1 / (1 / rate).limit_denominator(LARGEST_DENOMINATOR)
    )
