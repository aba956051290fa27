"""What other formats need for the same pictures: PNG and WebP for each on its own, xz for the samples of all together.

A large set is estimated from some of its pictures, spread evenly. Metadata are left out.
"""

from __future__ import annotations

import io
import lzma
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from codec.packing import Item
from codec.picture import Image
from codec.png import pack_png

__all__ = ["Bill", "bill"]

PICTURES = 300  # that PNG and WebP are tried on
SAMPLES = 1 << 24  # that xz is tried on, about


class Bill(NamedTuple):
    """Bytes by format; WebP is None if it does not hold such pictures. `exact`: none of them is an estimate."""

    png: int
    webp: int | None
    xz: int
    exact: bool


def bill(items: Sequence[Item]) -> Bill:
    """The bill of a set of pictures."""
    some = _spread(len(items), PICTURES)
    png, webp, samples, fits = 0, 0, 0, True
    for number in some:
        image = replace(items[number].image, icc=None, exif=None)
        png, samples = png + len(_png(image)), samples + image.pixels.size
        fits = fits and image.bit_depth <= 8
        webp += len(_webp(image)) if fits else 0
    many = _spread(len(items), max(1, SAMPLES * len(some) // samples))
    packer, xz = lzma.LZMACompressor(preset=6), 0
    for number in many:
        xz += len(packer.compress(np.ascontiguousarray(items[number].image.pixels).tobytes()))
    xz += len(packer.flush())
    png, webp = (value * len(items) // len(some) for value in (png, webp))
    return Bill(png, webp if fits else None, xz * len(items) // len(many), len(some) == len(many) == len(items))


def _spread(total: int, count: int) -> range:
    return range(0, total, -(-total // count))


def _png(image: Image) -> bytes:
    """With Pillow's best filters and deflate where it holds such pictures."""
    if image.palette is not None or image.bit_depth != 8:
        return pack_png(image)
    return _saved(image, "PNG", optimize=True)


def _webp(image: Image) -> bytes:
    return _saved(image.expanded().filled(), "WEBP", lossless=True, exact=True)


def _saved(image: Image, form: str, **options: bool) -> bytes:
    from PIL import Image as pillow

    pixels, stream = np.ascontiguousarray(image.pixels), io.BytesIO()
    pillow.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(stream, form, **options)
    return stream.getvalue()
