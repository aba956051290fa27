"""Which model makes a set of pictures shortest, its own bits counted: minimum description length at work.

    total(H) = L(H) + L(D|H),   H: none of its own (the general model), or a style of some width and precision

(Rissanen 1978; Grünwald 2007.) A wider network fits better and costs more; so does a finer weight. With few pictures a
small model wins, with very few none. L(D|H) is estimated by coding some of the pictures.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from codec.catalogue import PICTURE_PIXELS, Look
from codec.errors import UnsupportedInput
from codec.jobs import Progress
from codec.model import load_model, unpack_model
from codec.picture import Image
from codec.tile import Networks, Plan, encode_tile, networks
from training.residual_export import lossless_model
from training.style import Schedule, Style, frequent, planes_of, train_style

__all__ = ["Candidate", "Choice", "choose"]

WIDTHS = (8, 24, 56, 112)
LAYERS = 3  # of a network
COARSER = (2, 3, 4, 5, 6, 7, 8)  # bits that weights may lack of the finest
SAMPLE = 200  # pictures that stand for all
CHUNK = 7  # bytes of a block that its data do not tell: type, length, checksum
FIRST = 0.35  # share of the time in which all widths are tried; the best one has the rest
STEPS = 1000  # of the progress
NAME = "style"  # on the card


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model and what a set costs with it, in bytes.

    Attributes
    ----------
    data : the model file, or nothing for the general model
    pictures : estimated bytes of all pictures
    """

    data: bytes
    pictures: float

    @property
    def total(self) -> float:
        return len(self.data) + self.pictures


class Choice(NamedTuple):
    """What is chosen.

    Attributes
    ----------
    model : the model file, or None for the general model
    total, without : estimated bytes of model and pictures, and of the pictures with the general model
    """

    model: bytes | None
    total: float
    without: float


def choose(
    images: Iterable[Image],
    minutes: float,
    *,
    train_on: Iterable[Image] | None = None,
    max_error: int = 0,
    widths: Sequence[int] = WIDTHS,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> Choice:
    """The model with which the pictures are shortest, its own bytes counted.

    Parameters
    ----------
    images : what is to be packed, gone through once. The model is trained on those of the most frequent look.
    minutes : for all training together
    train_on : other pictures to train on
    stop : asked now and then; when it says so, what has been trained is what is chosen from

    Raises
    ------
    UnsupportedInput
        No picture is small and plain enough to stand beside others.
    """
    groups = _by_look(images, max_error)
    if not groups:
        what = f"pictures of at most {PICTURE_PIXELS:,} pixels, without palette, profile and EXIF"
        raise UnsupportedInput(f"there is nothing to train on: that takes {what}")
    look, mine = max(groups.items(), key=lambda group: (len(group[1]), group[0]))
    plan = look.plan(max_error)
    source = mine if train_on is None else _by_look(train_on, max_error).get(look, [])
    if not source:
        channels = f"{look.channels} channel(s){' and alpha' if look.alpha else ''} of {look.depth} bits"
        wanted = f"{look.width} x {look.height}, {channels}"
        raise UnsupportedInput(f"none of the pictures to train on is like most of those to pack: {wanted}")
    planes = planes_of(plan.reduce(np.stack([image.colour for image in source])))
    spread = range(0, len(mine), -(-len(mine) // SAMPLE))
    sample = [mine[number] for number in spread]

    def cost(built: Networks) -> float:
        return _bytes_of(built, plan, sample) * len(mine) / len(sample)

    found = [Candidate(b"", cost(networks(load_model("lossless"))))]
    done = 0.0

    def train(model: Style, share: float) -> Style:
        begun = done

        def show(part: float, _: float) -> None:
            if progress:
                progress(int(STEPS * (begun + share * part)), STEPS)

        return train_style(
            model, planes, plan.coded_depth, Schedule(minutes * share), seed=seed, stop=stop, progress=show
        )

    tried: list[tuple[float, Style]] = []
    for width in widths:
        torch.manual_seed(seed)
        model = train(Style(frequent(planes), width), FIRST / len(widths))
        done += FIRST / len(widths)
        best = _finest(model, cost)
        found.append(best)
        tried.append((best.total, model))
        if stop():
            break
    if not stop():
        model = train(copy.deepcopy(min(tried, key=lambda pair: pair[0])[1]), 1 - FIRST)
        found.append(_finest(model, cost, layerwise=True))
    best = min(found, key=lambda candidate: candidate.total)
    return Choice(best.data or None, best.total, found[0].total)


def _by_look(images: Iterable[Image], max_error: int) -> dict[Look, list[Image]]:
    """The pictures that can stand side by side."""
    groups: dict[Look, list[Image]] = {}
    for image in images:
        taken = image.expanded() if max_error else image  # as packing does
        if (look := Look.of(taken)) is not None:
            groups.setdefault(look, []).append(taken)
    return groups


def _finest(model: Style, cost: Callable[[Networks], float], layerwise: bool = False) -> Candidate:
    """The precision of weights with which a trained model and the pictures are shortest.

    layerwise : not one precision for all layers, but one for each: those that matter less may be coarser
    """
    state = {name: value.numpy() for name, value in model.state_dict().items()}

    @functools.cache
    def candidate(coarser: tuple[int, ...]) -> Candidate:
        data = lossless_model(state, coarser=coarser, name=NAME)
        return Candidate(data, cost(networks(unpack_model(data))))

    uniform = [(coarser,) * LAYERS for coarser in COARSER]
    best = uniform[0]
    for coarser in uniform[1:]:
        if candidate(coarser).total >= candidate(best).total:
            break  # less precision only makes it worse from here
        best = coarser
    while layerwise:
        near = [
            (*best[:i], best[i] + step, *best[i + 1 :])
            for i in range(LAYERS)
            for step in (1, -1)
            if best[i] + step >= 0
        ]
        better = min(near, key=lambda coarser: candidate(coarser).total)
        if candidate(better).total >= candidate(best).total:
            break
        best = better
    return candidate(best)


def _bytes_of(built: Networks, plan: Plan, images: Sequence[Image]) -> float:
    """Bytes of pictures of one look, in blocks as they are packed."""
    look = Look.of(images[0])
    most = look.most if look else 1
    total = 0
    for first in range(0, len(images), most):
        part = images[first : first + most]
        colour: NDArray[Any] = np.stack([image.colour for image in part])
        planes = [image.alpha for image in part if image.alpha is not None]
        total += len(encode_tile(built, plan, colour, np.stack(planes) if planes else None)) + CHUNK
    return float(total)
