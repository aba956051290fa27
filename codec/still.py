"""Still pictures of every kind: which main path they take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from codec import image, lossless
from codec.container import MAGIC, Kind
from codec.errors import UnsupportedInput
from codec.jobs import Progress
from codec.limits import DEFAULT, Limits
from codec.lossless import Crop
from codec.model import Model, load_model
from codec.picture import Image

__all__ = ["decode", "encode"]


def encode(
    picture: Image | NDArray[Any],
    *,
    quality: float,
    bpp: float | None = None,
    psnr: float | None = None,
    max_error: int | None = None,
    model: str | Path | Model | None = None,
    effort: int = 5,
    threads: int = 0,
    progress: Progress | None = None,
) -> bytes:
    """Compress a picture: exactly or within `max_error` if that is given, otherwise lossy.

    Parameters
    ----------
    picture : Image, or an array for `Image.of`
    model : "lossless" or "photo" where none is named
    """
    source = picture if isinstance(picture, Image) else Image.of(picture)
    name = model or ("photo" if max_error is None else "lossless")
    chosen = name if isinstance(name, Model) else load_model(name)
    if max_error is not None:
        return lossless.encode(source, chosen, max_error=max_error, effort=effort, threads=threads, progress=progress)
    if bpp is psnr is None:
        return image.encode(source, chosen, quality=quality, effort=effort, threads=threads, progress=progress)
    return image.encode_to_target(source, chosen, bpp=bpp, psnr=psnr, effort=effort, threads=threads, progress=progress)


def decode(
    data: bytes,
    *,
    model: Model | None = None,
    limits: Limits = DEFAULT,
    threads: int = 0,
    progress: Progress | None = None,
    crop: Crop | None = None,
    preview: bool = False,
) -> Image:
    """Decompress a picture file of any kind; see `image.decode` and `lossless.decode`.

    Parameters
    ----------
    crop : the part that is wanted. Of a lossless file, only the tiles that it lies in are decoded.
    preview : every 8th row and column, which a lossless file holds on its own

    Raises
    ------
    CodecError
        And nothing else, whatever the bytes; for a lossy file with `preview`, too.
    ValueError
        A crop that is not inside the picture.
    """
    kind = data[len(MAGIC) + 1 : len(MAGIC) + 2]
    if kind == bytes([Kind.LOSSLESS]):
        return lossless.decode(
            data, model=model, limits=limits, threads=threads, progress=progress, crop=crop, preview=preview
        )
    if preview and kind == bytes([Kind.PHOTO]):
        raise UnsupportedInput("only a lossless file holds a preview; decompress this one as a whole")
    whole = image.decode(data, model=model, limits=limits, threads=threads, progress=progress)
    if crop is None:
        return whole
    lossless.check_crop(crop, whole.width, whole.height)
    window = (slice(crop.y, crop.y + crop.height), slice(crop.x, crop.x + crop.width))
    alpha = None if whole.alpha is None else whole.alpha[window]
    return replace(whole, colour=whole.colour[window], alpha=alpha)
