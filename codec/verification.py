"""Whether a file decodes to what it was made from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from codec.errors import Desync
from codec.image import measure_psnr
from codec.picture import Image

__all__ = ["verification"]


def verification(image: Image, decoded: Image, bound: int | None) -> tuple[dict[str, Any], str]:
    """Compare a picture with what its file decodes to.

    Parameters
    ----------
    bound : largest error that a sample of colour may have; None for a lossy file

    Returns
    -------
    facts, by name, and the same in words

    Raises
    ------
    Desync
        Something is not kept that has to be: the file must not be written.
    """
    for name in ("alpha", "palette"):
        one, other = getattr(image, name), getattr(decoded, name)
        if (one is None) != (other is None) or (one is not None and not np.array_equal(one, other)):
            raise Desync(f"what was encoded does not decode to the {name} of the input")
    if (image.icc, image.exif) != (decoded.icc, decoded.exif):
        raise Desync("what was encoded does not decode to the ICC profile and EXIF of the input")
    if bound is None:
        psnr = measure_psnr(image.colour, decoded.colour)
        return {"psnr": psnr if math.isfinite(psnr) else None}, f"{psnr:.2f} dB"
    if decoded.bit_depth != image.bit_depth or decoded.colour.shape != image.colour.shape:
        raise Desync("what was encoded does not decode to the size and bit depth of the input")
    error = largest_difference(image.colour, decoded.colour)
    if error > bound:
        raise Desync(f"a sample is {error} off, and at most {bound} was asked for")
    return {"max_error": error}, "exact" if bound == 0 else f"within {error}"


def largest_difference(x: Any, y: Any) -> int:
    """max |x - y| over two arrays of unsigned integers of one shape, strip by strip."""
    rows = max(1, (1 << 22) // max(1, x[0].size))
    strips = (slice(top, top + rows) for top in range(0, len(x), rows))
    return max(int(np.abs(x[s].astype(np.int32) - y[s].astype(np.int32)).max()) for s in strips)
