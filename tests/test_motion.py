"""codec/motion.py: the frame that vectors make of the one before it, in exact integers."""

from __future__ import annotations

import numpy as np
import pytest

from codec import motion
from codec.motion import CELL, FARTHEST, FILTERS, WINDOW, predict
from codec.transform import FRACTION

RNG = np.random.default_rng(0)


def field(h: int, w: int, vector: tuple[int, int]) -> np.ndarray:
    return np.tile(np.array(vector), (2 * h, 2 * w, 1))


def naive(x: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Loops over cells and samples, in Python's integers."""
    height, width, channels = x.shape
    rows, columns = vectors.shape[:2]
    sums = np.zeros((CELL * rows, CELL * columns, channels), dtype=object)

    def sample(y: int, u: int, c: int) -> int:
        (i, fy), (j, fx) = divmod(y, 4), divmod(u, 4)
        at = lambda a, b: int(x[min(max(a, 0), height - 1), min(max(b, 0), width - 1), c])  # noqa: E731
        down, right = FILTERS[fy].astype(int), FILTERS[fx].astype(int)
        run = [sum(int(right[t]) * at(i - 3 + s, j - 3 + t) for t in range(8)) for s in range(8)]
        if fx == 0:
            run = [64 * at(i - 3 + s, j) for s in range(8)]
        if fy == 0:
            return run[3]
        total = sum(int(down[s]) * run[s] for s in range(8))
        return (total + 32) // 64 if fx else total // 64

    for i in range(-1, rows + 1):
        for j in range(-1, columns + 1):
            v = vectors[min(max(i, 0), rows - 1), min(max(j, 0), columns - 1)]
            for a in range(16):
                for b in range(16):
                    y, u = CELL * i - 4 + a, CELL * j - 4 + b
                    if 0 <= y < CELL * rows and 0 <= u < CELL * columns:
                        for c in range(channels):
                            value = sample(4 * y + int(v[0]), 4 * u + int(v[1]), c)
                            sums[y, u, c] += int(WINDOW[a] * WINDOW[b]) * value
    return np.clip((sums + 128) // 256, 0, 255 << FRACTION).astype(np.int64)


def test_windows_and_filters_add_up():
    assert (WINDOW[:8] + WINDOW[8:] == 16).all()
    assert (FILTERS.sum(axis=1) == 64).all()
    most = np.abs(FILTERS).sum(axis=1).max()
    assert 255 * most**2 < 1 << 24
    assert 256 * 255 * most**2 / 64 + 128 < 1 << 24


def test_prediction_is_the_loops():
    x = RNG.integers(0, 256, (13, 21, 1), np.uint8)
    vectors = RNG.integers(-30, 31, (2, 4, 2))
    np.testing.assert_array_equal(predict(x, vectors), naive(x, vectors))
    vectors[:, :3] = vectors[0, 0]  # most cells alike
    np.testing.assert_array_equal(predict(x, vectors), naive(x, vectors))


@pytest.mark.parametrize("vector", [(0, 0), (8, -12), (-400, 4 * 37)])
def test_whole_vectors_copy_pixels_and_the_border_goes_on(vector):
    x = RNG.integers(0, 256, (37, 50, 3), np.uint8)
    rows = np.clip(np.arange(48) + vector[0] // 4, 0, 36)
    columns = np.clip(np.arange(64) + vector[1] // 4, 0, 49)
    np.testing.assert_array_equal(predict(x, field(3, 4, vector)), x[rows[:, None], columns].astype(int) << FRACTION)


def test_fractions_move_a_smooth_picture_by_as_much():
    i, j = np.mgrid[:64, :64]
    wave = lambda shift: 128 + 90 * np.sin((j + shift) / 5) * np.cos(i / 7)  # noqa: E731
    found = predict(np.rint(wave(0)).astype(np.uint8)[..., None], field(4, 4, (0, 3)))[8:-8, 8:-8, 0] / 64
    assert np.abs(found - wave(0.75)[8:-8, 8:-8]).max() < 1


def test_the_largest_vectors_and_the_hardest_pixels_stay_exact():
    x = (255 * RNG.integers(0, 2, (40, 40, 1))).astype(np.uint8)
    vectors = RNG.choice([-FARTHEST, -FARTHEST + 1, 1, 2, 3, FARTHEST], (6, 6, 2))
    np.testing.assert_array_equal(predict(x, vectors), naive(x, vectors))


def test_strips_do_not_show(monkeypatch):
    x = RNG.integers(0, 256, (64, 80, 3), np.uint8)
    vectors = RNG.integers(-30, 31, (8, 10, 2))
    whole = predict(x, vectors)
    monkeypatch.setattr(motion, "STRIP", 1)
    np.testing.assert_array_equal(predict(x, vectors), whole)
