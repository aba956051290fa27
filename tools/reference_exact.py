"""The second decoder for exact video, written from SPEC.md: it imports nothing of codec/, and takes its time.

It decodes groups that are whole; what SPEC.md says a decoder must reject is the other one's part.
"""

from __future__ import annotations

import hashlib
from itertools import product

import numpy as np

from tools.reference_lossless import tile
from tools.reference_model import Array, Message, read_file
from tools.reference_video import Fields, parts, predicted, varint

__all__ = ["decode", "frames"]

MATRICES = (
    (9539, 16, 13075, -3209, -6660, 16525),
    (9539, 16, 14686, -1747, -4366, 17305),
    (8192, 0, 11485, -2819, -5850, 14516),
    (8192, 0, 12901, -1534, -3835, 15201),
)
Taps = tuple[tuple[int, ...], ...]
ACROSS: tuple[Taps, Taps] = (
    ((0, 0, 16384, 0), (-1229, 9421, 9421, -1229), (0, 0, 16384, 0), (0, 0, 16384, 0)),
    ((-461, 3943, 14284, -1382), (-1382, 14284, 3943, -461), (0, 0, 17729, -1345), (0, 3835, 13894, -1345)),
)
DOWN: Taps = ((-115, 985, 3572, -346), (-346, 3572, 985, -115), (0, 0, 4432, -336), (0, 959, 3473, -336))


def runs(n: int) -> list[tuple[int, int]]:
    c = -(-n // 512)
    return [(n * i // c, n * (i + 1) // c) for i in range(c)]


def tiles(left: list[bytes], shape: tuple[int, int, int], expected: Array | None, tensors: dict[str, Array]) -> Array:
    """Takes payloads from the list."""
    x = np.zeros(shape, np.int64)
    for (a, b), (c, d) in product(runs(shape[0]), runs(shape[1])):
        payload, more = left.pop(0), False
        if expected is not None:
            more, payload = payload[0] == 1, payload[1:]
        x[a:b, c:d] = tile(payload, (b - a, d - c, shape[2]), shape[2], 8, 0, tensors)
        if more and expected is not None:
            x[a:b, c:d] = (x[a:b, c:d] + expected[a:b, c:d] - 128) % 256
    return x


def moved(field: bytes, before: Array) -> Array:
    """In 64ths of a grey level."""
    fields = Fields(-(-len(before) // 16), -(-before.shape[1] // 16))
    fields.decode(Message(field))
    return predicted(before, fields.cells)[: len(before), : before.shape[1]]


def twice(x: Array, taps: Taps) -> Array:
    """Along the first axis."""
    n, out = len(x), []
    for i in range(2 * n):
        k, p = divmod(i, 2)
        weights = taps[{0: 2, 2: 3}.get(i, p)]
        out.append(sum(weights[m] * x[min(max(k - 2 + p + m, 0), n - 1)] for m in range(4)))
    return np.array(out)


def painted(kind: int, y: Array, chroma: Array) -> Array:
    factor, black, red_cr, green_cb, green_cr, blue_cb = MATRICES[kind % 4]
    across = np.minimum(twice(chroma.swapaxes(0, 1), ACROSS[kind // 4]).swapaxes(0, 1) >> 7, 32767)
    b, r = np.moveaxis((twice(across, DOWN) + 512 - (128 << 19)) >> 10, 2, 0)
    light = 512 * factor * (y - black) + (1 << 21)
    colours = light + red_cr * r, light + green_cb * b + green_cr * r, light + blue_cb * b
    pixels: Array = np.clip(np.stack(colours, axis=2) >> 22, 0, 255)
    return pixels


def frames(data: bytes, shape: tuple[int, int, int], tensors: dict[str, Array]) -> list[Array]:
    """The frames (H, W, C) of a group of way 1; AssertionError if its digest is another."""
    assert data[0] == 1
    height, width, _ = shape
    half = height // 2, width // 2, 1
    found: list[Array] = []
    planes: tuple[Array, Array] | None = None
    for frame in parts(data[5:]):
        way = frame[0]
        if way == 0:
            found.append(found[-1])
            continue
        if way == 4:
            left, head = parts(frame[2:]), frame[1]
            expected: list[Array | None] = [None] * 3
            if head & 16 and planes is not None:
                large = planes[1].repeat(2, axis=0).repeat(2, axis=1)
                q = moved(left.pop(0), np.concatenate([planes[0][..., None], large], axis=2))
                sums = q[0::2, 0::2] + q[0::2, 1::2] + q[1::2, 0::2] + q[1::2, 1::2]
                expected = [(q[..., :1] + 32) >> 6, (sums[..., 1:2] + 128) >> 8, (sums[..., 2:] + 128) >> 8]
            y, cb, cr = (
                tiles(left, size, told, tensors)
                for size, told in zip(((height, width, 1), half, half), expected, strict=True)
            )
            planes = y[..., 0], np.concatenate([cb, cr], axis=2)
            x = painted(head % 8, *planes)
            if head & 8:
                x = (x + tiles(left, shape, None, tensors) - 128) % 256
        else:
            left, planes = parts(frame[1:]), None
            if way == 3:
                x = tiles(left[1:], shape, (moved(left[0], found[-1]) + 32) >> 6, tensors)
            else:
                x = tiles(left, shape, None, tensors)
                x = (x + found[-1]) % 256 if way == 2 else x
        found.append(x)
    found = [x.astype(np.uint8) for x in found]
    assert hashlib.blake2b(b"".join(x.tobytes() for x in found)).digest()[:4] == data[1:5]
    return found


def decode(data: bytes, tensors: dict[str, Array]) -> list[Array]:
    """Frames (H, W, C) of a video whose groups are of way 1."""
    header, chunks = read_file(data)
    shape = header["height"], header["width"], header["channels"]
    plan = next(text for letter, text in chunks if letter == "P")
    counts, at = list[int](), 0
    while at < len(plan):
        value, at = varint(plan, at)
        counts.append(value)
    groups = [text for letter, text in chunks if letter == "G"]
    made = [frames(group, shape, tensors) for group in groups]
    assert [len(each) for each in made] == counts[2:]
    assert hashlib.blake2b(b"".join(group[1:5] for group in groups)).digest()[:4] == header["digest"]
    return [x for each in made for x in each]
