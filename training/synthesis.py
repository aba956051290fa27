"""Float network of the filter after the linear decoder.

    x_hat = x_linear + step / 4 * correction(x_linear / step)

It computes at 1/8 resolution. The names of modules are those that export.py reads.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.features import QUALITY_FEATURES, quality_features, rectified, signed
from training.networks import step_of

__all__ = ["Synthesis"]

PATCH = 8  # the filter computes on 8x8 patches
FILTER_CONDITION_HIDDEN = 32
FILTER_INPUT_GAIN, FILTER_OUTPUT_GAIN = 2.0, 0.25  # per step of the quantiser
FILTER_NOISE = 0.002  # standard deviation of the first output weights: it starts as almost nothing


class Synthesis(nn.Module):
    """Picture of the linear decoder -> a better one.

    Parameters
    ----------
    width : channels
    blocks : residual blocks
    """

    def __init__(self, width: int = 96, blocks: int = 3) -> None:
        super().__init__()
        self.width, channels = width, 3 * PATCH**2
        self.condition = nn.Sequential(
            nn.Linear(QUALITY_FEATURES, FILTER_CONDITION_HIDDEN),
            nn.ReLU(),
            nn.Linear(FILTER_CONDITION_HIDDEN, (blocks + 1) * width),
        )
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(Residual(width) for _ in range(blocks))
        self.head = nn.Conv2d(width, channels, 1)
        nn.init.normal_(self.head.weight, std=FILTER_NOISE)
        self.head.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """x (B, 3, H, W) grey levels 0..255, H and W multiples of 8; t (B,) quality -> (B, 3, H, W), not clipped."""
        b, c, height, width = x.shape
        step = step_of(t)[:, None, None, None]
        condition = self.condition(quality_features(t)).reshape(b, -1, self.width, 1, 1)
        patches = F.pixel_unshuffle(x, PATCH).reshape(b, c, PATCH**2, height // PATCH, width // PATCH)
        detail = patches - patches.mean(2, keepdim=True)  # a correction does not depend on brightness and colour
        seen = signed(detail / step[..., None] * FILTER_INPUT_GAIN).flatten(1, 2)
        state = signed(self.stem(seen.contiguous(memory_format=torch.channels_last)) + condition[:, 0])
        for i, block in enumerate(self.blocks, 1):
            state = block(state, condition[:, i])
        return x + F.pixel_shuffle(self.head(state), PATCH) * step * FILTER_OUTPUT_GAIN


class Residual(nn.Module):
    """State (B, C, h, w) and the quality's condition (B, C, 1, 1) -> the next state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.out = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, state: Tensor, condition: Tensor) -> Tensor:
        return signed(state + self.out(rectified(self.conv(state) + condition)))
