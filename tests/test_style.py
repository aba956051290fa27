"""training/style.py: what is minimised is what the coder writes, and training lessens it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codec import alike
from codec.alike import decode_planes, encode_planes
from codec.mixture import COMPONENTS, OUTPUTS
from codec.model import unpack_model
from codec.residual import Group
from tests.pictures import samples
from training.residual_export import lossless_model, residual_state
from training.style import Schedule, Style, frequent, planes_of, style_bits, train_style


def pictures(count: int, bands: int = 1, size: int = 8, depth: int = 8) -> np.ndarray:
    """Pictures that differ little: (count, size, size, bands)."""
    rng, levels = np.random.default_rng(0), 1 << depth
    one = samples("noise", (size, size, bands), depth) // (levels // 4) * (levels // 4)
    other = rng.integers(0, levels, (count, 1, 1, 1))
    return np.where(rng.random((count, size, size, 1)) < 0.05, other, one).astype(one.dtype)


def style(planes, width: int = 4) -> Style:
    """Networks that know nothing, and whose mixtures have no far tails, where a coder's least frequencies show."""
    torch.manual_seed(0)
    model = Style(frequent(planes, 2), width)
    with torch.no_grad():
        for net in model.nets.values():
            net[-1].bias[2 * COMPONENTS : OUTPUTS] += 2
    return model


def exported(model: Style) -> alike.Alike:
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    return alike.alike(unpack_model(lossless_model(state)))


@pytest.mark.parametrize("depth", [3, 8, 9, 12])
@pytest.mark.parametrize("bands", [1, 3])
def test_the_loss_is_the_length_of_the_message(bands, depth):
    planes = planes_of(pictures(20, bands, depth=depth))
    model = style(planes)
    with torch.no_grad():
        expected = float(style_bits(model, planes, depth).sum())
    found = 8 * len(encode_planes(exported(model), [Group(bands, depth)], planes))
    assert found == pytest.approx(expected, rel=0.03, abs=30)


def test_quiet_pixels_that_are_looked_at_stand_for_all():
    planes = planes_of(np.where(np.arange(12)[:, None] > 8, pictures(200, size=12), 0))
    model = style(planes)
    with torch.no_grad():
        whole = float(style_bits(model, planes, 8).sum())
        part = float(style_bits(model, planes, 8, np.random.default_rng(1)).sum())
    assert part != whole
    assert part == pytest.approx(whole, rel=0.05)


def test_training_makes_pictures_shorter_and_they_come_back():
    planes = planes_of(pictures(40))
    model = style(planes)
    before = len(encode_planes(exported(model), [Group(1, 8)], planes))
    told = []
    train_style(model, planes, 8, Schedule(60, pixels=1000), stop=lambda: len(told) > 9,
                progress=lambda done, bits: told.append((done, bits)))  # fmt: skip
    assert 0 < told[0][0] < told[-1][0] <= 1
    built = exported(model)
    after = encode_planes(built, [Group(1, 8)], planes)
    assert len(after) < 0.9 * before
    np.testing.assert_array_equal(decode_planes(built, [Group(1, 8)], planes[0].shape, after)[0], planes[0])


def test_it_stops_when_it_is_told_to_or_the_time_is_over():
    planes = planes_of(pictures(4))
    model = style(planes)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train_style(model, planes, 8, Schedule(60), stop=lambda: True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    train_style(model, planes, 8, Schedule(1e-9))


def test_frequent_values_are_found_for_every_plane():
    x = np.array([[[7, 7, 7, 200, 200, 3]]])
    assert frequent([x, x * 0], 2) == [[7, 200], [-1, 0]]
    assert frequent([x], 5) == [[-2, -1, 3, 7, 200]]
    assert frequent([x * -1], 4) == [[-200, -7, -3, -1]]
    grey, colour = planes_of(pictures(2)), planes_of(pictures(2, 3))
    assert [plane.shape for plane in grey + colour] == [(2, 8, 8)] * 4


def test_an_exported_model_can_be_trained_on():
    model = style(planes_of(pictures(4, 3)))
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    tensors = unpack_model(lossless_model(state, coarser=[0, 0, 1])).tensors
    found = residual_state(tensors)
    assert set(found) == set(state)
    assert len([name for name in state if name.endswith(".0.bias")]) == 3 * 2
    for name, value in found.items():
        np.testing.assert_allclose(value, state[name], atol=2e-3)
    again = Style(found["anchors"].tolist(), 4)
    again.load_state_dict({name: torch.as_tensor(value) for name, value in found.items()})
    assert again(1, 0, torch.zeros(1, alike.columns(1))).shape == (1, OUTPUTS + 2)


def test_black_and_white_of_16_bits_make_a_model():
    planes = [np.array([[[0, 65535], [65535, 0]]], np.int32)] * 3
    model = Style(frequent(planes), 3)
    data = encode_planes(exported(model), [Group(3, 16)], planes)
    found = decode_planes(exported(model), [Group(3, 16)], (1, 2, 2), data)
    assert all(map(np.array_equal, found, planes))
