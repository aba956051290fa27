"""A tile of an exact picture: its integers <-> a payload, in the shortest of three ways.

    payload = mode (1 byte), digest of the integers (4 bytes), data
    integer = floor((sample + N) / (2N + 1)) for colour that may be N off; the sample itself where N is 0, and of alpha

What is coded are integers, and they are coded exactly: a bound on the error only makes them smaller.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import alike, residual
from codec.alike import Alike
from codec.digest import sample_bytes
from codec.errors import CorruptStream, Desync
from codec.graphics import LARGEST_SIDE, looks_like_graphics, pack_graphics, unpack_graphics
from codec.model import Model
from codec.planes import original, reversible
from codec.residual import Group, Residual

__all__ = ["Mode", "Networks", "Plan", "decode_tile", "encode_tile", "largest_error", "networks"]

WORTH = 2.0  # bits a sample: what repetition codes in less is not tried with networks
PIECE = 1 << 18  # samples that are packed at a time
THOROUGH = 7  # effort from which every way is tried for every tile

Samples = NDArray[Any]
Networks = Residual | Alike


class Mode(IntEnum):
    """How a tile is coded."""

    STORED = 0
    GRAPHICS = 1
    RESIDUAL = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """What the tiles of a file hold: chunk P, read together with the header.

    Attributes
    ----------
    channels : of colour
    alpha : whether there is alpha; it is coded exactly
    depth : bits of a sample of the picture
    error : N, the bound of a colour sample's error
    side : log2 of the longest side of a tile
    """

    channels: int
    alpha: bool
    depth: int
    error: int
    side: int

    @property
    def step(self) -> int:
        return 2 * self.error + 1

    @property
    def coded_depth(self) -> int:
        """Bits of an integer that stands for a colour sample."""
        return ((((1 << self.depth) - 1) + self.error) // self.step).bit_length()

    @property
    def groups(self) -> tuple[Group, ...]:
        alpha = (Group(1, self.depth),) if self.alpha else ()
        return (Group(self.channels, self.coded_depth), *alpha)

    @property
    def kind(self) -> np.dtype[Any]:
        return np.dtype(np.uint8 if self.depth <= 8 else np.uint16)

    def reduce(self, colour: Samples) -> Samples:
        """Colour samples -> the integers that are coded."""
        if self.error == 0:
            return colour
        return ((colour.astype(np.int32) + self.error) // self.step).astype(self.kind)

    def restore(self, integers: Samples) -> Samples:
        """The integers -> samples within `error` of those they come from."""
        if self.error == 0:
            return integers
        return np.minimum(integers.astype(np.int32) * self.step, (1 << self.depth) - 1).astype(self.kind)


def largest_error(depth: int) -> int:
    """The largest bound that leaves samples of `depth` bits two values."""
    return ((1 << depth) - 1) // 2


def networks(model: Model) -> Networks:
    """The networks of a lossless model, of either structure; ModelError as by `residual.residual`."""
    return alike.alike(model) if model.card.get("structure") == alike.STRUCTURE else residual.residual(model)


def encode_tile(
    built: Networks, plan: Plan, colour: Samples, alpha: Samples | None, effort: int = 5, grainy: bool = False
) -> bytes:
    """The payload of a tile: the shortest of those that are tried.

    Parameters
    ----------
    colour, alpha : (h, w, channels) and (h, w); or (n, h, w, channels) and (n, h, w), n pictures coded side by side
    grainy : whether it is known not to be graphics, as few values as it may have
    """
    x = plan.reduce(colour)
    if alpha is not None:
        x = np.concatenate([x, alpha[..., None]], axis=-1)
    x = np.ascontiguousarray(x)
    below = _below(x)
    ways = {Mode.STORED: _stored(x, plan)}
    general = isinstance(built, Residual)  # a model of pictures that are alike knows their repetitions itself
    drawn = general and not grainy and looks_like_graphics(below)
    if max(below.shape[:2]) <= LARGEST_SIDE and (effort >= THOROUGH or drawn):
        ways[Mode.GRAPHICS] = pack_graphics(below, plan.depth)
    if effort >= THOROUGH or not drawn or 8 * min(map(len, ways.values())) > WORTH * x.size:
        ways[Mode.RESIDUAL] = _coded(built, plan, x)
    mode = min(ways, key=lambda way: (len(ways[way]), way))
    return bytes([mode]) + _digest(x) + ways[mode]


def decode_tile(built: Networks | None, plan: Plan, payload: bytes, size: tuple[int, ...], skip: int = 0) -> Samples:
    """The samples of a tile, (*size, channels and alpha), or every 2^skip-th row and column: the twin of `encode_tile`.

    size : (h, w), or (n, h, w)

    Raises
    ------
    CorruptStream, Desync
        The bytes are no tile, or decode to other integers than the encoder saw.
    """
    shape = (*size, plan.channels + plan.alpha)
    if len(payload) < 5 or payload[0] not in list(Mode):
        raise CorruptStream(f"a tile of {len(payload)} bytes and mode {payload[:1].hex() or 'none'}")
    mode, expected, data = Mode(payload[0]), payload[1:5], payload[5:]
    if mode == Mode.RESIDUAL and built is not None:
        x, reduced = _decoded(built, plan, size, data, skip)
    else:
        below = math.prod(size[:-1]), size[-1], shape[-1]
        if mode == Mode.GRAPHICS and max(below[:2]) > LARGEST_SIDE:
            raise CorruptStream(f"graphics of {below[1]} x {below[0]} pixels, expected {LARGEST_SIDE} at most")
        x = (
            unpack_graphics(data, below, plan.kind, plan.depth)
            if mode == Mode.GRAPHICS
            else _unstored(data, below, plan)
        )
        x, reduced = x.reshape(shape), False
    if x.max() >> plan.depth:
        raise CorruptStream(f"a sample of {x.max()} in a tile of {plan.depth} bits")
    if not reduced and _digest(x) != expected:
        raise Desync("a tile's checksum fits, but its pixels are not those the encoder saw")
    if skip and not reduced:
        x = x[..., :: 1 << skip, :: 1 << skip, :]
    if plan.error:
        x = np.concatenate([plan.restore(x[..., : plan.channels]), x[..., plan.channels :]], axis=-1)
    return x


def _coded(built: Networks, plan: Plan, x: Samples) -> bytes:
    if isinstance(built, Alike):
        return alike.encode_planes(built, plan.groups, _planes(x, plan))
    return residual.encode_planes(built, plan.groups, _planes(x, plan))


def _decoded(built: Networks, plan: Plan, size: tuple[int, ...], data: bytes, skip: int) -> tuple[Samples, bool]:
    """The twin of `_coded`, and whether it is every 2^skip-th row and column only."""
    if isinstance(built, Alike):
        return _samples(alike.decode_planes(built, plan.groups, size, data), plan), False
    return _samples(residual.decode_planes(built, plan.groups, size, data, skip), plan), skip > 0


def _below(x: Samples) -> Samples:
    """Pictures one below the other: (n, h, w, c) -> (n h, w, c)."""
    return x.reshape(-1, *x.shape[-2:])


def _planes(x: Samples, plan: Plan) -> list[NDArray[Any]]:
    """Samples of a tile -> the planes of its groups."""
    colour = [*reversible(x[..., :3])] if plan.channels == 3 else [x[..., 0]]
    return [*colour, *([x[..., -1]] if plan.alpha else [])]


def _samples(planes: Sequence[NDArray[Any]], plan: Plan) -> Samples:
    """The inverse of `_planes`. A hostile stream may hold colours that no picture has: they are clipped."""
    colour = original(*planes[:3]) if plan.channels == 3 else planes[0][..., None]
    x = np.concatenate([colour, planes[-1][..., None]], axis=-1) if plan.alpha else colour
    return np.clip(x, 0, (1 << plan.depth) - 1).astype(plan.kind)


def _stored(x: Samples, plan: Plan) -> bytes:
    """Samples as they are, `depth` bits each, the highest first, row by row."""
    if plan.depth == x.dtype.itemsize * 8:
        return bytes(sample_bytes(x))
    flat, shifts = x.reshape(-1, 1), np.arange(plan.depth - 1, -1, -1, dtype=x.dtype)
    pieces = (flat[first : first + PIECE] for first in range(0, len(flat), PIECE))
    return b"".join(np.packbits((piece >> shifts & 1).astype(np.uint8)).tobytes() for piece in pieces)


def _unstored(data: bytes, shape: tuple[int, int, int], plan: Plan) -> Samples:
    """The twin of `_stored`; CorruptStream if there are more or fewer bytes."""
    count = math.prod(shape)
    if len(data) != (expected := -(-count * plan.depth // 8)):
        raise CorruptStream(f"a stored tile of {len(data)} bytes, expected {expected}")
    if plan.depth == plan.kind.itemsize * 8:
        return np.frombuffer(data, plan.kind.newbyteorder("<")).astype(plan.kind).reshape(shape)
    x, packed = np.zeros(count, plan.kind), np.frombuffer(data, np.uint8)
    for first in range(0, count, PIECE):
        piece = x[first : first + PIECE]
        bits = np.unpackbits(packed[first * plan.depth // 8 :], count=len(piece) * plan.depth)
        for bit in bits.reshape(-1, plan.depth).T:
            piece <<= 1
            piece |= bit
    return x.reshape(shape)


def _digest(x: Samples) -> bytes:
    return hashlib.blake2b(sample_bytes(x)).digest()[:4]
