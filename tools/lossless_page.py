"""Exact codecs as one PNG, and as one HTML file with everything in it."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime

import numpy as np

from tools.charts import SHADES
from tools.lossless import OURS
from tools.lossless_study import ANCHORS, Row, Study, notes
from tools.page import percent
from tools.plot import GRID, INK, MUTED
from tools.results import machine, versions

__all__ = ["draw", "headline", "render"]

ACCENT, PLAIN = SHADES[OURS][0], "#a9a7a1"
ANCHOR = next(iter(ANCHORS))
TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 3, 5, 10, 20, 50)


def draw(study: Study) -> bytes:
    """Bits per subpixel of each codec as a bar; beside it, its bytes on every picture against the anchor. PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    rows = [row for row in study.rows if row.bpsp is not None]
    figure = Figure(figsize=(11, 1.6 + 0.42 * len(rows)), layout="constrained", dpi=150)
    bars, strips = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    base = study.kept(ANCHOR) if any(codec.name == ANCHOR for codec in study.codecs) else {}
    for place, row in enumerate(rows):
        colour = ACCENT if row.codec == OURS else PLAIN
        bars.barh(place, row.bpsp, color=colour, height=0.62)
        bars.annotate(
            f"{row.bpsp:.3f}", (row.bpsp or 0, place), (4, 0), textcoords="offset points", va="center", fontsize=9
        )
        kept = study.kept(row.codec)
        against = [kept[name].bytes / base[name].bytes for name in kept if name in base]
        heights = place + 0.22 * np.sin(2.4 * np.arange(len(against)))  # apart, so that they can be told
        strips.scatter(against, heights, s=11, color=colour, alpha=0.75, linewidths=0)
    bars.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=10)
    bars.invert_yaxis()
    bars.set_xlabel("bits per subpixel, mean over pictures", color=MUTED)
    strips.set_xlabel(f"bytes against {ANCHORS[ANCHOR]}, a dot for each picture", color=MUTED)
    strips.set_xscale("log")
    low, high = strips.get_xlim()
    strips.set_xticks(shown := [tick for tick in TICKS if low <= tick <= high], [f"{tick:.0%}" for tick in shown])
    strips.xaxis.set_minor_locator(NullLocator())
    strips.axvline(1, color=INK, linewidth=0.8)
    for axes in (bars, strips):
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=MUTED, length=0, labelsize=8)
        axes.spines[:].set_visible(False)
    bars.tick_params(axis="y", colors=INK, labelsize=10)
    figure.suptitle(f"{_pictures(study)}, whole files; shorter is better", x=0.01, ha="left", color=MUTED, fontsize=9)
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="white")
    return file.getvalue()


def render(study: Study, picture: bytes) -> str:
    """The page as text; `picture` is the PNG of `draw`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("tools"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "change": lambda ratio: percent(None if ratio is None else 100 * (ratio - 1)),
        "number": lambda value: "\N{EN DASH}" if value is None else f"{value:.3f}",
    }
    order = [*(row.codec for row in study.rows), *(near.codec for near in study.near)]
    codecs = {codec.name: codec for codec in study.codecs}
    return environment.get_template("lossless.html").render(
        study=study,
        headline=headline(study),
        picture=base64.b64encode(picture).decode(),
        codecs=[codecs[name] for name in order],
        kept={name: study.kept(name) for name in order},
        ours=OURS,
        anchors=ANCHORS,
        notes=notes(study),
        pictures=_pictures(study),
        accent=SHADES[OURS],
        date=datetime.now(UTC).strftime("%-d %B %Y"),
        machines=sorted({found.machine for found in study.measured} | {machine()}),
        versions=versions(),
    )


def headline(study: Study) -> str:
    """The result in a sentence."""
    ours: Row | None = next((row for row in study.rows if row.codec == OURS), None)
    told = [(ours.ratios[anchor], label) for anchor, label in ANCHORS.items()] if ours else []
    said = [f"{_more(ratio)} than {label}" for ratio, label in told if ratio is not None]
    if not said:
        exact = [row for row in study.rows if row.pictures]
        return f"{len(exact)} exact codec{'s' if len(exact) != 1 else ''} on {_pictures(study)}"
    said[0] = said[0].replace(" than", " bytes than", 1)
    return f"Engram needs {' and '.join(said)}, and gives every pixel back"


def _more(ratio: float) -> str:
    return f"{abs(100 * (ratio - 1)):.1f}\N{NO-BREAK SPACE}% {'fewer' if ratio < 1 else 'more'}"


def _pictures(study: Study) -> str:
    return f"{len(study.subjects)} picture{'s' if len(study.subjects) != 1 else ''}"
