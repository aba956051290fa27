"""codec/patterns.py: pixels under contexts that learn."""

from __future__ import annotations

import numpy as np
import pytest

from codec import patterns
from codec.entropy import Decoder, bits
from codec.errors import CorruptStream
from codec.medians import Residuals
from codec.patterns import code_pixels


class Cost:
    """A coder that counts the bits it would write."""

    def __init__(self) -> None:
        self.bits = 0.0

    def code(self, freqs, symbols):
        self.bits += bits(np.asarray(symbols, np.int64), freqs)
        return symbols


class Zeros:
    """The decoder of a message without bytes."""

    def __init__(self) -> None:
        self._decoder = Decoder(b"")

    def code(self, freqs, symbols):
        return self._decoder.decode(freqs)


def cost(x: np.ndarray, palette: np.ndarray) -> float:
    coder = Cost()
    code_pixels(coder, Residuals(coder, 1, 8), palette, (1, *x.shape), x.reshape(1, -1))
    return coder.bits


def test_a_second_copy_costs_a_fraction_of_the_first():
    glyphs = np.random.default_rng(1).integers(0, 4, (12, 60))
    page = np.zeros((40, 60), np.int64)
    page[2:14] = glyphs
    once = cost(page, np.arange(4))
    page[22:34] = glyphs
    assert cost(page, np.arange(4)) < 1.5 * once


def test_a_flat_area_costs_next_to_nothing():
    assert cost(np.full((60, 200), 7), np.array([7])) < 120


def test_more_palette_indices_than_there_is_time_for_are_refused(monkeypatch):
    monkeypatch.setattr(patterns, "INDEX_BUDGET", -(1 << 20))
    x = np.arange(64).reshape(1, -1)
    coder = Cost()
    with pytest.raises(CorruptStream, match="more palette indices"):
        code_pixels(coder, Residuals(coder, 1, 8), np.arange(64), (1, 8, 8), x)


def test_decoding_needs_no_pixels():
    coder = Zeros()
    assert code_pixels(coder, Residuals(coder, 1, 8), np.arange(3), (2, 5, 7), None).shape == (2, 35)
