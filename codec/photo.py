"""The networks of a photo model, and a tile of a photo <-> its coefficients: encode and decode as twins.

    encode  y --retrieve--> k --Encoder--> bytes         decode  bytes --Decoder--> k
                 ^ tables <-- prior.walk                             ^ tables <-- prior.walk

A tile is up to 64 x 64 blocks (1024 x 1024 pixels). Contexts end at its borders, the lapped transform does not: there
are no seams. payload of chunk T = step index (1 byte), range-coded symbols.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import entropy, intnet, transform
from codec.errors import CorruptStream, ModelError
from codec.layers import Layers
from codec.model import Model, verified
from codec.prior import STEPS, Prior
from codec.restoration import Restoration
from codec.retrieval import HyperEncoder, Retriever, Rounding
from codec.transform import COEFFICIENTS

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Ints = NDArray[np.integer[Any]]

TILE = 64  # blocks
LARGEST_STEP = 1 << 12  # in 1/16 grey levels
LARGEST = 1 << 23  # clip of coefficients, in 1/256 grey levels; those of a picture are below 2^22
STRUCTURE = "lot16-pvq-1"  # the card's "structure": which networks the tensors are for


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """Everything that a photo model holds, ready to run."""

    prior: Prior
    restoration: Restoration
    hyper: HyperEncoder
    order: I64  # (768,): coefficient of the transform that stands at each place
    place: I64  # (768,): its inverse, place of each coefficient
    steps: I64  # (64,) quantiser's step in 1/16 grey levels, falling with quality
    inter: Prior | None = None  # of inter frames, in a model of video


def photo(model: Model) -> Photo:
    """Build the networks of a model, prove them exact, and check that this machine computes them right.

    Raises
    ------
    ModelError
        Not a photo model, tensors that do not fit, sums that could be inexact, or a machine that computes wrong.
    """
    return _photo(model.id, model)


@functools.lru_cache(maxsize=4)
def _photo(_: bytes, model: Model) -> Photo:
    return verified(model, STRUCTURE, "no photo model", build, self_test)


def build(tensors: Mapping[str, NDArray[Any]]) -> Photo:
    """Networks from integer tensors, without the self-test; ModelError if they do not fit."""
    layers = Layers(tensors)
    order = layers.tensor("order", COEFFICIENTS).astype(np.int64)
    if not np.array_equal(np.sort(order), np.arange(COEFFICIENTS)):
        raise ModelError(f"the model's order is no permutation of 0 .. {COEFFICIENTS - 1}")
    steps = layers.bounded("steps", STEPS, low=1, high=LARGEST_STEP).astype(np.int64)
    prior = Prior(layers)
    if prior.hyper is None:
        raise ModelError("the model has a prior of inter frames, and none of photos")
    hyper = HyperEncoder(layers, prior.hyper)
    built = Photo(prior, Restoration(layers, STEPS), hyper, order, np.argsort(order), steps)
    layers.finish()
    return built


def self_test(built: Photo, engine: Any = None) -> str:
    """Digest of all integer layers' outputs for fixed inputs; `engine` as for `intnet.self_test`."""
    digest = hashlib.blake2b(digest_size=8)
    for unit in (*built.prior.units(), *built.restoration.units()):
        digest.update(intnet.self_test(unit, engine))
    return digest.hexdigest()


def encode_tile(built: Photo, y: F64, step_index: int, effort: int = 5) -> tuple[bytes, Ints]:
    """Code a tile.

    Parameters
    ----------
    y : (h, w, 768) coefficients in grey levels, as transform.analysis gives them
    step_index : quality in [0, 64)
    effort : 1 .. 9; up to 3 codes are rounded with a dead zone, from 4 retrieved under the prior's tables, and from 7
        in several sweeps, each asking for what the restoration did not repair after the one before

    Returns
    -------
    payload, and the coefficients (h, w, 768) that a decoder gets, in 1/256 grey levels
    """
    step = int(built.steps[step_index])
    chooser = Rounding if effort < 4 else Retriever
    payload, decoded = _code(built, y, step_index, step, chooser)
    for _ in range(effort - 6):
        target = y - _repaired(built, decoded, step_index, step)
        payload, decoded = _code(built, target, step_index, step, chooser)
    return bytes([step_index]) + payload, decoded


def _code(built: Photo, y: F64, step_index: int, step: int, chooser: type[Rounding | Retriever]) -> tuple[bytes, Ints]:
    h, w, _ = y.shape
    scaled = y.reshape(h * w, -1)[:, built.order] * (16 / step)
    encoder = entropy.Encoder()

    def code(freqs: Any, symbols: Any) -> Any:
        encoder.encode(symbols, freqs)
        return symbols

    hyper = built.hyper(scaled, (h, w))
    values = built.prior.walk(hyper, (h, w), step_index, step, chooser(built.prior, scaled), code)
    return encoder.getvalue(), dequantise(built, values, (h, w), step)


def _repaired(built: Photo, decoded: Ints, step_index: int, step: int) -> F64:
    """What the restoration adds to a tile, as coefficients in grey levels."""
    linear = transform.synthesis(decoded, decoded.shape[:2])
    added = built.restoration(linear, step_index, step) - linear
    return transform.analysis(added * 2.0**-transform.FRACTION + transform.GREY)


def decode_tile(built: Photo, payload: bytes, shape: tuple[int, int]) -> tuple[int, Ints]:
    """Step index and coefficients of a tile: the twin of `encode_tile`.

    Raises
    ------
    CorruptStream
        An empty payload, or a step index that the model does not have.
    """
    step_index, decoder = open_tile(payload)
    step = int(built.steps[step_index])

    def code(freqs: Any, _: Any) -> Any:
        return decoder.decode(freqs)

    values = built.prior.walk(None, shape, step_index, step, lambda now: None, code)
    return step_index, dequantise(built, values, shape, step)


def open_tile(payload: bytes) -> tuple[int, entropy.Decoder]:
    """Step index of a tile, and what decodes its symbols; errors as by `decode_tile`."""
    if not payload or payload[0] >= STEPS:
        raise CorruptStream(f"a tile's step index is {payload[0] if payload else 'missing'}, expected 0 to {STEPS - 1}")
    return payload[0], entropy.Decoder(payload[1:])


def dequantise(built: Photo, values: I64, shape: tuple[int, int], step: int) -> Ints:
    """What `Prior.walk` gives -> coefficients (h, w, 768) of the transform, in 1/256 grey levels."""
    # int32 holds what LARGEST lets through, and halves the memory traffic
    return np.clip(values * step, -LARGEST, LARGEST).astype(np.int32).take(built.place, axis=1).reshape(*shape, -1)


def card(built: Photo, **facts: Any) -> dict[str, Any]:
    """The card of a model made of these networks; `facts` such as name, description, licence, training data."""
    return json.loads(json.dumps({**facts, "structure": STRUCTURE, "self_test": self_test(built)}))  # type: ignore[no-any-return]
