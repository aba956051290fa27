"""What is learned at each stage: the loss of a batch, what is reported about it, and how the stage is evaluated.

    prior        mean of w(t) bits(y | t) / pixels, + auxiliary        w(t) = (mean rate at t)^-rate_exponent
    synthesis    mean of 10 log10 (|x_hat - x|^2 + floor) / (|x_linear - x|^2 + floor), decibels, below 0 if it helps

A batch is drawn with the generator that is passed in and with nothing else. Of several processes that train together
(processes.py) each draws the whole batch and computes on its share.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from codec.hyper import HYPER_GROUPS, HYPER_WORDS
from codec.transform import COEFFICIENTS
from training import processes
from training.config import PriorStage, QuantizerChoice, Recipe, Schedule, SynthesisStage
from training.data import Photos, crops
from training.degradation import Chance, degrade, draw_chance
from training.live import Figures
from training.networks import Coded, Prior, step_of
from training.quantizers import Quantised, Quantizer, make_quantizer
from training.retrieval import Choice
from training.synthesis import Synthesis
from training.transform import analyse, coefficient_order, synthesise
from training.usage import perplexity, revive, usage_counts

__all__ = ["PriorTask", "SynthesisTask", "Task", "psnr"]

BINS = 8  # of quality, in reports and in the weights of the prior's loss
QUALITIES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the evaluation
ORDER_SIDE = 512  # pixels of a picture that count for the order of the coefficients
FIRST_RATE, LEAST_RATE, RATE_DECAY = 1.0, 0.05, 0.98  # bits per pixel; of the running mean rates
PLAIN = 0.5  # threshold of plain rounding
MSE_FLOOR = 0.5  # squared grey levels: what is that good already has little weight
PEAK = 255.0

Report = dict[str, Any]


class Task(Protocol):
    """A stage, as the loop sees it."""

    name: str
    schedule: Schedule

    @property
    def model(self) -> nn.Module:
        """The network that is trained."""

    def prepare(self) -> None:
        """What a new run computes from the data, and a resumed one finds in its checkpoint."""

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Parameters, and their learning rates relative to the schedule's."""

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        """Loss of a batch; of several processes, a mean over this one's share, which the mean over them makes whole."""

    def mend(self, step: int, rng: np.random.Generator) -> None:
        """After the optimiser's step."""

    def state(self) -> dict[str, Tensor]:
        """What belongs in a checkpoint besides the model; restored in place."""

    def glance(self) -> Figures:
        """Figures since the last report, of this process alone, for the line on the terminal."""

    def report(self) -> Report:
        """Metrics since the last report, of all processes; all of them have to ask."""

    def evaluate(self) -> Report | None:
        """Metrics on the validation pictures, if there are any."""


def psnr(mse: Tensor) -> Tensor:
    """Mean squared error in grey levels -> dB."""
    return 10 * torch.log10(PEAK**2 / mse.clamp(min=1e-10))


class Means:
    """Means of a number by bins of quality."""

    def __init__(self) -> None:
        self.total, self.count = torch.zeros(BINS), torch.zeros(BINS)

    def add(self, t: Tensor, values: Tensor) -> None:
        self.total.index_add_(0, bins(t), values)
        self.count.index_add_(0, bins(t), torch.ones_like(values))

    def all(self) -> float:
        """One mean over all bins."""
        return float(self.total.sum() / self.count.sum())

    def take(self) -> list[float | None]:
        """The means, None for a bin that saw nothing in any process; starts anew."""
        pairs = zip(processes.total(self.total), processes.total(self.count), strict=True)
        means = [round(float(s / n), 4) if n else None for s, n in pairs]
        self.total.zero_()
        self.count.zero_()
        return means


def bins(t: Tensor) -> Tensor:
    """Qualities 0..1 -> numbers of their bins."""
    return (t * BINS).long().clamp(max=BINS - 1)


class PriorTask:
    """Codes of the fixed transform -> fewer bits."""

    name = "prior"

    def __init__(self, stage: PriorStage, recipe: Recipe, photos: Photos, validation: Photos | None) -> None:
        self.stage, self.recipe, self.photos, self.validation = stage, recipe, photos, validation
        self.schedule = stage.schedule
        torch.manual_seed(recipe.seed)
        self.model = Prior(
            stage.width,
            stage.hidden,
            quantizer=quantizer_of(stage.quantizer),
            scalar=stage.scalar,
            hyper_norm=stage.hyper_norm,
        )
        self.rates = torch.full((BINS,), FIRST_RATE)  # running means, bits per pixel
        self.bpp, self.psnr, self.hits = Means(), Means(), torch.zeros(HYPER_GROUPS, HYPER_WORDS, dtype=torch.long)
        self.hyper: Quantised | None = None  # of the last batch

    def prepare(self) -> None:
        self.model.order.copy_(order_of(self.photos, self.recipe))

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        linear = {name: ".linear" in name for name, _ in self.model.named_parameters()}
        fast = [p for name, p in self.model.named_parameters() if not linear[name]]
        slow = [p for name, p in self.model.named_parameters() if linear[name]]
        return [(fast, 1.0), (slow, self.stage.linear_rate)]

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        size = self.schedule.crop
        x = crops(self.photos, rng, self.schedule.batch, size, self.stage.grey)
        t = torch.from_numpy(rng.random(len(x))).float()
        threshold = self.stage.threshold + float(rng.normal(0, self.stage.threshold_spread))
        choice = Choice(min(PLAIN, threshold), float(rng.uniform(*self.stage.weights)))
        self.model.quantizer.anneal(progress)
        whole, own = t, processes.share(len(x))
        x, t = x[own], t[own]
        y = self.latent(x, t)
        coded: Coded = self.model(y, t, choice)
        bpp = coded.bits.sum(1) / size**2  # (B,)
        for which, rate in zip(bins(whole).tolist(), processes.gathered(bpp).tolist(), strict=True):
            self.rates[which] = RATE_DECAY * self.rates[which] + (1 - RATE_DECAY) * rate
        weight = self.rates[bins(t)].clamp(min=LEAST_RATE) ** -self.stage.rate_exponent
        self.bpp.add(t, bpp.detach())
        # the transform is orthogonal: its error is that of the pixels, before they are clipped
        self.psnr.add(t, psnr((coded.y_hat.detach() - y).square().mean((1, 2, 3)) * step_of(t) ** 2))
        self.hits += usage_counts(coded.hyper.codes, HYPER_WORDS)
        self.hyper = coded.hyper
        return (bpp * weight).mean() + self.stage.auxiliary * coded.auxiliary

    def latent(self, x: Tensor, t: Tensor) -> Tensor:
        """Pixels (B, H, W, 3) -> latent (B, 768, h, w), in steps and in the model's order."""
        y = analyse(x)[:, self.model.order] / step_of(t)[:, None, None, None]
        return y.contiguous(memory_format=torch.channels_last)

    def mend(self, step: int, rng: np.random.Generator) -> None:
        choice = self.stage.quantizer
        if choice.revive_below > 0 and step % choice.revive_every == 0 and self.hyper is not None:
            hits, z = self.model.hyper_usage.hits, processes.gathered(self.hyper.z, 1)
            revive(self.model.hyper_codebook.data, hits, z, rng, choice.revive_below)

    def state(self) -> dict[str, Tensor]:
        return {"rates": self.rates}

    def glance(self) -> Figures:
        hyper = usage_report(self.hits)
        figures = {"bpp": self.bpp.all(), "psnr": self.psnr.all()}
        return figures | {name: hyper[name] for name in ("perplexity", "dead")}

    def report(self) -> Report:
        used = usage_report(processes.total(self.hits))
        report = {"bpp": self.bpp.take(), "psnr": self.psnr.take(), "hyper": used}
        self.hits.zero_()
        return report

    @torch.no_grad()
    def evaluate(self) -> Report | None:
        if self.validation is None:
            return None
        hits, points = torch.zeros_like(self.hits), []
        for quality in QUALITIES:
            rates, levels = [], []
            for picture in self.validation.whole(self.recipe.data.validation_pictures):
                coded, bpp, level = self.measure(picture, quality)
                rates.append(bpp)
                levels.append(level)
                hits += usage_counts(coded.hyper.codes, HYPER_WORDS)
            points.append({"quality": quality, "bpp": round(mean(rates), 4), "psnr": round(mean(levels), 3)})
        return {"points": points, "hyper": usage_report(hits)}

    def measure(self, picture: Tensor, quality: float) -> tuple[Coded, float, float]:
        """What coding a picture (16 h, 16 w, 3) costs; bits per pixel, and PSNR of the linear decoder's picture."""
        x, t = picture[None].float(), torch.tensor([quality])
        coded: Coded = self.model(self.latent(x, t), t, Choice())
        y = torch.empty_like(coded.y_hat)
        y[:, self.model.order] = coded.y_hat * step_of(t)
        x_hat = synthesise(y).round().clamp(0, PEAK)
        bpp = float(coded.bits.sum()) / (x.shape[1] * x.shape[2])
        return coded, bpp, float(psnr((x_hat - x).square().mean()))


class SynthesisTask:
    """Pictures, degraded as the codec degrades them -> nearer to the originals."""

    name = "synthesis"

    def __init__(self, stage: SynthesisStage, recipe: Recipe, photos: Photos, validation: Photos | None) -> None:
        self.stage, self.recipe, self.photos, self.validation = stage, recipe, photos, validation
        self.schedule = stage.schedule
        torch.manual_seed(recipe.seed)
        self.model = Synthesis(stage.width, stage.blocks)
        self.order = torch.arange(COEFFICIENTS)
        self.gain = Means()

    def prepare(self) -> None:
        self.order.copy_(order_of(self.photos, self.recipe))

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        return [(list(self.model.parameters()), 1.0)]

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        x = crops(self.photos, rng, self.schedule.batch, self.schedule.crop)
        t = torch.from_numpy(rng.random(len(x))).float()
        chance, own = draw_chance(x.shape, self.stage, rng), processes.share(len(x))
        x, t = x[own], t[own]
        before, after = self.errors(x, t, chance.of(own))
        gain = 10 * torch.log10((before + MSE_FLOOR) / (after + MSE_FLOOR))
        self.gain.add(t, gain.detach())
        return -gain.mean()

    def errors(self, x: Tensor, t: Tensor, chance: Chance, *, whole: bool = False) -> tuple[Tensor, Tensor]:
        """Mean squared errors (B,) of the linear decoder and of the filter; `whole`: of pixels that are integers."""
        with torch.no_grad():
            linear = degrade(x, t, self.order, self.stage, chance).permute(0, 3, 1, 2)
        original = x.permute(0, 3, 1, 2)
        better = self.model(linear, t)
        if whole:
            linear, better = (picture.round().clamp(0, PEAK) for picture in (linear, better))
        before, after = ((picture - original).square().mean((1, 2, 3)) for picture in (linear, better))
        return before, after

    def mend(self, step: int, rng: np.random.Generator) -> None:
        pass

    def state(self) -> dict[str, Tensor]:
        return {"order": self.order}

    def glance(self) -> Figures:
        return {"gain": self.gain.all()}

    def report(self) -> Report:
        return {"gain": self.gain.take()}

    @torch.no_grad()
    def evaluate(self) -> Report | None:
        if self.validation is None:
            return None
        points = []
        for quality in QUALITIES:
            t, rng = torch.tensor([quality]), np.random.default_rng(self.recipe.seed)
            pairs = []
            for picture in self.validation.whole(self.recipe.data.validation_pictures):
                x = picture[None].float()
                pairs.append(self.errors(x, t, draw_chance(x.shape, self.stage, rng), whole=True))
            linear, better = (mean([float(psnr(pair[side])) for pair in pairs]) for side in (0, 1))
            points.append({"quality": quality, "psnr_linear": round(linear, 3), "psnr": round(better, 3)})
        return {"points": points}


def order_of(photos: Photos, recipe: Recipe) -> Tensor:
    """The order of the coefficients that the training data asks for."""
    return coefficient_order(photos.whole(recipe.data.order_pictures, ORDER_SIDE))


def quantizer_of(choice: QuantizerChoice) -> Quantizer:
    """The hyper-latent's quantiser that a recipe asks for."""
    shape = {"groups": HYPER_GROUPS, "size": HYPER_WORDS}
    return make_quantizer(
        choice.method, **shape, beta=choice.beta, beta_last=choice.beta_last, mu=choice.mu, decay=choice.decay
    )


def usage_report(hits: Tensor) -> Report:
    """Of each codebook (G, K): how many codewords were used, how many not, and the perplexity of their use."""
    used = (hits > 0).sum(-1)
    perplexities = [round(value, 2) for value in perplexity(hits).tolist()]
    return {"used": used.tolist(), "dead": (hits.shape[-1] - used).tolist(), "perplexity": perplexities}


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
