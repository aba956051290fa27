"""Named tensors of a model -> exact integer layers of the shapes that SPEC.md gives them.

A few sizes are a model's own choice and are read off its tensors; everything else has to fit to them, and nothing may
be left over. So a hostile model ends in a ModelError when it is built, and not in a decoder that is on its way.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.errors import ModelError
from codec.intnet import Conv, Unit

Ints = NDArray[np.integer[Any]]

MOST = 1024  # of a size that a model chooses


class Input(NamedTuple):
    """A map that enters a unit: its channels, the range of its integers, and size and stride of the kernel on it."""

    channels: int
    low: int
    high: int
    kernel: int = 1
    stride: int = 1


class Layers:
    """The tensors of a model, to be taken by name.

    Every method raises ModelError if a tensor is missing, or of another shape than it is asked for.
    """

    def __init__(self, tensors: Mapping[str, Ints]) -> None:
        self._tensors = tensors
        self._left = set(tensors)

    def has(self, name: str) -> bool:
        return name in self._tensors

    def size(self, name: str, divisor: int = 1) -> int:
        """Length of a vector, divided by a number that has to divide it: a size that the model chooses."""
        found = self._find(name, "(n)").size
        if found % divisor or not 0 < found <= MOST * divisor:
            raise ModelError(f"the model's tensor {name} has {found} numbers, expected 1 to {MOST} times {divisor}")
        return found // divisor

    def tensor(self, name: str, *shape: int) -> Ints:
        """The tensor of that name and shape."""
        tensor = self._find(name, shape)
        if tensor.shape != shape or tensor.dtype.kind not in "iu":
            raise ModelError(f"the model's tensor {name} is {tensor.dtype} {tensor.shape}, expected integers {shape}")
        self._left.discard(name)
        return tensor

    def bounded(self, name: str, *shape: int, low: int, high: int) -> Ints:
        """The tensor of that name and shape, with its numbers in a range."""
        tensor = self.tensor(name, *shape)
        if tensor.min() < low or tensor.max() > high:
            raise ModelError(f"{name} has numbers in {tensor.min()} .. {tensor.max()}, expected {low} .. {high}")
        return tensor

    def unit(self, name: str, inputs: tuple[Input, ...], outputs: int, lo: int, hi: int, extra: int = 0) -> Unit:
        """A unit of `intnet`, from the tensors name.weight.0, ..., name.bias and name.shift.

        extra : largest |number| of a vector in units of the output that is added before the clip
        """
        convs = tuple(
            Conv(self.tensor(f"{name}.weight.{m}", outputs, x.kernel, x.kernel, x.channels), x.low, x.high, x.stride)
            for m, x in enumerate(inputs)
        )
        bias, shift = self.tensor(f"{name}.bias", outputs), self.tensor(f"{name}.shift", outputs)
        most = min(max(int(shift.max()), 0), 53)  # a Unit refuses what is outside
        return Unit(name, convs, bias, shift, lo, hi, extra << most)

    def finish(self) -> None:
        """ModelError if there are tensors that nothing took."""
        if self._left:
            raise ModelError(f"the model has tensors that no layer takes: {', '.join(sorted(self._left)[:3])}")

    def _find(self, name: str, expected: object) -> Ints:
        if name not in self._tensors:
            raise ModelError(f"the model has no tensor {name}, expected one of shape {expected}")
        return self._tensors[name]


def chained(*units: Unit) -> tuple[Unit, ...]:
    """The units, if each takes whatever the one before it may give as its first map."""
    for first, second in pairwise(units):
        second.convs[0].accepts(first.lo, first.hi)
    return units
