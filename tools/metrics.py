"""How far a decoded picture is from the original, in three measures.

    PSNR         10 log10(255² / MSE), the MSE taken over all pixels and channels together
    MS-SSIM      ∏_j cs_jʷʲ · ssim_M over five scales (Wang, Simoncelli, Bovik 2003), per channel, then the mean
    SSIMULACRA2  the perceptual score of the JPEG XL project, 100 = identical; from the package `ssimulacra2`

A metric takes two uint8 arrays of the same shape (H, W, C), C in {1, 3}, and gives a float, or None where it is not
defined: PSNR of identical pictures, MS-SSIM of a side below 161 pixels, SSIMULACRA2 of a side below 8 pixels.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, SIGMA = 11, 1.5
MS_SSIM_MIN_SIDE = (WINDOW - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1
SSIMULACRA2_MIN_SIDE = 8


def psnr(original: Pixels, decoded: Pixels) -> float | None:
    """Peak signal-to-noise ratio in dB; None for identical pictures."""
    _same_shape(original, decoded)
    error = original.astype(np.float64) - decoded
    mse = float(np.mean(error * error))
    return 10 * float(np.log10(255**2 / mse)) if mse > 0 else None


def ms_ssim(original: Pixels, decoded: Pixels) -> float | None:
    """Multi-scale structural similarity, 0..1; None if a side is below 161 pixels.

    Window 11, sigma 1.5, borders cut (only whole windows count), 2x2 means between scales; an odd side is padded by one
    line of zeros in front, and negative terms are set to zero. That is what learned-compression papers use
    (the package pytorch-msssim), and the tests hold us to its values.
    """
    _same_shape(original, decoded)
    if min(original.shape[:2]) < MS_SSIM_MIN_SIDE:
        return None
    x = original.transpose(2, 0, 1).astype(np.float64)  # (C, H, W)
    y = decoded.transpose(2, 0, 1).astype(np.float64)
    product = np.ones(len(x))
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale:
            x, y = _halve(x), _halve(y)
        ssim, contrast = _ssim(x, y)
        term = ssim if scale == len(SCALE_WEIGHTS) - 1 else contrast
        product *= np.maximum(term, 0) ** weight
    return float(product.mean())


def ssimulacra2(original: Pixels, decoded: Pixels) -> float | None:
    """SSIMULACRA2 score, at most 100; None if a side is below 8 pixels. Grey pictures are scored as RGB."""
    from ssimulacra2 import compute_ssimulacra2

    _same_shape(original, decoded)
    if min(original.shape[:2]) < SSIMULACRA2_MIN_SIDE:
        return None
    return float(compute_ssimulacra2(_as_file(original), _as_file(decoded)))


def decibels(similarity: float) -> float:
    """MS-SSIM on the scale curves are drawn on: -10 log10(1 - similarity)."""
    return -10 * float(np.log10(max(1 - similarity, 1e-12)))


@dataclass(frozen=True, slots=True)
class Metric:
    """A measure with its name in files, its label, and the scale on which curves and BD-rates use it."""

    name: str
    label: str
    unit: str
    digits: int  # decimals worth printing
    score: Callable[[Pixels, Pixels], float | None]
    scale: Callable[[float], float] = float


METRICS = {
    metric.name: metric
    for metric in (
        Metric("psnr", "PSNR", "dB", 2, psnr),
        Metric("msssim", "MS-SSIM", "dB", 2, ms_ssim, decibels),
        Metric("ssimulacra2", "SSIMULACRA2", "", 1, ssimulacra2),
    )
}


def _ssim(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """SSIM and its contrast-structure term, both (C,): means over all positions of a whole window."""
    from scipy.ndimage import correlate1d

    taps = np.exp(-((np.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * SIGMA**2))
    taps /= taps.sum()
    moments: Any = np.stack([x, y, x * x, y * y, x * y])  # (5, C, H, W)
    for axis in (-2, -1):
        moments = correlate1d(moments, taps, axis=axis, mode="constant")
    cut = slice(WINDOW // 2, -(WINDOW // 2))
    mean_x, mean_y, xx, yy, xy = moments[..., cut, cut]
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    contrast = (2 * (xy - mean_x * mean_y) + c2) / (xx - mean_x**2 + yy - mean_y**2 + c2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * contrast).mean(axis=(-2, -1)), contrast.mean(axis=(-2, -1))


def _halve(x: Floats) -> Floats:
    """Means of 2x2 blocks, (C, H, W) -> (C, ceil(H/2), ceil(W/2))."""
    channels, height, width = x.shape
    x = np.pad(x, ((0, 0), (height % 2, 0), (width % 2, 0)))
    return x.reshape(channels, x.shape[1] // 2, 2, x.shape[2] // 2, 2).mean(axis=(2, 4))


def _as_file(pixels: Pixels) -> io.BytesIO:
    """The picture as an uncompressed file in memory: `ssimulacra2` reads files, and nothing is lost on this way."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).copy()).save(file, "PPM")
    return file


def _same_shape(original: Pixels, decoded: Pixels) -> None:
    if original.shape != decoded.shape or original.ndim != 3:
        raise ValueError(f"a metric compares pictures (H, W, C) of one shape; got {original.shape} and {decoded.shape}")
