"""tools/rank_bottlenecks.py: objectives against closed forms."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from tests.test_rank_training import labelled
from tools.gaussian_bottleneck import solve
from tools.rank_bottlenecks import CORRELATIONS, Bottlenecks, DeepBottleneck, Linear, Vib

EXACT = Linear("exact", 0, steps=250, rate=0.2, low=1.25, high=6.0, count=3, examples=2000)
VARIATIONAL = dataclasses.replace(EXACT, objective="variational")
NATS = np.log(2)


def test_the_exact_objective_is_the_lagrangian_and_falls_to_its_minimum():
    task, best = Bottlenecks(EXACT), solve(EXACT.pair())
    for a, beta, value in zip(
        task.model["a"].detach().numpy(), EXACT.betas, task.exact().detach().tolist(), strict=True
    ):
        assert value == pytest.approx(NATS * task.pair.lagrangian(a, beta) / beta)
    for number in range(EXACT.steps):
        task.step(number)
    lowest = [NATS * (best.about_x(beta) / beta - best.about_y(beta)) for beta in EXACT.betas]
    np.testing.assert_allclose(task.exact().detach().numpy(), lowest, atol=0.02)
    row = task.look()
    assert row["rank"] == [best.rank(beta) for beta in EXACT.betas]
    np.testing.assert_allclose(
        np.array(row["about_x"]) - row["about_y"] * EXACT.betas, lowest * EXACT.betas / NATS, atol=0.2
    )


def constant(task: Bottlenecks) -> float:
    """What the variational objective is above the Lagrangian at best: the entropy of y, but for its 2 pi."""
    y = task.pair.y
    return float(len(y) + np.linalg.slogdet(y)[1]) / 2


def test_the_variational_objective_is_never_below_the_lagrangian():
    task = Bottlenecks(VARIATIONAL)
    task.samples = [torch.from_numpy(s) for s in (task.pair.x, task.pair.y, task.pair.xy)]  # no error of sampling
    torch.manual_seed(0)
    for parameter in task.model.values():
        parameter.data += 0.4 * torch.randn_like(parameter)
    row = task.look()
    lowest = NATS * (np.array(row["about_x"]) / VARIATIONAL.betas - row["about_y"])
    assert (task.variational().detach().numpy() - constant(task) > lowest).all()


def test_the_variational_objective_is_the_lagrangian_at_the_best_encoder():
    task, best = Bottlenecks(VARIATIONAL), solve(VARIATIONAL.pair())
    pair = task.pair
    task.samples = [torch.from_numpy(s) for s in (pair.x, pair.y, pair.xy)]
    for i, beta in enumerate(VARIATIONAL.betas):
        a = best.encoder(beta)
        spread = 1 / np.sqrt(1 + np.diag(a @ pair.x @ a.T))  # T of variance 1, as its code N(0, I) has it
        a = spread[:, None] * a
        t, cross = a @ pair.x @ a.T + np.diag(spread**2), pair.xy.T @ a.T
        decoder = cross @ np.linalg.inv(t)
        root = np.linalg.cholesky(np.linalg.inv(pair.y - decoder @ cross.T))
        precision = np.tril(root, -1) + np.diag(np.log(np.diag(root)))
        values = {"a": a, "spread": np.log(spread), "decoder": decoder, "precision": precision}
        for name, value in values.items():
            task.model[name].data[i] = torch.from_numpy(value)
    lowest = [NATS * (best.about_x(beta) / beta - best.about_y(beta)) for beta in VARIATIONAL.betas]
    np.testing.assert_allclose(task.variational().detach().numpy() - constant(task), lowest, rtol=1e-9)
    assert task.look()["rank"] == [best.rank(beta) for beta in VARIATIONAL.betas]


def test_covariances_of_samples_are_near_those_of_the_pair():
    task = Bottlenecks(dataclasses.replace(VARIATIONAL, examples=200_000))
    for found, expected in zip(task.samples, (task.pair.x, task.pair.y, task.pair.xy), strict=True):
        np.testing.assert_allclose(found.numpy(), expected, atol=0.03)
    assert len(task.pair.x) == len(CORRELATIONS)


def test_the_terms_of_the_deep_bottleneck():
    data = labelled()
    torch.manual_seed(0)
    task = DeepBottleneck(Vib(0.1, 0, hidden=(6,), latent=3, steps=4, batch=5, rate=0.01), data)
    noise = torch.randn(len(data.x), 3)
    with torch.no_grad():
        error, kl, wrong = task.terms(data.x, data.y, noise)
        mean, spread = task.encoder(data.x).chunk(2, 1)
    sigma = torch.nn.functional.softplus(spread)
    out = task.decoder(mean + sigma * noise).detach()
    assert kl.item() == pytest.approx(
        kl_divergence(Normal(mean, sigma), Normal(0.0, 1.0)).sum(1).mean().item(), rel=1e-5
    )
    assert error.item() == pytest.approx(torch.nn.functional.cross_entropy(out, data.y).item())
    assert wrong.item() == pytest.approx((out.argmax(1) != data.y).double().mean().item())
    row = task.look()
    jacobians = [torch.autograd.functional.jacobian(task.encoder, x)[:3].numpy() for x in data.x_test]
    assert row["layers"][-1]["absolute"][1] == np.mean([(np.linalg.svd(j)[1] > 0.1).sum() for j in jacobians])


def test_a_heavy_kl_leaves_nothing_of_the_code():
    found = []
    for b in (1e-4, 10.0):
        torch.manual_seed(0)
        task = DeepBottleneck(Vib(b, 0, hidden=(6,), latent=3, steps=60, batch=10, rate=0.05), labelled())
        for number in range(60):
            task.step(number)
        found.append(task.look())
    assert found[1]["kl_bits"] < 0.05 < 1 < found[0]["kl_bits"]
