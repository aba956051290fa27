"""Model files: a card and named integer tensors, found by name, path or id.

    model file = container of kind MODEL: chunk J, the card (JSON), chunk N, the tensors (tensors.py)
    id         = first 8 bytes of BLAKE2b over the whole file
    L(H)       = length of the whole file

A model that is shipped, one that you trained and one inside an archive are the same bytes. They hold JSON and integers,
and nothing that could be run.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from codec.container import Chunk, Header, Kind, pack, unpack
from codec.errors import ModelError, ModelNotFound
from codec.files import read_bytes
from codec.limits import DEFAULT, Limits
from codec.tensors import pack_tensors, unpack_tensors

__all__ = [
    "SUFFIX",
    "Model",
    "find_model",
    "load_model",
    "model_bytes",
    "model_id",
    "models",
    "pack_model",
    "pack_tensors",
    "unpack_model",
    "unpack_tensors",
    "verified",
]

Built = TypeVar("Built")  # what a structure's networks are held in

SUFFIX = ".egmm"
FOLDERS = "ENGRAM_MODELS"  # environment variable: folders to look into besides the package, separated as in PATH


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What a model file holds.

    Attributes
    ----------
    card : the JSON object of chunk J: name, version, description, licence, training data, constants of the structure
    tensors : int32 arrays by name, not writeable
    id : 8 bytes
    size : bytes of the file, L(H)
    intra : of a model of video, the photo model that it goes with, if someone has put it there; not in the file
    """

    card: Mapping[str, Any]
    tensors: Mapping[str, NDArray[np.int32]]
    id: bytes
    size: int
    intra: Model | None = None

    @property
    def name(self) -> str:
        return str(self.card.get("name", self.id.hex()))

    def tensor(self, name: str) -> NDArray[np.int32]:
        """The tensor of that name; ModelError if the model has none."""
        try:
            return self.tensors[name]
        except KeyError:
            raise ModelError(f"model {self.name!r} has no tensor {name!r}") from None


def model_id(data: bytes) -> bytes:
    """Identity of a model file: other bytes are another model."""
    return hashlib.blake2b(data).digest()[:8]


def pack_model(card: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Write a model file; ValueError if the card is no JSON or a tensor cannot be stored."""
    text = json.dumps(card, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return pack(Header(Kind.MODEL), [Chunk("J", text.encode()), Chunk("N", pack_tensors(tensors))])


def unpack_model(data: bytes, limits: Limits = DEFAULT) -> Model:
    """Read a model file; the twin of `pack_model`.

    Raises
    ------
    CodecError
        Not a whole, undamaged model file within the limits.
    """
    header, chunks = unpack(data, limits)
    critical = [chunk for chunk in chunks if chunk.type.isupper()]
    if header.kind != Kind.MODEL or [chunk.type for chunk in critical] != ["J", "N"]:
        found = "".join(chunk.type for chunk in critical)
        raise ModelError(f"not a model: a {header.kind.name} file with chunks {found!r}, expected a MODEL with 'JN'")
    tensors = unpack_tensors(critical[1].data, limits)
    for tensor in tensors.values():
        tensor.setflags(write=False)
    return Model(_card(critical[0].data), tensors, model_id(data), len(data))


def verified(
    model: Model,
    structure: str,
    kind: str,
    build: Callable[[Mapping[str, NDArray[Any]]], Built],
    self_test: Callable[[Built], str],
) -> Built:
    """The networks of a model, on a machine that computes them right.

    Raises
    ------
    ModelError
        Another structure ("is `kind`" says the message), tensors that do not fit, sums that could be inexact, or a
        self-test that does not give what the card says.
    """
    if (found := model.card.get("structure")) != structure:
        raise ModelError(f"model {model.name!r} is {kind}: its structure is {found!r}, expected {structure!r}")
    built = build(model.tensors)
    if (digest := self_test(built)) != (expected := model.card.get("self_test")):
        raise ModelError(
            f"model {model.name!r}: the self-test gives {digest}, expected {expected}; the model file is not what it "
            "claims, or this machine's arithmetic is not exact, and it would decode garbage"
        )
    return built


def load_model(which: str | Path, limits: Limits = DEFAULT) -> Model:
    """Find and read a model; each file is read once per process.

    Parameters
    ----------
    which : name of a model (`models()` lists them), path of a model file, or id in hexadecimal

    Raises
    ------
    ModelNotFound
        There is none; the message names those there are.
    CodecError
        The file is no model, or damaged.
    """
    known = {path.stem: path for path in reversed(list(_files()))}
    if which in known:
        return _read(known[str(which)], limits)
    if Path(which).is_file():
        return _read(Path(which), limits)
    if isinstance(which, str) and len(which) == 16 and set(which.lower()) <= set("0123456789abcdef"):
        return find_model(bytes.fromhex(which), limits)
    raise ModelNotFound(f"no model {str(which)!r}: neither a file nor one of {_list(known)}")


def find_model(identity: bytes, limits: Limits = DEFAULT) -> Model:
    """The model with this id, of the package or of a folder in $ENGRAM_MODELS; ModelNotFound if it is not there."""
    for path in _files():
        if _identity(path, *_stamp(path), limits) == identity:
            return _read(path, limits)
    raise ModelNotFound(f"the model {identity.hex()} is not here; there are {_list(path.stem for path in _files())}")


def model_bytes(identity: bytes, limits: Limits = DEFAULT) -> bytes:
    """The whole file of the model with this id; ModelNotFound if it is not there."""
    for path in _files():
        if _identity(path, *_stamp(path), limits) == identity:
            return _bytes(path, limits)
    raise ModelNotFound(f"the model {identity.hex()} is not here; there are {_list(path.stem for path in _files())}")


def models() -> list[str]:
    """Names of the models that `load_model` finds, those of the package first."""
    return list(dict.fromkeys(path.stem for path in _files()))


def _files() -> Iterator[Path]:
    """Model files of the package, then of the folders in $ENGRAM_MODELS."""
    folders = [Path(str(resources.files("codec") / "models"))]
    folders += [Path(folder) for folder in os.environ.get(FOLDERS, "").split(os.pathsep) if folder]
    for folder in folders:
        yield from sorted(path for path in folder.glob("*" + SUFFIX) if path.is_file())


def _read(path: Path, limits: Limits) -> Model:
    return _read_once(path.resolve(), *_stamp(path), limits)


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when a file is replaced."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=8)
def _read_once(path: Path, _changed: int, _size: int, limits: Limits) -> Model:
    return unpack_model(_bytes(path, limits), limits)


@functools.lru_cache(maxsize=256)
def _identity(path: Path, _changed: int, _size: int, limits: Limits) -> bytes:
    return model_id(_bytes(path, limits))


def _bytes(path: Path, limits: Limits) -> bytes:
    limits.check("max_model_bytes", path.stat().st_size, f"bytes of {path.name}")
    return read_bytes(path, limits)


def _card(data: bytes) -> dict[str, Any]:
    try:
        card = json.loads(data.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the card of the model is no JSON: {error}") from None
    if not isinstance(card, dict):
        raise ModelError(f"the card of the model is a {type(card).__name__}, expected an object")
    return card


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _list(names: Any) -> str:
    return ", ".join(sorted(names)) or "(no model is installed)"
