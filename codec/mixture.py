"""Mixtures of logistics -> binary decisions: how a sample is spelled under the distribution that a network gives.

    F(v) = sum_k w_k G((v + 1/2 - m_k) / s_k) + leak,     G(a) = 1 / (1 + exp -a)
    one decision: "x > v?" for v inside lo <= x <= hi, with p = (F(hi) - F(v)) / (F(hi) - F(lo - 1))

The first v is the mean, the next ones are near the quartiles, then the eighths, so a sample takes about as many
decisions as it costs bits, whatever the bit depth; a table of all values would have hundreds of entries. What is left
of an interval where the density is nearly constant is halved evenly.

All numbers are float32, and nothing but + - * / floor, comparisons and table look-ups is done to them, one by one in a
fixed order: IEEE 754 rounds each of these the same way everywhere. Tables come from integers only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.entropy import LOGIT_UNIT, TOTAL
from codec.intnet import Carrier
from codec.lattice import OCTAVE, View

__all__ = ["COMPONENTS", "LEAK_BITS", "OUTPUTS", "Code", "code_samples", "mixture"]

COMPONENTS = 3
OUTPUTS = 3 * COMPONENTS  # of a network: logits in 1/32 bit, means in 1/64 spread, log2 of scales in 1/16 octave
MEAN_UNIT = 64  # of a grey level
LEAK_BITS = 13  # a share of 2^-13 is spread over all values
LEAST, MOST = -4 * OCTAVE, 15 * OCTAVE  # logarithms of scales

_WEIGHT_BITS, _CDF_BITS = 12, 22
_CELL = 512  # steps of the table of G per unit
_REACH = 12 * _CELL
_DEPTH = 7  # of the tree of decisions that follows the quantiles

F32 = NDArray[np.float32]
Code = Callable[[NDArray[np.int32], NDArray[Any] | None], NDArray[Any]]

# Rows of a mixture: weights up to 2^12, means in 1/64 grey level, slopes in table steps per 1/64 grey level; where the
# decisions begin and how far apart they are, in grey levels; the narrowest interval that is not halved evenly.
_PARTS = 3 * COMPONENTS
_CENTRE, _SCALE, _EVENLY = _PARTS, _PARTS + 1, _PARTS + 2
_ROWS = _PARTS + 3


def mixture(outputs: Carrier, seen: View) -> F32:
    """The distributions that a network's outputs (n, OUTPUTS) stand for, at the pixels that saw `seen`: (12, n)."""
    o, spread = outputs.T.astype(np.float32, order="C"), seen.spread.astype(np.float32)
    mix = np.empty((_ROWS, o.shape[1]), np.float32)
    logits, means, scales = o[:COMPONENTS], o[COMPONENTS : 2 * COMPONENTS], o[2 * COMPONENTS :]
    weights, centres = mix[:COMPONENTS], mix[COMPONENTS : 2 * COMPONENTS]
    _POWERS.take((logits.max(axis=0) - logits).astype(np.int32), out=weights, mode="clip")
    np.multiply(means, spread * np.float32(1 / MEAN_UNIT), out=centres)
    np.floor(centres, out=centres)
    centres += seen.base.astype(np.float32) * np.float32(MEAN_UNIT // 4)
    index = np.clip(scales + (seen.log - 6 * OCTAVE), LEAST, MOST).astype(np.int32) - LEAST
    _SLOPES.take(index, out=mix[2 * COMPONENTS : _PARTS], mode="clip")
    scale = _SCALES.take(index)
    total = weights[0] + weights[1] + weights[2]
    for row, values in ((_CENTRE, centres), (_SCALE, scale)):
        mix[row] = (weights[0] * values[0] + weights[1] * values[1] + weights[2] * values[2]) / total
    mix[_CENTRE] *= np.float32(1 / MEAN_UNIT)
    mix[_EVENLY] = scale.min(axis=0) * np.float32(1 / 8)
    return mix


def code_samples(mix: F32, low: int, high: int, code: Code, samples: NDArray[Any] | None = None) -> F32:
    """Code n samples in low .. high, or take them from the stream.

    Parameters
    ----------
    mix : (12, n) of `mixture`
    code : (probabilities (n,) of a yes in 1/2^16, decisions (n,) or None) -> decisions (n,): a coder's side
    samples : (n,) integers to encode; None to decode

    Returns
    -------
    (n,) samples, as float32
    """
    count, span = mix.shape[1], high - low + 1
    leak = np.float32(2.0 ** (_WEIGHT_BITS + _CDF_BITS - LEAK_BITS) / span)
    out, index, node = np.empty(count, np.float32), np.arange(count), np.ones(count, np.int32)
    # Below the mixture: lo, hi, F(lo - 1), F(hi), and the sample where it is known
    state = np.empty((_ROWS + 4 + (samples is not None), count), np.float32)
    state[:_ROWS] = mix
    state[_ROWS], state[_ROWS + 1], state[_ROWS + 2] = low, high, 0
    np.sum(mix[:COMPONENTS], axis=0, out=state[_ROWS + 3])
    state[_ROWS + 3] *= np.float32(1 << _CDF_BITS)
    state[_ROWS + 3] += leak * np.float32(span)
    if samples is not None:
        state[_ROWS + 4] = samples
    depth = 0
    while len(index):
        lo, hi, below, above = state[_ROWS : _ROWS + 4]
        if depth < _DEPTH:
            v = _LADDER.take(node)
            v *= state[_SCALE]
            v += state[_CENTRE]
        else:
            v = (lo + hi) * np.float32(0.5)
        np.floor(v, out=v)
        np.maximum(v, lo, out=v)
        np.minimum(v, hi - np.float32(1), out=v)
        middle = _cdf(state, v)
        middle += leak * (v - np.float32(low - 1))
        mass = above - below
        even = (hi - lo < state[_EVENLY]) | (mass <= 0)
        if even.any():
            share = np.where(even, (hi - v) / (hi - lo + np.float32(1)), (above - middle) / np.where(even, 1, mass))
        else:
            share = (above - middle) / mass
        share *= np.float32(TOTAL)
        ones = np.clip(share, 1, TOTAL - 1).astype(np.int32)
        larger = code(ones, None if samples is None else state[_ROWS + 4] > v).astype(bool)
        smaller = ~larger
        np.copyto(below, middle, where=larger)
        np.copyto(above, middle, where=smaller)
        np.copyto(hi, v, where=smaller)
        v += 1
        np.copyto(lo, v, where=larger)
        node += node
        node += larger
        depth += 1
        open_ = lo < hi
        going = np.flatnonzero(open_)
        if len(going) < len(index):
            done = np.flatnonzero(~open_)
            out[index[done]] = lo[done]
            index, node, state = index[going], node[going], state.take(going, axis=1)
    return out


def _cdf(state: F32, v: F32) -> F32:
    """(n,) F at integers v, in units of 2^-34, without the leak."""
    at = v * np.float32(MEAN_UNIT)
    at += np.float32(MEAN_UNIT // 2)
    total = np.zeros_like(v)
    for k in range(COMPONENTS):
        cell = at - state[COMPONENTS + k]
        cell *= state[2 * COMPONENTS + k]
        cell += np.float32(_REACH)
        np.maximum(cell, 0, out=cell)
        np.minimum(cell, np.float32(2 * _REACH), out=cell)
        part = _CDF.take(cell.astype(np.int32))
        part *= state[k]
        total += part
    return total


def _root16(number: int) -> int:
    for _ in range(4):
        number = math.isqrt(number)
    return number


def _logistic() -> F32:
    """floor(2^22 / (1 + exp(-a))) at the middles of the table's cells, from integers only.

    exp is taken as a power of e^(1/1024), with 64 binary digits behind the point: far more than the table holds.
    """
    bits, half = 64, 2 * _CELL  # a step of half a cell is 1 / 1024
    one = 1 << bits
    root, term = 0, one
    for k in range(1, 12):  # exp(1/1024) by its series
        root += term
        term //= half * k
    powers, power = [], one
    for _ in range(_REACH + 1):  # exp(a) at a = j / 512, and then half a cell on
        powers.append(power * root >> bits)
        power = (power * root >> bits) * root >> bits
    upper = [((1 << _CDF_BITS) * p) // (p + one) for p in powers]
    lower = [(1 << _CDF_BITS) - value for value in upper]
    return np.array(lower[:_REACH][::-1] + upper, np.float32)


def _ladder() -> F32:
    """log(q / (1 - q)) at q = 1/2, 1/4, 3/4, 1/8, ...: where node j of the tree splits. Node 0 is none.

    Rounded to 1/1024 through the table of G, which is made from integers.
    """
    places = [0.0]
    for node in range(1, 1 << _DEPTH):
        level = node.bit_length()
        numerator = 2 * (node - (1 << (level - 1))) + 1
        q = (numerator << _CDF_BITS) >> level
        places.append((int(np.searchsorted(_CDF, q)) - _REACH) / _CELL)
    return np.array(places, np.float32)


_POWERS = np.array(
    [math.isqrt(math.isqrt(_root16(1 << (64 * _WEIGHT_BITS - 2 * j)))) for j in range(LOGIT_UNIT * _WEIGHT_BITS)] + [0],
    np.float32,
)  # floor(2^(12 - j / 32)), the 64th root of 2^(768 - 2 j)
_CDF = _logistic()
_LADDER = _ladder()
# 2^(j / 16) with 20 bits behind the point, and its inverse in table steps per 1/64 grey level
_SCALES = (np.array([_root16(1 << (j + 16 * 20)) for j in range(LEAST, MOST + 1)]) * 2.0**-20).astype(np.float32)
_SLOPES = (np.floor((_CELL << 20) / (MEAN_UNIT * _SCALES.astype(np.float64))) * 2.0**-20).astype(np.float32)
