"""What a study of quantisers found, as a table and as PNG: convergence, paired differences, and rates."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import Any

import numpy as np

from tools.plot import GRID, INK, MUTED
from tools.quantizer_study import BASELINE, METHODS, Paired, Row, against

__all__ = ["draw_curves", "draw_differences", "draw_rates", "table"]

COLOURS = dict(zip(METHODS, ("#6b6a66", "#1f1f1d", "#0b62a8", "#4d7c0f", "#7b3294", "#b7791f", "#c2410c"), strict=True))
LATE = 0.1  # of a training: what comes before is off the top of the picture
MEASURES = {"hard": "distortion", "file": "bits of the file"}


def table(rows: Sequence[Row]) -> str:
    """A block for each set, a line for each method: means over seeds, and paired differences to the baseline."""
    head = ["", "seeds", "MSE", "spread", "PSNR", f"against {BASELINE}", "file bits", f"against {BASELINE}"]
    lines = [[*head, "zero-order", "perplexity", "dead", "gap", "assoc."]]
    for data in names(rows):
        lines.append([f"{data}:", *[""] * (len(lines[0]) - 1)])
        for method in methods(rows, data):
            of = picked(rows, data, method)
            lines.append([f"  {method}", str(len(of)), *_numbers(rows, of, data, method)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    formats = [f"{'>' if i else '<'}{width}" for i, width in enumerate(widths)]
    settings, held_out = rows[0]["settings"], sorted({f"{row['held_out']:,}" for row in rows})
    return "\n".join(
        [
            *("  ".join(map(format, line, formats)).rstrip() for line in lines),
            f"{settings['groups']} codes of {settings['words']} a picture, {rows[0]['budget']:.4g} bits at equal use; "
            f"{settings['steps']:,} steps of batch 100; {' or '.join(held_out)} held-out pictures; differences in per "
            "cent, with 95 % t intervals of pairs",
        ]
    )


def _numbers(rows: Sequence[Row], of: Sequence[Row], data: str, method: str) -> list[str]:
    def mean(key: str, form: str, of: Sequence[Row] = of) -> str:
        values = [row[key] for row in of if row[key] is not None]
        return format(fmean(values), form) if values else "-"

    errors = [row["hard"] for row in of]
    gaps = [100 * (row["hard"] / row["soft"] - 1) for row in of if row["soft"]]
    return [
        mean("hard", ".5f"),
        f"{stdev(errors):.5f}" if len(errors) > 1 else "-",
        f"{fmean(-10 * math.log10(error) for error in errors):.2f}",
        percent(against(rows, data, method, "hard")) if method != BASELINE else "",
        mean("file", ".2f"),
        percent(against(rows, data, method, "file")) if method != BASELINE else "",
        mean("zero_order", ".2f"),
        mean("perplexity", ".1f"),
        mean("dead", ".0f"),
        f"{fmean(gaps):+.1f} %" if gaps else "-",
        mean("association", ".3f"),
    ]


def percent(found: Paired | None) -> str:
    """+1.2 [-0.3, +2.7], from logarithms."""
    if found is None:
        return "-"
    mean, low, high = (100 * math.expm1(value) for value in (found.mean, found.low, found.high))
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]" if found.pairs > 1 else f"{mean:+.1f}"


def draw_curves(rows: Sequence[Row]) -> bytes:
    """Held-out distortion along the training, a panel for each set: means over seeds, and all seeds as a band."""

    def panel(axes: Any, data: str) -> None:
        late = []
        for method in methods(rows, data):
            of = picked(rows, data, method)
            steps = [step for step, *_ in of[0]["curve"]]
            late += [error for row in of for step, error, _ in row["curve"] if step >= LATE * max(steps)]
            errors = np.array([[error for _, error, _ in row["curve"]] for row in of])
            axes.plot(steps, errors.mean(0), color=COLOURS[method], linewidth=1.4, label=method)
            axes.fill_between(steps, errors.min(0), errors.max(0), color=COLOURS[method], alpha=0.15, linewidth=0)
            relaxed = [soft for _, _, soft in of[0]["curve"]]
            if None not in relaxed:
                soft = np.array([[soft for *_, soft in row["curve"]] for row in of])
                axes.plot(steps, soft.mean(0), color=COLOURS[method], linewidth=1, linestyle=":")
        axes.set(yscale="log", xlim=(0, max(steps)), ylim=(0.97 * min(late), 1.03 * max(late)))
        axes.set_xlabel("training step", color=INK, fontsize=9)

    return _figure(rows, panel, "held-out mean squared error; dotted: of the relaxed values", 3.6)


def draw_differences(rows: Sequence[Row]) -> bytes:
    """Paired differences to the baseline with their intervals, a panel for each set."""

    def panel(axes: Any, data: str) -> None:
        order = [method for method in reversed(methods(rows, data)) if method != BASELINE]
        for place, method in enumerate(order):
            for shift, (of, filled) in zip((0.13, -0.13), (("hard", True), ("file", False)), strict=True):
                found = against(rows, data, method, of)
                if found is None:
                    continue
                mean, low, high = (100 * math.expm1(value) for value in (found.mean, found.low, found.high))
                colour = COLOURS[method]
                axes.plot([low, high], [place + shift] * 2, color=colour, linewidth=1.3)
                face = colour if filled else "white"
                label = MEASURES[of] if place == 0 else None
                axes.plot(mean, place + shift, "o", color=colour, markerfacecolor=face, markersize=5, label=label)
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.set_yticks(range(len(order)), order, fontsize=9)
        axes.set_xlabel(f"per cent against {BASELINE}", color=INK, fontsize=9)

    return _figure(rows, panel, "paired differences over seeds, 95 % intervals; left is better", 3.0)


def draw_rates(rows: Sequence[Row]) -> bytes:
    """Distortion over the bits that a file pays, a dot for each seed."""

    def panel(axes: Any, data: str) -> None:
        for method in methods(rows, data):
            of = picked(rows, data, method)
            bits, errors = ([row[key] for row in of] for key in ("file", "hard"))
            axes.plot(bits, errors, "o", color=COLOURS[method], markersize=4, alpha=0.8, label=method)
        axes.axvline(max(row["budget"] for row in rows), color=MUTED, linewidth=0.8, linestyle="--")
        axes.set(yscale="log")
        axes.set_xlabel("bits per picture, of the file; dashed: the budget", color=INK, fontsize=9)

    return _figure(rows, panel, "held-out mean squared error, a dot for each seed; left and down is better", 3.0)


def _figure(rows: Sequence[Row], panel: Callable[[Any, str], None], title: str, height: float) -> bytes:
    from matplotlib.figure import Figure

    sets = names(rows)
    figure = Figure(figsize=(3.9 * len(sets) + 0.6, height + 0.4), layout="constrained", dpi=100)
    for axes, data in zip(figure.subplots(1, len(sets), squeeze=False)[0], sets, strict=True):
        panel(axes, data)
        seeds = min(len(picked(rows, data, method)) for method in methods(rows, data))
        axes.set_title(f"{data}, {seeds} seed{'s' * (seeds > 1)}", loc="left", color=INK, fontsize=10)
        axes.grid(color=GRID, linewidth=0.7)
        axes.tick_params(which="both", colors=MUTED, length=0, labelsize=8)
        axes.spines[:].set_visible(False)
    figure.axes[-1].legend(frameon=False, fontsize=8)
    figure.suptitle(title, x=0.01, ha="left", color=MUTED, fontsize=9)
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="white")
    return file.getvalue()


def names(rows: Sequence[Row]) -> list[str]:
    """Of the sets."""
    return list(dict.fromkeys(row["data"] for row in rows))


def methods(rows: Sequence[Row], data: str) -> list[str]:
    """Of a set, in the order of METHODS."""
    there = {row["settings"]["method"] for row in rows if row["data"] == data}
    return [method for method in METHODS if method in there]


def picked(rows: Sequence[Row], data: str, method: str) -> list[Row]:
    """The runs of a method on a set."""
    return [row for row in rows if (row["data"], row["settings"]["method"]) == (data, method)]
