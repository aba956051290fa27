"""A study of local rank as pictures, one PNG for each experiment."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tools.gaussian_bottleneck import solve
from tools.plot import GRID, INK, MUTED
from tools.rank_bottlenecks import Linear, Vib
from tools.rank_codec import LAYERS, QUALITIES, Encoder
from tools.rank_study import DECAYS, MEASURES, Run, fits, fitted, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

DECAYED, CONTROL = "#c2410c", "#0b62a8"
SHOWN = ("above 0.1", "above 0.01 s_max", "entropy rank")
STYLES = ((DECAYED, "s"), (CONTROL, "o"), ("#4d7c0f", "^"))


def draw(runs: Sequence[Run], encoders: Sequence[Encoder]) -> Iterator[tuple[str, bytes]]:
    """Names and PNGs of all experiments that there are runs of."""
    for data in DECAYS:
        if fits(runs, data, DECAYS[data]):
            yield data, _training(runs, data)
    if any(isinstance(run.settings, Vib) for run in runs):
        yield "vib", _vib(runs)
    if any(isinstance(run.settings, Linear) for run in runs):
        yield "bottleneck", _linear(runs)
    if encoders:
        yield "encoder", _encoder(encoders)


def _training(runs: Sequence[Run], data: str) -> bytes:
    """A column per layer, a row per measure; the training loss behind, on an axis of its own."""
    kinds = [(fits(runs, data, decay), decay, colour) for decay, colour in ((DECAYS[data], DECAYED), (0.0, CONTROL))]
    layers = len(kinds[0][0][0].rows[0]["layers"])
    figure = _figure(3.6 * layers + 0.6, 2.7 * len(SHOWN) + 0.4)
    for place, (what, layer) in enumerate(itertools.product(SHOWN, range(layers)), 1):
        axes = figure.add_subplot(len(SHOWN), layers, place)
        losses = axes.twinx()
        axes.set_zorder(losses.get_zorder() + 1)
        axes.patch.set_visible(False)
        for found, decay, colour in kinds:
            for number, run in enumerate(found):
                steps = np.array([row["step"] for row in run.rows]) + 1
                values = looks(run, layer, MEASURES[what])
                label = f"weight decay {decay:g}" if number == 0 else None
                axes.plot(steps, values, color=colour, linewidth=1.5, alpha=0.85, label=label)
                start = fitted(run.rows)
                axes.plot(steps[start], values[start], color=colour, marker="o", markersize=5, zorder=4)
                loss = [row["train_loss"] for row in run.rows]
                losses.plot(steps, loss, color=colour, linewidth=0.8, linestyle=":", alpha=0.6)
        axes.set_xscale("log")
        losses.set_yscale("log")
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        _plain(axes, f"layer {layer + 1}, {what}")
        _plain(losses, "")
        if place > layers * (len(SHOWN) - 1):
            axes.set_xlabel("step + 1", color=INK)
        if layer + 1 < layers:
            losses.set_yticklabels([])
            losses.tick_params(which="both", labelright=False)
        else:
            losses.set_ylabel("training loss (dotted)", color=MUTED)
    figure.axes[0].legend(frameon=False, loc="lower left", fontsize=8)
    note = f"Local rank of pre-activations, {data}: one line a seed, a dot where the loss is 1 % of its start"
    return _png(figure, note)


def _vib(runs: Sequence[Run]) -> bytes:
    """Ranks of d mu / d x over b, and beside them what the code costs and how often it errs."""
    ends = [(run.settings.b, run.rows[-1]) for run in runs if isinstance(run.settings, Vib)]
    found = sorted(ends, key=lambda end: end[0])  # several seeds have one b
    b = sorted({b for b, _ in found})
    figure = _figure(11, 4.2)
    axes = figure.add_subplot(1, 2, 1)
    for what, (colour, marker) in zip(SHOWN, STYLES, strict=True):
        seen = [(b, MEASURES[what](row["layers"][-1])) for b, row in found]
        axes.plot(*zip(*seen, strict=True), color=colour, marker=marker, markersize=4, linestyle="", alpha=0.4)
        axes.plot(b, [np.mean([v for each, v in seen if each == at]) for at in b], color=colour, label=what)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    _plain(axes, "Local rank of the encoder's mean")
    other = figure.add_subplot(1, 2, 2)
    for key, factor, label, (colour, marker) in (
        ("kl_bits", 1.0, "KL, bits", STYLES[1]),
        ("test_error", 100.0, "test error, %", STYLES[0]),
    ):
        seen = [(b, factor * row[key]) for b, row in found]
        other.plot(*zip(*seen, strict=True), color=colour, marker=marker, markersize=4, linestyle="", alpha=0.4)
        other.plot(b, [np.mean([v for each, v in seen if each == at]) for at in b], color=colour, label=label)
    other.legend(frameon=False, fontsize=8, loc="upper center")
    _plain(other, "Rate and error")
    for each in (axes, other):
        each.set_xscale("log")
        each.set_xlabel("b, the weight of the KL (1 / beta)", color=INK)
    return _png(figure, "Deep VIB on digits: the mean over seeds, and each seed")


def _linear(runs: Sequence[Run]) -> bytes:
    """The staircase of ranks and the information curve, in closed form and measured."""
    found = [(run.settings, run.rows[-1]) for run in runs if isinstance(run.settings, Linear)]
    settings = found[0][0]
    best = solve(settings.pair())
    fine = np.geomspace(settings.low, settings.high, 4000)
    figure = _figure(11, 4.2)
    stairs, curve = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    stairs.plot(fine, [best.rank(beta) for beta in fine], color=INK, linewidth=1, label="closed form")
    curve.plot([best.about_x(b) for b in fine], [best.about_y(b) for b in fine], color=INK, linewidth=1)
    for objective, (colour, marker) in zip(dict.fromkeys(each.objective for each, _ in found), STYLES, strict=False):
        for number, row in enumerate(row for each, row in found if each.objective == objective):
            style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 3, "linestyle": "", "alpha": 0.5}
            stairs.plot(row["beta"], row["rank"], label=f"trained, {objective}" if number == 0 else None, **style)
            curve.plot(row["about_x"], row["about_y"], **style)
    for critical in best.critical:
        stairs.axvline(critical, color=GRID, zorder=0)
    stairs.set_xscale("log")
    stairs.set_xticks(best.critical, [f"{critical:.2f}" for critical in best.critical])
    stairs.minorticks_off()
    stairs.set_xlabel("beta, log scale; marks at 1 / (1 - lambda)", color=INK)
    stairs.legend(frameon=False, fontsize=8, loc="lower right")
    curve.set_xlabel("I(T;X), bits", color=INK)
    _plain(stairs, "Local rank of the best linear encoder")
    _plain(curve, "I(T;Y), bits")
    return _png(figure, "Gaussian information bottleneck: all seeds")


def _encoder(encoders: Sequence[Encoder]) -> bytes:
    """Mean singular values of each layer's Jacobian, as shares of the largest."""
    figure = _figure(12, 4.2)
    names = list(dict.fromkeys(each.name for each in encoders))
    shades = dict(zip([name for name in names if not name.startswith("fresh")], STYLES, strict=False))
    for place, layer in enumerate(LAYERS, 1):
        axes = figure.add_subplot(1, len(LAYERS), place)
        for each in encoders:
            values = np.array(each.layers[place - 1]["spectrum"])
            fresh = each.name.startswith("fresh")
            colour = MUTED if fresh else shades.get(each.name, STYLES[0])[0]
            label = each.name if each.quality == QUALITIES[0] and each.name in (*shades, "fresh 0") else None
            style = ("-", "--", ":")[QUALITIES.index(each.quality)]
            axes.plot(
                np.arange(1, len(values) + 1),
                values / (values[0] or 1),  # of a layer that is dead, nothing is seen
                color=colour,
                linewidth=0.7 if fresh else 1.6,
                linestyle=style,
                label=label,
            )
        axes.set_yscale("log")
        axes.set_ylim(1e-3, 1.3)
        axes.set_xlabel("number of the singular value", color=INK)
        _plain(axes, layer)
    figure.axes[0].legend(frameon=False, fontsize=8, loc="lower left")
    qualities = ", ".join(f"{quality:g}" for quality in QUALITIES)
    return _png(figure, f"Hyper-encoder: singular values over the largest; solid, dashed, dotted: quality {qualities}")


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=150)


def _plain(axes: Axes, title: str) -> None:
    if title:
        axes.set_title(title, loc="left", color=INK, fontsize=10)
        axes.grid(color=GRID, linewidth=0.8)
    axes.tick_params(which="both", colors=MUTED, length=0)
    axes.spines[:].set_visible(False)


def _png(figure: Figure, note: str) -> bytes:
    figure.suptitle(note, x=0.01, ha="left", color=MUTED, fontsize=9)
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="white")
    return file.getvalue()
