"""tools/trajectories.py: snapshots, and runs that go on where they were."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests.pictures import digits
from tools.image_sets import load
from tools.information_plane import LEE_JO, TAPIA_ESTEVEZ, mutual_information
from tools.rate_distortion import MeasureError
from tools.species import SPECIES, Training
from tools.trajectories import Trajectory, follow, snapshots
from training import checkpoint

KERNELS = (LEE_JO, TAPIA_ESTEVEZ)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("trajectories") / "digits.npz"
    np.savez(path, **digits(300, 30))
    return load(path)


def run(images, path, name="shallow", steps=12, **options):
    options = {"samples": 20, "count": 6} | options
    return follow(Training(SPECIES[name], images, 0), steps, KERNELS, path, **options)


def test_snapshots_are_dense_at_first_and_even_later():
    found = snapshots(30_000)
    assert 250 < len(found) <= 300
    assert (found[0], found[-1]) == (0, 30_000)
    assert set(range(10)) < set(found.tolist())
    assert np.diff(found).max() <= 30_000 / 149 + 1
    for steps, count in ((1, 4), (2, 300), (7, 300), (50, 5)):
        short = snapshots(steps, count)
        assert (short[0], short[-1]) == (0, steps)
        assert len(set(short.tolist())) == len(short) <= count + 1


def test_what_is_measured_is_the_network_before_the_step(images, tmp_path):
    found = run(images, tmp_path / "a.npz", "deep")
    fresh = Training(SPECIES["deep"], images, 0)
    layers = fresh.look(0, 20)
    x = images.test_images[:20] / 255
    for place, name in enumerate(found.layers):
        t = layers.hidden[name].numpy()
        pair = mutual_information(x, t), mutual_information(t, layers.output.numpy())
        assert found.bits[0, 0, place] == pytest.approx(pair, abs=1e-12)
    assert found.test[0] == fresh.test(0)
    assert found.steps.tolist() == snapshots(12, 6).tolist()
    assert found.bits.shape == (len(found.steps), 2, 5, 2)


@pytest.mark.parametrize("name", SPECIES)
def test_an_interrupted_run_goes_on_bit_for_bit(name, images, tmp_path):
    whole = run(images, tmp_path / "whole.npz", name)
    for cut in (0, 5, 12):
        path = tmp_path / f"{cut}.npz"
        answers = iter([False] * cut + [True])
        assert run(images, path, name, stop=lambda answers=answers: next(answers)) is None
        again = run(images, path, name)
        for field in dataclasses.fields(Trajectory):
            assert np.array_equal(getattr(again, field.name), getattr(whole, field.name)), field.name
        states = [checkpoint.load(each).model for each in (path, tmp_path / "whole.npz")]
        assert all(np.array_equal(states[0][key], states[1][key]) for key in states[0])


def test_a_finished_run_is_not_done_again(images, tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    first, before = run(images, path), path.read_bytes()
    monkeypatch.setattr(Training, "learn", lambda *_: pytest.fail("work was done"))
    assert np.array_equal(run(images, path).bits, first.bits)
    assert path.read_bytes() == before
    assert not checkpoint.load(path).part("optimizer/")


def test_another_run_is_not_replaced_unasked(images, tmp_path):
    path = tmp_path / "a.npz"
    run(images, path)
    with pytest.raises(MeasureError, match="steps 12, not 13; choose another folder, or --fresh"):
        run(images, path, steps=13)
    assert run(images, path, steps=13, resume=False).steps[-1] == 13
    path.write_bytes(b"damaged")
    with pytest.raises(MeasureError, match="--fresh"):
        run(images, path)


def test_there_have_to_be_enough_pictures(images, tmp_path):
    with pytest.raises(MeasureError, match="there are 30"):
        run(images, tmp_path / "a.npz", samples=31)


def test_threads_change_nothing(images, tmp_path):
    before = torch.get_num_threads()
    one, two = (run(images, tmp_path / f"{n}.npz", threads=n) for n in (1, 2))
    assert np.array_equal(one.bits, two.bits)
    assert torch.get_num_threads() == before


def test_peak_and_final_are_of_the_input_side():
    bits = np.zeros((5, 1, 1, 2))
    bits[:, 0, 0] = [[0, 9], [5, 9], [3, 9], [2, 1], [4, 1]]
    steps = np.array([0, 10, 50, 96, 100])
    found = Trajectory("shallow", 0, ("Z",), ("gamma 2",), steps, np.ones(5), np.ones(5), bits, 20)
    assert found.peak() == (5.0, 10)
    assert found.final(found.of()[:, 0]) == 3.0
