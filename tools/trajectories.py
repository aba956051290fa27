"""Trajectories: where a species stood in the information plane at about 300 steps of its training.

    training ──step by step──▶ at each snapshot: losses, and every layer's (I(X;T), I(T;X')) through every kernel

Snapshots see the network as it is before their step, and the first test pictures, the same ones each time. A run is a
file: it holds what was found so far and the state to go on from; when the run is done, only what was found and the
network.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.information_plane import Kernel, Variable, plane
from tools.rate_distortion import MeasureError
from tools.species import BATCH, RATE, Training, batches
from training import checkpoint
from training.errors import CheckpointError

__all__ = ["Trajectory", "follow", "known", "snapshots"]

SAVE_EVERY = 60.0  # seconds
FOUND = "found/"
FINAL = 0.05  # the last part of a training, whose mean is "final": single snapshots are noisy


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What was found.

    Attributes
    ----------
    species, seed : whose it is
    layers, kernels : names, in the order of `bits`
    steps : (n,) int64, of the snapshots
    train, test : (n,) float64, the loss on the batch of the step and on the test set, per picture
    bits : (n, kernels, layers, 2) float64, I(X;T) and I(T;X')
    samples : pictures that the estimator saw
    """

    species: str
    seed: int
    layers: tuple[str, ...]
    kernels: tuple[str, ...]
    steps: NDArray[np.int64]
    train: NDArray[np.float64]
    test: NDArray[np.float64]
    bits: NDArray[np.float64]
    samples: int

    def of(self, layer: str = "Z", kernel: int = 0) -> NDArray[np.float64]:
        """(n, 2): I(X;T) and I(T;X') of a layer."""
        return self.bits[:, kernel, self.layers.index(layer)]

    def final(self, values: NDArray[np.float64]) -> float:
        """The mean of values (n,) over the last twentieth of the training."""
        return float(values[self.steps >= (1 - FINAL) * self.steps[-1]].mean())

    def peak(self, layer: str = "Z", kernel: int = 0) -> tuple[float, int]:
        """The largest I(X;T) of a layer, and its step."""
        place = int(self.of(layer, kernel)[:, 0].argmax())
        return float(self.of(layer, kernel)[place, 0]), int(self.steps[place])


def snapshots(steps: int, count: int = 300) -> NDArray[np.int64]:
    """At most `count` steps of 0..steps with both ends, half of them evenly in the logarithm and half in the step."""
    half = max(2, count // 2)
    both = np.concatenate([np.geomspace(1, max(1, steps), half), np.linspace(0, steps, half)])
    return np.unique(np.rint(both).astype(np.int64))


def settings(training: Training, steps: int, kernels: Sequence[Kernel], samples: int, count: int) -> dict[str, Any]:
    """Everything that the numbers depend on, but for versions and processors."""
    return {
        "species": dataclasses.asdict(training.species) | {"hidden": list(training.species.hidden)},
        "seed": training.seed,
        "images": training.images.digest,
        "steps": steps,
        "batch": BATCH,
        "rate": RATE,
        "kernels": [kernel.name for kernel in kernels],
        "samples": samples,
        "snapshots": count,
    }


def known(path: Path, wanted: dict[str, Any]) -> checkpoint.Checkpoint | None:
    """The run that a file holds; None if there is no file.

    Raises
    ------
    MeasureError
        It is damaged, or a run with other settings.
    """
    if not path.exists():
        return None
    try:
        found = checkpoint.load(path)
    except CheckpointError as error:
        raise MeasureError(f"{error}; remove it, or --fresh replaces it") from error
    had = found.card.get("settings", {})
    if other := [f"{key} {had.get(key)}, not {wanted[key]}" for key in wanted if had.get(key) != wanted[key]]:
        raise MeasureError(f"{path} is a run with {'; '.join(other)}; choose another folder, or --fresh replaces it")
    return found


def follow(
    training: Training,
    steps: int,
    kernels: Sequence[Kernel],
    path: Path,
    *,
    samples: int = BATCH,
    count: int = 300,
    resume: bool = True,
    threads: int = 1,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] | None = None,
) -> Trajectory | None:
    """Train a species for `steps` steps, and watch it; None if it was stopped, with the state in the file.

    Parameters
    ----------
    kernels : to look through; the first one is the one that matters
    path : the file of the run
    samples : the first so many test pictures are looked at
    count : snapshots, about
    resume : take over what the file holds, rather than replace it

    Raises
    ------
    MeasureError
        The file holds something else.
    """
    wanted = settings(training, steps, kernels, samples, count)
    run = _Run(training, kernels, path, samples, wanted)
    start = run.take_over(known(path, wanted)) if resume else 0
    moments = set(snapshots(steps, count).tolist())
    saved = time.monotonic()
    rows = batches(training.count, training.seed, start)
    with ThreadPoolExecutor(threads) as pool:
        for step in range(start, steps + 1):
            if stop():
                run.save(step)
                return None
            if time.monotonic() > saved + SAVE_EVERY:
                run.save(step)
                saved = time.monotonic()
            seen = run.look(step, pool if threads > 1 else None) if step in moments else None
            if step < steps:
                value = training.learn(step, next(rows))
            if seen is not None:
                run.note(step, value if step < steps else run.train[-1], seen)
            if progress:
                progress(step, steps)
    if start <= steps:
        run.save(steps + 1, done=True)
    return run.trajectory()


class _Run:
    """A run in progress: what was found so far."""

    def __init__(
        self, training: Training, kernels: Sequence[Kernel], path: Path, samples: int, wanted: dict[str, Any]
    ) -> None:
        self.training, self.kernels, self.path, self.wanted = training, kernels, path, wanted
        pictures = training.images.test_images[:samples]
        if len(pictures) < samples:
            raise MeasureError(f"{samples} test pictures are to be looked at, and there are {len(pictures)}")
        self.samples = samples
        self.x = pictures.astype(np.float64) / 255
        self.inputs: list[Variable] = []  # of each kernel; made when the first snapshot needs them
        self.steps: list[int] = []
        self.train: list[float] = []
        self.test: list[float] = []
        self.bits: list[NDArray[np.float64]] = []

    def look(self, step: int, pool: ThreadPoolExecutor | None) -> tuple[float, NDArray[np.float64]]:
        """The test loss, and bits (kernels, layers, 2)."""
        if not self.inputs:
            self.inputs = [Variable.of(kernel.gram(self.x, picture=True)) for kernel in self.kernels]
        layers = self.training.look(step, self.samples)
        hidden = {name: layer.numpy() for name, layer in layers.hidden.items()}
        output = layers.output.numpy()
        planes = (
            plane(self.x, hidden, output, kernel, known=known, pool=pool)
            for kernel, known in zip(self.kernels, self.inputs, strict=True)
        )
        return self.training.test(step), np.array([list(each.values()) for each in planes])

    def note(self, step: int, train: float, seen: tuple[float, NDArray[np.float64]]) -> None:
        """Add a snapshot."""
        self.steps.append(step)
        self.train.append(train)
        self.test.append(seen[0])
        self.bits.append(seen[1])

    def take_over(self, held: checkpoint.Checkpoint | None) -> int:
        """Go on from what a file holds; the step to go on with."""
        if held is None:
            return 0
        found = held.part(FOUND)
        self.steps, self.train, self.test = (found[name].tolist() for name in ("steps", "train", "test"))
        self.bits = list(found["bits"])
        if not held.card["done"]:
            checkpoint.restore(held, self.training.model, self.training.optimizer, {})
        return int(held.card["step"])

    def save(self, step: int, done: bool = False) -> None:
        """Write the file: what was found before `step`, and the state to go on from unless the run is done."""
        card = {"settings": self.wanted, "step": step, "done": done}
        state = checkpoint.capture(card, self.training.model, self.training.optimizer, {})
        arrays = {name: value for name, value in state.arrays.items() if not (done and name.startswith("optimizer/"))}
        shape = (-1, len(self.kernels), len(self.training.species.layers), 2)
        arrays |= {
            f"{FOUND}steps": np.array(self.steps, np.int64),
            f"{FOUND}train": np.array(self.train, np.float64),
            f"{FOUND}test": np.array(self.test, np.float64),
            f"{FOUND}bits": np.array(self.bits, np.float64).reshape(shape),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(self.path, checkpoint.Checkpoint(card, arrays))

    def trajectory(self) -> Trajectory:
        """All of it."""
        species = self.training.species
        return Trajectory(
            species.name,
            self.training.seed,
            species.layers,
            tuple(kernel.name for kernel in self.kernels),
            np.array(self.steps, np.int64),
            np.array(self.train),
            np.array(self.test),
            np.array(self.bits),
            self.samples,
        )
