"""The report: one HTML file with everything in it.

No script, font or picture comes from elsewhere, so the page can be mailed, archived and printed. Without scripts it
shows everything but the choice of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tools.charts import Chart, Line, chart, shades
from tools.curves import BDRate, Curve
from tools.metrics import Metric
from tools.results import machine, versions
from tools.rivals import Codec
from tools.slider import Exhibit
from tools.study import RATES, Study

WIDE, NARROW, HALF = (1040, 500), (440, 460), (510, 400)
STEPS = 80  # of a drawn curve
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart with its heading, laid out for wide screens and for phones; a small one fits both."""

    heading: str
    note: str
    wide: Chart
    narrow: Chart | None


def render(study: Study, exhibits: Sequence[Exhibit]) -> str:
    """The page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("tools"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "seconds": lambda value: f"{value:.3f}"}
    first, *others = study.codecs
    ours = first.name.startswith("engram")
    return environment.get_template("report.html").render(
        study=study,
        headline=headline(study),
        ours=ours,
        subject=first,
        others=others,
        labels={codec.name: codec.label for codec in study.codecs},
        shades=shades([*(codec.name for codec in study.codecs), "published"]),
        panels=[panel(study, metric, large=not i) for i, metric in enumerate(study.metrics)],
        savings=savings(study),
        pairs=[(first, other) for other in others] if ours else [(other, first) for other in others],
        exhibits=exhibits,
        rates=RATES,
        date=datetime.now(UTC).strftime("%-d %B %Y"),
        machines=sorted({point.machine for point in study.points} | {machine()}),
        versions=versions(),
        isinstance_rate=lambda value: isinstance(value, BDRate),
    )


def headline(study: Study) -> str:
    """The result in a sentence: the first codec against the others, or what was measured."""
    first, *others = study.codecs
    metric = study.metrics[0]
    said = []
    for other in others:
        comparison = study.comparison(first.name, other.name, metric.name)
        if comparison and isinstance(comparison.mean_curve, BDRate) and other.name in study.anchors:
            value = comparison.mean_curve.percent
            said.append(f"{abs(value):.0f}\N{NO-BREAK SPACE}% {'fewer' if value < 0 else 'more'} than {other.label}")
    if not first.name.startswith("engram") or not said:
        return f"{len(study.codecs)} codecs on {len(study.pictures)} pictures"
    said[0] = said[0].replace(" than", " bytes than", 1)
    listed = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
    return f"{first.label} needs {listed} at equal {metric.label}"


def panel(study: Study, metric: Metric, *, large: bool) -> Panel:
    """Quality over rate in one metric; published curves are PSNR, so only there."""
    lines = [
        Line(codec.name, codec.label, path(line), knots(codec, line, metric))
        for codec in study.codecs
        if (line := study.curves[metric.name, codec.name]).rates
    ]
    if metric.name == "psnr":
        lines += [Line("published", name, path(line), faint=True) for name, line in study.published.items()]
    axis = f"{metric.label}, {metric.unit}" if metric.unit else metric.label
    words: dict[str, Any] = {"title": f"{metric.label} over rate", "x": "bits per pixel, log scale", "y": axis}
    words["log"] = True
    if large:
        return Panel(metric.label, "", chart(lines, size=WIDE, **words), chart(lines, size=NARROW, **words))
    return Panel(metric.label, "", chart(lines, size=HALF, **words), None)


def savings(study: Study) -> Panel | None:
    """Bytes against the first anchor at every quality: what a BD-rate is the mean of."""
    metric, anchor = study.metrics[0], study.anchors[0]
    base = study.curves[metric.name, anchor]
    lines = []
    for codec in study.codecs:
        line = study.curves[metric.name, codec.name]
        if codec.name == anchor or min(len(base.rates), len(line.rates)) < 2:
            continue
        low, high = max(min(base.qualities), min(line.qualities)), min(max(base.qualities), max(line.qualities))
        if low < high:
            grid = np.linspace(low, high, STEPS)
            change = 100 * (line.rates_at(grid) / base.rates_at(grid) - 1)
            lines.append(Line(codec.name, codec.label, tuple(zip(grid.tolist(), change.tolist(), strict=True))))
    if not lines:
        return None
    label = next(codec.label for codec in study.codecs if codec.name == anchor)
    words: dict[str, Any] = {
        "title": f"Bytes against {label} at equal {metric.label}",
        "x": f"{metric.label}, {metric.unit}",
        "y": f"% of bytes against {label}",
        "log": False,
        "baseline": Line(anchor, label, ()),
    }
    note = f"How many percent more or fewer bytes than {label} at each quality. A BD-rate is the mean height of a line."
    return Panel(words["title"], note, chart(lines, size=(1040, 380), **words), chart(lines, size=(440, 360), **words))


def path(line: Curve) -> tuple[tuple[float, float], ...]:
    """The curve as BD-rates see it (pchip in log rate), as dense (rate, quality) pairs sorted by rate."""
    rates, qualities = line.knots
    if len(qualities) < 2 or np.any(np.diff(rates) <= 0):  # not a function of rate: straight lines through the points
        return tuple(zip(line.rates, line.qualities, strict=True))
    grid = np.unique(np.concatenate([np.linspace(qualities[0], qualities[-1], STEPS), qualities]))
    return tuple(zip(line.rates_at(grid).tolist(), grid.tolist(), strict=True))


def knots(codec: Codec, line: Curve, metric: Metric) -> tuple[tuple[float, float, str], ...]:
    """The measured points with what a reader sees when pointing at them."""
    unit = f" {metric.unit}" if metric.unit else ""
    return tuple(
        (rate, quality, f"{codec.label}: {rate:.3f} bpp, {quality:.{metric.digits}f}{unit}")
        for rate, quality in zip(line.rates, line.qualities, strict=True)
    )


def percent(value: float | None) -> str:
    """A percentage with a true sign; a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:+.1f}".replace("-", MINUS) + "\N{NO-BREAK SPACE}%"
