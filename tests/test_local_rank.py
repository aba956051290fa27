"""tools/local_rank.py against known singular values, finite differences, automatic differentiation and bounds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tools.local_rank import (
    ACTIVATIONS,
    compact,
    entropy_rank,
    layer_jacobians,
    local_rank,
    preactivations,
    singular_values,
    stable_rank,
)

SIZES = (6, 9, 7, 8, 3)
TINY = 1e-9  # singular values below it are zeros, after rounding


def matrix_with(rng: np.random.Generator, values: list[float], out: int, inputs: int) -> np.ndarray:
    """(out, inputs) of given singular values and random directions."""
    left, right = (np.linalg.qr(rng.normal(size=(n, n)))[0] for n in (out, inputs))
    return left[:, : len(values)] * values @ right[:, : len(values)].T


def network(seed: int, ranks: tuple[int, ...] | None = None) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Weights, biases and inputs of a perceptron of `SIZES`, of full rank or of given ranks."""
    rng = np.random.default_rng(seed)
    weights = []
    for layer, shape in enumerate(zip(SIZES[1:], SIZES[:-1], strict=True)):
        values = rng.uniform(0.5, 2, min(shape))[: ranks[layer] if ranks else None]
        weights.append(matrix_with(rng, list(values), *shape))
    return weights, [0.3 * rng.normal(size=n) for n in SIZES[1:]], rng.normal(size=(11, SIZES[0]))


def all_jacobians(seed: int, activation: str = "relu", ranks: tuple[int, ...] | None = None):
    weights, biases, x = network(seed, ranks)
    pre = preactivations(x, weights, biases, activation)
    return weights, pre, list(layer_jacobians(weights, pre, activation))


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 6)])
def test_ranks_of_known_singular_values(shape):
    rng = np.random.default_rng(0)
    values = [[8.0, 4.0, 2.0, 1e-3], [3.0, 3.0]]
    matrices = np.stack([matrix_with(rng, each, *shape) for each in values])
    found = singular_values(matrices)
    assert found.shape == (2, min(shape))
    np.testing.assert_allclose(found[0, :4], values[0], rtol=1e-10)
    assert local_rank(matrices, 2.5) == (2 + 2) / 2
    assert local_rank(matrices, 1e-4) == (4 + 2) / 2
    assert local_rank(matrices, 0.3, relative=True) == (2 + 2) / 2  # of 8 and of 3
    assert local_rank(matrices, 0.2, relative=True) == (3 + 2) / 2
    assert stable_rank(matrices) == pytest.approx((84.000001 / 64 + 2) / 2, rel=1e-10)
    shares = np.array(values[0]) / sum(values[0])
    assert entropy_rank(matrices) == pytest.approx((np.prod(shares**-shares) + 2) / 2, rel=1e-9)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_equal_singular_values_count_alike_for_all_measures(k):
    matrix = matrix_with(np.random.default_rng(k), [0.7] * k, 6, 5)[None]
    for found in (local_rank(matrix, 0.1), local_rank(matrix, 0.5, relative=True)):
        assert found == k
    assert stable_rank(matrix) == pytest.approx(k)
    assert entropy_rank(matrix) == pytest.approx(k)


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6))
def test_measures_without_a_threshold_ignore_scale_and_lie_between_1_and_the_rank(seed, scale):
    rng = np.random.default_rng(seed)
    j = rng.normal(size=(3, 4, 6)) * rng.exponential(size=(3, 4, 1)) ** 3
    for measure in (stable_rank, entropy_rank, lambda a: local_rank(a, 0.05, relative=True)):
        assert measure(scale * j) == pytest.approx(measure(j), rel=1e-9)
        assert measure(j) + 1e-9 >= 1
        assert measure(j) <= 4 + 1e-9
    assert stable_rank(j) <= entropy_rank(j) + 1e-9  # min-entropy <= Shannon's, and s^2 / s_1^2 <= s / s_1


def test_zeros_have_rank_0():
    zeros = np.zeros((2, 3, 4))
    assert [local_rank(zeros, 0), local_rank(zeros, 0.1, relative=True)] == [0, 0]
    assert [stable_rank(zeros), entropy_rank(zeros)] == [0, 0]


@pytest.mark.parametrize(
    ("array", "eps", "message"),
    [
        (np.ones((3, 3)), 0.1, "shape"),
        (np.ones((0, 3, 3)), 0.1, "shape"),
        (np.full((1, 2, 2), np.nan), 0.1, "not finite"),
        (np.ones((1, 2, 2)), -1.0, "threshold"),
        (np.ones((1, 2, 2)), np.nan, "threshold"),
    ],
)
def test_what_has_no_rank_is_refused(array, eps, message):
    with pytest.raises(ValueError, match=message):
        local_rank(array, eps)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_jacobians_equal_finite_differences(activation):
    weights, biases, x = network(1)
    _, _, found = all_jacobians(1, activation)
    h = 1e-6
    for i in range(SIZES[0]):
        ahead, behind = (preactivations(x + s * h * np.eye(SIZES[0])[i], weights, biases, activation) for s in (1, -1))
        for j, a, b in zip(found, ahead, behind, strict=True):
            np.testing.assert_allclose(
                np.broadcast_to(j, (len(x), *j.shape[1:]))[:, :, i], (a - b) / (2 * h), atol=1e-7
            )


TORCH = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": torch.nn.functional.softplus,
    "linear": lambda p: p,
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_jacobians_equal_those_of_autograd(activation):
    weights, biases, x = network(2)
    _, pre, found = all_jacobians(2, activation)
    for layer in range(1, len(SIZES)):

        def network_of(x: torch.Tensor, layer: int = layer) -> torch.Tensor:
            for i in range(layer):
                x = torch.from_numpy(weights[i]) @ (TORCH[activation](x) if i else x) + torch.from_numpy(biases[i])
            return x

        for n, each in enumerate(torch.from_numpy(x)):
            np.testing.assert_allclose(network_of(each).numpy(), pre[layer - 1][n], atol=1e-12)
            expected = torch.autograd.functional.jacobian(network_of, each).numpy()
            j = found[layer - 1]
            np.testing.assert_allclose(j[n if len(j) > 1 else 0], expected, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.tuples(*(st.integers(1, n) for n in (6, 7, 7, 3))))
def test_a_local_rank_is_at_most_that_of_each_weight_and_the_active_units_before(seed, ranks):
    _, pre, found = all_jacobians(seed, ranks=ranks)
    exact = [(singular_values(j) > TINY).sum(1) for j in found]
    for layer, rank in enumerate(exact):
        bound = np.full(len(pre[0]), min(ranks[: layer + 1]))
        for p in pre[:layer]:
            bound = np.minimum(bound, (p > 0).sum(1))
        assert (rank <= bound).all()
    assert all((later <= earlier).all() for earlier, later in itertools.pairwise(exact))
    means = [local_rank(j, TINY) for j in found]
    assert means == sorted(means, reverse=True)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["relu", "tanh", "sigmoid", "softplus"]))
def test_a_layer_stretches_no_direction_more_than_its_norm(seed, activation):
    weights, _, found = all_jacobians(seed, activation)
    for weight, j, after in zip(weights[1:], found, found[1:], strict=False):
        s, t = singular_values(j), singular_values(after)
        k = min(s.shape[1], t.shape[1])
        assert (t[:, :k] <= np.linalg.norm(weight, 2) * s[:, :k] * (1 + 1e-9) + 1e-12).all()


@pytest.mark.parametrize("inputs", [5, 40])
def test_a_compact_first_weight_changes_no_singular_value(inputs):
    rng = np.random.default_rng(3)
    weights = [rng.normal(size=(8, inputs)), rng.normal(size=(6, 8))]
    pre = preactivations(rng.normal(size=(4, inputs)), weights, [np.zeros(8), np.zeros(6)])
    small = [compact(weights[0]), weights[1]]
    assert small[0].shape == (8, min(8, inputs))
    for j, k in zip(layer_jacobians(weights, pre), layer_jacobians(small, pre), strict=True):
        np.testing.assert_allclose(singular_values(k), singular_values(j)[:, : k.shape[2]], rtol=1e-9, atol=1e-12)
