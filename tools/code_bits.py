"""What the codes of a product codebook cost, in bits: exactly, by tables, and as bytes of a file.

    H(Z)               of whole rows of codes, by their counts: the information that they have about the picture they
                       are a function of, I(X;Z) = H(Z), exact for these N pictures and at most log2 N
    sum_g H(Z_g)       of each group alone: more, by what the groups share, and no longer bounded by log2 N
    -log2 p            under tables learned on other pictures: more, by how far off the tables are
    8 x bytes          of the range coder: what a file pays for codes; networks, codebook and tables come on top

The first is how far lossless coding of these rows could go with a table of all of them, which nobody has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import entropy

__all__ = ["code_bytes", "decoded", "group_entropies", "ideal_bits", "joint_entropy", "tables", "usage"]

Codes = NDArray[np.integer[Any]]
Tables = NDArray[np.int32]

UNSEEN = 0.5  # times that a codeword is taken to have been seen before it was


def entropy_of(counts: NDArray[np.integer[Any]]) -> float:
    """Of what was counted, in bits."""
    share = counts[counts > 0] / counts.sum()
    return max(0.0, float(-(share * np.log2(share)).sum()))


def usage(codes: Codes, words: int) -> NDArray[np.int64]:
    """How often each codeword was taken: codes (N, G) in 0..words-1 -> (G, words)."""
    return np.stack([np.bincount(column, minlength=words) for column in codes.T])


def joint_entropy(codes: Codes) -> float:
    """H(Z) of rows (N, G), by plug-in, in bits."""
    return entropy_of(np.unique(codes, axis=0, return_counts=True)[1])


def group_entropies(codes: Codes, words: int) -> NDArray[np.float64]:
    """H(Z_g) of each column of codes (N, G), by plug-in, in bits: (G,)."""
    return np.array([entropy_of(counts) for counts in usage(codes, words)])


def tables(codes: Codes, words: int) -> Tables:
    """Frequency tables (G, words) of the range coder, from codes (N, G) of training pictures."""
    logits = entropy.LOGIT_UNIT * np.log2(usage(codes, words) + UNSEEN)
    return entropy.frequencies_from_logits(np.rint(logits))


def ideal_bits(codes: Codes, freqs: Tables) -> float:
    """-log2 p of codes (N, G) under tables (G, words)."""
    return sum(entropy.bits(column, table) for column, table in zip(codes.T, freqs, strict=True))


def code_bytes(codes: Codes, freqs: Tables) -> bytes:
    """The codes (N, G) as a range coder writes them under tables (G, words), group after group."""
    encoder = entropy.Encoder()
    for column, table in zip(codes.T, freqs, strict=True):
        encoder.encode(column, table)
    return encoder.getvalue()


def decoded(data: bytes, freqs: Tables, count: int) -> NDArray[np.int64]:
    """The codes (count, G) that `code_bytes` wrote."""
    decoder = entropy.Decoder(data)
    return np.stack([decoder.decode(table, count) for table in freqs], axis=1).astype(np.int64)
