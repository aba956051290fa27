"""Training of lossless networks for a set of pictures that are alike: digits, sprites, tiles of a map.

The same mixtures as in residual.py, from features that are samples as they are (codec/lattice.py, `absolute`), with
logits of their own for the few grey levels that are frequent by themselves. What is minimised is the length of the
pictures under the model; what is chosen between, with the model's own bits, are models (`choose`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from codec import lattice
from codec.lattice import FAR, PHASES
from codec.mixture import COMPONENTS, LEAK_BITS
from codec.planes import reversible
from codec.residual import STYLE_LEVELS
from training.residual import COARSEST, FINEST, HIGHEST

__all__ = ["Style", "frequent", "planes_of", "style_bits", "train_style"]

ANCHORS = 4
LEVEL_SHARES = (0.55, 0.25, 0.2)  # of the steps: the last one is for all coarser levels
SHRINK = 0.1  # of a head's first weights

I32 = NDArray[np.int32]


class Style(nn.Module):
    """A perceptron for each plane, phase and level: features (n, K) -> (n, 9 + A): logits, means, scales, logits."""

    def __init__(self, anchors: Sequence[Sequence[int]], width: int, layers: int = 2) -> None:
        super().__init__()
        self.register_buffer("anchors", torch.tensor(anchors))  # (planes, A)
        self.nets = nn.ModuleDict()
        for plane in range(len(anchors)):
            for phase in range(len(PHASES)):
                for level in range(STYLE_LEVELS):
                    self.nets[f"{plane}{phase}{level}"] = self._net(plane, phase, width, layers, len(anchors[0]))

    @staticmethod
    def _net(plane: int, phase: int, width: int, layers: int, anchors: int) -> nn.Sequential:
        parts, size = list[nn.Module](), lattice.wide_columns(plane, phase)
        for _ in range(layers):
            parts += [nn.Linear(size, width), nn.Hardtanh(0.0, HIGHEST)]
            size = width
        head = nn.Linear(size, 3 * COMPONENTS + anchors)
        third = COMPONENTS - 1
        with torch.no_grad():
            head.weight.mul_(SHRINK)
            means = [16 * (2 * i / third - 1) for i in range(COMPONENTS)]  # in 8 grey levels, over the whole range
            head.bias.copy_(torch.tensor([*[0.0] * COMPONENTS, *means, *[0.0] * COMPONENTS, *[0.0] * anchors]))
        return nn.Sequential(*parts, head)

    def forward(self, plane: int, phase: int, level: int, z: Tensor) -> Tensor:
        outputs: Tensor = self.nets[f"{plane}{phase}{min(level, STYLE_LEVELS - 1)}"](z)
        return outputs


def planes_of(pictures: NDArray[Any]) -> list[I32]:
    """(n, h, w, C) unsigned integers, C = 1 or 3 -> the planes that are coded, (n, h, w) each."""
    return [pictures[..., 0].astype(np.int32)] if pictures.shape[3] == 1 else [*reversible(pictures)]


def frequent(planes: Sequence[I32], count: int = ANCHORS) -> list[list[int]]:
    """For each plane its `count` most frequent values, in order; fewer values are filled up with neighbours."""
    chosen = []
    for plane in planes:
        values, counts = np.unique(plane, return_counts=True)
        best = values[np.argsort(-counts, kind="stable")[:count]].tolist()
        chosen.append(sorted((best + [best[0]] * count)[:count]))
    return chosen


def style_bits(model: Style, planes: Sequence[I32], level: int, depth: int, most: int = 0, rng: Any = None) -> Tensor:
    """Mean bits of a sample on a level's phases, for pictures that are whole.

    Parameters
    ----------
    planes : (n, h, w) integers each, of the finest level
    most : samples of a phase that are looked at, drawn by `rng`; 0 for all

    Returns
    -------
    (planes,) sums of bits over all samples of the level that are not on the next one
    """
    sums = []
    parts = [plane[:, :: 1 << level, :: 1 << level] for plane in planes]
    height, width = parts[0].shape[1:]
    framed = [np.pad(part.astype(np.float32), ((0, 0), (FAR, FAR), (FAR, FAR))) for part in parts]
    for plane, part in enumerate(parts):
        total = torch.zeros(())
        span = 1 << (depth + (plane > 0))
        for number, phase in enumerate(PHASES):
            rows, columns = phase.shape(height, width)
            if rows * columns == 0:
                continue
            seen = lattice.absolute(framed[: plane + 1], number, level, depth, slice(0, rows), height)
            x = part[:, phase.top :: 2, phase.left :: 2].reshape(-1)
            z, scale = seen.z, 1.0
            if 0 < most < len(x):
                chosen = rng.integers(len(x), size=most)
                z, x, scale = z[chosen], x[chosen], len(x) / most
            outputs = model(plane, number, level, torch.from_numpy(np.ascontiguousarray(z)) / lattice.TOP)
            base, spread = float(seen.base[0]) / lattice.QUARTERS, float(seen.spread[0]) / 64
            anchors: Any = model.anchors
            bits = _bits(outputs, base, spread, torch.from_numpy(x).float(), span, anchors[plane])
            total = total + scale * bits.sum()
        sums.append(total)
    return torch.stack(sums)


def _bits(outputs: Tensor, base: float, spread: float, x: Tensor, span: int, anchors: Tensor) -> Tensor:
    """-log2 p of samples (n,) under outputs (n, 9 + A): see training.residual.bits; an anchor is one value alone."""
    logits, means, scales = outputs[:, : 3 * COMPONENTS].view(-1, 3, COMPONENTS).unbind(1)
    weight = torch.softmax(torch.cat([logits, outputs[:, 3 * COMPONENTS :]], 1), 1)
    mean = base + spread * means
    slope = torch.exp2(-(math.log2(spread) + scales).clamp(math.log2(FINEST), math.log2(COARSEST)))
    high = torch.sigmoid((x[:, None] + 0.5 - mean) * slope)
    low = torch.sigmoid((x[:, None] - 0.5 - mean) * slope)
    # The decoder knows that samples do not leave their range: what is beyond belongs to the last value.
    largest, smallest = (span - 1, 0) if base else (span // 2 - 1, 1 - span // 2)
    high = torch.where(x[:, None] >= largest, 1.0, high)
    low = torch.where(x[:, None] <= smallest, 0.0, low)
    p = (weight[:, :COMPONENTS] * (high - low)).sum(1)
    p = p + (weight[:, COMPONENTS:] * (x[:, None] == anchors)).sum(1)
    leak = 2.0**-LEAK_BITS
    return -torch.log2((1 - leak) * p + leak / span)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a style is trained."""

    minutes: float
    batch: int = 64
    most: int = 8192  # samples of a phase in a step
    rate: float = 2.5e-3
    last: float = 0.01
    warmup: int = 50


def train_style(
    model: Style,
    planes: Sequence[I32],
    depth: int,
    schedule: Schedule,
    *,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[float, float], None] | None = None,
) -> Style:
    """Train a model on pictures of one size; `progress` is told the share of the time and the bits of a sample."""
    optimizer = torch.optim.Adam(model.parameters(), lr=schedule.rate, betas=(0.9, 0.99))
    levels = max(1, (max(planes[0].shape[1:]) - 1).bit_length())
    begun, step, mean = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - begun) / 60 / schedule.minutes) < 1 and not stop():
        rng = np.random.default_rng([seed, step])
        level = int(rng.choice(STYLE_LEVELS, p=LEVEL_SHARES))
        if level == STYLE_LEVELS - 1:  # stands for all that are coarser
            level = int(rng.integers(level, max(levels, STYLE_LEVELS)))
        level = min(level, levels - 1)
        cosine = schedule.last + (1 - schedule.last) * 0.5 * (1 + math.cos(math.pi * done))
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate * min(1, (step + 1) / schedule.warmup) * cosine
        chosen = rng.integers(len(planes[0]), size=schedule.batch << min(level, 3))
        batch = [plane[chosen] for plane in planes]
        part = batch[0][:, :: 1 << level, :: 1 << level]
        samples = part.size * len(planes) * 0.75
        loss = style_bits(model, batch, level, depth, schedule.most, rng).sum() / samples
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        mean += (loss.item() - mean) * max(0.02, 1 / step)
        if progress and step % 20 == 0:
            progress(done, mean)
    return model.eval()
