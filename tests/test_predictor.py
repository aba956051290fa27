"""The hypernetwork sees the past only, and taps stand for displacements."""

from __future__ import annotations

import numpy as np
import pytest

from codec import predictor
from codec.entropy import TOTAL
from codec.predictor import ESCAPE, FEATURES, MEMORY, MOST, TAPS, UNIT
from codec.tracks import FAR
from tests.checks import sprites_model_frozen


def test_every_tap_stands_for_a_displacement():
    moves = predictor.displacements(np.arange(TAPS))
    assert len({tuple(move) for move in moves.tolist()}) == TAPS
    assert np.abs(moves).max() == FAR
    np.testing.assert_array_equal(predictor.taps(moves), np.arange(TAPS))
    assert predictor.taps(np.array([FAR + 1, 0])) == predictor.taps(np.array([0, -FAR - 1])) == ESCAPE


def test_histories_hold_what_was_seen_and_nothing_else():
    corners = np.array([[[0, 0]], [[1, 3]], [[3, 2]]])
    first, second = (predictor.histories(corners[:t], (4, 4), (10, 20)) for t in (1, 3))
    assert not first[:, : 3 * MEMORY].any()
    assert second[0, :4].tolist() == [2 * UNIT, -UNIT, UNIT, 3 * UNIT]
    assert second[0, 2 * MEMORY : 3 * MEMORY].tolist() == [UNIT, UNIT] + [0] * (MEMORY - 2)
    assert second[0, 3 * MEMORY :].tolist() == [3 * UNIT, 2 * UNIT, 3 * UNIT, 14 * UNIT]
    assert second.shape == (1, FEATURES)


@pytest.mark.parametrize("far", [10**6, -(10**6)])
def test_histories_stay_in_the_range_that_the_networks_take(far):
    corners = np.cumsum(np.full((MEMORY + 5, 3, 2), far), axis=0)
    assert np.abs(predictor.histories(corners, (1, 1), (2, 2))).max() <= MOST


def test_weights_of_a_transition_are_a_distribution():
    tables = sprites_model_frozen().predictor.tables(np.zeros((1, 2, 2), int), (3, 3), (9, 9))
    assert tables.shape == (2, TAPS + 1)
    assert (tables >= 1).all()
    assert (tables.sum(axis=1) == TOTAL).all()
