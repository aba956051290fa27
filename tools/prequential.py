"""The prequential code: every part of a set under what was learnt from the parts before it.

    L = L_general(part 0) + sum_i min(L_general(part i), -log2 p(part i | parts 0 .. i-1)) + 1

(Dawid 1984; in blocks, for networks: Blier and Ollivier 2018, "The description length of deep learning models".) No
weights are sent: a decoder would train as the encoder did. What is learnt here is a float network, trained for a share
of the time, and what it costs is the logarithm of its probabilities, so this is the length of a code and not a file:
nobody could train the same again on another machine. A bit for each part says whether the learnt model is worth it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tools.description_length import Pictures
from tools.rate_distortion import MeasureError
from training.style import Schedule, Style, frequent, planes_of, style_bits, train_style

__all__ = ["Learnt", "Part", "cuts_of", "learn", "learnt_bits", "parts_of", "running"]

AT_ONCE = 1 << 17  # pixels that go through the networks together


@dataclass(frozen=True, slots=True)
class Part:
    """Pictures `first` .. `last` - 1, and their bits.

    Attributes
    ----------
    general : by the general model, as they stand in a file
    learnt : by what was learnt from all pictures before `first`, as -log2 p; None if there are none
    """

    first: int
    last: int
    general: int
    learnt: float | None = None

    @property
    def bits(self) -> float:
        return self.general if self.learnt is None else min(self.general, self.learnt) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """What a training on more and more pictures leaves.

    Attributes
    ----------
    state : arrays by name, of the networks that have seen all pictures
    bits : -log2 p of the pictures between a cut and the next one, under what was learnt up to it
    """

    state: dict[str, NDArray[Any]]
    bits: list[float]


def cuts_of(count: int, first: int) -> list[int]:
    """Ends of the parts: the first one has `first` pictures, each of the others as many as all before it."""
    ends = itertools.takewhile(lambda end: end < count, (first << doubled for doubled in itertools.count()))
    return [*ends, count]


def learn(
    pictures: Pictures,
    cuts: Sequence[int],
    minutes: float,
    width: int,
    *,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] | None = None,
) -> Learnt:
    """Train on the pictures up to each cut, and go on from there.

    The time of a stage is in proportion to its pictures, so that all have about as many looks at each of them.

    Raises
    ------
    MeasureError
        `stop` says so.
    """
    planes, depth = planes_of(pictures.samples), pictures.plan.coded_depth
    torch.manual_seed(seed)
    model = Style(frequent([plane[: cuts[0]] for plane in planes]), width)
    bits, done, whole = list[float](), 0, sum(cuts)
    for cut, following in itertools.zip_longest(cuts, cuts[1:]):

        def show(share: float, _: float, cut: int = cut, done: int = done) -> None:
            if progress:
                progress(done + int(cut * share), whole)

        seen = [plane[:cut] for plane in planes]
        train_style(model, seen, depth, Schedule(minutes * cut / whole), seed=seed, stop=stop, progress=show)
        if stop():
            raise MeasureError("stopped while it was learning; nothing is written")
        done += cut
        if following:
            bits.append(learnt_bits(model, [plane[cut:following] for plane in planes], depth))
    return Learnt({name: value.numpy() for name, value in model.state_dict().items()}, bits)


def learnt_bits(model: Style, planes: Sequence[NDArray[np.int32]], depth: int) -> float:
    """-log2 p of pictures under the float networks."""
    bits = 0.0
    step = max(1, AT_ONCE // planes[0][0].size)
    with torch.no_grad():
        for first in range(0, len(planes[0]), step):
            some = [plane[first : first + step] for plane in planes]
            bits += float(style_bits(model, some, depth).sum())
    return bits


def parts_of(cuts: Sequence[int], general: Sequence[int], learnt: Sequence[float]) -> list[Part]:
    """The parts of a set.

    Parameters
    ----------
    general : bits of all pictures before each cut, by the general model
    learnt : as in `Learnt.bits`
    """
    starts, before = [0, *cuts[:-1]], [0, *general[:-1]]
    spent = [end - start for start, end in zip(before, general, strict=True)]
    return [Part(*each) for each in zip(starts, cuts, spent, [None, *learnt], strict=True)]


def running(parts: Sequence[Part]) -> Iterator[tuple[int, float]]:
    """Pictures so far, and their bits so far, after each part."""
    yield from zip((part.last for part in parts), itertools.accumulate(part.bits for part in parts), strict=True)
