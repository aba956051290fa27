"""Frames of a group, exactly: each as the one before it, on its own, or as what it adds to the one before it.

    frame = way (1 byte), and for the last two the payloads of its tiles (tile.py)

The simple way, for clips of any content. Tiles are up to 512 x 512 pixels. Differences are taken modulo 2^8.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from functools import partial

import numpy as np
from numpy.typing import NDArray

from codec.container import join, split
from codec.errors import CorruptStream
from codec.jobs import in_processes, shares
from codec.tile import Networks, Plan, decode_tile, encode_tile

__all__ = ["decode_frames", "encode_frames"]

SIDE = 9  # log2 of a tile's longest side

U8 = NDArray[np.uint8]


class Way(IntEnum):
    """How a frame is coded."""

    SAME = 0
    ALONE = 1
    DIFFERENCE = 2


def encode_frames(built: Networks, frames: Sequence[U8], effort: int = 5, threads: int = 0) -> bytes:
    """Code frames (H, W, 1 or 3), each in the shortest way; the bytes do not depend on `threads`."""
    before = [None, *frames[:-1]]
    jobs = [partial(_encode, built, x, last, effort) for x, last in zip(frames, before, strict=True)]
    return join(list(in_processes(jobs, threads)))


def decode_frames(built: Networks | None, data: bytes, count: int, shape: tuple[int, int, int]) -> Iterator[U8]:
    """Frames of that shape: the twin of `encode_frames`.

    Raises
    ------
    CorruptStream, Desync
        The bytes are no such frames, or decode to others than the encoder saw.
    """
    before: U8 | None = None
    for number, payload in enumerate(split(data, count)):
        way = payload[0] if payload else -1
        if way not in list(Way) or (before is None and way != Way.ALONE):
            raise CorruptStream(f"frame {number} of a group is coded in way {way}")
        if way == Way.SAME and len(payload) > 1:
            raise CorruptStream(f"frame {number} of a group is like the one before it, and {len(payload)} bytes long")
        if way != Way.SAME or before is None:
            x = _decode(built, payload[1:], shape)
            before = x if way == Way.ALONE or before is None else x + before
        yield before


def _encode(built: Networks, frame: U8, before: U8 | None, effort: int) -> bytes:
    if before is not None and np.array_equal(frame, before):
        return bytes([Way.SAME])
    alone = bytes([Way.ALONE]) + _tiles(built, frame, effort)
    if before is None:
        return alone
    return min(alone, bytes([Way.DIFFERENCE]) + _tiles(built, frame - before, effort), key=len)


def _tiles(built: Networks, x: U8, effort: int) -> bytes:
    plan = _plan(x.shape[2])
    cuts = [x[top:bottom, left:right] for top, bottom, left, right in _boxes(*x.shape[:2])]
    return join([encode_tile(built, plan, np.ascontiguousarray(cut), None, effort) for cut in cuts])


def _decode(built: Networks | None, data: bytes, shape: tuple[int, int, int]) -> U8:
    x, boxes = np.empty(shape, np.uint8), _boxes(*shape[:2])
    for (top, bottom, left, right), payload in zip(boxes, split(data, len(boxes)), strict=True):
        x[top:bottom, left:right] = decode_tile(built, _plan(shape[2]), payload, (bottom - top, right - left))
    return x


def _plan(channels: int) -> Plan:
    return Plan(channels=channels, alpha=False, depth=8, error=0, side=SIDE)


def _boxes(height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left and right of the tiles, in raster order: in each direction as few as can be, nearly equal."""
    rows, columns = (shares(0, length, -(-length // (1 << SIDE))) for length in (height, width))
    return [(*row, *column) for row in rows for column in columns]
