"""tools/rank_codec.py: the hyper-encoder as a perceptron on what one vector sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.checks import ROOT
from tools.local_rank import preactivations
from tools.rank_codec import hyper_perceptron, measure, patches
from tools.rate_distortion import MeasureError, Picture
from training.features import HYPER_INPUTS
from training.networks import Prior

CONFORMANCE = str(ROOT / "bitstreams" / "v1" / "conformance.egmm")


@pytest.mark.parametrize("norm", [False, True])
def test_the_perceptron_is_the_network_away_from_borders(norm):
    torch.manual_seed(0)
    model = Prior(8, 8, hyper_norm=norm).eval()
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    if norm:
        state["h_a.5.running_var"][:], state["h_a.5.running_mean"][:] = np.linspace(0.5, 3, 8), 0.3  # shared memory
    features = torch.randn(HYPER_INPUTS, 13, 20)
    with torch.no_grad():
        expected = model.h_a(features[None])[0].numpy()[:, 1:3, 1:5]  # where all 7 x 7 blocks are within
    weights, biases = hyper_perceptron(state)
    found = preactivations(patches(features.numpy().astype(np.float64)), weights, biases)[-1]
    np.testing.assert_allclose(found, expected.reshape(8, -1).T, atol=1e-4)


def test_small_maps_have_no_patch():
    assert [len(patches(np.zeros((2, size, 9)))) for size in (5, 7, 8)] == [0, 0, 1]


def test_what_cannot_be_measured_says_why(tmp_path):
    small = Picture("small", "", np.zeros((64, 200, 3), np.uint8))
    with pytest.raises(MeasureError, match="128 pixels on each side"):
        measure([CONFORMANCE], [small], 0)
