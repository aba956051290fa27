"""Networks that predict the next frame of a clip from the last two: a hypernetwork's filters, and a direct network.

    hyper     w_c = softmax(a v_c + H(v_c)),  x~(p) = sum_d w_c(p)(d) x_t(p - d)
    direct    x~ = D(x_t, x_t-1)

v_c is how well frame t fits frame t - 1 under each displacement d, around cell c of a coarse grid (81 numbers); with
where the cell is, H makes of it the weights of a small transition network, one filter of 9 x 9 for each cell, which is
then run on frame t (Jia et al. 2016, dynamic filter networks; Ha et al. 2017, hypernetworks). D is a plain network of
convolutions. Both feed one and the same small head, which turns the prediction around a pixel into a distribution of
its value; they are trained to make that short, and compared in bits a frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.moving_mnist import moving_mnist

__all__ = [
    "CopyLast",
    "Direct",
    "Head",
    "Hyper",
    "Prediction",
    "operations",
    "parameters",
    "train_transition",
    "windows",
]

FAR = 4
TAPS = (2 * FAR + 1) ** 2
CELL = 4  # pixels a side of a cell of the coarse grid
WINDOW = 13  # pixels a side that a cell's costs are taken over
COMPONENTS = 2
SHARPNESS = 20.0
LEAK = 2.0**-13
BATCH = 4
RATE, LAST, WARMUP = 3e-3, 0.01, 50

Frames = NDArray[np.uint8]


class Hyper(nn.Module):
    """(B, 2, H, W) frames t - 1 and t in [0, 1] -> (B, 1, H, W) the next one; CELL divides H and W."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(TAPS + 4, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, TAPS, 1)
        )
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS))  # of the first hypothesis: as before, so again

    def filters(self, x: Tensor) -> Tensor:
        """(B, TAPS, H / CELL, W / CELL) weights of the transition."""
        last, now = x[:, :1], x[:, 1:]
        height, width = x.shape[2:]
        products = now * _shifted(last)  # (B, TAPS, H, W): what displacement d would bring there, times what is there
        energy = functional.avg_pool2d(now * now, WINDOW, CELL, WINDOW // 2 - 1)
        costs = functional.avg_pool2d(products, WINDOW, CELL, WINDOW // 2 - 1) / (energy + 1e-3)
        y, x_ = torch.meshgrid(torch.arange(costs.shape[2]), torch.arange(costs.shape[3]), indexing="ij")
        sides = [y, x_, height // CELL - 1 - y, width // CELL - 1 - x_]
        place = torch.stack(sides).float().mul(CELL / 8).clamp(max=4).expand(len(x), -1, -1, -1)
        logits = self.sharpness * costs + self.network(torch.cat([costs, place], 1))
        weights: Tensor = torch.softmax(logits, 1)
        return weights

    def forward(self, x: Tensor) -> Tensor:
        weights = functional.interpolate(self.filters(x), scale_factor=CELL, mode="bilinear", align_corners=False)
        foretold: Tensor = (weights * _shifted(x[:, 1:])).sum(1, keepdim=True)
        return foretold


class Direct(nn.Module):
    """The same from convolutions alone: what is to be added to frame t."""

    def __init__(self, width: int, kernel: int = 5) -> None:
        super().__init__()
        half = kernel // 2
        self.network = nn.Sequential(
            nn.Conv2d(2, width, kernel, padding=half),
            nn.ReLU(),
            nn.Conv2d(width, width, kernel, padding=half),
            nn.ReLU(),
            nn.Conv2d(width, 1, kernel, padding=half),
        )

    def forward(self, x: Tensor) -> Tensor:
        foretold: Tensor = x[:, 1:] + self.network(x)
        return foretold


class CopyLast(nn.Module):
    """The next frame is this one."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 1:]


class Head(nn.Module):
    """A prediction, and its largest and smallest values around a pixel -> mixtures for the pixel's value."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Conv2d(4, width, 1), nn.ReLU(), nn.Conv2d(width, 3 * COMPONENTS + 1, 1))

    def bits(self, prediction: Tensor, x: Tensor) -> Tensor:
        """(B, 1, H, W) -log2 p of values x in 0 .. 255."""
        wide = functional.max_pool2d(prediction, 5, 1, 2)
        seen = [
            prediction,
            functional.max_pool2d(prediction, 3, 1, 1),
            -functional.max_pool2d(-prediction, 3, 1, 1),
            wide,
        ]
        o = self.network(torch.cat(seen, 1))
        weights = torch.softmax(o[:, : COMPONENTS + 1], 1)
        means = (prediction + o[:, COMPONENTS + 1 : 2 * COMPONENTS + 1]) * 255
        slopes = torch.exp(-o[:, 2 * COMPONENTS + 1 :].clamp(-4, 4)) / 16
        high = torch.where(x >= 255, 1.0, torch.sigmoid((x + 0.5 - means) * slopes))
        low = torch.where(x <= 0, 0.0, torch.sigmoid((x - 0.5 - means) * slopes))
        p = (weights[:, :COMPONENTS] * (high - low)).sum(1, keepdim=True) + weights[:, -1:] * (x == 0)
        return -torch.log2((1 - LEAK) * p + LEAK / 256)


@dataclass(frozen=True, slots=True)
class Prediction:
    """A trained pair: network and head."""

    network: nn.Module
    head: Head

    @torch.no_grad()
    def frame_bits(self, clips: Frames) -> NDArray[np.float64]:
        """(n, T - 2) bits of each frame from the third on, given the two before it."""
        found = []
        for clip in clips:
            pairs, x = windows(clip[None])
            found.append(self.head.bits(self.network(pairs), x).sum((1, 2, 3)).double().numpy())
        return np.stack(found)

    @torch.no_grad()
    def continued(self, clip: Frames, frames: int) -> NDArray[np.float64]:
        """(frames, H, W) in [0, 1]: predictions after a clip (T, H, W), each from those before it."""
        seen = [torch.from_numpy(frame).float() / 255 for frame in clip[-2:]]
        for _ in range(frames):
            seen.append(self.network(torch.stack(seen[-2:])[None])[0, 0].clamp(0, 1))
        return torch.stack(seen[2:]).double().numpy()


def windows(clips: Frames) -> tuple[Tensor, Tensor]:
    """Clips (n, T, H, W) -> pairs (n (T - 2), 2, H, W) in [0, 1] and the frames after them in 0 .. 255."""
    size = clips.shape[2:]
    x = torch.from_numpy(clips).float()
    pairs = torch.stack([x[:, :-2], x[:, 1:-1]], 2).reshape(-1, 2, *size) / 255
    return pairs, x[:, 2:].reshape(-1, 1, *size)


def train_transition(
    network: nn.Module,
    digits: Frames,
    steps: int,
    seed: int,
    *,
    size: int = 64,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, float], None] | None = None,
) -> Prediction:
    """Train a network and a head to make the next frames of moving digits short, each step on new clips."""
    head = Head()
    model = nn.ModuleList([network, head])
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, betas=(0.9, 0.99))
    mean = 0.0
    for step in range(steps):
        if stop():
            break
        rate = RATE * min(1, (step + 1) / WARMUP) * (LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * step / steps)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        rng = np.random.default_rng([seed, step])
        pairs, x = windows(moving_mnist(digits, BATCH, rng, frames=4, size=size))
        loss = head.bits(network(pairs), x).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        mean += (loss.item() * x[0].numel() - mean) * max(0.02, 1 / (step + 1))
        if progress:
            progress(step, mean)
    return Prediction(network.eval(), head.eval())


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def operations(network: nn.Module, size: int = 64) -> int:
    """Multiplications for a frame, the costs' and the filters' counted."""
    count = 0

    def hook(layer: Any, _: Any, output: Tensor) -> None:
        nonlocal count
        count += layer.weight.numel() * output.shape[2] * output.shape[3]

    handles = [layer.register_forward_hook(hook) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    network(torch.zeros(1, 2, size, size))
    for handle in handles:
        handle.remove()
    return count + (2 * TAPS * size * size if isinstance(network, Hyper) else 0)


def _shifted(x: Tensor) -> Tensor:
    """(B, 1, H, W) -> (B, TAPS, H, W): channel d is x moved by d, black coming in."""
    return functional.unfold(x, 2 * FAR + 1, padding=FAR).view(len(x), TAPS, *x.shape[2:]).flip(1)
