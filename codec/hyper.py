"""The hyper-latent: what is told of a photo's tile in advance, and the state that its networks begin with.

codes (1/64) -> codewords -> two layers, each followed by a pixel shuffle -> state (1/16)            (Balle et al. 2018)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codec import intnet
from codec.features import shuffle
from codec.intnet import Carrier, Unit
from codec.layers import Input, Layers, chained
from codec.symbols import I64, Code, Live, tables_of

__all__ = ["HYPER_DIM", "HYPER_GROUPS", "HYPER_WORDS", "Hyper"]

HYPER_GROUPS, HYPER_WORDS, HYPER_DIM = 2, 64, 4


class Hyper:
    """Codebook and networks of the hyper-latent; ModelError if they do not fit.

    Parameters
    ----------
    state : the map that is made, a block each
    hidden : largest number of a hidden layer
    extra : bound of the quality's condition
    """

    def __init__(self, layers: Layers, state: Input, hidden: int, extra: int) -> None:
        inner = layers.size("h_s.0.bias", 4)
        shape = (HYPER_GROUPS, HYPER_WORDS, HYPER_DIM)
        self.words = layers.bounded("hyper.words", *shape, low=state.low, high=state.high)
        self.freqs = tables_of(layers.tensor("hyper.freqs", HYPER_GROUPS, HYPER_WORDS))
        self.h_s = chained(
            layers.unit("h_s.0", (Input(HYPER_GROUPS * HYPER_DIM, state.low, state.high),), 4 * inner, 0, hidden),
            layers.unit("h_s.1", (Input(inner, 0, hidden),), 4 * state.channels, state.low, state.high, extra),
        )

    def units(self) -> Iterator[Unit]:
        yield from self.h_s

    def code(self, picked: I64 | None, shape: tuple[int, int], live: Live, code: Code) -> I64:
        """Codes (n, 2); where none of the 4 x 4 blocks is live, those of the highest frequency, which are not sent."""
        zh, zw = -(-shape[0] // 4), -(-shape[1] // 4)
        padded = np.pad(live.reshape(shape), ((0, 4 * zh - shape[0]), (0, 4 * zw - shape[1])))
        at = np.flatnonzero(padded.reshape(zh, 4, zw, 4).any(axis=(1, 3)))
        out = np.tile(self.freqs.argmax(axis=1), (zh * zw, 1))
        for g, freqs in enumerate(self.freqs):
            tables = np.broadcast_to(freqs, (len(at), len(freqs)))
            out[at, g] = code(tables, None if picked is None else picked[at, g])
        return out

    def start(self, codes: I64, shape: tuple[int, int], condition: I64) -> Carrier:
        """The first state (h, w, C) that codes make, with the quality's condition (C,)."""
        h, w = shape
        zh, zw = -(-h // 4), -(-w // 4)
        z = np.concatenate([self.words[g][codes[:, g]] for g in range(HYPER_GROUPS)], axis=1).reshape(zh, zw, -1)
        up = shuffle(intnet.run(self.h_s[0], z.astype(np.float32)))
        extra = np.repeat(condition, 4) << self.h_s[1].shift.astype(np.int64)
        return np.ascontiguousarray(shuffle(intnet.run(self.h_s[1], up, extra=extra))[:h, :w])
