"""Frames of a group, exactly: each as the one before it, on its own, or as what it adds to what is expected.

    frame = way (1 byte), and its data; most of it are payloads of tiles (tile.py)

MOVED    the frame before, moved (motion.py), is what is expected
HALVED   not of RGB, but of the planes that a video file holds (chroma.py), expected or not; and where these do not
         give back the pixels, what is missing

What a frame adds is taken modulo 2^8, with no addition in the middle at 128: the networks of tiles know nothing of
numbers that wrap around. Tiles are up to 512 x 512 samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.chroma import KINDS, Planes, kind_of, painted, recovered
from codec.container import join, split
from codec.entropy import Decoder, Encoder
from codec.errors import CorruptStream
from codec.field import Field, FieldCoder
from codec.graphics import looks_like_graphics
from codec.jobs import in_processes, shares
from codec.motion import predict
from codec.motion_search import search
from codec.tile import Networks, Plan, decode_tile, encode_tile
from codec.transform import BLOCK, FRACTION

__all__ = ["LARGEST", "Way", "decode_frames", "encode_frames"]

SIDE = 9  # log2 of a tile's longest side
LARGEST = 1 << 25  # pixels of a frame that is expected or halved: it is worked on as a whole
MIDDLE = np.uint8(128)
STEP = 2.0  # grey levels: of the search for vectors, which find what is spelled in few bits
DOUBTFUL = 0.125  # share of pixels that planes do not give back, from which they are not taken
CORRECTED, EXPECTED = 8, 16  # flags beside the kind of planes

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Shape = tuple[int, int, int]  # rows, columns, channels


class Way(IntEnum):
    """How a frame is coded."""

    SAME = 0
    ALONE = 1
    DIFFERENCE = 2
    MOVED = 3
    HALVED = 4


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame, and its planes if it has such.

    Attributes
    ----------
    pixels : (H, W, 1 or 3)
    planes : what a HALVED one is made of
    """

    pixels: U8
    planes: Planes | None = None

    @property
    def small(self) -> bool:
        """Whether another one may be expected from it."""
        return bool(self.pixels.size <= self.pixels.shape[2] * LARGEST)


def encode_frames(built: Networks, frames: Sequence[U8], effort: int = 5, threads: int = 0) -> bytes:
    """Code frames (H, W, 1 or 3), each in the shortest way; the bytes do not depend on `threads`."""
    kind = kind_of(frames[0]) if Frame(frames[0]).small else None
    before = [None, *frames[:-1]]
    jobs = [partial(_encode, built, x, last, kind, effort) for x, last in zip(frames, before, strict=True)]
    return join(list(in_processes(jobs, threads)))


def decode_frames(built: Networks | None, data: bytes, count: int, shape: Shape) -> Iterator[U8]:
    """Frames of that shape: the twin of `encode_frames`.

    Raises
    ------
    CorruptStream, Desync
        The bytes are no such frames, or decode to others than the encoder saw.
    """
    before: Frame | None = None
    for number, payload in enumerate(split(data, count)):
        way = payload[0] if payload else -1
        if way not in list(Way) or (before is None and way not in (Way.ALONE, Way.HALVED)):
            raise CorruptStream(f"frame {number} of a group is coded in way {way}")
        if way == Way.SAME and len(payload) > 1:
            raise CorruptStream(f"frame {number} of a group is like the one before it, and {len(payload)} bytes long")
        if way != Way.SAME or before is None:
            before = _decode(built, Way(way), payload[1:], shape, before)
        yield before.pixels


def _encode(built: Networks, x: U8, before: U8 | None, kind: int | None, effort: int) -> bytes:
    if before is not None and np.array_equal(x, before):
        return bytes([Way.SAME])
    grainy = not looks_like_graphics(x)
    frame, last = _halved(x, kind), None if before is None else _halved(before, kind)
    if frame.planes is not None:
        return bytes([Way.HALVED]) + _encode_planes(
            built, x, frame.planes, last.planes if last else None, effort, grainy
        )
    alone = bytes([Way.ALONE]) + join(_tiles(built, [x], None, effort, grainy))
    if last is None or not last.small:
        return alone
    field, vectors = _searched(x, last.pixels)
    moved = bytes([Way.MOVED]) + join([field, *_tiles(built, [x], _expected([last.pixels], vectors), effort, grainy)])
    return min(alone, moved, key=len)


def _decode(built: Networks | None, way: Way, data: bytes, shape: Shape, before: Frame | None) -> Frame:
    """A frame that is not the one before it."""
    if way == Way.HALVED:
        return _decode_planes(built, data, shape, None if before is None else before.planes)
    tiles = len(_boxes(*shape[:2]))
    if way == Way.MOVED and before is not None:
        if not before.small:
            raise CorruptStream(f"a frame of {shape[1]} x {shape[0]} pixels is expected, {LARGEST:,} is the most")
        field, *payloads = split(data, 1 + tiles)
        return Frame(_joined(built, payloads, [shape], _expected([before.pixels], _vectors(field, shape)))[0])
    x = _joined(built, split(data, tiles), [shape], None)[0]
    return Frame(x if way == Way.ALONE or before is None else x + before.pixels)


def _halved(x: U8, kind: int | None) -> Frame:
    """A frame, with its planes if it has some of that kind."""
    planes = None if kind is None else recovered(x, kind)
    if planes is None or float((painted(planes) != x).any(axis=2).mean()) > DOUBTFUL:
        return Frame(x)
    return Frame(x, planes)


def _encode_planes(built: Networks, x: U8, planes: Planes, before: Planes | None, effort: int, grainy: bool) -> bytes:
    parts, expected, flags = list[bytes](), None, 0
    if before is not None:
        field, vectors = _searched(planes.y[..., None], before.y[..., None])
        parts, expected, flags = [field], _expected(_listed(before), vectors), EXPECTED
    parts += _tiles(built, _listed(planes), expected, effort, grainy)
    missing = x - painted(planes)
    if missing.any():
        parts, flags = parts + _tiles(built, [missing + MIDDLE], None, effort), flags | CORRECTED
    return bytes([planes.kind + flags]) + join(parts)


def _decode_planes(built: Networks | None, data: bytes, shape: Shape, before: Planes | None) -> Frame:
    height, width, channels = shape
    head = data[0] if data else CORRECTED + EXPECTED + KINDS
    if head >= 2 * EXPECTED:
        raise CorruptStream(f"planes of a frame begin with {data[0] if data else 'nothing'}, expected 0 to 31")
    if channels != 3 or height % 2 or width % 2 or height * width > LARGEST:
        raise CorruptStream(f"chroma is halved in a frame of {width} x {height} pixels and {channels} channels")
    if head & EXPECTED and before is None:
        raise CorruptStream("planes of a frame are expected from one before it, which has none")
    half = (height // 2, width // 2, 1)
    shapes = [(height, width, 1), half, half]
    tiles, more = sum(len(_boxes(*each[:2])) for each in shapes), len(_boxes(height, width)) * bool(head & CORRECTED)
    parts, expected = split(data[1:], bool(head & EXPECTED) + tiles + more), None
    if head & EXPECTED and before is not None:
        expected = _expected(_listed(before), _vectors(parts.pop(0), (height, width)))
    y, cb, cr = _joined(built, parts[:tiles], shapes, expected)
    planes = Planes(head % KINDS, y[..., 0], np.concatenate([cb, cr], axis=2))
    pixels = painted(planes)
    if more:
        pixels += _joined(built, parts[tiles:], [shape], None)[0] - MIDDLE
    return Frame(pixels, planes)


def _listed(planes: Planes) -> list[U8]:
    """y, cb and cr as (h, w, 1) each."""
    return [planes.y[..., None], planes.chroma[..., :1], planes.chroma[..., 1:]]


def _searched(x: U8, before: U8) -> tuple[bytes, I64]:
    """The code of the vectors by which a frame follows from the one before it, and the vectors."""
    shape = _blocks(x.shape)
    pad = [(0, BLOCK * blocks - pixels) for blocks, pixels in zip(shape, x.shape, strict=False)]
    current, still = np.pad(x, (*pad, (0, 0)), mode="edge"), Field.still(shape)
    vectors, split_ = search(current, before, still.vectors, STEP)
    encoder = Encoder()

    def code(freqs: Any, symbols: Any) -> Any:
        encoder.encode(symbols, freqs)
        return symbols

    FieldCoder(shape).code(code, Field(still.live, split_, vectors))
    return encoder.getvalue(), vectors


def _vectors(data: bytes, shape: tuple[int, ...]) -> I64:
    """The twin of `_searched`."""
    decoder = Decoder(data)
    return FieldCoder(_blocks(shape)).code(lambda freqs, _: decoder.decode(freqs), None).vectors


def _expected(before: Sequence[U8], vectors: I64) -> list[U8]:
    """What planes (h, w, C) become when they move. Those of half the resolution are repeated for it, then averaged."""
    height, width, _ = before[0].shape
    whole = [x if x.shape[0] == height else x.repeat(2, axis=0).repeat(2, axis=1) for x in before]
    moved = predict(np.concatenate(whole, axis=2), vectors)[:height, :width].astype(np.int32)
    out, channel = [], 0
    for x in before:
        h, w, channels = x.shape
        part = moved[..., channel : channel + channels].reshape(h, height // h, w, width // w, channels)
        bits, channel = FRACTION + 2 * (height // h - 1), channel + channels  # 4 samples make one, or 1 does
        out.append((part.sum(axis=(1, 3)) + (1 << bits >> 1) >> bits).astype(np.uint8))
    return out


def _tiles(
    built: Networks, planes: Sequence[U8], expected: Sequence[U8] | None, effort: int, grainy: bool = False
) -> list[bytes]:
    """Payloads of the tiles of planes (h, w, C): after a byte, where something is expected, that says whether it is.

    grainy : as for `encode_tile`; what is added to a photo has few values, and is no graphics for it
    """
    coded, out = partial(encode_tile, built, alpha=None, effort=effort, grainy=grainy), list[bytes]()
    for number, x in enumerate(planes):
        plan = _plan(x.shape[2])
        for top, bottom, left, right in _boxes(*x.shape[:2]):
            cut = x[top:bottom, left:right]
            alone = coded(plan, np.ascontiguousarray(cut))
            if expected is None:
                out.append(alone)
                continue
            more = np.ascontiguousarray(cut - expected[number][top:bottom, left:right] + MIDDLE)
            out.append(min(b"\0" + alone, b"\1" + coded(plan, more), key=len))
    return out


def _joined(
    built: Networks | None,
    tiles: Sequence[bytes],
    shapes: Sequence[tuple[int, int, int]],
    expected: Sequence[U8] | None,
) -> list[U8]:
    """The twin of `_tiles`, for planes of those shapes."""
    out, payloads = [], iter(tiles)
    for number, shape in enumerate(shapes):
        x = np.empty(shape, np.uint8)
        for top, bottom, left, right in _boxes(*shape[:2]):
            payload, size = next(payloads), (bottom - top, right - left)
            if expected is None:
                x[top:bottom, left:right] = decode_tile(built, _plan(shape[2]), payload, size)
                continue
            if payload[:1] not in (b"\0", b"\1"):
                raise CorruptStream(f"a tile begins with {payload[:1].hex() or 'nothing'}, expected 0 or 1")
            cut = decode_tile(built, _plan(shape[2]), payload[1:], size)
            if payload[0]:
                cut = cut + expected[number][top:bottom, left:right] - MIDDLE
            x[top:bottom, left:right] = cut
        out.append(x)
    return out


def _plan(channels: int) -> Plan:
    return Plan(channels=channels, alpha=False, depth=8, error=0, side=SIDE)


def _blocks(shape: tuple[int, ...]) -> tuple[int, int]:
    return -(-shape[0] // BLOCK), -(-shape[1] // BLOCK)


def _boxes(height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left and right of the tiles, in raster order: in each direction as few as can be, nearly equal."""
    rows, columns = (shares(0, length, -(-length // (1 << SIDE))) for length in (height, width))
    return [(*row, *column) for row in rows for column in columns]
