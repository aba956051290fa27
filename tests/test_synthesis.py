"""training/synthesis.py: the filter after the linear decoder."""

from __future__ import annotations

import torch

from training.networks import step_of
from training.synthesis import Synthesis


def test_the_filter_starts_as_almost_nothing():
    torch.manual_seed(0)
    x, t = torch.rand(2, 3, 24, 40) * 255, torch.tensor([0.1, 0.9])
    assert float((Synthesis(16, 2)(x, t) - x).abs().max().detach()) < 5.0


def test_the_filter_does_not_see_brightness_and_moves_with_the_step():
    torch.manual_seed(0)
    model, x = Synthesis(16, 2), torch.rand(1, 3, 24, 24) * 100
    t = torch.tensor([0.3])
    change = model(x, t) - x
    torch.testing.assert_close(model(x + 50, t) - x - 50, change, rtol=0, atol=1e-3)
    assert float(change.detach().abs().max()) <= 255 * float(step_of(t))


def test_the_filter_trains_all_of_itself():
    torch.manual_seed(0)
    model = Synthesis(8, 2)
    model(torch.rand(1, 3, 16, 16) * 255, torch.tensor([0.5])).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
