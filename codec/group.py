"""A group of pictures <-> the data of a chunk. Each group decodes by itself, whatever came before it.

data = way (1 byte), digest of the decoded frames (4 bytes), and for
LOSSY      parts: an intra frame, which is parts: the tiles of a photo (image.py); then inter frames (interframe.py)
EXACT      parts: the frames (exactframes.py)
SPRITES    things that move over black (sprites.py)
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import sprites, tile
from codec.container import join, split
from codec.errors import CorruptStream, Desync, LimitExceeded
from codec.exactframes import decode_frames, encode_frames
from codec.footage import footage
from codec.image import decode_tiles, encode_tiles
from codec.interframe import Past, decode_frame, encode_frame
from codec.limits import DEFAULT, Limits
from codec.model import Model
from codec.photo import TILE, Photo
from codec.sprites import Sprites
from codec.transform import BLOCK

__all__ = ["DIGEST", "LARGEST_FRAME", "LossyGroup", "Way", "decode_group", "encode_exact", "way_of"]

DIGEST = 4  # bytes
HEAD = 1 + DIGEST
COARSER = 5  # how much the step index of inter frames is below that of the intra frame, which they all build on
CUT = 12.0  # mean difference, in grey levels, from which a frame may be the first of a scene
CUT_RISE = 2.0  # and how much more it is than that of the frame before
LARGEST_FRAME = 1 << 25  # pixels: an inter frame is worked on as a whole, at some hundred bytes a pixel
THUMB = 8  # pixels to a side that are averaged for that

U8 = NDArray[np.uint8]


class Way(IntEnum):
    """How a group is coded."""

    LOSSY = 0
    EXACT = 1
    SPRITES = 2


class LossyGroup:
    """Frames in, one by one; the data of the group out.

    Parameters
    ----------
    step_index : quality of the intra frame
    effort, threads : as in `image.encode`
    """

    def __init__(self, built: Photo, step_index: int, effort: int, threads: int) -> None:
        self._built, self._step_index, self._effort, self._threads = built, step_index, effort, threads
        self._inter_index = max(step_index - COARSER, 0)
        self._parts: list[bytes] = []
        self._digest = hashlib.blake2b()
        self._past: Past | None = None
        self._rise = 0.0
        self._thumb = _thumb(np.zeros((1, 1, 1), np.uint8))

    def __len__(self) -> int:
        """Frames so far."""
        return len(self._parts)

    def add(self, frame: U8) -> bool:
        """Add a frame (H, W, 1 or 3); False, and nothing is added, if it had better be the first of the next group."""
        thumb = _thumb(frame)
        if self._past is None:
            part, decoded = self._intra(frame, self._step_index)
            self._past = Past.after(decoded, self._threads)
        else:
            change = float(np.abs(thumb - self._thumb).mean())
            doubtful = change > CUT and change > CUT_RISE * self._rise
            past = copy.deepcopy(self._past) if doubtful else self._past
            part = encode_frame(self._built, frame, past, self._inter_index, self._effort)
            if doubtful and len(self._intra(frame, self._inter_index)[0]) < len(part):  # at equal quality
                return False
            self._past, self._rise = past, change
        self._thumb = thumb
        self._parts.append(part)
        self._digest.update(self._past.frame.data)
        return True

    def getvalue(self) -> bytes:
        """The data of the group."""
        return bytes([Way.LOSSY]) + self._digest.digest()[:DIGEST] + join(self._parts)

    def _intra(self, frame: U8, step_index: int) -> tuple[bytes, U8]:
        tiles, decoded = encode_tiles(self._built, frame, step_index, self._effort, self._threads)
        return join(tiles), decoded


def encode_exact(built: tile.Networks | Sprites, frames: Sequence[U8], effort: int, threads: int) -> bytes:
    """The data of a group of frames (H, W, 1 or 3) that are kept exactly."""
    if isinstance(built, Sprites):
        if frames[0].shape[2] == 1:
            data = sprites.encode_group(built, np.stack(frames)[..., 0])
            if data is not None:
                return bytes([Way.SPRITES]) + data
        built = built.looks
    digest = hashlib.blake2b()
    for frame in frames:
        digest.update(np.ascontiguousarray(frame).data)
    return bytes([Way.EXACT]) + digest.digest()[:DIGEST] + encode_frames(built, frames, effort, threads)


def decode_group(
    model: Model, data: bytes, count: int, shape: tuple[int, int, int], threads: int = 0, limits: Limits = DEFAULT
) -> Iterator[U8]:
    """The frames of a group, (H, W, 1 or 3) each, one by one. A caller keeps them, and must not write to them.

    Raises
    ------
    CorruptStream
        The bytes are no group of so many frames.
    Desync
        After the last frame: they are not those that the encoder saw.
    ModelError
        The model is not for such groups.
    LimitExceeded
        Frames are too large for lossy video, or too many for a group that is decoded as a whole.
    """
    digest = hashlib.blake2b()
    for frame in _decoded(model, way_of(data), data, count, shape, threads, limits):
        digest.update(np.ascontiguousarray(frame).data)
        yield frame
    if digest.digest()[:DIGEST] != data[1:HEAD]:
        raise Desync("a group's checksum fits, but its frames are not those the encoder saw")


def way_of(data: bytes) -> Way:
    """How a group is coded; CorruptStream if its data do not begin like those of a group."""
    if len(data) < HEAD or data[0] not in list(Way):
        raise CorruptStream(f"a group of {len(data)} bytes and way {data[0] if data else 'none'}")
    return Way(data[0])


def _decoded(
    model: Model, way: Way, data: bytes, count: int, shape: tuple[int, int, int], threads: int, limits: Limits
) -> Iterator[U8]:
    height, width, channels = shape
    if way == Way.LOSSY:
        if width * height > LARGEST_FRAME:
            raise LimitExceeded(f"frames of {width} x {height} pixels; lossy video has at most {LARGEST_FRAME:,}")
        yield from _lossy(footage(model), data[HEAD:], count, shape, threads)
    elif way == Way.EXACT:
        built = sprites.sprites(model).looks if _is_sprites(model) else tile.networks(model)
        yield from decode_frames(built, data[HEAD:], count, shape)
    else:
        if channels != 1:
            raise CorruptStream("a group of things that move over black, in a clip that is not grey")
        limits.check_size(width, height, count)
        yield from sprites.decode_group(sprites.sprites(model), data[1:], (count, height, width))[..., None]


def _lossy(built: Photo, data: bytes, count: int, shape: tuple[int, int, int], threads: int) -> Iterator[U8]:
    first, *others = split(data, count)
    tiles = -(-shape[0] // (BLOCK * TILE)) * -(-shape[1] // (BLOCK * TILE))
    past = Past.after(decode_tiles(built, split(first, tiles), shape, threads), threads)
    yield past.frame
    for payload in others:
        yield decode_frame(built, payload, past)


def _is_sprites(model: Model) -> bool:
    return model.card.get("structure") == sprites.STRUCTURE


def _thumb(frame: U8) -> NDArray[np.floating[Any]]:
    """Means of small squares of a frame, to see whether the scene changes."""
    rows, columns = (max(1, length // THUMB) for length in frame.shape[:2])
    cut = frame[: rows * THUMB, : columns * THUMB]
    squares = cut.reshape(rows, cut.shape[0] // rows, columns, cut.shape[1] // columns, -1)
    return np.asarray(squares.mean(axis=(1, 3), dtype=np.float32))
