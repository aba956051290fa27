"""Engram: a learned image codec that decodes to the same pixels on every machine.

    data = codec.compress(pixels, quality=75)     # uint8, (H, W) or (H, W, 3), alpha last -> bytes of an .egm file
    data = codec.compress(pixels, max_error=0)    # lossless; uint16, too
    image = codec.decompress(data)                # image.pixels, image.colour, image.alpha, image.icc, image.exif
    pictures = codec.open_archive("set.ega")      # len(pictures), pictures[7]: an array; a data set for torch's loaders
"""  # fmt: skip

from __future__ import annotations

import importlib
import typing

from codec import errors
from codec.errors import *  # noqa: F403
from codec.limits import Limits

if typing.TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from codec.archive import open_archive
    from codec.model import Model, load_model, models
    from codec.picture import Image

__all__ = "Image", "Limits", "Model", "compress", "decompress", "load_model", "models", "open_archive", *errors.__all__
_LATER = {"Image": "picture", "Model": "model", "load_model": "model", "models": "model", "open_archive": "archive"}


def compress(
    image: Image | NDArray[typing.Any],
    *,
    quality: float = 50,
    target_bpp: float | None = None,
    target_psnr: float | None = None,
    max_error: int | None = None,
    model: str | Path | Model | None = None,
    effort: int = 5,
    threads: int = 0,
) -> bytes:
    """Picture -> file: at a quality of 0 .. 100; or the best within `target_bpp`, or the smallest of `target_psnr`; or
    with samples that are at most `max_error` off, where 0 is lossless."""
    from codec.still import encode

    aims: dict[str, typing.Any] = {"quality": quality, "bpp": target_bpp, "psnr": target_psnr, "max_error": max_error}
    return encode(image, **aims, model=model, effort=effort, threads=threads)


def decompress(data: bytes, *, model: Model | None = None, limits: Limits | None = None, threads: int = 0) -> Image:
    """File -> picture. Whatever the bytes are, nothing but a `CodecError` is raised."""
    from codec.still import decode

    return decode(data, model=model, limits=limits or Limits(), threads=threads)


def __getattr__(name: str) -> typing.Any:
    if name not in _LATER:
        raise AttributeError(f"module 'codec' has no attribute {name!r}")
    return getattr(importlib.import_module(f"codec.{_LATER[name]}"), name)
