"""training/loop.py: a run that was stopped and resumed is the run that was not."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import math
import os
import re
import shutil

import pytest
import torch

from tests.pictures import folder_of_pictures
from training import checkpoint, journal, loop
from training.config import Schedule, parse_recipe
from training.data import Photos
from training.errors import CheckpointError, Diverged

RECIPE = """
name = "tiny"
log_steps = 2
evaluate_steps = 4
[data]
train = "pictures"
validation_pictures = 1
[prior]
width = 8
hidden = 6
quantizer = {revive_below = 0.5, revive_every = 2}
schedule = {steps = 6, batch = 2, crop = 32, warmup = 2}
[synthesis]
width = 8
blocks = 1
schedule = {steps = 6, batch = 2, crop = 32, warmup = 2}
"""

LOSSLESS = """
name = "tiny"
log_steps = 2
evaluate_steps = 3
[data]
train = "pictures"
validation_pictures = 1
[residual]
width = 6
schedule = {steps = 5, batch = 2, crop = 16, warmup = 2}
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return Photos(folder_of_pictures(tmp_path_factory.mktemp("photos"), (48, 48), (64, 40)))


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """The folder of a run without a break."""
    out = tmp_path_factory.mktemp("whole")
    assert loop.train(parse_recipe(RECIPE), photos, photos, out) == [out / "prior.npz", out / "synthesis.npz"]
    return out


def stopping_after(steps: int):
    """Says stop when it has been asked `steps` times."""
    asked = iter(range(10**6))
    return lambda: next(asked) >= steps


def arrays(folder, stage):
    return checkpoint.load(folder / f"{stage}.npz").arrays


def metrics(folder):
    """The lines of a run, without times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "minutes"} for line in lines]


def check_same_run(one, other):
    for stage in ("prior", "synthesis"):
        a, b = arrays(one, stage), arrays(other, stage)
        assert a.keys() == b.keys()
        assert [name for name in a if a[name].tobytes() != b[name].tobytes()] == []


@pytest.mark.parametrize("steps", [3, 8])
def test_stopped_and_resumed_is_the_same_run_bit_for_bit(whole, photos, tmp_path, steps):
    recipe = parse_recipe(RECIPE)
    done = loop.train(recipe, photos, photos, tmp_path, stop=stopping_after(steps))
    assert len(done) == steps // 6
    torch.manual_seed(99)  # nothing hangs on the state of a global generator
    assert len(loop.train(recipe, photos, photos, tmp_path, resume=True)) == 2
    check_same_run(whole, tmp_path)


def test_a_lossless_run_that_was_stopped_and_resumed_is_the_same_run(photos, tmp_path):
    recipe, one, two = parse_recipe(LOSSLESS), tmp_path / "one", tmp_path / "two"
    assert loop.train(recipe, photos, photos, one) == [one / "residual.npz"]
    assert loop.train(recipe, photos, photos, two, stop=stopping_after(3)) == []
    torch.manual_seed(99)
    assert loop.train(recipe, photos, photos, two, resume=True) == [two / "residual.npz"]
    a, b = arrays(one, "residual"), arrays(two, "residual")
    assert a.keys() == b.keys()
    assert [name for name in a if a[name].tobytes() != b[name].tobytes()] == []
    reports = [line["validation"] for line in metrics(one) if "validation" in line]
    assert len(reports) == 2
    assert all(1 < report["bpsp"] < 12 for report in reports)
    with pytest.raises(CheckpointError, match=r"residual\.width was 6 and is 7"):
        loop.train(parse_recipe(LOSSLESS.replace("width = 6", "width = 7")), photos, photos, two, resume=True)


def test_a_run_with_a_norm_can_be_resumed_too_and_starts_from_one_without(whole, photos, tmp_path):
    recipe = parse_recipe(RECIPE.replace("hidden = 6", "hidden = 6\nhyper_norm = true"))
    starts = {"prior": checkpoint.load(whole / "prior.npz")}
    for folder, breaks in ((tmp_path / "a", []), (tmp_path / "b", [3])):
        for steps in breaks:
            loop.train(recipe, photos, photos, folder, starts=starts, stop=stopping_after(steps))
        loop.train(recipe, photos, photos, folder, starts=starts, resume=True)
    check_same_run(tmp_path / "a", tmp_path / "b")
    assert arrays(tmp_path / "a", "prior")["model/h_a.5.num_batches_tracked"] == 6


def test_a_run_that_was_killed_after_its_checkpoint_is_the_same_run(whole, photos, tmp_path):
    recipe = parse_recipe(RECIPE)
    loop.train(recipe, photos, photos, tmp_path, stop=stopping_after(3))
    kept = (tmp_path / "prior.npz").read_bytes()
    loop.train(recipe, photos, photos, tmp_path, resume=True, stop=stopping_after(2))
    (tmp_path / "prior.npz").write_bytes(kept)  # steps 4 and 5, and their metrics, never were
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "prior", "st')
    loop.train(recipe, photos, photos, tmp_path, resume=True)
    check_same_run(whole, tmp_path)
    lines, expected = ([(*line.values(),)[:2] for line in metrics(folder)] for folder in (tmp_path, whole))
    assert lines == expected


def test_a_finished_run_stays_as_it_is(whole, photos, tmp_path):
    for name in ("prior.npz", "synthesis.npz", "metrics.jsonl"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    loop.train(parse_recipe(RECIPE), photos, photos, tmp_path, resume=True)
    assert all((tmp_path / name).read_bytes() == (whole / name).read_bytes() for name in ("prior.npz", "metrics.jsonl"))


def test_a_new_run_starts_from_nothing(whole, photos, tmp_path):
    recipe = parse_recipe(RECIPE)
    loop.train(dataclasses.replace(recipe, seed=1), photos, None, tmp_path, stop=stopping_after(3))
    loop.train(recipe, photos, photos, tmp_path)
    check_same_run(whole, tmp_path)
    assert metrics(tmp_path) == metrics(whole)


def test_metrics_say_what_a_run_does(whole):
    lines = metrics(whole)
    logged = [line for line in lines if line["stage"] == "prior" and "loss" in line]
    assert [line["step"] for line in logged] == [2, 4, 6]
    for line in logged:
        assert len(line["bpp"]) == len(line["psnr"]) == 8
        assert {"used", "dead", "perplexity"} == set(line["hyper"])
        assert line["learning_rate"] > 0
        assert line["gradient_norm"] > 0
    assert [line["step"] for line in lines if line["stage"] == "prior" and "validation" in line] == [4, 6]
    assert [line["stage"] for line in lines if line.get("done")] == ["prior", "synthesis"]
    assert "gain" in next(line for line in lines if line["stage"] == "synthesis")


def test_the_card_says_what_was_trained(whole):
    card = checkpoint.load(whole / "prior.npz").card
    assert (card["stage"], card["step"], card["recipe"]["name"]) == ("prior", 6, "tiny")
    assert card["versions"]["torch"] == torch.__version__
    assert card["threads"] == torch.get_num_threads()


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_checkpoint(photos, tmp_path, monkeypatch, poison):
    recipe = parse_recipe(RECIPE)
    loop.train(recipe, photos, photos, tmp_path, stop=stopping_after(3))
    kept = (tmp_path / "prior.npz").read_bytes()
    plain = loop.PriorTask.loss
    monkeypatch.setattr(loop.PriorTask, "loss", lambda *arguments: plain(*arguments) * poison)
    with pytest.raises(Diverged, match=r"prior, step 3: loss (nan|inf).*prior\.npz is from before"):
        loop.train(recipe, photos, photos, tmp_path, resume=True)
    assert (tmp_path / "prior.npz").read_bytes() == kept


def test_a_gradient_that_is_no_number_stops_the_run(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(math.nan))
    with pytest.raises(Diverged, match="norm of the gradient nan; there is no checkpoint yet"):
        loop.train(parse_recipe(RECIPE), photos, photos, tmp_path)


def test_a_warm_start_takes_the_weights_and_nothing_else(whole, photos, tmp_path):
    recipe = parse_recipe(RECIPE)
    starts = {"prior": checkpoint.load(whole / "prior.npz"), "synthesis": checkpoint.load(whole / "synthesis.npz")}
    loop.train(recipe, photos, photos, tmp_path, starts=starts, stop=stopping_after(0))
    known = checkpoint.load(tmp_path / "prior.npz")
    old = checkpoint.load(whole / "prior.npz")
    assert known.card["step"] == 0
    assert all(known.model[name].tobytes() == old.model[name].tobytes() for name in old.model)
    assert not known.part("optimizer/")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hidden = 6", "hidden = 7", "prior.hidden was 6 and is 7"),
        ("warmup = 2", "warmup = 3", "prior.schedule.warmup was 2 and is 3"),
        ('name = "tiny"', 'name = "tiny"\nseed = 5', "seed was 0 and is 5"),
        ("revive_every = 2", "revive_every = 2, beta = 5", "prior.quantizer was .*4.0.* and is .*5.0"),
    ],
)
def test_a_run_is_not_resumed_with_another_recipe(whole, photos, tmp_path, old, new, message):
    (tmp_path / "prior.npz").write_bytes((whole / "prior.npz").read_bytes())
    with pytest.raises(CheckpointError, match=f"cannot be resumed with this recipe: {message}"):
        loop.train(parse_recipe(RECIPE.replace(old, new, 1)), photos, photos, tmp_path, resume=True)


def test_a_run_can_be_made_longer(whole, photos, tmp_path):
    (tmp_path / "prior.npz").write_bytes((whole / "prior.npz").read_bytes())
    longer = parse_recipe(RECIPE.replace("steps = 6", "steps = 8"))
    loop.train(longer, photos, photos, tmp_path, resume=True)
    assert checkpoint.load(tmp_path / "prior.npz").card["step"] == 8


def test_a_run_in_minutes_ends(photos, tmp_path):
    recipe = parse_recipe(RECIPE).lasting(1 / 60)
    assert len(loop.train(recipe, photos, None, tmp_path)) == 2
    card = checkpoint.load(tmp_path / "prior.npz").card
    assert card["minutes"] >= 0.5 / 60
    assert card["step"] >= 1


def test_the_learning_rate_warms_up_and_falls_by_a_cosine():
    schedule = Schedule(steps=1000, learning_rate=2.0, warmup=100, last=0.1)
    rates = [loop.learning_rate(schedule, step, step / 1000) for step in range(1001)]
    assert rates[0] == pytest.approx(0.02)
    assert rates[500] == pytest.approx(2.0 * (0.1 + 0.9 / 2))
    assert rates[1000] == pytest.approx(0.2)
    assert all(a > b for a, b in itertools.pairwise(rates[100:]))


def test_nothing_is_said_where_there_is_no_terminal(photos, tmp_path, capsys):
    loop.train(parse_recipe(RECIPE), photos, None, tmp_path, stop=stopping_after(2))
    assert capsys.readouterr() == ("", "")


def test_without_its_package_nothing_goes_to_tensorboard_which_is_said_once(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(journal, "find_spec", lambda name: None)
    loop.train(parse_recipe(RECIPE), photos, None, tmp_path)
    assert capsys.readouterr().err == "no files for TensorBoard are written: that takes the package tensorboardX\n"
    assert {path.name for path in tmp_path.iterdir()} == {"prior.npz", "synthesis.npz", "metrics.jsonl"}


def test_a_terminal_is_told_what_the_training_does(photos, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((200, 24)))
    loop.train(parse_recipe(RECIPE), photos, None, tmp_path)
    prior, synthesis, _ = terminal.getvalue().split("\n")
    number = r"[\d.e+-]+"
    words = rf"loss {number}  {number} bpp  {number} dB  perplexity {number}/{number}  \d+/\d+ dead"
    assert re.search(rf"prior  step 1  16.7%, \S+( s)? left  {words}$", prior)
    assert re.search(rf"synthesis  step 1  16.7%, .* left  loss {number}  {number} dB gained$", synthesis)
