"""Small pictures for tests of the training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colours, an edge and some noise: (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    i, j = np.mgrid[:height, :width] / 32.0
    waves = [np.sin(a * i + b * j + c) for a, b, c in rng.uniform(-3, 3, (3, 3))]
    x = 128 + 50 * np.stack(waves, 2) + 40 * (i + j > 2)[..., None] + rng.normal(0, 4, (height, width, 3))
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def folder_of_pictures(folder: Path, *sizes: tuple[int, int], suffix: str = "png") -> Path:
    """Write a picture of each size (height, width); returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (height, width) in enumerate(sizes):
        Image.fromarray(picture(height, width, number)).save(folder / f"{number:02}.{suffix}", lossless=True)
    return folder
