"""training/losses.py: what each stage learns and reports."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.pictures import folder_of_pictures
from training.config import METHODS, parse_recipe
from training.data import Photos
from training.losses import Means, PriorTask, SynthesisTask, psnr

RECIPE = """
name = "tiny"
[data]
train = "pictures"
validation_pictures = 2
[prior]
width = 8
hidden = 6
{}
[prior.schedule]
steps = 10
batch = 2
crop = 32
[prior.quantizer]
method = "{}"
revive_below = 0.5
revive_every = 2
[synthesis]
width = 8
blocks = 1
[synthesis.schedule]
steps = 10
batch = 2
crop = 32
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return Photos(folder_of_pictures(tmp_path_factory.mktemp("photos"), (48, 48), (64, 40), (40, 56)))


def prior_task(photos, extra="", method="hopfield"):
    recipe = parse_recipe(RECIPE.format(extra, method))
    task = PriorTask(recipe.prior, recipe, photos, photos)
    task.prepare()
    return task


def synthesis_task(photos):
    recipe = parse_recipe(RECIPE.format("", "hopfield"))
    task = SynthesisTask(recipe.synthesis, recipe, photos, photos)
    task.prepare()
    return task


def scalar_task(photos):
    return prior_task(photos, "scalar = true")


@pytest.mark.parametrize("make", [prior_task, scalar_task, synthesis_task])
def test_a_loss_is_a_function_of_the_weights_and_the_generator(photos, make):
    one, two = make(photos), make(photos)
    assert torch.equal(one.loss(np.random.default_rng(1), 0.0), two.loss(np.random.default_rng(1), 0.0))
    assert not torch.equal(one.loss(np.random.default_rng(1), 0.0), one.loss(np.random.default_rng(2), 0.0))


@pytest.mark.parametrize("method", METHODS)
def test_the_prior_learns_with_every_quantiser(photos, method):
    task = prior_task(photos, method=method)
    optimizer = torch.optim.Adam([p for group, _ in task.groups() for p in group], lr=3e-3)
    losses = []
    for step in range(12):
        loss = task.loss(np.random.default_rng(0), step / 12)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        task.mend(step, np.random.default_rng(step))
        losses.append(loss.item())
    bpp = [rate for rate in task.report()["bpp"] if rate is not None]
    assert all(math.isfinite(loss) for loss in losses)
    assert losses[-1] < losses[0]
    assert min(bpp) > 0


def test_all_parameters_are_in_one_group_and_linear_predictions_are_slow(photos):
    task = prior_task(photos)
    (fast, one), (slow, tenth) = task.groups()
    names = {id(p): name for name, p in task.model.named_parameters()}
    assert sorted([names[id(p)] for p in (*fast, *slow)]) == sorted(names.values())
    assert {names[id(p)].split(".")[2] for p in slow} == {"linear", "linear_partial"}
    assert len(slow) == 6
    assert (one, tenth) == (1.0, 0.1)


def test_running_rates_are_in_the_state_and_move(photos):
    task = prior_task(photos)
    before = task.state()["rates"].clone()
    task.loss(np.random.default_rng(0), 0.0)
    assert task.state()["rates"] is task.rates
    assert not torch.equal(task.rates, before)


def test_the_evaluation_leaves_no_trace_and_repeats(photos):
    for task in (prior_task(photos), scalar_task(photos), synthesis_task(photos)):
        task.model.eval()
        before = {name: value.clone() for name, value in task.model.state_dict().items()}
        report = task.evaluate()
        assert report == task.evaluate()
        for name, value in task.model.state_dict().items():
            assert torch.equal(value.nan_to_num(), before[name].nan_to_num())
        qualities = [point["psnr"] for point in report["points"]]
        assert qualities == sorted(qualities)
        assert qualities[-1] - qualities[0] > 5


def test_the_evaluation_says_how_the_codebook_is_used(photos):
    hyper = prior_task(photos).evaluate()["hyper"]
    for used, dead, evenly in zip(hyper["used"], hyper["dead"], hyper["perplexity"], strict=True):
        assert used + dead == 64
        assert 1 <= evenly <= used


def test_the_line_on_the_terminal_gets_figures_since_the_last_report(photos):
    task = prior_task(photos)
    task.loss(np.random.default_rng(1), 0.0)
    figures, report = task.glance(), task.report()
    assert {name: figures[name] for name in ("perplexity", "dead")}.items() <= report["hyper"].items()
    rates = [rate for rate in report["bpp"] if rate is not None]
    assert min(rates) - 1e-4 <= figures["bpp"] <= max(rates) + 1e-4
    assert 5 < figures["psnr"] < 60
    task = synthesis_task(photos)
    task.loss(np.random.default_rng(1), 0.0)
    assert math.isfinite(task.glance()["gain"])


def test_without_validation_there_is_no_evaluation(photos):
    recipe = parse_recipe(RECIPE.format("", "hopfield"))
    assert PriorTask(recipe.prior, recipe, photos, None).evaluate() is None
    assert SynthesisTask(recipe.synthesis, recipe, photos, None).evaluate() is None


def test_psnr_is_that_of_bytes():
    assert psnr(torch.tensor([255.0**2, 1.0])).tolist() == pytest.approx([0, 48.1308], abs=1e-3)


def test_means_are_by_quality_and_start_anew():
    means = Means()
    means.add(torch.tensor([0.0, 0.1, 1.0]), torch.tensor([1.0, 2.0, 5.0]))
    assert means.all() == pytest.approx(8 / 3)
    assert means.take() == [1.5, *[None] * 6, 5.0]
    assert means.take() == [None] * 8
