"""training/digits.py: from a file of digits to a model that codes clips of them, by `engram train digits`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from codec.model import load_model
from codec.video import decode_video, encode_video
from tests.pictures import samples
from training import checkpoint, loop
from training.cli import export, train
from training.config import parse_recipe
from training.digits import StyleTask, WaysTask, hold_back
from training.errors import CheckpointError, DataError
from training.moving_mnist import moving_mnist

RECIPE = """
name = "tiny"
log_steps = 5
evaluate_steps = 10
[data]
train = "digits.npz"
validation_pictures = 6
[style]
width = 8
schedule = {steps = 20, batch = 4, warmup = 2, learning_rate = 1e-2}
[ways]
width = 16
schedule = {steps = 20, batch = 32, warmup = 2, learning_rate = 1e-2}
"""


def digits(count: int = 30) -> np.ndarray:
    """Things of few greys, one like the other, over black."""
    shape = samples("noise", (28, 28, 1))[..., 0] // 64 * 85
    shape[:6] = shape[-6:] = 0
    which = np.random.default_rng(0).random((count, 28, 28)) < 0.05
    return np.where(which, 0, shape).astype(np.uint8)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("digits.npz", train_images=digits(), test_images=digits(5))
    Path("tiny.toml").write_text(RECIPE)
    return tmp_path


def run(*arguments: str, command=train, code: int = 0):
    result = CliRunner().invoke(command, [*arguments])
    assert result.exit_code == code, result.output
    return result


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def validation(folder: Path, stage: str) -> list[dict]:
    return [line["validation"] for line in lines(folder) if line["stage"] == stage and "validation" in line]


def test_a_file_of_digits_becomes_a_model_that_codes_clips(here):
    result = run("tiny.toml", "--threads", "1", "--out", "run")
    assert "6 of the digits are held back" in result.stderr
    looks, ways = (validation(here / "run", stage) for stage in ("style", "ways"))
    assert looks[-1]["bytes"] < looks[0]["bytes"]
    assert ways[-1]["bits"] < ways[0]["bits"] < 7
    assert [line["step"] for line in lines(here / "run") if "loss" in line] == [5, 10, 15, 20] * 2
    model = load_model(here / "run" / "tiny.egmm")
    clip = moving_mnist(digits(), 1, 0, frames=6)[0]
    data = encode_video(list(clip), lossless=True, model=model)
    np.testing.assert_array_equal(np.stack(list(decode_video(data, model=model))), clip)

    parts = [str(here / "run" / f"{stage}.npz") for stage in ("ways", "style")]
    run(*parts, "-o", "again.egmm", "--recipe", "tiny.toml", command=export)
    assert (here / "again.egmm").read_bytes() == (here / "run" / "tiny.egmm").read_bytes()
    run(*parts, "-o", "named.egmm", command=export)
    assert load_model(here / "named.egmm").name == "digits"
    lacking = run(parts[0], "-o", "no.egmm", command=export, code=1).exception
    assert isinstance(lacking, CheckpointError)
    assert "also needs a checkpoint of the stage style" in str(lacking)


def test_digits_to_validate_with_can_be_given(here):
    result = run("tiny.toml", "--threads", "1", "--validation", "digits.npz")
    assert "held back" not in result.stderr
    assert validation(here / "runs" / "tiny", "style")


def test_stopped_and_resumed_is_the_same_run_bit_for_bit(tmp_path):
    recipe, (seen, unseen) = parse_recipe(RECIPE), hold_back(digits(), 6)
    asked = iter(range(1000))
    loop.train(recipe, seen, unseen, tmp_path / "a")
    assert len(loop.train(recipe, seen, unseen, tmp_path / "b", stop=lambda: next(asked) >= 27)) == 1
    torch.manual_seed(99)
    assert len(loop.train(recipe, seen, unseen, tmp_path / "b", resume=True)) == 2
    for stage in ("style", "ways"):
        a, b = (checkpoint.load(tmp_path / each / f"{stage}.npz").arrays for each in "ab")
        assert a.keys() == b.keys()
        assert [name for name in a if a[name].tobytes() != b[name].tobytes()] == []


def test_losses_are_bits_and_evaluations_do_not_depend_on_the_training(tmp_path):
    recipe, (seen, unseen) = parse_recipe(RECIPE), hold_back(digits(), 6)
    style, ways = StyleTask(recipe.style, recipe, seen, unseen), WaysTask(recipe.ways, recipe, seen, unseen)
    found = 784 / 8 * float(style.loss(np.random.default_rng(0), 0.0).detach())
    assert found == pytest.approx(style.evaluate()["bytes"], rel=0.2)
    assert float(ways.loss(np.random.default_rng(0), 0.0).detach()) == pytest.approx(ways.evaluate()["bits"], rel=0.1)
    assert ways.evaluate() == ways.evaluate()
    assert StyleTask(recipe.style, recipe, seen, None).evaluate() is None


def test_digits_of_another_size_are_refused():
    recipe = parse_recipe(RECIPE)
    with pytest.raises(DataError, match=r"expected digits of 28 x 28 pixels, .* got \(3, 16, 16\)"):
        StyleTask(recipe.style, recipe, np.zeros((3, 16, 16), np.uint8), None)


@pytest.mark.parametrize(("count", "held"), [(30, 6), (8, 4), (1, 0)])
def test_the_last_digits_are_held_back_and_never_more_than_half(count, held):
    seen, unseen = hold_back(digits(count), 6)
    assert (len(seen), len(unseen)) == (count - held, held)
    np.testing.assert_array_equal(np.concatenate([seen, unseen]), digits(count))
