"""codec/lattice.py: phases cover a level, and a view is integers that depend on known pixels alone."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.lattice import (
    AROUND,
    CLIP,
    FLOOR,
    LEVELS,
    MARGIN,
    NEAR,
    OCTAVE,
    PHASES,
    UNIT,
    columns,
    logarithm,
    nearest,
    view,
)
from codec.planes import reversible
from codec.residual import Group, _framed
from tools.synthetic import picture

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(2, 13)


def drawn(rng: np.random.Generator, shape: tuple[int, ...], depth: int, number: int) -> list[np.ndarray]:
    """Planes of a group, with many samples at the ends of their ranges."""
    planes = []
    for plane in range(number):
        low, high = Group(3, depth).range(plane)
        ends = rng.choice([low, high], shape)
        planes.append(np.where(rng.random(shape) < rng.random(), ends, rng.integers(low, high + 1, shape)))
    return planes


def framed(plane: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    return np.pad(plane.astype(dtype) * 4, MARGIN, mode="reflect")


def rows_of(phase: int, height: int, width: int) -> slice:
    return slice(0, PHASES[phase].shape(height, width)[0])


def test_phases_and_the_coarser_level_cover_each_pixel_once():
    for height in range(1, 10):
        for width in range(1, 10):
            covered = np.zeros((height, width), int)
            covered[::2, ::2] += 1
            for phase in PHASES:
                part = covered[phase.top :: 2, phase.left :: 2]
                assert part.shape == phase.shape(height, width)
                part += 1
            assert (covered == 1).all()


@pytest.mark.parametrize("phase", range(3))
def test_neighbours_are_known_pixels_the_nearest_first(phase):
    here = PHASES[phase]
    known = {(0, 0)} | {(before.top, before.left) for before in PHASES[:phase]}
    assert all(((here.top + y) % 2, (here.left + x) % 2) in known for y, x in here.near)
    assert all(max(abs(y), abs(x)) <= MARGIN for y, x in here.near)
    distances = [math.hypot(y, x) for y, x in here.near]
    assert distances == sorted(distances)
    assert len(set(here.near)) == len(here.near) >= NEAR
    assert len(set(distances[:4])) == 1


def test_the_nearest_are_as_many_as_asked_for_or_all_there_are():
    assert nearest(5, lambda y, x: True) == ((0, 0), (-1, 0), (0, -1), (0, 1), (1, 0))
    assert nearest(99, lambda y, x: y == 0 and x < 0, 3) == ((0, -1), (0, -2), (0, -3))


@settings(max_examples=40)
@given(seeds, sides, sides, st.integers(0, 2), st.integers(0, 2))
def test_a_view_does_not_look_at_what_is_not_known_yet(seed, height, width, phase, plane):
    rng = np.random.default_rng(seed)
    planes = drawn(rng, (height, width), 8, plane + 1)
    unknown = np.ones((height, width), bool)
    unknown[::2, ::2] = False
    for before in PHASES[:phase]:
        unknown[before.top :: 2, before.left :: 2] = False
    other = [*planes[:-1], np.where(unknown, rng.integers(0, 256, (height, width)), planes[-1])]
    one, two = (
        view([_framed(each, Group(3, 8)) for each in known], phase, 0, 8, rows_of(phase, height, width))
        for known in (planes, other)
    )
    for name in ("z", "base", "spread", "log"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), name)


@settings(max_examples=40)
@given(sides, sides)
def test_margins_mirror_a_plane_and_keep_the_parity(height, width):
    y, x = np.mgrid[:height, :width]
    for grid, axis in ((y, 0), (x, 1)):
        wide = _framed(grid, Group(1, 8)) / 4
        np.testing.assert_array_equal(wide[MARGIN:-MARGIN, MARGIN:-MARGIN], grid)
        parities = (np.arange(wide.shape[axis]) - MARGIN) % 2
        np.testing.assert_array_equal(wide % 2, np.broadcast_to(np.expand_dims(parities, 1 - axis), wide.shape))


@settings(max_examples=40)
@given(seeds, sides, sides, st.integers(0, 2), st.integers(0, 2), st.integers(1, 16), st.integers(0, 3))
def test_features_are_integers_in_range(seed, height, width, phase, plane, depth, level):
    planes = drawn(np.random.default_rng(seed), (height, width), depth, plane + 1)
    rows = rows_of(phase, height, width)
    seen = view([_framed(each, Group(3, depth)) for each in planes], phase, level, depth, rows)
    assert seen.z.shape == (math.prod(PHASES[phase].shape(height, width)), columns(plane, phase))
    for numbers in (seen.z, seen.base, seen.spread, seen.log):
        np.testing.assert_array_equal(numbers, np.floor(numbers))
    assert np.abs(seen.z).max(initial=0) <= CLIP
    assert seen.spread.min(initial=FLOOR) >= FLOOR


@settings(max_examples=40)
@given(seeds, st.integers(0, 2), st.integers(0, 2), st.integers(1, 12))
def test_float32_holds_all_of_it_exactly_up_to_12_bits(seed, phase, plane, depth):
    planes = drawn(np.random.default_rng(seed), (10, 11), depth, plane + 1)
    one, two = (
        view([framed(each, dtype) for each in planes], phase, 0, depth, rows_of(phase, 10, 11))
        for dtype in (np.float32, np.float64)
    )
    assert (one.z.dtype, two.z.dtype) == (np.float32, np.float64)
    for name in ("z", "base", "spread", "log"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), name)


def by_the_book(known: list[np.ndarray], phase: int, level: int, depth: int, row: int, column: int) -> list[int]:
    """The view of one pixel in Python integers."""
    here, last = PHASES[phase], len(known) - 1
    top, left = MARGIN + here.top + 2 * row, MARGIN + here.left + 2 * column

    def at(plane: int, y: int, x: int) -> int:
        return 4 * int(known[plane][top + y, left + x])

    def log(number: int) -> int:
        exponent = number.bit_length() - 1
        return 16 * exponent + (number * 16 >> exponent) - 16

    near = [at(last, y, x) for y, x in here.near]
    base = sum(near[:4]) // 4
    spread = sum(abs(value - base) for value in near[:NEAR]) + FLOOR
    features, logs = [256 * (value - base) // spread for value in near], []
    around = sorted((y * y + x * x, y, x) for y in range(-3, 4) for x in range(-3, 4))[:AROUND]
    for plane in range(last):
        centre = sum(at(plane, y, x) for y, x in here.near[:4]) // 4
        values = [at(plane, y, x) - centre for _, y, x in around]
        features += [256 * value // spread for value in values]
        logs.append(log(sum(map(abs, values)) + FLOOR))
    zero = 128 + 16 * (depth - 8)
    middle = 4 << (depth - 1) if last == 0 else 0
    features += [log(spread) - zero, (base - middle) * 2**16 // 2 ** (12 + depth)]
    features += [value - zero for value in logs] + [UNIT if level == each else 0 for each in range(LEVELS)]
    return [max(-CLIP, min(CLIP, value)) for value in features] + [base, spread, log(spread)]


@settings(max_examples=40)
@given(seeds, st.integers(0, 2), st.integers(0, 2), st.sampled_from([1, 2, 8, 12, 13, 16]), st.integers(0, 2))
def test_a_view_is_its_definition_in_python_integers(seed, phase, plane, depth, level):
    rng = np.random.default_rng(seed)
    planes = drawn(rng, (7, 6), depth, plane + 1)
    dtype = np.float32 if depth <= 12 else np.float64
    seen = view([framed(each, dtype) for each in planes], phase, level, depth, rows_of(phase, 7, 6))
    padded = [np.pad(each, MARGIN, mode="reflect") for each in planes]
    height, width = PHASES[phase].shape(7, 6)
    for pixel in rng.integers(height * width, size=4):
        found = [*seen.z[pixel], seen.base[pixel], seen.spread[pixel], seen.log[pixel]]
        assert found == by_the_book(padded, phase, level, depth, *divmod(int(pixel), width))


@pytest.mark.parametrize("phase", range(3))
@pytest.mark.parametrize("plane", range(3))
def test_a_network_sees_16_bits_as_it_sees_their_upper_8(phase, plane):
    x = picture(40, 50, 3, noise=8.0).astype(np.uint16)
    seen = []
    for pixels, depth in ((x, 8), (x * 257, 16)):
        planes = [_framed(each, Group(3, depth)) for each in reversible(pixels)[: plane + 1]]
        seen.append(view(planes, phase, 0, depth, rows_of(phase, 40, 50)))
    apart = np.abs(seen[0].z - seen[1].z)
    assert apart.mean() < UNIT / 5  # what FLOOR takes away at 8 bits
    assert np.quantile(apart, 0.99) <= UNIT


@settings(max_examples=40)
@given(seeds, st.integers(0, 2), st.integers(1, 3), st.integers(1, 5))
def test_strips_and_rasters_make_the_view_of_the_whole(seed, phase, rasters, step):
    planes = drawn(np.random.default_rng(seed), (rasters, 9, 8), 8, 2)
    wide = [np.stack([framed(raster) for raster in each]) for each in planes]
    rows = rows_of(phase, 9, 8)
    whole = view(wide, phase, 1, 8, rows).z
    each = [view([w[number] for w in wide], phase, 1, 8, rows).z for number in range(rasters)]
    np.testing.assert_array_equal(whole, np.concatenate(each))
    cuts = [*range(0, rows.stop, step), rows.stop]
    strips = [view([w[0] for w in wide], phase, 1, 8, slice(*cut)).z for cut in pairwise(cuts)]
    np.testing.assert_array_equal(each[0], np.concatenate(strips))


def test_the_logarithm_is_near_the_real_one_and_does_not_fall():
    x = np.concatenate([np.arange(1, 5000), np.geomspace(5000, 2**24, 999).astype(int), 2 ** np.arange(24)])
    x = np.sort(x).astype(np.float64)
    found = logarithm(x)
    assert (np.diff(found) >= 0).all()
    below = OCTAVE * np.log2(x) - found
    assert below.min() >= 0
    assert below.max() <= 1 + 0.0861 * OCTAVE  # a step, and what a chord lies below the curve
    assert logarithm(2.0 ** np.arange(24)).tolist() == list(range(0, 24 * OCTAVE, OCTAVE))
