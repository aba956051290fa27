"""Pictures from seeds: what the conformance pack and many tests are made of, so that they need no data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["picture"]


def picture(height: int, width: int, channels: int = 3, seed: int = 0, noise: float = 4.0) -> NDArray[np.uint8]:
    """Waves, blobs, an edge, stripes and noise of `noise` grey levels: (height, width, channels) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 64.0
    colours = 0.6 + 0.4 * rng.random((8, channels))  # of each part: mostly grey, as photographs are
    a = rng.random((8, 4))
    parts = [np.sin(6 * (a[i, 0] - 0.5) * x + 6 * (a[i, 1] - 0.5) * y + 6 * a[i, 2]) for i in range(3)]
    parts += [2 * np.exp(-8 * ((x - 2 * a[i, 0]) ** 2 + (y - 2 * a[i, 1]) ** 2)) for i in (3, 4)]
    parts += [np.where(x * a[5, 0] + y * a[5, 1] > a[5, 2], 1.0, -1.0)]
    parts += [0.5 * np.sin(40 * a[6, 0] * x + 20 * a[6, 1] * y) * (x > a[6, 2])]
    parts += [0.4 * np.sin((9 + 30 * a[7, 0]) * (x**2 + (y - a[7, 1]) ** 2))]
    smooth = 128 + 28 * sum(part[..., None] * colour for part, colour in zip(parts, colours, strict=True))
    grain = (rng.random((4, height, width, channels)).sum(0) - 2) * noise * 3**0.5  # about Gaussian
    return np.asarray(np.clip(np.rint(smooth + grain), 0, 255), np.uint8)
