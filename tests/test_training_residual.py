"""training/residual.py: networks learn to say what pixels come next, and the loss is what samples cost."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from codec import lattice
from codec.lattice import MARGIN, PHASES, View
from codec.mixture import LEAK_BITS
from tests.pictures import folder_of_pictures, picture
from training.config import parse_recipe
from training.data import Photos
from training.residual import LEVEL_SHARES, Residual, ResidualTask, bits

RECIPE = """
name = "tiny"
[data]
train = "pictures"
validation_pictures = 2
[residual]
width = 8
schedule = {steps = 10, batch = 2, crop = 16}
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return Photos(folder_of_pictures(tmp_path_factory.mktemp("photos"), (48, 40), (64, 40), (16, 150)))


def task_of(photos: Photos, text: str = RECIPE) -> ResidualTask:
    recipe = parse_recipe(text)
    return ResidualTask(recipe.residual, recipe, photos, photos)


def test_networks_take_views_and_give_mixtures():
    networks = Residual(5, 3)
    for plane in range(3):
        for phase in range(3):
            assert networks(plane, phase, torch.zeros(7, lattice.columns(plane, phase))).shape == (7, 3, 3)


def test_the_loss_falls(photos):
    task = task_of(photos)
    (parameters, factor), *others = task.groups()
    assert (factor, others) == (1.0, [])
    assert len(parameters) == len(list(task.model.parameters()))
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    losses = []
    for step in range(15):
        loss = task.loss(np.random.default_rng(0), step / 15)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad is not None for parameter in parameters)
    assert losses[-1] < losses[0] - 0.1


def test_a_loss_is_a_function_of_the_weights_and_the_generator(photos):
    one, two = task_of(photos), task_of(photos)
    assert torch.equal(one.loss(np.random.default_rng(1), 0.0), two.loss(np.random.default_rng(1), 0.0))
    assert not torch.equal(one.loss(np.random.default_rng(1), 0.0), one.loss(np.random.default_rng(2), 0.0))


def test_pictures_of_any_size_above_a_crop_make_batches(photos):
    task = task_of(photos)
    for seed in range(12):
        assert math.isfinite(task.loss(np.random.default_rng(seed), 0.0).item())
    assert "level_0" in task.report()
    assert task.report() == {}  # the sums start anew


def test_levels_are_learnt_in_their_shares_where_pictures_are_large(tmp_path):
    task = task_of(Photos(folder_of_pictures(tmp_path, (130, 140))), RECIPE.replace("batch = 2", "batch = 1"))
    with torch.no_grad():
        for seed in range(40):
            task.loss(np.random.default_rng(seed), 0.0)
    assert set(task.sums) == set(range(len(LEVEL_SHARES)))
    assert len(task.sums[0]) > len(task.sums[2]) > 0
    assert sum(LEVEL_SHARES) == pytest.approx(1)


def test_coarse_batches_are_those_of_near_lossless_coding(photos, monkeypatch):
    task = task_of(photos, RECIPE.replace("width = 8", "width = 8\ncoarse = 1.0\ncoarsest = 3"))
    batches = []
    monkeypatch.setattr(task, "terms", lambda batch, level, depth: batches.append(batch) or torch.zeros(9))
    for seed in range(20):
        task.loss(np.random.default_rng(seed), 0.0)
    highest = max(int(batch.max()) for batch in batches)
    assert (255 + 3) // 7 <= highest <= (255 + 1) // 3
    assert len({int(batch.max()) for batch in batches}) > 1


def view_of(count: int, base: float, spread: float) -> View:
    """Base and spread in grey levels, as a view has them."""
    units = np.full(count, round(64 * spread))
    base = np.full(count, round(4 * base))
    return View(np.zeros((count, 0)), base, units, lattice.logarithm(units.astype(np.float64)))


def test_bits_are_those_of_a_distribution():
    rng = np.random.default_rng(0)
    for _ in range(5):
        parameters = torch.from_numpy(rng.normal(0, 1, (1, 3, 3)).astype(np.float32)).expand(256, 3, 3)
        view = view_of(256, rng.uniform(110, 150), 2 ** rng.uniform(-1, 3))
        p = torch.exp2(-bits(parameters, view, torch.arange(256.0), 256))
        assert float(p.sum()) == pytest.approx(1, abs=1e-4)
        assert float(p.min()) >= 2.0**-LEAK_BITS / 256 * 0.999


def test_means_and_scales_are_relative_to_the_surroundings():
    parameters = torch.tensor([[[9.0, 0, 0], [0.5, 0, 0], [-1.0, 0, 0]]]).expand(256, 3, 3)
    p = torch.exp2(-bits(parameters, view_of(256, 100, 16), torch.arange(256.0), 256)).double().numpy()
    mean = (p * np.arange(256)).sum()
    assert mean == pytest.approx(100 + 0.5 * 16, abs=0.2)
    deviation = math.sqrt((p * (np.arange(256) - mean) ** 2).sum())
    assert deviation == pytest.approx(16 / 2 * math.pi / math.sqrt(3), rel=0.05)  # of a logistic of scale 8


def test_terms_are_of_the_pixels_within_the_margin(photos):
    task = task_of(photos)
    x = picture(30, 34)
    other = x.copy()
    other[:1], other[-1:] = 255 - x[:1], 255 - x[-1:]  # what lies in the margin is seen, but not coded
    assert task.terms(x[None], 0, 8).shape == (9,)
    wide = np.pad(x, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="reflect")
    calls = []
    forward = task.model.forward
    task.model.forward = lambda plane, phase, z: calls.append((plane, phase, len(z))) or forward(plane, phase, z)
    task.terms(wide[None], 0, 8)
    expected = [(plane, n, math.prod(phase.shape(30, 34))) for plane in range(3) for n, phase in enumerate(PHASES)]
    assert calls == expected


def test_the_evaluation_says_bits_and_leaves_no_trace(photos):
    task = task_of(photos)
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    report = task.evaluate()
    assert report == task.evaluate()
    assert all(torch.equal(value, before[name]) for name, value in task.model.state_dict().items())
    assert len(report["levels"]) == len(LEVEL_SHARES)
    assert min(report["levels"]) <= report["bpsp"] <= max(report["levels"])
    assert 1 < report["bpsp"] < 10
    assert task.report() == {}


def test_the_line_on_the_terminal_gets_what_is_known(photos):
    task = task_of(photos)
    assert task.glance() == {"bpsp": None}
    task.sums = {0: [4.0, 2.0], 2: [9.0]}
    assert task.glance() == {"bpsp": 3.0}  # of the levels that follow without a gap
    task.sums[1] = [5.0]
    assert task.glance()["bpsp"] == pytest.approx(3 * 0.75 + 5 * 0.75 / 4 + 9 / 16)


def test_without_validation_there_is_no_evaluation(photos):
    recipe = parse_recipe(RECIPE)
    assert ResidualTask(recipe.residual, recipe, photos, None).evaluate() is None
