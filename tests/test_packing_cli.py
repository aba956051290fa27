"""codec/packing_cli.py: what `pack` writes, what it refuses, and when."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from codec import packing_cli
from codec.archive import Archive
from codec.errors import Desync
from codec.pixels import Image, read_image, write_image
from tests.checks import ROOT, engram, style_model
from tests.pictures import folder_of_kinds, samples

MODEL = str(ROOT / "bitstreams" / "v1" / "conformance-lossless.egmm")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder, with a folder `in` of pictures of many kinds; models are found in the conformance pack."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENGRAM_MODELS", str(ROOT / "bitstreams" / "v1"))
    folder_of_kinds(tmp_path / "in")
    return tmp_path


@pytest.fixture
def packed(folder) -> Path:
    engram("pack", "in", "-o", "set.ega", "-m", MODEL)
    return folder / "set.ega"


def test_an_embedded_model_is_all_that_is_needed(folder, monkeypatch):
    write_image(Image(samples("photo", (40, 50, 3))), "large.png")  # large enough to need the model
    engram("pack", "large.png", "-o", "with.ega", "-m", MODEL, "--embed")
    engram("pack", "large.png", "-o", "without.ega", "-m", MODEL)
    monkeypatch.delenv("ENGRAM_MODELS")
    engram("test", "with.ega")
    assert "is not here" in engram("test", "without.ega", code=5).stderr
    engram("test", "without.ega", "-m", MODEL)
    assert json.loads(engram("info", "with.ega", "--json").output)["model_bytes"] == Path(MODEL).stat().st_size


def test_append_keeps_what_is_there(folder, packed):
    before = engram("list", packed).output
    blocks = Archive(packed.read_bytes()).blocks
    write_image(Image(samples("photo", (9, 8, 3), seed=5)), "new.png")
    engram("pack", "new.png", "-o", packed, "--append")
    assert engram("list", packed).output == before + "new.png  8 x 9 x 3, 8 bits\n"
    assert Archive(packed.read_bytes()).blocks[: len(blocks)] == blocks
    engram("test", packed)
    assert "two pictures" in engram("pack", "new.png", "-o", packed, "--append", code=1).stderr
    assert "error of 0, not 2" in engram("pack", "in", "-o", packed, "--append", "--max-error", 2, code=1).stderr
    engram("pack", "new.png", "-o", "missing.ega", "--append", code=1)
    np.save("x.npy", np.zeros((2, 3, 4), np.uint8))
    assert "holds pictures with names" in engram("pack", "x.npy", "-o", packed, "--append", code=1).stderr
    assert "leave out --append" in engram("pack", "in", "-o", "none.ega", "--append", code=1).stderr
    assert engram("list", packed).output.count("\n") == 8


def test_bounds_and_loss(folder):
    engram("pack", "in/rgb.png", "in/pal.png", "-o", "near.ega", "-m", MODEL, "--max-error", 2)
    engram("extract", "near.ega", "rgb.png", "-o", "near.png")
    apart = np.abs(read_image("near.png").colour.astype(int) - read_image("in/rgb.png").colour)
    assert 0 < apart.max() <= 2
    engram("pack", "in/rgb.png", "in/pal.png", "-o", "lossy.ega", "-q", 40, "-m", "conformance", "--embed")
    engram("test", "lossy.ega")
    assert json.loads(engram("info", "lossy.ega", "--json").output)["alone"] == 2
    for wrong in (["-q", 40, "--train"], ["--train", "--append"], ["--train", "-m", MODEL], ["--append", "--embed"]):
        engram("pack", "in", "-o", "x.ega", *wrong, code=2)


def test_interrupted_packing_leaves_what_was_there(folder, packed, monkeypatch):
    before = packed.read_bytes()
    monkeypatch.setattr("codec.packing.write_catalogue", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    engram("pack", "in", "-o", "new.ega", "-m", MODEL, code=130)
    engram("pack", "in", "-o", packed, "-f", "-m", MODEL, code=130)
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["set.ega"]
    assert packed.read_bytes() == before


def test_a_model_is_trained_checked_by_the_bytes_and_billed(folder, monkeypatch):
    np.save("x.npy", samples("photo", (9, 8, 1))[None, ..., 0].repeat(30, 0))
    asked = {}

    class Choice:
        @staticmethod
        def choose(images, minutes, **options):
            asked.update(options, minutes=minutes, images=len(list(images)), stopped=options["stop"]())
            return style_model(), 100.0, 104.0, 5.0

    real = packing_cli.import_module
    monkeypatch.setattr(packing_cli, "import_module", lambda n: Choice if n == "training.choice" else real(n))
    result = engram("pack", "x.npy", "-o", "x.ega", "--train", "--minutes", 0.5, "--json")
    record = json.loads(result.output)
    assert (asked["minutes"], asked["images"], asked["stopped"]) == (0.5, 30, False)
    assert record["bytes"] == record["without"]  # a model that was never trained is not worth its bytes
    assert record["model_bytes"] == 0
    assert set(record["bill"]) == {"png", "webp", "xz", "exact"}
    assert "PNG" in engram("pack", "x.npy", "-o", "y.ega", "-m", MODEL, "--bill").output


def test_without_torch_training_says_what_to_install(folder, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="torch")

    monkeypatch.setattr(packing_cli, "import_module", missing)
    said = engram("pack", "in", "-o", "x.ega", "--train", code=1).stderr
    assert said.count("\n") == 1
    assert "engram-codec[train]" in said


def test_npz_is_refused_with_a_remedy(folder):
    np.savez("x.npz", a=np.zeros((2, 3, 4), np.uint8))
    assert "numpy.save" in engram("pack", "x.npz", "-o", "x.ega", code=1).stderr
    assert not (folder / "x.ega").exists()


def test_what_does_not_verify_is_not_written(folder, monkeypatch):
    def fail(*_, **__):
        raise Desync("other samples")

    for name in ("decode", "decode_tile"):
        with monkeypatch.context() as patch:
            patch.setattr(f"codec.packing.{name}", fail)
            assert "other samples" in engram("pack", "in", "-o", "x.ega", "-m", MODEL, code=3).stderr
            assert not (folder / "x.ega").exists()
            engram("pack", "in", "-o", "x.ega", "-m", MODEL, "--no-verify", "-f")
        engram("test", "x.ega")
        (folder / "x.ega").unlink()


def test_a_quality_is_for_pictures_that_are_added_to_any_archive(folder, packed):
    write_image(Image(samples("photo", (40, 40, 3), seed=5)), "new.png")
    engram("pack", "new.png", "-o", packed, "--append", "-q", 50, "-m", "conformance")
    engram("test", packed)
    opened = Archive(packed.read_bytes())
    assert opened.codes(7).indices.shape == (3, 3, 122)


def test_a_cluster_that_is_not_there_is_told_before_any_work(folder, monkeypatch):
    engram("pack", "in", "-o", "x.ega", "--dask", "tcp://127.0.0.1:1", "--workers", 2, code=2)
    monkeypatch.setitem(sys.modules, "distributed", None)
    said = engram("pack", "in", "-o", "x.ega", "--workers", 2, "--train", code=1).stderr
    assert said.count("\n") == 1
    assert "pip install 'engram-codec[cluster]'" in said
    assert not (folder / "x.ega").exists()
