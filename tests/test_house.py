"""The rules of the house that CONTRIBUTING.md names."""

from __future__ import annotations

import ast
import subprocess
import sys
import types
from pathlib import Path

import pytest

import codec
from tests.checks import ROOT, imports

CODEC = sorted((ROOT / "codec").rglob("*.py"))
OURS = [path for folder in ("codec", "training", "tools") for path in sorted((ROOT / folder).rglob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PURE = {"container.py", "limits.py", "errors.py"}  # the standard library only
SHELL = {  # and plugins/: files, pictures, terminals
    "cli.py", "archive_cli.py", "packing_cli.py", "options.py", "cluster.py", "collection.py", "bill.py", "batch.py",
    "pixels.py", "samples.py", "files.py", "frames.py", "arrays.py", "movie.py", "animation.py", "sequence.py",
}  # fmt: skip
WORLD = {"PIL", "imageio", "av", "click", "numcodecs", "zarr", "dask", "distributed"}
RUNTIME = {"numpy", "constriction", "PIL", "imageio", "click"}
OPTIONAL = {
    "movie.py": {"av"},
    "cluster.py": {"dask", "distributed"},
}  # imported where they are needed, with an error that names the remedy
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
HARD_CAP = 400  # lines


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tops(path: Path) -> set[str]:
    """Top-level packages that a file imports, the standard library left out."""
    return {module.split(".")[0] for module in imports(path)} - sys.stdlib_module_names


@pytest.mark.parametrize("path", CODEC, ids=name)
def test_the_decoder_needs_the_runtime_only(path):
    extra = {"numcodecs", "zarr", "av"} if path.parent.name == "plugins" else OPTIONAL.get(path.name, set())
    assert tops(path) <= RUNTIME | extra | {"codec"}


@pytest.mark.parametrize("path", CODEC, ids=name)
def test_the_core_does_not_touch_the_world(path):
    if path.name not in SHELL and path.parent.name != "plugins":
        assert not tops(path) & WORLD
    assert path.name == "entropy.py" or "constriction" not in tops(path)


def test_the_container_needs_the_standard_library_only():
    for file in PURE:
        path = ROOT / "codec" / file
        inner = {module for module in imports(path) if module.split(".")[0] not in sys.stdlib_module_names}
        assert inner <= {"codec.errors", "codec.limits"}, file


@pytest.mark.parametrize("path", OURS, ids=name)
def test_training_and_tools_do_not_import_tests_and_training_no_tools(path):
    assert "tests" not in tops(path)
    assert path.parts[len(ROOT.parts)] != "training" or "tools" not in tops(path)


@pytest.mark.parametrize("path", OURS + TESTS, ids=name)
def test_a_file_is_short(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert path in TESTS or lines <= HARD_CAP


@pytest.mark.parametrize("path", OURS + TESTS, ids=name)
def test_nothing_is_pickled(path):
    assert not {module.split(".")[0] for module in imports(path)} & PICKLES
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("torch.load", "torch.save"), f"line {node.lineno}: {called} pickles"
            allow = [word for word in node.keywords if word.arg == "allow_pickle"]
            assert all(ast.unparse(word.value) == "False" for word in allow), f"line {node.lineno}: allow_pickle"


@pytest.mark.parametrize("path", [path for path in CODEC if path.name != "__init__.py"], ids=name)
def test_a_file_of_the_codec_has_its_tests(path):
    assert (ROOT / "tests" / f"test_{path.name}").exists()


def test_the_public_face_is_what_it_says():
    public = {each: value for each, value in vars(codec).items() if not each.startswith("_") and each != "annotations"}
    visible = {each for each, value in public.items() if not isinstance(value, types.ModuleType)}
    assert visible <= set(codec.__all__)
    assert all(hasattr(codec, each) for each in codec.__all__)
    assert (ROOT / "codec" / "__init__.py").read_text(encoding="utf-8").count("\n") <= 60


def test_importing_the_codec_is_light():
    program = "import sys, codec; print(*sys.modules)"
    output = subprocess.check_output([sys.executable, "-c", program], text=True, cwd=ROOT)
    assert not {"torch", "PIL", "imageio", "click", "distributed", "training", "tools"} & set(output.split())


def test_the_wheel_has_what_is_not_python():
    assert (ROOT / "codec" / "SPEC.md").exists()
    assert (ROOT / "codec" / "py.typed").exists()
    assert list((ROOT / "codec" / "models").glob("*.egmm"))
    assert list((ROOT / "training" / "recipes").glob("*.toml"))
