"""Clips are taken apart into things and their ways."""

from __future__ import annotations

import numpy as np
import pytest

from codec.tracks import FAR, Sprite, compose, find_sprites


def bar(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (height, width)).astype(np.uint8)


def straight(start: tuple[int, int], move: tuple[int, int], frames: int) -> np.ndarray:
    return np.array(start) + np.arange(frames)[:, None] * np.array(move)


def test_what_is_brighter_is_in_front():
    low, high = (
        Sprite(np.full((2, 2), 9, np.uint8), np.zeros((1, 2), int)),
        Sprite(np.array([[7, 10]], np.uint8), np.ones((1, 2), int)),
    )
    assert compose([low, high], (1, 3, 3))[0].tolist() == [[9, 9, 0], [9, 9, 10], [0, 0, 0]]


@pytest.mark.parametrize("corner", [(-2, -1), (3, 5), (-9, 0), (9, 0), (0, -40), (0, 40)])
def test_things_may_stand_over_the_border(corner):
    sprite = Sprite(bar(3, 4), np.array([corner]))
    wide = compose([Sprite(sprite.pixels, sprite.corners + 50)], (1, 110, 110))
    np.testing.assert_array_equal(compose([sprite], (1, 5, 7)), wide[:, 50:55, 50:57])


def test_two_things_that_cross_are_found_with_their_ways():
    things = [Sprite(bar(6, 5), straight((2, 3), (2, 1), 10)), Sprite(bar(4, 7, 1), straight((20, 4), (-2, 1), 10))]
    frames = compose(things, (10, 32, 32))
    found = find_sprites(frames)
    assert found is not None
    np.testing.assert_array_equal(compose(found, frames.shape), frames)
    ways = {tuple(np.diff(sprite.corners, axis=0).ravel().tolist()) for sprite in found}
    assert ways == {(2, 1) * 9, (-2, 1) * 9}


def test_things_that_touch_in_every_frame_are_told_apart():
    things = [Sprite(bar(20, 4), straight((2, 10), (0, 1), 6)), Sprite(bar(4, 20, 1), straight((8, 2), (1, 0), 6))]
    frames = compose(things, (6, 32, 32))
    found = find_sprites(frames)
    assert found is not None
    np.testing.assert_array_equal(compose(found, frames.shape), frames)


def test_what_does_not_move_as_a_whole_is_no_sprite():
    frames = np.random.default_rng(0).integers(0, 256, (4, 16, 16)).astype(np.uint8)
    assert find_sprites(frames) is None


def test_what_moves_too_far_in_a_frame_is_no_sprite():
    slow = compose([Sprite(bar(3, 3), straight((0, 0), (FAR, 0), 4))], (4, 24, 24))
    fast = compose([Sprite(bar(3, 3), straight((0, 0), (FAR + 3, 0), 4))], (4, 30, 30))
    assert find_sprites(slow) is not None
    assert find_sprites(fast) is None
