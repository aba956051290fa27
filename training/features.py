"""What the prior's networks see, with the clips and the rounding that their integer counterparts will have.

Activations are multiples of 1 / ONE in 8 bits: the state of a block is kept within +-127 / ONE, hidden layers in
0 .. 255 / ONE. Decoded coefficients are whole numbers of step / UNIT. Maps are (B, C, h, w), a vector per 16x16 block.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codec.codebook import SLICES, UNIT

__all__ = [
    "HYPER_INPUTS",
    "ONE",
    "QUALITY_FEATURES",
    "Rectify",
    "feature_count",
    "features_for_hyper",
    "features_of",
    "features_of_dc",
    "log_feature",
    "quality_features",
    "rectified",
    "signed",
    "signed_feature",
]

ONE = 32
SIGNED, UNSIGNED = 127 / ONE, 255 / ONE
LONGEST = 4096  # magnitudes from here on, in step / UNIT, look alike

DC = SLICES[0].size  # slice 0: the mean of a block on each colour axis
HALVED = 4  # the slice of eights whose features are one number per four coefficients

QUALITY_FEATURES = 6
HYPER_SINGLES, HYPER_FOURS = 32, 96  # where what the hyper-latent sees one by one ends, and what it sees in fours
HYPER_INPUTS = 147  # 3 means, 29 single coefficients, 16 groups of 4, 84 groups of 8, and 15 that are always 0
HYPER_MEAN_RANGE, HYPER_MEAN_UNIT = 8.0, 16.0  # block means, in units of 16 steps, clipped to +-8
HYPER_GROUP_GAIN = 4.0


def signed(x: Tensor) -> Tensor:
    """Clip of the state."""
    return x.clamp(-SIGNED, SIGNED)


def rectified(x: Tensor) -> Tensor:
    """Clip of a hidden layer."""
    return x.clamp(0, UNSIGNED)


class Rectify(nn.Module):
    """`rectified` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        return rectified(x)


def quality_features(t: Tensor) -> Tensor:
    """Qualities (B,) in 0..1 -> (B, QUALITY_FEATURES) smooth functions of them."""
    return torch.stack([t, t * t, torch.sin(3 * t), torch.cos(3 * t), torch.sin(6 * t), torch.cos(6 * t)], 1)


def signed_feature(values: Tensor) -> Tensor:
    """Values in step / UNIT -> value / 4 steps: coarse, and clipped at about 16 steps."""
    return (values / 2).round().clamp(-127, 127) / ONE


_LOG = torch.tensor([min(127, round(16 * math.log2(1 + v / 4))) for v in range(LONGEST)], dtype=torch.float32) / ONE


def log_feature(values: Tensor) -> Tensor:
    """Values in step / UNIT -> log2(1 + |v| / 4) / 2."""
    return _LOG[values.abs().clamp(max=LONGEST - 1).long()]


def feature_count(number: int) -> int:
    """Channels of the features of a slice."""
    part = SLICES[number]
    if number == 0:
        return 3 * DC
    return {1: 2 * part.size, 2: 2 * part.size, 4: part.size, 8: part.size // _pooled(number)}[part.dim]


def _pooled(number: int) -> int:
    return 4 if number == HALVED else 8  # finer slices are many and weak: one number for eight


def features_of(number: int, values: Tensor) -> Tensor:
    """Slice 1..6: (B, size, h, w) values in step / UNIT -> (B, feature_count, h, w)."""
    part = SLICES[number]
    if part.dim <= 2:
        return torch.cat([signed_feature(values), log_feature(values)], 1)
    if part.dim == 4:
        return log_feature(values)
    b, _, h, w = values.shape
    return log_feature(values.abs().reshape(b, -1, _pooled(number), h, w).sum(2))


def features_of_dc(dc: Tensor, step: Tensor) -> Tensor:
    """Slice 0: (B, 3, h, w) in step / UNIT, step (B, 1, 1, 1) in grey levels -> (B, 9, h, w).

    The small picture in grey levels, and how far each block is from the mean of its eight neighbours.
    """
    b, c, h, w = dc.shape
    ring = torch.ones(1, 1, 3, 3)
    ring[:, :, 1, 1] = 0
    total = F.conv2d(dc.reshape(b * c, 1, h, w), ring, padding=1)
    count = F.conv2d(torch.ones(1, 1, h, w), ring, padding=1).clamp(min=1)
    off = dc - torch.floor((total / count).reshape(b, c, h, w) + 0.5)
    picture = (dc * step / UNIT / ONE).round().clamp(-127, 127) / ONE
    return torch.cat([picture, signed_feature(off), log_feature(off)], 1)


def features_for_hyper(y: Tensor) -> Tensor:
    """Latent (B, 768, h, w), in steps -> (B, HYPER_INPUTS, h, w): the block means, and magnitudes of the rest."""
    b, _, h, w = y.shape
    means = (y[:, :DC] / HYPER_MEAN_UNIT).clamp(-HYPER_MEAN_RANGE, HYPER_MEAN_RANGE)
    singles = torch.log2(1 + y[:, DC:HYPER_SINGLES].abs())
    fours = y[:, HYPER_SINGLES:HYPER_FOURS].reshape(b, -1, 4, h, w).abs().mean(2)
    eights = y[:, HYPER_FOURS:].reshape(b, -1, 8, h, w).abs().mean(2)
    groups = torch.log2(1 + torch.cat([fours, eights], 1) * HYPER_GROUP_GAIN)
    used = torch.cat([means, singles, groups], 1)
    return F.pad(used, (0, 0, 0, 0, 0, HYPER_INPUTS - used.shape[1]))
