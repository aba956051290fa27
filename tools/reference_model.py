"""The first half of the reference decoder: file, entropy coding, tensors."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np

__all__ = ["Array", "Message", "read_file", "read_model", "table_of"]

WRAP = (1 << 64) - 1
Array = np.ndarray[Any, Any]


def read_file(data: bytes) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    """Header and chunks, their checksums compared."""
    at = 6

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
            if byte < 128:
                return value

    assert data[:5] == b"\xceEGM\x01"
    header: dict[str, Any] = {"kind": data[5], "width": varint(), "height": varint()}
    header["channels"], header["depth"], at = data[at], data[at + 1], at + 2
    header["frames"] = varint()
    header["model"], header["digest"], at = data[at : at + 8], data[at + 8 : at + 12], at + 16
    assert zlib.crc32(data[: at - 4]) == int.from_bytes(data[at - 4 : at], "little")
    chunks, last = [], False
    while not last:
        start, letter, last = at, chr(data[at] & 127), data[at] > 127
        at += 1
        length = varint()
        chunks.append((letter, data[at : at + length]))
        at += length + 4
        assert zlib.crc32(data[start : at - 4]) == int.from_bytes(data[at - 4 : at], "little")
    assert at == len(data)
    return header, chunks


class Message:
    """The range decoder."""

    def __init__(self, data: bytes) -> None:
        self.words = data + bytes(16)
        self.low, self.range, self.at = 0, WRAP, 8
        self.point = int.from_bytes(self.words[:8], "big")

    def symbol(self, table: Array) -> int:
        if len(table) == 1:
            return 0
        scale = self.range >> 24
        q = ((self.point - self.low) & WRAP) // scale
        ends = np.cumsum(table) << 8
        k = int(np.searchsorted(ends, q, side="right"))
        self.low = (self.low + scale * (int(ends[k]) - (int(table[k]) << 8))) & WRAP
        self.range = scale * (int(table[k]) << 8)
        if self.range < 1 << 32:
            following = self.words[self.at : self.at + 4].ljust(4, b"\0")
            self.low, self.range, self.at = (self.low << 32) & WRAP, (self.range << 32) & WRAP, self.at + 4
            self.point = (self.point << 32 | int.from_bytes(following, "big")) & WRAP
        return k

    def symbols(self, n: int, table: Array) -> Array:
        return np.array([self.symbol(table) for _ in range(n)], np.int64)


def root(number: int, times: int) -> int:
    """Floor of the 2^times-th root."""
    for _ in range(times):
        number = math.isqrt(number)
    return number


POWERS = [root(1 << (768 - j), 5) for j in range(769)]


def table_of(logits: Any) -> Array:
    values = [int(v) for v in logits]
    top, k = max(values), len(values)
    e = [POWERS[top - v] if top - v <= 768 else 0 for v in values]
    s = ((65536 - k) << 32) // sum(e)
    f = [(x * s >> 32) + 1 for x in e]
    f[values.index(top)] += 65536 - sum(f)
    return np.array(f, np.int64)


def read_model(data: bytes) -> dict[str, Array]:
    """The tensors of a model file."""
    message = Message(dict(read_file(data)[1])["N"])

    def raw(n: int, bits: int) -> Array:
        out = np.zeros(n, np.int64)
        for at in range(0, bits, 8):
            out |= message.symbols(n, table_of([0] * (1 << min(8, bits - at)))) << at
        return out

    def array(code: tuple[int, ...], dims: tuple[int, ...]) -> Array:
        center, low, radius, escape, shape, mask, first, span = code
        grid = [size if mask >> i & 1 else 1 for i, size in enumerate(dims)]
        scales = first + message.symbols(math.prod(grid), table_of([0] * (span + 1)))
        explicit = 4 * message.symbols(2 * radius + 1, table_of([0] * 256)) if shape == 0 else None
        own = np.broadcast_to(scales.reshape(grid), dims).ravel()
        symbols = np.zeros(math.prod(dims), np.int64)
        for scale in range(first, first + span + 1):
            if explicit is not None:
                logits = explicit.tolist()
            else:  # 32 (q / w)^(shape / 2) is the 8th root of 2^40 q^(4 shape) 2^(shape (8 - scale))
                power = 40 + shape * (8 - scale)
                eighths = (abs(i - radius) ** (4 * shape) for i in range(2 * radius + 1))
                logits = [-min(2048, root(q << power if power >= 0 else q >> -power, 3)) for q in eighths]
            where = own == scale
            symbols[where] = message.symbols(int(where.sum()), table_of(logits + [-4096] * escape))
        escaped = symbols > 2 * radius
        escapes = raw(int(escaped.sum()), 32) - (1 << 31)
        numbers = center - (1 << low >> 1) + ((symbols - radius) << low) + raw(len(symbols), low)
        numbers[escaped] = escapes
        return numbers.reshape(dims)

    count = int(raw(1, 32)[0])
    directory = iter(array((0, 0, 127, 1, 2, 0, 32, 0), (count,)).tolist())
    entries, name = [], b""
    for shared in directory:
        length = next(directory)
        name = name[:shared] + bytes(next(directory) for _ in range(length))
        shape = tuple(next(directory) for _ in range(next(directory)))
        entries.append((name.decode(), shape, tuple(next(directory) for _ in range(8))))
    return {name: array(code, shape) for name, shape, code in entries}
