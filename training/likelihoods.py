"""Bits of integers under the prior, as training sees them: differentiable, and those of the tables up to rounding.

    number k        -log2( sigmoid((k + 1/2) / s) - sigmoid((k - 1/2) / s) )      logistic, scale s, tails to +-infinity
    codeword k      -log2 softmax_k( query . key_k + bias_k )                     Hopfield association with the keys

Keys are fixed features of the codeword's coordinates, -|c| and c, plus a learned part: so that neighbouring codewords
generalise at once (3-5 % lower loss at equal steps than free keys). The last symbol of a level says that the vector is
split: eight into two fours, a four or a two into single numbers.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codec.codebook import codebook
from codec.symbols import FREE, SPLIT_REACH

__all__ = ["LARGEST_SCALE", "SMALLEST_SCALE", "Level", "Levels", "gamma_bits", "logistic_bits", "scale_of"]

SMALLEST_SCALE, LARGEST_SCALE = 0.05, 80.0  # of a logistic, in steps
LEAST_PROBABILITY = 2.0**-16  # the smallest that a table of the range coder can hold
SATURATION = 40.0  # sigmoid(40) is 1 in float32
FAR = 6.0  # scales from the mean where a difference of two sigmoids near 1 has lost its digits
SPLIT_FEATURE = 2.0  # what the symbol 'split' has for |c|: about the smallest vector that has no codeword
KEY_NOISE = 0.05


def scale_of(parameter: Tensor) -> Tensor:
    """0..1 -> scale of a logistic, geometric from SMALLEST_SCALE to LARGEST_SCALE; clipped outside."""
    low, high = math.log(SMALLEST_SCALE), math.log(LARGEST_SCALE)
    return torch.exp(low + (high - low) * parameter.clamp(0, 1))


def logistic_bits(k: Tensor, scale: Tensor, reach: float) -> Tensor:
    """Bits of integers k, as floats, under a logistic around 0.

    From +-reach outwards all numbers share a symbol; here they pay for their own tail, which is a little more.
    """
    inverse = 1 / scale
    end = torch.full_like(k, SATURATION)
    upper = torch.where(k >= reach, end, ((k + 0.5) * inverse).clamp(-SATURATION, SATURATION))
    lower = torch.where(k <= -reach, -end, ((k - 0.5) * inverse).clamp(-SATURATION, SATURATION))
    probability = torch.sigmoid(upper) - torch.sigmoid(lower)
    size = k.abs()  # the same difference mirrored to the side where the sigmoids are small
    beyond = torch.where(size >= reach, torch.zeros_like(k), torch.sigmoid(-(size + 0.5) * inverse))
    mirrored = torch.sigmoid(-(size - 0.5) * inverse) - beyond
    probability = torch.where(size > FAR * scale, mirrored, probability)
    return -torch.log2(probability.clamp(min=LEAST_PROBABILITY))


def gamma_bits(k: Tensor, reach: float) -> Tensor:
    """Bits of the Elias gamma code for how far |k| is beyond its table's reach, made smooth; 0 within."""
    size = k.abs()
    return torch.where(size >= reach, 2 * torch.log2((size - reach + 1).clamp(min=1)) + 1, torch.zeros_like(k))


class Level(nn.Module):
    """A codebook of the integer lattice as an associative memory: queries -> bits of codewords.

    Parameters
    ----------
    dimension : of a codeword
    signed : the features hold c besides -|c|
    zero : the zero codeword is one of the codebook
    """

    fixed: Tensor
    words: Tensor

    def __init__(self, dimension: int, *, signed: bool, zero: bool = False) -> None:
        super().__init__()
        self.book = codebook(dimension, zero)
        words = torch.from_numpy(self.book.words).float()  # (K, d)
        split = torch.full((1, dimension), SPLIT_FEATURE)
        features = [-torch.cat([words.abs(), split])]
        if signed:
            features.append(torch.cat([words, torch.zeros_like(split)]))
        symbols = len(words) + 1
        self.register_buffer("words", words, persistent=False)
        self.register_buffer("fixed", torch.cat([*features, torch.zeros(symbols, FREE)], 1))  # (K + 1, F)
        self.key = nn.Parameter(torch.randn_like(self.fixed) * KEY_NOISE)
        self.bias = nn.Parameter(torch.zeros(symbols))

    def forward(self, query: Tensor) -> Tensor:
        """(n, F) -> logits (n, K + 1), in nats."""
        return query @ (self.fixed + self.key).T + self.bias

    def bits(self, code: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Integers (n, d), queries (n, F) -> bits of their symbols (n,), and which are split (n,) bool."""
        symbol = torch.from_numpy(self.book.index(code.numpy().astype(np.int64)))
        return F.cross_entropy(self(query), symbol, reduction="none") / math.log(2), symbol == self.book.split


class Levels(nn.Module):
    """The codebooks of all slices, and what follows where no codeword fits."""

    def __init__(self) -> None:
        super().__init__()
        self._modules |= {  # not as attributes: nn.Module has a method half() already
            "pair": Level(2, signed=True),
            "quad": Level(4, signed=True),
            "octet": Level(8, signed=False),  # in eights, signs are as good as random
            "half": Level(4, signed=False, zero=True),
        }

    def level(self, name: str) -> Level:
        """`pair`, `quad`, `octet`, or `half` for the fours of a split eight."""
        level = self._modules[name]
        assert isinstance(level, Level)
        return level

    def of(self, dimension: int) -> Level:
        """The level that groups of a dimension start at."""
        return self.level({2: "pair", 4: "quad", 8: "octet"}[dimension])

    def bits(self, code: Tensor, query: Tensor, scale: Tensor) -> tuple[Tensor, int]:
        """Bits (n,) of non-zero vectors, and the number of symbols that say them, escapes beyond a table not counted.

        Parameters
        ----------
        code : (n, d) integers as floats, d in {2, 4, 8}
        query : (n, F)
        scale : (n, d) parameters 0..1 of the logistics of single numbers
        """
        dimension, symbols = code.shape[1], len(code)
        bits, split = self.of(dimension).bits(code, query)
        row = split.nonzero()[:, 0]  # of the vector that each rest belongs to
        code, query, scale = code[split], query[split], scale[split]
        if dimension == 8 and len(row):
            row = row.repeat_interleave(2)
            query = torch.cat([query[:, :8].reshape(-1, 4), query[:, 8:].repeat_interleave(2, 0)], 1)
            code, scale = code.reshape(-1, 4), scale.reshape(-1, 4)
            symbols += len(code)
            more, split = self.level("half").bits(code, query)
            bits = bits.index_add(0, row, more)
            row, code, scale = row[split], code[split], scale[split]
        if len(row):
            single = logistic_bits(code, scale_of(scale), SPLIT_REACH) + gamma_bits(code, SPLIT_REACH)
            bits = bits.index_add(0, row, single.sum(1))
        return bits, symbols + code.numel()
