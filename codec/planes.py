"""Reversible colour: red, green, blue <-> luma and two differences, in integers.

    co = r - b,  t = b + floor(co / 2),  cg = g - t,  y = t + floor(cg / 2)

YCoCg-R (Malvar and Sullivan 2003). y has the range of the samples; co and cg have one bit more, and a sign.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["original", "reversible"]

I32 = NDArray[np.int32]


def reversible(x: NDArray[Any]) -> tuple[I32, I32, I32]:
    """(..., 3) unsigned integers -> y, co, cg, each (...)."""
    r, g, b = (x[..., channel].astype(np.int32) for channel in range(3))
    co = r - b
    t = b + (co >> 1)
    cg = g - t
    return t + (cg >> 1), co, cg


def original(y: NDArray[Any], co: NDArray[Any], cg: NDArray[Any]) -> I32:
    """The inverse of `reversible`: (..., 3) int32."""
    t = y - (cg >> 1)
    b = t - (co >> 1)
    return np.stack([b + co, cg + t, b], axis=-1)
