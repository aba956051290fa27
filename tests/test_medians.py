"""codec/medians.py: colours as steps from a prediction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.entropy import TOTAL, Decoder, Encoder
from codec.medians import OUTSIDE, Residuals, tables


class Both:
    """Writes a message, then reads it."""

    def __init__(self, encoder, decoder=None) -> None:
        self._encoder, self._decoder = encoder, decoder

    def code(self, freqs, symbols):
        if self._decoder is not None:
            assert symbols is None
            return self._decoder.decode(freqs)
        self._encoder.encode(symbols, freqs)
        return symbols


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 15), st.booleans(), st.integers(0, 999))
def test_any_colours_come_back(channels, depth, means, seed):
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 1 << channels * depth, 70)
    near = rng.integers(0, 1 << channels * depth, (7, 70))
    near[rng.random(near.shape) < 0.2] = OUTSIDE
    palette = np.unique(colours)
    encoder = Encoder()
    writer = Residuals(Both(encoder), channels, depth, means)
    writer.code_palette(len(palette), palette)
    writer.code_colours(near, colours)
    reader = Residuals(Both(None, Decoder(encoder.getvalue())), channels, depth, means)
    assert np.array_equal(reader.code_palette(len(palette), None), palette)
    assert np.array_equal(reader.code_colours(near, None), colours)


@pytest.mark.parametrize("weights", [[[0, 1, 0]], [[5, 5, 0], [1, 2, 3]], [[2**36, 1, 0]]])
def test_tables_are_tables(weights):
    freqs = tables(np.array(weights))
    assert (freqs >= 1).all()
    assert (freqs.sum(axis=1) == TOTAL).all()
