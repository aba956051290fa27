"""Networks that predict frames: what a hypernetwork's filters do, and what predictions cost."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tools.transitions import (
    FAR,
    TAPS,
    CopyLast,
    Direct,
    Head,
    Hyper,
    operations,
    parameters,
    train_transition,
    windows,
)


def digits() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 8, 8)).astype(np.uint8)


def test_a_filter_of_one_tap_moves_the_frame():
    network, x = Hyper(), torch.rand(2, 2, 16, 16)
    for dy, dx in ((0, 0), (1, -2), (-FAR, FAR)):
        one = torch.zeros(2, TAPS, 4, 4)
        one[:, (dy + FAR) * (2 * FAR + 1) + dx + FAR] = 1
        network.filters = lambda _, one=one: one
        expected = torch.zeros(2, 1, 16, 16)
        for y in range(16):
            for column in range(16):
                if 0 <= y - dy < 16 and 0 <= column - dx < 16:
                    expected[:, 0, y, column] = x[:, 1, y - dy, column - dx]
        torch.testing.assert_close(network(x), expected)


def test_filters_are_distributions():
    weights = Hyper().filters(torch.rand(1, 2, 16, 24))
    assert weights.shape == (1, TAPS, 4, 6)
    torch.testing.assert_close(weights.sum(1), torch.ones(1, 4, 6))


def test_a_head_gives_distributions():
    head, prediction = Head(), torch.rand(1, 1, 5, 5)
    total = sum(torch.exp2(-head.bits(prediction, torch.full((1, 1, 5, 5), float(x)))) for x in range(256))
    torch.testing.assert_close(total, torch.ones(1, 1, 5, 5), atol=1e-4, rtol=0)


def test_windows_are_pairs_and_what_follows():
    clips = np.arange(2 * 5 * 2 * 2).reshape(2, 5, 2, 2).astype(np.uint8)
    pairs, x = windows(clips)
    np.testing.assert_array_equal((pairs[4] * 255).round().numpy(), clips[1, 1:3])
    np.testing.assert_array_equal(x[4, 0].numpy(), clips[1, 3])


@pytest.mark.parametrize("network", [CopyLast(), Direct(3), Hyper(4)])
def test_training_shortens_frames(network):
    torch.manual_seed(0)
    means = []
    found = train_transition(network, digits(), 12, 0, size=16, progress=lambda _, mean: means.append(mean))
    assert means[-1] < means[0]
    clip = np.random.default_rng(1).integers(0, 256, (4, 16, 16)).astype(np.uint8)
    assert found.frame_bits(clip[None]).shape == (1, 2)
    assert found.continued(clip, 3).shape == (3, 16, 16)


def test_parameters_and_operations_are_counted():
    assert parameters(CopyLast()) == operations(CopyLast(), 16) == 0
    network = Direct(3)
    assert parameters(network) == 25 * (2 * 3 + 3 * 3 + 3) + 7
    assert operations(network, 16) == 25 * (2 * 3 + 3 * 3 + 3) * 256
