"""The curves of a study as one PNG, a panel per metric."""

from __future__ import annotations

import io

from tools.charts import log_ticks, number, shades
from tools.study import Study

MARKERS = {"engram": "o", "jpeg": "s", "webp": "^", "avif": "D", "jxl": "v", "jpeg2000": "P"}
INK, MUTED, GRID = "#1f1f1d", "#6b6a66", "#e4e2dd"


def plot(study: Study) -> bytes:
    """The PNG as bytes."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, NullLocator

    colours = {name: light for name, (light, _) in shades([codec.name for codec in study.codecs]).items()}
    figure = Figure(figsize=(6 * len(study.metrics), 5), layout="constrained", dpi=150)
    for place, metric in enumerate(study.metrics, 1):
        axes = figure.add_subplot(1, len(study.metrics), place)
        for codec in study.codecs:
            line = study.curves[metric.name, codec.name]
            ours = codec.name.startswith("engram")
            axes.plot(
                line.rates,
                line.qualities,
                color=colours[codec.name],
                marker=MARKERS.get(codec.name, "o"),
                markersize=4.5,
                linewidth=2.4 if ours else 1.3,
                zorder=3 if ours else 2,
                label=codec.label,
            )
        if metric.name == "psnr":
            for name, line in study.published.items():
                axes.plot(line.rates, line.qualities, color=MUTED, linewidth=0.8, linestyle="--", zorder=1)
                axes.annotate(name, (line.rates[-1], line.qualities[-1]), color=MUTED, fontsize=7)
        rates = [rate for codec in study.codecs for rate in study.curves[metric.name, codec.name].rates]
        axes.set_xscale("log")
        if rates:
            marks = log_ticks(min(rates), max(rates))
            axes.set_xticks(marks, [number(mark) for mark in marks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("bits per pixel, log scale", color=INK)
        axes.set_title(f"{metric.label}, {metric.unit}" if metric.unit else metric.label, loc="left", color=INK)
        axes.grid(color=GRID, linewidth=0.8)
        axes.tick_params(colors=MUTED, length=0)
        axes.spines[:].set_visible(False)
    figure.axes[0].legend(frameon=False, loc="lower right")
    note = f"Mean over {len(study.pictures)} pictures, whole files"
    figure.suptitle(note, x=0.01, ha="left", color=MUTED, fontsize=9)
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="white")
    return file.getvalue()
