"""training/cli.py: the command `engram train`."""

from __future__ import annotations

import json
import os
import signal

import pytest
from click.testing import CliRunner

from tests.pictures import folder_of_pictures
from training import checkpoint
from training.cli import train
from training.errors import RecipeError, TrainingError

RECIPE = """
name = "tiny"
[data]
train = "pictures"
[prior]
width = 8
hidden = 6
schedule = {steps = 2, batch = 1, crop = 32}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder_of_pictures(tmp_path / "pictures", (40, 40), (20, 90))
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path


def run(*arguments: str):
    return CliRunner().invoke(train, ["tiny.toml", "--threads", "1", *arguments])


def test_a_recipe_becomes_a_checkpoint(here):
    result = run()
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [os.path.join("runs", "tiny", "prior.npz")]
    assert "left out 1 pictures with a side below 32" in result.stderr
    assert checkpoint.load(here / "runs" / "tiny" / "prior.npz").card["step"] == 2
    assert json.loads((here / "runs" / "tiny" / "metrics.jsonl").read_text())["done"] is True


def test_a_run_is_not_replaced_unasked(here):
    assert run("--out", "mine").exit_code == 0
    before = (here / "mine" / "prior.npz").read_bytes()
    refused = run("--out", "mine")
    assert refused.exit_code == 2
    assert "--resume goes on with it, --fresh replaces it" in refused.stderr
    assert (here / "mine" / "prior.npz").read_bytes() == before
    assert run("--out", "mine", "--resume").exit_code == 0
    assert (here / "mine" / "prior.npz").read_bytes() == before
    assert run("--out", "mine", "--fresh").exit_code == 0


def test_data_and_length_can_be_given(here):
    folder_of_pictures(here / "others", (32, 32))
    (here / "pictures").rename(here / "moved")
    result = run("--data", "others", "--validation", "moved", "--minutes", "0.001")
    assert result.exit_code == 0, result.output
    card = checkpoint.load(here / "runs" / "tiny" / "prior.npz").card
    assert card["recipe"]["prior"]["schedule"]["minutes"] == 0.001
    assert "validation" in json.loads((here / "runs" / "tiny" / "metrics.jsonl").read_text().splitlines()[-1])


def test_weights_can_be_taken_from_another_run(here):
    assert run("--out", "one").exit_code == 0
    result = run("--out", "two", "--warm-start", os.path.join("one", "prior.npz"))
    assert result.exit_code == 0, result.output


def test_mistakes_are_named(here):
    (here / "tiny.toml").write_text(RECIPE.replace("width", "widht"))
    error = run().exception
    assert isinstance(error, RecipeError)
    assert "tiny.toml: prior: unknown key 'widht'" in str(error)
    assert run("--minutes", "0").exit_code == 2
    assert run("--warm-start", "nothing.npz").exit_code == 2


def test_an_interrupt_saves_the_state(here, monkeypatch):
    from training import loop

    plain = loop.PriorTask.loss

    def interrupted(task, rng, progress):
        os.kill(os.getpid(), signal.SIGINT)
        return plain(task, rng, progress)

    monkeypatch.setattr(loop.PriorTask, "loss", interrupted)
    before = signal.getsignal(signal.SIGINT)
    stopped = run()
    assert isinstance(stopped.exception, TrainingError)
    assert "--resume goes on from it" in str(stopped.exception)
    assert checkpoint.load(here / "runs" / "tiny" / "prior.npz").card["step"] == 1
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert run("--resume").exit_code == 0
    assert checkpoint.load(here / "runs" / "tiny" / "prior.npz").card["step"] == 2
