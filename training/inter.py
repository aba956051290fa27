"""The stage `inter`: fewer bits for what inter frames leave to code, given what the decoder knows of them.

loss = mean of w(t) bits(missed | known, before, t) / pixels, + auxiliary            w(t) as for the prior of photos
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from codec.transform import BLOCK, COEFFICIENTS
from training import processes
from training.config import InterStage, Recipe
from training.errors import DataError
from training.live import Figures
from training.losses import BINS, FIRST_RATE, LEAST_RATE, PLAIN, RATE_DECAY, Means, Report, bins
from training.networks import Coding, InterPrior
from training.retrieval import Choice
from training.surprises import Surprises

__all__ = ["InterTask", "coded", "hold_back"]


class InterTask:
    """Inter frames, recorded -> fewer bits.

    Parameters
    ----------
    frames, validation : recorded frames
    """

    name = "inter"

    def __init__(self, stage: InterStage, recipe: Recipe, frames: Surprises, validation: Surprises | None) -> None:
        self.stage, self.recipe, self.frames, self.validation = stage, recipe, frames, validation
        self.schedule = stage.schedule
        torch.manual_seed(recipe.seed)
        self.model = InterPrior(stage.width, stage.hidden)
        self.rates = torch.full((BINS,), FIRST_RATE)  # running means, bits per pixel
        self.bpp = Means()

    def prepare(self) -> None:
        pass

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        rates: dict[float, list[nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            told = name.startswith(("context.", "hints."))
            rate = self.stage.told_rate if told else self.stage.linear_rate if ".linear" in name else 1.0
            rates.setdefault(rate, []).append(parameter)
        return [(parameters, rate) for rate, parameters in rates.items()]

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        threshold = self.stage.threshold + float(rng.normal(0, self.stage.threshold_spread))
        choice = Choice(min(PLAIN, threshold), float(rng.uniform(*self.stage.weights)))
        picked = rng.integers(len(self.frames), size=self.schedule.batch)
        t = torch.from_numpy(self.frames.t[picked])
        own = processes.share(len(picked))
        codings = [coded(self.model, self.frames, int(number), choice) for number in picked[own]]
        pixels = BLOCK**2 * self.frames.live[0].size
        bpp = torch.stack([each.bits.sum() for each in codings]) / pixels
        for which, rate in zip(bins(t).tolist(), processes.gathered(bpp.detach()).tolist(), strict=True):
            self.rates[which] = RATE_DECAY * self.rates[which] + (1 - RATE_DECAY) * rate
        weight = self.rates[bins(t[own])].clamp(min=LEAST_RATE) ** -self.stage.rate_exponent
        self.bpp.add(t[own], bpp.detach())
        auxiliary = torch.stack([each.auxiliary for each in codings]).mean()
        loss: Tensor = (bpp * weight).mean() + self.stage.auxiliary * auxiliary
        return loss

    def mend(self, step: int, rng: np.random.Generator) -> None:
        pass

    def state(self) -> dict[str, Tensor]:
        return {"rates": self.rates}

    def glance(self) -> Figures:
        return {"bpp": self.bpp.all()}

    def report(self) -> Report:
        return {"bpp": self.bpp.take()}

    @torch.no_grad()
    def evaluate(self) -> Report | None:
        """Bits a live block of validation, by bins of quality."""
        if self.validation is None:
            return None
        bits, blocks = torch.zeros(BINS), torch.zeros(BINS)
        for number in range(len(self.validation)):
            which = bins(torch.from_numpy(self.validation.t[number : number + 1]))
            coding = coded(self.model, self.validation, number, Choice())
            bits.index_add_(0, which, coding.bits.sum(1))
            blocks.index_add_(0, which, torch.tensor([float(self.validation.live[number].sum())]))
        each = [round(float(b / n), 2) if n else None for b, n in zip(bits, blocks, strict=True)]
        return {"bits_per_block": each, "bits": round(float(bits.sum()))}


def coded(model: InterPrior, frames: Surprises, number: int, choice: Choice) -> Coding:
    """What a recorded frame costs."""
    live = frames.live[number]
    h, w = live.shape
    rows, where = slice(*frames.starts[number : number + 2]), np.flatnonzero(live)
    maps = torch.zeros(2, h * w, COEFFICIENTS)
    maps[0, where] = torch.from_numpy(frames.missed[rows].astype(np.float32))
    maps[1, where] = torch.from_numpy(frames.known[rows].astype(np.float32))
    y, known = maps.reshape(2, h, w, -1).permute(0, 3, 1, 2).unsqueeze(1)
    energies = torch.from_numpy(frames.context[number].astype(np.float32)).permute(2, 0, 1)[None]
    t = torch.from_numpy(frames.t[number : number + 1])
    coding: Coding = model(y, t, torch.from_numpy(live), known, energies, choice)
    return coding


def hold_back(frames: Surprises, most: int) -> tuple[Surprises, Surprises]:
    """Frames to train with, and the last ones, at most that many and a tenth of all, to evaluate with.

    Raises
    ------
    DataError
        There is only one.
    """
    if len(frames) < 2:
        raise DataError("one recorded frame is not enough to train and to validate")
    cut = len(frames) - min(most, max(1, len(frames) // 10))
    return frames.part(0, cut), frames.part(cut, len(frames))
