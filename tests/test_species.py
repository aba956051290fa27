"""tools/species.py: what tells the species apart, and that each of them learns."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.pictures import digits
from tools.commands.plane import NAMES
from tools.image_sets import load
from tools.species import SPECIES, Autoencoder, Training, batches, loss


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("species") / "digits.npz"
    np.savez(path, **digits(300, 50))
    return load(path)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def steps(training: Training, count: int) -> list[float]:
    rows = batches(training.count, training.seed, 0)
    return [training.learn(step, next(rows)) for step in range(count)]


def test_the_command_knows_all_species():
    assert tuple(SPECIES) == NAMES


@pytest.mark.parametrize("name", SPECIES)
def test_each_species_learns(name, images):
    training = Training(SPECIES[name], images, 0)
    before = training.test(0)
    assert all(math.isfinite(value) for value in steps(training, 60))
    assert training.test(60) < 0.95 * before


@pytest.mark.parametrize("name", [name for name in SPECIES if name != "variational"])
def test_the_test_loss_is_the_loss_of_all_test_pictures(name, images, monkeypatch):
    training = Training(SPECIES[name], images, 0)
    x, labels = torch.from_numpy(images.test_images / np.float32(255)), torch.from_numpy(images.test_labels)
    with torch.no_grad():
        whole = loss(SPECIES[name], training.model(x), x, labels).item()
    monkeypatch.setattr("tools.species.BATCH", 20)  # 20, 20 and 10 of 50
    assert training.test(0) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("name", SPECIES)
def test_a_seed_decides_everything(name, images):
    runs = [Training(SPECIES[name], images, seed) for seed in (3, 3, 4)]
    losses = [steps(run, 4) for run in runs]
    assert losses[0] == losses[1] != losses[2]
    assert runs[0].test(4) == runs[1].test(4)
    states = [run.model.state_dict() for run in runs]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_layers_are_those_of_the_paper(images):
    layers = Training(SPECIES["deep"], images, 0).look(0, 20)
    widths = {name: tuple(layer.shape) for name, layer in layers.hidden.items()}
    assert widths == {"E1": (20, 256), "E2": (20, 128), "Z": (20, 50), "D1": (20, 128), "D2": (20, 256)}
    assert layers.output.shape == (20, 64)
    shallow = Training(SPECIES["shallow"], images, 0).look(0, 20)
    assert list(shallow.hidden) == ["Z"] == list(SPECIES["shallow"].layers)


def test_a_deep_network_is_its_formula():
    model = Autoencoder(SPECIES["deep"], 9, 0)
    x = expected = torch.rand(4, 9)
    for i in range(6):
        weight, bias = model.get_parameter(f"maps.{i}.weight"), model.get_parameter(f"maps.{i}.bias")
        expected = torch.sigmoid(expected @ weight.T + bias)
    layers = model(x)
    assert torch.allclose(layers.output, expected, atol=1e-6)
    value = loss(SPECIES["deep"], layers, x, torch.zeros(4))
    assert value.item() == pytest.approx(((expected - x) ** 2).mean().item(), rel=1e-5)


def test_the_penalty_of_the_sparse_one_is_the_divergence_of_means():
    species = SPECIES["sparse"]
    x = torch.rand(6, 9)
    layers = Autoencoder(species, 9, 0)(x)
    q = layers.hidden["Z"].mean(0).double().detach().numpy()
    penalty = sum(0.05 * math.log(0.05 / p) + 0.95 * math.log(0.95 / (1 - p)) for p in q)
    plain = F.mse_loss(layers.output, x).item()
    assert loss(species, layers, x, torch.zeros(6)).item() == pytest.approx(plain + 0.001 * penalty, rel=1e-4)


def test_the_variational_one_pays_for_its_code():
    species = SPECIES["variational"]
    model, x, noise = Autoencoder(species, 9, 0), torch.rand(6, 9), torch.randn(6, 50)
    layers = model(x, noise)
    mu, sigma = layers.logits, torch.exp(0.5 * layers.logvar)
    assert torch.allclose(layers.hidden["Z"], mu + noise * sigma)
    own, prior = torch.distributions.Normal(mu, sigma), torch.distributions.Normal(0.0, 1.0)
    divergence = torch.distributions.kl_divergence(own, prior).sum()
    entropy = -(x * layers.output.log() + (1 - x) * (1 - layers.output).log()).sum()
    value = loss(species, layers, x, torch.zeros(6))
    assert value.item() == pytest.approx((entropy + divergence).item(), rel=1e-4)


def test_the_label_is_told_by_the_code():
    species = SPECIES["label"]
    x, labels = torch.rand(6, 9), torch.arange(6)
    layers = Autoencoder(species, 9, 0)(x)
    z = layers.hidden["Z"]
    assert torch.allclose(z.sum(1), torch.ones(6))
    chosen = -z[torch.arange(6), labels].log().mean()
    plain = F.mse_loss(layers.output, x).item()
    assert loss(species, layers, x, labels).item() == pytest.approx(plain + 0.01 * chosen.item(), rel=1e-4)


def test_tied_weights_stay_tied_and_move_twice(images):
    """The first step of Adam moves each weight by the rate, whatever its gradient: twice, or not at all, if two do."""
    aliased, clean = (Training(SPECIES[name], images, 0) for name in ("tied", "tied-clean"))
    start = aliased.model.get_parameter("maps.0.weight").detach().clone()
    assert torch.equal(start, clean.model.get_parameter("maps.0.weight"))
    assert torch.equal(aliased.look(0, 5).output, clean.look(0, 5).output)
    rows = np.arange(100)
    assert aliased.learn(0, rows) == clean.learn(0, rows)
    first, second = (aliased.model.get_parameter(f"maps.{i}.weight") for i in (0, 1))
    assert torch.equal(first, second.T)
    moved = (first - start).abs().detach()
    assert moved.max() < 0.01001
    assert (moved > 0.009).float().mean() > 0.3
    assert (moved < 0.001).float().mean() > 0.3
    assert (clean.model.get_parameter("maps.0.weight") - start).abs().max() <= 0.00501
    assert "maps.1.weight" not in dict(clean.model.named_parameters())


def test_the_overfitting_one_sees_a_tenth(images):
    training = Training(SPECIES["overfit"], images, 0)
    assert training.count == 30
    seen = set(np.concatenate(list(itertools.islice(batches(30, 0, 0), 9))).tolist())
    assert seen == set(range(30))


def test_an_epoch_sees_everything_once_and_batches_go_on_anywhere():
    whole = list(itertools.islice(batches(250, 5, 0), 7))
    assert [len(rows) for rows in whole[:4]] == [100, 100, 50, 100]
    assert sorted(np.concatenate(whole[:3])) == list(range(250))
    assert not np.array_equal(whole[0], whole[3])
    for first in range(7):
        rest = list(itertools.islice(batches(250, 5, first), 7 - first))
        assert all(np.array_equal(a, b) for a, b in zip(rest, whole[first:], strict=True))


def test_noise_of_a_look_is_that_of_the_step(images):
    training = Training(SPECIES["variational"], images, 0)
    one, same, other = (training.look(step, 50).hidden["Z"] for step in (7, 7, 8))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
