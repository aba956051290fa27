"""`engram measure quantizers`: runs that are pairs, their file, intervals, what is drawn, and the command."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.pictures import digits
from tools import quantizer_study
from tools.cli import measure
from tools.commands import quantizers
from tools.image_sets import load
from tools.quantizer_report import percent, table
from tools.quantizer_study import LADDERS, METHODS, TUNING_SEED, Runs, against, chosen, paired, tuned
from tools.rate_distortion import MeasureError
from tools.vq_autoencoder import Settings, Training
from training.quantizers import association, energies, retrieve

SMALL = {"steps": 12, "groups": 3, "words": 9, "dim": 4, "hidden": 16}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("quantizers") / "tiny.npz"
    np.savez(path, **digits(300, 60))
    return path


@pytest.fixture(scope="module")
def images(data):
    return load(data)


def row(method: str, seed: int, hard: float, data: str = "a", **others) -> dict:
    found = {"soft": None, "association": None, "budget": 24.0, "file": 20.0, "zero_order": 19.0, "perplexity": 5.0}
    found |= {"dead": 3, "held_out": 60, "curve": [[0, 1.0, None], [12, hard, None]], "hard": hard}
    return found | {"data": data, "settings": {"method": method, "seed": seed, **SMALL}} | others


# --- intervals


def test_the_interval_of_pairs_worked_by_hand():
    found = paired([1.0, 2.0, 3.0])
    half = 4.303 * 1 / math.sqrt(3)  # Student's t with two degrees of freedom
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 - half, 2 + half))
    assert not found.clear
    assert paired([1.0, 1.1, 0.9]).clear
    assert paired([-1.0, -1.1, -0.9]).clear
    one = paired([0.3])
    assert (one.mean, one.pairs, one.clear) == (0.3, 1, False)
    assert math.isnan(one.low)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    for count in (2, 5, 10):
        found = [paired(rng.normal(0.7, 2, count)) for _ in range(2000)]
        assert np.mean([each.low <= 0.7 <= each.high for each in found]) == pytest.approx(0.95, abs=0.02)


def test_only_seeds_of_both_are_pairs():
    rows = [row("ste", 0, 0.5), row("ste", 1, 0.25), row("ema", 1, 0.5), row("ema", 2, 9.0), row("ema", 1, 9, "b")]
    found = against(rows, "a", "ema", "hard")
    assert (found.mean, found.pairs) == (pytest.approx(math.log(2)), 1)
    assert percent(found) == "+100.0"
    assert against(rows, "b", "ema", "hard") is None
    assert percent(paired([0.0, 0.0])) == "+0.0 [+0.0, +0.0]"


# --- runs


def test_runs_of_a_seed_are_pairs(images):
    starts = [Training(replace(chosen(method, **SMALL), seed=3), images).model for method in METHODS]
    for model in starts[1:]:
        for layer in ("e1", "e2", "d1", "d2"):
            assert torch.equal(getattr(model, layer).weight, getattr(starts[0], layer).weight)
        assert torch.equal(model.codebook, starts[0].codebook)
    for model in starts[:3]:
        assert torch.equal(model.quantizer.inner.codebook, model.codebook)
    other = Training(replace(chosen("ste", **SMALL), seed=4), images).model
    assert not torch.equal(other.e1.weight, starts[0].e1.weight)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_and_is_measured(method, images, tmp_path):
    settings = chosen(method, **SMALL | {"steps": 60})
    runs = Runs(tmp_path / "runs.jsonl")
    found = runs.run("tiny", images, settings)
    assert found["hard"] < 0.95 * found["curve"][0][1]
    assert found["curve"][-1] == [60, found["hard"], found["soft"]]  # all that is held out fits into a look
    assert (found["soft"] is None) == (method not in ("hopfield", "annealed"))
    assert found["zero_order"] <= found["file"] + 1
    assert found["zero_order"] <= found["budget"] <= 3 * math.log2(9) + 1e-9
    assert 1 <= found["perplexity"] <= 9
    assert 0 <= found["dead"] < 27
    again = Runs(tmp_path / "runs.jsonl").run("tiny", images, settings)
    assert again == found == Runs(tmp_path / "other.jsonl").run("tiny", images, settings)


def test_what_is_done_is_not_done_again(images, tmp_path, monkeypatch):
    settings, runs = chosen("ste", **SMALL), Runs(tmp_path / "runs.jsonl")
    first = runs.run("tiny", images, settings)
    monkeypatch.setattr(quantizer_study, "follow", lambda *_, **__: None)  # as if it had been stopped
    again = Runs(tmp_path / "runs.jsonl")
    assert again.run("renamed", images, settings) == first | {"data": "renamed"}
    assert again.run("tiny", images, replace(settings, rate=0.5)) is None
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 1


def test_a_file_that_is_none_of_ours_is_left_alone(tmp_path):
    (tmp_path / "runs.jsonl").write_text("something else")
    with pytest.raises(MeasureError, match="move it away"):
        Runs(tmp_path / "runs.jsonl")
    assert (tmp_path / "runs.jsonl").read_text() == "something else"


def test_the_rate_cools_down_to_nothing(images):
    training, rates = Training(Settings("ste", **SMALL, rate=0.01, cooldown=0.5), images), []
    for step in range(13):
        training.at(step)
        rates.append(training.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.01] * 7 + [0.01 * n / 6 for n in (5, 4, 3, 2, 1, 0)])


def test_the_relaxed_values_are_those_of_retrieval(images):
    training = Training(chosen("annealed", **SMALL), images)
    training.at(6)
    model, x = training.model, torch.from_numpy(images.test_images).float() / 255
    z = model.encode(x)[1]
    relaxed = retrieve(association(energies(z, model.codebook), model.beta), model.codebook)
    error = float((model.decode(relaxed)[1] - x).detach().square().mean())
    assert training.judge(images.test_images).soft == pytest.approx(error, rel=1e-5)


# --- tuning


@pytest.mark.parametrize("method", METHODS)
def test_the_best_of_each_ladder_is_found_step_by_step(method, images):
    """With errors that fall towards one place of each ladder, wherever that is."""
    for seed in range(4):
        rng, tried = np.random.default_rng(seed), []
        goal = {knob: ladder[rng.integers(len(ladder))] for knob, ladder in LADDERS[method]}

        class Tries:
            path = "nowhere"

            def run(self, data, images, settings, *, stop, goal=goal, tried=tried):
                tried.append(settings)
                off = (ladder.index(getattr(settings, k)) - ladder.index(goal[k]) for k, ladder in LADDERS[method])
                return {"hard": sum(map(abs, off))}

        found = tuned(Tries(), "tiny", images, method, SMALL, lambda: False)
        assert {knob: getattr(found, knob) for knob in goal} == goal
        assert {settings.seed for settings in tried} == {TUNING_SEED}
        assert len(set(tried)) <= sum(len(ladder) for _, ladder in LADDERS[method])


# --- report and command


def test_the_table_has_means_and_pairs():
    rows = [row("ste", 0, 0.01), row("ste", 1, 0.04), row("annealed", 0, 0.02, soft=0.016, association=0.9, dead=1)]
    lines = table(rows).splitlines()
    assert lines[1] == "a:"
    assert lines[2].split() == ["ste", "2", "0.02500", "0.02121", "16.99", "20.00", "19.00", "5.0", "3", "-", "-"]
    assert lines[3].split()[:6] == ["annealed", "1", "0.02000", "-", "16.99", "+100.0"]
    assert lines[3].split()[-4:] == ["1", "+25.0", "%", "0.900"]
    assert "60 held-out" in lines[-1]


def command(data, out, *options):
    fixed = ["quantizers", str(data), "-o", str(out), "--steps", "8", "--words", "9", "--hidden", "16"]
    return CliRunner().invoke(measure, [*fixed, *options])


def test_a_study_goes_on_where_it_was_and_takes_turns(data, tmp_path, monkeypatch):
    first = command(data, tmp_path, "--methods", "ste,annealed", "--seeds", "1")
    assert first.exit_code == 0, first.output
    second = command(data, tmp_path, "--methods", "ste,annealed", "--seeds", "2")
    assert second.exit_code == 0, second.output
    runs = [json.loads(line)["settings"] for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    order = [(run["seed"], run["method"]) for run in runs]
    assert order == [(0, "ste"), (0, "annealed"), (1, "ste"), (1, "annealed")]
    assert len(json.loads((tmp_path / "results.json").read_text())["runs"]) == 4
    for name in ("curves.png", "differences.png", "rates.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(Training, "learn", lambda *_: pytest.fail("work was done"))
    assert command(data, tmp_path, "--methods", "ste,annealed", "--seeds", "2").stdout == second.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--methods", "hopfeld"], "known are ste"),
        (["--methods", ","], "none given"),
        (["--words", "301"], "take fewer"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(data, tmp_path, options, says):
    result = command(data, tmp_path, *options)
    assert result.exit_code in (1, 2)
    assert says in result.stderr
    assert "Traceback" not in result.output


def test_the_command_names_the_methods_of_the_study():
    assert quantizers.METHODS == METHODS
