"""training/config.py: recipes, or a message that says what is wrong with them."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tests.checks import ROOT
from training.config import KINDS, METHODS, Recipe, find_data, find_recipe, kind_of, parse_recipe
from training.errors import DataError, RecipeError
from training.quantizers import make_quantizer

MINIMAL = """
name = "tiny"
[data]
train = "pictures"
[prior]
[prior.schedule]
steps = 5
"""


def test_what_a_recipe_leaves_out_has_its_default():
    recipe = parse_recipe(MINIMAL)
    assert recipe.prior.schedule.steps == 5
    assert recipe.prior.schedule.minutes is None
    assert recipe.prior.quantizer.method == "hopfield"
    assert recipe.prior.weights == (6.0, 11.0)
    assert recipe.card.licence == ""
    assert recipe.synthesis is None
    assert recipe.data.validation is None


def test_values_are_read_into_their_place():
    text = MINIMAL.replace("[prior]", "[prior]\nweights = [7, 8.5]\nwidth = 7\nauxiliary = 1")
    recipe = parse_recipe(text + "learning_rate = 1\n[prior.quantizer]\nmethod = 'rotation'\nmu = 0")
    assert recipe.prior.weights == (7.0, 8.5)
    assert recipe.prior.width == 7
    assert recipe.prior.schedule.learning_rate == 1.0
    assert recipe.prior.quantizer == dataclasses.replace(recipe.prior.quantizer, method="rotation", mu=0.0)
    assert type(recipe.prior.auxiliary) is float


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "tiny"', "", "'name' is missing"),
        ('name = "tiny"', "name = 3", "name is of type str, not 3"),
        ('name = "tiny"', 'name = "tiny"\nsed = 3', "unknown key 'sed'; known are name, data, card, seed"),
        ("[prior]", "[prior]\nwidht = 3", "recipe: prior: unknown key 'widht'; known are schedule, width"),
        ("steps = 5", "steps = 5\nlr = 0.1", "prior: schedule: unknown key 'lr'; known are steps, minutes, batch"),
        ("steps = 5", "", "either steps or minutes"),
        ("steps = 5", "steps = 5\nminutes = 5", "either steps or minutes"),
        ("steps = 5", "steps = 0", "above 0"),
        ("steps = 5", "steps = 5.0", "steps is of type int, not 5.0"),
        ("steps = 5", "steps = true", "steps is of type int, not True"),
        ("steps = 5", "steps = 5\ncrop = 200", "multiple of 16, not 200"),
        ("steps = 5", "steps = 5\nbatch = 0", "batch must be above 0"),
        ("steps = 5", "steps = 5\nlearning_rate = -1", "learning_rate"),
        ("[prior]", "[prior]\nweights = [7]", "two numbers above 0"),
        ("[prior]", "[prior]\nweights = [7, 8, 9]", "two numbers above 0"),
        ("[prior]", "[prior]\nweights = [0, 8]", "two numbers above 0"),
        ("[prior]", "[prior]\nweights = 7", "weights is a list"),
        ("[prior.schedule]", "hyper_norm = true\n[prior.schedule]\nbatch = 1\ncrop = 64", "hyper_norm needs"),
        ("[prior]", "[prior]\nthreshold = 0.6", r"in \(0, 0.5\]"),
        ('name = "tiny"', 'name = "a/b"', "name becomes that of a file"),
        ("[prior]", "[prior]\nquantizer = 3", "quantizer is a table, not 3"),
        ("[prior]", "[prior]\nquantizer = {method = 'best'}", "one of hopfield, annealed.*'best'"),
        ("[prior]", "[prior]\nquantizer = {decay = 1.0}", "decay"),
        ("[data]\ntrain", "[data]\ntest = 'x'\ntrain", "unknown key 'test'; known are train, validation"),
        ("[prior]\n[prior.schedule]\nsteps = 5", "", r"has \[prior\], \[synthesis\] or both"),
        ("[prior.schedule]", "[prior.schedule", "is not TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_place_and_the_reason(old, new, message):
    assert old in MINIMAL
    with pytest.raises(RecipeError, match=message):
        parse_recipe(MINIMAL.replace(old, new))


LOSSLESS = """
name = "tiny"
[data]
train = "pictures"
[residual]
[residual.schedule]
steps = 5
"""


def test_a_recipe_of_a_lossless_model_has_one_stage():
    recipe = parse_recipe(LOSSLESS)
    assert list(recipe.stages) == ["residual"]
    assert (recipe.residual.width, recipe.residual.layers) == (64, 2)
    assert (recipe.prior, recipe.synthesis) == (None, None)
    assert recipe.lasting(7.0).residual.schedule.minutes == 7.0
    assert list(parse_recipe(MINIMAL + "[synthesis]\nschedule = {minutes = 2}").stages) == ["prior", "synthesis"]
    assert parse_recipe(LOSSLESS.replace("[residual]", "[residual]\ncoarse = 0")).residual.coarse == 0.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[residual]", "[residual]\nblocks = 3", "residual: unknown key 'blocks'; known are schedule, width, layers"),
        ("[residual]", "[residual]\nwidth = 0", "residual: width and layers must be above 0"),
        ("[residual]", "[residual]\nlayers = 0", "width and layers must be above 0"),
        ("[residual]", "[residual]\nlayers = 2.0", "layers is of type int"),
        ("[residual]", "[residual]\ncoarse = 1.1", "coarse is 0 to 1"),
        ("[residual]", "[residual]\ncoarse = -0.1", "coarse is 0 to 1"),
        ("[residual]", "[residual]\ncoarsest = 0", "coarsest above 0"),
        ("steps = 5", "steps = 5\ncrop = 8", "multiple of 16"),
        ("[residual]", "[synthesis]\nschedule = {steps = 5}\n[residual]", r"or else \[residual\]"),
        ("[residual]", "[prior]\nschedule = {steps = 5}\n[residual]", r"or else \[residual\]"),
    ],
)
def test_a_wrong_lossless_recipe_is_refused_with_the_reason(old, new, message):
    assert old in LOSSLESS
    with pytest.raises(RecipeError, match=message):
        parse_recipe(LOSSLESS.replace(old, new))


DIGITS = """
name = "tiny"
[data]
train = "digits.npz"
[style]
schedule = {minutes = 20}
[ways]
schedule = {minutes = 5}
"""


def test_a_recipe_of_digits_has_two_stages():
    recipe = parse_recipe(DIGITS)
    assert list(recipe.stages) == ["style", "ways"]
    assert (recipe.style.width, recipe.ways.width) == (112, 64)
    shorter = recipe.lasting(5.0)
    assert (shorter.style.schedule.minutes, shorter.ways.schedule.minutes) == (4.0, 1.0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[style]", "[style]\nlayers = 3", "style: unknown key 'layers'; known are schedule, width"),
        ("[style]", "[style]\nwidth = 0", "style: width must be above 0"),
        ("[ways]", "[ways]\nwidth = 0", "ways: width must be above 0"),
        ("[ways]", "[residual]", r"or else \[style\], \[ways\] or both"),
    ],
)
def test_a_wrong_recipe_of_digits_is_refused_with_the_reason(old, new, message):
    assert old in DIGITS
    with pytest.raises(RecipeError, match=message):
        parse_recipe(DIGITS.replace(old, new))


def test_stages_tell_the_kind_of_their_model():
    for kind, stages in KINDS.items():
        assert all(kind_of([stage]) == kind for stage in stages)
        assert find_recipe(kind).stem == kind
    assert kind_of([]) == "photo"


def test_a_recipe_survives_json():
    recipe = parse_recipe(MINIMAL + "[synthesis]\nschedule = {minutes = 2}")
    again = json.loads(json.dumps(dataclasses.asdict(recipe)))
    assert again["prior"]["schedule"]["steps"] == 5
    assert again["synthesis"]["schedule"]["minutes"] == 2.0
    assert parse_recipe(MINIMAL) == dataclasses.replace(recipe, synthesis=None)


def test_all_methods_can_be_made():
    for method in METHODS:
        make_quantizer(method, groups=1, size=4)


def minutes(recipe: Recipe) -> list[float | None]:
    return [stage.schedule.minutes for stage in (recipe.prior, recipe.synthesis) if stage]


def test_another_length_is_shared_as_the_recipe_shares_its_own():
    recipe = parse_recipe(MINIMAL.replace("steps = 5", "minutes = 30") + "[synthesis]\nschedule = {minutes = 10}")
    assert minutes(recipe.lasting(4.0)) == [3.0, 1.0]
    assert minutes(parse_recipe(MINIMAL + "[synthesis]\nschedule = {minutes = 10}").lasting(4.0)) == [2.0, 2.0]
    assert minutes(parse_recipe(MINIMAL).lasting(4.0)) == [4.0]


@pytest.mark.parametrize("path", sorted((ROOT / "training" / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_bundled_recipes_are_sound_and_found_by_name(path):
    assert parse_recipe(path.read_text(encoding="utf-8")).name == path.stem
    assert find_recipe(path.stem).samefile(path)


def test_an_unknown_recipe_is_named_with_those_there_are(tmp_path):
    with pytest.raises(RecipeError, match=r"no recipe nothing; expected a TOML file, or one of the bundled: .*photo"):
        find_recipe("nothing")
    own = tmp_path / "photo.toml"
    own.write_text(MINIMAL)
    assert find_recipe(str(own)) == own


def test_data_is_looked_for_beside_the_recipe_then_here(tmp_path, monkeypatch):
    beside, here = tmp_path / "recipes", tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with pytest.raises(DataError, match=r"pictures is neither beside r\.toml nor in the current directory"):
        find_data("pictures", beside / "r.toml")
    (here / "pictures").mkdir()
    assert find_data("pictures", beside / "r.toml").samefile(here / "pictures")
    (beside / "pictures").mkdir(parents=True)
    assert find_data("pictures", beside / "r.toml").samefile(beside / "pictures")
