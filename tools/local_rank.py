"""Local rank: how many directions of its input a layer still tells apart.

    LR_l = E_x rank J_l(x),   J_l(x) = d p_l / d x,   p_l the pre-activation of layer l

Patel and Shwartz-Ziv 2024 (arXiv 2410.07687). Almost every matrix of floats has full rank, so what is counted is
singular values above a threshold: `eps` itself, or `eps` times the largest one. Two measures need no threshold,

    stable rank   |J|_F^2 / |J|_2^2 = sum s_i^2 / s_1^2
    entropy rank  exp(H(s / sum s)), H in nats (Roy and Vetterli 2007, "The effective rank")

Both lie between 1 and the rank. For a multi-layer perceptron the Jacobians need no automatic differentiation:

    p_1 = W_1 x + b_1,   p_l = W_l phi(p_{l-1}) + b_l
    J_1 = W_1,           J_l = W_l D_{l-1} J_{l-1},   D_l = diag(phi'(p_l)); for ReLU the mask of active units

Hence rank J_l <= min_{i <= l} rank W_i, rank J_l <= active units of each earlier layer, and s_j(J_{l+1}) <=
|W_{l+1}|_2 max|phi'| s_j(J_l). All arrays here are float64, whatever comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "compact",
    "entropy_rank",
    "layer_jacobians",
    "local_rank",
    "preactivations",
    "singular_values",
    "stable_rank",
]

Floats = NDArray[np.floating[Any]]
F64 = NDArray[np.float64]
Function = Callable[[F64], F64]


@dataclass(frozen=True, slots=True)
class Activation:
    """A function phi and its derivative phi', elementwise. ReLU's derivative at 0 is 0, as in torch."""

    value: Function
    slope: Function


def _sigmoid(p: F64) -> F64:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * p)))


ACTIVATIONS = {
    "relu": Activation(lambda p: np.maximum(p, 0), lambda p: (p > 0).astype(np.float64)),
    "tanh": Activation(lambda p: np.tanh(p), lambda p: 1 - np.tanh(p) ** 2),
    "sigmoid": Activation(_sigmoid, lambda p: _sigmoid(p) * (1 - _sigmoid(p))),
    "softplus": Activation(lambda p: np.logaddexp(0, p), _sigmoid),
    "linear": Activation(lambda p: p, np.ones_like),
}


def singular_values(matrices: ArrayLike) -> F64:
    """(N, out, in) -> (N, min(out, in)) singular values, largest first.

    Raises
    ------
    ValueError
        The array has another number of axes, is empty, or holds what is not a finite number.
    """
    array = np.asarray(matrices, np.float64)
    if array.ndim != 3 or array.size == 0:
        raise ValueError(f"expected Jacobians of shape (N, out, in), got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("the Jacobians are not finite")
    return np.linalg.svd(array, compute_uv=False)


def local_rank(jacobians: ArrayLike, eps: float, relative: bool = False) -> float:
    """Mean number of singular values above a threshold.

    Parameters
    ----------
    jacobians : (N, out, in) floats, one for each input
    eps : the threshold, >= 0
    relative : the threshold is eps times the largest singular value of each Jacobian

    Raises
    ------
    ValueError
        `eps` is negative, or see `singular_values`.
    """
    return rank_of(singular_values(jacobians), eps, relative)


def stable_rank(jacobians: ArrayLike) -> float:
    """Mean of |J|_F^2 / |J|_2^2; 0 for a matrix of zeros."""
    return stable_rank_of(singular_values(jacobians))


def entropy_rank(jacobians: ArrayLike) -> float:
    """Mean of exp(H(s / sum s)); 0 for a matrix of zeros."""
    return entropy_rank_of(singular_values(jacobians))


def rank_of(values: F64, eps: float, relative: bool = False) -> float:
    """`local_rank` of singular values (N, k), largest first."""
    if not eps >= 0:
        raise ValueError(f"the threshold is {eps}, expected 0 or more")
    threshold = eps * values[:, :1] if relative else eps
    return float((values > threshold).sum(1).mean())


def stable_rank_of(values: F64) -> float:
    """`stable_rank` of singular values (N, k), largest first."""
    shares = values / np.where(values[:, :1] > 0, values[:, :1], 1)
    return float((shares**2).sum(1).mean())


def entropy_rank_of(values: F64) -> float:
    """`entropy_rank` of singular values (N, k)."""
    total = values.sum(1, keepdims=True)
    shares = values / np.where(total > 0, total, 1)
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1))).sum(1)
    return float((np.exp(entropy) * (total[:, 0] > 0)).mean())


def preactivations(
    x: Floats, weights: Sequence[Floats], biases: Sequence[Floats], activation: str = "relu"
) -> list[F64]:
    """p_1 .. p_L of a perceptron: (N, in) inputs, weights (out, in), biases (out,) -> arrays (N, out)."""
    value, found = ACTIVATIONS[activation].value, []
    for weight, bias in zip(weights, biases, strict=True):
        inputs = value(found[-1]) if found else np.asarray(x, np.float64)
        found.append(inputs @ np.asarray(weight, np.float64).T + bias)
    return found


def layer_jacobians(weights: Sequence[Floats], pre: Sequence[F64], activation: str = "relu") -> Iterator[F64]:
    """J_1 .. J_L of a perceptron: weights (out, in) and pre-activations (N, out) -> arrays (N, out, in of the first).

    The first one does not depend on x, and is given as (1, out, in).
    """
    slope = ACTIVATIONS[activation].slope
    jacobian = np.asarray(weights[0], np.float64)[None]
    yield jacobian
    for weight, p in zip(weights[1:], pre, strict=False):
        jacobian = (np.asarray(weight, np.float64) * slope(p)[:, None, :]) @ jacobian
        yield jacobian


def compact(weight: Floats) -> F64:
    """A first weight (out, in) -> (out, min(out, in)) that gives all Jacobians the same singular values.

    W_1 = R^T Q^T with orthonormal columns of Q: J_l = P_l R^T Q^T has the singular values of P_l R^T. With 784 inputs
    and 100 units, Jacobians become 8 times smaller.
    """
    weight = np.asarray(weight, np.float64)
    return weight if weight.shape[0] >= weight.shape[1] else np.linalg.qr(weight.T, mode="r").T
