"""A model of video: the networks of a photo model, and a prior of its own for inter frames.

The model file holds that prior alone; its card names the photo model that the intra frames, the transform's order, the
steps and the restoration are of: `Model.intra` if it was put there, otherwise one that find_model finds. A photo model
by itself is a model of video, too: its prior then codes all frames.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from codec import intnet
from codec import photo as photos
from codec.errors import ModelError, ModelMismatch, ModelNotFound
from codec.layers import Layers
from codec.model import Model, find_model, verified
from codec.photo import Photo, photo
from codec.prior import Prior

__all__ = ["STRUCTURE", "build", "card", "footage", "inter", "self_test"]

STRUCTURE = "lot16-inter-1"  # the card's "structure"
INTRA = "intra"  # the card's key of the photo model's id, in hexadecimal


def footage(model: Model) -> Photo:
    """The networks of a model of video, or of a photo model.

    Raises
    ------
    ModelNotFound
        The photo model that it goes with is not here.
    ModelError
        Another kind of model, tensors that do not fit, or a machine that computes wrong.
    """
    if model.card.get("structure") == photos.STRUCTURE:
        return photo(model)
    prior = inter(model)
    return dataclasses.replace(photo(_intra(model)), inter=prior)


def inter(model: Model) -> Prior:
    """The prior of a model of video; ModelError if it is none, or see `footage`."""
    return _inter(model.id, model)


def _intra(model: Model) -> Model:
    named = model.card.get(INTRA)
    try:
        identity = bytes.fromhex(str(named))
    except ValueError:
        identity = b""
    if len(identity) != len(model.id):
        raise ModelError(f"the model of video {model.name!r} names {named!r} as its photo model, which is no id")
    if model.intra is not None:
        if model.intra.id != identity:
            raise ModelMismatch(f"the model of video {model.name!r} goes with {named}, not with {model.intra.id.hex()}")
        return model.intra
    try:
        return find_model(identity)
    except ModelNotFound as error:
        raise ModelNotFound(f"the model of video {model.name!r} lacks its photo model: {error}") from error


@functools.lru_cache(maxsize=4)
def _inter(_: bytes, model: Model) -> Prior:
    return verified(model, STRUCTURE, "no model of video", build, self_test)


def build(tensors: Mapping[str, NDArray[Any]]) -> Prior:
    """The prior from integer tensors, without the self-test; ModelError if they do not fit."""
    layers = Layers(tensors)
    prior = Prior(layers)
    if prior.context is None:
        raise ModelError("the model has a prior of photos, and none of inter frames")
    layers.finish()
    return prior


def self_test(prior: Prior, engine: Any = None) -> str:
    """Digest of all integer layers' outputs for fixed inputs; `engine` as for `intnet.self_test`."""
    digest = hashlib.blake2b(digest_size=8)
    for unit in prior.units():
        digest.update(intnet.self_test(unit, engine))
    return digest.hexdigest()


def card(prior: Prior, intra: bytes, **facts: Any) -> dict[str, Any]:
    """The card of a model made of this prior; `intra` is the id of the photo model."""
    named = {**facts, "structure": STRUCTURE, INTRA: intra.hex(), "self_test": self_test(prior)}
    return json.loads(json.dumps(named))  # type: ignore[no-any-return]
