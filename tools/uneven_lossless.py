"""A lossless model of pseudo-random integers: the second model of the conformance pack.

Its networks differ from each other in layers, widths and shifts, wherever a model may choose, so that a decoder that
takes any of them for a constant fails. Nothing is trained and no generator of numpy or torch is asked: the tensors are
the same on every machine. The biases lie about where those of a trained model are, so pictures become smaller.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from codec import lattice, residual
from codec.intnet import pattern
from codec.mixture import OUTPUTS
from codec.model import pack_model

__all__ = ["uneven_lossless", "uneven_tensors"]

WIDTHS = ((7, 6), (5,), (4, 8, 3), (), (6, 9), (8,), (5, 5), (9,), (1, 4))  # of the hidden layers of each network
FINE = (4, 0)  # network and layer whose sums need float64
COARSE = (5, 0)  # network and layer without a shift
HEAD = np.array([0, -20, 10, 0, 10, -10, -40, -12, 16])  # logits, means, scales where nothing is known

I64 = NDArray[np.int64]
Draw = Callable[..., I64]


def uneven_lossless() -> bytes:
    """The model file."""
    tensors = uneven_tensors()
    facts = {"name": "conformance-lossless", "version": 1, "description": "random numbers", "licence": "CC0-1.0"}
    found = residual.self_test(residual.build(tensors))
    return pack_model(facts | {"structure": residual.STRUCTURE, "self_test": found}, tensors)


def uneven_tensors() -> dict[str, I64]:
    """The tensors by name."""
    drawn = 0

    def draw(*shape: int, most: int) -> I64:
        """The next numbers of the pattern, in [-most, most]."""
        nonlocal drawn
        first, drawn = drawn, drawn + int(np.prod(shape))
        return pattern((drawn,), -most, most)[first:].reshape(shape)

    tensors: dict[str, I64] = {}
    for number, widths in enumerate(WIDTHS):
        plane, phase = divmod(number, len(lattice.PHASES))
        inputs = lattice.columns(plane, phase)
        for layer, outputs in enumerate((*widths, OUTPUTS)):
            most, shift = _loudness(layer, layer == len(widths))
            if (number, layer) == COARSE:
                most, shift = 3, 0
            weight, bias = draw(outputs, inputs, most=most), draw(outputs, most=64 << shift)
            if layer == len(widths):
                bias = (HEAD << shift) + draw(outputs, most=6 << shift)
            finer = np.arange(outputs) % 3 + (16 if (number, layer) == FINE else 0)
            if (number, layer) == COARSE:
                finer *= 0
            tensors |= {
                f"{plane}{phase}.{layer}.weight.0": (weight << finer[:, None])[:, None, None, :],
                f"{plane}{phase}.{layer}.bias": bias << finer,
                f"{plane}{phase}.{layer}.shift": shift + finer,
            }
            inputs = outputs
    return tensors


def _loudness(layer: int, last: bool) -> tuple[int, int]:
    """Largest weight and shift: hidden outputs of a few hundred, outputs of a few tens."""
    if layer == 0:
        return (64, 7) if last else (96, 4)
    return (60, 9) if last else (64, 6)
