"""A decoder that knows what each symbol cost: -log2 of the probability that it was coded under."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.entropy import PRECISION, TOTAL, Decoder

__all__ = ["CELL", "Meter", "cell_sums"]

CELL = 16  # pixels of a side of the cells that bits are added up in; a block of the photo codec

F64 = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]


class Meter:
    """Stands for `entropy.Decoder`.

    Attributes
    ----------
    costs : (n,) bits of each symbol that was taken last
    bits : of all symbols so far
    """

    def __init__(self, data: bytes) -> None:
        self._decoder = Decoder(data)
        self.costs: F64 = np.zeros(0)
        self.bits = 0.0

    def decode(self, freqs: Ints, n: int | None = None) -> NDArray[np.int32]:
        """As `Decoder.decode`."""
        symbols = self._decoder.decode(freqs, n)
        taken = freqs[symbols] if freqs.ndim == 1 else np.take_along_axis(freqs, symbols[:, None], axis=1)[:, 0]
        self._add(taken)
        return symbols

    def decode_bits(self, ones: Ints) -> NDArray[np.int32]:
        """As `Decoder.decode_bits`."""
        decisions = self._decoder.decode_bits(ones)
        self._add(np.where(decisions, ones, TOTAL - ones))
        return decisions

    def _add(self, taken: Ints) -> None:
        self.costs = PRECISION - np.log2(taken)
        self.bits += float(self.costs.sum())


def cell_sums(cells: Ints, costs: F64, shape: tuple[int, int]) -> F64:
    """Costs (n,) added up by the numbers (n,) of their cells, counted row by row: (rows, columns)."""
    return np.bincount(cells, weights=costs, minlength=shape[0] * shape[1]).reshape(shape)
