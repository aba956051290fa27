"""Species of autoencoders, trained while the information plane watches.

    x ──E1──E2──▶ Z ──D1──D2──▶ x'        all layers affine maps with a sigmoid after them, x and x' in [0, 1]

After Lee and Jo, Information flows of diverse autoencoders (2021): Adam with a learning rate of 0.005, batches of 100,
50 epochs, networks as PyTorch makes them, mean squared error. Shallow ones have Z (50) alone, deep ones 256, 128, 50,
128 and 256. What tells the species apart:

    overfit       a tenth of the training set, for as many steps
    sparse        + 0.001 sum_j KL(0.05 || mean of Z_j over the batch)
    tied          the decoder's weights are the encoder's, transposed, in one storage, yet parameters of their own: each
                  step moves the storage twice, by Adam's answer to each gradient
    tied-clean    the same with one parameter, hence one gradient (not in the paper)
    variational   Z = mu + noise sigma, mu and log sigma^2 affine; cross-entropy + KL(Z || N(0, 1)), both summed
    label         Z = softmax of 50 logits; + 0.01 cross-entropy of the logits and the label
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tools.image_sets import ImageSet

__all__ = ["BATCH", "SPECIES", "Autoencoder", "Layers", "Species", "Training", "batches", "loss"]

BATCH = 100
RATE = 0.005
CODE = 50  # units of Z
SPARSITY, SPARSITY_WEIGHT = 0.05, 0.001
LABEL_WEIGHT = 0.01
TINY = 1e-8
SHALLOW, DEEP = (CODE,), (256, 128, CODE, 128, 256)
SHUFFLE, NOISE, TEST_NOISE = range(3)  # streams of random numbers


@dataclass(frozen=True, slots=True)
class Species:
    """What tells one species from another; `share` is the part of the training set that it sees."""

    name: str
    label: str
    hidden: tuple[int, ...]
    share: float = 1.0
    sparse: bool = False
    tied: str = ""  # "aliased" or "clean"
    code: str = "sigmoid"  # what makes Z: "sigmoid", "softmax" or "gaussian"

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the hidden layers: E1, E2, ..., Z, D1, D2, ..."""
        half = len(self.hidden) // 2
        return (*(f"E{i + 1}" for i in range(half)), "Z", *(f"D{i + 1}" for i in range(half)))


SPECIES = {
    each.name: each
    for each in (
        Species("shallow", "Shallow", SHALLOW),
        Species("deep", "Deep", DEEP),
        Species("overfit", "Deep, overfitting", DEEP, share=0.1),
        Species("sparse", "Sparse", SHALLOW, sparse=True),
        Species("tied", "Tied", SHALLOW, tied="aliased"),
        Species("tied-clean", "Tied, one parameter", SHALLOW, tied="clean"),
        Species("variational", "Variational", DEEP, code="gaussian"),
        Species("label", "Label", DEEP, code="softmax"),
    )
}


@dataclass(frozen=True, slots=True)
class Layers:
    """One pass: hidden layers by name, (B, width) each; x' (B, pixels); what makes Z: logits or mu, log sigma^2."""

    hidden: dict[str, Tensor]
    output: Tensor
    logits: Tensor
    logvar: Tensor | None


class Autoencoder(nn.Module):
    """The network of a species; `seed` decides its start."""

    def __init__(self, species: Species, pixels: int, seed: int) -> None:
        super().__init__()
        self.species = species
        widths = (pixels, *species.hidden, pixels)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            maps = [nn.Linear(width, following) for width, following in itertools.pairwise(widths)]
            self.maps = nn.ModuleList(maps)
            half = len(maps) // 2
            self.spread = nn.Linear(widths[half - 1], CODE) if species.code == "gaussian" else None
        if species.tied == "aliased":
            maps[1].weight.data = maps[0].weight.data.T
        elif species.tied == "clean":
            del maps[1].weight  # `forward` takes the encoder's

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Layers:
        """(B, pixels) in [0, 1], and standard normal noise (B, 50) where Z is drawn -> all layers."""
        species, hidden, logvar, logits = self.species, {}, None, x
        for name, affine in zip((*species.layers, "X'"), self.maps, strict=True):
            before = x
            if species.tied == "clean" and name == "X'":
                x = F.linear(x, self.get_parameter("maps.0.weight").T, self.get_parameter("maps.1.bias"))
            else:
                x = affine(x)
            if name == "Z":
                logits = x
            if name != "Z" or species.code == "sigmoid":
                x = torch.sigmoid(x)
            elif species.code == "softmax":
                x = torch.softmax(x, 1)
            elif self.spread is not None and noise is not None:
                logvar = self.spread(before)
                x = x + noise * torch.exp(0.5 * logvar)
            hidden[name] = x
        return Layers(hidden, hidden.pop("X'"), logits, logvar)


def loss(species: Species, layers: Layers, x: Tensor, labels: Tensor) -> Tensor:
    """What a species minimises over a batch: a sum over pictures where it is variational, otherwise a mean."""
    total = error(species, layers, x, labels)
    return total + penalty(layers.hidden["Z"].mean(0)) if species.sparse else total


def error(species: Species, layers: Layers, x: Tensor, labels: Tensor) -> Tensor:
    """The part of the loss that adds up over pictures."""
    if layers.logvar is not None:
        mu, logvar = layers.logits, layers.logvar
        divergence = -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum()
        return F.binary_cross_entropy(layers.output, x, reduction="sum") + divergence
    total = F.mse_loss(layers.output, x)
    if species.code == "softmax":
        total = total + LABEL_WEIGHT * F.cross_entropy(layers.logits, labels)
    return total


def penalty(mean: Tensor) -> Tensor:
    """The price of units (50,) that are active more or less often than they should: weighted divergences."""
    active = SPARSITY * torch.log(SPARSITY / (mean + TINY))
    silent = (1 - SPARSITY) * torch.log((1 - SPARSITY) / (1 - mean + TINY))
    return SPARSITY_WEIGHT * (active + silent).sum()


def batches(count: int, seed: int, first: int) -> Iterator[NDArray[np.int64]]:
    """Batches for ever, from step `first` on: each epoch in an order of its own, incomplete batches included."""
    size = min(BATCH, count)
    each = math.ceil(count / size)
    epoch, skipped = divmod(first, each)
    while True:
        order = np.random.default_rng((seed, SHUFFLE, epoch)).permutation(count)
        for i in range(skipped, each):
            yield order[i * size : (i + 1) * size]
        epoch, skipped = epoch + 1, 0


class Training:
    """A species in training: its network, its optimizer and its data."""

    def __init__(self, species: Species, images: ImageSet, seed: int) -> None:
        self.species, self.images, self.seed = species, images, seed
        self.count = max(1, int(len(images.train_images) * species.share))
        self.model = Autoencoder(species, images.pixels, seed)
        # Fused kernels are quicker; but two parameters in one storage have to take their turns.
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=RATE, fused=species.tied != "aliased")

    def learn(self, step: int, rows: NDArray[np.int64]) -> float:
        """One step, on these rows of the training set; the loss before it, per picture."""
        x = _unit(self.images.train_images[rows])
        layers = self.model(x, self._noise(NOISE, step, len(x)))
        value = loss(self.species, layers, x, torch.from_numpy(self.images.train_labels[rows]))
        self.optimizer.zero_grad()
        torch.autograd.backward(value)
        self.optimizer.step()
        return self._per_picture(value, len(x))

    @torch.no_grad()
    def test(self, step: int) -> float:
        """The loss on the whole test set, per picture.

        In pieces of the size of a batch: with blocks of 31 MB in between, the heap of glibc 2.36 grew by gigabytes.
        """
        images, labels = self.images.test_images, torch.from_numpy(self.images.test_labels)
        noise = self._noise(TEST_NOISE, step, len(images))
        total, code = 0.0, torch.zeros(CODE)
        for first in range(0, len(images), BATCH):
            part = slice(first, first + BATCH)
            x = _unit(images[part])
            layers = self.model(x, None if noise is None else noise[part])
            total += self._per_picture(error(self.species, layers, x, labels[part]), len(x)) * len(x)
            code += layers.hidden["Z"].sum(0)
        return total / len(images) + (float(penalty(code / len(images))) if self.species.sparse else 0)

    @torch.no_grad()
    def look(self, step: int, samples: int) -> Layers:
        """All layers on the first test pictures; noise is that of the step's batch, as in the paper."""
        x = _unit(self.images.test_images[:samples])
        layers: Layers = self.model(x, self._noise(NOISE, step, len(x)))
        return layers

    def _noise(self, stream: int, step: int, count: int) -> Tensor | None:
        if self.species.code != "gaussian":
            return None
        rng = np.random.default_rng((self.seed, stream, step))
        return torch.from_numpy(rng.standard_normal((count, CODE), np.float32))

    def _per_picture(self, value: Tensor, count: int) -> float:
        return float(value.detach()) / (count if self.species.code == "gaussian" else 1)


def _unit(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images).float() / 255
