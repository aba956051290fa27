"""The training loop: one stage after the other, flat.

    for each stage:  draw a batch -> loss -> gradient, clipped -> Adam -> now and then: log, evaluate, save

A step depends on the seed, its number, the weights and the optimiser's moments, and on nothing else; so a run that was
stopped and resumed is, bit for bit, the run that was not (with the same machine, threads and number of steps; a run
whose length is given in minutes depends on the clock).
"""

from __future__ import annotations

import dataclasses
import json
import math
import platform
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from codec.files import atomic_write
from training import checkpoint
from training.checkpoint import Checkpoint
from training.config import Recipe, Schedule
from training.data import Photos
from training.errors import CheckpointError, Diverged
from training.losses import PriorTask, SynthesisTask, Task
from training.residual import ResidualTask

__all__ = ["METRICS", "learning_rate", "train"]

METRICS = "metrics.jsonl"
BETAS = (0.9, 0.99)
LIVE_SECONDS = 1.0  # between two states of the line on the terminal
LENGTH = ("steps", "minutes")  # keys of a schedule that may change when a run is resumed

Stop = Callable[[], bool]


def train(
    recipe: Recipe,
    photos: Photos,
    validation: Photos | None,
    out: Path,
    *,
    resume: bool = False,
    starts: Mapping[str, Checkpoint] = MappingProxyType({}),
    stop: Stop = lambda: False,
) -> list[Path]:
    """Train all stages of a recipe.

    Parameters
    ----------
    out : folder for a checkpoint of each stage, such as `prior.npz`, and for metrics.jsonl
    resume : go on from the checkpoints in `out`; those that are there otherwise are replaced
    starts : by stage, checkpoints of any run whose weights it starts from
    stop : asked before each step; when it says so, the state is saved and the training ends

    Returns
    -------
    list of Path
        Checkpoints of the stages that are finished.

    Raises
    ------
    Diverged
        The loss is no longer a number. The last checkpoint is from before that.
    CheckpointError
        A checkpoint to start from is damaged, or of another network or recipe.
    """
    out.mkdir(parents=True, exist_ok=True)
    tasks: list[Task] = []
    if recipe.prior:
        tasks.append(PriorTask(recipe.prior, recipe, photos, validation))
    if recipe.synthesis:
        tasks.append(SynthesisTask(recipe.synthesis, recipe, photos, validation))
    if recipe.residual:
        tasks.append(ResidualTask(recipe.residual, recipe, photos, validation))
    finished = []
    for task in tasks:
        path = out / f"{task.name}.npz"
        known = checkpoint.load(path) if resume and path.exists() else None
        if not run_stage(task, recipe, out, known, starts.get(task.name), stop):
            break
        finished.append(path)
    return finished


def run_stage(
    task: Task, recipe: Recipe, out: Path, known: Checkpoint | None, start: Checkpoint | None, stop: Stop
) -> bool:
    """Train one stage, from a checkpoint of its own or from the weights of another run; False if it was stopped."""
    path, metrics = out / f"{task.name}.npz", out / METRICS
    schedule, model = task.schedule, task.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    groups = [{"params": parameters, "factor": factor} for parameters, factor in task.groups()]
    optimizer = torch.optim.Adam(groups, lr=schedule.learning_rate, betas=BETAS)
    step, before = 0, 0.0
    if known:
        check_same(known, task.name, recipe, path)
        checkpoint.restore(known, model, optimizer, task.state())
        step, before = int(known.card["step"]), float(known.card["minutes"])
    else:
        task.prepare()
        if start:
            checkpoint.load_model(start, model, whole=False)
    prune(metrics, task.name, step)
    first, begun, saved, losses = step, time.monotonic(), time.monotonic(), list[float]()
    live = Live(task.name)

    def minutes() -> float:
        return before + (time.monotonic() - begun) / 60

    def progress() -> float:
        return step / schedule.steps if schedule.steps else minutes() / (schedule.minutes or math.inf)

    def save() -> None:
        card = card_of(task.name, recipe, step, minutes())
        checkpoint.save(path, checkpoint.capture(card, model, optimizer, task.state()))

    def log(record: dict[str, Any]) -> None:
        line = {"stage": task.name, "step": step, "minutes": round(minutes(), 3)} | record
        with metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    while progress() < 1:
        if stop():
            save()
            live.end()
            return False
        rng = np.random.default_rng([recipe.seed, *task.name.encode(), step])
        rate = learning_rate(schedule, step, progress())
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]

        loss = task.loss(rng, progress())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), schedule.clip))
        losses.append(loss.item())
        if not math.isfinite(losses[-1]) or not math.isfinite(norm):
            live.end()
            kept = f"{path} is from before that" if path.exists() else "there is no checkpoint yet"
            raise Diverged(f"{task.name}, step {step}: loss {losses[-1]}, norm of the gradient {norm}; {kept}")
        optimizer.step()
        step += 1
        task.mend(step, rng)

        live.show(f"step {step}  {minutes():.1f} min  {progress():.1%}  loss {losses[-1]:.4f}  rate {rate:.1e}")
        if step % recipe.log_steps == 0:
            mean = round(math.fsum(losses) / len(losses), 5)
            log({"loss": mean, **task.report(), "learning_rate": rate, "gradient_norm": round(norm, 4)})
            losses.clear()
        if step % recipe.evaluate_steps == 0:
            log(evaluated(task))
        if time.monotonic() - saved > 60 * recipe.checkpoint_minutes:
            save()
            saved = time.monotonic()
    live.end()
    if step > first:
        save()
        log({"done": True} | evaluated(task))
    return True


def learning_rate(schedule: Schedule, step: int, progress: float) -> float:
    """Linear warm-up over the first steps, times half a cosine over the whole."""
    warm = min(1.0, (step + 1) / max(1, schedule.warmup))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return schedule.learning_rate * warm * (schedule.last + (1 - schedule.last) * cosine)


def evaluated(task: Task) -> dict[str, Any]:
    """Metrics on the validation pictures; nothing if there are none."""
    task.model.eval()
    report = task.evaluate()
    task.model.train()
    return {} if report is None else {"validation": report}


def card_of(stage: str, recipe: Recipe, step: int, minutes: float) -> dict[str, Any]:
    """What a checkpoint is a checkpoint of."""
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    return {
        "stage": stage,
        "step": step,
        "minutes": minutes,
        "recipe": dataclasses.asdict(recipe),
        "threads": torch.get_num_threads(),
        "versions": versions,
    }


def check_same(known: Checkpoint, stage: str, recipe: Recipe, path: Path) -> None:
    """A run can be resumed with another length or other folders, with nothing else changed."""
    now = json.loads(json.dumps(dataclasses.asdict(recipe)))
    try:
        then = known.card["recipe"]
        pairs = {f"{stage}.{key}": (then[stage][key], value) for key, value in now[stage].items() if key != "schedule"}
        old, new = then[stage]["schedule"], now[stage]["schedule"]
        pairs |= {f"{stage}.schedule.{key}": (old[key], new[key]) for key in new if key not in LENGTH}
        pairs |= {"seed": (then["seed"], now["seed"]), "stage": (known.card["stage"], stage)}
        changed = [f"{key} was {was!r} and is {value!r}" for key, (was, value) in pairs.items() if was != value]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path} was made by another version of the recipes: no {error}") from error
    if changed:
        raise CheckpointError(f"{path} cannot be resumed with this recipe: {'; '.join(changed)}")


def prune(metrics: Path, stage: str, step: int) -> None:
    """Take back the lines that a stage wrote after the checkpoint it goes on from, and a line that was cut."""
    if not metrics.exists():
        return
    kept = []
    for text in metrics.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if line["stage"] != stage or line["step"] <= step > 0:
            kept.append(text + "\n")
    atomic_write(metrics, "".join(kept).encode(), force=True)


class Live:
    """A line on standard error that says where the training is; silent unless that is a terminal."""

    def __init__(self, name: str) -> None:
        self.name, self.shown, self.on = name, -math.inf, sys.stderr.isatty()

    def show(self, text: str) -> None:
        if self.on and time.monotonic() - self.shown > LIVE_SECONDS:
            sys.stderr.write(f"\r\x1b[K{self.name}  {text}")
            sys.stderr.flush()
            self.shown = time.monotonic()

    def end(self) -> None:
        if self.on:
            sys.stderr.write("\n")
