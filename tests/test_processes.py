"""training/processes.py: several processes that train together do what one does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from tests.checks import ROOT
from tests.pictures import folder_of_pictures
from tests.together import HEAD, RECIPES, STOPPED, photos_of
from training import checkpoint, loop, processes
from training.config import parse_recipe
from training.errors import RecipeError, TrainingError

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}
NOISE = {"rtol": 5e-5, "atol": 2e-5}  # of a loss, which is recorded to 5 places
LOOSE = {"psnr": 0.02, "gain": 0.002}  # decibels


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder of all trainings by two processes."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "tests.together", str(folder), "2"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=250)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The folder of the same trainings by this process."""
    folder = tmp_path_factory.mktemp("one")
    photos, threads = photos_of(folder / "pictures"), torch.get_num_threads()
    torch.set_num_threads(1)
    for name, text in RECIPES.items():
        loop.train(parse_recipe(text), photos, photos, folder / name)
    torch.set_num_threads(threads)
    return folder


def lines(folder, name):
    return [json.loads(line) for line in (folder / name / "metrics.jsonl").read_text().splitlines()]


def outcomes(folder, rank):
    return (folder / f"outcomes{rank}").read_text().splitlines()


def check_close(found, expected, where, tolerance):
    """Two records say the same, but for noise."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            if key not in ("minutes", "gradient_norm"):
                check_close(found[key], expected[key], f"{where} {key}", LOOSE.get(key, tolerance))
    elif isinstance(expected, list):
        for number, pair in enumerate(zip(found, expected, strict=True)):
            check_close(*pair, f"{where} {number}", tolerance)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=tolerance, abs=tolerance), where
    else:
        assert found == expected, where


@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_have_the_loss_curve_of_one(one, two, name):
    found, expected = ([line["loss"] for line in lines(folder, name) if "loss" in line] for folder in (two, one))
    assert len(expected) == 10
    assert len(set(expected)) == 10
    np.testing.assert_allclose(found, expected, **NOISE)


@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_report_what_one_reports(one, two, name):
    for found, expected in zip(lines(two, name), lines(one, name), strict=True):
        check_close(found, expected, f"{name}, step {expected['step']}:", 2e-3)


def test_standardising_together_is_standardising_the_whole_batch(two):
    assert max(float((two / f"standardised{rank}").read_text()) for rank in (0, 1)) < 1e-12


def test_all_processes_keep_the_same_weights(two):
    first, second = ((two / f"digests{rank}").read_text().splitlines() for rank in (0, 1))
    assert len(second) == 10 * len(RECIPES) + 10 + 2
    assert len(set(second)) == 10 * len(RECIPES)  # the run that was stopped and resumed is the first one again
    assert first[: len(second)] == second


def test_a_stop_in_one_process_stops_all_and_the_resumed_run_is_the_same_bit_for_bit(two):
    assert outcomes(two, 0)[len(RECIPES) :][:2] == outcomes(two, 1)[len(RECIPES) :][:2] == ["0", "1"]
    whole, broken = (checkpoint.load(two / name / "prior.npz") for name in ("prior", "broken"))
    assert [name for name in whole.arrays if whole.arrays[name].tobytes() != broken.arrays[name].tobytes()] == []
    assert broken.card["processes"] == 2
    assert STOPPED < broken.card["step"] == 10


def test_a_loss_that_is_no_number_in_one_process_stops_all(two):
    first, second = (outcomes(two, rank)[len(RECIPES) + 2] for rank in (0, 1))
    assert first == second
    assert first.startswith("Diverged: prior, step 2: loss nan")
    assert not (two / "nan" / "prior.npz").exists()


def test_the_end_of_one_process_is_an_error_in_the_others(two):
    assert len(outcomes(two, 1)) == len(RECIPES) + 3
    assert outcomes(two, 0)[-1].startswith("TrainingError: another process of this training has ended; --resume")


def test_a_process_that_is_alone_gets_back_what_it_gave():
    x = torch.randn(4, 3, requires_grad=True)
    assert processes.share(6) == slice(0, 6)
    assert processes.total(x) is x
    assert torch.equal(processes.gathered(x), x)
    assert processes.most(0.5, True) == [0.5, True]
    assert processes.mean(0.1) == 0.1
    assert processes.average([torch.nn.Parameter(torch.ones(2))], torch.tensor(0.25)) == 0.25


def test_a_batch_that_cannot_be_shared_is_refused():
    recipe = parse_recipe(RECIPES["synthesis"])
    recipe.check_shares(4)
    with pytest.raises(RecipeError, match="synthesis: 3 processes cannot share a batch of 4 evenly"):
        recipe.check_shares(3)


def test_without_fabric_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(TrainingError, match=r"needs the module 'lightning_fabric'.*engram-codec\[train\]"):
        processes.launch()


# --- the command

ENDLESS = HEAD + "[residual]\nwidth = 6\nschedule = {steps = 1000000, batch = 2, crop = 32}"


def command(folder, *options):
    arguments = [sys.executable, "-m", "codec.cli", "train", str(folder / "tiny.toml"), "--out", str(folder / "run")]
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [*arguments, *options, "--threads", "1"], cwd=folder, env=environment, start_new_session=True, **pipes
    )


def wait_for(true, what, seconds=120.0):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.1)


def all_ended(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.skipif(sys.platform == "win32", reason="there are no groups of processes")
def test_the_command_trains_by_two_and_an_interrupt_ends_both(tmp_path):
    folder_of_pictures(tmp_path / "pictures", (40, 40), (48, 56), (20, 20))
    (tmp_path / "tiny.toml").write_text(ENDLESS)
    process = command(tmp_path, "--processes", "2")
    metrics = tmp_path / "run" / "metrics.jsonl"
    wait_for(lambda: process.poll() is not None or (metrics.exists() and metrics.stat().st_size), "the first step")
    process.send_signal(signal.SIGTERM)  # to the first one only
    out, err = process.communicate(timeout=60)
    wait_for(lambda: all_ended(process.pid), "the end of the other process", 30)
    assert (process.returncode, out) == (1, "")
    says = ["left out 1 pictures with a side below 32", "stopping after this step", "engram: stopped; the state is in"]
    told = [line for line in err.splitlines() if line]
    assert [line.startswith(what) for line, what in zip(told, says, strict=True)] == [True] * 3, err
    card = checkpoint.load(tmp_path / "run" / "residual.npz").card
    assert card["processes"] == 2

    (tmp_path / "tiny.toml").write_text(ENDLESS.replace("1000000", str(card["step"] + 1)))
    finished = command(tmp_path, "--resume")  # by one
    assert finished.communicate(timeout=120)[0].startswith(str(tmp_path / "run" / "residual.npz"))
    assert checkpoint.load(tmp_path / "run" / "residual.npz").card["step"] == card["step"] + 1
