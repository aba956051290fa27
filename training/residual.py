"""Networks of the lossless codec: views of known pixels -> mixtures of logistics for the next ones.

    p(x) = (1 - e) sum_k w_k (G((x + 1/2 - m_k) / s_k) - G((x - 1/2 - m_k) / s_k)) + e / range,   G(a) = 1/(1 + exp -a)

(Salimans et al. 2017, PixelCNN++, discretised logistic mixtures.) One network for each plane and phase, shared by all
levels; means and scales are relative to the pixel's surroundings (codec/lattice.py), from which the features come too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from codec import lattice
from codec.lattice import MARGIN, PHASES, View
from codec.mixture import COMPONENTS, LEAK_BITS
from codec.planes import reversible
from training import processes
from training.config import Recipe, ResidualStage
from training.data import Photos, symmetry
from training.live import Figures

__all__ = ["PLANES", "Residual", "ResidualTask", "bits"]

PLANES = 3
HIGHEST = 31.9  # of an activation: what the exported networks hold
FINEST, COARSEST = 2.0**-4, 2.0**15  # of a scale, in grey levels
STARTS = (-0.3, 0.0, 0.3), (-1.5, 0.0, 1.5)  # of means and of logarithms of scales
LEVEL_SHARES = (0.60, 0.24, 0.10, 0.06)  # of the steps
SYMMETRIES = 8

Report = dict[str, Any]


class Residual(nn.Module):
    """A perceptron for each plane and phase: features (n, K) -> parameters (n, 3, 3): logits, means, log2 of scales."""

    def __init__(self, width: int, depth: int = 2) -> None:
        super().__init__()
        self.nets = nn.ModuleDict()
        for plane in range(PLANES):
            for phase in range(len(PHASES)):
                layers, size = list[nn.Module](), lattice.columns(plane, phase)
                for _ in range(depth):
                    layers += [nn.Linear(size, width), nn.Hardtanh(0.0, HIGHEST)]
                    size = width
                head = nn.Linear(size, 3 * COMPONENTS)
                with torch.no_grad():
                    head.weight.mul_(0.1)
                    head.bias.copy_(torch.tensor([*[0.0] * COMPONENTS, *STARTS[0], *STARTS[1]]))
                self.nets[f"{plane}{phase}"] = nn.Sequential(*layers, head)

    def forward(self, plane: int, phase: int, z: Tensor) -> Tensor:
        outputs: Tensor = self.nets[f"{plane}{phase}"](z)
        return outputs.view(-1, 3, COMPONENTS)


def bits(parameters: Tensor, seen: View, x: Tensor, span: int) -> Tensor:
    """-log2 p of samples.

    Parameters
    ----------
    parameters : (n, 3, COMPONENTS) from `Residual`
    x : (n,) samples in grey levels
    span : how many values a sample of the plane can have
    """
    base, spread = (torch.from_numpy(np.asarray(a, np.float32))[:, None] for a in (seen.base / 4, seen.spread / 64))
    log = torch.from_numpy(seen.log.astype(np.float32))[:, None] / lattice.OCTAVE - 6
    weight = torch.softmax(parameters[:, 0], 1)
    mean = base + spread * parameters[:, 1]
    slope = torch.exp2(-(log + parameters[:, 2]).clamp(math.log2(FINEST), math.log2(COARSEST)))
    high = torch.sigmoid((x[:, None] + 0.5 - mean) * slope)
    low = torch.sigmoid((x[:, None] - 0.5 - mean) * slope)
    leak = 2.0**-LEAK_BITS
    return -torch.log2((1 - leak) * (weight * (high - low)).sum(1) + leak / span)


class ResidualTask:
    """Mean bits of a subpixel, all planes and phases together."""

    name = "residual"

    def __init__(self, stage: ResidualStage, recipe: Recipe, photos: Photos, validation: Photos | None) -> None:
        self.stage, self.recipe, self.photos, self.validation = stage, recipe, photos, validation
        self.schedule = stage.schedule
        torch.manual_seed(recipe.seed)
        self.model = Residual(stage.width, stage.layers)
        self.sums: dict[int, list[float]] = {}

    def prepare(self) -> None:
        """Nothing: the features are fixed."""

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        return [(list(self.model.parameters()), 1.0)]

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        pictures = [self.photos[int(rng.integers(len(self.photos)))] for _ in range(self.schedule.batch)]
        room = min(min(picture.shape[:2]) for picture in pictures) // self.schedule.crop
        level = min(int(rng.choice(len(LEVEL_SHARES), p=LEVEL_SHARES)), room.bit_length() - 1)
        reach = self.schedule.crop << level
        pixels = []
        for picture in pictures:
            top, left = (int(rng.integers(side - reach + 1)) for side in picture.shape[:2])
            window = picture[top : top + reach, left : left + reach][:: 1 << level, :: 1 << level]
            pixels.append(symmetry(window, int(rng.integers(SYMMETRIES))))
        batch = np.stack(pixels).astype(np.int32)
        if rng.random() < self.stage.coarse:  # as near-lossless coding sees it
            step = 2 * int(rng.integers(1, self.stage.coarsest + 1)) + 1
            batch = (batch + step // 2) // step
        terms = self.terms(batch[processes.share(len(batch))], level, depth_of(batch))
        self.sums.setdefault(level, []).append(float(terms.detach().mean()))
        return terms.mean()

    def terms(self, batch: NDArray[Any], level: int, depth: int) -> Tensor:
        """Mean bits of each of the 9 networks on pictures (B, h, w, 3) of a level; their margins are only looked at."""
        planes = [plane.astype(np.float32) * lattice.QUARTERS for plane in reversible(batch)]
        height, width = (side - 2 * MARGIN for side in batch.shape[1:3])
        found = []
        for plane in range(PLANES):
            for number, phase in enumerate(PHASES):
                rows, _ = phase.shape(height, width)
                seen = lattice.view(planes[: plane + 1], number, level, depth, slice(0, rows))
                inner = planes[plane][:, MARGIN + phase.top : -MARGIN : 2, MARGIN + phase.left : -MARGIN : 2]
                x = torch.from_numpy(inner.reshape(-1) / lattice.QUARTERS)
                z = torch.from_numpy(np.ascontiguousarray(seen.z, np.float32)) / lattice.UNIT
                span = 1 << (depth + (plane > 0))
                found.append(bits(self.model(plane, number, z), seen, x, span).mean())
        return torch.stack(found)

    def mend(self, step: int, rng: np.random.Generator) -> None:
        """Nothing to mend."""

    def state(self) -> dict[str, Tensor]:
        return {}

    def glance(self) -> Figures:
        means = list[float]()
        while found := self.sums.get(len(means)):
            means.append(math.fsum(found) / len(found))
        return {"bpsp": whole(means) if means else None}

    def report(self) -> Report:
        """Mean bits of a subpixel since the last report, by levels."""
        means = {level: processes.mean(math.fsum(s) / len(s)) for level, s in sorted(self.sums.items())}
        self.sums.clear()
        return {f"level_{level}": round(mean, 4) for level, mean in means.items()}

    @torch.no_grad()
    def evaluate(self) -> Report | None:
        """Bits per subpixel on validation pictures: levels measured, the coarsest one taken for all that follow."""
        if self.validation is None:
            return None
        levels: list[list[float]] = [[] for _ in LEVEL_SHARES]
        for number in self.validation.spread(self.recipe.data.validation_pictures):
            picture = self.validation[number]
            for level, found in enumerate(levels):
                part = picture[:: 1 << level, :: 1 << level]
                padded = np.pad(part, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="reflect")
                found.append(float(self.terms(padded[None], level, depth_of(padded)).mean()))
        means = [math.fsum(found) / len(found) for found in levels]
        return {"bpsp": round(whole(means), 5), "levels": [round(mean, 4) for mean in means]}


def depth_of(batch: NDArray[Any]) -> int:
    """Bits of the largest sample."""
    return max(1, int(batch.max()).bit_length())


def whole(means: list[float]) -> float:
    """Bits of a subpixel, from those of the levels, finest first; the coarsest one stands for all that follow."""
    total = sum(0.75 * mean * 0.25**level for level, mean in enumerate(means))
    return total + means[-1] * 0.25 ** len(means)
