"""codec/context.py: the first state is made of what both sides know of an inter frame."""

from __future__ import annotations

import numpy as np
import pytest

from codec.codebook import SLICES
from codec.context import Hints
from codec.errors import ModelError
from codec.features import energies, features_of
from codec.footage import build, inter
from codec.intnet import pattern
from tests.checks import conformance_video

SHAPE = (5, 7)
BLOCKS = SHAPE[0] * SHAPE[1]


def hints(seed: int = 0) -> Hints:
    rng = np.random.default_rng(seed)
    known, before = (rng.integers(-spread, spread + 1, (BLOCKS, SLICES[-1].stop)) for spread in (300, 20))
    return Hints(known, before)


def start(told: Hints, live: np.ndarray | None = None, index: int = 30) -> np.ndarray:
    prior = inter(conformance_video())
    every = np.ones(BLOCKS, np.bool_) if live is None else live
    return prior.context.start(told, SHAPE, every, prior.condition[index, : prior.width])


def test_the_state_is_a_map_of_integers_within_its_clip():
    state = start(hints())
    assert state.shape == (*SHAPE, inter(conformance_video()).width)
    assert np.array_equal(state, np.rint(state))
    assert np.abs(state).max() <= 127


def test_all_that_is_known_counts_and_reaches_the_neighbours_and_no_further():
    told, middle = hints(), 2 * SHAPE[1] + 3
    near = np.zeros(SHAPE, np.bool_)
    near[1:4, 2:5] = True
    known, before, live = told.known.copy(), told.before.copy(), np.ones(BLOCKS, np.bool_)
    known[middle], before[middle], live[middle] = 3000, 3000, False
    for other in (start(Hints(known, told.before)), start(Hints(told.known, before)), start(told, live)):
        changed = (other != start(told)).any(axis=2)
        assert changed.any()
        assert not (changed & ~near).any()


def test_quality_counts():
    assert not np.array_equal(start(hints(), index=0), start(hints(), index=63))


def test_numbers_of_any_size_are_known():
    far = np.full((BLOCKS, SLICES[-1].stop), 1 << 40)
    assert np.array_equal(start(Hints(far, -far)), start(Hints(-far, far)))


@pytest.mark.parametrize("number", range(1, len(SLICES)))
def test_a_slice_is_told_the_features_of_the_prediction_block_by_block(number):
    told, at = hints(), np.array([3, 4, 19])
    part = SLICES[number]
    whole = features_of(number, told.known[:, part.start : part.stop])
    assert np.array_equal(told.of(number, at), whole[at])


def test_there_is_an_energy_for_each_group():
    values = pattern((3, SLICES[-1].stop), -500, 500)
    found, at = energies(values), 0
    for part in SLICES[1:]:
        sums = np.abs(values[:, part.start : part.stop]).reshape(3, part.groups, part.dim).sum(2)
        expected = np.minimum(127, np.rint(16 * np.log2(1 + sums / 4)))
        assert np.abs(found[:, at : at + part.groups] - expected).max() <= 1
        at += part.groups
    assert found.shape[1] == at


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("context.0.weight.0", lambda t: t[..., :-1], "expected integers"),
        ("context.0.bias", lambda t: t[:-1], "expected integers"),
        ("context.1.bias", lambda t: t[:-1], "expected integers"),
        ("context.1.bias", lambda t: np.zeros(1025, int), "1 to 1024"),
        ("context.1.shift", lambda t: t * 0 + 52, r"2\^53"),
        ("slices.4.hidden.weight.2", lambda t: t[..., :-1], "expected integers"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(name, change, message):
    tensors = dict(conformance_video().tensors)
    with pytest.raises(ModelError, match=message):
        build(tensors | {name: change(tensors[name])})
