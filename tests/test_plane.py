"""`engram measure plane` as a whole, with its table, its pictures and its page."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from tests.checks import ROOT
from tests.pictures import digits
from tools.cli import COMMANDS, measure
from tools.lee_jo import PAPER
from tools.plane_page import headline, numbers, render
from tools.plane_plot import layout, step_ticks
from tools.planes import Planes, document, table
from tools.species import SPECIES
from tools.trajectories import Trajectory, snapshots


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("plane") / "tiny.npz"
    np.savez(path, **digits(300, 30))
    return path


def run(data, out, *options):
    fixed = ["plane", str(data), "-o", str(out), "--epochs", "2", "--samples", "20", "--snapshots", "6"]
    return CliRunner().invoke(measure, [*fixed, *options])


@pytest.fixture(scope="module")
def found(data):
    """The folder and the output of a run with two seeds."""
    out = data.parent / "out"
    result = run(data, out, "--species", "shallow,label", "--seeds", "0,5")
    assert result.exit_code == 0, result.output
    return out, result.stdout


def made(images="MNIST", finals=(("shallow", 5.2, 3.6), ("deep", 4.4, 4.3))) -> Planes:
    """Trajectories that rise to a peak at half of the time, and end somewhere; two kernels."""
    steps = snapshots(1000, 40)
    runs = []
    for name, peak, final in finals:
        species = SPECIES[name]
        line = np.interp(steps, [0, 500, 900, 1000], [0, peak, final, final])
        bits = np.broadcast_to(line[:, None, None, None], (len(steps), 2, len(species.layers), 2)).copy()
        bits[..., 1] *= 0.9
        names = ("gamma 2", "normalised gamma 1")
        runs.append(
            Trajectory(name, 0, species.layers, names, steps, np.full(len(steps), 0.02), 0.01 + 0 * line, bits, 100)
        )
    return Planes(images, tuple(runs))


def test_everything_is_written(found):
    out, text = found
    assert {path.name for path in out.iterdir()} == {"runs", "results.json", "plane.png", "kernels.png", "plane.html"}
    assert {path.name for path in (out / "runs").iterdir()} == {
        f"{name}-{seed}.npz" for name in ("shallow", "label") for seed in (0, 5)
    }
    assert (out / "plane.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "kernels.png").read_bytes().startswith(b"\x89PNG")
    lines = text.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["Shallow", "2"], ["Label", "2"]]
    assert lines[-1] == "tiny, 6 steps, 20 pictures, at most 4.32 bit"


def test_results_hold_all_numbers(found):
    results = json.loads((found[0] / "results.json").read_text())
    assert results["ceiling"] == pytest.approx(math.log2(20))
    assert len(results["kernels"]) == 6
    assert [(run["species"], run["seed"]) for run in results["runs"]] == [
        (name, seed) for seed in (0, 5) for name in ("shallow", "label")
    ]
    for each in results["runs"]:
        shape = len(each["steps"]), 6, len(each["layers"]), 2
        bits = np.array(each["bits"])
        assert bits.shape == shape
        assert bits.min() >= -0.01
        assert bits.max() <= results["ceiling"] + 1e-4
        assert len(each["test"]) == len(each["train"]) == len(each["steps"])
    assert results["summary"]["label"][0]["final"] == pytest.approx(
        np.mean([run["bits"][-1][0][2][0] for run in results["runs"] if run["species"] == "label"]), abs=1e-3
    )


def test_the_page_loads_nothing_and_carries_its_numbers(found):
    page = (found[0] / "plane.html").read_text()
    assert not re.search(r"""(src|href)=["']?(https?:|//)|@import|url\((?!["']?data:)""", page)
    text = re.search(r'<script type="application/json" id="numbers">(.*?)</script>', page, re.DOTALL).group(1)
    carried = json.loads(text)
    assert [run["seed"] for run in carried["runs"]] == [0, 0, 5, 5]
    assert len(carried["kernels"]) == len(carried["runs"][0]["bits"]) == 6
    assert page.count("<article ") == 2
    assert '<noscript><img class="still"' in page


def test_a_second_run_trains_nothing_and_says_the_same(data, found, monkeypatch):
    out, text = found
    monkeypatch.setattr("tools.species.Training.learn", lambda *_: pytest.fail("work was done"))
    again = run(data, out, "--species", "shallow,label", "--seeds", "0,5")
    assert again.stdout == text


def test_another_length_is_refused_unless_fresh(data, tmp_path):
    assert run(data, tmp_path, "--species", "shallow").exit_code == 0
    refused = run(data, tmp_path, "--species", "shallow", "--epochs", "1")
    assert refused.exit_code == 1
    assert "--fresh replaces it" in refused.stderr
    assert run(data, tmp_path, "--species", "shallow", "--epochs", "1", "--no-sweep", "--fresh").exit_code == 0
    assert len(json.loads((tmp_path / "results.json").read_text())["kernels"]) == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--species", "deap"], "known are shallow"),
        (["--seeds", "x"], "whole numbers"),
        (["--seeds", ""], "whole numbers"),
        (["--samples", "31"], "31 test pictures"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(data, tmp_path, options, says):
    result = run(data, tmp_path, *options)
    assert result.exit_code in (1, 2)
    assert says in result.stderr
    assert "Traceback" not in result.output


def test_no_set_of_pictures_is_said_in_a_line(tmp_path):
    (tmp_path / "no.npz").write_bytes(b"no")
    result = run(tmp_path / "no.npz", tmp_path / "out")
    assert result.exit_code == 1
    assert "no.npz is no .npz file" in result.stderr


def test_the_group_helps_without_what_is_heavy():
    program = "import sys\nfrom tools.cli import measure\ntry: measure(['-h'])\nfinally: print(*sys.modules)"
    output = subprocess.check_output([sys.executable, "-c", program], text=True, cwd=ROOT)
    assert all(f"\n  {name} " in output for name in COMMANDS)
    assert not {"torch", "matplotlib", "sklearn", "jinja2", "imagecodecs"} & set(output.split())


def test_simplifying_is_losing_more_than_half_a_bit():
    planes = made()
    assert planes.summary("shallow").simplifies
    assert not planes.summary("deep").simplifies
    assert planes.summary("shallow").peak == pytest.approx(5.2, abs=0.2)
    assert planes.summary("shallow").final == pytest.approx(3.6)
    assert planes.summary("shallow").test == pytest.approx(-2)
    assert planes.summary("deep").layers["D2"][1] == pytest.approx(0.9 * 4.3)
    rows = [planes.summary(name) for name in planes.species]
    assert headline(rows) == "Shallow simplifies in training, the other does not"
    assert headline(rows * 2) == "Shallow and shallow simplify in training, the other 2 do not"
    assert headline(rows[1:]) == "None of these autoencoders simplifies in training"
    assert headline(rows[:1]) == "All of these autoencoders simplify in training"


def test_the_paper_stands_beside_known_sets_only():
    assert "3.65" in table(made())
    assert "3.65" not in table(made("others"))
    assert "Triangles" in render(made(), b"")
    assert "Triangles" not in render(made("others"), b"")
    assert numbers(made())["runs"][1]["paper"]["D1"] == 4.05
    for species in PAPER.values():
        for name, published in species.items():
            assert set(published.final) <= set(SPECIES[name].layers)
            assert max(published.final.values()) <= math.log2(100)


def test_numbers_survive_rounding():
    planes = made()
    plain = document(planes, machine="here")
    assert plain["machine"] == "here"
    assert np.allclose(plain["runs"][0]["bits"], planes.trajectories[0].bits, atol=1e-4)
    drawn = numbers(planes)["runs"][1]["bits"][1][4]
    assert np.allclose(np.array(drawn).T / 1000, planes.trajectories[1].of("D2", 1), atol=1e-3)


def test_panels_and_ticks_are_in_order():
    assert layout(made()) == [[("shallow", "Z")], [("deep", layer) for layer in ("E1", "E2", "Z", "D1", "D2")]]
    assert step_ticks(snapshots(30_000))[0] == (1, 1)
    assert [step for _, step in step_ticks(snapshots(30_000))] == [1, 10, 100, 1000, 30_000]
