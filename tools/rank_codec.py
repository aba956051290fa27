"""Local rank of the codec's own encoder: the hyper-encoder, the one network of the photo codec that compresses.

    h_a: features of the latent (147, h, w) -> conv 3x3 /2 -> ReLU -> conv 3x3 /2 -> ReLU -> conv 1x1 -> z (8, h/4, w/4)

Seen from one vector of z, it is a perceptron on the 7x7 blocks around it: 7203 features -> 9 x 96 units -> 64 -> 8. The
same network with fresh weights stands beside it. The transform before it is linear and has full rank.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from codec.model import load_model
from codec.photo import photo
from tools.local_rank import compact, layer_jacobians, preactivations, singular_values
from tools.rank_training import RELATIVE, layer_row
from tools.rate_distortion import MeasureError, Picture
from training.features import features_for_hyper
from training.importing import load_starts, prior_state
from training.networks import HYPER_SPREAD, Prior, Standardise, step_of
from training.transform import analyse

__all__ = ["LAYERS", "Encoder", "hyper_perceptron", "measure", "patches", "table"]

LAYERS = ("first layer", "second layer", "hyper-latent")
QUALITIES = (0.1, 0.5, 0.9)
FIELD, REACH = 7, 3  # blocks that a vector of z sees: so many on a side, so many to each side
STRIDE = 4  # blocks from one vector of z to the next
BLOCK = 16  # pixels
POSITIONS = 128
CHECKPOINT = ".npz"
F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Encoder:
    """A hyper-encoder at a quality: for each of `LAYERS` its `layer_row`, with mean singular values as `spectrum`."""

    name: str
    quality: float
    layers: list[dict[str, Any]]


def hyper_perceptron(state: Mapping[str, NDArray[Any]]) -> tuple[list[F64], list[F64]]:
    """Weights and biases of h_a as seen from one vector of z, from the state of training.networks.Prior.

    Inputs are (channel, row, column) of the 7x7 blocks, units of the first layer (channel, row, column) of 3x3.
    """
    conv1, conv2, conv3 = (np.asarray(state[f"h_a.{i}.weight"], np.float64) for i in (0, 2, 4))
    bias1, bias2, bias3 = (np.asarray(state[f"h_a.{i}.bias"], np.float64) for i in (0, 2, 4))
    first = np.zeros((len(conv1), 3, 3, conv1.shape[1], FIELD, FIELD))
    for i, j in np.ndindex(3, 3):
        first[:, i, j, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] = conv1
    last = conv3[:, :, 0, 0]
    if "h_a.5.running_var" in state:  # the option `hyper_norm`, folded in as export does
        gain = HYPER_SPREAD / np.sqrt(np.asarray(state["h_a.5.running_var"], np.float64) + Standardise.EPS)
        last, bias3 = gain[:, None] * last, gain * (bias3 - state["h_a.5.running_mean"])
    weights = [first.reshape(9 * len(conv1), -1), conv2.reshape(len(conv2), -1), last]
    return weights, [np.repeat(bias1, 9), bias2, bias3]


def patches(features: F64) -> F64:
    """Features (C, h, w) -> what each vector of z sees, (n, C * 7 * 7), where that lies within the picture."""
    c, size, first = len(features), (FIELD, FIELD), STRIDE - REACH
    if min(features.shape[1:]) < first + FIELD:
        return np.empty((0, c * FIELD**2))
    windows = np.lib.stride_tricks.sliding_window_view(features, size, axis=(1, 2))[:, first::STRIDE, first::STRIDE]
    return windows.transpose(1, 2, 0, 3, 4).reshape(-1, c * FIELD**2)


def measure(models: Sequence[str], pictures: Sequence[Picture], seeds: int) -> list[Encoder]:
    """All hyper-encoders at all qualities: those of the models, and fresh ones.

    Parameters
    ----------
    models : names or paths of models, or checkpoints of the stage `prior`
    pictures : of which random positions are taken
    seeds : of fresh networks

    Raises
    ------
    MeasureError
        A checkpoint is of another stage, or no picture is large enough.
    CodecError
        A file is damaged or missing.
    """
    found = []
    with torch.no_grad():
        for name, state in _states(models, seeds):
            weights, biases = hyper_perceptron(state)
            small = [compact(weights[0]), *weights[1:]]
            for quality in QUALITIES:
                x = _inputs(pictures, torch.from_numpy(np.asarray(state["order"])), quality)
                pre = preactivations(x, weights, biases)
                first = np.asarray(state["h_a.0.weight"]).reshape(1, len(biases[0]) // 9, -1)  # of one place, not nine
                values = [singular_values(j) for j in (first, *itertools.islice(layer_jacobians(small, pre), 1, None))]
                found.append(Encoder(name, quality, [layer_row(v) | {"spectrum": v.mean(0).tolist()} for v in values]))
    return found


def _states(models: Sequence[str], seeds: int) -> Iterator[tuple[str, Mapping[str, NDArray[Any]]]]:
    order = None
    for which in models:
        state = _state(which)
        order = state["order"] if order is None else order
        yield Path(which).stem if len({Path(each).stem for each in models}) == len(models) else which, state
    for seed in range(seeds):
        torch.manual_seed(seed)
        fresh = Prior().state_dict()
        yield f"fresh {seed}", {name: value.numpy() for name, value in fresh.items()} | {"order": order}


def _state(which: str) -> Mapping[str, NDArray[Any]]:
    if not which.endswith(CHECKPOINT):
        model = load_model(which)
        photo(model)
        return prior_state(model.tensors)
    starts = load_starts([Path(which)])
    if "prior" not in starts:
        raise MeasureError(f"{which} is of the stage {', '.join(starts)}; the hyper-encoder is in the stage prior")
    return starts["prior"].model


def _inputs(pictures: Sequence[Picture], order: torch.Tensor, quality: float) -> F64:
    """(n, 7203) what vectors of z see, at most POSITIONS of them at random."""
    seen = []
    for picture in pictures:
        height, width = (side // BLOCK * BLOCK for side in picture.pixels.shape[:2])
        pixels = np.broadcast_to(picture.pixels[:height, :width], (height, width, 3))
        y = analyse(torch.from_numpy(np.array(pixels, np.float32))[None])[:, order] / step_of(torch.tensor(quality))
        seen.append(patches(features_for_hyper(y)[0].numpy().astype(np.float64)))
    x = np.concatenate(seen)
    if not len(x):
        raise MeasureError(f"a picture with {(STRIDE - REACH + FIELD) * BLOCK} pixels on each side is needed at least")
    return x[np.random.default_rng(0).permutation(len(x))[:POSITIONS]]


def table(found: Sequence[Encoder]) -> str:
    """Ranks of each layer: above 0.01 and 0.1 of the largest singular value, stable rank, entropy rank."""
    shares = ", ".join(f"{share} s_max" for share in RELATIVE)
    lines = [f"hyper-encoder of the codec: local rank above {shares}; stable rank; entropy rank"]
    for number, layer in enumerate(LAYERS):
        lines.append(f"  {layer}")
        for each in found:
            row = each.layers[number]
            cells = "  ".join(f"{value:6.1f}" for value in (*row["relative"], row["stable"], row["entropy"]))
            lines.append(f"    {each.name:12} quality {each.quality:.1f}  {cells}")
    return "\n".join(lines)
