"""Training of the hypernetwork that foresees the ways of things, and the model file of what they look like and do.

    minimise  -log2 softmax(H(h_t))[tap of the displacement t -> t + 1]        over simulated clips

(codec/predictor.py.) That is, the price of the taps in a stream. Of all that a clip of things flying straight and
bouncing can show, the hypernetwork has to find out speed and place to fractions of a pixel from whole displacements.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from codec import predictor, sprites
from codec.entropy import LOGIT_UNIT
from codec.errors import ModelError
from codec.model import pack_model
from codec.predictor import FEATURES, LAYERS, MOST, TAPS, UNIT
from training import engine
from training.moving_mnist import draw_motion
from training.residual import HIGHEST
from training.residual_export import ACTIVATION, HIGHEST_OUTPUT, layer_tensors, residual_tensors

__all__ = ["Hypernetwork", "draw_ways", "sprites_model", "tap_bits"]

USUAL = 0.75  # share of steps with clips of the standard size and speed
SIDE, FRAME, SPEED = 28, 64, 3.6
OTHER_FRAMES, OTHER_SPEEDS = (40, 97), (0.5, 4.0)
COARSER, COARSER_HYPER = (3, 4, 4), 3  # bits that weights lack of the finest ones: less costs hardly a bit in a clip

Tensors = dict[str, NDArray[Any]]


class Hypernetwork(nn.Module):
    """Histories (n, FEATURES) -> logits in nats of the taps, and of an escape: (n, TAPS + 1)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        sizes, layers = (FEATURES, *[width] * (LAYERS - 1)), list[nn.Module]()
        for i, o in itertools.pairwise(sizes):
            layers += [nn.Linear(i, o), nn.Hardtanh(0.0, HIGHEST)]
        self.layers = nn.Sequential(*layers, nn.Linear(width, TAPS + 1))

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.layers(features)
        return logits


def draw_ways(
    rng: np.random.Generator, clips: int, frames: int = 20, usual: float = USUAL
) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Ways of things (frames, clips, 2) that fly straight and bounce, and size of the frame.

    usual : probability of a frame of the standard size, and the standard speed
    """
    size, speed = FRAME, SPEED
    if rng.random() > usual:
        size, speed = int(rng.integers(*OTHER_FRAMES)), float(rng.uniform(*OTHER_SPEEDS))
    blank = np.zeros((1, SIDE, SIDE), np.uint8)
    corners = draw_motion(blank, clips, rng, frames, size, 1, speed).corners[:, :, 0]
    return corners.transpose(1, 0, 2), (size, size)


def tap_bits(model: Hypernetwork, ways: NDArray[np.int64], frame: tuple[int, int]) -> Tensor:
    """(frames - 1, n) what the taps of each transition cost."""
    seen = [predictor.histories(ways[:t], (SIDE, SIDE), frame) for t in range(1, len(ways))]
    taps = predictor.taps(ways[1:] - ways[:-1])
    logits = model(torch.from_numpy(np.concatenate(seen)) / UNIT)
    bits = functional.cross_entropy(logits, torch.from_numpy(taps.ravel()).long(), reduction="none") / math.log(2)
    return bits.view(taps.shape)


def sprites_model(
    style: Tensors,
    hyper: Tensors,
    *,
    side: int = SIDE,
    coarser: Sequence[int] = COARSER,
    coarser_hyper: int = COARSER_HYPER,
    **facts: Any,
) -> bytes:
    """The model file.

    Parameters
    ----------
    style : state of training.style.Style
    hyper : state of a Hypernetwork
    side : pixels that sprites are padded to, at least, height and width
    coarser, coarser_hyper : bits that weights lack of the finest ones, in each layer of the style and in all of H
    facts : for the card

    Raises
    ------
    ModelError
        Two engines, numpy and torch, do not compute the same.
    """
    tensors: Tensors = dict(residual_tensors(style, coarser)) | {"side": np.array([side])}
    unit, most = float(UNIT), MOST
    for number in range(LAYERS):
        weight, bias = (np.asarray(hyper[f"layers.{2 * number}.{part}"], np.float64) for part in ("weight", "bias"))
        gain = LOGIT_UNIT / math.log(2) if number == LAYERS - 1 else ACTIVATION
        gains = np.full(len(bias), float(gain))
        tensors |= layer_tensors(f"hyper.{number}", weight, bias, gains, unit, most, coarser_hyper)
        unit, most = float(ACTIVATION), HIGHEST_OUTPUT
    built = sprites.build(tensors)
    if (found := sprites.self_test(built)) != (expected := sprites.self_test(built, engine)):
        raise ModelError(f"the self-test gives {found} in numpy and {expected} in torch")
    return pack_model(facts | {"structure": sprites.STRUCTURE, "self_test": found}, tensors)
