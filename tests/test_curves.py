"""tools/curves.py: curves and BD-rates."""

from __future__ import annotations

import numpy as np
import pytest

from tools.curves import Curve, bd_rate
from tools.rate_distortion import MeasureError

RATES = (0.1, 0.2, 0.4, 0.7, 1.1, 1.6, 2.2)
DECIBELS = (25.0, 27.5, 30.0, 32.2, 34.5, 37.0, 39.5)
LINE = Curve(RATES, DECIBELS)


def scaled(factor: float) -> Curve:
    return Curve(tuple(rate * factor for rate in RATES), DECIBELS)


def test_a_curve_against_itself_is_zero():
    assert bd_rate(LINE, LINE).percent == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("factor", "percent"), [(0.5, -50.0), (1.25, 25.0)])
def test_a_factor_of_rate_is_found_exactly(factor, percent):
    assert bd_rate(LINE, scaled(factor)).percent == pytest.approx(percent, abs=1e-3)


def test_curves_that_do_not_overlap_are_an_error_and_not_nan():
    with pytest.raises(MeasureError):
        bd_rate(LINE, Curve(RATES, tuple(value + 50 for value in DECIBELS)))


def test_too_few_points_are_an_error():
    with pytest.raises(MeasureError):
        bd_rate(LINE, Curve(RATES[:3], DECIBELS[:3]))


def test_knots_lie_on_the_curve():
    assert np.allclose(LINE.rates_at(np.array(DECIBELS)), RATES)
    assert LINE.quality_at(0.4) == pytest.approx(30.0)
    assert LINE.quality_at(9.0) is None
