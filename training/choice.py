"""Which model makes a set of pictures shortest, its own bits counted: minimum description length at work.

    total(H) = L(H) + L(D|H),   H: none of its own (the general model), or a style of some width and precision

(Rissanen 1978; Grünwald 2007.) A wider network fits better and costs more; so does a finer weight. With few pictures a
small model wins, with very few none. L(D|H) is estimated from some blocks of pictures: under the general model they are
coded, under a style their bits are summed up, which takes as long however many widths a table would have.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from codec.tile import Plan, encode_tile, networks
from training.residual_export import lossless_model, residual_state
from training.style import Schedule, Style, frequent, planes_of, style_bits, train_style

__all__ = ["Candidate", "Choice", "choose"]

WIDTHS = (8, 24, 56, 112)
LAYERS = 3  # of a network
LEAST, MOST = 2, 8  # bits that the weights lack where all layers lack the same
MIDDLE = 4  # where the search begins
SAMPLES = 1 << 17  # of colour, in the blocks that stand for all
CHUNK = 7  # bytes of a block that its data do not tell: type, length, checksum
HEAD = 6  # and those that its bits do not tell: mode, digest, and what the coder's last byte leaves
SIGMAS = 3  # standard errors by which an estimate may be off
BIAS = 0.005  # share of it by which it may be, besides: bits of a style are 0.15 to 0.25 % short (measured)
FIRST = 0.35  # share of the time in which all widths are tried; the best one has the rest
STEPS = 1000  # of the progress
NAME = "style"  # on the card

Costs = NDArray[np.float64]  # bytes of each block that stands for others
Coarser = tuple[int, ...]  # bits that the weights of each layer lack of the finest


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A model and what a set costs with it, in bytes.

    Attributes
    ----------
    data : the model file, or nothing for the general model
    pictures : estimated bytes of all pictures
    costs : bytes of the blocks that this was estimated from
    """

    data: bytes
    pictures: float
    costs: Costs

    @property
    def total(self) -> float:
        return len(self.data) + self.pictures


class Choice(NamedTuple):
    """What is chosen.

    Attributes
    ----------
    model : the model file, or None for the general model
    total, without : estimated bytes of model and pictures, and of the pictures with the general model
    margin : bytes by which the difference of the two may be estimated wrong
    """

    model: bytes | None
    total: float
    without: float
    margin: float = 0.0


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
    sample = _Sample(look, plan, mine)
    general = sample.general()
    found, done = [general], 0.0

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
        best = _finest(model, sample.styled)
        found.append(best)
        tried.append((best.total, model))
        if stop():
            break
    if not stop():
        model = train(copy.deepcopy(min(tried, key=lambda pair: pair[0])[1]), 1 - FIRST)
        found.append(_finest(model, sample.styled, layerwise=True))
    best = min(found, key=lambda candidate: candidate.total)
    margin = sample.margin(best, general) if len(groups) == 1 else math.inf  # of other looks nothing is known
    return Choice(best.data or None, best.total, general.total, margin)


def _by_look(images: Iterable[Image], max_error: int) -> dict[Look, list[Image]]:
    """The pictures that can stand side by side."""
    groups: dict[Look, list[Image]] = {}
    for image in images:
        taken = image.expanded() if max_error else image  # as packing does
        if (look := Look.of(taken)) is not None:
            groups.setdefault(look, []).append(taken)
    return groups


class _Sample:
    """Blocks of pictures of one look that stand for all, evenly spread."""

    def __init__(self, look: Look, plan: Plan, images: Sequence[Image]) -> None:
        self._plan, self._count = plan, len(images)
        starts = range(0, len(images), look.most)
        most = max(1, SAMPLES // (look.most * look.height * look.width * look.channels))
        chosen = [images[first : first + look.most] for first in starts[:: -(-len(starts) // most)]]
        self._blocks = [_stacked(block) for block in chosen]
        self._sizes = np.array([len(block) for block in chosen])

    def general(self) -> Candidate:
        """The general model's cost, from blocks as they are packed."""
        built = networks(load_model("lossless"))
        return self._candidate(b"", [len(encode_tile(built, self._plan, *block)) for block in self._blocks])

    def styled(self, data: bytes, model: Style) -> Candidate:
        """A style's cost, from its probabilities.

        model : of the same shape; its weights are replaced by those of the model file
        """
        state = {name: torch.as_tensor(value) for name, value in residual_state(unpack_model(data).tensors).items()}
        exact = copy.deepcopy(model)
        exact.load_state_dict(state)
        with torch.no_grad():
            return self._candidate(data, [HEAD + self._bits(exact, *block) / 8 for block in self._blocks])

    def margin(self, one: Candidate, other: Candidate) -> float:
        """By how many bytes the difference of two candidates may be estimated wrong."""
        apart, count = (one.costs - other.costs) / self._sizes, len(self._sizes)
        left = 1 - self._sizes.sum() / self._count  # of the set: where all is seen, nothing is uncertain
        error = self._count * float(np.std(apart)) * math.sqrt(left / max(1, count - 1))
        return SIGMAS * error + BIAS * one.total

    def _candidate(self, data: bytes, sizes: Sequence[float]) -> Candidate:
        costs = np.array(sizes, np.float64) + CHUNK
        return Candidate(data, float(costs.sum() * self._count / self._sizes.sum()), costs)

    def _bits(self, model: Style, colour: NDArray[Any], alpha: NDArray[Any] | None) -> float:
        groups = [planes_of(self._plan.reduce(colour)), *([] if alpha is None else [planes_of(alpha[..., None])])]
        each = zip(groups, self._plan.groups, strict=True)
        return sum(float(style_bits(model, planes, group.depth).sum()) for planes, group in each)


def _stacked(images: Sequence[Image]) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Colour and alpha of a block."""
    alpha = [image.alpha for image in images if image.alpha is not None]
    return np.stack([image.colour for image in images]), np.stack(alpha) if alpha else None


def _finest(model: Style, cost: Callable[[bytes, Style], Candidate], layerwise: bool = False) -> Candidate:
    """The precision of weights with which a trained model and the pictures are shortest: downhill, step by step.

    layerwise : not one precision for all layers, but one for each: those that matter less may be coarser
    """
    state = {name: value.numpy() for name, value in model.state_dict().items()}

    @functools.cache
    def candidate(coarser: Coarser) -> Candidate:
        return cost(lossless_model(state, coarser=coarser, name=NAME), model)

    def downhill(best: Coarser, near: Callable[[Coarser], Iterator[Coarser]]) -> Coarser:
        """From one precision to the first that is better, as long as there is one."""
        while better := next((each for each in near(best) if candidate(each).total < candidate(best).total), None):
            best = better
        return best

    best = downhill((MIDDLE,) * LAYERS, _all_layers)
    return candidate(downhill(best, _one_layer) if layerwise else best)


def _all_layers(at: Coarser) -> Iterator[Coarser]:
    """Precisions that differ by a bit, the same one in all layers."""
    return ((bits,) * LAYERS for bits in (at[0] + 1, at[0] - 1) if LEAST <= bits <= MOST)


def _one_layer(at: Coarser) -> Iterator[Coarser]:
    """Precisions that differ by a bit in one layer; the first layer, which has most weights, comes first."""
    for layer in range(LAYERS):
        for step in (1, -1):
            if at[layer] + step >= 0:
                yield (*at[:layer], at[layer] + step, *at[layer + 1 :])
