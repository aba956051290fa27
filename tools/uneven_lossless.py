"""Lossless models of pseudo-random integers: of any pictures, and of pictures that are alike, for the conformance pack.

Its networks differ from each other in layers, widths and shifts, wherever a model may choose, so that a decoder that
takes any of them for a constant fails. Nothing is trained and no generator of numpy or torch is asked: the tensors are
the same on every machine. The biases lie about where those of a trained model are, so pictures become smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from codec import lattice, residual
from codec.intnet import pattern
from codec.mixture import OUTPUTS
from codec.model import pack_model

__all__ = ["uneven_alike", "uneven_lossless"]

WIDTHS = ((7, 6), (5,), (4, 8, 3), (), (6, 9), (8,), (5, 5), (9,), (1, 4))  # of the hidden layers of each network
FINE = (4, 0)  # network and layer whose sums need float64
COARSE = (5, 0)  # network and layer without a shift
ANCHORS = (0, 255, 30, -7, 0, 12)  # two for each plane
HEAD = np.array([0, -20, 10, 0, 10, -10, -40, -12, 16])  # logits, means, scales where nothing is known

I64 = NDArray[np.int64]
Draw = Callable[..., I64]


def uneven_lossless() -> bytes:
    """The model file."""
    return _packed(
        "conformance-lossless", _tensors([f"{k}{p}" for k in range(3) for p in range(3)], lattice.columns, 0)
    )


def uneven_alike() -> bytes:
    """The model file of one for pictures that are alike."""
    names = [f"{k}{p}{level}" for k in range(3) for p in range(3) for level in range(3)]
    tensors = _tensors(names, lattice.wide_columns, len(ANCHORS) // 3)
    return _packed("conformance-alike", tensors | {"anchors": np.array(ANCHORS)})


def _packed(name: str, tensors: dict[str, I64]) -> bytes:
    facts = {"name": name, "version": 1, "description": "random numbers", "licence": "CC0-1.0"}
    found = residual.self_test(residual.build(tensors))
    return pack_model(facts | {"structure": residual.STRUCTURE, "self_test": found}, tensors)


def _tensors(names: Sequence[str], columns: Callable[[int, int], int], anchors: int) -> dict[str, I64]:
    """The tensors of networks by name."""
    drawn = 0

    def draw(*shape: int, most: int) -> I64:
        """The next numbers of the pattern, in [-most, most]."""
        nonlocal drawn
        first, drawn = drawn, drawn + int(np.prod(shape))
        return pattern((drawn,), -most, most)[first:].reshape(shape)

    tensors: dict[str, I64] = {}
    for number, (name, widths) in enumerate(zip(names, cycle(WIDTHS), strict=False)):
        inputs = columns(int(name[0]), int(name[1]))
        for layer, outputs in enumerate((*widths, OUTPUTS + anchors)):
            most, shift = _loudness(layer, layer == len(widths))
            if (number, layer) == COARSE:
                most, shift = 3, 0
            weight, bias = draw(outputs, inputs, most=most), draw(outputs, most=64 << shift)
            if layer == len(widths):
                bias = (np.pad(HEAD, (0, anchors)) << shift) + draw(outputs, most=6 << shift)
            finer = np.arange(outputs) % 3 + (16 if (number, layer) == FINE else 0)
            if (number, layer) == COARSE:
                finer *= 0
            tensors |= {
                f"{name}.{layer}.weight.0": (weight << finer[:, None])[:, None, None, :],
                f"{name}.{layer}.bias": bias << finer,
                f"{name}.{layer}.shift": shift + finer,
            }
            inputs = outputs
    return tensors


def _loudness(layer: int, last: bool) -> tuple[int, int]:
    """Largest weight and shift: hidden outputs of a few hundred, outputs of a few tens."""
    if layer == 0:
        return (64, 7) if last else (96, 4)
    return (60, 9) if last else (64, 6)
