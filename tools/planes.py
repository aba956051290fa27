"""All trajectories of one measurement: the short table beside the paper's figures, and results.json."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.lee_jo import PAPER, Published
from tools.species import SPECIES
from tools.trajectories import Trajectory

__all__ = ["Planes", "Summary", "document", "table"]

FORMAT = 1
SIMPLER = 0.5  # bits that I(X;Z) has to lose from its peak on, to be called simplifying; plots are read to 0.1


@dataclass(frozen=True, slots=True)
class Summary:
    """One species, means over its seeds: bits, the step of the peak, log10 of losses, all "final" but for the peak."""

    species: str
    seeds: int
    peak: float
    peak_step: float
    final: float
    spread: float  # largest minus smallest `final` of the seeds
    layers: dict[str, tuple[float, float]]  # final I(X;T) and I(T;X')
    test: float
    train: float
    paper: Published | None

    @property
    def simplifies(self) -> bool:
        """Whether I(X;Z) falls after its peak."""
        return self.peak - self.final > SIMPLER


@dataclass(frozen=True, slots=True)
class Planes:
    """What was measured on a set of pictures; `trajectories` have the same kernels, steps and samples."""

    images: str  # the name of the set
    trajectories: tuple[Trajectory, ...]

    @property
    def species(self) -> tuple[str, ...]:
        """Names, in the order they were measured in."""
        return tuple(dict.fromkeys(each.species for each in self.trajectories))

    @property
    def ceiling(self) -> float:
        """log2 N: what the estimator says at most, in bits."""
        return math.log2(self.trajectories[0].samples)

    def of(self, species: str) -> list[Trajectory]:
        """One for each seed."""
        return [each for each in self.trajectories if each.species == species]

    def summary(self, species: str, kernel: int = 0) -> Summary:
        """The figures of a species through a kernel."""
        runs = self.of(species)
        peaks = [run.peak(kernel=kernel) for run in runs]
        finals = [run.final(run.of(kernel=kernel)[:, 0]) for run in runs]
        into, out = (
            {layer: _mean([run.final(run.of(layer, kernel)[:, side]) for run in runs]) for layer in runs[0].layers}
            for side in (0, 1)
        )
        return Summary(
            species,
            len(runs),
            _mean([bits for bits, _ in peaks]),
            _mean([step for _, step in peaks]),
            _mean(finals),
            max(finals) - min(finals),
            {layer: (into[layer], out[layer]) for layer in into},
            _mean([math.log10(run.final(run.test)) for run in runs]),
            _mean([math.log10(run.final(run.train)) for run in runs]),
            PAPER.get(self.images, {}).get(species),
        )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def table(planes: Planes) -> str:
    """A line for each species, and beside each figure the paper's where there is one."""
    head = [
        "species",
        "seeds",
        "I(X;Z) peak",
        "paper",
        "at step",
        "final",
        "paper",
        "simplifies",
        "log10 test",
        "paper",
    ]
    rows = [head]
    for name in planes.species:
        found = planes.summary(name)
        paper = found.paper
        rows.append(
            [
                SPECIES[name].label,
                str(found.seeds),
                f"{found.peak:.2f}",
                f"{paper.peak:.2f}" if paper else "-",
                f"{found.peak_step:.0f}",
                f"{found.final:.2f}",
                f"{paper.final['Z']:.2f}" if paper else "-",
                "yes" if found.simplifies else "no",
                f"{found.test:.3f}",
                f"{paper.loss:.2f}" if paper else "-",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    formats = [f"{'>' if i else '<'}{width}" for i, width in enumerate(widths)]
    lines = ["  ".join(map(format, row, formats)) for row in rows]
    last = planes.trajectories[0].steps[-1]
    note = (
        f"{planes.images}, {last:,} steps, {planes.trajectories[0].samples} pictures, at most {planes.ceiling:.2f} bit"
    )
    return "\n".join([*lines, note])


def document(planes: Planes, **facts: Any) -> dict[str, Any]:
    """Everything, for results.json; `facts` such as machine, versions and date."""
    first = planes.trajectories[0]
    return {
        "format": FORMAT,
        **facts,
        "images": planes.images,
        "samples": first.samples,
        "ceiling": planes.ceiling,
        "kernels": list(first.kernels),
        "summary": {
            name: [_plain(planes.summary(name, i)) for i in range(len(first.kernels))] for name in planes.species
        },
        "runs": [
            {
                "species": run.species,
                "seed": run.seed,
                "layers": list(run.layers),
                "steps": run.steps.tolist(),
                "train": _rounded(run.train),
                "test": _rounded(run.test),
                "bits": np.round(run.bits, 4).tolist(),
            }
            for run in planes.trajectories
        ],
    }


def _plain(found: Summary) -> dict[str, Any]:
    return {
        "peak": round(found.peak, 4),
        "peak_step": found.peak_step,
        "final": round(found.final, 4),
        "spread": round(found.spread, 4),
        "simplifies": found.simplifies,
        "layers": {layer: [round(bits, 4) for bits in pair] for layer, pair in found.layers.items()},
        "log10_test": round(found.test, 4),
        "log10_train": round(found.train, 4),
    }


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
