"""The information bottleneck of Gaussians, in closed form: where the rank of the best encoder is known exactly.

    minimise  L(T) = I(T;X) - beta I(T;Y),   T = A x + xi,   xi ~ N(0, I),   x and y jointly Gaussian

Chechik, Globerson, Tishby and Weiss 2005 ("Information bottleneck for Gaussian variables", JMLR 6). With eigenvalues
lam_1 <= lam_2 <= ... of S_{x|y} S_x^{-1} and its left eigenvectors v_i, which are here scaled to v_i^T S_x v_i = 1,

    beta_i    = 1 / (1 - lam_i)                                  below it, direction i is not worth its bits
    row i     = alpha_i v_i^T,  alpha_i^2 = (beta (1 - lam_i) - 1) / lam_i  above beta_i, 0 below
    rank A    = #{i: beta > beta_i}                              a staircase in beta
    I(T;X)    = 1/2 sum_i log2((beta - 1) (1 - lam_i) / lam_i)   over the rows that are not 0
    I(T;Y)    = I(T;X) - 1/2 sum_i log2(beta (1 - lam_i))

1 - lam_i are the squared canonical correlations of x and y. All information is in bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bottleneck", "Gaussians", "gaussians_of", "solve"]

F64 = NDArray[np.float64]
TINY = 1e-12  # of what should be 0 or 1, after float64's rounding


@dataclass(frozen=True, slots=True)
class Gaussians:
    """Covariances of x (n,) and y (m,) with mean 0: x (n, n), y (m, m), xy (n, m)."""

    x: F64
    y: F64
    xy: F64

    @property
    def x_given_y(self) -> F64:
        """S_{x|y} = S_x - S_xy S_y^{-1} S_yx."""
        return np.asarray(self.x - self.xy @ np.linalg.solve(self.y, self.xy.T))

    def about_x(self, a: F64) -> float:
        """I(T;X) of any A (k, n): log det(I + A S_x A^T) / 2."""
        return _half_log_det(np.eye(len(a)) + a @ self.x @ a.T)

    def about_y(self, a: F64) -> float:
        """I(T;Y) of any A (k, n): what A says of x, less what it says of x that y does not know."""
        return self.about_x(a) - _half_log_det(np.eye(len(a)) + a @ self.x_given_y @ a.T)

    def lagrangian(self, a: F64, beta: float) -> float:
        """I(T;X) - beta I(T;Y)."""
        return self.about_x(a) - beta * self.about_y(a)

    @property
    def mutual_information(self) -> float:
        """I(X;Y), which no I(T;Y) exceeds."""
        joint = np.block([[self.x, self.xy], [self.xy.T, self.y]])
        return _half_log_det(self.x) + _half_log_det(self.y) - _half_log_det(joint)


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The best encoders of a pair of Gaussians.

    Attributes
    ----------
    lam : (n,) eigenvalues of S_{x|y} S_x^{-1}, ascending, in (0, 1]
    vectors : (n, n) its left eigenvectors, as rows
    """

    lam: F64
    vectors: F64

    @property
    def critical(self) -> F64:
        """(n,) beta_i, ascending; infinite where y says nothing of a direction."""
        with np.errstate(divide="ignore"):
            return np.asarray(1 / (1 - self.lam))

    def rank(self, beta: float) -> int:
        """Of the best encoder."""
        return int((beta > self.critical).sum())

    def gains(self, beta: float) -> F64:
        """(n,) alpha_i: singular values of the encoder for whitened x."""
        return np.asarray(np.sqrt(np.maximum(beta * (1 - self.lam) - 1, 0) / self.lam))

    def encoder(self, beta: float) -> F64:
        """(n, n) A, with rows of zeros below their critical beta."""
        return np.asarray(self.gains(beta)[:, None] * self.vectors)

    def about_x(self, beta: float) -> float:
        """I(T;X) of the best encoder."""
        lam = self.lam[: self.rank(beta)]
        return float(0.5 * np.log2((beta - 1) * (1 - lam) / lam).sum())

    def about_y(self, beta: float) -> float:
        """I(T;Y) of the best encoder."""
        lam = self.lam[: self.rank(beta)]
        return self.about_x(beta) - float(0.5 * np.log2(beta * (1 - lam)).sum())


def solve(pair: Gaussians) -> Bottleneck:
    """All best encoders of a pair.

    Raises
    ------
    ValueError
        The covariances do not fit together, or x or x given y is certain in some direction: information is infinite.
    """
    n, m = len(pair.x), len(pair.y)
    if pair.x.shape != (n, n) or pair.y.shape != (m, m) or pair.xy.shape != (n, m):
        raise ValueError(f"covariances {pair.x.shape}, {pair.y.shape} and {pair.xy.shape} do not fit together")
    try:
        root = np.linalg.cholesky(pair.x)
        white = np.linalg.solve(root, np.linalg.solve(root, pair.x_given_y).T)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"a covariance is not positive definite: {error}") from error
    lam, basis = np.linalg.eigh((white + white.T) / 2)
    if lam[0] < TINY:
        raise ValueError("x given y is certain in some direction, or the covariances are of no joint distribution")
    lam = np.where(lam > 1 - TINY, 1.0, lam)  # y says nothing of these directions, or nothing that float64 could tell
    return Bottleneck(lam, np.linalg.solve(root.T, basis).T)


def gaussians_of(rng: np.random.Generator, correlations: Any, outputs: int | None = None) -> Gaussians:
    """A pair of given canonical correlations in random coordinates.

    Parameters
    ----------
    correlations : (n,) of x with y, in [0, 1); those beyond `outputs` have to be 0
    outputs : dimensions of y; n by default
    """
    rho = np.asarray(correlations, np.float64)
    n, m = len(rho), outputs or len(rho)
    if not ((rho >= 0) & (rho < 1)).all() or rho[m:].any():
        raise ValueError("canonical correlations lie in [0, 1), and y has at most as many as dimensions")
    mix_x, mix_y = (rng.normal(size=(k, k)) / np.sqrt(k) + np.eye(k) for k in (n, m))
    cross = np.zeros((n, m))
    np.fill_diagonal(cross, rho)
    return Gaussians(mix_x @ mix_x.T, mix_y @ mix_y.T, mix_x @ cross @ mix_y.T)


def _half_log_det(matrix: F64) -> float:
    sign, value = np.linalg.slogdet(matrix)
    if sign <= 0:
        raise ValueError("a covariance is not positive definite")
    return float(value / 2 / np.log(2))
