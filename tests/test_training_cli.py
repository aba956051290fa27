"""training/cli.py: the commands `engram train` and `engram export`."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
from click.testing import CliRunner

from codec.image import decode, encode
from codec.model import load_model
from codec.pixels import Image
from tests.pictures import folder_of_pictures, picture
from training import checkpoint
from training.cli import export, train
from training.errors import CheckpointError, RecipeError, TrainingError

RECIPE = """
name = "tiny"
[data]
train = "pictures"
[prior]
width = 8
hidden = 6
schedule = {steps = 2, batch = 1, crop = 32}
"""
CARD = """
[card]
version = 7
licence = "CC0-1.0"
trained_on = "two pictures of a test"
"""
SYNTHESIS = """
[synthesis]
width = 8
blocks = 1
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
    assert "no model is written: a model also needs a checkpoint of the stage synthesis" in result.stderr
    assert not (here / "runs" / "tiny" / "tiny.egmm").exists()


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


def test_a_recipe_of_both_stages_becomes_a_model_that_codes_pictures(here):
    (here / "tiny.toml").write_text(RECIPE + SYNTHESIS + CARD)
    result = run()
    assert result.exit_code == 0, result.output
    file = here / "runs" / "tiny" / "tiny.egmm"
    model = load_model(file)
    assert f"tiny.egmm: {file.stat().st_size:,} bytes, id {model.id.hex()}" in result.stdout
    assert (model.name, model.card["version"], model.card["licence"]) == ("tiny", 7, "CC0-1.0")
    assert model.card["trained_on"] == "two pictures of a test"
    image = Image(picture(50, 70))
    data = encode(image, model, quality=90)
    decoded = decode(data, model=model).colour  # which are the encoder's pixels: the header has a digest of them
    assert float(np.square(decoded.astype(float) - image.colour).mean()) < 30

    file.replace(here / "base.egmm")
    result = run("--fresh", "--warm-start", "base.egmm")
    assert result.exit_code == 0, result.output
    again = load_model(file)
    assert again.id != model.id
    assert {name: t.shape for name, t in again.tensors.items()} == {n: t.shape for n, t in model.tensors.items()}


def run_export(*arguments: str):
    return CliRunner().invoke(export, [*arguments, "--recipe", "tiny.toml"])


def test_checkpoints_become_a_model(here):
    (here / "tiny.toml").write_text(RECIPE + SYNTHESIS)
    assert run("--out", "run").exit_code == 0
    (here / "run").rename(here / "a")
    parts = os.path.join("a", "synthesis.npz"), os.path.join("a", "prior.npz")
    result = run_export(*parts, "-o", "m.egmm")
    assert result.exit_code == 0, result.output
    written = (here / "m.egmm").read_bytes()
    assert written == (here / "a" / "tiny.egmm").read_bytes()
    assert isinstance(run_export(*parts, "-o", "m.egmm").exception, FileExistsError)
    assert isinstance(run_export(parts[0], "-o", "m.egmm", "-f").exception, CheckpointError)
    assert (here / "m.egmm").read_bytes() == written
    other = run_export("m.egmm", parts[0], "-o", "n.egmm")  # the filter as it was, with a prior from a model
    assert other.exit_code == 0, other.output
    assert [n for n, t in load_model("n.egmm").tensors.items() if (t != load_model("m.egmm").tensors[n]).any()] == []


def test_a_stage_that_is_not_trained_comes_from_the_warm_start(here):
    (here / "tiny.toml").write_text(RECIPE + SYNTHESIS)
    assert run("--out", "one").exit_code == 0
    (here / "tiny.toml").write_text(RECIPE)
    starts = [f"--warm-start={os.path.join('one', stage)}.npz" for stage in ("prior", "synthesis")]
    assert run("--out", "two", *starts).exit_code == 0
    one, two = (load_model(here / folder / "tiny.egmm").tensors for folder in ("one", "two"))
    assert all(np.array_equal(one[name], two[name]) for name in one if name.startswith("restore."))
    assert not all(np.array_equal(one[name], two[name]) for name in one)


def test_no_model_is_made_of_the_scalar_control(here):
    (here / "tiny.toml").write_text(RECIPE.replace("width = 8", "width = 8\nscalar = true") + SYNTHESIS)
    result = run()
    assert result.exit_code == 0, result.output
    assert "no model is written: this prior is the scalar control" in result.stderr
    assert not list(here.rglob("*.egmm"))


def test_mistakes_are_named(here):
    (here / "tiny.toml").write_text(RECIPE.replace("width", "widht"))
    error = run().exception
    assert isinstance(error, RecipeError)
    assert "tiny.toml: prior: unknown key 'widht'" in str(error)
    assert run("--minutes", "0").exit_code == 2
    (here / "tiny.toml").write_text(RECIPE)
    assert "prior: 2 processes cannot share a batch of 1 evenly" in str(run("--processes", "2").exception)
    assert not (here / "runs").exists()
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
