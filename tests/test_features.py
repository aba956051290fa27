"""codec/features.py: what the prior sees, in integers; as the training has it in floats."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from codec import features
from codec.codebook import SLICES
from codec.features import energy, feature_count, features_of, features_of_dc, neighbours, rounded_mean, shuffle, signed
from codec.intnet import pattern
from training import features as floats

H, W = 4, 5


def values(size: int, spread: int = 3000) -> np.ndarray:
    return pattern((H * W, size), -spread, spread)


def as_map(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x.T.reshape(1, -1, H, W)).float()


def test_energies_are_the_table_of_the_formula():
    v = np.arange(-6000, 6001)
    expected = [min(127, round(16 * math.log2(1 + min(abs(x), 4095) / 4))) for x in v.tolist()]
    assert energy(v).tolist() == expected


def test_signs_are_halved_and_rounded_up():
    assert signed(np.array([-9999, -4, -3, -2, -1, 0, 1, 2, 3, 9999])).tolist() == [
        -127,
        -2,
        -1,
        -1,
        0,
        0,
        1,
        1,
        2,
        127,
    ]


@pytest.mark.parametrize("i", range(1, len(SLICES)))
def test_they_are_those_of_the_training(i):
    v = values(SLICES[i].size, 200)
    found = features_of(i, v)
    expected = floats.features_of(i, as_map(v))[0].permute(1, 2, 0).reshape(H * W, -1) * floats.ONE
    assert found.shape == (H * W, feature_count(i)) == tuple(expected.shape)
    assert np.abs(found - expected.numpy()).max() <= 1  # the two round halves differently
    assert np.array_equal(found, np.clip(np.rint(found), -127, 127))


@pytest.mark.parametrize("step", [8, 200, 3264])
def test_those_of_slice_0_are_those_of_the_training(step):
    v = values(3)
    found = features_of_dc(v, (H, W), step)
    expected = floats.features_of_dc(as_map(v), torch.full((1, 1, 1, 1), step / 16))[0].permute(1, 2, 0) * floats.ONE
    assert found.shape == (H, W, feature_count(0)) == tuple(expected.shape)
    assert np.abs(found - expected.numpy()).max() <= 1


def test_neighbours_outside_count_as_nothing():
    near, there = neighbours(values(3), np.array([0, 6]), (H, W), ((-1, 0), (0, 1), (2, -1)), 2)
    v = values(3).reshape(H, W, 3)[..., :2]
    assert there[..., 0].tolist() == [[0, 1, 0], [1, 1, 1]]
    assert near.tolist() == [[[0, 0], v[0, 1].tolist(), [0, 0]], [v[0, 1].tolist(), v[1, 2].tolist(), v[3, 0].tolist()]]


def test_means_are_rounded_with_halves_up():
    assert rounded_mean(np.array([0, 3, -3, 5, -5, 7]), np.array([0, 2, 2, 3, 3, 1])).tolist() == [0, 2, -1, 2, -2, 7]


def test_shuffling_is_that_of_torch():
    x = pattern((3, 4, 20), -9, 9).astype(np.float32)
    expected = torch.nn.functional.pixel_shuffle(torch.from_numpy(x).permute(2, 0, 1), 2).permute(1, 2, 0)
    assert np.array_equal(shuffle(x), expected.numpy())


def test_the_table_of_energies_does_not_come_from_floating_logarithms():
    reach = features._LOG_REACH
    assert len(reach) == 127
    for n, v in enumerate(reach, 1):  # 16 log2(1 + v / 4) >= n - 1/2, and not for v - 1
        assert (4 + v) ** 32 >= 2 ** (2 * n - 1) * 4**32 > (3 + v) ** 32
