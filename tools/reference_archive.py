"""A second decoder of archives, written from SPEC.md: it imports nothing of codec/, and takes its time.

It decodes archives that are whole, with items that are kept exactly: pictures side by side, lossless files, and clips
of exact frames. (Models of pictures that are alike are left to the other decoder.)
"""

from __future__ import annotations

import hashlib
import struct
import zlib

import numpy as np

from tools.reference_exact import frames
from tools.reference_lossless import decode as lossless
from tools.reference_lossless import tile
from tools.reference_model import Array, read_file
from tools.reference_video import varint

__all__ = ["decode"]

ROW = struct.Struct("<IIIBBB")
VIDEO = 3


def decode(data: bytes, tensors: dict[str, Array]) -> list[tuple[str, Array]]:
    """Names and samples of the items: pictures (H, W, C), clips (T, H, W, C); AssertionError if a digest is another."""
    header, chunks = read_file(data)
    index = next(text for letter, text in chunks if letter == "I")
    blocks = [text for letter, text in chunks if letter == "B"]
    assert hashlib.blake2b(index + b"".join(blocks)).digest()[:4] == header["digest"]
    text = zlib.decompress(index)
    error, dimensions, flags = struct.unpack_from("<HBB", text)
    at = 4 + ROW.size * len(blocks)
    rows = list(ROW.iter_unpack(text[4:at]))
    placed = [item for row, block in zip(rows, blocks, strict=True) for item in items(block, row, error, tensors)]
    order = list(range(len(placed)))
    if flags & 1:
        order = np.frombuffer(text, "<u4", len(placed), at).tolist()
        at += 4 * len(placed)
    names = [""] * len(placed) if dimensions else text[at:-1].decode().split("\0")
    assert len(names) == header["frames"] == len(placed)
    numbered = dict(zip(order, placed, strict=True))
    return [(name, numbered[number]) for number, name in enumerate(names)]


def items(block: bytes, row: tuple[int, ...], error: int, tensors: dict[str, Array]) -> list[Array]:
    """What a block holds."""
    count, height, width, channels, alpha, depth = row
    if channels:
        x = tile(block, (count * height, width, channels + alpha), channels, depth, error, tensors, count)
        kind, white = np.uint8 if depth <= 8 else np.uint16, (1 << depth) - 1
        x[..., :channels] = np.minimum(x[..., :channels] * (2 * error + 1), white)
        return list(x.astype(kind).reshape(count, height, width, -1))
    header, chunks = read_file(block)
    if header["kind"] != VIDEO:
        return [lossless(block, tensors)[0]]
    plan, numbers, at = next(text for letter, text in chunks if letter == "P"), list[int](), 0
    while at < len(plan):
        value, at = varint(plan, at)
        numbers.append(value)
    groups = [text for letter, text in chunks if letter == "G"]
    shape = header["height"], header["width"], header["channels"]
    clips = [np.stack(frames(group, shape, tensors)).astype(np.uint8) for group in groups]
    assert [len(clip) for clip in clips] == numbers[2:]
    assert hashlib.blake2b(b"".join(group[1:5] for group in groups)).digest()[:4] == header["digest"]
    assert count in (1, len(clips))
    return clips if count > 1 else [np.concatenate(clips)]
