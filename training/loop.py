"""The training loop: one stage after the other, flat.

    for each stage:  draw a batch -> loss -> gradient, averaged, clipped -> Adam -> now and then: log, evaluate, save

Several processes do the same together, each with its share of every batch (processes.py, on Lightning Fabric). They
agree before each step on how far the training is and whether it goes on; only the first one writes and speaks.

A step depends on the seed, its number, the weights and the optimiser's moments, and on nothing else; so a run that was
stopped and resumed is, bit for bit, the run that was not (with the same machine, threads, processes and number of
steps; a run whose length is given in minutes depends on the clock).
"""

from __future__ import annotations

import dataclasses
import json
import math
import platform
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from training import checkpoint, processes
from training.checkpoint import Checkpoint
from training.config import Recipe, Schedule
from training.digits import StyleTask, WaysTask
from training.errors import CheckpointError, Diverged
from training.inter import InterTask
from training.journal import Journal, tensorboard_is_there
from training.live import Live
from training.losses import PriorTask, SynthesisTask, Task
from training.residual import ResidualTask

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["learning_rate", "train"]

BETAS = (0.9, 0.99)
LENGTH = ("steps", "minutes")  # keys of a schedule that may change when a run is resumed

TASKS: dict[str, Callable[..., Task]] = {
    "prior": PriorTask,
    "synthesis": SynthesisTask,
    "residual": ResidualTask,
    "style": StyleTask,
    "ways": WaysTask,
    "inter": InterTask,
}

Stop = Callable[[], bool]


def train(
    recipe: Recipe,
    data: Any,
    validation: Any,
    out: Path,
    *,
    resume: bool = False,
    starts: Mapping[str, Checkpoint] = MappingProxyType({}),
    stop: Stop = lambda: False,
    fabric: Fabric | None = None,
) -> list[Path]:
    """Train all stages of a recipe.

    Parameters
    ----------
    data : what the recipe's stages learn from: Photos, or an array of digits (N, h, w) uint8
    validation : the same to evaluate with, or None
    out : folder for a checkpoint of each stage, such as `prior.npz`, for metrics.jsonl and files for TensorBoard
    resume : go on from the checkpoints in `out`; those that are there otherwise are replaced
    starts : by stage, checkpoints of any run whose weights it starts from
    stop : asked before each step; when it says so in any process, the state is saved and the training ends
    fabric : the processes that train together, from `processes.launch`; all of them call this, with the same arguments

    Returns
    -------
    list of Path
        Checkpoints of the stages that are finished.

    Raises
    ------
    Diverged
        The loss is no longer a number. The last checkpoint is from before that.
    RecipeError
        A batch cannot be shared evenly by the processes.
    TrainingError
        One of the processes has ended.
    CheckpointError
        A checkpoint to start from is damaged, or of another network or recipe.
    """
    fabric = fabric or processes.launch()
    recipe.check_shares(processes.count())
    out.mkdir(parents=True, exist_ok=True)
    if fabric.is_global_zero and not tensorboard_is_there():
        print("no files for TensorBoard are written: that takes the package tensorboardX", file=sys.stderr)
    tasks = [TASKS[name](stage, recipe, data, validation) for name, stage in recipe.stages.items()]
    finished = []
    for task in tasks:
        path = out / f"{task.name}.npz"
        known = checkpoint.load(path) if resume and path.exists() else None
        if not run_stage(task, recipe, out, known, starts.get(task.name), stop, fabric):
            break
        finished.append(path)
    return finished


def run_stage(
    task: Task,
    recipe: Recipe,
    out: Path,
    known: Checkpoint | None,
    start: Checkpoint | None,
    stop: Stop,
    fabric: Fabric,
) -> bool:
    """Train one stage, from a checkpoint of its own or from the weights of another run; False if it was stopped."""
    path, first = out / f"{task.name}.npz", fabric.is_global_zero
    schedule, model = task.schedule, task.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    groups = [{"params": parameters, "factor": factor} for parameters, factor in task.groups()]
    optimizer = torch.optim.Adam(groups, lr=schedule.learning_rate, betas=BETAS)
    parameters = list(model.parameters())
    step, before = 0, 0.0
    if known:
        check_same(known, task.name, recipe, path)
        checkpoint.restore(known, model, optimizer, task.state())
        step, before = int(known.card["step"]), float(known.card["minutes"])
    else:
        if first:
            task.prepare()
        if start:
            checkpoint.load_model(start, model, whole=False)
        processes.spread([*model.state_dict().values(), *task.state().values()])
    begun, saved, losses, origin = time.monotonic(), time.monotonic(), list[float](), step

    def minutes() -> float:
        return before + (time.monotonic() - begun) / 60

    def progress() -> float:
        return step / schedule.steps if schedule.steps else minutes() / (schedule.minutes or math.inf)

    def save() -> None:
        if first:
            card = card_of(task.name, recipe, step, minutes())
            checkpoint.save(path, checkpoint.capture(card, model, optimizer, task.state()))

    with closing(Journal(out, task.name, step, before, first)) as journal, closing(Live(task.name, first)) as live:
        while True:
            done, stopped = processes.most(progress(), progress() < 1 and stop())
            if done >= 1 or stopped:
                break
            rng = np.random.default_rng([recipe.seed, *task.name.encode(), step])
            rate = learning_rate(schedule, step, done)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]

            loss = task.loss(rng, done)
            optimizer.zero_grad()
            fabric.backward(loss)
            losses.append(processes.average(parameters, loss))
            norm = float(torch.nn.utils.clip_grad_norm_(parameters, schedule.clip))
            if not math.isfinite(losses[-1]) or not math.isfinite(norm):
                kept = f"{path} is from before that" if path.exists() else "there is no checkpoint yet"
                raise Diverged(f"{task.name}, step {step}: loss {losses[-1]}, norm of the gradient {norm}; {kept}")
            optimizer.step()
            step += 1
            task.mend(step, rng)

            mean = math.fsum(losses) / len(losses)  # since the last record
            if live.due:
                live.show(step, progress(), {"loss": mean, **task.glance()})
            if step % recipe.log_steps == 0:
                record = {"loss": round(mean, 5), **task.report()}
                journal.write(step, minutes(), record | {"learning_rate": rate, "gradient_norm": round(norm, 4)})
                losses.clear()
            if first and step % recipe.evaluate_steps == 0:
                journal.write(step, minutes(), evaluated(task))
            if time.monotonic() - saved > 60 * recipe.checkpoint_minutes:
                save()
                saved = time.monotonic()
        if first and (step > origin or stopped):
            save()
        if first and step > origin and not stopped:
            journal.write(step, minutes(), {"done": True} | evaluated(task))
        fabric.barrier()  # the others find what the first one has written
    return not stopped


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
        "processes": processes.count(),
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
