"""PNG files of the kinds that Pillow does not write, and what it does not tell of those that it reads.

    16 bits of colour; palettes with the depth and the entries they have; grey of 1, 2, 4 bits; depths between, by sBIT

After "Portable Network Graphics (PNG) Specification (Third Edition)", W3C, 2025; the numbers below are its sections.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from codec.picture import Samples, replicate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from codec.picture import Image

__all__ = ["narrow", "pack_png", "read_chunks"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPE = {(1, False): 0, (3, False): 2, (1, True): 4, (3, True): 6}  # of channels and alpha; palettes are 3
NONE, SUB, UP, AVERAGE = range(4)  # types of filters, section 9.2; Paeth's is slow in numpy and gains little on these
STRIP = 1 << 20  # samples that are filtered at a time
# Level of deflate by filter: what is packed or indexed is small already and gains by a search, filtered samples do not.
LEVEL_PACKED, LEVEL_FILTERED = 6, 3


def pack_png(image: Image) -> bytes:
    """The bytes of a PNG file that gives the picture back: samples, palette, bit depth, ICC profile and EXIF."""
    depth, indexed = _stored_depth(image), image.palette is not None
    colour_type = 3 if indexed else COLOUR_TYPE[image.channels, image.alpha is not None]
    header = struct.pack(">IIBBBBB", image.width, image.height, depth, colour_type, 0, 0, 0)
    out = [SIGNATURE, _chunk(b"IHDR", header)]
    if not indexed and depth > image.bit_depth:
        out.append(_chunk(b"sBIT", bytes([image.bit_depth] * (image.channels + (image.alpha is not None)))))
    if image.icc:
        out.append(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(image.icc)))
    if image.palette is not None:
        out.append(_chunk(b"PLTE", image.palette[:, :3].tobytes()))
        if image.palette.shape[1] == 4:
            out.append(_chunk(b"tRNS", image.palette[:, 3].tobytes()))
    if image.exif:
        out.append(_chunk(b"eXIf", image.exif))
    flat = indexed or depth < 8
    deflate = zlib.compressobj(LEVEL_PACKED if flat else LEVEL_FILTERED)
    for rows in _packed(image, depth) if flat else _filtered(image):
        if data := deflate.compress(rows):
            out.append(_chunk(b"IDAT", data))
    return b"".join([*out, _chunk(b"IDAT", deflate.flush()), _chunk(b"IEND", b"")])


def read_chunks(data: bytes) -> dict[bytes, bytes]:
    """Chunks of a PNG file before its samples, the last of each name. Nothing is checked."""
    found, at = {}, len(SIGNATURE)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"IDAT":
            break
        found[name] = data[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def narrow(samples: Samples, significant: bytes) -> tuple[Samples, int]:
    """Undo what `replicate` did to the samples of a file whose sBIT chunk is `significant`.

    Returns samples and bit depth: those of the chunk if all samples are scaled as it says and stay of their type.
    """
    full = 8 * samples.dtype.itemsize
    bits = significant[0] if significant else 0
    if bits in range(full - 7, full) and len(set(significant)) == 1:
        narrowed = samples >> (full - bits)
        if np.array_equal(replicate(narrowed, bits), samples):
            return narrowed, bits
    return samples, full


def _stored_depth(image: Image) -> int:
    """Bits of a sample in the file: 1, 2, 4 (grey and indices only), 8 or 16."""
    small = image.palette is not None or (image.channels == 1 and image.alpha is None)
    return image.bit_depth if small and image.bit_depth in (1, 2, 4) else image.full_depth


def _packed(image: Image, depth: int) -> Iterator[bytes]:
    """Rows of one channel without a filter, several samples to a byte, the first one highest (section 7.2)."""
    step = max(1, STRIP // image.width)
    for top in range(0, image.height, step):
        rows = image.colour[top : top + step, :, 0]
        if depth < 8:
            bits = rows[..., np.newaxis] >> np.arange(depth - 1, -1, -1, dtype=np.uint8) & 1
            rows = np.packbits(bits.reshape(len(rows), -1), axis=1)
        yield _with_types(np.full(len(rows), NONE), rows)


def _filtered(image: Image) -> Iterator[bytes]:
    """Rows of samples, most significant byte first, each with the filter of the smallest sum of absolute values."""
    step = max(1, STRIP // (image.width * image.channels))
    above = None
    for top in range(0, image.height, step):
        part = image.colour[top : top + step]
        if image.alpha is not None:
            part = np.dstack((part, image.alpha[top : top + step]))
        part = replicate(part, image.bit_depth)
        pixel = part.shape[2] * part.dtype.itemsize  # bytes
        x = np.ascontiguousarray(part.astype(part.dtype.newbyteorder(">"))).view(np.uint8).reshape(len(part), -1)
        up = np.vstack((np.zeros_like(x[:1]) if above is None else above, x[:-1]))
        left = np.zeros_like(x)
        left[:, pixel:] = x[:, :-pixel]
        mean = (left & up) + ((left ^ up) >> 1)  # floor((left + up) / 2) without a ninth bit
        above = x[-1:]
        rows, best = x, _cost(x)
        types = np.full(len(x), NONE)
        for number, predicted in ((SUB, left), (UP, up), (AVERAGE, mean)):
            residual = x - predicted
            cost = _cost(residual)
            better = cost < best
            rows = np.where(better[:, np.newaxis], residual, rows)
            types[better], best = number, np.minimum(cost, best)
        yield _with_types(types, rows)


def _cost(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Sums of absolute values of bytes taken as signed, of each row."""
    return np.asarray(np.minimum(rows, -rows).sum(axis=1, dtype=np.uint64))


def _with_types(types: NDArray[np.int64], rows: NDArray[np.uint8]) -> bytes:
    return np.hstack((types.astype(np.uint8)[:, np.newaxis], rows)).tobytes()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), name) + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))
