"""training/style.py: what is minimised is what the coder writes, and training lessens it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codec import lattice, residual
from codec.model import unpack_model
from codec.residual import STYLE_LEVELS, Group, decode_planes, encode_planes
from tests.pictures import samples
from training.residual_export import lossless_model, residual_state
from training.style import Schedule, Style, frequent, planes_of, style_bits, train_style


def alike(count: int, bands: int = 1, size: int = 8) -> np.ndarray:
    """Pictures that differ little: (count, size, size, bands)."""
    rng = np.random.default_rng(0)
    one = samples("noise", (size, size, bands)) // 64 * 64
    return np.where(rng.random((count, size, size, 1)) < 0.05, rng.integers(0, 256, (count, 1, 1, 1)), one).astype(
        np.uint8
    )


def style(planes, width: int = 4) -> Style:
    torch.manual_seed(0)
    return Style(frequent(planes, 2), width)


def exported(model: Style) -> residual.Residual:
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    return residual.residual(unpack_model(lossless_model(state)))


@pytest.mark.parametrize("bands", [1, 3])
def test_the_loss_is_the_length_of_the_message(bands):
    x = alike(20, bands)
    planes = planes_of(x)
    model = style(planes)
    with torch.no_grad():
        expected = sum(float(style_bits(model, planes, level, 8).sum()) for level in range(3))
        plain = sum(8 + (plane > 0) for plane in range(bands)) * len(x)  # the coarsest level, of one pixel
    found = 8 * len(encode_planes(exported(model), [Group(bands, 8)], planes))
    assert found == pytest.approx(expected + plain, rel=0.03, abs=100)


def test_a_part_of_the_samples_stands_for_all():
    planes = planes_of(alike(200))
    model = style(planes)
    with torch.no_grad():
        whole = float(style_bits(model, planes, 0, 8).sum())
        part = float(style_bits(model, planes, 0, 8, 500, np.random.default_rng(1)).sum())
    assert part == pytest.approx(whole, rel=0.1)


def test_training_makes_pictures_shorter_and_they_come_back():
    planes = planes_of(alike(40))
    model = style(planes)
    before = len(encode_planes(exported(model), [Group(1, 8)], planes))
    told = []
    train_style(model, planes, 8, Schedule(60, batch=16, most=300), stop=lambda: len(told) > 9,
                progress=lambda done, bits: told.append((done, bits)))  # fmt: skip
    assert 0 < told[0][0] < told[-1][0] <= 1
    built = exported(model)
    after = encode_planes(built, [Group(1, 8)], planes)
    assert len(after) < 0.8 * before
    np.testing.assert_array_equal(decode_planes(built, [Group(1, 8)], planes[0].shape, after)[0], planes[0])


def test_it_stops_when_it_is_told_to_or_the_time_is_over():
    planes = planes_of(alike(4))
    model = style(planes)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train_style(model, planes, 8, Schedule(60), stop=lambda: True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    train_style(model, planes, 8, Schedule(1e-9))


def test_frequent_values_are_found_for_every_plane():
    x = np.array([[[7, 7, 7, 200, 200, 3]]])
    assert frequent([x, x * 0], 2) == [[7, 200], [0, 0]]
    assert frequent([x], 4) == [[3, 7, 7, 200]]
    grey, colour = planes_of(alike(2)), planes_of(alike(2, 3))
    assert [plane.shape for plane in grey + colour] == [(2, 8, 8)] * 4


def test_an_exported_model_can_be_trained_on():
    model = style(planes_of(alike(4, 3)))
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    tensors = unpack_model(lossless_model(state)).tensors
    found = residual_state(tensors)
    assert set(found) == set(state)
    assert len([name for name in state if name.endswith("0.bias")]) == 9 * STYLE_LEVELS
    for name, value in found.items():
        np.testing.assert_allclose(value, state[name], atol=2e-3)
    again = Style(found["anchors"].tolist(), 4)
    again.load_state_dict({name: torch.as_tensor(value) for name, value in found.items()})
    z = torch.zeros(1, lattice.wide_columns(1, 2))
    assert again(1, 2, 9, z).shape == (1, 11)
