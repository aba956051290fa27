"""Trainings by several processes: `python -m tests.together FOLDER COUNT`, which test_processes.py runs and looks at.

Fabric starts the other processes with the same command. Each writes to FOLDER what it alone can know, under its rank.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import torch

from tests.pictures import folder_of_pictures
from training import loop, processes
from training.checkpoint import digest
from training.config import parse_recipe
from training.data import Photos
from training.errors import TrainingError
from training.networks import HYPER_SPREAD, Standardise

HEAD = """
name = "tiny"
log_steps = 1
evaluate_steps = 6
[data]
train = "pictures"
validation_pictures = 1
"""
SCHEDULE = "schedule = {steps = 10, batch = 4, crop = 32, warmup = 2}"
PRIOR = f"{HEAD}[prior]\nwidth = 8\nhidden = 6\n{SCHEDULE}\n"
RECIPES = {
    "prior": PRIOR + "quantizer = {revive_below = 0.5, revive_every = 2}",
    "annealed": PRIOR + "quantizer = {method = 'annealed'}",
    "moving-average": PRIOR + "quantizer = {method = 'moving-average'}",
    # Standardising four vectors, and Adam where a gradient is nothing but noise, would make much of the least noise.
    "standardised": PRIOR.replace("warmup = 2", "warmup = 2, learning_rate = 1e-5") + "hyper_norm = true",
    "synthesis": f"{HEAD}[synthesis]\nwidth = 8\nblocks = 1\n{SCHEDULE}",
    "residual": f"{HEAD}[residual]\nwidth = 6\ncoarse = 0.5\n{SCHEDULE}",
}
TASKS = (loop.PriorTask, loop.SynthesisTask, loop.ResidualTask)
STOPPED = 5  # step


def photos_of(folder: Path) -> Photos:
    """The pictures to train on."""
    return Photos(folder_of_pictures(folder, (48, 48), (64, 40), (40, 56)))


def watch(found: list[str]) -> None:
    """Have every step of every task leave a digest of the weights behind."""
    for task in TASKS:

        def mend(self, step, rng, plain=task.mend):
            plain(self, step, rng)
            found.append(digest(self.model))

        task.mend = mend


def spoil(rank: int, step: int, harm) -> None:
    """Have one process's loss come to harm at a step of the prior."""
    plain, numbers = loop.PriorTask.loss, iter(range(10**6))

    def loss(*arguments):
        value = plain(*arguments)
        return harm(value) if next(numbers) == step and processes.rank() == rank else value

    loop.PriorTask.loss = loss


def standardised(count: int) -> float:
    """How far a `Standardise` of all processes together is from one that sees the whole batch: values and gradients."""
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(6, 3, 2, 2, generator=generator).double() for _ in range(2))
    whole, shared, own = Standardise(3).double(), Standardise(3).double(), processes.share(len(x))
    with torch.no_grad():
        x[:, 1] = 5 + 2 * x[:, 1]
    x.requires_grad_()
    y = HYPER_SPREAD * torch.nn.BatchNorm2d.forward(whole, x)
    (y * weight).sin().mean().backward()
    part = x.detach()[own].requires_grad_()
    z = shared(part)
    (z * weight[own]).sin().mean().backward()
    pairs = [(z, y[own]), (part.grad / count, x.grad[own])]
    pairs += [(a, b) for a, b in zip(shared.state_dict().values(), whole.state_dict().values(), strict=True)]
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def outcome(train, *arguments, **options) -> str:
    """What a training ends with."""
    try:
        return str(len(train(*arguments, **options)))
    except TrainingError as error:
        return f"{type(error).__name__}: {error}"


def main(folder: Path, count: int) -> None:
    fabric = processes.launch(count)
    torch.set_num_threads(1)
    photos, rank, plain = photos_of(folder / f"pictures{fabric.global_rank}"), fabric.global_rank, loop.PriorTask.loss
    digests, outcomes = list[str](), list[str]()
    watch(digests)

    def note() -> None:
        (folder / f"digests{rank}").write_text("\n".join(digests))
        (folder / f"outcomes{rank}").write_text("\n".join(outcomes))

    (folder / f"standardised{rank}").write_text(str(standardised(count)))
    for name, text in RECIPES.items():
        outcomes.append(outcome(loop.train, parse_recipe(text), photos, photos, folder / name, fabric=fabric))

    recipe, asked = parse_recipe(RECIPES["prior"]), iter(range(10**6))
    last = rank == count - 1

    def stop() -> bool:  # only one of them is asked to
        return last and next(asked) >= STOPPED

    for resume in (False, True):
        broken = {"resume": True} if resume else {"stop": stop}
        outcomes.append(outcome(loop.train, recipe, photos, photos, folder / "broken", fabric=fabric, **broken))

    spoil(count - 1, 2, lambda loss: loss * math.nan)
    outcomes.append(outcome(loop.train, recipe, photos, photos, folder / "nan", fabric=fabric))
    note()
    loop.PriorTask.loss = plain
    spoil(count - 1, 2, lambda loss: os._exit(0))
    outcomes.append(outcome(loop.train, recipe, photos, photos, folder / "lost", fabric=fabric))
    note()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
