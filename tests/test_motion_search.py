"""codec/motion_search.py: vectors that make one frame of another."""

from __future__ import annotations

import numpy as np
import pytest

from codec.motion import predict
from codec.motion_search import search


def scene(height: int, width: int, down: float, right: float, channels: int = 3) -> np.ndarray:
    """A smooth picture with much to hold on to, moved."""
    i, j = np.mgrid[:height, :width].astype(float)
    i, j = i + down, j + right
    x = 128 + 50 * np.sin(i / 4 + np.sin(j / 9)) + 50 * np.cos(j / 3.1 + i / 13) + 20 * np.sin(i * j / 300)
    return np.repeat(np.rint(np.clip(x, 0, 255)).astype(np.uint8)[..., None], channels, axis=2)


def still(height: int, width: int) -> np.ndarray:
    return np.zeros((height // 8, width // 8, 2), np.int64)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, -5), (-0.5, 2.25), (17, 20)])
def test_a_moved_picture_is_found(down, right, channels):
    before, now = scene(96, 128, 0, 0, channels), scene(96, 128, down, right, channels)
    vectors, _ = search(now, before, still(96, 128), 4.0)
    inner = vectors[4:-4, 6:-6]
    hits = (np.abs(inner - np.array([4 * down, 4 * right])).max(axis=2) <= 1).mean()
    assert hits > 0.9
    assert np.abs(predict(before, vectors) / 64 - now)[32:-32, 32:-32].mean() < 1.5


def test_what_does_not_move_has_no_vectors():
    x = scene(48, 64, 0, 0)
    noise = np.random.default_rng(0).integers(-2, 3, x.shape)
    vectors, split = search(np.clip(x + noise, 0, 255).astype(np.uint8), x, still(48, 64), 20.0)
    assert not vectors.any()
    assert not split.any()


def test_two_motions_in_a_block_split_it():
    before = np.random.default_rng(1).integers(0, 256, (64, 64, 1), np.uint8)
    now = before.copy()
    now[16:32, 16:24] = before[16:32, 12:20]
    vectors, split = search(now, before, still(64, 64), 1.0)
    assert split[1, 1]
    assert (vectors[2:4, 2] == (0, -16)).all()
    assert not vectors[2:4, 3].any()


def test_the_reference_may_end_inside_a_block():
    before = scene(50, 70, 0, 0)
    now = np.pad(scene(50, 70, 2, 2), ((0, 14), (0, 10), (0, 0)), mode="edge")
    vectors, split = search(now, before, still(64, 80), 4.0)
    assert vectors.shape == (8, 10, 2)
    assert split.shape == (4, 5)
    assert (vectors[2:4, 2:5] == 8).mean() > 0.8
