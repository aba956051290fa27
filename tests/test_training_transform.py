"""training/transform.py: the codec's transform, for batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codec import transform as exact
from tests.pictures import picture
from training.transform import analyse, coefficient_order, synthesise

SIZES = [(16, 16), (16, 64), (48, 32)]


@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_transform_of_the_codec(size):
    pixels = picture(*size)
    y = analyse(torch.from_numpy(pixels)[None].float())[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(y, exact.analysis(pixels), atol=2e-3)


@pytest.mark.parametrize("size", SIZES)
def test_synthesis_undoes_analysis_and_errors_keep_their_size(size):
    x = torch.from_numpy(np.stack([picture(*size), picture(*size, 1)])).float()
    y = analyse(x)
    torch.testing.assert_close(synthesise(y), x, rtol=0, atol=2e-3)
    noise = torch.randn_like(y)
    error = synthesise(y + noise) - x
    assert float(error.square().mean()) == pytest.approx(float(noise.square().mean()), rel=1e-3)


def test_the_order_puts_means_first_and_falls_with_variance():
    pictures = [torch.from_numpy(picture(64, 64, seed)) for seed in range(3)]
    order = coefficient_order(pictures)
    power = torch.stack([analyse(x[None].float())[0].square().mean((1, 2)) for x in pictures]).mean(0)
    assert sorted(order.tolist()) == list(range(768))
    assert set(order[:3].tolist()) == {0, 256, 512}
    assert (power[order[3:12]].diff() <= 0).all()
    assert power[order[3:12]].min() >= power[order[12:]].max()
    assert torch.equal(order, coefficient_order(pictures))
