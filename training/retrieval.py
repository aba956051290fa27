"""Choosing codes while training: what the encoder does (codec/retrieval.py), for a batch and with short cuts.

    k = argmin_k  w |r - c_k|^2 + bits_k          entropy-constrained; Chou, Lookabaugh and Gray 1989

r is what the predicted mean leaves of a group, in steps. A prior that is trained on codes chosen so sees in training
what it will be asked to code. No gradient passes through a choice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from codec.symbols import REACH
from training.likelihoods import Level, gamma_bits, logistic_bits

__all__ = ["Choice", "quantise", "retrieve", "retrieve_numbers"]

CANDIDATE = 0.5  # a group without a coefficient beyond it is zero
SPLIT_THRESHOLD = 0.42  # of the one split that is tried


@dataclass(frozen=True, slots=True)
class Choice:
    """How codes are chosen. The defaults are those of an evaluation.

    Attributes
    ----------
    threshold : for numbers coded one by one, see `quantise`
    weight : bits that a squared step is worth, for groups
    """

    threshold: float = 0.45
    weight: float = 8.0


def quantise(r: Tensor, threshold: float | Tensor) -> Tensor:
    """Integers around 0. The threshold is added to |r| before it is cut: 1/2 is rounding, less makes a dead zone."""
    return torch.sign(r) * torch.floor(r.abs() + threshold)


@torch.no_grad()
def retrieve(level: Level, r: Tensor, query: Tensor, flag: Tensor, weight: float) -> Tensor:
    """The codeword, the split or the zero that costs least.

    Parameters
    ----------
    level : the codebook
    r : (n, d)
    query : (n, F)
    flag : (n,) logits of being non-zero
    weight : bits that a squared step is worth

    Returns
    -------
    (n, d) integers, as floats
    """
    out = torch.zeros_like(r)
    rows = (r.abs() > CANDIDATE).any(-1)
    r, query, flag = r[rows], query[rows], flag[rows]
    bits = -torch.log_softmax(level(query), -1) / math.log(2)  # (m, K + 1)
    words = level.words  # costs are those above the cost of a free zero, w |r|^2
    cost, best = (bits[:, :-1] + weight * (words.square().sum(1) - 2 * (r @ words.T))).min(-1)
    chosen = words[best]
    whole = quantise(r, SPLIT_THRESHOLD)
    single = (1 + 2 * torch.log2(1 + whole.abs())).sum(-1)  # about what its numbers cost one by one
    split = bits[:, -1] + single + weight * ((r - whole).square() - r.square()).sum(-1)
    fits = torch.from_numpy(level.book.index(whole.numpy().astype(np.int64)) != level.book.split)
    better = ~fits & (whole != 0).any(-1) & (split < cost)
    chosen, cost = torch.where(better[:, None], whole, chosen), torch.where(better, split, cost)
    kept = cost + F.softplus(-flag) / math.log(2) < F.softplus(flag) / math.log(2)
    out[rows] = chosen * kept[:, None]
    return out


@torch.no_grad()
def retrieve_numbers(r: Tensor, scale: Tensor, weight: float) -> Tensor:
    """For numbers under logistics of a scale: the nearest integer or the next towards 0, whichever costs less."""
    near = torch.round(r)
    less = near - torch.sign(near)
    costs = [logistic_bits(k, scale, REACH) + gamma_bits(k, REACH) + weight * (r - k).square() for k in (near, less)]
    return torch.where(costs[1] < costs[0], less, near)
