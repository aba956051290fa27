"""Trained networks of the lossless codec <-> the integer tensors of a model file.

A weight becomes round(w 2^k), one k for each output of a layer: the largest with which the sums stay exact in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import alike, lattice, residual
from codec.entropy import LOGIT_UNIT
from codec.errors import ModelError
from codec.mixture import COMPONENTS, MEAN_UNIT
from codec.model import pack_model
from codec.residual import ACTIVATION
from codec.residual import HIGHEST as HIGHEST_OUTPUT
from training import engine

__all__ = ["ACTIVATION", "HIGHEST_OUTPUT", "layer_tensors", "lossless_model", "residual_state", "residual_tensors"]

Floats = NDArray[Any]
Tensors = dict[str, NDArray[np.int64]]

ROOM = 0.98 * 2**24  # of float32's exact integers: what the sums of a unit may take
LARGEST_SHIFT = 16
ANCHORS = "anchors"  # a tensor that only models of pictures that are alike have
# Integers per unit of the head's outputs: logits in nats, means in spreads, log2 of scales.
GAINS = np.repeat([LOGIT_UNIT / np.log(2), MEAN_UNIT, lattice.OCTAVE], COMPONENTS)


def head_gains(outputs: int) -> Floats:
    """Integers per unit of a head's outputs; those beyond the mixture are logits."""
    return np.concatenate([GAINS, np.full(outputs - len(GAINS), GAINS[0])])


def lossless_model(state: dict[str, Floats], *, coarser: int | Sequence[int] = 0, **facts: Any) -> bytes:
    """The model file of trained networks.

    Parameters
    ----------
    state : of training.residual.Residual or training.style.Style, arrays by name
    coarser : bits that the weights lack of the finest ones, in all layers or in each
    facts : for the card, such as name, description, licence, training data

    Raises
    ------
    ModelError
        Two engines, numpy and torch, do not compute the same.
    """
    tensors = residual_tensors(state, coarser)
    kind: Any = alike if ANCHORS in state else residual
    built = kind.build(tensors)
    if (found := kind.self_test(built)) != (expected := kind.self_test(built, engine)):
        raise ModelError(f"the self-test gives {found} in numpy and {expected} in torch")
    return pack_model(facts | {"structure": kind.STRUCTURE, "self_test": found}, tensors)


def residual_tensors(state: dict[str, Floats], coarser: int | Sequence[int] = 0) -> Tensors:
    """All tensors of codec.residual.Residual or codec.alike.Alike, from a state as for `lossless_model`."""
    out: Tensors = {}
    style = ANCHORS in state
    if style:
        out[ANCHORS] = np.asarray(state[ANCHORS], np.int64).ravel()
    for name in sorted({key.split(".")[1] for key in state if key.startswith("nets.")}):
        layers = sorted({int(key.split(".")[2]) for key in state if key.startswith(f"nets.{name}.")})
        less = coarser if isinstance(coarser, Sequence) else [coarser] * len(layers)
        unit, most = (float(alike.TOP), alike.TOP) if style else (float(lattice.UNIT), lattice.CLIP)
        for number, layer in enumerate(layers):
            weight, bias = (np.asarray(state[f"nets.{name}.{layer}.{part}"], np.float64) for part in ("weight", "bias"))
            gains = head_gains(len(bias)) if layer == layers[-1] else np.full(len(bias), float(ACTIVATION))
            out |= layer_tensors(f"{name}.{number}", weight, bias, gains, unit, most, less[number])
            unit, most = float(ACTIVATION), HIGHEST_OUTPUT
    return out


def layer_tensors(
    name: str, weight: Floats, bias: Floats, gains: Floats, unit: float, most: int, coarser: int
) -> Tensors:
    """A unit with inputs of `unit` integers per one, up to `most`: weights as fine as exact sums in float32 allow."""
    ratio = weight * (gains / unit)[:, None]
    sums = np.abs(ratio).sum(axis=1) * most + np.abs(bias * gains) + 1
    shift = np.clip(np.floor(np.log2(ROOM / sums)) - coarser, 0, LARGEST_SHIFT).astype(np.int64)
    power = np.ldexp(1.0, shift)
    return {
        f"{name}.weight.0": np.rint(ratio * power[:, None]).astype(np.int64)[:, None, None, :],
        f"{name}.bias": np.rint(bias * gains * power).astype(np.int64),
        f"{name}.shift": shift,
    }


def residual_state(tensors: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
    """The state that tensors of a model were made from: the way back, to go on training."""
    out: dict[str, Floats] = {}
    style = ANCHORS in tensors
    if style:
        planes = 3 if "10.0.bias" in tensors else 1
        out[ANCHORS] = np.asarray(tensors[ANCHORS], np.int64).reshape(planes, -1)
    for name in sorted({key.split(".")[0] for key in tensors} - {ANCHORS}):
        count = sum(key.startswith(f"{name}.") and key.endswith(".bias") for key in tensors)
        unit = float(alike.TOP if style else lattice.UNIT)
        for number in range(count):
            last = number == count - 1
            weight, bias, shift = (tensors[f"{name}.{number}.{part}"] for part in ("weight.0", "bias", "shift"))
            gains = (head_gains(len(bias)) if last else np.full(len(bias), float(ACTIVATION))) * np.ldexp(1.0, shift)
            out[f"nets.{name}.{2 * number}.weight"] = weight[:, 0, 0] * (unit / gains)[:, None]
            out[f"nets.{name}.{2 * number}.bias"] = bias / gains
            unit = float(ACTIVATION)
    return out
