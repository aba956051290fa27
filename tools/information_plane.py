"""The information plane: how much a layer T tells about the input X, and about the output X', in bits.

    A = K / N,  K_ij = exp(-||x_i - x_j||^2 / (2 s^2))          a Gram matrix of N samples, of trace 1
    S(X) = log2(sum_i lambda_i^alpha) / (1 - alpha)             over the eigenvalues of A
    I(X;T) = S(X) + S(T) - S(X,T),   S(X,T) of A_X o A_T / tr(A_X o A_T), the product element by element

The matrix-based Rényi entropy of Giraldo, Rao and Principe (2014), with the settings of Lee and Jo (2021): alpha =
1.01, raw values, s = gamma N^(-1/(4+d)) with gamma = 2. Their code adds 1e-8 inside of the logarithm, which is 1.4e-6
bit; without it, S has the bounds 0 and log2 N.

With f_i the feature map of sample i, A has the eigenvalues of a mixed quantum state, the mean of |f_i><f_i|, and the
joint matrix those of a separable state. Hence S(X,T) >= max(S(X), S(T)), so I <= min(S(X), S(T)), for every order
(Nielsen and Kempe 2001), and I >= 0 for order 1; other orders do not promise that.

What it measures is how far samples lie apart, seen through a kernel of width s: log2 N says that all of them are told
apart, and 0 that none is. It depends on the scale of the values. So the plane is also measured through other widths,
and with values brought to one scale, as Tapia and Estévez (2020) do: every feature to mean 0 and variance 1 (a picture
as a whole), s = gamma sqrt(d) N^(-1/(4+d)) with gamma = 1.

Nearly all time goes into the eigenvalues of large matrices. They decay without a gap, and all of them count, but they
are wanted for a sum only, which is to be had without them (`plane_spectra`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tools.plane_spectra import spectral_sum

__all__ = [
    "ALPHA",
    "LEE_JO",
    "SWEEP",
    "TAPIA_ESTEVEZ",
    "Kernel",
    "Variable",
    "gram",
    "information",
    "joint",
    "kernel_width",
    "matrix_entropy",
    "mutual_information",
    "plane",
    "renyi_entropy",
]

Floats = NDArray[np.float64]

ALPHA = 1.01  # close to Shannon's 1
GAMMA = 2.0
BLOCK = 64
LARGE = 400  # samples from which on a sum over eigenvalues is quicker than the eigenvalues


def renyi_entropy(x: ArrayLike, sigma: float | None = None, alpha: float = ALPHA) -> float:
    """The entropy S(X) of samples, in bits, between 0 and log2 N.

    Parameters
    ----------
    x : (N, d), finite
    sigma : width of the kernel, in the units of `x`; 2 N^(-1/(4+d)) by default
    alpha : the order, positive; at 1 it is von Neumann's entropy, the limit

    Raises
    ------
    ValueError
        The samples or the settings are not that.
    """
    return matrix_entropy(gram(x, sigma), alpha)


def mutual_information(
    x: ArrayLike, t: ArrayLike, sigma_x: float | None = None, sigma_t: float | None = None, alpha: float = ALPHA
) -> float:
    """I(X;T) = S(X) + S(T) - S(X,T), in bits, of N pairs of samples; at most the lesser of both entropies.

    Parameters
    ----------
    x, t : (N, d) and (N, e), finite; row i of both belongs together
    sigma_x, sigma_t, alpha : as for `renyi_entropy`

    Raises
    ------
    ValueError
        The samples or the settings are not that.
    """
    return information(Variable.of(gram(x, sigma_x), alpha), Variable.of(gram(t, sigma_t), alpha), alpha)


def kernel_width(samples: int, features: int, gamma: float = GAMMA) -> float:
    """Silverman's rule without the scale of the data: gamma N^(-1/(4+d))."""
    return gamma * float(samples ** (-1 / (4 + features)))


def gram(x: ArrayLike, sigma: float | None = None) -> Floats:
    """The Gram matrix K / N of samples (N, d) under a Gaussian kernel: (N, N), symmetric, of trace 1."""
    rows = _samples(x)
    sigma = kernel_width(rows.shape[0], rows.shape[1]) if sigma is None else sigma
    if not 0 < sigma < math.inf:
        raise ValueError(f"the width of a kernel is positive and finite, got {sigma}")
    rows = (rows - rows.mean(0)) / (math.sqrt(2) * sigma)  # around 0, where differences of squares lose least
    squares = np.einsum("ij,ij->i", rows, rows)
    matrix: Floats = rows @ rows.T
    for start in range(0, len(rows), BLOCK):  # in place, and so few rows at once that they stay in the cache
        part = matrix[start : start + BLOCK]
        part *= 2
        part -= np.add.outer(squares[start : start + BLOCK], squares)  # minus the squared distances
        np.minimum(part, 0, out=part)
        np.fill_diagonal(part[:, start:], 0)
        np.exp(part, out=part)
        part /= len(rows)
    return matrix


def _samples(x: ArrayLike) -> Floats:
    rows: Floats = np.asarray(x, np.float64)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"expected samples of shape (N, d), got {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError("the samples are not all finite")
    return rows


def matrix_entropy(matrix: Floats, alpha: float = ALPHA) -> float:
    """Rényi's entropy of the eigenvalues of a positive semidefinite matrix, taken as probabilities, in bits.

    Of a large one, and orders from 1 to 2, it comes from `spectral_sum`, and is off by less than 3e-13 N bit.
    """
    if not 0 < alpha < math.inf:
        raise ValueError(f"the order of an entropy is positive and finite, got {alpha}")
    if 1 <= alpha <= 2 and len(matrix) >= LARGE:
        total = spectral_sum(matrix, alpha)
        natural = total if alpha == 1 else math.log1p((alpha - 1) * total) / (alpha - 1)
        return max(0.0, -natural / math.log(2))
    values = np.linalg.eigvalsh(matrix)
    values = values[values > len(values) * np.finfo(np.float64).eps * values[-1]]  # the others are rounding
    values /= values.sum()
    if alpha == 1:
        return max(0.0, float(-(values * np.log2(values)).sum()))
    return max(0.0, math.log2(float((values**alpha).sum())) / (1 - alpha))


def joint(a: Floats, b: Floats) -> Floats:
    """The matrix of both variables together, of trace 1."""
    if a.shape != b.shape:
        raise ValueError(f"pairs of samples are needed, got {len(a)} of one and {len(b)} of the other")
    matrix: Floats = a * b
    matrix /= np.trace(matrix)
    return matrix


@dataclass(frozen=True, slots=True)
class Variable:
    """Samples as the estimator sees them: their Gram matrix (N, N), and its entropy in bits."""

    matrix: Floats
    entropy: float

    @classmethod
    def of(cls, matrix: Floats, alpha: float = ALPHA) -> Variable:
        """A Gram matrix with its entropy."""
        return cls(matrix, matrix_entropy(matrix, alpha))


def information(a: Variable, b: Variable, alpha: float = ALPHA) -> float:
    """I of two variables of the same samples, in bits."""
    return a.entropy + b.entropy - matrix_entropy(joint(a.matrix, b.matrix), alpha)


@dataclass(frozen=True, slots=True)
class Kernel:
    """How samples become a Gram matrix: gamma of the width, and whether values are brought to one scale first."""

    gamma: float = GAMMA
    normalised: bool = False

    @property
    def name(self) -> str:
        """Short, for files: `gamma 2`, `normalised gamma 1`."""
        return f"{'normalised ' if self.normalised else ''}gamma {self.gamma:g}"

    def gram(self, x: ArrayLike, *, picture: bool = False) -> Floats:
        """The Gram matrix of samples (N, d); the features of a `picture` share one mean and one variance."""
        rows = _samples(x)
        samples, features = rows.shape
        width = kernel_width(samples, features, self.gamma)
        if not self.normalised:
            return gram(rows, width)
        axis = None if picture else 0
        spread = np.std(rows, axis)
        rows = (rows - np.mean(rows, axis)) / np.where(spread > 0, spread, 1)
        return gram(rows, width * math.sqrt(features))


LEE_JO = Kernel()
TAPIA_ESTEVEZ = Kernel(1.0, normalised=True)
SWEEP = tuple(Kernel(gamma) for gamma in (0.5, 1.0, 4.0, 8.0))


def plane(
    x: ArrayLike,
    layers: Mapping[str, ArrayLike],
    output: ArrayLike,
    kernel: Kernel = LEE_JO,
    alpha: float = ALPHA,
    *,
    known: Variable | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> dict[str, tuple[float, float]]:
    """Where each layer stands in the information plane.

    Parameters
    ----------
    x, output : (N, d), pictures and what the network makes of them
    layers : (N, width) each, of the same samples
    known : `x` as a variable of this kernel and order, so that it is not measured again
    pool : threads for the matrices, each of which is one job; numpy's own threads (OPENBLAS_NUM_THREADS) only disturb

    Returns
    -------
    dict
        (I(X;T), I(T;X')) in bits, by the names of the layers.
    """
    run = pool.map if pool else map
    first = known or Variable.of(kernel.gram(x, picture=True), alpha)
    samples = (*layers.values(), output)
    *inner, last = run(lambda each: kernel.gram(each, picture=each is output), samples)
    pairs = [pair for layer in inner for pair in ((first.matrix, layer), (layer, last))]
    jobs = [(matrix,) for matrix in (*inner, last)] + pairs

    def entropy(matrices: tuple[Floats, ...]) -> float:
        return matrix_entropy(joint(*matrices) if len(matrices) > 1 else matrices[0], alpha)

    bits = list(run(entropy, jobs))
    alone, end, together = bits[: len(inner)], bits[len(inner)], bits[len(inner) + 1 :]
    return {
        name: (first.entropy + own - with_x, own + end - with_output)
        for name, own, with_x, with_output in zip(layers, alone, together[::2], together[1::2], strict=True)
    }
