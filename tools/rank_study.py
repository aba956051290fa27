"""Local rank over training, over beta, and in the codec: which trainings there are, the loop, and what they show.

A training is a file in the folder of the study: a checkpoint while it runs, and what was seen of it once it is
finished. So whatever interrupts a study, it goes on from there. The claims are those of Patel and Shwartz-Ziv 2024
(arXiv 2410.07687); the settings are our own, in `plan`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tools.gaussian_bottleneck import solve
from tools.rank_bottlenecks import WHITENED_EPS, Bottlenecks, DeepBottleneck, Linear, Vib
from tools.rank_training import EPS, RELATIVE, Examples, Fit, Learner, Perceptron, Row, gaussian_examples
from tools.rate_distortion import MeasureError
from training import checkpoint
from training.checkpoint import Checkpoint

__all__ = [
    "DECAYS",
    "MEASURES",
    "Run",
    "fits",
    "fitted",
    "follow",
    "looks",
    "marks",
    "plan",
    "spearman",
    "table",
    "transitions",
]

SAVE_EVERY = 20.0  # seconds
FITTED = 0.01  # of its first value: below it, what is left of a training is its final phase
DECAYS = {"gaussian": 2e-3, "digits": 1e-3}
B_GRID = (1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0)
OBJECTIVES = ("exact", "variational")
Settings = Fit | Vib | Linear
Measure = Callable[[Row], float]
MEASURES: dict[str, Measure] = {
    "above 0.1": lambda row: float(row["absolute"][EPS.index(0.1)]),
    "above 0.01 s_max": lambda row: float(row["relative"][RELATIVE.index(0.01)]),
    "entropy rank": lambda row: float(row["entropy"]),
    "stable rank": lambda row: float(row["stable"]),
}


@dataclass(frozen=True, slots=True)
class Run:
    """A finished training and what was seen of it."""

    settings: Settings
    rows: list[Row]


def plan(seeds: int, quick: bool, digits: bool) -> list[Settings]:
    """All trainings. Without digits, there are only those on Gaussian data."""
    found: list[Settings] = []
    short = 10 if quick else 1
    for seed in range(seeds):
        for decay in (DECAYS["gaussian"], 0.0):
            found.append(Fit("gaussian", decay, seed, (64, 64), 1000, 10000 // short, batch=16, rate=0.02))
        for decay in (DECAYS["digits"], 0.0) if digits else ():
            found.append(Fit("digits", decay, seed, (64, 64, 64), 5000, 10000 // short, batch=32, rate=0.03))
        found += [Linear(objective, seed, *((300, 0.1) if quick else (1000, 0.06))) for objective in OBJECTIVES]
    for b in B_GRID[:: 2 if quick else 1] if digits else ():
        found += [Vib(b, seed, (64,), latent=16, steps=800 // short, batch=64, rate=2e-3) for seed in range(seeds)]
    return found


def learner(settings: Settings, digits: Examples | None) -> Learner:
    """The training of some settings, at its start."""
    torch.manual_seed(settings.seed)
    match settings:
        case Linear():
            return Bottlenecks(settings)
        case Vib() if digits is not None:
            return DeepBottleneck(settings, digits)
        case Fit(data="gaussian"):
            return Perceptron(settings, gaussian_examples(settings), classes=False)
        case Fit() if digits is not None:
            return Perceptron(settings, digits, classes=True)
    raise ValueError(f"{settings.name} needs digits")


def marks(steps: int, count: int) -> list[int]:
    """At most `count` + 1 numbers of steps, 0 and the last one among them: half log-spaced, half evenly spaced."""
    if count < 2:
        return [steps]
    spaced = [np.geomspace(1, steps, count // 2), np.linspace(0, steps, count - count // 2)]
    return sorted({round(float(step)) for step in np.concatenate(spaced)})


def follow(
    settings: Settings, examples: Examples | None, path: Path, data: str, stop: Callable[[], bool] = lambda: False
) -> Run | None:
    """Train, look at the marks, keep the state in a file; None if it was stopped.

    Parameters
    ----------
    examples : digits, where the settings need them
    path : the file
    data : the digest of the digits, which a file has to agree on

    Raises
    ------
    MeasureError
        The file is of other settings or data.
    CheckpointError
        The file is damaged.
    """
    card: dict[str, Any] = {"settings": asdict(settings), "data": data, "step": 0, "rows": [], "finished": False}
    card = json.loads(json.dumps(card))
    old = checkpoint.load(path) if path.exists() else None
    if old:
        if any(old.card.get(key) != card[key] for key in ("settings", "data")):
            raise MeasureError(f"{path} is of other settings or data; --fresh replaces it, another folder keeps it")
        card = old.card
    if card["finished"]:
        return Run(settings, card["rows"])
    task = learner(settings, examples)
    if old:
        checkpoint.restore(old, task.model, task.optimizer, {})
    due, saved = set(marks(settings.steps, settings.looks)), time.monotonic()
    for number in range(card["step"], settings.steps + 1):
        card["step"] = number
        if number in due and not any(row["step"] == number for row in card["rows"]):
            card["rows"].append({"step": number, **task.look()})
        if number == settings.steps:
            checkpoint.save(path, Checkpoint(card | {"finished": True}, {}))
            return Run(settings, card["rows"])
        if stop() or time.monotonic() > saved + SAVE_EVERY:
            _save(path, card, task)
            saved = time.monotonic()
            if stop():
                return None
        task.step(number)
    raise AssertionError("the last step returns")


def _save(path: Path, card: dict[str, Any], task: Learner) -> None:
    checkpoint.save(path, checkpoint.capture(card, task.model, task.optimizer, {}))


# ---- what the runs show ----------------------------------------------------------------------------------------------


def fits(runs: Sequence[Run], data: str, decay: float) -> list[Run]:
    """The runs of a kind, by their seeds."""
    return [r for r in runs if isinstance(r.settings, Fit) and (r.settings.data, r.settings.decay) == (data, decay)]


def fitted(rows: Sequence[Row]) -> int:
    """The number of the row where the final phase begins: the first with a loss of 1 % of its start, or the middle."""
    first = rows[0]["train_loss"]
    steps = rows[-1]["step"]
    return next(
        (i for i, row in enumerate(rows) if row["train_loss"] <= FITTED * first),
        next(i for i, row in enumerate(rows) if 2 * row["step"] >= steps),
    )


def looks(run: Run, layer: int, measure: Measure) -> NDArray[np.float64]:
    """A measure of a layer over training."""
    return np.array([measure(row["layers"][layer]) for row in run.rows])


def information(row: Row) -> float:
    """I(X;T) of a layer, in bits."""
    return float(row["information"])


def spearman(a: Sequence[float] | NDArray[np.float64], b: Sequence[float] | NDArray[np.float64]) -> float:
    """Rank correlation, ties at their mean rank; nan where one of them is constant."""
    ranks = []
    for values in (a, b):
        _, where, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[where])
    if any(np.ptp(rank) == 0 for rank in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def transitions(run: Run) -> list[tuple[float, float]]:
    """(critical beta, measured beta) of each direction of a linear bottleneck, nan where the rank never gets there.

    Measured is the middle, on the log scale, between the last beta without and the first with it.
    """
    settings = run.settings
    if not isinstance(settings, Linear):
        raise ValueError(f"{settings.name} is no linear bottleneck")
    betas, ranks = settings.betas, np.array(run.rows[-1]["rank"])
    found = []
    for i, critical in enumerate(solve(settings.pair()).critical, 1):
        below = int((ranks < i).sum())
        measured = float(np.sqrt(betas[below - 1] * betas[below])) if 0 < below < len(betas) else np.nan
        found.append((float(critical), measured))
    return found


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation over seeds."""
    return f"{fmean(values):.1f}±{pstdev(values):.1f}"


def table(runs: Sequence[Run]) -> str:
    """A short report: transitions, VIB over b, and the final phase of each perceptron."""
    lines: list[str] = []
    linear = [run for run in runs if isinstance(run.settings, Linear)]
    if linear:
        lines.append(f"linear bottleneck: beta where the rank rises (gain > {WHITENED_EPS}), in closed form, measured")
    for run in linear:
        steps = "  ".join(f"{c:.3f} {m:.3f} ({100 * (m / c - 1):+.1f} %)" for c, m in transitions(run))
        lines.append(f"  {run.settings.name:26} {steps}")
    vib = [run for run in runs if isinstance(run.settings, Vib)]
    if vib:
        lines.append("deep VIB: b, KL in bits, test error, rank of d mu / d x above 0.1, 0.01 s_max, entropy rank")
    for b in sorted({run.settings.b for run in vib if isinstance(run.settings, Vib)}):
        rows = [run.rows[-1] for run in vib if isinstance(run.settings, Vib) and run.settings.b == b]
        ranks = [[measure(row["layers"][-1]) for row in rows] for measure in list(MEASURES.values())[:3]]
        kl, error = fmean(row["kl_bits"] for row in rows), 100 * fmean(row["test_error"] for row in rows)
        lines.append(f"  {b:<9.3g} {kl:7.2f} {error:6.1f} %  " + "  ".join(f"{spread(each):>9}" for each in ranks))
    for data, decayed in DECAYS.items():
        for decay in (decayed, 0.0):
            lines += final_phase(fits(runs, data, decay), f"{data}, weight decay {decay:g}")
    return "\n".join(lines)


def final_phase(runs: Sequence[Run], name: str) -> list[str]:
    """Each layer's measures where the fit is reached and at the end, over seeds, and in how many seeds they fell."""
    if not runs:
        return []
    starts = [fitted(run.rows) for run in runs]
    steps = [run.rows[start]["step"] for run, start in zip(runs, starts, strict=True)]
    last = runs[0].rows[-1]["step"]
    losses = fmean(run.rows[-1]["train_loss"] for run in runs)
    lines = [f"{name}: final phase from step {min(steps)}..{max(steps)} to {last}, loss at the end {losses:.2g}"]
    for layer in range(len(runs[0].rows[0]["layers"])):
        lines.append(f"  layer {layer + 1}")
        for what, measure in MEASURES.items():
            seen = [looks(run, layer, measure)[start:] for run, start in zip(runs, starts, strict=True)]
            told = [looks(run, layer, information)[start:] for run, start in zip(runs, starts, strict=True)]
            rho = fmean(spearman(a, b) for a, b in zip(seen, told, strict=True))
            fell = sum(bool(values[-1] < values[0]) for values in seen)
            ends = (spread([float(values[i]) for values in seen]) for i in (0, -1))
            shown = f"{' -> '.join(ends)}, fell in {fell} of {len(runs)}"
            correlation = "-" if math.isnan(rho) else f"{rho:+.2f}"
            lines.append(f"    {what:17} {shown:38}  Spearman with I(X;T) {correlation}")
    return lines
