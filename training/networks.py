"""Float networks of the priors: of photos, and of inter frames.

    bits(y) = bits(z) + sum_i bits(k_i | z, k_<i),      k_i = codes of slice i, quantised around predicted means

A hyper-latent z (Ballé et al. 2018, arXiv 1802.01436), or what is known of an inter frame; then slices from coarse to
fine (Minnen and Singh 2020, arXiv 2007.08739), each in two checkerboard passes (He et al. 2021, arXiv 2103.15306). Each
block has a state of `width` channels; a slice reads its parameters from it, and what the slice decoded updates it.

The names of modules are those that export.py reads. Maps are (B, C, h, w), one vector per 16x16 block.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codec.codebook import SLICES, UNIT
from codec.context import LIVE
from codec.features import ENERGIES
from codec.hyper import HYPER_DIM, HYPER_GROUPS, HYPER_WORDS
from training import processes
from training.features import (
    HYPER_INPUTS,
    ONE,
    QUALITY_FEATURES,
    feature_count,
    features_for_hyper,
    features_of,
    features_of_dc,
    quality_features,
    rectified,
    signed,
)
from training.likelihoods import Levels
from training.quantizers import HopfieldStraightThrough, Quantised, Quantizer
from training.retrieval import Choice
from training.slices import DC, CodedSlice, DcSlice, ScalarSlice, Slice
from training.usage import Usage

__all__ = ["LARGEST_STEP", "OCTAVES", "Coded", "Coding", "InterPrior", "Prior", "Standardise", "step_of"]

COEFFICIENTS = SLICES[-1].stop
LARGEST_STEP, OCTAVES = 204.0, 4.25  # steps in grey levels: LARGEST_STEP at quality 0, OCTAVES below it at quality 1

CONDITION_HIDDEN, HYPER_HIDDEN = 64, 64
HYPER_ENCODER = (96, 64)
HYPER_SPREAD = 0.5  # standard deviation of the first codewords of the hyper-latent
ENERGY_WEIGHT = 0.6  # of the hyper-latent's energy, in the auxiliary loss
REGRESSION_WEIGHT = 0.2  # of |y - mean|, in the auxiliary loss

HINT_NOISE = 0.002  # standard deviation of the first weights of what is told of inter frames


def step_of(t: Tensor) -> Tensor:
    """Quality 0..1 -> step of the quantiser, in grey levels."""
    return LARGEST_STEP * 2 ** (-OCTAVES * t)


@dataclass(frozen=True, slots=True)
class Coded:
    """What coding a batch costs, and what is decoded.

    Attributes
    ----------
    bits : (B, 8), of the hyper-latent and of slices 0..6
    y_hat : (B, 768, h, w), in steps
    auxiliary : scalar, losses of what the rate does not train: some predicted means, the codebook of the hyper-latent
    hyper : the hyper-latent
    symbols : that the range coder is given for all of it
    """

    bits: Tensor
    y_hat: Tensor
    auxiliary: Tensor
    hyper: Quantised
    symbols: int


@dataclass(frozen=True, slots=True)
class Coding:
    """What coding the slices of a batch costs, and what is decoded.

    Attributes
    ----------
    bits : (B, 7), of slices 0..6
    y_hat, auxiliary, symbols : as of `Coded`
    """

    bits: Tensor
    y_hat: Tensor
    auxiliary: Tensor
    symbols: int


class Coder(nn.Module):
    """What the priors of photos and of inter frames have in common: a state for each block, and slices coded from it.

    Parameters
    ----------
    width : channels of the state
    hidden : channels of a slice's hidden layer
    order : (768,) int64, the transform's coefficients in the order of coding; a part of the model that is not used here
    scalar : the control, which codes groups as numbers; the codec has no use for it

    Notes
    -----
    `update.{i}` and `slices.{i}` belong to slice i + 1; slice 0 is `dc`.
    """

    order: Tensor

    def __init__(self, width: int = 128, hidden: int = 128, order: Tensor | None = None, scalar: bool = False) -> None:
        super().__init__()
        self.width, self.hidden = width, hidden
        self.register_buffer("order", torch.arange(COEFFICIENTS) if order is None else order.clone())
        outputs = width + len(SLICES) * hidden  # those for the hidden layer of slice 0 are unused
        self.condition = nn.Sequential(
            nn.Linear(QUALITY_FEATURES, CONDITION_HIDDEN), nn.ReLU(), nn.Linear(CONDITION_HIDDEN, outputs)
        )
        self.dc = DcSlice(width)
        self.update = nn.ModuleList(Update(width, feature_count(i)) for i in range(len(SLICES) - 1))
        kind = ScalarSlice if scalar else Slice
        self.slices = nn.ModuleList(kind(i, width, hidden) for i in range(1, len(SLICES)))
        self.levels = Levels()

    def conditions(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Qualities (B,) -> what they add to the state (B, width, 1, 1), and to the hidden layers (B, 7, hidden)."""
        gains = self.condition(quality_features(t))
        return gains[:, : self.width, None, None], gains[:, self.width :].reshape(len(t), len(SLICES), self.hidden)

    def code(
        self,
        y: Tensor,
        t: Tensor,
        state: Tensor,
        conditions: Tensor,
        choice: Choice,
        hints: Sequence[Tensor] | None = None,
        live: Tensor | None = None,
    ) -> Coding:
        """Code all slices.

        Parameters
        ----------
        y : (B, 768, h, w), the transform in steps, in the model's order
        t : (B,), quality 0..1
        state : (B, width, h, w), the first one
        conditions : (B, 7, hidden), of the quality
        hints : for each of the slices 1..6 (B, hidden, h, w), what is known of it beforehand
        live : (h, w) bool, the blocks that are coded, of a batch of one; None for all
        """
        dc_bits, dc = self.dc(y[:, :DC], state, live)
        bits, decoded, auxiliary, symbols = [dc_bits], [dc], torch.zeros(()), dc.numel()
        features = features_of_dc(dc, step_of(t)[:, None, None, None])
        for i, part in enumerate(SLICES[1:], 1):
            state = self.update[i - 1](state, features)
            target, lower = y[:, part.start : part.stop], torch.cat(decoded[:2], 1)
            hint = None if hints is None else hints[i - 1]
            coded: CodedSlice = self.slices[i - 1](
                target, state, conditions[:, i], lower, self.levels, choice, hint, live
            )
            bits.append(coded.bits)
            decoded.append(coded.decoded)
            auxiliary, symbols = auxiliary + REGRESSION_WEIGHT * coded.miss, symbols + coded.symbols
            features = features_of(i, coded.decoded)
        return Coding(torch.stack(bits, 1), torch.cat(decoded, 1) / UNIT, auxiliary, symbols)


class Prior(Coder):
    """The prior of photos: a hyper-latent, then the slices.

    Parameters
    ----------
    width, hidden, order, scalar : see `Coder`
    quantizer : of the hyper-latent
    hyper_norm : `h_a` ends in a `Standardise`
    """

    def __init__(
        self,
        width: int = 128,
        hidden: int = 128,
        order: Tensor | None = None,
        quantizer: Quantizer | None = None,
        scalar: bool = False,
        hyper_norm: bool = False,
    ) -> None:
        super().__init__(width, hidden, order, scalar)
        wide, narrow = HYPER_ENCODER
        self.h_a = nn.Sequential(
            nn.Conv2d(HYPER_INPUTS, wide, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(wide, narrow, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(narrow, HYPER_GROUPS * HYPER_DIM, 1),
            *([Standardise(HYPER_GROUPS * HYPER_DIM)] if hyper_norm else []),
        )
        self.hyper_codebook = nn.Parameter(torch.randn(HYPER_GROUPS, HYPER_WORDS, HYPER_DIM) * HYPER_SPREAD)
        self.hyper_logits = nn.Parameter(torch.zeros(HYPER_GROUPS, HYPER_WORDS))
        self.hyper_usage = Usage(HYPER_GROUPS, HYPER_WORDS)
        self.quantizer = quantizer or HopfieldStraightThrough()
        self.h_s = nn.ModuleList(  # each followed by a pixel shuffle
            [nn.Conv2d(HYPER_GROUPS * HYPER_DIM, 4 * HYPER_HIDDEN, 1), nn.Conv2d(HYPER_HIDDEN, 4 * width, 1)]
        )

    def forward(self, y: Tensor, t: Tensor, choice: Choice) -> Coded:
        """Code a batch.

        Parameters
        ----------
        y : (B, 768, h, w), the transform in steps, in the model's order
        t : (B,), quality 0..1
        """
        h, w = y.shape[2:]
        of_state, of_slices = self.conditions(t)
        hyper, z_hat, z_bits = self.hyper(y)
        state = signed(self.start(z_hat)[:, :, :h, :w] + of_state)  # (B, width, h, w)
        coded = self.code(y, t, state, of_slices, choice)
        return Coded(
            torch.cat([z_bits[:, None], coded.bits], 1),
            coded.y_hat,
            ENERGY_WEIGHT * hyper.energy + coded.auxiliary,
            hyper,
            hyper.codes.numel() + coded.symbols,
        )

    def hyper(self, y: Tensor) -> tuple[Quantised, Tensor, Tensor]:
        """Latent -> hyper-latent, the same decoded (B, 8, ceil(h/4), ceil(w/4)), and its bits (B,)."""
        z = self.h_a(features_for_hyper(y))
        b, _, h, w = z.shape
        split = z.reshape(b, HYPER_GROUPS, HYPER_DIM, h * w)
        vectors = split.permute(1, 0, 3, 2).reshape(HYPER_GROUPS, -1, HYPER_DIM)  # (G, B h w, D)
        price = -torch.log_softmax(self.hyper_logits, -1) / math.log(2)
        hyper: Quantised = self.quantizer(vectors, self.hyper_codebook, price)
        if self.training:
            self.hyper_usage.watch(hyper.codes)
        z_hat = hyper.values.reshape(HYPER_GROUPS, b, h * w, HYPER_DIM).permute(1, 0, 3, 2).reshape(z.shape)
        return hyper, z_hat, hyper.rate.reshape(HYPER_GROUPS, b, -1).sum((0, 2))

    def start(self, z_hat: Tensor) -> Tensor:
        """Decoded hyper-latent -> the first state, before its clip, (B, width, 4 ceil(h/4), 4 ceil(w/4))."""
        up = rectified(F.pixel_shuffle(self.h_s[0](z_hat), 2))
        return F.pixel_shuffle(self.h_s[1](up), 2)


class InterPrior(Coder):
    """The prior of inter frames: what the prediction and the frame before show, then the slices of live blocks.

    `hints.{i}` belongs to slice i + 1.
    """

    def __init__(self, width: int = 128, hidden: int = 128, order: Tensor | None = None) -> None:
        super().__init__(width, hidden, order)
        self.context = nn.ModuleList([nn.Conv2d(2 * ENERGIES + 1, width, 3, padding=1), nn.Conv2d(width, width, 1)])
        self.hints = nn.ModuleList(nn.Conv2d(feature_count(i), hidden, 1, bias=False) for i in range(1, len(SLICES)))
        for part in (*self.hints, self.context[1]):  # it starts as a prior that is told next to nothing
            nn.init.normal_(part.weight, std=HINT_NOISE)
        nn.init.zeros_(self.context[1].bias)  # type: ignore[arg-type]

    def forward(self, y: Tensor, t: Tensor, live: Tensor, known: Tensor, energies: Tensor, choice: Choice) -> Coding:
        """Code a frame.

        Parameters
        ----------
        y : (1, 768, h, w), what the prediction misses, in steps and in the model's order
        t : (1,), quality 0..1
        live : (h, w) bool
        known : (1, 768, h, w), the prediction, in 1/16 steps
        energies : (1, 2 ENERGIES, h, w) in 0..127, of the prediction and of what the frame before coded
        """
        of_state, of_slices = self.conditions(t)
        seen = torch.cat([energies / ONE, live[None, None] * (LIVE / ONE)], 1)
        state = signed(self.context[1](rectified(self.context[0](seen))) + of_state)
        parts = enumerate(zip(self.hints, SLICES[1:], strict=True), 1)
        hints = [hint(features_of(i, known[:, part.start : part.stop])) for i, (hint, part) in parts]
        return self.code(y, t, state, of_slices, choice, hints, live)


class Standardise(nn.BatchNorm2d):
    """Keeps each channel where the codewords are, at mean 0 and standard deviation HYPER_SPREAD; export folds it in.

    Without it the vectors shrink before the codebook has learned to tell them apart, and one codeword takes them all.
    """

    EPS = 1e-5  # added to the variance
    momentum: float
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=self.EPS, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        together = self.training and processes.count() > 1
        return HYPER_SPREAD * (self._together(x) if together else super().forward(x))

    def _together(self, x: Tensor) -> Tensor:
        """The same with mean and variance of the batches of all processes."""
        number = processes.count() * x[:, 0].numel()
        mean = processes.total(x.sum((0, 2, 3), keepdim=True)) / number
        off = x - mean
        variance = processes.total(off.square().sum((0, 2, 3), keepdim=True)) / number
        with torch.no_grad():
            self.running_mean.lerp_(mean.flatten(), self.momentum)
            self.running_var.lerp_(variance.flatten() * number / (number - 1), self.momentum)
            self.num_batches_tracked.add_(1)
        return off / (variance + self.eps).sqrt()


class Update(nn.Module):
    """State (B, width, h, w) and what a slice decoded (B, F, h, w) -> the next state."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.embed = nn.Conv2d(features, width, 3, padding=1, bias=False)
        self.out = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, state: Tensor, features: Tensor) -> Tensor:
        return signed(state + self.out(rectified(self.conv(state) + self.embed(features))))
