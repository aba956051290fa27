"""The alpha plane, lossless.

    chunk A = filter (1 byte), zlib stream of the filtered plane, row by row

Filter 0 leaves the plane as it is, 1 takes from each number the one to its left, 2 the one above it, modulo 256.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from codec.errors import CorruptStream

U8 = NDArray[np.uint8]


def pack_plane(plane: U8) -> bytes:
    """A plane (H, W) -> the shortest of its three spellings."""
    return min((bytes([kind]) + zlib.compress(_filtered(plane, kind), 9) for kind in (0, 1, 2)), key=len)


def unpack_plane(data: bytes, shape: tuple[int, int]) -> U8:
    """The twin of `pack_plane`; CorruptStream if the bytes do not hold exactly such a plane."""
    size = shape[0] * shape[1]
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(data[1:], size + 1)  # no more than that, whatever the stream would give
    except zlib.error as error:
        raise CorruptStream(f"the alpha plane does not inflate: {error}") from error
    if not data or data[0] > 2:
        raise CorruptStream(f"the alpha plane has filter {data[0] if data else 'missing'}, expected 0, 1 or 2")
    if len(raw) != size or not inflate.eof or inflate.unused_data:
        raise CorruptStream(f"the alpha plane holds {len(raw)} bytes, is cut or goes on; expected {size} bytes")
    rows = np.frombuffer(raw, np.uint8).reshape(shape)
    return rows.copy() if data[0] == 0 else np.cumsum(rows, axis=2 - data[0], dtype=np.uint8)  # wraps, as it should


def _filtered(plane: U8, kind: int) -> bytes:
    return (plane if kind == 0 else np.diff(plane, axis=2 - kind, prepend=np.uint8(0))).tobytes()
