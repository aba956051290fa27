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

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.entropy import LOGIT_UNIT, TOTAL
from codec.intnet import Carrier, pattern
from codec.lattice import OCTAVE, View, logarithm

__all__ = ["COMPONENTS", "LEAK_BITS", "OUTPUTS", "TABLED", "Code", "code_samples", "mixture", "self_test", "tables"]

COMPONENTS = 3
OUTPUTS = 3 * COMPONENTS  # of a network: logits in 1/32 bit, means in 1/64 spread, log2 of scales in 1/16 octave
MEAN_UNIT = 64  # of a grey level
TABLED = 512  # values that a table has at most
LEAK_BITS = 13  # a share of 2^-13 is spread over all values
LEAST, MOST = -4 * OCTAVE, 15 * OCTAVE  # logarithms of scales

_WEIGHT_BITS, _CDF_BITS = 12, 22
_CELL = 512  # steps of the table of G per unit
_REACH = 12 * _CELL
_DEPTH = 7  # of the tree of decisions that follows the quantiles
_BLOCK = 1 << 13  # entries of tables that are worked on at a time: what stays in the processor's second-level cache

F32 = NDArray[np.float32]
Code = Callable[[NDArray[np.int32], NDArray[Any] | None], NDArray[Any]]

# A mixture of K components has 3 K + 3 rows: weights up to 2^12, means in 1/64 grey level, slopes in table steps per
# 1/64 grey level; then where the decisions begin and how far apart they are, in grey levels, and the narrowest interval
# that is not halved evenly.
_MORE = 3
_CENTRE, _SCALE, _EVENLY = -3, -2, -1


def mixture(outputs: Carrier, seen: View, spelled: bool = True) -> F32:
    """The distributions that a network's outputs stand for, at the pixels that saw `seen`.

    Parameters
    ----------
    outputs : (n, OUTPUTS): logits, means and logarithms of scales of three components
    seen : of n pixels, or of one if all have the same base and spread
    spelled : whether the distributions are for `code_samples`; the last three rows are left out otherwise

    Returns
    -------
    (3 K + 3, n) for K = 3, see above
    """
    o, spread, count = outputs.T.astype(np.float32, order="C"), seen.spread.astype(np.float32), COMPONENTS
    mix = np.empty((3 * count + _MORE, o.shape[1]), np.float32)
    weights, centres, slopes = (mix[part * count : (part + 1) * count] for part in range(3))
    logits = o[:count]
    _POWERS.take((logits.max(axis=0) - logits).astype(np.int32), out=weights, mode="clip")
    np.multiply(o[count : 2 * count], spread * np.float32(1 / MEAN_UNIT), out=centres)
    np.floor(centres, out=centres)
    centres += seen.base.astype(np.float32) * np.float32(MEAN_UNIT // 4)
    index = (o[2 * count :] + (seen.log - (6 * OCTAVE + LEAST))).astype(np.int32)
    _SLOPES.take(index, out=slopes, mode="clip")
    if not spelled:
        return mix[: 3 * count]
    scale = _SCALES.take(index, mode="clip")
    total, centre, width = weights[0].copy(), weights[0] * centres[0], weights[0] * scale[0]
    for k in range(1, count):
        total += weights[k]
        centre += weights[k] * centres[k]
        width += weights[k] * scale[k]
    mix[_CENTRE] = centre / total * np.float32(1 / MEAN_UNIT)
    mix[_SCALE] = width / total
    mix[_EVENLY] = scale.min(axis=0) * np.float32(1 / 8)
    return mix


def code_samples(mix: F32, low: int, high: int, code: Code, samples: NDArray[Any] | None = None) -> F32:
    """Code n samples in low .. high, or take them from the stream.

    Parameters
    ----------
    mix : (rows, n) of `mixture`
    code : (probabilities (n,) of a yes in 1/2^16, decisions (n,) or None) -> decisions (n,): a coder's side
    samples : (n,) integers to encode; None to decode

    Returns
    -------
    (n,) samples, as float32
    """
    (rows, count), span = mix.shape, high - low + 1
    components = (rows - _MORE) // 3
    leak = np.float32(2.0 ** (_WEIGHT_BITS + _CDF_BITS - LEAK_BITS) / span)
    out, index, node = np.empty(count, np.float32), np.arange(count), np.ones(count, np.int32)
    # Below the mixture: lo, hi, F(lo - 1), F(hi), and the sample where it is known
    state = np.empty((rows + 4 + (samples is not None), count), np.float32)
    state[:rows] = mix
    state[rows], state[rows + 1], state[rows + 2] = low, high, 0
    np.sum(mix[:components], axis=0, out=state[rows + 3])
    state[rows + 3] *= np.float32(1 << _CDF_BITS)
    state[rows + 3] += leak * np.float32(span)
    if samples is not None:
        state[rows + 4] = samples
    depth = 0
    while len(index):
        mixed, (lo, hi, below, above) = state[:rows], state[rows : rows + 4]
        if depth < _DEPTH:
            v = _LADDER.take(node)
            v *= mixed[_SCALE]
            v += mixed[_CENTRE]
        else:
            v = (lo + hi) * np.float32(0.5)
        np.floor(v, out=v)
        np.maximum(v, lo, out=v)
        np.minimum(v, hi - np.float32(1), out=v)
        middle = _cdf(mixed, v, components)
        middle += leak * (v - np.float32(low - 1))
        mass = above - below
        even = (hi - lo < mixed[_EVENLY]) | (mass <= 0)
        if even.any():
            share = np.where(even, (hi - v) / (hi - lo + np.float32(1)), (above - middle) / np.where(even, 1, mass))
        else:
            share = (above - middle) / mass
        share *= np.float32(TOTAL)
        ones = np.clip(share, 1, TOTAL - 1).astype(np.int32)
        larger = code(ones, None if samples is None else state[rows + 4] > v).astype(bool)
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


def tables(mix: F32, low: int, high: int, without: Sequence[int] = ()) -> NDArray[np.int32]:
    """The distributions as tables of all values, for few values: (n, high - low + 1), rows add up to 2^16.

    There is no leak: each value has at least the least frequency.

    without : values that the samples are known not to have; they have no more than that
    """
    freqs = np.empty((mix.shape[1], high - low + 1), np.int32)
    step = max(1, _BLOCK // (high - low + 1))
    for first in range(0, len(freqs), step):
        freqs[first : first + step] = _tables(mix[:, first : first + step], low, high, without)
    return freqs


def _tables(mix: F32, low: int, high: int, without: Sequence[int]) -> NDArray[np.int32]:
    count, span = mix.shape[1], high - low + 1
    weights, centres, slopes = mix[: 3 * COMPONENTS].reshape(3, COMPONENTS, count).transpose(0, 2, 1)[..., None]
    cell = np.arange(low, high, dtype=np.float32) * np.float32(MEAN_UNIT) + np.float32(MEAN_UNIT // 2) - centres
    cell *= slopes
    cell += np.float32(_REACH)
    heights = _CDF64.take(cell.astype(np.intp), mode="clip")  # (n, K, span - 1)
    # Integers below 2^53 in all that follows but the quotient: sums of them are exact in any order
    wide, edges = weights.astype(np.float64), np.zeros((count, span + 1))
    np.multiply(wide.sum(axis=1), 1 << _CDF_BITS, out=edges[:, -1:])
    edges[:, 1:-1] = np.matmul(wide.transpose(0, 2, 1), heights)[:, 0]
    mass = edges[:, 1:] - edges[:, :-1]
    mass[:, [value - low for value in without if low <= value <= high]] = 0
    total = np.maximum(mass.sum(axis=1, keepdims=True), 1)
    mass *= TOTAL - span
    mass /= total
    freqs = mass.astype(np.int32)
    freqs += 1
    freqs[np.arange(count), freqs.argmax(axis=1)] += TOTAL - freqs.sum(axis=1, dtype=np.int32)
    return freqs


def self_test() -> bytes:
    """Digest (8 bytes) of the probabilities that fixed outputs give: a machine that rounds otherwise finds another."""
    digest, count = hashlib.blake2b(digest_size=8), 512
    for low, high in ((0, 255), (-65535, 65535)):
        outputs = pattern((count, OUTPUTS), -600, 600).astype(np.float32)
        base = pattern((count,), 4 * low, 4 * high).astype(np.float32)
        spread = (1 + pattern((count,), 45, 1 << 16)).astype(np.float32)
        mix = mixture(outputs, View(np.zeros((count, 0), np.float32), base, spread, logarithm(spread)))

        def code(ones: NDArray[np.int32], decisions: NDArray[Any] | None) -> NDArray[Any]:
            digest.update(ones.astype("<i4").tobytes())
            return np.zeros(len(ones), np.int32) if decisions is None else decisions

        code_samples(mix, low, high, code, pattern((count,), low, high))
        if high - low < TABLED:
            digest.update(tables(mix, low, high, (0, 254)).astype("<i4").tobytes())
    return digest.digest()


def _cdf(mix: F32, v: F32, components: int) -> F32:
    """(n,) F at integers v, in units of 2^-34, without the leak."""
    at = v * np.float32(MEAN_UNIT)
    at += np.float32(MEAN_UNIT // 2)
    total = np.zeros_like(v)
    for k in range(components):
        cell = at - mix[components + k]
        cell *= mix[2 * components + k]
        cell += np.float32(_REACH)
        np.maximum(cell, 0, out=cell)
        np.minimum(cell, np.float32(2 * _REACH), out=cell)
        part = _CDF.take(cell.astype(np.int32))
        part *= mix[k]
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
_CDF64 = _CDF.astype(np.float64)
_LADDER = _ladder()
# 2^(j / 16) with 20 bits behind the point, and its inverse in table steps per 1/64 grey level
_SCALES = (np.array([_root16(1 << (j + 16 * 20)) for j in range(LEAST, MOST + 1)]) * 2.0**-20).astype(np.float32)
_SLOPES = (np.floor((_CELL << 20) / (MEAN_UNIT * _SCALES.astype(np.float64))) * 2.0**-20).astype(np.float32)
