"""The digest by which a decoder knows that its pixels are the encoder's."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.picture import Image

__all__ = ["digest", "sample_bytes"]


def digest(image: Image) -> bytes:
    """First 4 bytes of BLAKE2b over height, width, channels (u32 each), colour, and alpha if there is one."""
    h = hashlib.blake2b(struct.pack("<III", *image.colour.shape))
    h.update(sample_bytes(image.colour))
    if image.alpha is not None:
        h.update(sample_bytes(image.alpha))
    return h.digest()[:4]


def sample_bytes(samples: NDArray[Any]) -> memoryview:
    """Samples as bytes, one of each or two, little endian."""
    return np.ascontiguousarray(samples, dtype=samples.dtype.newbyteorder("<")).data.cast("B")
