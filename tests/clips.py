"""Small clips for tests."""

from __future__ import annotations

import numpy as np


def moving(frames: int, height: int, width: int, channels: int = 3) -> list[np.ndarray]:
    """Smooth waves that move: (height, width) or (height, width, 3) uint8."""
    i, j = np.mgrid[:height, :width] / 8.0
    made = []
    for t in range(frames):
        red, green = 128 + 80 * np.sin(i + t / 2), 128 + 80 * np.cos(j - t / 2)
        x = np.stack((red, green, (red + green) / 2), axis=2)
        made.append(np.rint(x[..., 0] if channels == 1 else x).astype(np.uint8))
    return made


def psnr(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    """Of two clips of 8 bits, in dB."""
    error = np.mean((np.stack(one).astype(float) - np.stack(other)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))
