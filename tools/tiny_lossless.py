"""A lossless model of a few channels that was never trained: what tests of the lossless path run on.

Its mixtures lie about where the surroundings are, so it makes files of a fair size; which is all that it is for.
"""

from __future__ import annotations

import torch

from training.residual import Residual
from training.residual_export import lossless_model

__all__ = ["tiny_lossless", "tiny_residual"]

WIDTH = 8
LOUDER = 4.0  # how far the head's weights are from those that a training begins with: outputs differ between pixels


def tiny_residual(seed: int = 0) -> Residual:
    """The float networks."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        networks = Residual(WIDTH)
    with torch.no_grad():
        for name, parameter in networks.named_parameters():
            if len(parameter) == 9 and name.endswith("weight"):
                parameter.mul_(LOUDER)
    return networks.eval()


def tiny_lossless(seed: int = 0) -> bytes:
    """The model file; the bytes depend on torch's random numbers."""
    state = {name: value.numpy() for name, value in tiny_residual(seed).state_dict().items()}
    return lossless_model(state, name="tiny-lossless", version=1, licence="CC0-1.0")
