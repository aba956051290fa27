"""Training of lossless networks for a set of pictures that are alike: digits, sprites, tiles of a map.

The mixtures of residual.py, from the features of codec/alike.py: samples as they are, in raster order, and the place;
with logits of their own for the few grey levels that are frequent by themselves. What is minimised is the length of
the pictures under the model; what is chosen between, with the model's own bits, are models (training/choice.py).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from codec import alike
from codec.entropy import TOTAL
from codec.lattice import QUARTERS
from codec.mixture import COMPONENTS, LEAK_BITS, TABLED
from codec.planes import reversible
from training.residual import COARSEST, FINEST, HIGHEST

__all__ = ["Schedule", "Style", "frequent", "planes_of", "style_bits", "style_loss", "train_style"]

ANCHORS = 8
SHRINK = 0.1  # of a head's first weights
QUIETER = 6  # the network of quiet pixels is narrower by this
RARELY = 0.12  # share of them that a step looks at
FAINT = 1e-6  # least share of a mixture that is not on anchors
HELD = 1.0 / alike.TOP  # a feature's unit

I32 = NDArray[np.int32]


class Style(nn.Module):
    """Perceptrons for the lively and the quiet pixels of each plane, the second one narrower.

    features (n, K) -> (n, 9 + A): logits, means and scales of the mixture; logits of the anchors over the mixture's
    """

    def __init__(self, anchors: Sequence[Sequence[int]], width: int, layers: int = 2) -> None:
        super().__init__()
        self.register_buffer("anchors", torch.tensor(anchors))  # (planes, A)
        self.nets = nn.ModuleDict()
        for plane in range(len(anchors)):
            for kind, wide in enumerate((width, max(4, width // QUIETER))):
                self.nets[f"{plane}{kind}"] = self._net(alike.columns(plane), wide, layers, len(anchors[0]))

    @staticmethod
    def _net(size: int, width: int, layers: int, anchors: int) -> nn.Sequential:
        parts = list[nn.Module]()
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

    def forward(self, plane: int, kind: int, z: Tensor) -> Tensor:
        outputs: Tensor = self.nets[f"{plane}{kind}"](z)
        return outputs


def planes_of(pictures: NDArray[Any]) -> list[I32]:
    """(n, h, w, C) unsigned integers, C = 1 or 3 -> the planes that are coded, (n, h, w) each."""
    return [pictures[..., 0].astype(np.int32)] if pictures.shape[3] == 1 else [*reversible(pictures)]


def frequent(planes: Sequence[NDArray[Any]], count: int = ANCHORS) -> list[list[int]]:
    """For each plane its `count` most frequent values, in order; what has fewer gets values that do not occur."""
    chosen = []
    for plane in planes:
        values, counts = np.unique(plane, return_counts=True)
        best = values[np.argsort(-counts, kind="stable")[:count]].tolist()
        unseen = (value for value in itertools.count(-1, -1) if value not in best)
        chosen.append(sorted([*best, *itertools.islice(unseen, count - len(best))]))
    return chosen


def style_bits(model: Style, planes: Sequence[I32], depth: int, rng: np.random.Generator | None = None) -> Tensor:
    """(planes,) bits of whole pictures.

    Parameters
    ----------
    planes : (n, h, w) integers each
    rng : with it, quiet pixels are looked at rarely, and stand for the others: an estimate
    """
    stack = planes[0].shape
    whole, sums = alike.every(*stack), list[Tensor]()
    frames = [alike.framed(plane, depth) for plane in planes]
    for plane, truth in enumerate(planes):
        features = alike.features(frames[: plane + 1], whole)
        calm = alike.quiet(features)
        z, x = torch.from_numpy(features), torch.from_numpy(truth.reshape(-1))
        total = torch.zeros(())
        for kind, which in enumerate((~calm, calm)):
            kept = np.flatnonzero(which if rng is None or kind == 0 else which & (rng.random(len(calm)) < RARELY))
            share = len(kept) / max(1, int(np.count_nonzero(which)))
            if len(kept):
                outputs = model(plane, kind, z[kept] * HELD)
                total = total + _bits(model, outputs, x[kept], plane, depth).sum() / share
        sums.append(total)
    return torch.stack(sums)


def style_loss(model: Style, planes: Sequence[I32], depth: int, rng: np.random.Generator) -> Tensor:
    """What trainings minimise: mean bits of a sample, estimated."""
    mean: Tensor = style_bits(model, planes, depth, rng).sum() / (planes[0].size * len(planes))
    return mean


def _bits(model: Style, outputs: Tensor, x: Tensor, plane: int, depth: int) -> Tensor:
    """-log2 p of samples (n,) under outputs (n, 9 + A), as codec.alike spells them."""
    anchors: Any = model.anchors
    equal = x[:, None] == anchors[plane]
    symbol = torch.where(equal.any(1), equal.int().argmax(1) + 1, 0)
    logits = torch.cat([torch.zeros(len(x), 1), outputs[:, 3 * COMPONENTS :]], 1)
    bits = functional.cross_entropy(logits, symbol, reduction="none") / math.log(2)
    others = torch.nonzero(symbol == 0)[:, 0]
    if len(others):
        rest = _mixture_bits(outputs[others, : 3 * COMPONENTS], x[others].float(), plane, depth, anchors[plane])
        bits = bits.index_add(0, others, rest)
    return bits


def _mixture_bits(outputs: Tensor, x: Tensor, plane: int, depth: int, anchors: Tensor) -> Tensor:
    """-log2 p of samples that are no anchors: see training.residual.bits."""
    seen = alike.seen_by(plane, depth)
    base, spread = float(seen.base[0]) / QUARTERS, float(seen.spread[0]) / 64
    logits, means, scales = outputs.view(-1, 3, COMPONENTS).unbind(1)
    weight, mean = torch.softmax(logits, 1), base + spread * means
    slope = torch.exp2(-(math.log2(spread) + scales).clamp(math.log2(FINEST), math.log2(COARSEST)))
    smallest, largest = (1 - (1 << depth) if plane else 0), (1 << depth) - 1
    span = largest - smallest + 1

    def mass(values: Tensor) -> Tensor:
        """(n, V) of values (n, V) or (1, V). The decoder knows the range: what is beyond belongs to the last value."""
        at = values[:, :, None]
        high = torch.sigmoid((at + 0.5 - mean[:, None]) * slope[:, None])
        low = torch.sigmoid((at - 0.5 - mean[:, None]) * slope[:, None])
        high, low = torch.where(at >= largest, 1.0, high), torch.where(at <= smallest, 0.0, low)
        return (weight[:, None] * (high - low)).sum(2)

    p, least = mass(x[:, None])[:, 0], 2.0**-LEAK_BITS
    if span <= TABLED:  # a table has the anchors taken out, and no value less than the least frequency
        within = anchors[(anchors >= smallest) & (anchors <= largest)].float()
        p, least = p / (1 - mass(within[None]).sum(1)).clamp(min=FAINT), span / TOTAL
    return -torch.log2((1 - least) * p + least / span)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a style is trained."""

    minutes: float
    pixels: int = 20_000  # of a step, about
    rate: float = 2e-3
    last: float = 0.005
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
    """Train a model on pictures of one size for some minutes, without a record that it could be resumed from.

    Adam, and a rate that falls along a cosine; `progress` is told the share of the time and the bits of a sample.
    """
    batch = max(1, schedule.pixels // planes[0][0].size)
    optimizer = torch.optim.Adam(model.parameters(), lr=schedule.rate, betas=(0.9, 0.99))
    begun, step, mean = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - begun) / 60 / schedule.minutes) < 1 and not stop():
        cosine = schedule.last + (1 - schedule.last) * 0.5 * (1 + math.cos(math.pi * done))
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate * min(1, (step + 1) / schedule.warmup) * cosine
        rng = np.random.default_rng([seed, step])
        chosen = rng.integers(len(planes[0]), size=batch)
        loss = style_loss(model, [plane[chosen] for plane in planes], depth, rng)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        mean += (loss.item() - mean) * max(0.02, 1 / step)
        if progress and step % 20 == 0:
            progress(done, mean)
    return model.eval()
