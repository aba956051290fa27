"""tools/control.py and `engram measure control`: two trainings that differ in one thing."""

from __future__ import annotations

import dataclasses
import json

import pytest
from click.testing import CliRunner

from tests.pictures import folder_of_pictures
from tools import control
from tools.cli import measure
from tools.curves import BDRate, Curve, bd_rate
from tools.rate_distortion import MeasureError
from training import checkpoint
from training.config import parse_recipe
from training.data import Photos

RECIPE = """
name = "tiny"
[data]
train = "pictures"
validation = "others"
[prior]
width = 8
hidden = 6
schedule = {steps = 900, batch = 1, crop = 32}
[synthesis]
schedule = {steps = 900}
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("control")
    folder_of_pictures(folder / "pictures", (40, 40), (64, 48))
    folder_of_pictures(folder / "others", (32, 48), (48, 32), (16, 16))
    (folder / "tiny.toml").write_text(RECIPE)
    return folder


def run(here, *arguments: str):
    return CliRunner().invoke(measure, ["control", str(here / "tiny.toml"), "-o", str(here / "out"), *arguments])


@pytest.fixture(scope="module")
def found(here):
    """What the command says and writes after two steps."""
    result = run(here, "--steps", "2", "--pictures", "2")
    assert result.exit_code == 0, result.output
    return result.stdout, json.loads((here / "out" / "control.json").read_text())


def test_the_trainings_differ_in_one_thing():
    recipes = [control.recipe_of(parse_recipe(RECIPE), kind, 50) for kind in control.KINDS]
    assert [recipe.prior.scalar for recipe in recipes] == [True, False]
    for recipe in recipes:
        assert (recipe.prior.schedule.steps, recipe.prior.schedule.warmup, recipe.synthesis) == (50, 10, None)
    numbers = dataclasses.replace(recipes[0], name="vector", prior=dataclasses.replace(recipes[0].prior, scalar=False))
    assert numbers == recipes[1]


def test_both_are_trained_and_evaluated_at_all_qualities(here, found):
    _, document = found
    assert document["pictures"] == ["00.png", "02.png"]
    for kind in control.KINDS:
        card = checkpoint.load(here / "out" / kind / "prior.npz").card
        assert (card["step"], card["recipe"]["prior"]["scalar"]) == (2, kind == "scalar")
        knots = document["kinds"][kind]
        assert [knot["quality"] for knot in knots] == list(control.QUALITIES)
        for knot in knots:
            assert sum(knot["parts"]) == pytest.approx(knot["bpp"], rel=1e-5)
        assert [knot["psnr"] for knot in knots] == sorted(knot["psnr"] for knot in knots)


def test_symbols_are_those_of_a_block(found):
    _, document = found
    # a picture of 2 x 3 blocks and one of 1 x 1, each with one hyper-latent of two codes
    assert document["symbols_per_block"]["scalar"] == pytest.approx(768 + (2 / 6 + 2 / 1) / 2)
    assert 122 <= document["symbols_per_block"]["vector"] < 768


def test_the_bd_rate_is_that_of_the_curves(found):
    text, document = found
    curves = [
        Curve(*(tuple(k[what] for k in document["kinds"][kind]) for what in ("bpp", "psnr"))) for kind in control.KINDS
    ]
    percent = document["bd_rate_vector_against_scalar"]["percent"]
    assert percent == pytest.approx(bd_rate(*curves).percent)
    assert f"after 2 steps each: {percent:+.2f} %" in text
    assert (
        f"{document['symbols_per_block']['vector']:.1f} against {document['symbols_per_block']['scalar']:.1f}"
    ) in text


def test_the_curves_are_drawn(here, found):
    assert (here / "out" / "control.png").read_bytes().startswith(b"\x89PNG")


def test_trainings_are_not_replaced_unasked_and_can_be_gone_on_with(here, found):
    refused = run(here, "--steps", "2", "--pictures", "2")
    assert refused.exit_code == 2
    assert "--resume goes on with them" in refused.stderr
    before = (here / "out" / "vector" / "prior.npz").read_bytes()
    again = run(here, "--steps", "2", "--pictures", "2", "--resume")
    assert again.stdout == found[0]
    assert (here / "out" / "vector" / "prior.npz").read_bytes() == before


def test_what_has_no_answer_says_why(here, tmp_path):
    recipe, photos = parse_recipe(RECIPE), Photos(here / "pictures")
    with pytest.raises(MeasureError, match="stopped; the state is in"):
        control.control(recipe, photos, photos, tmp_path, 2, pictures=1, stop=lambda: True)
    with pytest.raises(MeasureError, match=r"no \[prior\]"):
        control.recipe_of(dataclasses.replace(recipe, prior=None), "vector", 2)


def knots(first: float) -> tuple[control.Knot, ...]:
    return tuple(control.Knot(i / 5, first * 2**i, 25.0 + 3 * i, 500.0, ()) for i in range(6))


def test_half_the_rate_is_minus_50_percent():
    both = {"scalar": knots(0.2), "vector": knots(0.1)}
    out = control.Control(parse_recipe(RECIPE), 7, ("a",), both, BDRate(-50.0, 25.0, 40.0))
    lines = control.table(out).splitlines()
    assert [line.split()[-2] for line in lines[1:7]] == ["-50.00"] * 6
    assert "BD-rate of vectors against numbers after 7 steps each: -50.00 %" in lines
    bare = dataclasses.replace(out, against="no overlap")
    assert "each: none: no overlap" in control.table(bare)
