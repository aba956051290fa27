"""tools/rank_training.py: data, steps that depend on nothing but their numbers, and what a look sees."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from tools.local_rank import local_rank, singular_values
from tools.rank_training import EPS, PROBES, Examples, Fit, Perceptron, gaussian_examples, layer_row, layer_rows

FIT = Fit("gaussian", 0.01, 3, hidden=(7, 5), examples=40, steps=6, batch=4, rate=0.02)


def labelled(seed: int = 0, count: int = 30, inputs: int = 12) -> Examples:
    rng = np.random.default_rng(seed)
    x = [torch.from_numpy(rng.random((count, inputs), np.float32)) for _ in range(2)]
    y = [torch.from_numpy(rng.permutation(np.arange(count) % 4)) for _ in range(2)]
    return Examples(x[0], y[0], x[1], y[1])


def test_gaussian_data_is_linear_of_low_rank():
    data = gaussian_examples(FIT)
    assert (len(data.x), len(data.x_test)) == (FIT.examples, PROBES)
    solution, error, *_ = np.linalg.lstsq(data.x.numpy(), data.y.numpy(), rcond=None)
    np.testing.assert_allclose(data.x_test.numpy() @ solution, data.y_test.numpy(), atol=1e-4)
    assert (error < 1e-8).all()
    assert local_rank(solution.T[None], 1e-4, relative=True) == 4


def test_a_step_depends_on_parameters_and_its_number_alone():
    digests = []
    for order in ((0, 1, 2), (0, 1, 2), (0, 2, 1)):
        torch.manual_seed(0)
        task = Perceptron(FIT, gaussian_examples(FIT), classes=False)
        for number in order:
            torch.manual_seed(np.random.default_rng().integers(1 << 31))  # must not matter
            task.step(number)
        digests.append(torch.cat([p.flatten() for p in task.model.parameters()]).detach().numpy().tobytes())
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("classes", [False, True])
def test_a_step_is_that_of_sgd_by_autograd(classes):
    settings = dataclasses.replace(FIT, decay=0.3)
    data = labelled() if classes else gaussian_examples(settings)
    torch.manual_seed(0)
    task = Perceptron(settings, data, classes)
    model = copy.deepcopy(task.model)
    optimizer = torch.optim.SGD(model.parameters(), settings.rate, settings.momentum, weight_decay=settings.decay)
    for first in range(3):  # momentum counts from the second on
        x, y = data.x[first::3], data.y[first::3]
        optimizer.zero_grad()
        task.loss(model(x), y).backward()
        optimizer.step()
        task.descend(x.numpy(), y.numpy())
        for found, expected in zip(task.model.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_look_sees_losses_errors_and_all_layers():
    data = labelled()
    task = Perceptron(dataclasses.replace(FIT, data="digits"), data, classes=True)
    row = task.look()
    out = task.model(data.x_test).detach()
    assert row["test_loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(out, data.y_test)))
    assert row["test_error"] == pytest.approx(float((out.argmax(1) != data.y_test).double().mean()))
    assert 0 <= row["train_error"] <= 1
    assert len(row["layers"]) == 3
    for layer in row["layers"]:
        assert layer["absolute"] == sorted(layer["absolute"], reverse=True)
        assert 0 <= layer["information"] <= np.log2(len(data.x_test))


def test_rows_are_the_ranks_of_the_jacobians_that_autograd_finds():
    torch.manual_seed(1)
    data = labelled()
    task = Perceptron(dataclasses.replace(FIT, data="digits", hidden=(7,)), data, classes=True)
    found = layer_rows(task.model, data.x_test, outputs=2)
    jacobians = [torch.autograd.functional.jacobian(task.model, x)[:2].numpy() for x in data.x_test]
    expected = layer_row(singular_values(np.stack(jacobians)))
    assert len(found) == 2
    assert found[1]["absolute"][EPS.index(0.1)] == local_rank(np.stack(jacobians), 0.1)
    for what in ("stable", "entropy"):
        assert found[1][what] == pytest.approx(expected[what], rel=1e-5)
    assert found[0]["stable"] == pytest.approx(
        layer_row(singular_values(task.model[0].weight.detach().numpy()[None]))["stable"], rel=1e-5
    )
