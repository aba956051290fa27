"""training/moving_mnist.py: the published generator, step by step."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.moving_mnist import Motion, draw_clips, draw_motion, moving_mnist

RNG = np.random.default_rng(3)
DIGITS = RNG.integers(1, 256, (7, 28, 28), np.uint8)  # nowhere black, so that each shows where it is


def one_clip(digits, draws, frames, size, speed):
    """The generator as it is told, digit by digit and pixel by pixel; draws are (count, 4): y, x, angle, which."""
    side = digits.shape[1]
    room = size - side
    clip = np.zeros((frames, size, size), np.uint8)
    for y, x, turn, pick in draws:
        digit = digits[int(pick * len(digits))]
        vy, vx = math.sin(2 * math.pi * turn), math.cos(2 * math.pi * turn)
        for frame in clip:
            y, x = y + vy * speed / room, x + vx * speed / room
            if y <= 0:
                y, vy = 0, -vy
            if y >= 1:
                y, vy = 1, -vy
            if x <= 0:
                x, vx = 0, -vx
            if x >= 1:
                x, vx = 1, -vx
            top, left = int(room * y), int(room * x)
            for i, j in np.ndindex(side, side):
                frame[top + i, left + j] = max(frame[top + i, left + j], digit[i, j])
    return clip


@pytest.mark.parametrize(
    ("side", "size", "count", "speed"), [(28, 64, 2, 3.6), (8, 20, 3, 5.0), (5, 9, 1, 0.5), (3, 5, 2, 7.0)]
)
def test_it_is_the_published_generator(side, size, count, speed):
    digits = DIGITS[:, :side, :side]
    clips = moving_mnist(digits, 3, 11, frames=12, size=size, count=count, speed=speed)
    draws = np.random.default_rng(11).random((3, count, 4))
    expected = np.stack([one_clip(digits, draw, 12, size, speed) for draw in draws])
    assert clips.dtype == np.uint8
    np.testing.assert_array_equal(clips, expected)


def test_the_standard_clip_is_20_frames_of_64_pixels_with_2_digits():
    motion = draw_motion(DIGITS, 4, 0)
    assert moving_mnist(DIGITS, 4, 0).shape == (4, 20, 64, 64)
    assert (motion.which.shape, motion.corners.shape) == ((4, 2), (4, 20, 2, 2))


def test_a_clip_depends_on_the_seed_and_its_number_alone():
    clips = moving_mnist(DIGITS, 5, 1)
    np.testing.assert_array_equal(moving_mnist(DIGITS, 5, 1), clips)
    np.testing.assert_array_equal(moving_mnist(DIGITS, 2, 1), clips[:2])
    np.testing.assert_array_equal(moving_mnist(DIGITS, 2, 1, frames=7), clips[:2, :7])
    assert not np.array_equal(moving_mnist(DIGITS, 5, 2), clips)
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(moving_mnist(DIGITS, 2, rng), clips[:2])
    np.testing.assert_array_equal(moving_mnist(DIGITS, 3, rng), clips[2:])


def test_all_digits_are_drawn():
    which = draw_motion(DIGITS, 200, 0).which
    assert set(which.ravel()) == set(range(7))
    assert (which[:, 0] != which[:, 1]).any()


def test_digits_stay_inside_and_touch_every_border():
    corners = draw_motion(DIGITS, 200, 0).corners.reshape(-1, 2)
    assert corners.min(0).tolist() == [0, 0]
    assert corners.max(0).tolist() == [36, 36]


def test_digits_fly_straight_at_their_speed():
    corners = draw_motion(DIGITS, 200, 0, size=1028).corners.swapaxes(1, 2).reshape(-1, 20, 2)
    free = corners[((corners > 0) & (corners < 1000)).all((1, 2))]
    way = free - free[:, :1]  # from the first frame on
    t = np.arange(20)
    assert len(free) > 300
    assert np.abs(np.hypot(*way.T).T - 3.6 * t).max() < 2**0.5  # two corners, each less than a pixel off
    assert np.abs(way - way[:, -1:] * t[:, None] / 19).max() < 2


def test_digits_turn_at_the_border_and_nowhere_else():
    corners = draw_motion(DIGITS, 300, 5).corners
    steps = np.diff(corners, axis=1)
    turns = steps[:, :-1] * steps[:, 1:] < 0
    places = corners[:, 1:-1][turns]
    assert set(places) == {0, 36}  # onto the border, not past it by what was left of the step
    assert np.abs(steps).max() == 4


def test_the_brighter_pixel_is_seen_where_digits_overlap():
    digits = np.stack((np.full((2, 2), 100, np.uint8), np.array([[90, 200], [200, 90]], np.uint8)))
    corners = np.array([[[[1, 1], [2, 2]], [[0, 0], [0, 0]]]])
    first, second = draw_clips(digits, Motion(np.array([[0, 1]]), corners), 4)[0]
    assert first.tolist() == [[0, 0, 0, 0], [0, 100, 100, 0], [0, 100, 100, 200], [0, 0, 200, 90]]
    assert second[:2, :2].tolist() == [[100, 200], [200, 100]]


@pytest.mark.parametrize("shape", [(0, 28, 28), (28, 28), (3, 28, 27), (3, 64, 64), (3, 0, 0)])
def test_what_are_no_digits_is_refused(shape):
    with pytest.raises(ValueError, match="expected digits"):
        moving_mnist(np.zeros(shape, np.uint8), 1, 0)
