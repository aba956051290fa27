"""The hypernetwork learns ways, and its model file computes what was trained."""

from __future__ import annotations

import numpy as np
import torch

from codec import predictor, sprites
from codec.entropy import TOTAL
from codec.model import unpack_model
from training.sprites import SIDE, Hypernetwork, draw_ways, sprites_model, tap_bits
from training.style import Style


def test_ways_are_those_of_things_that_stay_in_the_frame():
    for seed in range(8):
        ways, frame = draw_ways(np.random.default_rng(seed), 5, frames=9)
        assert ways.shape == (9, 5, 2)
        assert ways.min() >= 0
        assert (ways + SIDE).max() <= min(frame)
        assert draw_ways(np.random.default_rng(seed), 1, usual=1.0)[1] == (64, 64)


def test_the_model_file_costs_taps_what_the_trained_network_does():
    torch.manual_seed(0)
    hyper = Hypernetwork(8)
    states = [{k: v.numpy() for k, v in m.state_dict().items()} for m in (Style([[0, 255]], 8), hyper)]
    model = unpack_model(sprites_model(*states, name="things"))
    built = sprites.sprites(model)
    assert built.side == SIDE
    ways, frame = draw_ways(np.random.default_rng(0), 50, frames=5)
    tables = built.predictor.tables(ways[:-1], (SIDE, SIDE), frame)
    taps = predictor.taps(ways[-1] - ways[-2])
    found = -np.log2(tables[np.arange(len(taps)), taps] / TOTAL)
    with torch.no_grad():
        np.testing.assert_allclose(found, tap_bits(hyper, ways, frame)[-1].numpy(), atol=0.1)
