"""The information plane of autoencoders with codes, where I(X;Z) is known: at each snapshot of a training,

    bits          H(Z) exactly, on all held-out pictures and on those of the estimator; zero-order entropy; file bits
    distortion    of codes, and of one step of retrieval in their place
    codebook      perplexity, dead codewords, beta, and the beta at which retrieval loses its memories
    plane         the matrix estimator's I(X;T) and I(T;X') of every layer

A run is a file: rows of what was seen, and the state to go on from until the run is done.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from tools.code_bits import code_bytes, group_entropies, ideal_bits, joint_entropy, tables, usage
from tools.information_plane import LEE_JO, TAPIA_ESTEVEZ, Variable, plane
from tools.rate_distortion import MeasureError
from tools.species import BATCH, batches
from tools.trajectories import known, snapshots
from tools.vq_autoencoder import LAYERS, Settings, Training, critical_beta
from training import checkpoint
from training.usage import perplexity

__all__ = ["KERNELS", "Run", "document", "follow", "look", "table"]

FORMAT = 1
KERNELS = (LEE_JO, TAPIA_ESTEVEZ)
LEARNED = 10_000  # training pictures that the tables are learned on, at most
SAVE_EVERY = 60.0  # seconds

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """What was found.

    Attributes
    ----------
    settings : of the training
    samples, held_out : pictures that the estimator saw, and that all else is about
    rows : of each snapshot, see `look`
    """

    settings: Settings
    samples: int
    held_out: int
    rows: list[Row]

    def over(self, of: Callable[[Row], float | None]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """A number of each row, (n,); nan where there is none."""
        return np.array([math.nan if (value := of(row)) is None else value for row in self.rows], np.float64)


class Watch:
    """Looks at a training, always at the same pictures."""

    def __init__(self, training: Training, samples: int) -> None:
        images = training.images
        if samples > len(images.test_images):
            raise MeasureError(f"{samples} test pictures are to be looked at, and there are {len(images.test_images)}")
        self.training, self.samples = training, images.test_images[:samples]
        self.x = self.samples / 255
        self.inputs = [Variable.of(kernel.gram(self.x, picture=True)) for kernel in KERNELS]

    def look(self) -> Row:
        """A row: bits are per picture."""
        training = self.training
        images, words = training.images, training.settings.words
        judged = training.judge(images.test_images)
        codes, count = judged.codes, len(judged.codes)
        freqs = tables(training.codes(images.train_images[:LEARNED]), words)
        counts = usage(codes, words)
        layers, output = training.layers(self.samples)
        planes = (plane(self.x, layers, output, k, known=v) for k, v in zip(KERNELS, self.inputs, strict=True))
        critical = critical_beta(training.model.codebook.detach().numpy())
        return {
            "exact": joint_entropy(codes),
            "exact_samples": joint_entropy(codes[: len(self.samples)]),
            "zero_order": float(group_entropies(codes, words).sum()),
            "ideal": ideal_bits(codes, freqs) / count,
            "file": 8 * len(code_bytes(codes, freqs)) / count,
            "hard": judged.hard,
            "soft": judged.soft,
            "association": judged.association,
            "perplexity": perplexity(torch.from_numpy(counts)).tolist(),
            "dead": (counts == 0).sum(1).tolist(),
            "beta": training.model.beta,
            "critical": [value if math.isfinite(value) else None for value in critical.tolist()],
            "plane": [[list(found[name]) for name in LAYERS] for found in planes],
        }


def look(training: Training, samples: int) -> Row:
    """What `follow` notes of a training as it stands, but for the step and the loss."""
    return Watch(training, samples).look()


def follow(
    training: Training,
    path: Path,
    *,
    samples: int = BATCH,
    count: int = 60,
    resume: bool = True,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] | None = None,
) -> Run | None:
    """Train to the end, and watch; None if it was stopped, with the state in the file.

    Parameters
    ----------
    path : the file of the run
    samples : the first so many test pictures are the estimator's
    count : snapshots, about; each sees the network as it is before its step
    resume : take over what the file holds, rather than replace it

    Raises
    ------
    MeasureError
        The file holds something else, or there are too few pictures.
    """
    settings, watch = training.settings, Watch(training, samples)
    wanted = asdict(settings) | {
        "images": training.images.digest,
        "batch": BATCH,
        "kernels": [kernel.name for kernel in KERNELS],
        "samples": samples,
        "snapshots": count,
    }
    rows, start = [], 0
    if resume and (held := known(path, wanted)):
        rows, start = held.card["rows"], held.card["step"]
        if not held.card["done"]:
            checkpoint.restore(held, training.model, training.optimizer, {})

    def save(step: int, done: bool = False) -> None:
        card = {"settings": wanted, "step": step, "done": done, "rows": rows}
        state = checkpoint.capture(card, training.model, training.optimizer, {})
        arrays = {name: each for name, each in state.arrays.items() if not (done and name.startswith("optimizer/"))}
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(path, checkpoint.Checkpoint(card, arrays))

    moments, saved = set(snapshots(settings.steps, count).tolist()), time.monotonic()
    picked = batches(len(training.images.train_images), settings.seed, start)
    for step in range(start, settings.steps + 1):
        if stop() or time.monotonic() > saved + SAVE_EVERY:
            save(step)
            saved = time.monotonic()
        if stop():
            return None
        training.at(step)
        seen = watch.look() if step in moments else None
        loss = training.learn(step, next(picked)) if step < settings.steps else None
        if seen is not None:
            rows.append({"step": step, "loss": loss} | seen)
        if progress:
            progress(step, settings.steps)
    if start <= settings.steps:
        save(settings.steps + 1, done=True)
    return Run(settings, samples, len(training.images.test_images), rows)


def table(runs: Sequence[Run]) -> str:
    """A line for each method: its last snapshots, means over seeds."""
    head = ["method", "seeds", "H(Z)", "zero-order", "file bits", "MSE", "relaxed", "gap", "perplexity", "dead"]
    lines = [[*head, "beta", "critical", "I(X;Z)", "exact"]]
    for method in dict.fromkeys(run.settings.method for run in runs):
        lasts = [run.rows[-1] for run in runs if run.settings.method == method]

        def mean(of: Callable[[Row], float | None], form: str, lasts: list[Row] = lasts) -> str:
            values = [value for row in lasts if (value := of(row)) is not None]
            return format(fmean(values), form) if values else "-"

        lines.append(
            [
                method,
                str(len(lasts)),
                mean(lambda row: row["exact"], ".2f"),
                mean(lambda row: row["zero_order"], ".2f"),
                mean(lambda row: row["file"], ".2f"),
                mean(lambda row: row["hard"], ".5f"),
                mean(lambda row: row["soft"], ".5f"),
                mean(gap, "+.1%"),
                mean(lambda row: fmean(row["perplexity"]), ".1f"),
                mean(lambda row: sum(row["dead"]), ".0f"),
                mean(lambda row: row["beta"], ".3g"),
                mean(critical, ".3g"),
                mean(lambda row: row["plane"][0][LAYERS.index("Z")][0], ".2f"),
                mean(lambda row: row["exact_samples"], ".2f"),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    formats = [f"{'>' if i else '<'}{width}" for i, width in enumerate(widths)]
    first = runs[0]
    size = f"{first.settings.groups} groups of {first.settings.words} codewords"
    return "\n".join(
        [
            *("  ".join(map(format, line, formats)) for line in lines),
            f"{size}, {first.settings.steps:,} steps; bits per picture on {first.held_out:,} pictures, H(Z) at most "
            f"{math.log2(first.held_out):.2f}; I(X;Z) estimated and exact on {first.samples}, at most "
            f"{math.log2(first.samples):.2f}",
        ]
    )


def gap(row: Row) -> float | None:
    """How much worse codes do than retrieval, as a share of the error of retrieval; None if there is no retrieval."""
    return None if row["soft"] is None else row["hard"] / max(row["soft"], 1e-12) - 1


def critical(row: Row) -> float | None:
    """The mean critical beta of the groups that have one."""
    values = [value for value in row["critical"] if value is not None]
    return fmean(values) if values else None


def document(runs: Sequence[Run], **facts: Any) -> dict[str, Any]:
    """Everything, for results.json; `facts` such as machine and versions."""
    first = runs[0]
    return {
        "format": FORMAT,
        **facts,
        "held_out": first.held_out,
        "samples": first.samples,
        "ceilings": {"exact": math.log2(first.held_out), "samples": math.log2(first.samples)},
        "kernels": [kernel.name for kernel in KERNELS],
        "layers": LAYERS,
        "runs": [{"settings": asdict(run.settings), "rows": [rounded(row) for row in run.rows]} for run in runs],
    }


def rounded(value: Any) -> Any:
    """Numbers to six digits, however deep they sit."""
    return json.loads(json.dumps(value), parse_float=lambda text: float(f"{float(text):.6g}"))
