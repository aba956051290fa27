"""training/inter.py: inter frames that were recorded cost fewer bits by and by."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from codec.footage import inter
from codec.model import load_model
from codec.photo import photo
from tests.checks import ROOT, conformance_model
from tests.clips import moving
from training.cli import train
from training.config import Data, InterStage, Recipe, Schedule
from training.errors import DataError, RecipeError
from training.inter import InterTask, coded, hold_back
from training.retrieval import Choice
from training.surprises import Surprises, record

SCHEDULE = Schedule(steps=30, batch=2, learning_rate=4e-3)
STAGE = InterStage(schedule=SCHEDULE, width=8, hidden=6)
RECIPE = Recipe(name="tiny", data=Data(train="none"), inter=STAGE)


@functools.cache
def frames() -> Surprises:
    built, clip = photo(conformance_model()), np.stack(moving(3, 48, 64))
    return Surprises.of([frame for index in (15, 50) for frame in record(built, clip, index)])


def task(validation: bool = True) -> InterTask:
    return InterTask(STAGE, RECIPE, frames(), frames() if validation else None)


def test_training_lowers_the_bits():
    own = task()
    before = own.evaluate()
    optimizer = torch.optim.Adam([{"params": p} for p, _ in own.groups()], SCHEDULE.learning_rate)
    for step in range(SCHEDULE.steps):
        optimizer.zero_grad()
        own.loss(np.random.default_rng(step), step / SCHEDULE.steps).backward()
        optimizer.step()
    after = own.evaluate()
    assert after["bits"] < 0.9 * before["bits"]
    assert len(after["bits_per_block"]) == len(before["bits_per_block"])
    assert sum(each is not None for each in after["bits_per_block"]) == 2  # two qualities
    assert own.report()["bpp"]


def test_a_loss_depends_on_its_generator_alone():
    losses = [float(task().loss(np.random.default_rng(seed), 0.0).detach()) for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


def test_every_parameter_is_in_one_group():
    own = task()
    grouped = [id(p) for parameters, _ in own.groups() for p in parameters]
    assert sorted(grouped) == sorted(id(p) for p in own.model.parameters())
    assert {rate for _, rate in own.groups()} == {1.0, STAGE.linear_rate, STAGE.told_rate}


def test_a_frame_costs_bits_where_it_is_live_and_is_decoded_there():
    model, kept = task().model, frames()
    coding = coded(model, kept, 1, Choice(0.5, 1e9))
    live = kept.live[1]
    decoded = coding.y_hat[0].permute(1, 2, 0)
    assert not decoded[~torch.from_numpy(live)].any()
    missed = kept.missed[slice(*kept.starts[1:3])].astype(np.float32)
    assert np.abs(decoded[torch.from_numpy(live)].numpy() - missed).max() < 0.65


def test_without_frames_to_validate_with_nothing_is_reported():
    assert task(validation=False).evaluate() is None


@pytest.mark.parametrize("options", [{"width": 0}, {"hidden": 0}, {"threshold": 0.6}, {"weights": (0.0, 1.0)}])
def test_a_stage_that_makes_no_sense_is_refused(options):
    with pytest.raises(RecipeError):
        InterStage(schedule=SCHEDULE, **options)


def test_the_last_frames_are_held_back():
    kept = frames()
    seen, unseen = hold_back(kept, 100)
    assert (len(seen), len(unseen)) == (len(kept) - 1, 1)
    assert np.array_equal(np.concatenate([seen.known, unseen.known]), kept.known)
    assert coded(task().model, unseen, 0, Choice()).bits.sum() > 0
    with pytest.raises(DataError, match="not enough"):
        hold_back(unseen, 1)


def test_recorded_frames_and_a_photo_model_become_a_model_of_video(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames.npz").write_bytes(frames().getvalue())
    schedule = "[inter.schedule]\nsteps = 2\nbatch = 1\nlearning_rate = 1e-4\n"
    recipe = f'name = "tiny"\n[data]\ntrain = "frames.npz"\n[inter]\nwidth = 16\nhidden = 10\n{schedule}'
    (tmp_path / "tiny.toml").write_text(recipe)
    start = ROOT / "bitstreams" / "v1" / "conformance.egmm"
    arguments = ["tiny.toml", "--threads", "1", "--out", "run", "--warm-start", str(start)]
    result = CliRunner().invoke(train, arguments)
    assert result.exit_code == 0, result.output
    model = load_model(tmp_path / "run" / "tiny.egmm")
    prior, photos = inter(model), photo(conformance_model()).prior
    assert prior.width == photos.width
    near = [np.abs(prior.condition - photos.condition).max(), np.abs(prior.condition).max()]
    assert near[0] < 0.1 * near[1]  # two small steps from where it started
