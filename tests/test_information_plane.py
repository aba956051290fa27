"""tools/information_plane.py against closed forms, against the formula written out, and against another estimator."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.information_plane import (
    LEE_JO,
    TAPIA_ESTEVEZ,
    Kernel,
    Variable,
    gram,
    information,
    kernel_width,
    matrix_entropy,
    mutual_information,
    plane,
    renyi_entropy,
)

CLOSE = 1e-6  # bit
CORRELATIONS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.99)


def rows(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def gaussian_pair(correlation: float, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x, noise = np.random.default_rng(seed).normal(size=(2, n, 1))
    return x, correlation * x + math.sqrt(1 - correlation**2) * noise


def slow_entropy(x: np.ndarray, sigma: float, alpha: float, other: np.ndarray | None = None, s: float = 1.0) -> float:
    """The definition, sample by sample, with singular values and Lee and Jo's 1e-8; joint if there is `other`."""
    n = len(x)
    a = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            a[i, j] = math.exp(-float(sum((x[i] - x[j]) ** 2)) / (2 * sigma**2)) / n
            if other is not None:
                a[i, j] *= math.exp(-float(sum((other[i] - other[j]) ** 2)) / (2 * s**2))
    return math.log2(float(np.sum(np.linalg.svd(a / np.trace(a))[1] ** alpha)) + 1e-8) / (1 - alpha)


@pytest.mark.parametrize("alpha", [0.5, 1.01, 2.0])
def test_the_quick_way_agrees_with_the_definition(alpha):
    x, t = rows(23, 5), rows(23, 3, 1)
    sigma_x, sigma_t = kernel_width(23, 5), 0.7
    assert sigma_x == pytest.approx(2 * 23 ** (-1 / 9))
    s_x, s_t = slow_entropy(x, sigma_x, alpha), slow_entropy(t, sigma_t, alpha)
    joint = slow_entropy(x, sigma_x, alpha, t, sigma_t)
    assert renyi_entropy(x, alpha=alpha) == pytest.approx(s_x, abs=5e-6)
    assert mutual_information(x, t, sigma_t=sigma_t, alpha=alpha) == pytest.approx(s_x + s_t - joint, abs=1e-5)


@pytest.mark.parametrize(("features", "width"), [(784, 1.988), (256, 1.965), (128, 1.931), (50, 1.837)])
def test_widths_are_those_of_the_paper(features, width):
    assert kernel_width(100, features) == pytest.approx(width, abs=5e-4)


@pytest.mark.parametrize("alpha", [0.5, 1, 1.01, 3])
@pytest.mark.parametrize("n", [1, 2, 100])
def test_equal_eigenvalues_have_log2_n_bits_and_one_has_none(n, alpha):
    assert matrix_entropy(np.eye(n) / n, alpha) == pytest.approx(math.log2(n), abs=1e-9)
    assert matrix_entropy(np.full((n, n), 1 / n), alpha) == pytest.approx(0, abs=1e-9)


def exact_entropy(matrix: np.ndarray, alpha: float) -> float:
    """From all eigenvalues, with none left out."""
    values = np.maximum(np.linalg.eigvalsh(matrix), 0)
    values /= values.sum()
    if alpha == 1:
        values = values[values > 0]
        return -float((values * np.log2(values)).sum())
    return math.log2(float((values**alpha).sum())) / (1 - alpha)


def few(n: int, clusters: int, spread: float) -> np.ndarray:
    return rows(clusters, 6)[np.arange(n) % clusters] + spread * rows(n, 6, 1)


MATRICES = {
    "collapsed": gram(1e-3 * rows(400, 50)),
    "all equal": gram(np.ones((400, 3))),
    "one apart": gram(np.r_[np.ones((399, 3)), 99 * np.ones((1, 3))]),
    "clusters": gram(few(400, 20, 0), 0.1),
    "blurred clusters": gram(few(400, 5, 1e-4)),
    "a line": gram(rows(400, 1), 0.3),
    "a joint matrix": 400 * gram(rows(400, 1), 1.5) * gram(rows(400, 1, 1), 1.5),
    "slowly decaying": gram(rows(400, 3), 0.5),
    "flat": gram(rows(400, 2), 1e-4),
    "random": gram(rows(400, 20)),
}


@pytest.mark.parametrize("alpha", [1, 1.0001, 1.01, 1.5, 2, 5])
@pytest.mark.parametrize("name", MATRICES)
def test_a_large_matrix_has_the_entropy_of_all_its_eigenvalues(name, alpha):
    assert matrix_entropy(MATRICES[name], alpha) == pytest.approx(exact_entropy(MATRICES[name], alpha), abs=1e-9)


def test_orders_below_1_see_every_eigenvalue():
    matrix = MATRICES["collapsed"]
    assert matrix_entropy(matrix, 0.5) == pytest.approx(exact_entropy(matrix, 0.5), abs=1e-4)


def test_two_samples_have_the_entropy_of_a_coin():
    x = np.array([[0.0], [1.5]])
    k = math.exp(-(1.5**2) / 2)  # eigenvalues (1 +- k) / 2
    p = np.array([1 + k, 1 - k]) / 2
    assert renyi_entropy(x, sigma=1, alpha=1) == pytest.approx(-(p * np.log2(p)).sum(), abs=1e-9)
    assert renyi_entropy(x, sigma=1, alpha=2) == pytest.approx(-math.log2((p**2).sum()), abs=1e-9)


def test_the_order_1_is_the_limit():
    x = rows(40, 4)
    assert renyi_entropy(x, alpha=1) == pytest.approx(renyi_entropy(x, alpha=1 + 1e-6), abs=1e-4)


def test_samples_far_apart_reach_the_ceiling_and_equal_ones_the_floor():
    labels = np.repeat(np.eye(8), 4, axis=0)  # 8 groups of 4 equal samples
    assert renyi_entropy(100 * labels) == pytest.approx(3, abs=CLOSE)
    assert renyi_entropy(1000 * rows(64, 3)) == pytest.approx(6, abs=CLOSE)
    assert renyi_entropy(np.ones((64, 3))) == pytest.approx(0, abs=CLOSE)


def test_groups_tell_what_they_share():
    fine, coarse = np.repeat(np.eye(8), 4, axis=0), np.repeat(np.eye(2), 16, axis=0)
    crossing = np.tile(np.eye(4), (8, 1))
    assert mutual_information(100 * fine, 100 * coarse) == pytest.approx(1, abs=CLOSE)
    assert mutual_information(100 * fine, 100 * crossing) == pytest.approx(0, abs=CLOSE)  # S(X,T) = log2 32
    assert mutual_information(100 * fine, 100 * fine) == pytest.approx(3, abs=CLOSE)


@settings(max_examples=50)
@given(st.integers(2, 30), st.integers(1, 6), st.integers(0, 99), st.floats(0.05, 20), st.sampled_from([1, 1.01, 2]))
def test_information_lies_between_zero_and_the_lesser_entropy(n, d, seed, sigma, alpha):
    x, t = rows(n, d, seed), rows(n, 2, seed + 100)
    s_x, s_t = renyi_entropy(x, sigma, alpha), renyi_entropy(t, alpha=alpha)
    bits = mutual_information(x, t, sigma_x=sigma, alpha=alpha)
    assert max(s_x, s_t) <= math.log2(n) + CLOSE
    assert bits <= min(s_x, s_t) + CLOSE
    assert bits >= {1: -CLOSE, 1.01: -0.01, 2: -1}[alpha]  # subadditive at order 1 only
    assert mutual_information(t, x, sigma_t=sigma, alpha=alpha) == pytest.approx(bits, abs=CLOSE)


@given(st.integers(0, 999), st.sampled_from([0.5, 1.01, 2.0]))
def test_entropy_adds_up_over_tensor_products(seed, alpha):
    a, b = gram(rows(6, 2, seed)), gram(rows(5, 3, seed + 1))
    total = matrix_entropy(a, alpha) + matrix_entropy(b, alpha)
    assert matrix_entropy(np.kron(a, b), alpha) == pytest.approx(total, abs=CLOSE)


@settings(max_examples=50)
@given(st.integers(0, 999), st.floats(0.1, 10), st.sampled_from([0.5, 1, 1.01, 2]))
def test_a_joint_entropy_is_at_least_that_of_its_parts(seed, sigma, alpha):
    a, b = gram(rows(20, 3, seed), sigma), gram(rows(20, 2, seed + 1))
    joint = matrix_entropy(a * b / np.trace(a * b), alpha)
    assert joint >= max(matrix_entropy(a, alpha), matrix_entropy(b, alpha)) - 10 * CLOSE


def test_more_of_a_variable_tells_more():
    """x[:, :k] is made from x[:, :k + 1]; with one width for all, each of its kernels is a factor of the next one."""
    x = rows(60, 6)
    entropies = [renyi_entropy(x[:, :k], sigma=1.5) for k in range(1, 7)]
    bits = [mutual_information(x, x[:, :k], 1.5, 1.5) for k in range(1, 7)]
    assert entropies == sorted(entropies)
    assert bits == sorted(bits)


def test_a_layer_that_contracts_tells_less():
    """The kernel of 2 t is that of t to the fourth power, element by element: what a simplifying phase is."""
    x, t = rows(60, 6), rows(60, 3, 1)
    bits = [mutual_information(x, scale * t) for scale in (4, 2, 1, 0.5, 0.25, 0.125)]
    assert bits == sorted(bits, reverse=True)
    assert bits[0] > 5
    assert bits[-1] < 0.5


@given(st.integers(0, 999))
def test_the_order_of_samples_and_where_they_lie_do_not_matter(seed):
    x, t = rows(25, 4, seed), rows(25, 2, seed + 1)
    rng = np.random.default_rng(seed)
    order, (turn, _) = rng.permutation(25), np.linalg.qr(rng.normal(size=(4, 4)))
    moved = (x @ turn + 1000)[order]
    assert mutual_information(moved, t[order]) == pytest.approx(mutual_information(x, t), abs=CLOSE)


@pytest.mark.parametrize("n", [100, 300])
def test_gaussian_pairs_are_ranked_as_their_information(n):
    """I = -1/2 log2(1 - r^2): the estimate rises with it, from what chance gives at r = 0."""
    bits = [mutual_information(*gaussian_pair(r, n), 0.3, 0.3) for r in CORRELATIONS]
    assert bits == sorted(bits)
    truth = [-0.5 * math.log2(1 - r**2) for r in CORRELATIONS]
    assert np.corrcoef(bits, truth)[0, 1] > 0.97


def test_another_estimator_ranks_and_measures_the_same():
    """Kraskov's estimator from nearest neighbours, as scikit-learn has it, is right in bits; ours follows it."""
    from sklearn.feature_selection import mutual_info_regression

    ours, theirs = [], []
    for r in CORRELATIONS:
        x, t = gaussian_pair(r, 500, seed=5)
        ours.append(mutual_information(x, t, 0.3, 0.3))
        theirs.append(mutual_info_regression(x, t[:, 0], random_state=0)[0] / math.log(2))
        assert theirs[-1] == pytest.approx(-0.5 * math.log2(1 - r**2), abs=0.15)
    assert ours == sorted(ours)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.97


def test_one_scale_for_all_forgets_the_scale():
    x, t = rows(50, 6), rows(50, 3, 1)
    kernel = TAPIA_ESTEVEZ

    def bits(x, t):
        return information(Variable.of(kernel.gram(x, picture=True)), Variable.of(kernel.gram(t)))

    assert bits(7 * x + 3, t * [1, 10, 100] - 5) == pytest.approx(bits(x, t), abs=CLOSE)
    width = math.sqrt(3) * 50 ** (-1 / 7)
    z = (t - t.mean(0)) / t.std(0)
    assert np.allclose(kernel.gram(t), gram(z, width))
    assert np.isfinite(kernel.gram(np.ones((5, 2)))).all()


def test_a_wider_kernel_tells_fewer_samples_apart():
    x = rows(80, 5)
    bits = [matrix_entropy(Kernel(gamma).gram(x)) for gamma in (0.5, 1, 2, 4, 8)]
    assert bits == sorted(bits, reverse=True)
    assert LEE_JO.name == "gamma 2"
    assert bits[2] == pytest.approx(renyi_entropy(x), abs=1e-12)


def test_a_plane_is_the_information_of_each_layer_with_both_ends():
    x, y = rows(30, 8), rows(30, 8, 1)
    layers = {"E1": rows(30, 4, 2), "Z": rows(30, 2, 3)}
    expected = {name: (mutual_information(x, t), mutual_information(t, y)) for name, t in layers.items()}
    with ThreadPoolExecutor(2) as pool:
        found = plane(x, layers, y, known=Variable.of(gram(x)), pool=pool)
    assert plane(x, layers, y) == found
    for name, pair in expected.items():
        assert found[name] == pytest.approx(pair, abs=1e-12)


@pytest.mark.parametrize("x", [np.zeros(5), np.zeros((0, 2)), np.zeros((3, 0)), np.array([[np.nan], [0]])])
def test_what_are_no_samples_is_refused(x):
    with pytest.raises(ValueError, match="samples"):
        renyi_entropy(x)


def test_settings_out_of_range_are_refused():
    x = rows(4, 2)
    for sigma in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="width"):
            renyi_entropy(x, sigma)
    for alpha in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="order"):
            renyi_entropy(x, alpha=alpha)
    with pytest.raises(ValueError, match="pairs"):
        mutual_information(x, rows(5, 2))
