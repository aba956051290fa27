"""tools/plane_spectra.py against the eigenvalues themselves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tools.plane_spectra import band, log_determinants, spectral_sum

ORDERS = (1, 1.0001, 1.01, 1.5, 2)


def rotated(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """A symmetric matrix with these eigenvalues."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))
    matrix = turn * values @ turn.T
    return (matrix + matrix.T) / 2


def whole(banded: np.ndarray) -> np.ndarray:
    size, height = banded.shape
    matrix = np.zeros((size, size))
    for below in range(min(size, height)):
        places = np.arange(size - below)
        matrix[places + below, places] = matrix[places, places + below] = banded[: size - below, below]
    return matrix


@pytest.mark.parametrize("size", [2, 3, 5, 11, 12, 40, 61])
@pytest.mark.parametrize("width", [1, 4, 10])
def test_a_band_has_the_eigenvalues_of_the_matrix(size, width):
    for matrix in (rotated(np.linspace(-1, 3, size)), np.diag(np.arange(size) + 1.0), np.ones((size, size))):
        before = matrix.copy()
        found = band(matrix, width)
        assert found.shape == (size, width + 1)
        assert np.allclose(np.linalg.eigvalsh(whole(found)), np.linalg.eigvalsh(matrix), rtol=0, atol=1e-14 * size)
        assert np.array_equal(matrix, before)


def test_determinants_are_those_of_the_matrix():
    values, shifts = np.geomspace(1e-9, 1, 60), np.array([1e-6, 0.3, 40])
    found = log_determinants(band(rotated(values), 7), shifts)
    assert found == pytest.approx(np.log1p(values / shifts[:, None]).sum(1), abs=1e-8)
    assert log_determinants(band(rotated(values - 0.1), 7), shifts) is None


SPECTRA = {
    "flat": np.ones(500),
    "one": np.eye(500)[0],
    "steady decay": np.geomspace(1, 1e-20, 500),
    "slow decay": 1 / np.arange(1, 501.0),
    "two levels": np.r_[np.ones(9), np.full(491, 1e-7)],
    "all tiny but one": np.r_[1, np.full(499, 1e-11)],
}


@pytest.mark.parametrize("name", SPECTRA)
def test_a_sum_is_that_over_all_eigenvalues(name):
    p = np.maximum(SPECTRA[name] / SPECTRA[name].sum(), 1e-300)
    matrix = rotated(7 * p)
    for alpha in ORDERS:
        terms = p * np.log(p) if alpha == 1 else p * np.expm1((alpha - 1) * np.log(p)) / (alpha - 1)
        assert spectral_sum(matrix, alpha) == pytest.approx(terms.sum(), abs=1e-10), alpha


def test_negative_eigenvalues_are_left_out():
    p = np.full(50, 1 / 50)
    assert spectral_sum(rotated(np.r_[-1e-6, p]), 1.01) == pytest.approx((50**-0.01 - 1) / 0.01, abs=1e-4)


def test_threads_do_not_disturb_each_other():
    matrices = [rotated(np.geomspace(1, 1e-3 / (i + 1), 90), i) for i in range(8)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda matrix: spectral_sum(matrix, 1.01), matrices))
    assert together == [spectral_sum(matrix, 1.01) for matrix in matrices]
