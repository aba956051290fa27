"""A hypernetwork that hypothesises where a thing goes next: it makes the weights of the next transition.

    h_t = where a thing was seen to go, and how far it is from the borders
    w_t = softmax(H(h_t))                     (2 FAR + 1)^2 weights, made anew for each thing and frame
    s~_t+1 = w_t * s_t                        the transition network: one convolution of the thing's layer with them

(Ha, Dai and Le 2017, HyperNetworks; Jia et al. 2016, dynamic filter networks.) H sees decoded frames only, so weights
cost no bits. Each says how likely a displacement is; the encoder names the one that happened, at the price of its
-log2 w, and the transition becomes exact. Two things with two ways need two layers: a thing's layer is its sprite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import intnet
from codec.entropy import frequencies_from_logits
from codec.intnet import Carrier, Unit
from codec.layers import Input, Layers, chained
from codec.tracks import FAR

__all__ = ["ESCAPE", "FEATURES", "MEMORY", "TAPS", "UNIT", "Predictor", "displacements", "histories", "taken", "taps"]

MEMORY = 10  # displacements that the hypernetwork sees
BORDER = 31  # distances to the borders are told apart as far as this
UNIT = 16  # a feature of 16 is one pixel, or a yes
MOST = UNIT * (BORDER + 1)
FEATURES = 3 * MEMORY + 4
TAPS = (2 * FAR + 1) ** 2
ESCAPE = TAPS  # the symbol of a displacement that no tap stands for
ACTIVATION, HIGHEST = 64, 2047  # as in the lossless networks
LOUDEST = 8191  # logits stay within, in 1/32 bit
LAYERS = 3

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """The hypernetwork: features (n, FEATURES) -> logits (n, TAPS + 1) in 1/32 bit."""

    units: tuple[Unit, ...]

    def logits(self, features: Carrier) -> Carrier:
        return intnet.chain(self.units, features)

    def tables(self, corners: Ints, size: tuple[int, int], frame: tuple[int, int]) -> NDArray[np.int32]:
        """Weights of the next transition of each of n things, in 1/2^16, and of an escape: (n, TAPS + 1).

        Parameters
        ----------
        corners : (t, n, 2) where they were so far, t >= 1
        size, frame : height and width of a thing and of the frame
        """
        return frequencies_from_logits(self.logits(histories(corners, size, frame)))


def taken(layers: Layers) -> Predictor:
    """The hypernetwork among the tensors of a model."""
    entry, units = Input(FEATURES, -MOST, MOST), list[Unit]()
    for number in range(LAYERS - 1):
        width = layers.size(f"hyper.{number}.bias")
        units.append(layers.unit(f"hyper.{number}", (entry,), width, 0, HIGHEST))
        entry = Input(width, 0, HIGHEST)
    return Predictor(chained(*units, layers.unit(f"hyper.{LAYERS - 1}", (entry,), TAPS + 1, -LOUDEST, LOUDEST)))


def histories(corners: Ints, size: tuple[int, int], frame: tuple[int, int]) -> Carrier:
    """What the hypernetwork sees: (n, FEATURES) integers in -MOST .. MOST, as float32.

    The last MEMORY displacements, the latest first, and for each whether it is known; distances to the four borders.
    """
    n = corners.shape[1]
    moves = (corners[1:] - corners[:-1])[::-1][:MEMORY]
    features = np.zeros((n, FEATURES), np.float32)
    count = len(moves)
    features[:, : 2 * count] = np.clip(moves, -BORDER, BORDER).transpose(1, 0, 2).reshape(n, 2 * count) * UNIT
    features[:, 2 * MEMORY : 2 * MEMORY + count] = UNIT
    room = np.array(frame) - size - corners[-1]
    borders = np.concatenate([corners[-1], room], axis=1)
    features[:, 3 * MEMORY :] = np.clip(borders, -1, BORDER) * UNIT
    return features


def taps(moves: Ints) -> NDArray[np.int32]:
    """Symbols of displacements (..., 2): the tap, or ESCAPE."""
    inside = (np.abs(moves) <= FAR).all(axis=-1)
    tap = (moves[..., 0] + FAR) * (2 * FAR + 1) + moves[..., 1] + FAR
    return np.where(inside, tap, ESCAPE).astype(np.int32)


def displacements(symbols: NDArray[Any]) -> Ints:
    """Displacements (..., 2) that taps stand for; of ESCAPE, something."""
    rows, columns = np.divmod(symbols.astype(np.int64), 2 * FAR + 1)
    return np.stack([rows - FAR, columns - FAR], axis=-1)
