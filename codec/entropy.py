"""Symbols and integer frequency tables <-> bytes.

A symbol with frequency f costs -log2(f / 2^16) bits. Both sides build the same integers, so both sides code under the
same model: nothing here depends on how a machine rounds.

    logits (integers) --frequencies_from_logits--> freqs --Encoder--> bytes --Decoder--> symbols

The coder is the range coder of `constriction` (32-bit words, 64-bit state, 24-bit probabilities). Its interface takes
float weights, and leaks one unit of 2^-24 to every symbol so that none has probability zero: symbol i begins at
floor((2^24 - K) * cumulative weight / total weight) + i. Given the weights 2^8 f - 1, which are integers below 2^24
and add up to 2^24 - K, the factor is exactly one, and the border exactly 2^8 times the cumulative frequency. Over
-log2 p, the coder itself loses about 0.00015 bits a symbol (measured) and at most two bytes a message.
"""

from __future__ import annotations

import math
from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

from codec.errors import CorruptStream

PRECISION = 16  # frequencies of a table add up to 2^PRECISION
TOTAL = 1 << PRECISION
LOGIT_UNIT = 32  # a logit of LOGIT_UNIT is one bit: p ~ 2^(logit / LOGIT_UNIT)

_CODER_TOTAL = 1 << 24
_BLOCK = 1 << 15  # table entries worked on at a time: what stays in the processor's second-level cache

Ints = NDArray[np.integer[Any]]


class Encoder:
    """Symbols in, bytes out: a queue, so the first symbol encoded is the first one decoded."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def encode(self, symbols: Ints, freqs: Ints) -> None:
        """Append symbols.

        Parameters
        ----------
        symbols : (n,) integers in [0, K)
        freqs : (n, K) integers >= 1, each row adding up to 2^16; or one row (K,) for all symbols

        Raises
        ------
        ValueError
            Symbols out of range, or tables that are none: the caller's fault, found before the coder sees them.
        """
        symbols = np.ascontiguousarray(symbols, dtype=np.int32)
        k = freqs.shape[-1]
        if symbols.ndim != 1 or (freqs.ndim == 2 and len(freqs) != len(symbols)):
            raise ValueError(f"{symbols.shape} symbols do not fit tables of shape {freqs.shape}")
        if len(symbols) and not (symbols.min() >= 0 and symbols.max() < k):
            raise ValueError(f"a symbol outside [0, {k}): {symbols.min()} or {symbols.max()}")
        if freqs.ndim == 1:
            weights = _weights(freqs[None])[0]
            if k > 1 and len(symbols):  # a sure symbol needs no bits
                self._coder.encode(symbols, constriction.stream.model.Categorical(weights, perfect=False))
            return
        for rows in _blocks(freqs):
            weights = _weights(freqs[rows])
            if k > 1:
                self._coder.encode(symbols[rows], _FAMILY, weights)

    def encode_bits(self, decisions: Ints, ones: Ints) -> None:
        """Append decisions, (n,) of 0 and 1, that are 1 with probability ones / 2^16, (n,) in [1, 2^16 - 1].

        Raises
        ------
        ValueError
            Something else.
        """
        decisions = np.ascontiguousarray(decisions, dtype=np.int32)
        if decisions.shape != ones.shape or (len(decisions) and not 0 <= decisions.min() <= decisions.max() <= 1):
            raise ValueError(f"{decisions.shape} decisions do not fit {ones.shape} probabilities, or are not 0 and 1")
        for rows in _blocks(ones[:, None]):
            self._coder.encode(decisions[rows], _FAMILY, _weights_of_bits(ones[rows]))

    def getvalue(self) -> bytes:
        """The message so far: the shortest bytes that name a number inside the coder's interval (b"" if empty)."""
        words: NDArray[np.uint32] = self._coder.get_compressed()
        if len(words) == 0:
            return b""
        # The coder ends with a full word, and sometimes two. Any number in [low, low + span) of the 64-bit window that
        # starts at word `start` will do, since the decoder reads zeros past the end: take the one with most zero bytes.
        start, (low, span) = self._coder.pos()
        carry = low + (1 << 32) > 1 << 64  # whether the words before the window already hold a carry
        least, most = (max(low, 1 << 64), low + span - 1) if carry else (low, min(low + span, 1 << 64) - 1)
        zeros = next(z for z in range(64, -1, -8) if (most >> z) << z >= least)
        window: int = ((most >> zeros) << zeros) % (1 << 64)
        return (words[:start].astype(">u4").tobytes() + window.to_bytes(8, "big")).rstrip(b"\0")


class Decoder:
    """Bytes in, symbols out, under the tables that the encoder had.

    A range decoder makes symbols of any bytes, damaged, truncated or of another message: whoever calls it has to have
    checked the bytes before (container.py).
    """

    def __init__(self, data: bytes) -> None:
        words = np.frombuffer(data + bytes(-len(data) % 4), dtype=">u4").astype(np.uint32)
        self._coder = constriction.stream.queue.RangeDecoder(words)

    def decode(self, freqs: Ints, n: int | None = None) -> NDArray[np.int32]:
        """Take the next symbols.

        Parameters
        ----------
        freqs : (n, K) integers >= 1, each row adding up to 2^16; or one row (K,), and then `n` says how many symbols

        Returns
        -------
        (n,) int32 in [0, K)

        Raises
        ------
        ValueError
            Tables that are none.
        CorruptStream
            The coder gave up.
        """
        if freqs.ndim == 1:
            weights = _weights(freqs[None])[0]
            if n is None:
                raise ValueError("one table for all symbols needs the number of symbols")
            if len(weights) == 1 or n == 0:
                return np.zeros(n, np.int32)
            return self._take(constriction.stream.model.Categorical(weights, perfect=False), n)
        if n is not None and n != len(freqs):
            raise ValueError(f"{n} symbols do not fit tables of shape {freqs.shape}")
        out = np.zeros(len(freqs), np.int32)
        for rows in _blocks(freqs):
            weights = _weights(freqs[rows])
            if freqs.shape[1] > 1:
                out[rows] = self._take(_FAMILY, weights)
        return out

    def decode_bits(self, ones: Ints) -> NDArray[np.int32]:
        """Take the next decisions, the twin of `Encoder.encode_bits`: (n,) int32 of 0 and 1."""
        out = np.zeros(len(ones), np.int32)
        for rows in _blocks(ones[:, None]):
            out[rows] = self._take(_FAMILY, _weights_of_bits(ones[rows]))
        return out

    def _take(self, *model: Any) -> NDArray[np.int32]:
        try:
            symbols: NDArray[np.int32] = self._coder.decode(*model)
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as failure:  # a panic inside the coder is no Exception
            raise CorruptStream(f"the range decoder gave up: {failure}") from failure
        return symbols


def bits(symbols: Ints, freqs: Ints) -> float:
    """What the symbols cost under the tables: sum of -log2(f / 2^16), shapes as in `Encoder.encode`."""
    f = freqs[symbols] if freqs.ndim == 1 else np.take_along_axis(freqs, symbols[:, None], axis=1)
    return float(PRECISION * len(symbols) - np.log2(f).sum())


def frequencies_from_logits(logits: NDArray[Any]) -> NDArray[np.int32]:
    """Integer softmax with base 2^(1/32).

        e_k = floor(2^(24 - (max - logit_k) / 32)), zero where max - logit_k > 768
        s   = floor(2^32 (2^16 - K) / sum(e))
        f_k = floor(e_k s / 2^32) + 1, and what is left of 2^16 goes to the (first) largest logit

    Every number in it is an integer below 2^53 held exactly in float64, so IEEE arithmetic gives the same table
    everywhere (for the division: a quotient whose numerator is below 2^53 never rounds up to the next integer).

    Parameters
    ----------
    logits : (n, K) integers (of an integer type, or held in floats) in units of 1/32 bit, 1 <= K <= 2^15

    Returns
    -------
    (n, K) int32, >= 1, each row adding up to 2^16

    Raises
    ------
    ValueError
        K is not in 1 .. 2^15.
    """
    n, k = logits.shape
    if not 1 <= k <= TOTAL // 2:
        raise ValueError(f"a table has 1 to {TOTAL // 2} symbols, not {k}")
    freqs = np.empty((n, k), np.int32)
    ones = np.ones(k)
    step = max(1, min(n, _BLOCK // k))  # no more than is needed: fresh memory takes its time
    wide = np.result_type(logits, np.float32)  # float64, for integers of 32 bits and more
    distance, index, e = np.empty((step, k), wide), np.empty((step, k), np.intp), np.empty((step, k))
    for rows in _blocks(freqs):
        block, out = logits[rows], freqs[rows]
        b = len(block)
        best = np.arange(b), block.argmax(axis=1)
        np.subtract(block[best][:, None], block, out=distance[:b], dtype=wide)
        np.copyto(index[:b], distance[:b], casting="unsafe")
        _POWERS.take(index[:b], out=e[:b], mode="clip")  # beyond the last one all are zero, as it is
        scale = np.floor((TOTAL - k) * 2.0**32 / (e[:b] @ ones))
        np.multiply(e[:b], (scale * 2.0**-32)[:, None], out=e[:b])
        np.floor(e[:b], out=e[:b])
        np.copyto(out, e[:b], casting="unsafe")
        out += 1
        out[best] += (TOTAL - k - e[:b] @ ones).astype(np.int32)
    return freqs


def frequencies_of_bit(logits: NDArray[Any]) -> NDArray[np.int32]:
    """Tables of a flag: p(1) = 1 / (1 + 2^(-logit / 32)), the softmax of (0, logit).

    logits (n,) integers in units of 1/32 bit -> (n, 2) int32, each row adding up to 2^16
    """
    index: NDArray[np.intp] = np.clip(logits, -_FARTHEST, _FARTHEST).astype(np.intp) + _FARTHEST
    tables: NDArray[np.int32] = _BIT_TABLES.take(index, axis=0)
    return tables


def _weights(freqs: Ints) -> NDArray[np.float32]:
    """(n, K) frequencies -> the weights 2^8 f - 1 that make the coder's borders exact; ValueError if no tables."""
    k = freqs.shape[1]
    weights = freqs.astype(np.float32, order="C")  # the coder does not look at strides
    weights *= _CODER_TOTAL // TOTAL
    weights -= 1
    # Sums of positive floats never fall back below 2^24 once they have passed it, so an equal sum is an exact sum.
    if k == 0 or (freqs.size and freqs.min() < 1) or (weights @ np.ones(k, np.float32) != _CODER_TOTAL - k).any():
        raise ValueError(f"frequencies have to be >= 1 and add up to {TOTAL} in each row")
    return weights


def _weights_of_bits(ones: Ints) -> NDArray[np.float32]:
    """`_weights` of tables (2^16 - ones, ones)."""
    if ones.ndim != 1 or (len(ones) and not 1 <= ones.min() <= ones.max() < TOTAL):
        raise ValueError(f"the frequency of a 1 has to be in 1 .. {TOTAL - 1}")
    weights = np.empty((len(ones), 2), np.float32)
    np.multiply(ones, np.float32(_CODER_TOTAL // TOTAL), out=weights[:, 1], casting="unsafe")
    np.subtract(np.float32(_CODER_TOTAL - 1), weights[:, 1], out=weights[:, 0])
    weights[:, 1] -= 1
    return weights


def _blocks(freqs: Ints) -> list[slice]:
    """Slices of rows that are small enough to stay in the cache."""
    n, k = freqs.shape
    step = max(1, _BLOCK // max(k, 1))
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


def _powers() -> NDArray[np.float64]:
    """floor(2^(24 - j / 32)) for j = 0 .. 769, the last one zero, from integers only.

    2^(24 - j / 32) is the 32nd root of 2^(768 - j), and the floor of a 32nd root is five integer square roots.
    """
    roots = [1 << (24 * LOGIT_UNIT - j) for j in range(24 * LOGIT_UNIT + 1)]
    for _ in range(5):
        roots = [math.isqrt(root) for root in roots]
    return np.array([*roots, 0], np.float64)


_FAMILY = constriction.stream.model.Categorical(perfect=False)
_POWERS = _powers()
_FARTHEST = len(_POWERS) - 1
_BIT_TABLES = frequencies_from_logits(np.arange(-_FARTHEST, _FARTHEST + 1)[:, None] * np.array([0, 1]))
