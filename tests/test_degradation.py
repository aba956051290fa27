"""training/degradation.py: pictures as the linear decoder would give them."""

from __future__ import annotations

import numpy as np
import torch

from tests.pictures import picture
from training.config import Schedule, SynthesisStage
from training.degradation import degrade, draw_chance
from training.networks import step_of


def degraded(quality: float, x: torch.Tensor, **choices: float) -> torch.Tensor:
    stage = SynthesisStage(schedule=Schedule(steps=1), threshold_spread=0.0, lone_spread=0.0, **choices)
    means = [0, 256, 512]
    order = torch.tensor([*means, *np.random.default_rng(0).permutation([i for i in range(768) if i not in means])])
    chance = draw_chance(x.shape, stage, np.random.default_rng(0))
    return degrade(x, torch.full((len(x),), quality), order, stage, chance)


def test_degrading_is_quantising():
    x = torch.from_numpy(np.stack([picture(48, 64), picture(48, 64, 1)])).float()
    errors = []
    for quality in (0.2, 0.6, 1.0):
        bad = degraded(quality, x, threshold=0.5, threshold_single=0.5, lone=0.0)
        errors.append(float((bad - x).square().mean().sqrt()))
        assert errors[-1] <= float(step_of(torch.tensor(quality))) / 2
    assert errors == sorted(errors, reverse=True)


def test_degrading_takes_away_what_is_small_and_alone_in_its_group():
    x = torch.from_numpy(np.stack([picture(48, 64), picture(48, 64, 1)])).float()
    errors = [
        float((degraded(0.6, x, threshold=threshold, lone=lone) - x).square().mean())
        for threshold, lone in ((0.5, 0.0), (0.4, 0.0), (0.4, 0.78), (0.4, 1e9))
    ]
    assert errors == sorted(errors)
    assert len(set(errors)) == 4
    flat = degraded(0.0, torch.full((1, 32, 32, 3), 77.25), lone=1e9)  # block means are no group
    assert float((flat - 77.25).square().mean()) <= 3 * (204 / 2) ** 2 / 768


def test_a_part_of_a_batch_is_degraded_as_in_the_whole():
    x = torch.from_numpy(np.stack([picture(48, 64), picture(48, 64, 1), picture(48, 64, 2)])).float()
    stage, t = SynthesisStage(schedule=Schedule(steps=1)), torch.tensor([0.1, 0.5, 0.9])
    chance = draw_chance(x.shape, stage, np.random.default_rng(0))
    assert [tuple(drawn.shape) for drawn in chance] == [(3, 3, 3, 4), (3, 1, 1, 1), (3, 1, 1, 1)]
    assert len(set(chance.threshold.flatten().tolist())) == 3
    whole, part = degrade(x, t, torch.arange(768), stage, chance), slice(1, 3)
    alone = degrade(x[part], t[part], torch.arange(768), stage, chance.of(part))
    assert float((whole[part] - alone).abs().max()) < 0.01
