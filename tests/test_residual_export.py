"""training/residual_export.py: float networks -> a model file whose integers do the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codec import intnet, lattice, residual
from codec.errors import ModelError
from codec.lattice import CLIP, PHASES, UNIT
from codec.mixture import COMPONENTS
from codec.model import unpack_model
from tests.checks import lossless_model
from tools.tiny_lossless import tiny_lossless, tiny_residual
from training import engine
from training.residual import PLANES, Residual
from training.residual_export import GAINS, residual_tensors
from training.residual_export import lossless_model as export


def state(networks: Residual) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in networks.state_dict().items()}


def test_a_model_file_is_a_lossless_model():
    model = unpack_model(export(state(tiny_residual(3)), name="small", licence="CC0-1.0"))
    assert (model.name, model.card["structure"], model.card["licence"]) == ("small", residual.STRUCTURE, "CC0-1.0")
    assert len(residual.residual(model).nets) == PLANES
    assert all(tensor.dtype == np.int32 for tensor in model.tensors.values())


def test_exporting_repeats_and_leaves_the_network_as_it_was():
    networks = tiny_residual()
    before = {name: value.clone() for name, value in networks.state_dict().items()}
    assert tiny_lossless() == export(state(networks), name="tiny-lossless", version=1, licence="CC0-1.0")
    assert unpack_model(tiny_lossless()).id == lossless_model().id
    assert all(torch.equal(before[name], value) for name, value in networks.state_dict().items())
    assert tiny_lossless(1) != tiny_lossless()


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("width", [8, 64])
def test_integers_say_what_the_floats_say_to_within_their_rounding(width, layers):
    torch.manual_seed(width + layers)
    networks = Residual(width, layers)
    with torch.no_grad():
        for parameter in networks.parameters():
            parameter.mul_(1.5)
    built = residual.build(residual_tensors(state(networks)))
    for plane in range(PLANES):
        for phase in range(len(PHASES)):
            z = intnet.pattern((200, lattice.columns(plane, phase)), -CLIP // 3, CLIP // 3).astype(np.float32)
            y = z
            for unit in built.nets[plane][phase]:
                assert unit.dtype == np.float32
                assert unit.bound > 1 << 22 or unit.shift.max() == 16  # weights are as fine as they can be
                y = intnet.run(unit, y)
            with torch.no_grad():
                expected = networks(plane, phase, torch.from_numpy(z) / UNIT).reshape(200, -1).numpy() * GAINS
            expected = np.clip(expected, -residual.FARTHEST, residual.FARTHEST)
            assert np.abs(y - expected).max() < 2.5
            assert np.abs(y - expected).mean() < 0.6


def test_a_hidden_output_at_its_limit_is_the_same_in_both():
    networks = tiny_residual()
    with torch.no_grad():
        for name, parameter in networks.named_parameters():
            if ".0.bias" in name:
                parameter.fill_(1000.0)
    built = residual.build(residual_tensors(state(networks)))
    z = np.zeros((1, lattice.columns(0, 0)), np.float32)
    assert np.abs(intnet.run(built.nets[0][0][0], z) - 31.9 * residual.ACTIVATION).max() < 6  # it clips at 31.98


def test_large_weights_are_exported_as_exact_as_small_ones():
    networks = tiny_residual()
    with torch.no_grad():
        for parameter in networks.parameters():
            parameter.mul_(1000.0)
    built = residual.build(residual_tensors(state(networks)))
    assert residual.self_test(built) == residual.self_test(built, engine)


def test_a_head_of_zeros_says_its_bias():
    networks = Residual(4, 1)
    with torch.no_grad():
        for parameter in networks.parameters():
            parameter.zero_()
        networks.nets["00"][-1].bias.copy_(torch.arange(9.0))
    built = residual.build(residual_tensors(state(networks)))
    y = np.zeros((1, lattice.columns(0, 0)), np.float32)
    for unit in built.nets[0][0]:
        y = intnet.run(unit, y)
    np.testing.assert_array_equal(y[0], np.rint(np.arange(9.0) * GAINS))


def test_engines_that_disagree_make_no_model(monkeypatch):
    right = engine.run
    monkeypatch.setattr(engine, "run", lambda *arguments, **words: right(*arguments, **words) + 1)
    with pytest.raises(ModelError, match=r"in numpy and .* in torch"):
        tiny_lossless()


def test_units_of_the_outputs_are_those_of_the_mixture():
    assert len(GAINS) == 3 * COMPONENTS
    assert GAINS[0] == pytest.approx(32 / np.log(2))  # nats in 1/32 bit
    assert (GAINS[COMPONENTS : 2 * COMPONENTS] == 64).all()
    assert (GAINS[2 * COMPONENTS :] == 16).all()
