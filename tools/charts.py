"""Line charts: where everything goes. `templates/chart.svg` draws it, coloured by CSS class for light, dark and paper.

Every line is named at its end. Colour, marker and weight all tell lines apart, and none of them is needed alone. The
rate axis is logarithmic: equal widths are equal percentages of bytes; a BD-rate is the mean width between two lines.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Light and dark shades, apart for common colour-blindness (after Okabe and Ito), each at least 4.5:1 on its ground.
SHADES = {
    "engram": ("#c2410c", "#ff9a5c"),
    "jpeg": ("#5f6368", "#b4b8bd"),
    "webp": ("#00785a", "#3fd0a4"),
    "avif": ("#0b62a8", "#6fb9f5"),
    "jxl": ("#9c3587", "#e59ad4"),
    "jpeg2000": ("#7d5f00", "#dfc04e"),
}
SPARE_SHADES = (("#5b4bc4", "#b3a8ff"), ("#a8324a", "#ff9aa9"), ("#2c6e7f", "#7fd3e6"))
CIRCLE = "M0,-4.3A4.3,4.3 0 1 1 -0.01,-4.3Z"
MARKERS = {
    "jpeg": "M-3.3,-3.3H3.3V3.3H-3.3Z",
    "webp": "M0,-4.6L4.2,3.2H-4.2Z",
    "avif": "M0,-4.8L4.8,0L0,4.8L-4.8,0Z",
    "jxl": "M0,4.6L4.2,-3.2H-4.2Z",
    "jpeg2000": "M-4.4,-1.3H-1.3V-4.4H1.3V-1.3H4.4V1.3H1.3V4.4H-1.3V1.3H-4.4Z",
}
LEFT, TOP, BOTTOM = 44, 30, 42  # margins around the plot, in units of the drawing
LETTER, GAP = 7.6, 17  # width of a letter of a label, and the least distance of two labels


@dataclass(frozen=True, slots=True)
class Line:
    """A line to draw: its dense path, and its measured points with what to say about each."""

    name: str  # gives the CSS class, hence colour and marker
    label: str
    path: tuple[tuple[float, float], ...]
    points: tuple[tuple[float, float, str], ...] = ()
    faint: bool = False  # published elsewhere, not measured here


@dataclass(frozen=True, slots=True)
class Drawn:
    """A line in the drawing: SVG path, dots (x, y, text), end of the line, and the height of its label."""

    name: str
    label: str
    faint: bool
    path: str
    marker: str
    dots: tuple[tuple[float, float, str], ...]
    end: tuple[float, float]
    label_y: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart ready to be drawn; ticks are (place, text), `right` and `bottom` bound the plot."""

    title: str
    x: str
    y: str
    width: int
    height: int
    right: float
    bottom: float
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    lines: tuple[Drawn, ...]


def chart(
    lines: Iterable[Line], *, title: str, x: str, y: str, size: tuple[int, int], log: bool, baseline: Line | None = None
) -> Chart:
    """Lay out a chart; None of `lines` may be without a path.

    With a logarithmic axis, the drawn range ends where the first measured line ends, so that the measured lines reach
    the right edge and their labels. `baseline` is a line at y = 0.
    """
    lines = [line for line in lines if len(line.path) > 1]
    measured = [line for line in lines if not line.faint] or lines
    x_low = min(line.path[0][0] for line in measured)
    ends = [line.path[-1][0] for line in measured]
    x_high = min(ends) if log and min(ends) > x_low else max(ends)
    inside = x_high * (1 + 1e-9)
    if baseline:
        lines = [Line(baseline.name, baseline.label, ((x_low, 0.0), (x_high, 0.0))), *lines]
    paths = [(line, [p for p in line.path if x_low <= p[0] <= inside]) for line in lines]
    paths = [(line, path) for line, path in paths if path]
    heights = [p[1] for _, path in paths for p in path]
    y_ticks = ticks(min(heights), max(heights))
    y_low, y_high = min(heights + y_ticks), max(heights + y_ticks)
    width, height = size
    right = width - 14 - LETTER * max(len(line.label) for line, _ in paths)
    bottom = float(height - BOTTOM)
    forward = math.log if log else float
    x_range = forward(x_high) - forward(x_low) or 1.0

    def at(px: float, py: float) -> tuple[float, float]:
        across = (forward(px) - forward(x_low)) / x_range
        down = (y_high - py) / (y_high - y_low or 1.0)
        return round(LEFT + across * (right - LEFT), 1), round(TOP + down * (bottom - TOP), 1)

    ended = [at(*path[-1]) for _, path in paths]
    drawn = [
        Drawn(
            line.name,
            line.label,
            line.faint,
            "M" + "L".join("{},{}".format(*at(*p)) for p in path),
            MARKERS.get(line.name, CIRCLE),
            tuple((*at(px, py), say) for px, py, say in line.points if x_low <= px <= inside),
            end,
            label_y,
        )
        for (line, path), end, label_y in zip(paths, ended, spread([y for _, y in ended], TOP, bottom), strict=True)
    ]
    drawn.sort(key=lambda line: (not line.faint, line.name.startswith("engram")))  # published below, ours on top
    return Chart(
        title,
        x,
        y,
        width,
        height,
        right,
        bottom,
        tuple((at(t, y_low)[0], number(t)) for t in (log_ticks if log else ticks)(x_low, x_high)),
        tuple((at(x_low, t)[1], number(t)) for t in y_ticks),
        tuple(drawn),
    )


def shades(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Light and dark colour of each name; names not known by heart get the spare ones in turn."""
    spare = [name for name in names if name not in SHADES]
    return {n: SHADES.get(n) or SPARE_SHADES[spare.index(n) % len(SPARE_SHADES)] for n in names}


def spread(places: Sequence[float], low: float, high: float) -> list[float]:
    """Places moved apart to at least GAP, in the same order, within [low, high] as far as they fit."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    for previous, current in itertools.pairwise(order):
        moved[current] = max(moved[current], moved[previous] + GAP)
    ceiling = high
    for current in reversed(order):
        moved[current] = min(moved[current], ceiling)
        ceiling = moved[current] - GAP
    floor = low
    for current in order:
        moved[current] = max(moved[current], floor)
        floor = moved[current] + GAP
    return [round(place, 1) for place in moved]


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers within [low, high], about that many."""
    span = (high - low) or 1.0
    unit = 10 ** math.floor(math.log10(span / about))
    step = min((unit * factor for factor in (1, 2, 5, 10)), key=lambda step: abs(span / step - about))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(step * i, 10) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of every decade, within [low, high]."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    numbers = [round(digit * 10.0**decade, 10) for decade in decades for digit in (1, 2, 5)]
    return [number for number in numbers if low <= number <= high]


def number(value: float) -> str:
    """A tick's text, with a true minus."""
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")
