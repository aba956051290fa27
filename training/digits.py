"""The stages of the model of digits that move: what they look like (style.py), and where they go (sprites.py)."""

from __future__ import annotations

import math
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training import processes
from training.config import Recipe, StyleStage, WaysStage
from training.errors import DataError
from training.live import Figures
from training.sprites import SIDE, Hypernetwork, draw_ways, tap_bits
from training.style import Style, frequent, planes_of, style_bits, style_loss

__all__ = ["StyleTask", "WaysTask", "hold_back"]

DEPTH = 8  # bits of a sample
CHUNK = 50  # pictures that are evaluated together
CLIPS = 2000  # simulated ones that the ways are evaluated with
NOT_TRAINED = [2**32 - 1]  # seed of these, besides the recipe's: no step has that number

U8 = NDArray[np.uint8]
Report = dict[str, Any]
Network = TypeVar("Network", bound=nn.Module)


class _Stage(Generic[Network]):
    """What is the same in both: all parameters learn equally, and nothing is remembered from step to step."""

    model: Network

    def prepare(self) -> None:
        """Nothing: what the data determine is determined before."""

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        return [(list(self.model.parameters()), 1.0)]

    def mend(self, step: int, rng: np.random.Generator) -> None:
        """Nothing to mend."""

    def state(self) -> dict[str, Tensor]:
        return {}

    def glance(self) -> Figures:
        return {}

    def report(self) -> Report:
        """Nothing: the loss says it."""
        return {}


class StyleTask(_Stage[Style]):
    """Mean bits of a sample of small pictures, (N, h, w) uint8."""

    name = "style"

    def __init__(self, stage: StyleStage, recipe: Recipe, pictures: U8, validation: U8 | None) -> None:
        if pictures.shape[1:] != (SIDE, SIDE):
            raise DataError(f"expected digits of {SIDE} x {SIDE} pixels, as the ways are of; got {pictures.shape}")
        self.stage, self.recipe, self.pictures, self.validation = stage, recipe, pictures, validation
        self.schedule = stage.schedule
        torch.manual_seed(recipe.seed)
        self.model = Style(frequent([pictures]), stage.width)

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        chosen = rng.integers(len(self.pictures), size=self.schedule.batch)[processes.share(self.schedule.batch)]
        return style_loss(self.model, planes_of(self.pictures[chosen][..., None]), DEPTH, rng)

    @torch.no_grad()
    def evaluate(self) -> Report | None:
        """Bytes of a validation picture, all its pixels looked at."""
        if self.validation is None:
            return None
        parts = np.split(self.validation, range(CHUNK, len(self.validation), CHUNK))
        bits = math.fsum(float(style_bits(self.model, planes_of(part[..., None]), DEPTH).sum()) for part in parts)
        return {"bytes": round(bits / 8 / len(self.validation), 3)}


class WaysTask(_Stage[Hypernetwork]):
    """Mean bits of a transition of a thing. The ways are simulated; pictures do not matter."""

    name = "ways"

    def __init__(self, stage: WaysStage, recipe: Recipe, pictures: U8, validation: U8 | None) -> None:
        self.stage, self.recipe = stage, recipe
        self.schedule = stage.schedule
        torch.manual_seed(recipe.seed)
        self.model = Hypernetwork(stage.width)

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        ways, frame = draw_ways(rng, self.schedule.batch)
        return tap_bits(self.model, ways[:, processes.share(self.schedule.batch)], frame).mean()

    @torch.no_grad()
    def evaluate(self) -> Report:
        """Bits of a transition in clips of the standard generator: of all, and of the last ones, given the others."""
        rng = np.random.default_rng([self.recipe.seed, *NOT_TRAINED])
        bits = tap_bits(self.model, *draw_ways(rng, CLIPS, usual=1.0)).mean(1)
        return {"bits": round(float(bits.mean()), 4), "last": round(float(bits[-1]), 4)}


def hold_back(pictures: U8, count: int) -> tuple[U8, U8]:
    """Pictures to train with, and the last ones to validate with: `count` of them, or half if there are few."""
    cut = len(pictures) - min(count, len(pictures) // 2)
    return pictures[:cut], pictures[cut:]
