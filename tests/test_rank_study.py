"""tools/rank_study.py and `engram measure rank` as a whole."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.checks import ROOT
from tests.test_rank_training import FIT
from tools import rank_study
from tools.cli import measure
from tools.gaussian_bottleneck import solve
from tools.rank_bottlenecks import Linear, Vib
from tools.rank_study import Run, final_phase, fitted, follow, marks, plan, spearman, transitions
from tools.rate_distortion import MeasureError
from tools.synthetic import picture

LINEAR = Linear("exact", 0, steps=20, rate=0.1, count=30, examples=500)
DIGITS = dataclasses.replace(FIT, data="digits")
TINY = [LINEAR, *(dataclasses.replace(FIT, decay=decay) for decay in (rank_study.DECAYS["gaussian"], 0.0))]
TINY += [dataclasses.replace(DIGITS, decay=decay, looks=3) for decay in (rank_study.DECAYS["digits"], 0.0)]
TINY += [Vib(b, 0, hidden=(5,), latent=3, steps=3, batch=4, rate=0.01) for b in (0.01, 1.0)]


def rows(losses: list[float], ranks: list[float], information: list[float] | None = None) -> list[dict]:
    layer = {"absolute": [9.0] * 3, "relative": [9.0] * 2, "stable": 9.0}
    told = information or ranks
    return [
        {"step": 10 * i, "train_loss": loss, "layers": [layer | {"entropy": rank, "information": bits}]}
        for i, (loss, rank, bits) in enumerate(zip(losses, ranks, told, strict=True))
    ]


@pytest.mark.parametrize(("steps", "count"), [(7, 40), (1000, 40), (1000, 1), (12000, 40)])
def test_marks_begin_at_the_start_and_end_at_the_end(steps, count):
    found = marks(steps, count)
    assert found == sorted(set(found))
    assert len(found) <= count
    assert found[-1] == steps
    assert found[0] == 0 or count == 1


def test_names_of_trainings_are_their_own():
    names = [settings.name for settings in plan(3, quick=False, digits=True)]
    assert len(set(names)) == len(names)
    assert {settings.name for settings in plan(2, quick=False, digits=False)} < set(names)
    assert not any(settings.needs_digits for settings in plan(1, quick=True, digits=False))


def test_the_final_phase_begins_at_1_percent_of_the_loss_or_in_the_middle():
    assert fitted(rows([5, 1, 0.05, 0.2, 0.01], [1] * 5)) == 2
    assert fitted(rows([5, 4, 3, 2, 1], [1] * 5)) == 2


def test_rank_correlation():
    assert spearman([1, 2, 3, 9], [0.1, 5, 6, 7]) == pytest.approx(1)
    assert spearman([1, 2, 3, 9], [7, 6, 5, -1]) == pytest.approx(-1)
    assert spearman([1, 2, 2, 4], [1, 3, 2, 4]) == pytest.approx(3 / np.sqrt(10))  # of ranks 1, 2.5, 2.5, 4
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3]))


def test_the_final_phase_in_words():
    falling, level = (Run(FIT, rows([5, 1, 0.01, 0.01], ranks)) for ranks in ([9, 9, 8, 4], [9, 9, 6, 6]))
    text = "\n".join(final_phase([falling, level], "what"))
    assert "what: final phase from step 20..20 to 30, loss at the end 0.01" in text
    assert "entropy rank      7.0±1.0 -> 5.0±1.0, fell in 1 of 2" in text
    assert "above 0.1         9.0±0.0 -> 9.0±0.0, fell in 0 of 2" in text


def test_transitions_of_a_perfect_staircase_are_exact_up_to_the_grid():
    best = solve(LINEAR.pair())
    run = Run(LINEAR, [{"rank": [best.rank(beta) for beta in LINEAR.betas]}])
    grid = LINEAR.betas[1] / LINEAR.betas[0]
    for critical, found in transitions(run):
        assert 1 / np.sqrt(grid) <= found / critical <= np.sqrt(grid)
    never = Run(LINEAR, [{"rank": [1.0] * LINEAR.count}])
    assert all(np.isnan(found) for _, found in transitions(never))


@pytest.mark.parametrize("settings", TINY[:2], ids=lambda settings: settings.name)
def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(settings, tmp_path, monkeypatch):
    whole = follow(settings, None, tmp_path / "whole.npz", "")
    path, calls = tmp_path / "parts.npz", iter(range(1000))
    while (run := follow(settings, None, path, "", stop=lambda: next(calls) % 3 == 2)) is None:
        assert path.exists()
    assert run == whole
    monkeypatch.setattr(rank_study, "learner", None)  # a finished one is not done again
    assert follow(settings, None, path, "") == whole
    with pytest.raises(MeasureError, match="other settings or data"):
        follow(dataclasses.replace(settings, steps=99), None, path, "")
    with pytest.raises(MeasureError, match="other settings or data"):
        follow(settings, None, path, "other")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with digits and a picture, and a plan of tiny trainings."""
    rng = np.random.default_rng(0)
    parts = {}
    for part, count in (("train", 40), ("test", 130)):
        parts[f"{part}_images"] = rng.integers(0, 256, (count, 3, 4), dtype=np.uint8)
        parts[f"{part}_labels"] = np.arange(count) % 3
    np.savez(tmp_path / "digits.npz", **parts)
    Image.fromarray(picture(160, 144)).save(tmp_path / "picture.png")
    monkeypatch.setattr(rank_study, "plan", lambda seeds, quick, digits: TINY if digits else TINY[:3])
    return tmp_path


def run(here, *arguments: str):
    return CliRunner().invoke(measure, ["rank", "-o", str(here / "out"), *arguments])


def test_the_command(here):
    model = str(ROOT / "bitstreams" / "v1" / "conformance.egmm")
    pictures = ["--pictures", str(here / "picture.png"), "-m", model]
    result = run(here, str(here / "digits.npz"), "--seeds", "1", *pictures)
    assert result.exit_code == 0, result.output
    for name in ("gaussian", "digits", "vib", "bottleneck", "encoder"):
        assert (here / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads((here / "out" / "results.json").read_text())
    assert [each["name"] for each in document["runs"]] == [settings.name for settings in TINY]
    assert {each["name"] for each in document["encoders"]} == {"conformance", "fresh 0"}
    for words in ("linear-exact-seed-0", "deep VIB", "digits, weight decay 0:", "hyper-encoder of the codec"):
        assert words in result.stdout


def test_what_the_command_refuses(here):
    assert "--model goes with --pictures" in run(here, "-m", "photo").stderr
    bad = here / "bad.npz"
    bad.write_bytes(b"no npz")
    result = run(here, str(bad))
    assert result.exit_code == 1
    assert "bad.npz is no .npz file" in result.stderr
