"""The description length of a set as one PNG: two-part code, precision of the weights, prequential code."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tools.charts import log_ticks
from tools.description_study import Study
from tools.plot import GRID, INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

GENERAL, OWN, DATA, MODEL, LEARNT = "#0b62a8", "#c2410c", "#b7791f", "#7b3294", "#4d7c0f"
ROOM = 1.2  # of an axis, above what has to be seen
WAY_UP = 2.5  # of what a picture costs at last; with a model of their own the first ones cost a hundred times that


def draw(study: Study) -> bytes:
    """The PNG as bytes."""
    from matplotlib.figure import Figure

    panels = [_two_part, _precision, *([_prequential] if study.parts else [])]
    figure = Figure(figsize=(5.2 * len(panels), 4.4), layout="constrained", dpi=120)
    for place, panel in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), place)
        panel(axes, study)
        axes.grid(color=GRID, linewidth=0.8)
        axes.tick_params(which="both", colors=MUTED, length=0, labelsize=8)
        axes.spines[:].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    look = study.look
    what = f"{study.count:,} pictures, {look.width} x {look.height} x {look.channels}"
    figure.suptitle(
        f"{what}; a model of their own has {study.weights:,} weights", x=0.01, ha="left", color=MUTED, fontsize=9
    )
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="white")
    return file.getvalue()


def _two_part(axes: Axes, study: Study) -> None:
    """Bits a picture over the number of pictures."""
    counts = [row.count for row in study.rows]
    for values, colour, style, label in (
        ([row.general for row in study.rows], GENERAL, "-", "general model"),
        ([row.own for row in study.rows], OWN, "-", "model of their own, counted"),
        ([row.data for row in study.rows], OWN, ":", "model of their own, not counted"),
    ):
        each = [bits / count for bits, count in zip(values, counts, strict=True)]
        axes.plot(counts, each, color=colour, linestyle=style, marker="o", markersize=3, label=label)
    if study.pays:
        axes.axvline(study.pays, color=INK, linewidth=0.8, linestyle="--", label=f"pays from {study.pays:,} on")
    each = [row.general / row.count for row in study.rows]
    axes.set_ylim(0, WAY_UP * each[-1])
    _pictures(axes, "Two-part code, bits a picture", counts)


def _precision(axes: Axes, study: Study) -> None:
    """Bits of model and data at each precision, those of the data beyond what the finest weights give."""
    k, rows = study.weights, study.precisions
    places = [row.coarser for row in rows]
    beyond = [study.excess(row) * k for row in rows]
    for values, colour, label in (
        ([row.model for row in rows], MODEL, "model"),
        (beyond, DATA, "data, beyond the finest weights"),
        ([row.model + more for row, more in zip(rows, beyond, strict=True)], OWN, "total"),
    ):
        axes.plot(places, [bits / 1000 for bits in values], color=colour, marker="o", markersize=3, label=label)
    for (name, bits), style in zip(study.rissanen.items(), ("--", ":"), strict=True):
        axes.axhline(bits / 1000, color=INK, linewidth=0.9, linestyle=style, label=f"(k/2) log2 n, n = {name}")
    axes.axvline(study.best.coarser, color=MUTED, linewidth=0.8, label="least total")
    most = max(study.rissanen["samples"], *(row.model for row in rows))
    axes.set_ylim(min(0.0, *beyond) / 1000, ROOM * most / 1000)
    axes.set_xticks(places, [f"{row.coarser}\n{row.model / k:.1f}" for row in rows])
    axes.set_xlabel("bits coarser than the finest weights; bits a weight", color=INK, fontsize=9)
    axes.set_title("Precision of the weights, kbit", loc="left", color=INK, fontsize=10)


def _prequential(axes: Axes, study: Study) -> None:
    """Bits a picture so far, and of each part under what was learnt before it."""
    ends = [part.last for part in study.parts]
    rows = [row for row in study.rows if row.count >= ends[0]]
    counts = [row.count for row in rows]
    so_far = [bits / count for count, bits in study.prequential]
    axes.plot(counts, [row.general / row.count for row in rows], color=GENERAL, label="general model")
    axes.plot(counts, [row.own / row.count for row in rows], color=OWN, label="two-part")
    axes.plot(ends, so_far, color=LEARNT, marker="o", markersize=3, label="prequential")
    told = [(part, part.learnt) for part in study.parts if part.learnt is not None]
    for number, (part, bits) in enumerate(told):
        level, label = bits / (part.last - part.first), None if number else "a part, as learnt before it"
        axes.plot([part.first, part.last], [level] * 2, color=LEARNT, linewidth=1, linestyle=":", label=label)
    seen = [*so_far, *(row.general / row.count for row in rows), rows[-1].own / rows[-1].count]
    axes.set_ylim(min(seen) / ROOM, max(seen) * ROOM)
    _pictures(axes, "Prequential code, bits a picture so far", counts)


def _pictures(axes: Axes, title: str, counts: Sequence[int]) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator

    axes.set_xscale("log")
    marks = log_ticks(counts[0], counts[-1])
    axes.set_xticks(marks, [f"{mark:,.0f}" for mark in marks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("pictures, log scale", color=INK, fontsize=9)
    axes.set_title(title, loc="left", color=INK, fontsize=10)
