"""Lossless models of pseudo-random integers: of any pictures, and of pictures that are alike, for the conformance pack.

Its networks differ from each other in layers, widths and shifts, wherever a model may choose, so that a decoder that
takes any of them for a constant fails. Nothing is trained and no generator of numpy or torch is asked: the tensors are
the same on every machine. The biases lie about where those of a trained model are, so pictures become smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import alike, lattice, residual
from codec.intnet import pattern
from codec.model import pack_model

__all__ = ["uneven_alike", "uneven_lossless"]

WIDTHS = ((7, 6), (5,), (4, 8, 3), (), (6, 9), (8,), (5, 5), (9,), (1, 4))  # of the hidden layers of each network
FINE = (4, 0)  # network and layer whose sums need float64
COARSE = (5, 0)  # network and layer without a shift
ANCHORS = (0, 255, 99, 30, -7, 30, 400, 12, -12)  # three for each plane: one comes twice, one is in no plane of 8 bits
HEAD = np.array([0, -20, 10, 0, 10, -10, -40, -12, 16])  # logits, means, scales where nothing is known
ALIKE = np.array([0, -20, 10, 0, 400, -400, -8, 12, 30, -32, -32, -32])  # the same of the other one; logits of anchors
QUIETER = 3  # bits by which its first layers are, since its features are larger

I64 = NDArray[np.int64]
Draw = Callable[..., I64]


def uneven_lossless() -> bytes:
    """The model file."""
    sizes = {f"{k}{p}": lattice.columns(k, p) for k in range(3) for p in range(3)}
    return _packed("conformance-lossless", residual, _tensors(sizes, HEAD, 0))


def uneven_alike() -> bytes:
    """The model file of one for pictures that are alike."""
    sizes = {f"{k}{kind}": alike.columns(k) for k in range(3) for kind in range(2)}
    tensors = _tensors(sizes, ALIKE, QUIETER) | {"anchors": np.array(ANCHORS)}
    return _packed("conformance-alike", alike, tensors)


def _packed(name: str, kind: Any, tensors: dict[str, I64]) -> bytes:
    """kind : the module that builds such networks"""
    facts = {"name": name, "version": 1, "description": "random numbers", "licence": "CC0-1.0"}
    found = kind.self_test(kind.build(tensors))
    return pack_model(facts | {"structure": kind.STRUCTURE, "self_test": found}, tensors)


def _tensors(sizes: Mapping[str, int], head: I64, quieter: int) -> dict[str, I64]:
    """The tensors of networks by name, for so many features each, with outputs about `head`."""
    drawn = 0

    def draw(*shape: int, most: int) -> I64:
        """The next numbers of the pattern, in [-most, most]."""
        nonlocal drawn
        first, drawn = drawn, drawn + int(np.prod(shape))
        return pattern((drawn,), -most, most)[first:].reshape(shape)

    tensors: dict[str, I64] = {}
    for number, ((name, inputs), widths) in enumerate(zip(sizes.items(), cycle(WIDTHS), strict=False)):
        for layer, outputs in enumerate((*widths, len(head))):
            most, shift = _loudness(layer, layer == len(widths))
            shift += quieter if layer == 0 else 0
            if (number, layer) == COARSE:
                most, shift = 3 - quieter // 2, 0
            weight, bias = draw(outputs, inputs, most=most), draw(outputs, most=64 << shift)
            if layer == len(widths):
                bias = (head << shift) + draw(outputs, most=6 << shift)
            finer = np.arange(outputs) % 3 + (16 - quieter if (number, layer) == FINE else 0)
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
