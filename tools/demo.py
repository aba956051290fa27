"""The last lines of `make demo`: what a JPEG of the same PSNR takes, and a picture to look at. Needs the runtime only.

usage: python tools/demo.py ORIGINAL COMPRESSED DECODED COMPARISON
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["jpeg_bytes", "jpeg_of", "psnr", "side_by_side"]


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


def jpeg_of(original: Image.Image, size: int) -> tuple[Image.Image, int]:
    """The best JPEG of at most `size` bytes, or else the smallest there is, decoded, and its size."""
    best: tuple[Image.Image, int] | None = None
    for quality in range(1, 96):
        stream = io.BytesIO()
        original.save(stream, "JPEG", quality=quality, subsampling=2, optimize=True)
        found = len(stream.getvalue())
        if best is not None and found > size:
            break
        with Image.open(stream) as decoded:
            best = decoded.convert("RGB"), found
    assert best is not None
    return best


def side_by_side(pictures: list[tuple[Image.Image, str]], scale: int = 2) -> Image.Image:
    """Pictures of one size in a row, enlarged by pixel repetition, each with a line of text below it."""
    width, height = (scale * side for side in pictures[0][0].size)
    line, gap = 14 * scale, 4 * scale
    sheet = Image.new("RGB", (len(pictures) * (width + gap) - gap, height + line), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(8 * scale)
    for i, (picture, text) in enumerate(pictures):
        sheet.paste(picture.convert("RGB").resize((width, height), Image.Resampling.NEAREST), (i * (width + gap), 0))
        draw.text((i * (width + gap), height + 2 * scale), text, fill="black", font=font)
    return sheet


if __name__ == "__main__":
    source, stream, picture, comparison = map(Path, sys.argv[1:])
    with Image.open(source) as a, Image.open(picture) as b:
        quality = psnr(a, b)
        jpeg = jpeg_bytes(a, quality)
        same, same_size = jpeg_of(a, stream.stat().st_size)
        texts = (
            f"original, PNG {source.stat().st_size:,} bytes",
            f"Engram {stream.stat().st_size:,} bytes, {quality:.1f} dB",
            f"JPEG {same_size:,} bytes, {psnr(a, same):.1f} dB",
        )
        side_by_side(list(zip((a, b, same), texts, strict=True))).save(comparison)
    print(f"original    {source}    {source.stat().st_size:9,} bytes")
    size = stream.stat().st_size
    print(f"compressed  {stream}   {size:9,} bytes at {quality:.2f} dB; a JPEG of this PSNR takes {jpeg:,} bytes")
    print(f"decoded     {picture}: open it beside the original")
    print(f"comparison  {comparison}: with a JPEG of as many bytes")
