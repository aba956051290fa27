"""codec/planes.py: colour that comes back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.planes import original, reversible
from codec.residual import Group


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 16), st.sampled_from([np.uint8, np.uint16, np.int32]))
def test_every_colour_comes_back_from_planes_within_their_ranges(seed, depth, kind):
    white = (1 << (min(depth, 8) if kind == np.uint8 else depth)) - 1
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.integers(0, white + 1, (30, 5, 3)), rng.choice([0, white], (30, 5, 3))]).astype(kind)
    planes = reversible(x)
    np.testing.assert_array_equal(original(*planes), x)
    for number, plane in enumerate(planes):
        low, high = Group(3, white.bit_length()).range(number)
        assert plane.dtype == np.int32
        assert low <= plane.min() <= plane.max() <= high


def test_the_planes_are_what_the_equations_say():
    for r, g, b in [(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (3, 200, 78)]:
        co = r - b
        t = b + co // 2
        cg = g - t
        assert [int(plane) for plane in reversible(np.array([r, g, b]))] == [t + cg // 2, co, cg]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_has_no_differences(kind):
    grey = np.arange(0, np.iinfo(kind).max + 1, 5, kind)
    y, co, cg = reversible(np.stack([grey] * 3, axis=-1))
    assert not co.any()
    assert not cg.any()
    np.testing.assert_array_equal(y, grey)
