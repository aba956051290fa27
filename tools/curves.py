"""Rate-distortion curves and their comparison.

    points of one codec at one setting ──mean over pictures──▶ one knot of its curve
    two curves ──▶ BD-rate: how many percent more (or fewer) bytes at equal quality, mean over the shared range

A knot's rate is the mean over pictures of bits per pixel, its quality the mean over pictures of the per-picture score
(for PSNR: the mean of decibels, not the PSNR of the mean error). BD-rate (Bjøntegaard 2001) is the mean difference of
log rate over the range of quality that both curves cover, with monotone cubic interpolation (pchip) of log rate.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tools.metrics import Floats, Metric
from tools.rate_distortion import MeasureError, Point

Method = Literal["pchip", "akima"]
MIN_POINTS = 6  # fewer knots make BD-rate a matter of the interpolation


@dataclass(frozen=True, slots=True)
class Curve:
    """Quality over rate: bits per pixel and scores on the metric's scale, both (N,), sorted by rate."""

    rates: tuple[float, ...]
    qualities: tuple[float, ...]
    pictures: frozenset[str] = frozenset()

    @property
    def knots(self) -> tuple[Floats, Floats]:
        """Rates and qualities (K,) sorted by quality without repeats, as interpolation wants them.

        Of two rates for one quality the smaller counts.
        """
        best = {q: r for r, q in sorted(zip(self.rates, self.qualities, strict=True), reverse=True)}
        qualities = sorted(best)
        return np.array([best[quality] for quality in qualities]), np.array(qualities)

    def rates_at(self, qualities: Floats) -> Floats:
        """Rates (K,) at the given qualities (K,), by pchip in log rate; only within the curve's own range."""
        from scipy.interpolate import PchipInterpolator

        rates, own = self.knots
        return np.asarray(np.exp(PchipInterpolator(own, np.log(rates), extrapolate=False)(qualities)), np.float64)

    def quality_at(self, rate: float) -> float | None:
        """Quality at a rate, by pchip over log rate; None outside the curve or if it has one knot."""
        from scipy.interpolate import PchipInterpolator

        best = dict(zip(self.rates, self.qualities, strict=True))  # of equal rates the last, hence the best
        if len(best) < 2 or not self.rates[0] <= rate <= self.rates[-1]:
            return None
        return float(PchipInterpolator(np.log(list(best)), list(best.values()))(np.log(rate)))


def curve(points: Iterable[Point], metric: Metric) -> Curve:
    """The mean curve of the points of one codec, one knot per setting.

    Pictures without any score (too small for the metric) stay out; a setting counts only if all the others have a score
    there, so every knot is a mean over the same pictures.
    """
    rungs: dict[float, dict[str, tuple[float, float]]] = defaultdict(dict)
    for point in points:
        if (score := point.scores.get(metric.name)) is not None:
            rungs[point.setting][point.picture] = (point.bpp, score)
    pictures = frozenset().union(*rungs.values())
    knots = []
    for rung in rungs.values():
        if rung.keys() == pictures:
            rate, score = (math.fsum(values) / len(rung) for values in zip(*rung.values(), strict=True))
            knots.append((rate, metric.scale(score)))
    knots.sort()
    return Curve(tuple(rate for rate, _ in knots), tuple(quality for _, quality in knots), pictures)


@dataclass(frozen=True, slots=True)
class BDRate:
    """Percent of bytes against the anchor at equal quality, and the range of quality the mean is taken over."""

    percent: float
    low: float
    high: float


def bd_rate(anchor: Curve, test: Curve, method: Method = "pchip") -> BDRate:
    """BD-rate of `test` against `anchor`; negative: `test` needs fewer bytes.

    Raises
    ------
    MeasureError
        If a curve has fewer than six knots of different quality, the curves are means over different pictures, or they
        share no range of quality.
    """
    import bjontegaard

    if anchor.pictures != test.pictures:
        raise MeasureError("the curves are means over different pictures")
    (rates_a, qualities_a), (rates_t, qualities_t) = anchor.knots, test.knots
    if (fewest := min(len(rates_a), len(rates_t))) < MIN_POINTS:
        raise MeasureError(f"too few points: {fewest} of different quality, a BD-rate needs {MIN_POINTS}")
    low, high = max(qualities_a[0], qualities_t[0]), min(qualities_a[-1], qualities_t[-1])
    if low >= high:
        spans = (f"{qualities[0]:.1f} to {qualities[-1]:.1f}" for qualities in (qualities_a, qualities_t))
        raise MeasureError(f"no overlap: {' against '.join(spans)}")
    percent = bjontegaard.bd_rate(
        rates_a, qualities_a, rates_t, qualities_t, method, require_matching_points=False, min_overlap=0
    )
    return BDRate(float(percent), float(low), float(high))


@dataclass(frozen=True, slots=True)
class Comparison:
    """One codec against another in one metric: on the mean curves, and picture by picture.

    Where a BD-rate does not exist, a string in its place says why.
    """

    codec: str
    anchor: str
    metric: str
    method: Method
    mean_curve: BDRate | str
    per_picture: dict[str, BDRate | str]

    @property
    def mean_of_pictures(self) -> float | None:
        """Mean over the pictures that have a BD-rate, in percent."""
        percents = [rate.percent for rate in self.per_picture.values() if isinstance(rate, BDRate)]
        return math.fsum(percents) / len(percents) if percents else None


def compare(points: Sequence[Point], codec: str, anchor: str, metric: Metric, method: Method = "pchip") -> Comparison:
    """Compare two codecs by the names in `points`."""

    def one(some: Sequence[Point]) -> BDRate | str:
        try:
            curves = [curve([point for point in some if point.codec == name], metric) for name in (anchor, codec)]
            return bd_rate(*curves, method)
        except MeasureError as error:
            return str(error)

    names = dict.fromkeys(point.picture for point in points)
    per_picture = {name: one([point for point in points if point.picture == name]) for name in names}
    return Comparison(codec, anchor, metric.name, method, one(points), per_picture)
