"""tools/gaussian_bottleneck.py against log-determinants, and against what no other encoder can beat."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.gaussian_bottleneck import Gaussians, gaussians_of, solve
from tools.local_rank import local_rank, singular_values

SEEDS = st.integers(0, 2**32 - 1)
CORRELATIONS = (0.95, 0.8, 0.6, 0.3)


def random_pair(seed: int, n: int = 4, m: int = 3) -> Gaussians:
    """Covariances of random mixtures, in no special coordinates."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(n + m, n + m)) + 0.5 * np.eye(n + m)
    joint = mix @ mix.T + 0.1 * np.eye(n + m)
    return Gaussians(joint[:n, :n], joint[n:, n:], joint[:n, n:])


def test_the_rank_of_the_best_encoder_is_a_staircase_at_the_critical_beta():
    pair = gaussians_of(np.random.default_rng(0), CORRELATIONS)
    best = solve(pair)
    np.testing.assert_allclose(best.critical, 1 / np.square(CORRELATIONS), rtol=1e-9)
    root = np.linalg.cholesky(pair.x)
    for i, critical in enumerate(best.critical):
        for beta, expected in ((critical * (1 - 1e-6), i), (critical * (1 + 1e-6), i + 1)):
            encoder = best.encoder(beta)
            assert best.rank(beta) == expected
            assert local_rank(encoder[None], 1e-7) == local_rank((encoder @ root)[None], 1e-7) == expected


@given(SEEDS, st.floats(1.01, 1e4))
def test_gains_are_the_singular_values_of_the_encoder_for_white_x(seed, beta):
    pair = random_pair(seed)
    best = solve(pair)
    found = singular_values((best.encoder(beta) @ np.linalg.cholesky(pair.x))[None])[0]
    np.testing.assert_allclose(found, np.sort(best.gains(beta))[::-1], rtol=1e-6, atol=1e-6)


@given(SEEDS, st.floats(1.01, 1e4))
def test_informations_equal_those_of_log_determinants(seed, beta):
    pair = random_pair(seed)
    best = solve(pair)
    encoder = best.encoder(beta)
    assert best.about_x(beta) == pytest.approx(pair.about_x(encoder), rel=1e-7, abs=1e-7)
    assert best.about_y(beta) == pytest.approx(pair.about_y(encoder), rel=1e-7, abs=1e-7)
    # and about_y is I(T;Y) of the joint covariance of T and y
    t, cross = encoder @ pair.x @ encoder.T + np.eye(len(encoder)), encoder @ pair.xy
    joint = np.block([[t, cross], [cross.T, pair.y]])
    halves = [np.linalg.slogdet(s)[1] / 2 / np.log(2) for s in (t, pair.y, joint)]
    assert pair.about_y(encoder) == pytest.approx(halves[0] + halves[1] - halves[2], rel=1e-7, abs=1e-7)


@given(SEEDS, st.floats(1.01, 1e3))
def test_data_processing(seed, beta):
    pair = random_pair(seed)
    best = solve(pair)
    assert 0 <= best.about_y(beta) <= min(best.about_x(beta), pair.mutual_information) + 1e-9
    a = np.random.default_rng(seed).normal(size=(2, 4))
    assert -1e-9 <= pair.about_y(a) <= min(pair.about_x(a), pair.mutual_information) + 1e-9


def test_information_of_all_directions_is_reached_in_the_limit():
    pair = gaussians_of(np.random.default_rng(1), CORRELATIONS)
    expected = -0.5 * np.log2(1 - np.square(CORRELATIONS)).sum()
    assert pair.mutual_information == pytest.approx(expected)
    assert solve(pair).about_y(1e9) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("beta", [1.3, 2.0, 5.0, 40.0])
def test_the_slope_of_the_information_curve_is_1_over_beta(beta):
    best = solve(gaussians_of(np.random.default_rng(2), CORRELATIONS))
    low, high = beta * (1 - 1e-5), beta * (1 + 1e-5)
    slope = (best.about_y(high) - best.about_y(low)) / (best.about_x(high) - best.about_x(low))
    assert slope == pytest.approx(1 / beta, rel=1e-4)


@given(SEEDS, st.floats(1.1, 100), st.floats(-4, 0.5))
def test_no_other_encoder_is_better(seed, beta, size):
    pair = random_pair(seed)
    best = solve(pair)
    encoder = best.encoder(beta)
    other = encoder + 10**size * np.random.default_rng(seed).normal(size=encoder.shape)
    value = pair.lagrangian(encoder, beta)
    assert value == pytest.approx(best.about_x(beta) - beta * best.about_y(beta), rel=1e-6, abs=1e-6)
    assert value <= pair.lagrangian(other, beta) + 1e-9 * beta
    assert value <= 0


def test_a_direction_of_which_y_says_nothing_is_never_sent():
    pair = gaussians_of(np.random.default_rng(3), (0.9, 0.5, 0.0), outputs=2)
    best = solve(pair)
    assert best.critical[-1] == np.inf
    assert best.rank(1e12) == 2


def test_what_is_no_pair_of_gaussians_is_refused():
    pair = gaussians_of(np.random.default_rng(4), (0.5, 0.2))
    for broken, message in (
        (Gaussians(pair.x, pair.y, pair.xy[:1]), "do not fit"),
        (Gaussians(-pair.x, pair.y, pair.xy), "not positive definite"),
        (Gaussians(pair.x, pair.y, 9 * pair.xy), "certain"),
    ):
        with pytest.raises(ValueError, match=message):
            solve(broken)
    for correlations, outputs in (((1.0,), None), ((0.5, 0.5), 1), ((-0.1,), None)):
        with pytest.raises(ValueError, match="canonical"):
            gaussians_of(np.random.default_rng(0), correlations, outputs)
