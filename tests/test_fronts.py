"""codec/fronts.py: wavefronts cover each pixel once, in an order in which all that it may see comes first."""

from __future__ import annotations

import math

import numpy as np
import pytest

from codec import fronts as module
from codec.fronts import PLACES, REACH, SLOPE, every, fronts, together


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 9), (1, 9, 1), (2, 4, 7), (3, 7, 4), (1, 5, 2)])
def test_wavefronts_cover_each_pixel_once_and_each_sees_those_before_it(shape):
    found = [front for front in fronts(*shape) if len(front.pixels)]
    pixels = np.concatenate([front.pixels for front in found])
    assert sorted(pixels) == list(range(math.prod(shape)))
    times = []
    for front in found:
        _, y, x = np.unravel_index(front.pixels, shape)
        (time,) = set((x + SLOPE * y).tolist())
        times.append(time)
    assert times == sorted(set(times))
    whole = every(*shape)
    assert whole.pixels.tolist() == list(range(math.prod(shape)))
    order = np.argsort(pixels)
    for name in ("framed", "rows", "columns"):
        one = np.concatenate([getattr(front, name) for front in found])[order]
        np.testing.assert_array_equal(one, getattr(whole, name))
    levels = np.arange(math.prod(shape)).reshape(shape)
    margins = np.pad(levels, [(0, 0), (REACH, REACH), (REACH, REACH)])
    np.testing.assert_array_equal(margins.ravel()[whole.framed], levels.ravel())


def test_places_are_numbered_from_the_top_left():
    whole = every(1, 5, 3)
    assert whole.rows.tolist() == [y * PLACES // 5 for y in range(5) for _ in range(3)]
    assert whole.columns.tolist() == [x * PLACES // 3 for _ in range(5) for x in range(3)]


def test_stacks_that_are_not_kept_have_the_same_fronts(monkeypatch):
    kept = list(fronts(2, 4, 5))
    monkeypatch.setattr(module, "KEPT", 0)
    for ours, theirs in zip(fronts(2, 4, 5), kept, strict=True):
        assert all(map(np.array_equal, ours, theirs))


@pytest.mark.parametrize("pixels", [0, 1, 7, 10**6])
def test_fronts_taken_together_stay_in_order(pixels):
    alone = [front for front in fronts(2, 4, 5) if len(front.pixels)]
    found = list(together(alone, pixels))
    assert [ends[0] for _, ends in found] == [len(front.pixels) for front in alone] or pixels > 1
    for name in module.Front._fields:
        joined, single = ([getattr(each, name) for each in some] for some in ([front for front, _ in found], alone))
        np.testing.assert_array_equal(np.concatenate(joined), np.concatenate(single))
    sizes = [size for _, ends in found for size in np.diff([0, *ends])]
    assert sizes == [len(front.pixels) for front in alone]
    assert all(ends[-1] >= pixels for _, ends in found[:-1])
    assert not list(together([], pixels))
