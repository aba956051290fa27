"""Information planes as PNG: every layer's trajectory, and the same through other kernels."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tools.planes import Planes
from tools.plot import GRID, INK, MUTED
from tools.species import SPECIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["RAMP", "draw_kernels", "draw_planes"]

RAMP = ("#27348b", "#7b3294", "#c7396f", "#e3743b", "#e2a91f")  # early to late, legible on white and on black
COLUMNS = 5


def draw_planes(planes: Planes, kernel: int = 0) -> bytes:
    """A panel for each layer of each species, first seeds; colour is the training step. The PNG as bytes."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    rows = layout(planes)
    figure = Figure(figsize=(2.5 * COLUMNS, 2.55 * len(rows) + 0.5), layout="constrained", dpi=130)
    grid = figure.add_gridspec(len(rows), COLUMNS)
    colours = LinearSegmentedColormap.from_list("steps", RAMP)
    for i, row in enumerate(rows):
        for j, (name, layer) in enumerate(row):
            run = planes.of(name)[0]
            into, out = run.of(layer, kernel).T
            axes = figure.add_subplot(grid[i, j])
            axes.plot([0, planes.ceiling], [0, planes.ceiling], color=MUTED, linewidth=0.7, linestyle=(0, (4, 3)))
            for draw in (axes.axhline, axes.axvline):
                draw(planes.ceiling, color=MUTED, linewidth=0.7)
            axes.plot(into, out, color=GRID, linewidth=0.8, zorder=1)
            dots = axes.scatter(into, out, c=np.arange(len(into)), cmap=colours, s=7, zorder=2, linewidths=0)
            paper = planes.summary(name, kernel).paper
            if paper and layer in paper.final and kernel == 0:
                axes.plot(paper.final[layer], 0, marker="^", color=INK, markersize=5, clip_on=False, zorder=3)
            axes.set_title(f"{SPECIES[name].label} · {layer}", loc="left", fontsize=9, color=INK)
            _square(axes, planes.ceiling)
    _steps(figure, dots, planes)
    figure.supxlabel("I(X;T), bit", fontsize=9, color=INK)
    figure.supylabel("I(T;X'), bit", fontsize=9, color=INK)
    run = planes.trajectories[0]
    mark = " Triangles: where I(X;T) ends in the paper." if planes.summary(run.species).paper and kernel == 0 else ""
    note = f"{planes.images}, {run.samples} pictures, {run.kernels[kernel]}. Grey: the diagonal and log2 N.{mark}"
    figure.suptitle(note, x=0.01, ha="left", color=MUTED, fontsize=9)
    return _png(figure)


def draw_kernels(planes: Planes) -> bytes:
    """I(X;Z) over training through every kernel, a panel for each species, first seeds. The PNG as bytes."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    names, kernels = planes.species, planes.trajectories[0].kernels
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(3.1 * columns, 2.5 * lines + 0.6), layout="constrained", dpi=130)
    widths = [i for i, kernel in enumerate(kernels) if not kernel.startswith("normalised")]
    widths.sort(key=lambda i: float(kernels[i].rpartition(" ")[2]))
    shades = LinearSegmentedColormap.from_list("widths", RAMP)(np.linspace(0, 1, max(2, len(widths))))
    for place, name in enumerate(names, 1):
        run = planes.of(name)[0]
        axes = figure.add_subplot(lines, columns, place)
        axes.axhline(planes.ceiling, color=MUTED, linewidth=0.7)
        for shade, i in zip(shades, widths, strict=False):
            axes.plot(run.steps, run.of("Z", i)[:, 0], color=shade, linewidth=2.2 if i == 0 else 1.2, label=kernels[i])
        for i in sorted(set(range(len(kernels))) - set(widths)):
            axes.plot(run.steps, run.of("Z", i)[:, 0], color=INK, linewidth=1.2, linestyle=":", label=kernels[i])
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(0, run.steps[-1])
        axes.set_ylim(0, planes.ceiling + 0.25)
        axes.set_title(SPECIES[name].label, loc="left", fontsize=9, color=INK)
        _plain(axes)
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(kernels), frameon=False
    )
    figure.supylabel("I(X;Z), bit", fontsize=9, color=INK)
    figure.suptitle(f"{planes.images}, over training steps (log scale)", x=0.01, ha="left", color=MUTED, fontsize=9)
    return _png(figure)


def layout(planes: Planes) -> list[list[tuple[str, str]]]:
    """Rows of (species, layer): shallow species side by side, each deep one in a row of its own."""
    shallow = [(name, "Z") for name in planes.species if len(planes.of(name)[0].layers) == 1]
    rows = [shallow[i : i + COLUMNS] for i in range(0, len(shallow), COLUMNS)]
    deep = [name for name in planes.species if len(planes.of(name)[0].layers) > 1]
    return rows + [[(name, layer) for layer in planes.of(name)[0].layers] for name in deep]


def step_ticks(moments: NDArray[np.int64]) -> list[tuple[int, int]]:
    """(snapshot, step) of powers of ten and the last step: colour runs over snapshots, not over steps."""
    steps = moments.tolist()
    powers = [10**i for i in range(12) if 3 * 10**i < steps[-1]]
    return [(min(range(len(steps)), key=lambda i: abs(steps[i] - goal)), goal) for goal in (*powers, steps[-1])]


def _steps(figure: Figure, dots: Any, planes: Planes) -> None:
    bar = figure.colorbar(dots, ax=figure.axes, location="right", aspect=60, pad=0.01, fraction=0.02)
    ticks = step_ticks(planes.trajectories[0].steps)
    bar.set_ticks([place for place, _ in ticks], labels=[f"{step:,}" for _, step in ticks], fontsize=8, color=MUTED)
    bar.set_label("training step", fontsize=9, color=INK)
    bar.outline.set_visible(False)


def _square(axes: Any, ceiling: float) -> None:
    axes.set_xlim(0, ceiling * 1.04)
    axes.set_ylim(0, ceiling * 1.04)
    axes.set_aspect("equal")
    ticks = range(0, int(ceiling) + 1, 2)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    _plain(axes)


def _plain(axes: Any) -> None:
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, length=0, labelsize=8)
    axes.spines[:].set_visible(False)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="white")
    return file.getvalue()
