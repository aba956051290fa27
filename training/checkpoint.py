"""Checkpoints: plain arrays in an .npz file. No pickle, on either side.

    card                             JSON: stage, step, minutes, recipe, versions
    model/<name>                     parameters and buffers, by the names of networks.py
    optimizer/<name>/<moment>        of each parameter that has been stepped
    task/<name>                      what else the loss remembers

There is no state of a random generator in it: each step makes its own, from the seed and its number.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from codec.files import atomic_write
from training.errors import CheckpointError

__all__ = ["Checkpoint", "capture", "digest", "load", "load_model", "restore", "save"]

Arrays = dict[str, NDArray[Any]]

CARD, MODEL, OPTIMIZER, TASK = "card", "model/", "optimizer/", "task/"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a file holds.

    Attributes
    ----------
    card : what it is a checkpoint of
    arrays : by their full names
    """

    card: dict[str, Any]
    arrays: Arrays

    def part(self, prefix: str) -> Arrays:
        """The arrays whose names begin with a prefix, by the rest of their names."""
        return {name.removeprefix(prefix): array for name, array in self.arrays.items() if name.startswith(prefix)}

    @property
    def model(self) -> Arrays:
        """Parameters and buffers of the network."""
        return self.part(MODEL)


def capture(
    card: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Tensor]
) -> Checkpoint:
    """A copy of everything that the next step depends on."""
    tensors = {MODEL + name: value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for moment, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{OPTIMIZER}{name}/{moment}"] = value
    tensors |= {TASK + name: value for name, value in state.items()}
    return Checkpoint(card, {name: value.detach().numpy().copy() for name, value in tensors.items()})


def restore(
    checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Tensor]
) -> None:
    """Put a checkpoint back, in place.

    Raises
    ------
    CheckpointError
        It is of another network.
    """
    load_model(checkpoint, model)
    moments = checkpoint.part(OPTIMIZER)
    for name, parameter in model.named_parameters():
        own = [key for key in moments if key.rpartition("/")[0] == name]
        for key in own:
            shape = moments[key].shape
            like = parameter if shape == parameter.shape else torch.empty(shape)  # Adam also counts its steps
            value = torch.empty_like(like, requires_grad=False).copy_(torch.from_numpy(moments[key]))
            optimizer.state[parameter][key.rpartition("/")[2]] = value
    _fill(checkpoint.part(TASK), state)


def load_model(checkpoint: Checkpoint, model: nn.Module, *, whole: bool = True) -> None:
    """Put the network of a checkpoint into a model of the same shape; CheckpointError if it is not.

    A start that is not `whole` may lack buffers, such as statistics of what a new option adds: they stay as they are.
    """
    arrays, tensors = checkpoint.model, model.state_dict()
    anew = set() if whole else {name for name, _ in model.named_buffers()} - arrays.keys()
    _fill(arrays, {name: tensor for name, tensor in tensors.items() if name not in anew})


def _fill(arrays: Arrays, tensors: dict[str, Tensor]) -> None:
    for name in arrays.keys() ^ tensors.keys():
        raise CheckpointError(f"{name} is in the {'checkpoint' if name in arrays else 'network'} only")
    for name, tensor in tensors.items():
        if arrays[name].shape != tuple(tensor.shape):
            raise CheckpointError(f"{name} has shape {arrays[name].shape}, expected {tuple(tensor.shape)}")
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.from_numpy(arrays[name]))


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a file, whole or not at all; an older one is replaced."""
    card = np.frombuffer(json.dumps(checkpoint.card).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{CARD: card}, **checkpoint.arrays)
    atomic_write(path, buffer.getvalue(), force=True)


def load(path: Path) -> Checkpoint:
    """Read a file.

    Raises
    ------
    CheckpointError
        It is damaged, or no checkpoint.
    OSError
        It cannot be read.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        card = json.loads(arrays.pop(CARD).tobytes())
    except (AttributeError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(f"{path} is damaged, or no checkpoint: {error}") from error
    return Checkpoint(card, arrays)


def digest(model: nn.Module) -> str:
    """Hash of all parameters and buffers, bit for bit."""
    hasher = hashlib.blake2b(digest_size=16)
    for name, value in sorted(model.state_dict().items()):
        hasher.update(name.encode())
        hasher.update(value.contiguous().numpy().tobytes())
    return hasher.hexdigest()
