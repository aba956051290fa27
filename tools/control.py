"""The control: what codewords for groups of coefficients win over numbers for single ones.

    one recipe, seed, number of steps ──▶ a prior of groups, and the same networks with numbers (training.slices)
    both at several qualities on validation pictures ──▶ two curves ──▶ BD-rate of vectors against numbers

Bits are -log2 of the networks' probabilities and pictures are those of the linear decoder: no files and no filter. Both
choose codes by bits + w squared error with the same w, in training and here; each with its own bits.
"""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tools.charts import log_ticks, number
from tools.curves import BDRate, Curve, bd_rate
from tools.plot import GRID, INK, MUTED
from tools.rate_distortion import MeasureError
from training import checkpoint, loop
from training.config import Recipe
from training.data import Photos
from training.losses import PriorTask

__all__ = ["KINDS", "QUALITIES", "Control", "Knot", "as_json", "control", "draw", "recipe_of", "table"]

KINDS = ("scalar", "vector")  # the anchor first
QUALITIES = (0.05, 0.23, 0.41, 0.59, 0.77, 0.95)
WARMUP_SHARE = 5  # the warm-up takes at most a fifth of a short run
BLOCK = 256  # pixels


@dataclass(frozen=True, slots=True)
class Knot:
    """Means over the pictures at a quality; `parts` are the bits per pixel of the hyper-latent and of slices 0..6."""

    quality: float
    bpp: float
    psnr: float
    symbols: float  # per block of 16x16 pixels
    parts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Control:
    """What was found, by kind; `against` is the rate of vectors against numbers, or why there is none."""

    recipe: Recipe
    steps: int
    pictures: tuple[str, ...]
    knots: dict[str, tuple[Knot, ...]]
    against: BDRate | str

    def curve(self, kind: str) -> Curve:
        """PSNR over rate."""
        knots = sorted((knot.bpp, knot.psnr) for knot in self.knots[kind])
        return Curve(tuple(bpp for bpp, _ in knots), tuple(psnr for _, psnr in knots), frozenset(self.pictures))

    def symbols(self, kind: str) -> float:
        """Per block, the mean over qualities."""
        return math.fsum(knot.symbols for knot in self.knots[kind]) / len(self.knots[kind])


def recipe_of(recipe: Recipe, kind: str, steps: int) -> Recipe:
    """The recipe of one kind: its prior alone, for so many steps."""
    if recipe.prior is None:
        raise MeasureError(f"the recipe {recipe.name} has no [prior]")
    short = recipe.prior.schedule
    schedule = dataclasses.replace(short, steps=steps, minutes=None, warmup=min(short.warmup, steps // WARMUP_SHARE))
    prior = dataclasses.replace(recipe.prior, schedule=schedule, scalar=kind == "scalar")
    return dataclasses.replace(recipe, name=kind, prior=prior, synthesis=None)


def control(
    recipe: Recipe,
    photos: Photos,
    validation: Photos,
    out: Path,
    steps: int,
    *,
    pictures: int,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> Control:
    """Train both kinds, each in its folder of `out`, and evaluate them.

    Parameters
    ----------
    recipe : whose prior is trained
    pictures : at most so many of the validation pictures count
    resume, stop : see `training.loop.train`

    Raises
    ------
    MeasureError
        It was stopped, or the recipe has no prior.
    """
    knots: dict[str, tuple[Knot, ...]] = {}
    recipes = {kind: recipe_of(recipe, kind, steps) for kind in KINDS}
    for kind, own in recipes.items():
        if not loop.train(own, photos, validation, out / kind, resume=resume, stop=stop):
            raise MeasureError(f"stopped; the state is in {out}, and --resume goes on from it")
    for kind, own in recipes.items():
        assert own.prior is not None
        task = PriorTask(own.prior, own, photos, validation)
        checkpoint.load_model(checkpoint.load(out / kind / "prior.npz"), task.model)
        knots[kind] = tuple(_knot(task, validation, quality, pictures) for quality in QUALITIES)
    names = tuple(validation.paths[i].name for i in validation.spread(pictures))
    bare = Control(recipe, steps, names, knots, "")
    try:
        against: BDRate | str = bd_rate(bare.curve("scalar"), bare.curve("vector"))
    except MeasureError as error:
        against = str(error)
    return dataclasses.replace(bare, against=against)


@torch.no_grad()
def _knot(task: PriorTask, validation: Photos, quality: float, pictures: int) -> Knot:
    task.model.eval()
    rows = []
    for picture in validation.whole(pictures):
        coded, bpp, psnr = task.measure(picture, quality)
        pixels = picture.shape[0] * picture.shape[1]
        rows.append([bpp, psnr, coded.symbols * BLOCK / pixels, *(coded.bits[0] / pixels).tolist()])
    bpp, psnr, symbols, *parts = np.mean(rows, 0).tolist()
    return Knot(quality, bpp, psnr, symbols, tuple(parts))


def as_json(found: Control, **facts: Any) -> dict[str, Any]:
    """Everything that was found; `facts` such as machine, versions and date."""
    against = dataclasses.asdict(found.against) if isinstance(found.against, BDRate) else found.against
    kinds = {kind: [dataclasses.asdict(knot) for knot in knots] for kind, knots in found.knots.items()}
    return {
        **facts,
        "recipe": dataclasses.asdict(found.recipe),
        "steps": found.steps,
        "pictures": list(found.pictures),
        "kinds": kinds,
        "symbols_per_block": {kind: found.symbols(kind) for kind in KINDS},
        "bd_rate_vector_against_scalar": against,
    }


def table(found: Control) -> str:
    """Both curves side by side, and the verdict."""
    head = ["quality", *(f"{kind} {what}" for kind in KINDS for what in ("bpp", "dB", "symbols")), "rate at equal dB"]
    rows = [head]
    other = found.curve("scalar")
    for knots in zip(*(found.knots[kind] for kind in KINDS), strict=True):
        row = [f"{knots[0].quality:.2f}"]
        row += [text for k in knots for text in (f"{k.bpp:.4f}", f"{k.psnr:.3f}", f"{k.symbols:.1f}")]
        rate = float(other.rates_at(np.array([knots[1].psnr]))[0])  # nan where the other curve does not reach
        rows.append([*row, "-" if math.isnan(rate) else f"{100 * (knots[1].bpp / rate - 1):+.2f} %"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    against = found.against
    verdict = f"{against.percent:+.2f} %" if isinstance(against, BDRate) else f"none: {against}"
    counts = " against ".join(f"{found.symbols(kind):.1f}" for kind in reversed(KINDS))
    return "\n".join(
        [
            *lines,
            f"BD-rate of vectors against numbers after {found.steps} steps each: {verdict}",
            f"symbols per block of 16x16, mean over the qualities: {counts}",
        ]
    )


def draw(found: Control) -> bytes:
    """The curves as a PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(6, 5), layout="constrained", dpi=150)
    axes = figure.add_subplot()
    styles: Sequence[tuple[str, str, str]] = (("numbers", "#0b62a8", "s"), ("vectors", "#c2410c", "o"))
    for kind, (label, colour, marker) in zip(KINDS, styles, strict=True):
        line = found.curve(kind)
        axes.plot(line.rates, line.qualities, color=colour, marker=marker, markersize=4.5, linewidth=1.6, label=label)
    axes.set_xscale("log")
    rates = [knot.bpp for knots in found.knots.values() for knot in knots]
    marks = log_ticks(min(rates), max(rates))
    axes.set_xticks(marks, [number(mark) for mark in marks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("bits per pixel of the prior, log scale", color=INK)
    axes.set_title("PSNR of the linear decoder, dB", loc="left", color=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.tick_params(colors=MUTED, length=0)
    axes.spines[:].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    note = f"Mean over {len(found.pictures)} pictures, {found.steps} steps each"
    figure.suptitle(note, x=0.01, ha="left", color=MUTED, fontsize=9)
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="white")
    return file.getvalue()
