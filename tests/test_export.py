"""training/export.py: float networks -> a model file whose integers do the same."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch

from codec import footage, intnet, photo
from codec.entropy import TOTAL
from codec.errors import ModelError
from codec.intnet import Conv, Unit
from codec.model import load_model, unpack_model
from codec.video import decode_video, encode_video
from tests.checks import conformance_model
from tests.clips import moving, psnr
from training import export
from training.networks import InterPrior, Prior, step_of
from training.synthesis import Synthesis


@functools.cache
def networks() -> tuple[Prior, Synthesis]:
    torch.manual_seed(1)
    prior, synthesis = Prior(12, 10), Synthesis(12, 2)
    with torch.no_grad():
        for network in (prior, synthesis):
            for name, parameter in network.named_parameters():
                parameter.add_(torch.randn_like(parameter) * (0.003 if "linear" in name else 0.03))
    return prior.eval(), synthesis.eval()


def state(network: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in network.state_dict().items()}


@functools.cache
def exported() -> bytes:
    prior, synthesis = networks()
    return export.photo_model(state(prior), state(synthesis), name="small", licence="CC0-1.0")


def test_a_model_file_is_a_photo_model():
    model = unpack_model(exported())
    assert (model.name, model.card["structure"], model.card["licence"]) == ("small", photo.STRUCTURE, "CC0-1.0")
    assert photo.photo(model).restoration.blocks == 2
    assert all(tensor.dtype == np.int32 for tensor in model.tensors.values())


def test_exporting_leaves_the_network_as_it_was():
    prior, _ = networks()
    doubles = {name: value.astype(np.float64) for name, value in state(prior).items()}
    before = {name: value.copy() for name, value in doubles.items()}
    export.prior_tensors(doubles)
    assert all(np.array_equal(before[name], value, equal_nan=True) for name, value in doubles.items())


def test_steps_are_those_of_the_training():
    expected = step_of(torch.linspace(0, 1, 64)).numpy() * 16
    assert np.abs(export.steps() - expected).max() <= 0.51
    assert (np.diff(export.steps()) < 0).all()


@pytest.mark.parametrize("bits", [8, 12])
def test_a_layer_is_the_float_convolution_to_within_its_rounding(bits):
    rng = np.random.default_rng(0)
    weights, bias = [rng.normal(0, 0.2, (9, 5, 3, 3)), rng.normal(0, 0.2, (9, 4, 1, 1))], rng.normal(0, 1, 9)
    gain = np.geomspace(0.5, 20, 9)
    tensors = export.layer("u", weights, bias, gain, bits=bits)
    convs = tuple(Conv(tensors[f"u.weight.{m}"], -127, 127) for m in (0, 1))
    unit = Unit("u", convs, tensors["u.bias"], tensors["u.shift"], -(1 << 20), 1 << 20)
    maps = [intnet.pattern((6, 7, c), -127, 127).astype(unit.dtype) for c in (5, 4)]
    y = intnet.run(unit, *maps) / 32
    inputs = [torch.from_numpy(x.astype(float)).permute(2, 0, 1)[None] / 32 for x in maps]
    exact = [
        torch.nn.functional.conv2d(x, torch.from_numpy(w), padding=w.shape[2] // 2)
        for x, w in zip(inputs, weights, strict=True)
    ]
    expected = (sum(exact)[0].permute(1, 2, 0).numpy() + bias) * gain
    of_weights = 127 / 32 * np.sqrt(49) * gain * 2.0**-bits
    assert (np.abs(y - expected) < 0.51 / 32 + 2 * of_weights).all()
    assert max(np.abs(tensors[f"u.weight.{m}"]).max() for m in (0, 1)) <= 2 ** (bits - 1) - 1


def test_a_layer_of_zeros_can_be_exported():
    tensors = export.layer("u", [np.zeros((2, 3, 1, 1))], np.array([0.0, 3.5]))
    unit = Unit("u", (Conv(tensors["u.weight.0"], 0, 255),), tensors["u.bias"], tensors["u.shift"], -999, 999)
    assert intnet.run(unit, np.zeros((1, 3))).tolist() == [[0, 112]]


def test_tables_add_up_and_fall_from_the_middle():
    tables = export.logistic_tables(15)
    assert (tables.sum(1) == TOTAL).all()
    assert tables.min() >= 1
    assert (tables.argmax(1)[:40] == 15).all()
    assert (np.diff(tables[:40, 15:30]) <= 0).all()
    assert np.array_equal(export.frequencies(np.array([[1.0, 0, 3]])), [[16384, 1, 49151]])


def test_the_exported_filter_does_what_the_trained_one_does():
    _, synthesis = networks()
    built = photo.photo(unpack_model(exported()))
    x = intnet.pattern((48, 64, 3), 0, 255).astype(np.float32)
    x = np.asarray(torch.nn.functional.avg_pool2d(torch.from_numpy(x).permute(2, 0, 1), 5, 1, 2).permute(1, 2, 0))
    index = 30
    with torch.no_grad():
        change = synthesis(torch.from_numpy(x).permute(2, 0, 1)[None], torch.tensor([index / 63]))[0].permute(1, 2, 0)
    change = change.numpy() - x
    units = np.rint(x * 64).astype(float)
    exact = (built.restoration(units, index, int(built.steps[index])) - units) / 64
    assert np.abs(exact - change).mean() < 0.05 * np.abs(change).mean()


def test_a_model_of_video_is_exported_and_codes_clips():
    torch.manual_seed(1)
    network = InterPrior(12, 10)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.add_(torch.randn_like(parameter) * (0.003 if "linear" in name else 0.03))
    data = export.video_model(state(network), intra=conformance_model().id, name="small")
    model = unpack_model(data)
    assert (model.name, model.card["structure"]) == ("small", footage.STRUCTURE)
    assert model.card["intra"] == conformance_model().id.hex()
    assert not set(model.tensors) & {"order", "steps", "hyper.words", "restore.condition"}
    model, frames = replace(model, intra=conformance_model()), moving(4, 40, 50)
    clips = {encode_video(frames, model=model, quality=70, threads=threads) for threads in (1, 2)}
    assert len(clips) == 1
    found = [list(decode_video(next(iter(clips)), model=model, threads=threads)) for threads in (1, 2)]
    assert np.array_equal(*found)
    assert psnr(frames, found[0]) > 28
    named = unpack_model(export.video_model(state(network), name="small"))
    assert named.card["intra"] == load_model("photo").id.hex()


def test_weights_that_are_too_large_for_exact_sums_are_refused():
    network = InterPrior(4, 4)
    with torch.no_grad():
        network.context[1].bias.fill_(1e11)
    with pytest.raises(ModelError):
        export.video_model(state(network), intra=bytes(8), name="large")
