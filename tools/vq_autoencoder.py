"""Small autoencoders with a product codebook between encoder and decoder, in training.

    x ──E1──▶ Z_e ──quantiser──▶ Z ──D1──▶ x'          x, x' in [0, 1]; Z_e and Z are G vectors of dimension D

    loss = mean (x' - x)^2 / variance of the pixels + commitment * 2 / D * energy

The quantiser and its energy are those of the codec (training/quantizers.py), without a price of codes (mu = 0):

    moving-average    the VQ-VAE of van den Oord et al. (2017): identity Jacobian, codewords as moving averages
    rotation          the same with the gradient rotated, codewords by gradient
    hopfield          forward the nearest codeword, backward one step of retrieval at a fixed beta
    annealed          forward and backward one step of retrieval, while beta grows geometrically

or those of others, see `tools.vq_baselines`. In all but `annealed` the decoder is trained on what it will get. Z_e is
brought to mean 0 and variance 1 over each picture's features: otherwise the network could make any beta a larger one by
making its vectors longer. Codewords start where the untrained encoder puts some of the pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tools.image_sets import ImageSet
from tools.rate_distortion import MeasureError
from tools.vq_baselines import BASELINES, Baseline, make_baseline
from training.quantizers import (
    AnnealedHopfield,
    HopfieldStraightThrough,
    Quantizer,
    association,
    energies,
    make_quantizer,
    retrieve,
)
from training.usage import Usage, revive

__all__ = ["LAYERS", "METHODS", "Judged", "Settings", "Training", "VqAutoencoder", "critical_beta"]

METHODS = ("moving-average", "hopfield", "annealed", "rotation")
LAYERS = ("E1", "Z_e", "Z", "D1")
RATE, COMMITMENT = 0.001, 0.25
REVIVE_EVERY = 50  # steps
START, REVIVE = range(2, 4)  # streams of random numbers; the others are those of `tools.species`
PIECE = 500  # pictures at a time where all are looked at: distances to all codewords take memory

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Settings:
    """A training: `groups` codebooks of `words` codewords of dimension `dim`.

    `beta` is that of `hopfield`; `annealed` goes from `beta_first` to `beta_last`. A codeword that is taken less than
    `revive` times per batch is put where a vector of the batch is; 0 leaves the dead alone. The rate of learning is
    `rate`, and falls to 0 along a line over the last share `cooldown` of the steps. `commitment` weighs the energy.
    `decay` is that of moving averages, `levels` and `rotate` are those of `fsq` and `simvq` in `tools.vq_baselines`.
    """

    method: str
    seed: int = 0
    steps: int = 4000
    groups: int = 8
    words: int = 32
    dim: int = 8
    hidden: int = 256
    beta: float = 4.0
    beta_first: float = 0.25
    beta_last: float = 256.0
    revive: float = 0.0
    rate: float = RATE
    cooldown: float = 0.0
    commitment: float = COMMITMENT
    decay: float = 0.99
    levels: int | None = None
    rotate: bool = True

    @property
    def name(self) -> str:
        return f"{self.method}-{self.seed}"


@dataclass(frozen=True, slots=True)
class Judged:
    """What the network makes of N pictures.

    Attributes
    ----------
    codes : (N, G) int64, of the nearest codewords
    hard : mean squared error per pixel, of what a decoder makes of the codes
    soft : the same of one step of retrieval instead of the codewords; None if the method has no beta
    association : the mean over vectors of the largest association, 1/K .. 1; None if the method has no beta
    """

    codes: Codes
    hard: float
    soft: float | None
    association: float | None


class VqAutoencoder(nn.Module):
    """The network; its seed decides its start. `start` has to put the codewords somewhere."""

    def __init__(self, settings: Settings, pixels: int) -> None:
        super().__init__()
        self.settings = settings
        code = settings.groups * settings.dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.e1, self.e2 = nn.Linear(pixels, settings.hidden), nn.Linear(settings.hidden, code)
            self.d1, self.d2 = nn.Linear(code, settings.hidden), nn.Linear(settings.hidden, pixels)
            self.quantizer = quantizer(settings)  # last: all methods get the same network
        self.codebook = nn.Parameter(torch.zeros(settings.groups, settings.words, settings.dim))
        self.usage = Usage(settings.groups, settings.words)
        self.register_buffer("price", torch.zeros(settings.groups, settings.words), persistent=False)

    @property
    def beta(self) -> float | None:
        """Of the moment; None if the method has none."""
        has = isinstance(self.quantizer, HopfieldStraightThrough | AnnealedHopfield)
        return float(self.quantizer.beta) if has else None

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, pixels) -> E1 (B, hidden) and Z_e (G, B, D)."""
        hidden = F.relu(self.e1(x))
        z = F.layer_norm(self.e2(hidden), (self.e2.out_features,))
        return hidden, z.view(len(x), self.settings.groups, -1).transpose(0, 1)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Z (G, B, D) -> D1 (B, hidden) and x' (B, pixels)."""
        hidden = F.relu(self.d1(flat(z)))
        return hidden, torch.sigmoid(self.d2(hidden))

    def relax(self, z: Tensor, beta: float) -> tuple[Tensor, Tensor]:
        """One step of retrieval (G, B, D), and the largest association of each vector (G, B)."""
        p = association(energies(z, self.codebook), beta)
        return retrieve(p, self.codebook), p.amax(-1)


def quantizer(settings: Settings) -> Quantizer:
    """The one that a training is about."""
    size = {"groups": settings.groups, "size": settings.words}
    if settings.method in BASELINES:
        options = {"decay": settings.decay, "levels": settings.levels, "rotate": settings.rotate}
        return make_baseline(settings.method, **size, dim=settings.dim, **options)
    beta = settings.beta_first if settings.method == "annealed" else settings.beta
    options = {"beta_last": settings.beta_last, "mu": 0.0, "decay": settings.decay}
    return make_quantizer(settings.method, **size, beta=beta, **options)


def flat(z: Tensor) -> Tensor:
    """(G, B, D) -> (B, G D)."""
    return z.transpose(0, 1).flatten(1)


def critical_beta(codebook: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 / lambda_max(Cov of the codewords), (G, K, D) -> (G,): infinite where all codewords are one.

    Where all codewords are equally far from their mean, the mean is a fixed point of retrieval, with the Jacobian beta
    Cov. Below the critical beta it is stable, and the patterns are one memory; above, it falls apart. Elsewhere nearer
    codewords weigh more, and this is the scale of beta at which it happens, not the place.
    """
    words = np.asarray(codebook, np.float64)
    centred = words - words.mean(1, keepdims=True)
    largest = np.linalg.eigvalsh(centred.transpose(0, 2, 1) @ centred / words.shape[1])[:, -1]
    return np.array([1 / value if value > 1e-12 else math.inf for value in largest])


class Training:
    """A network in training, with its optimizer and its data."""

    def __init__(self, settings: Settings, images: ImageSet) -> None:
        if settings.words > len(images.train_images):
            raise MeasureError(f"{settings.words} codewords start at {len(images.train_images)} pictures; take fewer")
        if settings.revive > 0 and settings.method in BASELINES:
            raise MeasureError(f"dead codewords of {settings.method} cannot be revived; leave revive at 0")
        self.settings, self.images = settings, images
        self.model = VqAutoencoder(settings, images.pixels)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=settings.rate, fused=True)
        self.variance = float((images.train_images / np.float32(255)).var()) or 1.0
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """A codeword of each group where the encoder puts a picture, another picture for each."""
        rng = np.random.default_rng((self.settings.seed, START))
        for number, group in enumerate(self.model.codebook):
            picked = rng.choice(len(self.images.train_images), self.settings.words, replace=False)
            group.copy_(self.model.encode(unit(self.images.train_images[picked]))[1][number])
        if isinstance(self.model.quantizer, Baseline):
            self.model.quantizer.start(self.model.codebook)

    def at(self, step: int) -> None:
        """Take the beta and the rate of learning that belong to a step."""
        progress, cooldown = step / self.settings.steps, self.settings.cooldown
        self.model.quantizer.anneal(progress)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate * (min(1.0, (1 - progress) / cooldown) if cooldown else 1.0)

    def learn(self, step: int, rows: NDArray[np.int64]) -> float:
        """One step, on these rows of the training set; the loss before it."""
        self.at(step)
        self.model.train()
        x = unit(self.images.train_images[rows])
        found = self.model.quantizer(self.model.encode(x)[1], self.model.codebook, self.model.price)
        error = F.mse_loss(self.model.decode(found.values)[1], x)
        loss = error / self.variance + self.settings.commitment * 2 / self.settings.dim * found.energy
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.model.usage.watch(found.codes)
        if self.settings.revive > 0 and step % REVIVE_EVERY == REVIVE_EVERY - 1:
            rng = np.random.default_rng((self.settings.seed, REVIVE, step))
            revive(self.model.codebook.data, self.model.usage.hits, found.z, rng, self.settings.revive)
        return float(loss.detach())

    @torch.no_grad()
    def codes(self, images: NDArray[np.uint8]) -> Codes:
        """Of pictures (N, pixels): (N, G)."""
        self.model.eval()
        return np.concatenate([self._quantise(unit(part))[1].T.numpy() for part in pieces(images)])

    @torch.no_grad()
    def judge(self, images: NDArray[np.uint8]) -> Judged:
        """What the network makes of pictures (N, pixels), with the beta that it has."""
        self.model.eval()
        beta, codes, hard, soft, sure = self.model.beta, [], 0.0, 0.0, 0.0
        for part in pieces(images):
            x = unit(part)
            z, found, values = self._quantise(x)
            codes.append(found.T.numpy())
            hard += squares(self.model.decode(values)[1] - x)
            if beta is not None:
                relaxed, most = self.model.relax(z, beta)
                soft += squares(self.model.decode(relaxed)[1] - x)
                sure += float(most.double().sum())
        if beta is None:
            return Judged(np.concatenate(codes), hard / images.size, None, None)
        vectors = len(images) * self.settings.groups
        return Judged(np.concatenate(codes), hard / images.size, soft / images.size, sure / vectors)

    @torch.no_grad()
    def layers(self, images: NDArray[np.uint8]) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
        """Layers of pictures by the names of LAYERS, (N, width) each, and x' (N, pixels), all as a decoder sees it."""
        self.model.eval()
        hidden, z = self.model.encode(unit(images))
        values = self.model.quantizer(z, self.model.codebook, self.model.price).values
        after, output = self.model.decode(values)
        found = (hidden, flat(z), flat(values), after)
        return {name: layer.numpy() for name, layer in zip(LAYERS, found, strict=True)}, output.numpy()

    def _quantise(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Z_e (G, B, D), codes (G, B), codewords (G, B, D)."""
        z = self.model.encode(x)[1]
        found = self.model.quantizer(z, self.model.codebook, self.model.price)
        return z, found.codes, found.values


def unit(images: NDArray[np.uint8]) -> Tensor:
    """Samples 0..255 -> 0..1."""
    return torch.from_numpy(images.astype(np.float32)) / 255


def pieces(images: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """A few pictures at a time."""
    return [images[first : first + PIECE] for first in range(0, len(images), PIECE)]


def squares(difference: Tensor) -> float:
    """The sum of squares, in double precision."""
    return float(difference.double().square().sum())
