"""Model files -> states of the float networks, to go on training from: the way back of export.py.

Exported again, what was imported gives the same integers, up to a unit in the condition of the filter. What a file does
not hold, such as the shape of the condition networks, statistics or the optimiser's moments, starts anew.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch

from codec import footage, photo, residual
from codec.codebook import SLICES
from codec.entropy import LOGIT_UNIT, TOTAL
from codec.model import SUFFIX, Model, load_model
from codec.prior import STEPS
from codec.restoration import HEAD_BITS
from codec.symbols import Ints
from training import checkpoint
from training.checkpoint import MODEL, Arrays, Checkpoint
from training.export import ACTIVATION, DC_OFFSET, KEY_BITS, LEVEL_SHIFT, LINEAR_BITS, Floats, dc_gains, head_gains
from training.features import HYPER_INPUTS, QUALITY_FEATURES
from training.likelihoods import Levels
from training.networks import CONDITION_HIDDEN, InterPrior
from training.residual_export import residual_state
from training.slices import HEAD
from training.synthesis import FILTER_CONDITION_HIDDEN

__all__ = ["inter_state", "load_starts", "prior_state", "synthesis_state"]

Tensors = Mapping[str, Ints]


def load_starts(paths: Iterable[Path]) -> dict[str, Checkpoint]:
    """What trainings can start from, by stage: checkpoints, and model files for all stages at once.

    The prior of a photo model is also a start for that of inter frames, whose further layers are those of a new one.

    Raises
    ------
    CodecError
        A file is damaged, or neither a checkpoint nor a model of this codec.
    """
    starts: dict[str, Checkpoint] = {}
    for path in paths:
        if path.suffix != SUFFIX:
            found = checkpoint.load(path)
            starts[str(found.card.get("stage"))] = found
            continue
        for stage, state in _states(load_model(path)).items():
            starts[stage] = Checkpoint({"stage": stage}, {MODEL + name: array for name, array in state.items()})
    return starts


def _states(model: Model) -> dict[str, Arrays]:
    """The states that are in a model, by stage."""
    tensors, structure = model.tensors, model.card.get("structure")
    if structure == residual.STRUCTURE:
        residual.residual(model)
        return {"residual": residual_state(tensors)}
    if structure == footage.STRUCTURE:
        footage.inter(model)
        return {"inter": inter_state(tensors)}
    photo.photo(model)
    prior = prior_state(tensors)
    return {"prior": prior, "synthesis": synthesis_state(tensors), "inter": _first_inter_state(prior)}


def prior_state(tensors: Tensors) -> Arrays:
    """The state of training.networks.Prior, from the tensors of a model."""
    out = coder_state(tensors) | {"order": tensors["order"].astype(np.int64)}
    out["hyper_codebook"] = tensors["hyper.words"] / ACTIVATION
    out["hyper_logits"] = _logits(tensors["hyper.freqs"])
    for i in range(3):
        (weight,), out[f"h_a.{2 * i}.bias"] = _layer(tensors, f"h_a.{i}")
        unused = HYPER_INPUTS - weight.shape[1] if i == 0 else 0
        out[f"h_a.{2 * i}.weight"] = np.pad(weight, ((0, 0), (0, unused), (0, 0), (0, 0)))
    for i in range(2):
        (out[f"h_s.{i}.weight"],), out[f"h_s.{i}.bias"] = _layer(tensors, f"h_s.{i}")
    return out


def inter_state(tensors: Tensors) -> Arrays:
    """The state of training.networks.InterPrior, from the tensors of a model of video."""
    out = coder_state(tensors)
    for i in range(2):
        (out[f"context.{i}.weight"],), out[f"context.{i}.bias"] = _layer(tensors, f"context.{i}")
    return out


def _first_inter_state(prior: Arrays) -> Arrays:
    """The state of an InterPrior that has learned from photos alone."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        new = InterPrior(len(prior["update.0.conv.bias"]), len(prior["slices.0.context.bias"]))
    return {name: prior.get(name, value.numpy()) for name, value in new.state_dict().items()}


def coder_state(tensors: Tensors) -> Arrays:
    """What both kinds of priors have: the state of training.networks.Coder, and `hints` if there are any."""
    out = _condition(tensors["condition"], CONDITION_HIDDEN)
    for p in range(5):
        weights, out[f"dc.{p}.0.bias"] = _layer(tensors, f"dc.{p}.hidden")
        out[f"dc.{p}.0.weight"] = np.concatenate(weights, 1)[:, :, 0, 0]
        (weight,), bias = _layer(tensors, f"dc.{p}.head", dc_gains(p))
        out[f"dc.{p}.2.weight"], out[f"dc.{p}.2.bias"] = weight[:, :, 0, 0], bias - DC_OFFSET
    for i, part in enumerate(SLICES[1:]):
        u, s, number = f"update.{i}", f"slices.{i}", i + 1
        (out[f"{u}.conv.weight"], out[f"{u}.embed.weight"]), bias = _layer(tensors, f"update.{number}.hidden")
        out[f"{u}.conv.bias"] = bias
        (out[f"{u}.out.weight"],), out[f"{u}.out.bias"] = _layer(tensors, f"update.{number}.out")
        parts, out[f"{s}.context.bias"] = _layer(tensors, f"slices.{number}.hidden")
        names = (f"{s}.context.weight", f"{s}.partial.weight", f"hints.{i}.weight")
        out |= dict(zip(names, parts, strict=False))  # a prior of photos has no hints
        gains = head_gains(part.dim)
        (weight,), bias = _layer(tensors, f"slices.{number}.head", np.tile(gains, part.groups))
        out[f"{s}.head.weight"] = _padded(weight, len(gains), HEAD[part.dim])
        out[f"{s}.head.bias"] = _padded(bias, len(gains), HEAD[part.dim])
        for m, name in enumerate(("linear", "linear_partial")):
            if (own := f"slices.{number}.linear.weight.{m}") in tensors:
                out[f"{s}.{name}.weight"] = tensors[own].transpose(0, 3, 1, 2) / (1 << LINEAR_BITS)
    for name, fixed in ((n, v.numpy()) for n, v in Levels().state_dict().items() if n.endswith(".fixed")):
        level = f"levels.{name.removesuffix('.fixed')}"
        key = tensors[f"{level}.weight.0"][:, 0, 0] * (math.log(2) / (1 << KEY_BITS))
        out[f"{level}.fixed"], out[f"{level}.key"] = fixed, key - fixed
        out[f"{level}.bias"] = tensors[f"{level}.bias"] * (math.log(2) / (LOGIT_UNIT << LEVEL_SHIFT))
    return out


def synthesis_state(tensors: Tensors) -> Arrays:
    """The state of training.synthesis.Synthesis, from the tensors of a model."""
    out = _condition(tensors["restore.condition"], FILTER_CONDITION_HIDDEN)
    (out["stem.weight"],), out["stem.bias"] = _layer(tensors, "restore.stem")
    for i in itertools.takewhile(lambda i: f"restore.block.{i}.out.bias" in tensors, itertools.count()):
        for own, name in (("conv", "hidden"), ("out", "out")):
            (weight,), out[f"blocks.{i}.{own}.bias"] = _layer(tensors, f"restore.block.{i}.{name}")
            out[f"blocks.{i}.{own}.weight"] = weight
    (out["head.weight"],), out["head.bias"] = _layer(tensors, "restore.head", float(1 << HEAD_BITS))
    return out


def _layer(tensors: Tensors, name: str, gain: Floats | float = ACTIVATION) -> tuple[list[Floats], Floats]:
    """Weights (O, I, kh, kw) of each map and bias (O,) of a unit whose outputs have `gain` integers to their unit."""
    bias = tensors[f"{name}.bias"]
    ratio = np.ldexp(np.broadcast_to(gain, bias.shape) / ACTIVATION, tensors[f"{name}.shift"])
    maps = itertools.takewhile(lambda key: key in tensors, (f"{name}.weight.{m}" for m in itertools.count()))
    weights: list[Floats] = [tensors[key].transpose(0, 3, 1, 2) / ratio[:, None, None, None] for key in maps]
    return weights, np.asarray(bias / (ratio * ACTIVATION))


def _padded(rows: Floats, used: int, all_: int) -> Floats:
    """Rows in runs of `used` (n used, ...) -> in runs of `all_`, the further ones zero."""
    runs = rows.reshape(-1, used, *rows.shape[1:])
    more = np.zeros((len(runs), all_ - used, *rows.shape[1:]))
    return np.concatenate([runs, more], 1).reshape(-1, *rows.shape[1:])


def _condition(table: Ints, hidden: int) -> Arrays:
    """A condition network whose output is a table (STEPS, n): in between a polygon, of as many corners as it has units.

    With a unit for each quality the table is met exactly, with fewer in the least squares.
    """
    t, corners = np.arange(STEPS) / (STEPS - 1), np.arange(hidden) / hidden
    first = np.zeros((hidden, QUALITY_FEATURES))
    first[:, 0] = 1  # the quality itself
    basis = np.concatenate([np.maximum(t[:, None] - corners, 0), np.ones((STEPS, 1))], 1)
    last = np.linalg.lstsq(basis, table / ACTIVATION, rcond=None)[0]
    names = (f"condition.{i}.{part}" for i in (0, 2) for part in ("weight", "bias"))
    return dict(zip(names, (first, -corners, last[:-1].T, last[-1]), strict=True))


def _logits(freqs: Ints) -> Floats:
    """(n, K) frequencies -> logits that export turns into them: in the middle of what it rounds down to each."""
    share = freqs - 0.5  # the most frequent has what rounding left over, half a unit for each other symbol
    rows = np.arange(len(freqs))
    share[rows, freqs.argmax(1)] -= share.sum(1) - (TOTAL - freqs.shape[1])
    return np.asarray(np.log(share))
