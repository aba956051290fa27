"""Float networks -> the integer tensors of a model file.

Activations keep the scale they were trained with (1/32). A weight becomes round(w 2^k), one k for each output channel
of a layer, the largest with which every weight of the channel fits into 8 bits (or `bits`); the sums are shifted back
by k. Whatever a head means (logits in nats, scales on a log axis) is folded into its weights, so that the decoder only
ever sees integers in the units of codec/prior.py.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import footage, photo
from codec.codebook import SLICES, UNIT
from codec.entropy import LOGIT_UNIT, TOTAL
from codec.errors import ModelError
from codec.model import load_model, pack_model
from codec.prior import STEP_UNIT, STEPS
from codec.restoration import HEAD_BITS
from codec.symbols import FREE, REACH, SCALES, SPLIT_REACH
from training import engine
from training.checkpoint import Checkpoint
from training.config import KINDS, Card, kind_of
from training.errors import CheckpointError
from training.likelihoods import LARGEST_SCALE, SMALLEST_SCALE
from training.networks import HYPER_SPREAD, LARGEST_STEP, OCTAVES, Standardise
from training.residual_export import lossless_model
from training.slices import DC_MEAN_GAIN, FIRST_MEAN_GAIN, MEAN_GAIN
from training.sprites import sprites_model

Floats = NDArray[np.floating[Any]]
Tensors = dict[str, NDArray[np.int64]]

ACTIVATION = 32  # integers per unit of an activation
QUERY_UNIT = 16  # integers per unit of a query
KEY_BITS = 6  # fraction bits of the keys
HYPER_USED = 132  # inputs of the hyper-latent's encoder that are ever anything but 0
LEVEL_SHIFT = KEY_BITS + int(math.log2(QUERY_UNIT)) - int(math.log2(LOGIT_UNIT))
LINEAR_BITS = 12  # fraction bits of linear prediction
LARGEST_SHIFT = 24
DC_OFFSET = np.array([0.0] * 3 + [1.0] * 3)  # of the outputs of slice 0's heads: means, then scales (o + 1) / 2


def model_of(parts: Mapping[str, Checkpoint], name: str, card: Card) -> bytes:
    """The model file of checkpoints, by stage: what training.config.KINDS makes of them.

    Raises
    ------
    CheckpointError
        A stage is missing, or its checkpoint is that of the scalar control.
    ModelError
        See `photo_model`.
    """
    kind = kind_of(parts)
    if missing := [stage for stage in KINDS[kind] if stage not in parts]:
        raise CheckpointError(f"a model also needs a checkpoint of the stage {' and '.join(missing)}")
    if kind == "photo" and ((parts["prior"].card.get("recipe") or {}).get("prior") or {}).get("scalar"):
        raise CheckpointError("this prior is the scalar control, which the codec has no decoder for")
    made: dict[str, Callable[..., bytes]] = {
        "lossless": lossless_model,
        "photo": photo_model,
        "digits": sprites_model,
        "video": video_model,
    }
    return made[kind](*(parts[stage].model for stage in KINDS[kind]), name=name, **dataclasses.asdict(card))


def photo_model(prior: dict[str, Floats], synthesis: dict[str, Floats], **facts: Any) -> bytes:
    """The model file of trained networks.

    Parameters
    ----------
    prior, synthesis : states of training.networks.Prior and Synthesis, arrays by name
    facts : for the card, such as name, description, licence, training data

    Raises
    ------
    ModelError
        Weights so large that sums could be inexact, or two engines, numpy and torch, that do not compute the same.
    """
    tensors = prior_tensors(prior) | restoration_tensors(synthesis) | {"steps": steps()}
    built = photo.build(tensors)
    if (found := photo.self_test(built)) != (expected := photo.self_test(built, engine)):
        raise ModelError(f"the self-test gives {found} in numpy and {expected} in torch")
    return pack_model(photo.card(built, **facts), tensors)


def video_model(inter: dict[str, Floats], *, intra: bytes | None = None, **facts: Any) -> bytes:
    """The model file of a trained prior of inter frames; arguments and errors as of `photo_model`.

    intra : id of the photo model that it goes with, by default the one of the package
    """
    tensors = inter_tensors(inter)
    prior = footage.build(tensors)
    if (found := footage.self_test(prior)) != (expected := footage.self_test(prior, engine)):
        raise ModelError(f"the self-test gives {found} in numpy and {expected} in torch")
    return pack_model(footage.card(prior, intra or load_model("photo").id, **facts), tensors)


def steps() -> NDArray[np.int64]:
    """(64,) steps of the quantiser in 1/16 grey levels, as training.networks.step_of has them."""
    t = np.arange(STEPS) / (STEPS - 1)
    return np.rint(STEP_UNIT * LARGEST_STEP * 2 ** (-OCTAVES * t)).astype(np.int64)


def layer(
    name: str, weights: list[Floats], bias: Floats, gain: Floats | float = 1.0, unit: float = ACTIVATION, bits: int = 8
) -> Tensors:
    """Integer tensors of a unit with inputs in 1/ACTIVATION and outputs in 1/(unit gain).

    Parameters
    ----------
    weights : one (O, I, kh, kw) for each input map
    bias : (O,)
    gain : (O,), what an output is multiplied with before it is rounded, besides `unit`
    bits : of a weight
    """
    ratio = np.broadcast_to(np.asarray(gain, np.float64) * unit / ACTIVATION, bias.shape)
    scaled = [w.astype(np.float64) * ratio[:, None, None, None] for w in weights]
    largest = np.max([np.abs(w).reshape(len(bias), -1).max(axis=1) for w in scaled], axis=0)
    room = (1 << (bits - 1)) - 1
    exact = np.log2(room / np.maximum(largest, 1e-9)) + 1e-6  # a weight that fits but for float32's rounding fits
    shift = np.clip(np.floor(exact), 0, LARGEST_SHIFT).astype(np.int64)
    power = np.ldexp(1.0, shift)
    out: Tensors = {}
    for m, w in enumerate(scaled):
        out[f"{name}.weight.{m}"] = np.rint(w * power[:, None, None, None]).astype(np.int64).transpose(0, 2, 3, 1)
    out[f"{name}.bias"] = np.rint(bias * ratio * ACTIVATION * power).astype(np.int64)
    out[f"{name}.shift"] = shift
    return out


def logistic_tables(reach: int) -> NDArray[np.int64]:
    """(SCALES, 2 reach + 1) frequencies of discretised logistics; the ends hold the tails. Rows add up to 2^16."""
    scale = SMALLEST_SCALE * (LARGEST_SCALE / SMALLEST_SCALE) ** (np.arange(SCALES) / (SCALES - 1))
    edges = np.arange(-reach, reach) + 0.5
    cdf = 0.5 * (1 + np.tanh(edges / scale[:, None] / 2))
    p = np.diff(cdf, axis=1, prepend=0, append=1)
    return frequencies(p)


def frequencies(p: Floats) -> NDArray[np.int64]:
    """(n, K) probabilities -> integers >= 1 that add up to 2^16."""
    k = p.shape[1]
    f: NDArray[np.int64] = 1 + np.floor(p / p.sum(axis=1, keepdims=True) * (TOTAL - k)).astype(np.int64)
    f[np.arange(len(f)), p.argmax(axis=1)] += TOTAL - f.sum(axis=1)
    return f


def prior_tensors(state: dict[str, Floats]) -> Tensors:
    """All tensors of codec.prior.Prior for photos, from the state of training.networks.Prior (arrays by name)."""
    get = _reader(state)
    out = {"order": get("order").astype(np.int64)} | coder_tensors(state)
    out["hyper.words"] = np.clip(np.rint(get("hyper_codebook") * ACTIVATION), -127, 127).astype(np.int64)
    out["hyper.freqs"] = frequencies(np.exp(get("hyper_logits") - get("hyper_logits").max(1, keepdims=True)))
    for i in range(3):
        mean, gain = _standardised(state) if i == 2 else (0.0, 1.0)
        out |= layer(f"h_a.{i}", [get(f"h_a.{2 * i}.weight")[:, :HYPER_USED]], get(f"h_a.{2 * i}.bias") - mean, gain)
    for i in (0, 1):
        out |= layer(f"h_s.{i}", [get(f"h_s.{i}.weight")], get(f"h_s.{i}.bias"))
    return out


def inter_tensors(state: dict[str, Floats]) -> Tensors:
    """All tensors of codec.prior.Prior for inter frames, from the state of training.networks.InterPrior."""
    get, out = _reader(state), coder_tensors(state)
    for i in range(2):
        out |= layer(f"context.{i}", [get(f"context.{i}.weight")], get(f"context.{i}.bias"))
    return out


def coder_tensors(state: dict[str, Floats]) -> Tensors:
    """The tensors that both kinds of priors have, from the state of training.networks.Coder."""
    get = _reader(state)
    width, hidden = len(get("update.0.conv.bias")), len(get("slices.0.context.bias"))
    out: Tensors = {}
    t = np.arange(STEPS) / (STEPS - 1)
    out["condition"] = np.rint(_condition(state, t) * ACTIVATION).astype(np.int64)
    out["scalars.freqs"], out["splits.freqs"] = logistic_tables(REACH), logistic_tables(SPLIT_REACH)
    for p in range(5):
        w = get(f"dc.{p}.0.weight")[:, :, None, None]
        parts = [w[:, :width], w[:, width:]] if p else [w]
        out |= layer(f"dc.{p}.hidden", parts, get(f"dc.{p}.0.bias"))
        weight, bias = get(f"dc.{p}.2.weight")[:, :, None, None], get(f"dc.{p}.2.bias") + DC_OFFSET
        out |= layer(f"dc.{p}.head", [weight], bias, dc_gains(p), 1.0)
    for i in range(len(SLICES) - 1):
        u, s = f"update.{i}", f"slices.{i}"
        parts = [get(f"{u}.conv.weight"), get(f"{u}.embed.weight")]
        out |= layer(f"update.{i + 1}.hidden", parts, get(f"{u}.conv.bias"))
        out |= layer(f"update.{i + 1}.out", [get(f"{u}.out.weight")], get(f"{u}.out.bias"))
        parts = [get(f"{s}.context.weight"), get(f"{s}.partial.weight")]
        parts += [get(f"hints.{i}.weight")] if f"hints.{i}.weight" in state else []
        out |= layer(f"slices.{i + 1}.hidden", parts, get(f"{s}.context.bias"))
        gains, groups = head_gains(SLICES[i + 1].dim), SLICES[i + 1].groups
        weight = get(f"{s}.head.weight").reshape(groups, -1, hidden)[:, : len(gains)].reshape(-1, hidden, 1, 1)
        bias = get(f"{s}.head.bias").reshape(groups, -1)[:, : len(gains)].reshape(-1)
        out |= layer(f"slices.{i + 1}.head", [weight], bias, np.tile(gains, groups), 1.0)
        if f"{s}.linear.weight" in state:
            w = get(f"{s}.linear.weight")
            w[:, :3] -= w[:, :3].mean(axis=(2, 3), keepdims=True)
            out |= _linear(f"slices.{i + 1}.linear", [w, get(f"{s}.linear_partial.weight")])
    for level in ("pair", "quad", "octet", "half"):
        key = (get(f"levels.{level}.fixed") + get(f"levels.{level}.key")) / math.log(2)
        out[f"levels.{level}.weight.0"] = np.rint(key * (1 << KEY_BITS)).astype(np.int64)[:, None, None, :]
        bias = get(f"levels.{level}.bias") / math.log(2)
        out[f"levels.{level}.bias"] = np.rint(bias * LOGIT_UNIT * (1 << LEVEL_SHIFT)).astype(np.int64)
        out[f"levels.{level}.shift"] = np.full(len(bias), LEVEL_SHIFT, np.int64)
    return out


def dc_gains(number: int) -> Floats:
    """Integers per unit of the outputs of slice 0's head, in a pass."""
    mean = FIRST_MEAN_GAIN if number == 0 else DC_MEAN_GAIN
    return np.array([mean * UNIT] * 3 + [0.5 * (SCALES - 1)] * 3)


def head_gains(dim: int) -> Floats:
    """Integers per unit of the outputs of a head for one group: see `_parameters` in codec/prior.py for the layout."""
    if dim == 1:
        return np.array([MEAN_GAIN[1] * UNIT, SCALES - 1])
    shaped = dim * (1 if dim == 8 else 2)
    flag, mean = LOGIT_UNIT / math.log(2), [MEAN_GAIN[2] * UNIT] * 2 if dim == 2 else []
    return np.array([flag, *[QUERY_UNIT] * shaped, *[SCALES - 1] * dim, *[QUERY_UNIT] * FREE, *mean], np.float64)


def _standardised(state: dict[str, Floats]) -> tuple[Floats | float, Floats | float]:
    """What the norm of a prior with `hyper_norm` takes from the hyper-latent, and what it multiplies it with then."""
    if "h_a.5.running_var" not in state:
        return 0.0, 1.0
    return state["h_a.5.running_mean"], HYPER_SPREAD / np.sqrt(state["h_a.5.running_var"] + Standardise.EPS)


def _reader(state: dict[str, Floats]) -> Callable[[str], Floats]:
    return lambda name: np.array(state[name], np.float64)


def _linear(name: str, weights: list[Floats]) -> Tensors:
    out: Tensors = {}
    for m, w in enumerate(weights):
        out[f"{name}.weight.{m}"] = np.rint(w * (1 << LINEAR_BITS)).astype(np.int64).transpose(0, 2, 3, 1)
    out[f"{name}.bias"] = np.zeros(len(weights[0]), np.int64)
    out[f"{name}.shift"] = np.full(len(weights[0]), LINEAR_BITS, np.int64)
    return out


def _condition(state: dict[str, Floats], t: Floats) -> Floats:
    """The condition network's output for qualities t in [0, 1]: (n, width + slices * hidden)."""
    x = np.stack([t, t * t, np.sin(3 * t), np.cos(3 * t), np.sin(6 * t), np.cos(6 * t)], axis=1)
    x = np.maximum(x @ state["condition.0.weight"].T + state["condition.0.bias"], 0)
    return np.asarray(x @ state["condition.2.weight"].T + state["condition.2.bias"])


def restoration_tensors(state: dict[str, Floats]) -> Tensors:
    """All tensors of codec.restoration.Restoration, from the state of training.synthesis.Synthesis."""
    get = _reader(state)
    condition = _condition(state, np.arange(STEPS) / (STEPS - 1))
    out: Tensors = {"restore.condition": np.rint(condition * ACTIVATION).astype(np.int64)}
    out |= layer("restore.stem", [get("stem.weight")], get("stem.bias"))
    for i in range(sum(name.endswith(".conv.bias") for name in state)):
        out |= layer(f"restore.block.{i}.hidden", [get(f"blocks.{i}.conv.weight")], get(f"blocks.{i}.conv.bias"))
        out |= layer(f"restore.block.{i}.out", [get(f"blocks.{i}.out.weight")], get(f"blocks.{i}.out.bias"))
    out |= layer("restore.head", [get("head.weight")], get("head.bias"), 1.0, 1 << HEAD_BITS, bits=12)
    return out
