"""codec/digest.py: one digest for one picture, on every machine."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace

import numpy as np

from codec.digest import digest, sample_bytes
from codec.picture import Image


def test_the_digest_is_blake2b_over_shape_and_little_endian_samples():
    colour = np.array([[[1, 2, 3], [256, 5, 65535]]], np.uint16)
    alpha = np.array([[7, 8]], np.uint16)
    message = struct.pack("<III6H", 1, 2, 3, 1, 2, 3, 256, 5, 65535)
    assert digest(Image(colour)) == hashlib.blake2b(message).digest()[:4]
    assert digest(Image(colour, alpha)) == hashlib.blake2b(message + struct.pack("<2H", 7, 8)).digest()[:4]


def test_samples_are_bytes_of_the_same_order_however_they_lie_in_memory():
    x = np.arange(24, dtype=np.uint16).reshape(2, 4, 3) * 999
    for same in (x, x.astype(">u2"), np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x[::-1].copy()[::-1]):
        assert bytes(sample_bytes(same)) == struct.pack("<24H", *x.ravel().tolist())
    bytes_of = x.astype(np.uint8)
    assert bytes(sample_bytes(bytes_of)) == bytes_of.tobytes()


def test_the_digest_sees_shape_colour_and_alpha_and_nothing_else():
    x = Image(np.zeros((4, 6, 1), np.uint8))
    others = [
        Image(np.zeros((6, 4, 1), np.uint8)),
        Image(np.zeros((4, 2, 3), np.uint8)),
        Image(np.eye(4, 6, dtype=np.uint8)[..., None]),
        replace(x, alpha=np.zeros((4, 6), np.uint8)),
        replace(x, alpha=np.eye(4, 6, dtype=np.uint8)),
    ]
    assert len({digest(each) for each in (x, *others)}) == 6
    assert digest(replace(x, icc=b"profile", exif=b"II*\0", notices=("read",), bit_depth=5)) == digest(x)
