"""The last lines of `make demo`: what a JPEG of the same PSNR takes. Needs the runtime only.

usage: python tools/demo.py ORIGINAL COMPRESSED DECODED
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["jpeg_bytes", "psnr"]


def psnr(a: Image.Image, b: Image.Image) -> float:
    """PSNR over all samples of two RGB pictures, in dB."""
    error = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    return float(10 * np.log10(255**2 / np.mean(error**2)))


def jpeg_bytes(original: Image.Image, target: float) -> int:
    """Size of the smallest JPEG (4:2:0, optimised tables) of at least `target` dB, or else of the best there is."""
    size = 0
    for quality in range(5, 96):
        stream = io.BytesIO()
        original.save(stream, "JPEG", quality=quality, subsampling=2, optimize=True)
        size = len(stream.getvalue())
        with Image.open(stream) as decoded:
            if psnr(original, decoded) >= target:
                break
    return size


if __name__ == "__main__":
    source, stream, picture = map(Path, sys.argv[1:])
    with Image.open(source) as a, Image.open(picture) as b:
        quality = psnr(a, b)
        jpeg = jpeg_bytes(a, quality)
    print(f"original    {source}    {source.stat().st_size:9,} bytes")
    size = stream.stat().st_size
    print(f"compressed  {stream}   {size:9,} bytes at {quality:.2f} dB; a JPEG of this PSNR takes {jpeg:,} bytes")
    print(f"decoded     {picture}: open it beside the original")
