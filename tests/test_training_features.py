"""training/features.py: features that an integer decoder can have."""

from __future__ import annotations

import math

import pytest
import torch

from codec.codebook import SLICES
from training import features
from training.features import ONE


@pytest.mark.parametrize("number", range(len(SLICES)))
def test_features_are_bytes_in_32nds(number):
    values = torch.randint(-3000, 3001, (2, SLICES[number].size, 4, 5)).float()
    step = torch.tensor([0.5, 200.0])[:, None, None, None]
    out = features.features_of_dc(values, step) if number == 0 else features.features_of(number, values)
    assert out.shape == (2, features.feature_count(number), 4, 5)
    assert torch.equal(out * ONE, (out * ONE).round())
    assert float(out.abs().max()) <= 127 / ONE


def test_the_log_feature_is_the_table_of_the_formula():
    values = torch.arange(-5000, 5001.0)
    out = features.log_feature(values) * ONE
    expected = [min(127, round(16 * math.log2(1 + min(abs(v), 4095) / 4))) for v in values.tolist()]
    assert out.tolist() == expected


def test_a_flat_picture_is_nowhere_off_its_neighbours():
    out = features.features_of_dc(torch.full((1, 3, 5, 4), 1600.0), torch.ones(1, 1, 1, 1))
    assert torch.equal(out[:, 3:], torch.zeros(1, 6, 5, 4))
    assert float(out[:, :3].min()) > 0


def test_features_for_the_hyper_latent_do_not_know_signs_but_of_means():
    y = torch.randn(2, 768, 3, 3) * 5
    out = features.features_for_hyper(y)
    assert out.shape == (2, features.HYPER_INPUTS, 3, 3)
    mirrored = torch.cat([y[:, :3], -y[:, 3:]], 1)
    assert torch.equal(out, features.features_for_hyper(mirrored))
    assert not torch.equal(out, features.features_for_hyper(-y))


def test_clips_are_those_of_8_bits():
    x = torch.tensor([-100.0, -1.0, 1.0, 100.0])
    assert (features.signed(x) * ONE).tolist() == [-127, -32, 32, 127]
    assert (features.Rectify()(x) * ONE).tolist() == [0, 0, 32, 255]
