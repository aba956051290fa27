"""training/importing.py: what was imported is exported as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codec.entropy import TOTAL
from codec.errors import ModelError
from codec.model import pack_model
from training import checkpoint
from training.checkpoint import MODEL, Checkpoint
from training.errors import CheckpointError
from training.export import frequencies, inter_tensors, photo_model, prior_tensors, restoration_tensors, video_model
from training.importing import _condition, _logits, inter_state, load_starts, prior_state, synthesis_state
from training.networks import InterPrior, Prior
from training.synthesis import Synthesis


def arrays(model: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy() for name, value in model.state_dict().items()}


def filled(model: torch.nn.Module, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state after it was in the network, as float32."""
    start = Checkpoint({}, {MODEL + name: array for name, array in state.items()})
    checkpoint.load_model(start, model, whole=False)
    return arrays(model)


@pytest.fixture(scope="module")
def networks() -> tuple[Prior, Synthesis]:
    torch.manual_seed(0)
    prior, synthesis = Prior(8, 6, torch.randperm(768)), Synthesis(8, 2)
    with torch.no_grad():
        for parameter in (*prior.parameters(), *synthesis.parameters()):
            parameter.add_(torch.randn_like(parameter) * 0.1)
        prior.slices[3].head.weight[:20] = 0  # nothing but a bias
    return prior, synthesis


def test_the_prior_is_a_fixed_point(networks):
    first = prior_tensors(arrays(networks[0]))
    second = prior_tensors(filled(Prior(8, 6), prior_state(first)))
    assert first.keys() == second.keys()
    assert [name for name in first if not np.array_equal(first[name], second[name])] == []


def shaken_inter() -> InterPrior:
    torch.manual_seed(0)
    network = InterPrior(8, 6)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return network


def test_the_prior_of_inter_frames_is_a_fixed_point():
    first = inter_tensors(arrays(shaken_inter()))
    second = inter_tensors(filled(InterPrior(8, 6), inter_state(first)))
    assert first.keys() == second.keys()
    assert [name for name in first if not np.array_equal(first[name], second[name])] == []


def test_the_filter_is_a_fixed_point_but_for_a_unit_in_its_condition(networks):
    first = restoration_tensors(arrays(networks[1]))
    second = restoration_tensors(filled(Synthesis(8, 2), synthesis_state(first)))
    third = restoration_tensors(filled(Synthesis(8, 2), synthesis_state(second)))
    assert first.keys() == second.keys()
    off = {name: int(np.abs(first[name] - second[name]).max()) for name in first}
    assert off.pop("restore.condition") <= 1
    assert set(off.values()) == {0}
    assert all(np.array_equal(second[name], third[name]) for name in second)


def test_what_is_imported_predicts_as_the_float_networks_did(networks):
    _, synthesis = networks
    again, x, t = Synthesis(8, 2), torch.rand(1, 3, 32, 32) * 255, torch.tensor([1 / 3])
    filled(again, synthesis_state(restoration_tensors(arrays(synthesis))))
    change, other = synthesis(x, t) - x, again(x, t) - x
    assert float((other - change).square().mean().detach()) < 0.01 * float(change.square().mean().detach())


def test_a_norm_of_the_hyper_latent_is_folded_in():
    torch.manual_seed(0)
    normed, plain, seen = Prior(8, 6, hyper_norm=True), Prior(8, 6), 4 * torch.randn(2, 147, 16, 16)
    seen[:, 132:] = 0
    for _ in range(60):
        normed.h_a(seen)
    filled(plain, prior_state(prior_tensors(arrays(normed))))
    with torch.no_grad():
        expected, z = normed.eval().h_a(seen), plain.eval().h_a(seen)
    assert float(expected.std()) == pytest.approx(0.5, rel=0.05)
    assert float((z - expected).square().mean().sqrt()) < 0.05 * 0.5


def test_a_condition_meets_its_table_at_every_quality():
    table = np.random.default_rng(0).integers(-200, 200, (64, 5))
    state = _condition(table, 64)
    t = np.arange(64) / 63
    hidden = np.maximum(t[:, None] * state["condition.0.weight"][:, 0] + state["condition.0.bias"], 0)
    out = (hidden @ state["condition.2.weight"].T + state["condition.2.bias"]) * 32
    assert np.abs(out - table).max() < 1e-6


def test_logits_give_their_frequencies_back():
    rng = np.random.default_rng(0)
    freqs = frequencies(np.exp(3 * rng.normal(size=(50, 64))))
    assert freqs.min() == 1
    again = frequencies(np.exp(_logits(freqs).astype(np.float32)).astype(np.float64))
    assert np.array_equal(again, freqs)
    assert (again.sum(1) == TOTAL).all()


def test_a_model_file_is_a_start_for_its_stages_and_for_inter_frames(networks, tmp_path):
    (tmp_path / "m.egmm").write_bytes(photo_model(*(arrays(model) for model in networks), name="m"))
    starts = load_starts([tmp_path / "m.egmm"])
    assert starts.keys() == {"prior", "synthesis", "inter"}
    checkpoint.load_model(starts["prior"], Prior(8, 6, hyper_norm=True), whole=False)
    with pytest.raises(CheckpointError, match="has shape"):
        checkpoint.load_model(starts["prior"], Prior(10, 6), whole=False)
    photos, fresh = Prior(8, 6), InterPrior(8, 6)
    checkpoint.load_model(starts["prior"], photos, whole=False)
    checkpoint.load_model(starts["inter"], fresh, whole=False)
    assert all(
        np.array_equal(arrays(fresh)[name], array) for name, array in arrays(photos).items() if name in arrays(fresh)
    )
    again = load_starts([tmp_path / "m.egmm"])["inter"].arrays
    assert all(np.array_equal(again[name], array) for name, array in starts["inter"].arrays.items())


def test_a_model_of_video_is_a_start_for_its_stage(tmp_path):
    network = shaken_inter()
    (tmp_path / "v.egmm").write_bytes(video_model(arrays(network), intra=bytes(8), name="v"))
    starts = load_starts([tmp_path / "v.egmm"])  # the photo model that it names need not be here
    assert starts.keys() == {"inter"}
    again = InterPrior(8, 6)
    checkpoint.load_model(starts["inter"], again, whole=False)
    one, other = arrays(network), arrays(again)
    assert max(np.abs(one[name] - other[name]).max() for name in one if name.startswith("hints.")) < 0.01


def test_other_models_are_refused(tmp_path):
    (tmp_path / "other.egmm").write_bytes(pack_model({"name": "other"}, {"order": np.arange(3)}))
    with pytest.raises(ModelError, match="'other' is no photo model"):
        load_starts([tmp_path / "other.egmm"])
