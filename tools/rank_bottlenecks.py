"""Trainings that weigh what T tells of X against what it tells of Y: how their ranks depend on the weight.

    Vib           a deep variational information bottleneck on digits, CE + b KL (Alemi et al. 2017, arXiv 1612.00410)
    Linear        a linear encoder on Gaussian data, for many beta at once, by either of two objectives

Both are `Learner`s, as in rank_training.py. b is 1 / beta.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tools.gaussian_bottleneck import Gaussians, gaussians_of
from tools.local_rank import rank_of, singular_values
from tools.rank_training import Examples, Row, layer_rows, perceptron

__all__ = ["WHITENED_EPS", "Bottlenecks", "DeepBottleneck", "Linear", "Vib"]

CORRELATIONS = (0.95, 0.85, 0.7, 0.5, 0.35)  # canonical, of the linear bottleneck: lam = 1 - correlation^2
WHITENED_EPS = 0.1  # of the linear bottleneck, where noise is 1 and x is white: a gain below it says < 0.01 bit


@dataclass(frozen=True, slots=True)
class Vib:
    """A deep VIB at one weight `b` of the KL."""

    b: float
    seed: int
    hidden: tuple[int, ...]
    latent: int
    steps: int
    batch: int
    rate: float
    looks: int = 1

    @property
    def name(self) -> str:
        return f"vib-b-{self.b:g}-seed-{self.seed}"

    @property
    def needs_digits(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Linear:
    """Linear encoders at `count` beta from `low` to `high`.

    `objective` is "exact", the Lagrangian in closed form, or "variational", VIB on `examples` samples with a Gaussian
    decoder.
    """

    objective: str
    seed: int
    steps: int
    rate: float
    examples: int = 1_000_000
    low: float = 1.02
    high: float = 10.0
    count: int = 80
    looks: int = 1

    @property
    def name(self) -> str:
        return f"linear-{self.objective}-seed-{self.seed}"

    @property
    def needs_digits(self) -> bool:
        return False

    @property
    def betas(self) -> NDArray[np.float64]:
        """(count,) ascending."""
        return np.geomspace(self.low, self.high, self.count)

    def pair(self) -> Gaussians:
        """Its data: correlations are always the same, coordinates the seed's."""
        return gaussians_of(np.random.default_rng(self.seed), CORRELATIONS)


class DeepBottleneck:
    """See `Vib`: T = mu(x) + sigma(x) xi, a linear classifier on T, and N(0, I) as what T is coded by."""

    def __init__(self, settings: Vib, digits: Examples) -> None:
        self.settings, self.digits = settings, digits
        encoder = perceptron((digits.x.shape[1], *settings.hidden, 2 * settings.latent))
        self.model = nn.ModuleDict({"encoder": encoder, "decoder": nn.Linear(settings.latent, int(digits.y.max()) + 1)})
        self.encoder, self.decoder = encoder, self.model["decoder"]
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(self.model.parameters(), settings.rate)

    def terms(self, x: Tensor, y: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cross-entropy and KL in nats, and the share of errors."""
        mean, spread = self.encoder(x).chunk(2, 1)
        sigma = F.softplus(spread)
        out = self.decoder(mean + sigma * noise)
        kl = 0.5 * (mean.square() + sigma.square() - 1 - 2 * sigma.log()).sum(1).mean()
        return F.cross_entropy(out, y), kl, (out.argmax(1) != y).double().mean()

    def step(self, number: int) -> None:
        settings, rng = self.settings, np.random.default_rng((self.settings.seed, number))
        picked = torch.from_numpy(rng.integers(0, len(self.digits.x), settings.batch))
        noise = torch.from_numpy(rng.standard_normal((settings.batch, settings.latent), np.float32))
        self.optimizer.zero_grad()
        error, kl, _ = self.terms(self.digits.x[picked], self.digits.y[picked], noise)
        (error + settings.b * kl).backward()
        falling(self.optimizer, settings.rate, number / settings.steps)
        self.optimizer.step()

    @torch.no_grad()
    def look(self) -> Row:
        x, y, latent = self.digits.x_test, self.digits.y_test, self.settings.latent
        noise = np.random.default_rng(self.settings.seed).standard_normal((len(x), latent), np.float32)
        error, kl, wrong = self.terms(x, y, torch.from_numpy(noise))
        row = {"test_loss": float(error), "test_error": float(wrong), "kl_bits": float(kl) / math.log(2)}
        return row | {"layers": layer_rows(self.encoder, x, latent)}


class Bottlenecks:
    """See `Linear`: T = A x + diag(sigma) xi for all beta side by side; they share nothing but the data.

    The variational objective is -log q(y|t) + KL / beta with q = N(D t, (L L^T)^-1) and KL against N(0, I). For
    Gaussians these are no restriction, and its minimum is the bottleneck of the samples. The exact one has sigma = 1.
    """

    def __init__(self, settings: Linear) -> None:
        self.settings, self.pair = settings, settings.pair()
        self.beta = torch.from_numpy(settings.betas)
        b, n, m = settings.count, len(self.pair.x), len(self.pair.y)
        spread = torch.from_numpy(0.1 * np.random.default_rng((settings.seed, 1)).standard_normal((b, n, n + m)))
        start = {"a": spread[:, :, :n].clone()}
        if settings.objective == "variational":
            decoder = spread[:, :, n:].transpose(1, 2).contiguous()
            start |= {"spread": spread.new_zeros(b, n), "decoder": decoder, "precision": spread.new_zeros(b, m, m)}
        self.model = nn.ParameterDict(start)
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(self.model.parameters(), settings.rate)
        self.covariances = [torch.from_numpy(s) for s in (self.pair.x, self.pair.x_given_y)]
        self.samples = [torch.from_numpy(s) for s in self.sampled()]

    def sampled(self) -> tuple[NDArray[np.float64], ...]:
        """Covariances of x, of y and of both, over samples of the pair."""
        pair, n = self.pair, len(self.pair.x)
        root = np.linalg.cholesky(np.block([[pair.x, pair.xy], [pair.xy.T, pair.y]]))
        rng = np.random.default_rng((self.settings.seed, 2))
        drawn = rng.standard_normal((self.settings.examples, len(root))) @ root.T
        joint = drawn.T @ drawn / len(drawn)
        return joint[:n, :n], joint[n:, n:], joint[:n, n:]

    def exact(self) -> Tensor:
        """(B,) I(T;X) / beta - I(T;Y), in nats."""
        a = self.model["a"]
        unit = torch.eye(a.shape[1], dtype=a.dtype)
        about, left = (0.5 * torch.logdet(unit + a @ s @ a.mT) for s in self.covariances)
        return about / self.beta - (about - left)

    def variational(self) -> Tensor:
        """(B,) E[-log q(y|t)] + E[KL] / beta, in nats; expectations over the samples and xi in closed form."""
        model, (x, y, xy) = self.model, self.samples
        a, decoder, spread = model["a"], model["decoder"], model["spread"]
        power = a @ x @ a.mT  # of the means of T
        kl = 0.5 * (power.diagonal(dim1=1, dim2=2) + (2 * spread).exp() - 1 - 2 * spread).sum(1)
        cross = decoder @ a @ xy
        off = y - cross - cross.mT + decoder @ (power + torch.diag_embed((2 * spread).exp())) @ decoder.mT
        diagonal = model["precision"].diagonal(dim1=1, dim2=2)
        root = model["precision"].tril(-1) + torch.diag_embed(diagonal.exp())
        return 0.5 * ((off @ root) * root).sum((1, 2)) - diagonal.sum(1) + kl / self.beta

    def step(self, number: int) -> None:
        self.optimizer.zero_grad()
        loss = self.exact() if self.settings.objective == "exact" else self.variational()
        loss.sum().backward()
        falling(self.optimizer, self.settings.rate, number / self.settings.steps)
        self.optimizer.step()

    @torch.no_grad()
    def look(self) -> Row:
        a = self.model["a"].numpy()
        if "spread" in self.model:
            a = a / np.exp(self.model["spread"].numpy())[:, :, None]
        values = singular_values(a @ np.linalg.cholesky(self.pair.x))  # (B, n)
        return {
            "beta": self.settings.betas.tolist(),
            "rank": [rank_of(v[None], WHITENED_EPS) for v in values],
            "gains": np.round(values, 6).tolist(),
            "about_x": [self.pair.about_x(each) for each in a],
            "about_y": [self.pair.about_y(each) for each in a],
        }


def falling(optimizer: torch.optim.Optimizer, rate: float, progress: float) -> None:
    """Half a cosine from the rate to 0."""
    for group in optimizer.param_groups:
        group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * progress))
