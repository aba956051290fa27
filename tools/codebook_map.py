"""The codebooks of a photo model at work: how often each codeword is taken, and what it looks like.

    perplexity = 2^H,    H = -sum p log2 p of the codewords' shares

A book of K codewords that are all taken equally often has perplexity K.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec import transform
from codec.codebook import SLICES, codebook
from codec.hyper import HYPER_GROUPS
from codec.photo import Photo
from tools.bits_map import BitsMap, slice_name
from tools.photo_bits import HALVES, HYPER

__all__ = ["Book", "Patch", "books", "patch"]

I64 = NDArray[np.int64]
SHOWN = 10  # codewords of a slice that are drawn
LOUD = 110.0  # grey levels: what the largest deviation of a patch is scaled to


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A codeword where it is taken most often: pixels (32, 32, 3) uint8, its numbers, group, and share."""

    pixels: NDArray[np.uint8]
    word: tuple[int, ...]
    group: int
    share: float


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """A codebook of K codewords, as a slice uses it.

    Attributes
    ----------
    counts : (K,) how often each codeword was taken, in all groups together; without `split`
    split : how often none fitted
    coded : share of the groups that were not zero, None where there is no such flag
    cost : bits of a codeword under the prior, on average; 0 if none was taken
    words : K names of codewords
    """

    name: str
    counts: I64
    split: int
    coded: float | None
    cost: float
    words: tuple[str, ...]
    patches: tuple[Patch, ...]

    @property
    def taken(self) -> int:
        return int(self.counts.sum())

    @property
    def dead(self) -> int:
        """Codewords that were never taken."""
        return int((self.counts == 0).sum())

    @property
    def entropy(self) -> float:
        """log2 of the perplexity, in bits."""
        share = self.counts[self.counts > 0] / max(self.taken, 1)
        return float(-(share * np.log2(share)).sum()) + 0.0

    @property
    def perplexity(self) -> float:
        return float(2**self.entropy)


def books(built: Photo, maps: Sequence[BitsMap]) -> list[Book]:
    """Of all slices that have codebooks, the hyper-latent and the halves, over all pictures."""
    found = []
    for number in (HYPER, *(i for i, part in enumerate(SLICES) if part.dim > 1), HALVES):
        counts = sum((each.words[number] for each in maps if number in each.words), np.zeros((1, 1), np.int64))
        cost, groups = sum(each.costs[number] for each in maps), sum(each.flags.get(number, 0) for each in maps)
        mean = cost / max(int(counts.sum()), 1)
        if number == HYPER:
            for group in range(HYPER_GROUPS):
                names = tuple(_name(word) for word in built.prior.hyper.words[group])
                found.append(Book(f"hyper-latent, group {group}", counts[group], 0, None, mean, names, ()))
            continue
        book = codebook(4, zero=True) if number == HALVES else codebook(SLICES[number].dim)
        words = tuple(map(_name, book.words))
        name = "halves of split eights" if number == HALVES else slice_name(number)
        coded = int(counts.sum()) / groups if groups else None
        patches = () if number == HALVES else _patches(built, number, counts[:, :-1])
        found.append(Book(name, counts[:, :-1].sum(0), int(counts[:, -1].sum()), coded, mean, words, patches))
    return found


def patch(built: Photo, number: int, group: int, word: Sequence[int]) -> NDArray[np.uint8]:
    """What a codeword adds to a picture: (32, 32, 3), its lapped block and half of each around it, on grey.

    The inverse transform of a block with nothing else in it, scaled so that its largest deviation is LOUD.
    """
    part = SLICES[number]
    at = built.order[part.start + group * part.dim :][: part.dim]
    y = np.zeros((3, 3, transform.COEFFICIENTS), np.int64)
    y[1, 1, at] = np.array(word) << 14
    half = transform.BLOCK // 2
    x = transform.synthesis(y, (3, 3))[half:-half, half:-half] * 2.0**-transform.FRACTION - transform.GREY
    return np.clip(np.rint(128 + x * (LOUD / np.abs(x).max())), 0, 255).astype(np.uint8)


def _patches(built: Photo, number: int, counts: I64) -> tuple[Patch, ...]:
    """The codewords (in a group each) that are taken most often; of equals, the first."""
    book, total = codebook(SLICES[number].dim), max(int(counts.sum()), 1)
    order = np.argsort(-counts, axis=None, kind="stable")[:SHOWN]
    places = [divmod(int(at), counts.shape[1]) for at in order]
    return tuple(
        Patch(
            patch(built, number, group, book.words[k]), tuple(book.words[k].tolist()), group, counts[group, k] / total
        )
        for group, k in places
        if counts[group, k]
    )


def _name(word: I64) -> str:
    return "(" + ", ".join(map(str, word.tolist())).replace("-", "\N{MINUS SIGN}") + ")"
