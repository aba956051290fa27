"""The bill of a two-part code: what a model file costs, tensor by tensor, and what an item costs with its share of it.

    bytes per item = L(H) / n + L(D | H) / n    for n items

What a tensor costs is looked up as it is decoded.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

from codec import tensors
from codec.container import Kind, unpack
from codec.errors import ModelError
from codec.model import unpack_model
from tools.meter import Meter

__all__ = ["ITEMS", "Bill", "bill"]

ITEMS = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
GROUPS = {  # beginning of a tensor's name: what it is part of; the first that fits
    "h_a.": "encoder of the hyper-latent",
    "h_s.": "decoder of the hyper-latent",
    "hyper.": "codebook of the hyper-latent",
    "dc.": "networks of slice 0",
    "update.": "updates of the state",
    "slices.": "networks of slices 1 to 6",
    "levels.": "keys of the codewords",
    "condition": "what networks know of the quality",
    "restore.": "restoration",
}
PLANES = ("luma, or grey", "orange-blue", "green-magenta")


@dataclass(frozen=True, slots=True)
class Bill:
    """What a model file is made of.

    Attributes
    ----------
    size : L(H), bytes of the file
    groups : name, numbers, and bits, of parts of it
    rest : bytes that belong to no tensor: container, card, directory
    """

    size: int
    groups: tuple[tuple[str, int, float], ...]
    rest: float

    def per_item(self, data: float, items: int) -> float:
        """Bytes of an item of `data` bytes, with its share of the model."""
        return self.size / items + data


def bill(data: bytes) -> Bill:
    """Follow the decoding of a model file.

    Raises
    ------
    CodecError
        It is no model file, or damaged.
    """
    unpack_model(data)  # all checks
    header, chunks = unpack(data)
    if header.kind != Kind.MODEL:
        raise ModelError(f"a {header.kind.name} file is no model")
    meter = Meter(next(chunk.data for chunk in chunks if chunk.type == "N"))
    length = int(tensors._take_raw(meter, 1, 32)[0])
    entries = list(tensors._entries(iter(tensors._take(meter, tensors._DIRECTORY, (length,), 1).tolist())))
    bits, numbers = defaultdict[str, float](float), defaultdict[str, int](int)
    for name, shape, code in entries:
        before, count = meter.bits, math.prod(size for axis, size in enumerate(shape) if code.axes >> axis & 1)
        tensors._take(meter, code, shape, count)
        bits[_group(name)] += meter.bits - before
        numbers[_group(name)] += math.prod(shape)
    groups = tuple((name, numbers[name], bits[name]) for name in bits)
    return Bill(len(data), groups, len(data) - sum(bits.values()) / 8)


def _group(name: str) -> str:
    head = name.split(".")[0]
    if head.isdigit() and len(head) in (2, 3) and int(head[0]) < len(PLANES):  # plane, phase and maybe level
        return f"networks of {PLANES[int(head[0])]}"
    return next((group for start, group in GROUPS.items() if name.startswith(start)), "tables and constants")
