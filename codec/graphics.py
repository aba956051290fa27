"""Pictures that are no photos, lossless: screenshots, drawings, charts, scans of text, pixel art, alpha planes.

    u8 kind     0 stored: the samples   1 residuals (medians.py)   2 patterns (patterns.py)   3 residuals from means
    message     size of the palette and the palette (2), pixels: in wavefronts over tiles of at most 512 x 512

The encoder tries what may win and keeps the shortest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.entropy import TOTAL, Decoder, Encoder
from codec.errors import CorruptStream
from codec.medians import Residuals
from codec.patterns import INDEX_BUDGET, code_pixels

__all__ = ["looks_like_graphics", "pack_graphics", "unpack_graphics"]

I64 = NDArray[np.int64]
Ints = NDArray[np.integer[Any]]

TILE = 512  # rows and columns of a tile, at most
LARGEST_SIDE = 1 << 12
_STORED, _MEDIANS, _PATTERNS, _MEANS = 0, 1, 2, 3
_ORDER = ([0], [0, 1], [1, 0, 2], [1, 0, 2, 3])  # channels as they are coded: green comes first
_PALETTE_BITS = 6  # the size of a palette is two digits of so many bits
_MANY = 2048  # colours beyond which one has to come often to be worth an entry of the palette
_MISSING = 0.05  # share of colours, counted where they come, without an entry: beyond it, none at all may be better
_BUSY, _FULL = 0.2, 0.8  # share of pixels that equal no neighbour: where residuals may win, and where they do


class _Writer:
    def __init__(self) -> None:
        self._encoder = Encoder()

    def code(self, freqs: Ints, symbols: Ints | None) -> Ints:
        assert symbols is not None
        self._encoder.encode(symbols, freqs)
        return symbols

    def getvalue(self) -> bytes:
        return self._encoder.getvalue()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._decoder = Decoder(data)

    def code(self, freqs: Ints, symbols: Ints | None) -> Ints:
        return self._decoder.decode(freqs)


def pack_graphics(x: Ints, bit_depth: int | None = None) -> bytes:
    """Compress a picture exactly.

    Parameters
    ----------
    x : (H, W, C) uint8 or uint16, sides 1 .. 4096, C in 1 .. 4
    bit_depth : samples are below 2^bit_depth; by default the bits of the dtype

    Returns
    -------
    at most one byte more than the samples take

    Raises
    ------
    ValueError
        Another shape or dtype, or samples that are too large.
    """
    depth = _check(x.shape, x.dtype, bit_depth)
    if int(x.max()) >> depth:
        raise ValueError(f"samples up to {x.max()} do not fit {depth} bits")
    plane = np.zeros(x.shape[:2], np.int64)
    for channel in _ORDER[x.shape[2] - 1]:
        plane = (plane << depth) | x[..., channel]
    tiles = _tiles(x.shape)
    colours = _cut(plane, tiles)
    tries = _tries(plane, _lonely(colours.reshape(tiles)), x[..., 0])
    stored = bytes([_STORED]) + x.astype(x.dtype.newbyteorder("<")).tobytes()
    return min([stored, *(_pack(colours, tiles, x.shape[2], depth, *each) for each in tries)], key=len)


def unpack_graphics(
    data: bytes, shape: tuple[int, int, int], dtype: np.dtype[Any] | type, bit_depth: int | None = None
) -> Ints:
    """The twin of `pack_graphics`; `CorruptStream` if the bytes cannot be such a picture."""
    dtype = np.dtype(dtype)
    depth = _check(shape, dtype, bit_depth)
    if not data or data[0] > _MEANS:
        raise CorruptStream(f"graphics of kind {data[0] if data else 'missing'}, expected 0 .. 3")
    if data[0] == _STORED:
        if len(data) - 1 != math.prod(shape) * dtype.itemsize:
            raise CorruptStream(f"stored graphics of {len(data) - 1} bytes, expected those of {shape} {dtype}")
        x: Ints = np.frombuffer(data, dtype.newbyteorder("<"), offset=1).reshape(shape).astype(dtype)
        if int(x.max()) >> depth:
            raise CorruptStream(f"stored graphics hold samples beyond {depth} bits")
        return x
    tiles, reader = _tiles(shape), _Reader(data[1:])
    residuals = Residuals(reader, shape[2], depth, data[0] == _MEANS)
    palette = None
    if data[0] == _PATTERNS:
        high, low = reader.code(_digits(2), None)
        size = (int(high) << _PALETTE_BITS) + int(low)
        if size > shape[0] * shape[1]:
            raise CorruptStream(f"graphics of {shape[0] * shape[1]} pixels with a palette of {size}")
        palette = _code_palette(residuals, size, None)
    colours = _join(code_pixels(reader, residuals, palette, tiles, None), tiles, shape)
    planes = [(colours >> depth * (shape[2] - 1 - i)) & ((1 << depth) - 1) for i in range(shape[2])]
    return np.stack([planes[i] for i in np.argsort(_ORDER[shape[2] - 1])], axis=2).astype(dtype)


def looks_like_graphics(x: Ints) -> bool:
    """Whether a picture (H, W, C) has few colours, or repeats its pixels, as photos do not."""
    if x.shape[0] == 1 or x.shape[1] == 1:
        return True
    here = x[1:, 1:]
    repeated = (here == x[1:, :-1]).all(axis=2) | (here == x[:-1, 1:]).all(axis=2)
    sample = x.reshape(-1, x.shape[2])[::7]
    return bool(repeated.mean() > 0.5) or len(np.unique(sample, axis=0)) <= (64 if x.shape[2] == 1 else 256)


def _pack(
    colours: I64, tiles: tuple[int, int, int], channels: int, depth: int, kind: int, palette: I64 | None
) -> bytes:
    writer = _Writer()
    residuals = Residuals(writer, channels, depth, kind == _MEANS)
    if palette is not None:
        writer.code(_digits(2), np.array(divmod(len(palette), 1 << _PALETTE_BITS)))
        _code_palette(residuals, len(palette), palette)
    code_pixels(writer, residuals, palette, tiles, colours)
    return bytes([kind]) + writer.getvalue()


def _code_palette(residuals: Residuals, size: int, palette: I64 | None) -> I64:
    palette = residuals.code_palette(size, palette) if size else np.zeros(0, np.int64)
    if (palette[1:] <= palette[:-1]).any():  # a difference of 64-bit colours could wrap
        raise CorruptStream("the palette of graphics does not ascend")
    return palette


def _digits(n: int) -> Ints:
    return np.full((n, 1 << _PALETTE_BITS), TOTAL >> _PALETTE_BITS)


def _check(shape: tuple[int, ...], dtype: np.dtype[Any], bit_depth: int | None) -> int:
    """The bit depth, if such a picture can be coded."""
    if len(shape) != 3 or not all(1 <= side <= LARGEST_SIDE for side in shape[:2]) or not 1 <= shape[2] <= 4:
        raise ValueError(f"graphics are (H, W, C) with sides 1 .. {LARGEST_SIDE} and 1 .. 4 channels, not {shape}")
    if dtype not in (np.uint8, np.uint16):
        raise ValueError(f"graphics are uint8 or uint16, not {dtype}")
    depth = 8 * dtype.itemsize if bit_depth is None else bit_depth
    if not 1 <= depth <= 8 * dtype.itemsize:
        raise ValueError(f"{dtype} has no {depth} bits")
    return depth


def _tiles(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """How many tiles, their rows and columns; the last ones of each direction may go beyond the picture."""
    down, across = -(-shape[0] // TILE), -(-shape[1] // TILE)
    return down * across, -(-shape[0] // down), -(-shape[1] // across)


def _cut(plane: I64, tiles: tuple[int, int, int]) -> I64:
    """(H, W) -> (S, h w); beyond the picture its last row and column go on."""
    _, h, w = tiles
    plane = np.pad(plane, ((0, -plane.shape[0] % h), (0, -plane.shape[1] % w)), mode="edge")
    return plane.reshape(plane.shape[0] // h, h, -1, w).swapaxes(1, 2).reshape(-1, h * w)


def _join(tiled: I64, tiles: tuple[int, int, int], shape: tuple[int, ...]) -> I64:
    """The twin of `_cut`."""
    _, h, w = tiles
    plane = tiled.reshape(-(-shape[0] // h), -1, h, w).swapaxes(1, 2)
    return plane.reshape(plane.shape[0] * h, -1)[: shape[0], : shape[1]]


def _lonely(colours: I64) -> I64:
    """Colours of the pixels that equal none of W, N, NW and NE: only these can be palette indices or residuals."""
    alone = np.ones(colours.shape, bool)
    alone[:, :, 1:] &= colours[:, :, 1:] != colours[:, :, :-1]
    alone[:, 1:] &= colours[:, 1:] != colours[:, :-1]
    alone[:, 1:, 1:] &= colours[:, 1:, 1:] != colours[:, :-1, :-1]
    alone[:, 1:, :-1] &= colours[:, 1:, :-1] != colours[:, :-1, 1:]
    alone |= colours == -1
    return colours[alone]


def _repeats(plane: I64) -> bool:
    """Whether pixels with their neighbours W, N and NW have mostly been there before, as in a weave of few colours."""
    here = plane[1:, 1:] + 3 * plane[1:, :-1] + 5 * plane[:-1, 1:] + 7 * plane[:-1, :-1]
    return len(np.unique(here)) < here.size / 2


def _tries(plane: I64, lonely: I64, first: Ints) -> list[tuple[int, I64 | None]]:
    """Kinds and palettes worth trying."""
    share = len(lonely) / plane.size
    tries: list[tuple[int, I64 | None]] = []
    if share < _FULL or _repeats(plane):
        palette = _palette(lonely, plane.size)
        tries.append((_PATTERNS, palette))
        grey = len(palette) > 16 and palette[-1] < 1 << 16
        if grey or np.isin(lonely, palette, invert=True).mean() > _MISSING:
            tries.append((_PATTERNS, palette[:0]))
    if share > _BUSY:
        tries.append((_MEANS if _is_noisy(first) else _MEDIANS, None))
    return tries


def _is_noisy(plane: Ints) -> bool:
    """Whether a mean of neighbours foretells a plane (H, W) better than the median does."""
    here, w, n, nw = (
        part.astype(np.int64) for part in (plane[1:, 1:], plane[1:, :-1], plane[:-1, 1:], plane[:-1, :-1])
    )
    median = np.clip(w + n - nw, np.minimum(w, n), np.maximum(w, n))
    return bool(np.log2(1 + abs(2 * here - w - n)).sum() < np.log2(1 + abs(2 * here - 2 * median)).sum())


def _palette(lonely: I64, pixels: int) -> I64:
    """Colours that are worth an entry: those that come often, as many as there is time for; all of 256 or fewer."""
    colours, counts = np.unique(lonely, return_counts=True)
    size = len(colours)
    if size > 256:
        size = min((1 << 2 * _PALETTE_BITS) - 1, INDEX_BUDGET // 4 * pixels // len(lonely) - 1)
        often = counts > (1 if (counts > 1).sum() <= _MANY else 7)
        colours, counts = colours[often], counts[often]
    return np.sort(colours[np.argsort(-counts, kind="stable")[: max(0, size)]])
