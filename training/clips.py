"""Short clips to learn inter frames from: pieces of movies, and photos set in motion.

A photo moves as a camera would make it (shift, zoom and turn, at a steady pace), and in some clips a piece of another
photo moves over it. Noise is drawn anew for each frame, as a sensor does, and colour is kept at half the resolution in
most clips, as nearly all cameras do.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from codec.movie import MOVIES, open_movie
from training.data import Photos
from training.errors import DataError

__all__ = ["Movies", "cut", "moved"]

U8 = NDArray[np.uint8]

SHRINK = 2  # movies are made so much smaller, which removes most of what their compression did to them
STILL = 0.3  # share of the clips with a camera that stands still
SHIFT, ZOOM, TURN = 3.0, 0.008, 0.012  # per frame, standard deviations: pixels, logarithm, radians
THING = 0.6  # share of the clips with a thing that moves over the rest
RADII = (16, 70)  # pixels, of a thing
NOISY, NOISE = 0.6, 1.5  # share of the clips with noise; mean of its standard deviation, in grey levels
HALVED = 0.7  # share of the clips with colour at half the resolution


class Movies:
    """The movies of a folder.

    Raises
    ------
    DataError
        There is no such folder, or no movie in it.
    """

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in MOVIES) if folder.is_dir() else []
        if not self.paths:
            raise DataError(f"there is no movie in {folder}; expected files such as .mp4, .mkv or .avi")

    def stretches(self, side: int, length: int) -> list[U8]:
        """All runs of `length` frames, (length, H, W, 3), of movies that are large enough."""
        found: list[U8] = []
        for path in self.paths:
            frames = iter(open_movie(path))
            while (
                len(run := [_shrunk(np.asarray(frame), side) for frame in itertools.islice(frames, length)]) == length
            ):
                if min(run[0].shape[:2]) < side:
                    break
                found.append(np.stack(run))
        return found


def cut(run: U8, rng: np.random.Generator, side: int) -> U8:
    """A square of a run of frames: (T, H, W, 3) -> (T, side, side, 3)."""
    top, left = (int(rng.integers(extent - side + 1)) for extent in run.shape[1:3])
    return run[:, top : top + side, left : left + side]


def moved(photos: Photos, rng: np.random.Generator, side: int, length: int) -> U8:
    """A clip (length, side, side, 3) of a photo that moves, and perhaps of a thing that moves over it."""
    camera = np.zeros(4) if rng.random() < STILL else rng.normal(0, (SHIFT, SHIFT, ZOOM, TURN))
    clip = _panned(_picture(photos, rng), camera, side, length)
    if rng.random() < THING:
        speed = rng.normal(0, (SHIFT, SHIFT, ZOOM, TURN))
        over = _panned(_picture(photos, rng), speed, side, length)
        place, radius = rng.uniform(0, side, 2), rng.uniform(*RADII, 2)
        i, j = np.mgrid[:side, :side]
        for number in range(length):
            x, y = place - speed[:2] * number  # the picture is looked at from a place that moves the other way
            inside = ((i - x) / radius[0]) ** 2 + ((j - y) / radius[1]) ** 2
            opaque = torch.from_numpy(np.clip((1 - inside) * radius.min() / 2, 0, 1)).float()[..., None]
            clip[number] += opaque * (over[number] - clip[number])
    if rng.random() < NOISY:
        spread = rng.exponential(NOISE)
        noise = rng.standard_normal((length, side, side, 1)) + 0.5 * rng.standard_normal((length, side, side, 3))
        clip += torch.from_numpy(spread * noise).float()
    if rng.random() < HALVED:
        clip = _halved(clip)
    whole: U8 = np.asarray(clip.round().clamp(0, 255).byte().numpy())
    return whole


def _picture(photos: Photos, rng: np.random.Generator) -> Tensor:
    pixels = photos[int(rng.integers(len(photos)))]
    return torch.from_numpy(pixels[:: rng.choice((-1, 1))].copy()).float()


def _panned(pixels: Tensor, speed: Sequence[float] | NDArray[np.float64], side: int, length: int) -> Tensor:
    """(length, side, side, 3): a view of a picture that moves at a steady pace (down, right, zoom, turn)."""
    height, width, _ = pixels.shape
    run = torch.arange(side) - (side - 1) / 2
    i, j = torch.meshgrid(run, run, indexing="ij")
    views = []
    for number in range(length):
        when = number - (length - 1) / 2
        scale, angle = math.exp(speed[2] * when), speed[3] * when
        x = scale * (math.cos(angle) * j - math.sin(angle) * i) + speed[1] * when
        y = scale * (math.sin(angle) * j + math.cos(angle) * i) + speed[0] * when
        grid = torch.stack([x / (width / 2), y / (height / 2)], -1)[None].float()
        view = F.grid_sample(
            pixels.permute(2, 0, 1)[None], grid, mode="bicubic", padding_mode="reflection", align_corners=False
        )
        views.append(view[0].permute(1, 2, 0))
    return torch.stack(views)


def _halved(x: Tensor) -> Tensor:
    """Colour at half the resolution, green as luma's stand-in: (T, H, W, 3)."""
    green = x[..., 1:2]
    colour = (x[..., ::2] - green).permute(0, 3, 1, 2)
    coarse = F.interpolate(F.avg_pool2d(colour, 2), scale_factor=2, mode="bilinear", align_corners=False)
    red, blue = (green + coarse.permute(0, 2, 3, 1)).unbind(-1)
    return torch.stack([red, green[..., 0], blue], -1)


def _shrunk(frame: U8, side: int) -> U8:
    """A frame in RGB and made smaller, unless a clip of that side would no longer fit in."""
    if frame.ndim == 2:
        frame = np.repeat(frame[..., None], 3, axis=2)
    if min(frame.shape[:2]) < SHRINK * side:
        return frame
    rows, columns = frame.shape[0] // SHRINK, frame.shape[1] // SHRINK
    cut = frame[: rows * SHRINK, : columns * SHRINK].reshape(rows, SHRINK, columns, SHRINK, 3)
    mean: U8 = np.rint(cut.mean((1, 3))).astype(np.uint8)
    return mean
