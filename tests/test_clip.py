from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from codec.clip import Clip, rate_of


def test_a_clip_can_be_read_again_and_by_two_at_a_time():
    frames = [np.full((2, 3), n, np.uint8) for n in range(4)]
    clip = Clip(3, 2, 1, Fraction(25), 4, lambda: iter(frames))
    assert [frame[0, 0] for frame in clip] == [frame[0, 0] for frame in clip] == [0, 1, 2, 3]
    assert sum(1 for _ in zip(clip, clip, strict=True)) == 4


@pytest.mark.parametrize(("channels", "shape"), [(1, (2, 3)), (3, (2, 3, 3))])
def test_the_shape_is_that_of_a_frame(channels, shape):
    assert Clip(3, 2, channels, Fraction(25), None, lambda: iter(())).shape == shape


RATES = [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(25), Fraction(7, 3), Fraction(1, 2), Fraction(1, 60)]


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_a_rate_is_found_from_a_float_of_its_duration(rate):
    assert rate_of(1, 1 / float(rate)) == rate
    assert rate_of(70, 70 / rate) == rate


def test_the_slowest_rate_is_still_one():
    assert rate_of(1, 10**9) == Fraction(1, 10**9)
