"""What the linear decoder would make of pictures, without a prior: what the filter after it is trained on.

Everything that chance decides is drawn first, for a whole batch, so that any part of it can be degraded by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from codec.codebook import SLICES
from codec.transform import BLOCK
from training.config import SynthesisStage
from training.networks import step_of
from training.retrieval import quantise
from training.slices import DC
from training.transform import analyse, synthesise

__all__ = ["Chance", "degrade", "draw_chance"]

PLAIN = 0.5  # threshold of plain rounding


class Chance(NamedTuple):
    """What is left to chance when pictures (B, 16 h, 16 w, 3) are degraded.

    Attributes
    ----------
    means : (B, 3, h, w), where in a step the predicted block means are, -0.5..0.5
    threshold, lone : (B, 1, 1, 1), see `SynthesisStage`
    """

    means: Tensor
    threshold: Tensor
    lone: Tensor

    def of(self, samples: slice) -> Chance:
        """That of some of the pictures."""
        return Chance(*(drawn[samples] for drawn in self))


def draw_chance(shape: Sequence[int], stage: SynthesisStage, rng: np.random.Generator) -> Chance:
    """Chance for pictures of a shape (B, 16 h, 16 w, 3)."""
    count, height, width = shape[0], shape[1] // BLOCK, shape[2] // BLOCK

    def drawn(mean: float, spread: float) -> Tensor:
        return mean + torch.from_numpy(rng.normal(0, spread, (count, 1, 1, 1))).float()

    means = torch.from_numpy(rng.random((count, DC, height, width))).float() - 0.5
    return Chance(means, drawn(stage.threshold, stage.threshold_spread), drawn(stage.lone, stage.lone_spread))


def degrade(x: Tensor, t: Tensor, order: Tensor, stage: SynthesisStage, chance: Chance) -> Tensor:
    """What the linear decoder would make of pictures, without the prior: chance for its means, a rule for its choices.

    A rate-aware encoder pays for a coefficient of a group if it is large, or not the only one.

    Parameters
    ----------
    x : (B, 16 h, 16 w, 3), grey levels
    t : (B,), quality

    Returns
    -------
    (B, 16 h, 16 w, 3), grey levels, not clipped or rounded
    """
    step = step_of(t)[:, None, None, None]
    y = analyse(x)[:, order] / step
    offset = torch.zeros_like(y)  # a block mean is quantised around a mean that may be anything
    offset[:, :DC] = chance.means
    r = y - offset
    k = quantise(r, chance.threshold)
    k[:, :DC] = quantise(r[:, :DC], PLAIN)
    k[:, DC : SLICES[1].stop] = quantise(r[:, DC : SLICES[1].stop], stage.threshold_single)
    for part in SLICES[2:]:
        shape = (len(x), part.groups, part.dim, *y.shape[2:])
        group, size = k[:, part.start : part.stop].view(shape), r[:, part.start : part.stop].reshape(shape).abs()
        alone = (group != 0).sum(2, keepdim=True) == 1
        group[alone & (size < chance.lone[:, None])] = 0  # and so in k
    decoded = torch.empty_like(y)
    decoded[:, order] = (k + offset) * step
    return synthesise(decoded)
