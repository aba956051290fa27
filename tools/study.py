"""A study: the points of one measurement with their curves and comparisons, and its short table of text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.curves import BDRate, Comparison, Curve, Method, compare, curve
from tools.metrics import Metric
from tools.rate_distortion import MeasureError, Point
from tools.rivals import Codec

ANCHORS = ("jpeg", "webp", "avif")  # what codecs are usually compared with
RATES = (0.25, 0.5, 1.0)  # bits per pixel at which tables quote the quality


@dataclass(frozen=True, slots=True)
class Study:
    """Everything the table, the plot and the page show. `codecs` are in order, ours first."""

    codecs: tuple[Codec, ...]
    metrics: tuple[Metric, ...]
    points: tuple[Point, ...]
    curves: dict[tuple[str, str], Curve]  # by metric and codec
    comparisons: tuple[Comparison, ...]
    published: dict[str, Curve]  # PSNR curves of others, by their name

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names, in the order they were measured in."""
        return tuple(dict.fromkeys(point.picture for point in self.points))

    @property
    def anchors(self) -> tuple[str, ...]:
        """The usual anchors among the codecs; the last codec if there are none."""
        names = [codec.name for codec in self.codecs]
        return tuple(name for name in ANCHORS if name in names) or (names[-1],)

    def comparison(self, codec: str, anchor: str, metric: str) -> Comparison | None:
        """The comparison of two codecs, if there is one."""
        wanted = (codec, anchor, metric)
        return next((c for c in self.comparisons if (c.codec, c.anchor, c.metric) == wanted), None)

    def seconds(self, codec: str) -> tuple[float, float]:
        """Mean seconds to encode and to decode one picture, over all settings."""
        mine = [point for point in self.points if point.codec == codec]
        encode, decode = (point.encode_seconds for point in mine), (point.decode_seconds for point in mine)
        return sum(encode) / len(mine), sum(decode) / len(mine)


def study(
    points: Sequence[Point],
    codecs: Sequence[Codec],
    metrics: Sequence[Metric],
    *,
    method: Method = "pchip",
    published: dict[str, Curve] | None = None,
) -> Study:
    """Curves of all codecs; every codec against the anchors, and the first codec against every other one."""
    curves = {
        (metric.name, codec.name): curve([point for point in points if point.codec == codec.name], metric)
        for metric in metrics
        for codec in codecs
    }
    bare = Study(tuple(codecs), tuple(metrics), tuple(points), curves, (), published or {})
    names = [codec.name for codec in codecs]
    pairs = [(name, anchor) for name in names for anchor in bare.anchors] + [(names[0], name) for name in names[1:]]
    comparisons = tuple(
        compare(points, name, anchor, metric, method)
        for metric in metrics
        for name, anchor in dict.fromkeys(pairs)
        if name != anchor
    )
    return Study(bare.codecs, bare.metrics, bare.points, curves, comparisons, bare.published)


def load_published(path: Path) -> dict[str, Curve]:
    """Published curves: a JSON object of names, each with lists `bpp` and `psnr_rgb` of equal length.

    Raises
    ------
    MeasureError
        If the file is not that.
    """
    try:
        curves = {}
        for name, lists in json.loads(path.read_text(encoding="utf-8")).items():
            knots = sorted(zip(map(float, lists["bpp"]), map(float, lists["psnr_rgb"]), strict=True))
            if not knots or knots[0][0] <= 0:
                raise ValueError(f"{name} has no points, or a rate that is not positive")
            curves[name] = Curve(tuple(rate for rate, _ in knots), tuple(quality for _, quality in knots))
        return curves
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MeasureError(
            f'{path.name} does not hold published curves, {{"name": {{"bpp": [...], "psnr_rgb": [...]}}}}: {error!r}'
        ) from error


def table(study: Study) -> str:
    """The short table: quality at a few rates, BD-rates in the first metric, seconds; below it, what has no answer."""
    metric = study.metrics[0]
    anchors = study.anchors
    labels = {codec.name: codec.label for codec in study.codecs}
    head = ["codec", "bpp", *(f"{metric.label} @{rate:g}" for rate in RATES)]
    rows = [[*head, *(f"BD vs {labels[anchor]}" for anchor in anchors), "enc s", "dec s"]]
    reasons: dict[str, None] = {}
    for codec in study.codecs:
        line = study.curves[metric.name, codec.name]
        row = [codec.label, f"{line.rates[0]:.2f}-{line.rates[-1]:.2f}" if line.rates else "-"]
        row += [f"{q:.{metric.digits}f}" if (q := line.quality_at(rate)) is not None else "-" for rate in RATES]
        for anchor in anchors:
            comparison = study.comparison(codec.name, anchor, metric.name)
            if comparison and isinstance(comparison.mean_curve, str):
                reasons[f"{codec.label} against {labels[anchor]}: {comparison.mean_curve}"] = None
            row.append(percent(comparison.mean_curve) if comparison else "-")
        rows.append([*row, *(f"{seconds:.3f}" for seconds in study.seconds(codec.name))])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    formats = [f"{'>' if i else '<'}{width}" for i, width in enumerate(widths)]  # names left, numbers right
    lines = ["  ".join(map(format, row, formats)) for row in rows]
    return "\n".join([*lines, *reasons])


def percent(rate: BDRate | str | float | None) -> str:
    """A BD-rate as text with its sign, or `none` where it does not exist."""
    value = rate.percent if isinstance(rate, BDRate) else rate
    return "none" if value is None or isinstance(value, str) else f"{value:+.1f}%"
