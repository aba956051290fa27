"""Whether a file decodes to what it was made from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.errors import Desync
from codec.image import measure_psnr
from codec.picture import Image

__all__ = ["Comparison", "verification"]


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


class Comparison:
    """Compares a clip with what its file decodes to, frame by frame.

    exact : whether every sample has to be kept
    """

    def __init__(self, *, exact: bool) -> None:
        self._exact, self._frames, self._samples, self._error = exact, 0, 0, 0.0

    def add(self, frame: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> None:
        """Compare the next frames, of one shape each; Desync if they differ and must not."""
        if decoded.shape != frame.shape or (self._exact and not np.array_equal(frame, decoded)):
            raise Desync(f"what was encoded does not decode to frame {self._frames} of the input")
        self._error += float(((frame.astype(np.float32) - decoded) ** 2).sum(dtype=np.float64))
        self._samples += frame.size
        self._frames += 1

    def result(self) -> tuple[dict[str, Any], str]:
        """Facts, by name, and the same in words, after at least one frame; PSNR is over all samples."""
        if self._exact:
            return {"max_error": 0}, "exact"
        if self._error == 0:
            return {"psnr": None}, "inf dB"
        psnr = 10 * math.log10(255**2 * self._samples / self._error)
        return {"psnr": psnr}, f"{psnr:.2f} dB"


def largest_difference(x: Any, y: Any) -> int:
    """max |x - y| over two arrays of unsigned integers of one shape, strip by strip."""
    rows = max(1, (1 << 22) // max(1, x[0].size))
    strips = (slice(top, top + rows) for top in range(0, len(x), rows))
    return max(int(np.abs(x[s].astype(np.int32) - y[s].astype(np.int32)).max()) for s in strips)
