"""A group of frames in which a few light things move over black <-> bytes, exactly.

    sprites (codec/alike.py), where they begin, and frame by frame which tap each transition takes (codec/predictor.py)

What is sent of a frame is only what the hypothesis did not know. The sprites are coded side by side, by networks that
know the style of the things; a digit costs as much as it does in an archive of digits, and once for the whole clip.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import alike, predictor
from codec.alike import Alike, Reader, Writer, uniform
from codec.digest import sample_bytes
from codec.entropy import TOTAL, Decoder, Encoder
from codec.errors import CorruptStream, Desync
from codec.intnet import Unit
from codec.layers import Layers
from codec.model import Model, verified
from codec.predictor import ESCAPE, Predictor
from codec.residual import Group, self_test
from codec.tracks import MOST, Sprite, compose, find_sprites

__all__ = ["STRUCTURE", "Sprites", "build", "decode_group", "encode_group", "self_test", "sprites", "stacked"]

STRUCTURE = "sprites-1"  # the card's "structure": which networks the tensors are for
LARGEST = 128  # rows and columns of a sprite
DIGEST = 4  # bytes
FARTHEST = 1 << 13  # rows and columns of a frame
LUMA = (Group(1, 8),)

U8 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Sprites:
    """The networks of a model of things that move.

    Attributes
    ----------
    looks : what they look like
    predictor : how they move
    side : rows and columns of the pictures that `looks` was trained on; there their centre of mass is the middle
    """

    looks: Alike
    predictor: Predictor
    side: int

    def units(self) -> Iterator[Unit]:
        yield from self.looks.units()
        yield from self.predictor.units


def sprites(model: Model) -> Sprites:
    """Build the networks of a model, prove them exact, and check that this machine computes them right; ModelError."""
    return _sprites(model.id, model)


@functools.lru_cache(maxsize=4)
def _sprites(_: bytes, model: Model) -> Sprites:
    return verified(model, STRUCTURE, "not for things that move", build, self_test)


def build(tensors: Mapping[str, NDArray[Any]]) -> Sprites:
    """Networks from integer tensors, without the self-test; ModelError if they do not fit."""
    layers = Layers(tensors)
    side = layers.bounded("side", 1, low=1, high=LARGEST)
    built = Sprites(alike.taken(layers), predictor.taken(layers), int(side[0]))
    layers.finish()
    return built


def encode_group(built: Sprites, frames: U8) -> bytes | None:
    """Code frames (T, H, W) uint8, or None if they are not a few things that move over black."""
    if max(frames.shape[1:]) > FARTHEST or not frames.any() or (found := find_sprites(frames)) is None:
        return None
    found = stacked(found, built.side)
    if max(found[0].pixels.shape) > LARGEST:
        return None
    writer = Writer(Encoder())
    _walk(built, writer, frames.shape, found)
    return _digest(frames) + writer.coder.getvalue()


def decode_group(built: Sprites, data: bytes, shape: tuple[int, int, int]) -> U8:
    """The twin of `encode_group`.

    Raises
    ------
    CorruptStream, Desync
        The bytes are no such group, or decode to other frames than the encoder saw.
    """
    if len(data) < DIGEST or max(shape[1:]) > FARTHEST:
        raise CorruptStream(f"a group of {len(data)} bytes for frames of {shape[2]} x {shape[1]} pixels")
    frames = compose(_walk(built, Reader(Decoder(data[DIGEST:])), shape, None), shape)
    if _digest(frames) != data[:DIGEST]:
        raise Desync("a group's checksum fits, but its frames are not those the encoder saw")
    return frames


def _walk(
    built: Sprites, side: Writer | Reader, shape: tuple[int, int, int], told: list[Sprite] | None
) -> list[Sprite]:
    """How many; how large; what they look like; where they are; where they go."""
    time, *frame = shape
    pixels = None if told is None else np.stack([sprite.pixels for sprite in told])
    ways = None if told is None else np.stack([sprite.corners for sprite in told], axis=1)  # (T, n, 2)
    count = int(uniform(side, MOST, None if told is None else np.array([len(told) - 1]))[0]) + 1
    native = side.bits(np.array([TOTAL // 2]), None if pixels is None else np.array([_is_native(pixels, built.side)]))
    h, w = (built.side, built.side) if native[0] else _size(side, pixels)
    looks = alike.code_planes(built.looks, LUMA, (count, h, w), side, None if pixels is None else [pixels])[0]
    first = [
        uniform(side, length + size - 1, None if ways is None else ways[0, :, axis] + size - 1, count) - size + 1
        for axis, (length, size) in enumerate(zip(frame, (h, w), strict=True))
    ]
    corners = np.zeros((time, count, 2), np.int64)
    corners[0] = np.stack(first, axis=1)
    for t in range(1, time):
        moves = None if ways is None else ways[t] - ways[t - 1]
        tables = built.predictor.tables(corners[:t], (h, w), (frame[0], frame[1]))
        symbols = side.symbols(tables, None if moves is None else predictor.taps(moves))
        if (symbols == ESCAPE).any():
            raise CorruptStream("a thing that moves farther than any transition reaches")
        corners[t] = corners[t - 1] + predictor.displacements(symbols)
    return [Sprite(looks[number].astype(np.uint8), corners[:, number]) for number in range(count)]


def _size(side: Writer | Reader, pixels: U8 | None) -> tuple[int, int]:
    told = None if pixels is None else np.array(pixels.shape[1:]) - 1
    h, w = (uniform(side, LARGEST, told, 2) + 1).tolist()
    return h, w


def _is_native(pixels: U8, native: int) -> int:
    return int(pixels.shape[1:] == (native, native))


def stacked(found: list[Sprite], native: int) -> list[Sprite]:
    """Sprites in boxes of one size: as the networks know them, centre of mass in the middle, if they fit there."""
    placed = [_centred(sprite, native) for sprite in found]
    if all(sprite is not None for sprite in placed):
        return [sprite for sprite in placed if sprite is not None]
    h, w = (max(sprite.pixels.shape[axis] for sprite in found) for axis in range(2))
    return [_boxed(sprite, 0, 0, h, w) for sprite in found]


def _centred(sprite: Sprite, native: int) -> Sprite | None:
    mass = sprite.pixels.astype(np.int64)
    total = max(int(mass.sum()), 1)
    h, w = sprite.pixels.shape
    # rounded as where digits were put in the middle: half a pixel belongs to the larger number
    y, x = (
        native // 2 - int((2 * (mass.sum(axis=1 - axis) * np.arange(length)).sum() + total) // (2 * total))
        for axis, length in enumerate((h, w))
    )
    if min(y, x) < 0 or y + h > native or x + w > native:
        return None
    return _boxed(sprite, y, x, native, native)


def _boxed(sprite: Sprite, y: int, x: int, height: int, width: int) -> Sprite:
    """A sprite in a larger box, its first pixel at (y, x) of it."""
    (h, w), box = sprite.pixels.shape, np.zeros((height, width), np.uint8)
    box[y : y + h, x : x + w] = sprite.pixels
    return Sprite(box, sprite.corners - (y, x))


def _digest(frames: U8) -> bytes:
    return hashlib.blake2b(sample_bytes(frames)).digest()[:DIGEST]
