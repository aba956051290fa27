"""Trainings of autoencoders with codes as one PNG: a column for each method, a row for each kind of number."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.plot import GRID, INK, MUTED
from tools.vq_autoencoder import LAYERS
from tools.vq_plane import KERNELS, Row, Run

__all__ = ["draw"]

RED, BLUE, GREEN, VIOLET, OCHRE = "#c2410c", "#0b62a8", "#4d7c0f", "#7b3294", "#b7791f"
TITLES = {
    "moving-average": "VQ-VAE, moving average",
    "hopfield": "Hopfield, straight through",
    "annealed": "Hopfield, annealed",
    "rotation": "VQ-VAE, rotation",
}


def draw(runs: Sequence[Run]) -> bytes:
    """The PNG as bytes; seeds after the first one are thin lines."""
    from matplotlib.figure import Figure

    panels = {
        "bits per picture": rate,
        "mean squared error": error,
        "codewords": words,
        "beta": beta,
        "I(X;T), bit": local,
    }
    methods = list(dict.fromkeys(run.settings.method for run in runs))
    figure = Figure(figsize=(4.1 * len(methods) + 1.3, 2.5 * len(panels) + 0.5), layout="constrained", dpi=120)
    grid = figure.subplots(len(panels), len(methods), sharex=True, sharey="row", squeeze=False)
    for column, method in enumerate(methods):
        of = [run for run in runs if run.settings.method == method]
        for (name, panel), axes in zip(panels.items(), grid[:, column], strict=True):
            panel(axes, of)
            axes.grid(color=GRID, linewidth=0.7)
            axes.tick_params(which="both", colors=MUTED, length=0, labelsize=8)
            axes.spines[:].set_visible(False)
            if column == 0:
                axes.set_ylabel(name, color=INK, fontsize=9)
        grid[0, column].set_title(TITLES[method], loc="left", color=INK, fontsize=10)
        grid[-1, column].set_xlabel("training step", color=INK, fontsize=9)
        grid[-1, column].set_xlim(0, of[0].settings.steps)
    for row in grid:
        _legend(row)
    first = runs[0]
    size = f"{first.settings.groups} groups of {first.settings.words} codewords"
    figure.suptitle(f"{size}, {first.held_out:,} held-out pictures", x=0.01, ha="left", color=MUTED, fontsize=9)
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="white")
    return file.getvalue()


def rate(axes: Any, runs: Sequence[Run]) -> None:
    """What the codes cost, and what they tell."""
    most = runs[0].settings.groups * math.log2(runs[0].settings.words)
    _level(axes, most, "log2 of all codes")
    _level(axes, math.log2(runs[0].held_out), "log2 N", "--")
    _lines(axes, runs, lambda row: row["file"], RED, "file")
    _lines(axes, runs, lambda row: row["zero_order"], OCHRE, "sum of H(Z_g)", ":")
    _lines(axes, runs, lambda row: row["exact"], BLUE, "H(Z) = I(X;Z)")
    axes.set_ylim(bottom=0)


def error(axes: Any, runs: Sequence[Run]) -> None:
    """With codes, and with one step of retrieval."""
    _lines(axes, runs, lambda row: row["hard"], RED, "codes")
    _lines(axes, runs, lambda row: row["soft"], BLUE, "retrieval", "--")
    axes.set_yscale("log")


def words(axes: Any, runs: Sequence[Run]) -> None:
    """The use of the codebook, means over groups."""
    _level(axes, runs[0].settings.words, "all")
    _lines(axes, runs, lambda row: fmean(row["perplexity"]), GREEN, "perplexity")
    _lines(axes, runs, lambda row: fmean(row["dead"]), RED, "dead", "--")
    axes.set_ylim(bottom=0)


def beta(axes: Any, runs: Sequence[Run]) -> None:
    """Beside the critical one of each group's codewords: the band goes from the least to the largest."""
    _lines(axes, runs, lambda row: row["beta"], VIOLET, "beta")
    bounds = [runs[0].over(lambda row, pick=pick: pick(_finite(row))) for pick in (min, max)]  # type: ignore[misc]
    axes.fill_between(_steps(runs[0]), *bounds, color=GREEN, alpha=0.25, linewidth=0)
    _lines(axes, runs, lambda row: fmean(_finite(row)), GREEN, "critical beta")
    axes.set_yscale("log")


def local(axes: Any, runs: Sequence[Run]) -> None:
    """The estimator beside the truth, on the estimator's pictures."""
    _level(axes, math.log2(runs[0].samples), "log2 N")
    for kernel, style in zip(range(len(KERNELS)), ("-", ":"), strict=True):
        note = "" if kernel == 0 else ", one scale"
        for layer, colour in (("Z", RED), ("Z_e", OCHRE)):
            place = LAYERS.index(layer)
            _lines(axes, runs, lambda row, k=kernel, p=place: row["plane"][k][p][0], colour, layer + note, style)
    _lines(axes, runs, lambda row: row["exact_samples"], BLUE, "H(Z), exact")
    axes.set_ylim(bottom=0)


def _finite(row: Row) -> list[float]:
    return [value for value in row["critical"] if value is not None] or [math.nan]


def _steps(run: Run) -> NDArray[np.float64]:
    return run.over(lambda row: row["step"])


def _lines(
    axes: Any, runs: Sequence[Run], of: Callable[[Row], float | None], colour: str, label: str, style: str = "-"
) -> None:
    """A line for each run, unless there is nothing to draw."""
    for number, run in enumerate(runs):
        values = run.over(of)
        if not np.isnan(values).all():
            width, name = (0.7, None) if number else (1.5, label)
            axes.plot(_steps(run), values, color=colour, linewidth=width, linestyle=style, label=name)


def _level(axes: Any, value: float, label: str, style: str = "-") -> None:
    axes.axhline(value, color=MUTED, linewidth=0.8, linestyle=style, label=label)


def _legend(row: Any) -> None:
    """One legend a row, right of it, with whatever is in any of its panels."""
    found = {}
    for axes in row:
        found |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    row[-1].legend(
        found.values(), found.keys(), frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5)
    )
