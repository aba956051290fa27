"""Quantisers against each other: the same autoencoder, codes, steps, batches and starts, and another quantiser.

    distortion   mean squared error per sample of what a decoder makes of the codes, on held-out pictures
    bits         per picture, of a range coder with tables learned on training pictures
    usage        perplexity, and codewords that no held-out picture takes
    gap          how much worse codes do than the relaxed values that a method was trained on, where it has any
    curve        the distortion along the training

Runs of one seed are pairs: they begin with the same weights, put their codewords at the same pictures, and see the same
batches. A method differs from the baseline by ln(a / b) of each seed, and the mean of that has a t interval.

Every finished run is a line of a file; what is there is not done again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from codec.files import atomic_write
from tools.code_bits import code_bytes, group_entropies, tables, usage
from tools.image_sets import ImageSet
from tools.rate_distortion import MeasureError
from tools.species import batches
from tools.trajectories import snapshots
from tools.vq_autoencoder import Settings, Training
from tools.vq_baselines import fsq_levels
from training.usage import perplexity

__all__ = ["BASELINE", "METHODS", "Paired", "Runs", "against", "chosen", "follow", "paired", "tuned"]

METHODS = ("ste", "ema", "rotation-trick", "simvq", "fsq", "hopfield", "annealed")
BASELINE = "ste"
COOLDOWN = 0.5  # of all trainings, so that curves have flattened at the end
SNAPSHOTS, LOOKED_AT = 24, 2000  # of a curve; held-out pictures that it is about
LEARNED = 10_000  # training pictures that the tables are learned on, at most
TUNING_SEED = 1000  # of no run of the study
T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)  # 97.5 % of Student's t, 1 .. 9 degrees

START: dict[str, Any] = {"rate": 0.003, "commitment": 0.25}
COMMITMENT = ("commitment", (0.25, 0.1, 0.03, 0.01, 0.003))
RATE = ("rate", (0.001, 0.003, 0.01, 0.03))
LADDERS: dict[str, tuple[tuple[str, tuple[Any, ...]], ...]] = {  # what a method has to turn, in the order of turning
    "ste": (COMMITMENT, RATE),
    "ema": (COMMITMENT, ("decay", (0.8, 0.9, 0.95, 0.99)), RATE),
    "rotation-trick": (COMMITMENT, RATE),
    "simvq": (COMMITMENT, ("rotate", (False, True)), RATE),
    "fsq": (("levels", (None, 3, 1)), RATE),
    "hopfield": (COMMITMENT, ("beta", (1.0, 4.0, 16.0)), RATE),
    "annealed": (COMMITMENT, ("beta_first", (0.25, 1.0, 4.0)), ("beta_last", (64.0, 256.0, 1024.0)), RATE),
}
CHOSEN: dict[str, dict[str, Any]] = {  # by `tuned`, on Fashion-MNIST
    "ste": {"commitment": 0.1, "rate": 0.003},
    "ema": {"commitment": 0.1, "rate": 0.003, "decay": 0.8},
    "rotation-trick": {"commitment": 0.1, "rate": 0.003},
    "simvq": {"commitment": 0.1, "rate": 0.01, "rotate": False},
    "fsq": {"rate": 0.01},
    "hopfield": {"commitment": 0.03, "rate": 0.01, "beta": 4.0},
    "annealed": {"commitment": 0.01, "rate": 0.01, "beta_first": 1.0, "beta_last": 64.0},
}

Row = dict[str, Any]


def chosen(method: str, **size: Any) -> Settings:
    """Of a method, as `tune` found them; see docs/hopfield.md."""
    return Settings(method, **size, **CHOSEN[method], cooldown=COOLDOWN)


class Runs:
    """The file of finished runs, JSON a line."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, list[Row]()
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            self.rows = [json.loads(line) for line in lines]
            self.keys = [key(row["images"], row["settings"]) for row in self.rows]
        except FileNotFoundError:
            self.keys = []
        except (ValueError, KeyError, TypeError) as error:
            raise MeasureError(f"{path} is no file of runs ({error}); move it away") from error

    def run(self, data: str, images: ImageSet, settings: Settings, **how: Any) -> Row | None:
        """The run with these settings, done now unless it is there; None if it was stopped."""
        wanted = key(images.digest, asdict(settings))
        if wanted in self.keys:
            return self.rows[self.keys.index(wanted)] | {"data": data}
        found = follow(Training(settings, images), **how)
        if found is not None:
            found = {"data": data, "images": images.digest, "settings": asdict(settings)} | found
            self.rows.append(found)
            self.keys.append(wanted)
            text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in self.rows)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(self.path, text.encode(), force=True)
        return found


def key(digest: str, settings: Row) -> str:
    """Of everything that the numbers depend on, but for versions and processors."""
    return json.dumps([digest, settings], sort_keys=True)


def follow(
    training: Training,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] | None = None,
) -> Row | None:
    """Train to the end, and measure: what a row holds but for what it is about. None if it was stopped."""
    settings, images = training.settings, training.images
    moments, curve = set(snapshots(settings.steps, SNAPSHOTS).tolist()), []
    picked, some = batches(len(images.train_images), settings.seed, 0), images.test_images[:LOOKED_AT]
    for step in range(settings.steps + 1):
        if stop():
            return None
        training.at(step)
        if step in moments:
            judged = training.judge(some)
            curve.append([step, judged.hard, judged.soft])
        if step < settings.steps:
            training.learn(step, next(picked))
        if progress:
            progress(step, settings.steps)
    return {"curve": curve} | measured(training)


def measured(training: Training) -> Row:
    """A training as it stands, on all held-out pictures; bits are per picture."""
    settings, images = training.settings, training.images
    judged = training.judge(images.test_images)
    if not math.isfinite(judged.hard):
        raise MeasureError(f"{settings.name} diverged at rate {settings.rate}")
    words = math.prod(fsq_levels(settings.words, settings.levels)) if settings.method == "fsq" else settings.words
    freqs = tables(training.codes(images.train_images[:LEARNED]), words)
    counts = usage(judged.codes, words)
    return {
        "hard": judged.hard,
        "soft": judged.soft,
        "association": judged.association,
        "budget": settings.groups * math.log2(words),
        "file": 8 * len(code_bytes(judged.codes, freqs)) / len(judged.codes),
        "zero_order": float(group_entropies(judged.codes, words).sum()),
        "perplexity": float(perplexity(torch.from_numpy(counts)).mean()),
        "dead": int((counts == 0).sum()),
        "held_out": len(judged.codes),
    }


def tuned(tries: Runs, data: str, images: ImageSet, method: str, size: Row, stop: Callable[[], bool]) -> Settings:
    """The settings with the least distortion on `images`: each knob in its turn is moved for as long as that helps."""

    def error(settings: Settings) -> float:
        row = tries.run(data, images, settings, stop=stop)
        if row is None:
            raise MeasureError(f"stopped; the same command goes on from what is in {tries.path}")
        return float(row["hard"])

    best = Settings(method, **size, **START, cooldown=COOLDOWN, seed=TUNING_SEED)
    for knob, ladder in LADDERS[method]:
        here = None
        while here != best:
            here, place = best, ladder.index(getattr(best, knob))
            around = ladder[max(0, place - 1) : place + 2]
            best = min((best, *(replace(best, **{knob: value}) for value in around)), key=error)
    return best


@dataclass(frozen=True, slots=True)
class Paired:
    """A mean over pairs with its interval of 95 %; no interval (nan) with one pair."""

    mean: float
    low: float
    high: float
    pairs: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def paired(differences: Sequence[float]) -> Paired:
    """Student's t interval of what pairs differ by."""
    mean, count = fmean(differences), len(differences)
    if count < 2:
        return Paired(mean, math.nan, math.nan, count)
    half = (T[count - 2] if count - 2 < len(T) else T[-1]) * stdev(differences) / math.sqrt(count)
    return Paired(mean, mean - half, mean + half, count)


def against(rows: Iterable[Row], data: str, method: str, of: str, base: str = BASELINE) -> Paired | None:
    """ln of a number of a method over that of the baseline, seed by seed; None without a pair."""
    both = [
        {row["settings"]["seed"]: row[of] for row in rows if (row["data"], row["settings"]["method"]) == (data, name)}
        for name in (method, base)
    ]
    seeds = sorted(both[0].keys() & both[1].keys())
    return paired([math.log(both[0][seed] / both[1][seed]) for seed in seeds]) if seeds else None
