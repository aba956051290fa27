"""Trainings whose local rank is watched: settings, one step, one look. The loop is in rank_study.py.

    Fit           a ReLU perceptron by SGD with momentum and weight decay, on Gaussian data or on digits

A batch is drawn by a generator of its own, made of the seed and the number of the step; so a training can go on from a
checkpoint as if it had never stopped. Rows of what was seen are plain JSON.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tools.image_sets import ImageSet
from tools.information_plane import mutual_information
from tools.local_rank import (
    compact,
    entropy_rank_of,
    layer_jacobians,
    preactivations,
    rank_of,
    singular_values,
    stable_rank_of,
)

__all__ = [
    "EPS",
    "PROBES",
    "RELATIVE",
    "SAMPLES",
    "Examples",
    "Fit",
    "Learner",
    "Perceptron",
    "Row",
    "gaussian_examples",
    "layer_row",
    "layer_rows",
    "perceptron",
]

EPS = (0.01, 0.1, 1.0)  # absolute thresholds
RELATIVE = (0.01, 0.1)  # relative ones
PROBES = 256  # held-out inputs at which ranks are measured
SAMPLES = 100  # of the probes, for the matrix-based mutual information
JUDGED = 5000  # examples at which losses are measured, at most

Row = dict[str, Any]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Examples:
    """x (n, d) float32 and y, labels (n,) int64 or values (n, m) float32, for training and held out."""

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor

    @classmethod
    def of(cls, digits: ImageSet) -> Examples:
        """Pictures in [0, 1] and their labels."""
        train, test = (torch.from_numpy(x / np.float32(255)) for x in (digits.train_images, digits.test_images))
        return cls(train, torch.from_numpy(digits.train_labels), test, torch.from_numpy(digits.test_labels))


@dataclass(frozen=True, slots=True)
class Fit:
    """A perceptron over training. `data` is "gaussian" or "digits"."""

    data: str
    decay: float
    seed: int
    hidden: tuple[int, ...]
    examples: int
    steps: int
    batch: int
    rate: float
    momentum: float = 0.9
    looks: int = 20

    @property
    def name(self) -> str:
        return f"{self.data}-decay-{self.decay:g}-seed-{self.seed}"

    @property
    def needs_digits(self) -> bool:
        return self.data == "digits"


class Learner(Protocol):
    """A training: `step` may depend on nothing but parameters, moments, settings and its number."""

    model: nn.Module
    optimizer: torch.optim.Optimizer

    def step(self, number: int) -> None: ...

    def look(self) -> Row: ...


def gaussian_examples(settings: Fit, inputs: int = 32, outputs: int = 8, rank: int = 4) -> Examples:
    """x ~ N(0, I), y = B x with B of a low rank and no noise: the training can go on far past a perfect fit."""
    rng = np.random.default_rng((settings.seed, 0))
    b = rng.normal(size=(outputs, rank)) @ rng.normal(size=(rank, inputs)) / math.sqrt(rank * inputs)
    x = rng.normal(size=(settings.examples + PROBES, inputs))
    x_all, y_all = (torch.from_numpy(v).float() for v in (x, x @ b.T))
    n = settings.examples
    return Examples(x_all[:n], y_all[:n], x_all[n:], y_all[n:])


def perceptron(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def parameters_of(model: nn.Sequential) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Weights and biases of its linear layers, in float64."""
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    both = [[p.detach().numpy().astype(np.float64) for p in (layer.weight, layer.bias)] for layer in linear]
    return [weight for weight, _ in both], [bias for _, bias in both]


def layer_row(values: NDArray[np.float64]) -> Row:
    """All measures of a layer, from the singular values (N, k) of its Jacobians."""
    return {
        "absolute": [rank_of(values, eps) for eps in EPS],
        "relative": [rank_of(values, eps, relative=True) for eps in RELATIVE],
        "stable": stable_rank_of(values),
        "entropy": entropy_rank_of(values),
    }


def layer_rows(model: nn.Sequential, x: Tensor, outputs: int | None = None) -> list[Row]:
    """`layer_row` of each layer at the first held-out inputs, and I(X;T); of the last layer, `outputs` units count."""
    weights, biases = parameters_of(model)
    weights[-1], biases[-1] = weights[-1][:outputs], biases[-1][:outputs]
    probes = x[:PROBES].numpy()
    pre = preactivations(probes, weights, biases)
    rows = [layer_row(singular_values(found)) for found in layer_jacobians([compact(weights[0]), *weights[1:]], pre)]
    told = [mutual_information(probes[:SAMPLES], t[:SAMPLES]) for t in pre]
    return [row | {"information": bits} for row, bits in zip(rows, told, strict=True)]


class Perceptron:
    """See `Fit`: cross-entropy over labels, or squared error summed over outputs."""

    def __init__(self, settings: Fit, data: Examples, classes: bool) -> None:
        self.settings, self.classes, self.data = settings, classes, data
        self.x, self.y = data.x[: settings.examples], data.y[: settings.examples]
        outputs = int(data.y.max()) + 1 if classes else data.y.shape[1]
        self.model = perceptron((data.x.shape[1], *settings.hidden, outputs))
        self.optimizer: torch.optim.Optimizer = torch.optim.SGD(self.model.parameters(), settings.rate)
        for parameter in self.model.parameters():  # which a checkpoint holds, under the names that torch gives them
            self.optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter, requires_grad=False)
        flat = [parameter.detach().numpy() for parameter in self.model.parameters()]  # the same memory
        self.arrays = list(zip(flat[::2], flat[1::2], strict=True))  # weights and biases

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(out, y) if self.classes else (out - y).square().sum(1).mean()

    def step(self, number: int) -> None:
        rng = np.random.default_rng((self.settings.seed, number))
        picked = rng.integers(0, len(self.x), self.settings.batch)
        self.descend(self.x.numpy()[picked], self.y.numpy()[picked])

    def descend(self, x: Floats, y: NDArray[Any]) -> None:
        """One step of SGD, by hand: at this size, torch takes longer for what is around the sums than for them."""
        values = [x]
        for i, (weight, bias) in enumerate(self.arrays):
            p = values[-1] @ weight.T + bias
            values.append(np.maximum(p, 0) if i + 1 < len(self.arrays) else p)
        if self.classes:
            powers = np.exp(values[-1] - values[-1].max(1, keepdims=True))
            slope = powers / powers.sum(1, keepdims=True)
            slope[np.arange(len(y)), y] -= 1
        else:
            slope = 2 * (values[-1] - y)
        slope /= len(x)
        gradients: list[Floats] = []
        for (weight, _), value in zip(reversed(self.arrays), reversed(values[:-1]), strict=True):
            gradients = [slope.T @ value, slope.sum(0), *gradients]
            slope = (slope @ weight) * (value > 0)
        rate, decay = np.float32(self.settings.rate), np.float32(self.settings.decay)
        for parameter, gradient in zip(self.model.parameters(), gradients, strict=True):
            now, moment = parameter.detach().numpy(), self.optimizer.state[parameter]["momentum_buffer"].numpy()
            moment *= self.settings.momentum
            moment += gradient + decay * now
            now -= rate * moment

    @torch.no_grad()
    def look(self) -> Row:
        row: Row = {}
        for which, x, y in (("train", self.x, self.y), ("test", self.data.x_test, self.data.y_test)):
            out, answers = self.model(x[:JUDGED]), y[:JUDGED]
            row[f"{which}_loss"] = float(self.loss(out, answers))
            if self.classes:
                row[f"{which}_error"] = float((out.argmax(1) != answers).double().mean())
        return row | {"layers": layer_rows(self.model, self.data.x_test)}
