"""`engram measure bits` as a whole."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from codec.model import load_model
from tests.checks import ROOT
from tests.pictures import folder_of_pictures
from tools.cli import measure
from training.residual_export import lossless_model
from training.style import Style

GENERAL = str(ROOT / "bitstreams" / "v1" / "conformance-lossless.egmm")


@pytest.fixture
def here(tmp_path):
    """A folder with an array of small pictures and a model."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "set.npy", (rng.random((40, 8, 8)) < 0.3).astype(np.uint8) * 200)
    state = {name: value.numpy() for name, value in Style([[0, 200]], 3).state_dict().items()}
    (tmp_path / "own.egmm").write_bytes(lossless_model(state))
    return tmp_path


def run(here, *arguments: str):
    return CliRunner().invoke(measure, ["bits", "-o", str(here / "out"), "--general", GENERAL, *map(str, arguments)])


def test_a_model_is_trained_and_measured(here):
    options = "--items", 30, "--minutes", 0.02, "--width", 2, "--first", 8, "--sample", 10
    result = run(here, here / "set.npy", *options)
    assert result.exit_code == 0, result.output
    out = here / "out"
    assert (out / "bits.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((out / "bits.json").read_text())
    assert [row["count"] for row in found["two_part"]] == [1, 2, 5, 8, 10, 16, 20, 30]
    assert [part["last"] for part in found["prequential"]] == [8, 16, 30]
    model = load_model(out / "style.egmm")
    assert found["model"] == model.id.hex()
    assert {row["model"] for row in found["two_part"]} == {8 * model.size}
    assert "prequential code" in result.stdout


def test_a_model_that_is_given_is_measured_as_it_is(here):
    result = run(here, here / "set.npy", "--model", here / "own.egmm", "--counts", "7,3", "--sample", 5)
    assert result.exit_code == 0, result.output
    found = json.loads((here / "out" / "bits.json").read_text())
    assert [row["count"] for row in found["two_part"]] == [3, 7, 40]
    assert {row["model"] for row in found["two_part"]} == {8 * (here / "own.egmm").stat().st_size}
    assert found["prequential"] == []
    assert not (here / "out" / "style.egmm").exists()


def test_what_it_refuses(here):
    for counts in ("0", "a", "1,-2"):
        assert "expected whole numbers" in run(here, here / "set.npy", "--counts", counts).stderr
    result = run(here, here / "set.npy", "--counts", "41")
    assert result.exit_code == 1
    assert "there are 40 pictures, and 41 are needed" in result.stderr
    folder = folder_of_pictures(here / "photos", (8, 8))
    assert "there are 1 pictures, and 2 are needed" in run(here, folder).stderr
