"""codec/films.py: movies, animations and arrays into an archive and out again, on the command line too."""

from __future__ import annotations

import json
from fractions import Fraction
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest

from codec.archive import Archive, Entry
from codec.catalogue import Look
from codec.collection import Collection
from codec.errors import UnsupportedInput
from codec.films import Films, film_suffix
from codec.frames import open_clip, write_clip
from tests.checks import ROOT, engram
from tests.clips import moving
from tests.pictures import files_in, folder_of_pictures

MODEL = str(ROOT / "bitstreams" / "v1" / "conformance-lossless.egmm")
GREY, COLOUR = (np.stack(moving(4, 9, 8, channels)) for channels in (1, 3))
MANY = np.stack([np.roll(GREY, n, axis=1) for n in range(3)])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder, with clips and pictures in `in`; models are found in the conformance pack."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENGRAM_MODELS", str(ROOT / "bitstreams" / "v1"))
    folder_of_pictures(tmp_path / "in" / "still", (5, 4))
    for name, frames in (("grey.gif", GREY), ("deep/colour.png", COLOUR), ("movie.mkv", COLOUR)):
        (tmp_path / "in" / "deep").mkdir(exist_ok=True)
        write_clip(tmp_path / "in" / name, frames, Fraction(10), frames.shape[1:])
    np.save(tmp_path / "in" / "array.npy", GREY)
    return tmp_path


def frames_of(path: str | Path) -> np.ndarray:
    return np.stack(list(open_clip(path)))


def test_a_folder_of_clips_and_pictures_comes_back(folder):
    assert "1 picture and 3 clips" in engram("pack", "in", "-o", "set.ega", "-m", MODEL).output
    lines = engram("list", "set.ega").output.splitlines()
    assert lines == [
        "still/00.png  4 x 5 x 3, 8 bits", "deep/colour.png  8 x 9 x 3, 8 bits, 4 frames, 10/s",
        "grey.gif  8 x 9 x 1, 8 bits, 4 frames, 10/s", "movie.mkv  8 x 9 x 3, 8 bits, 4 frames, 10/s",
    ]  # fmt: skip
    record = json.loads(engram("list", "set.ega", "--json").output.splitlines()[1])
    assert (record["frames"], record["rate"]) == (4, "10")
    engram("test", "set.ega")
    facts = json.loads(engram("info", "set.ega", "--json").output)
    assert (facts["items"], facts["clips"], facts["samples"]) == (4, 3, 60 + 72 * 4 * 7)
    assert "1 picture and 3 clips" in engram("unpack", "set.ega", "-o", "out").output
    names = files_in(folder / "out")
    assert names == [name for name in files_in(folder / "in") if name != "array.npy"]
    for name in names[:3]:
        np.testing.assert_array_equal(frames_of(folder / "out" / name), frames_of(folder / "in" / name))
        assert open_clip(folder / "out" / name).rate == 10


def test_files_of_one_clip_each_are_clips_if_axes_say_so(folder):
    engram("pack", "in/array.npy", "-o", "one.ega", "-m", MODEL, "--axes", "THW")
    assert engram("list", "one.ega").output == "array.npy  8 x 9 x 1, 8 bits, 4 frames, 25/s\n"
    np.save("more.npy", COLOUR)
    engram("pack", "more.npy", "-o", "one.ega", "-m", MODEL, "--axes", "THW", "--append")
    assert engram("unpack", "one.ega", "-o", "out").stderr == ""
    np.testing.assert_array_equal(np.load("out/array.npy"), GREY)
    np.testing.assert_array_equal(np.load("out/more.npy"), COLOUR)
    assert len(Films(["in"], "THW")) == len(Films(["in"])) + 1
    assert "each as a clip" in engram("pack", "more.npy", "in/array.npy", "-o", "x.ega", code=1).stderr


@pytest.mark.parametrize("axes", ["NTHW", "TNHW"])
@pytest.mark.parametrize("colours", [(), (3,)])
def test_an_array_of_clips_comes_back_identical(folder, axes, colours):
    clips = np.stack((MANY, MANY[::-1], MANY), axis=-1) if colours else MANY
    array = clips if axes == "NTHW" else np.ascontiguousarray(clips.swapaxes(0, 1))
    np.save("x.npy", array)
    assert "3 clips" in engram("pack", "x.npy", "-o", "x.ega", "-m", MODEL, "--axes", axes).output
    np.testing.assert_array_equal(Archive((folder / "x.ega").read_bytes())[2], clips[2])
    engram("unpack", "x.ega", "-o", "y.npy")
    np.testing.assert_array_equal(np.load("y.npy"), array)
    assert "max-pixels" in engram("unpack", "x.ega", "-o", "z.npy", "--max-pixels", 700, code=4).stderr
    engram("extract", "x.ega", "1", "2")
    np.testing.assert_array_equal(np.load("2.npy"), clips[2])


def test_one_clip_is_extracted_in_any_format(folder):
    np.save("x.npy", MANY)
    engram("pack", "x.npy", "-o", "x.ega", "-m", MODEL, "--axes", "NTHW")
    for target in ("a.gif", "a.mkv", "a.npy", "a.png", "frames"):
        assert "4 frames" in engram("extract", "x.ega", "1", "-o", target).output
        np.testing.assert_array_equal(frames_of(target), MANY[1])
    assert "holds no picture '3'" in engram("extract", "x.ega", "3", code=1).stderr
    assert "the file exists" in engram("extract", "x.ega", "1", "-o", "a.npy", code=1).stderr


def test_clips_are_packed_with_loss_if_that_is_asked_for(folder):
    engram("pack", "in/grey.gif", "-o", "lossy.ega", "-q", 60, "-m", "conformance", "--embed")
    engram("test", "lossy.ega")
    found = Archive((folder / "lossy.ega").read_bytes())[0]
    assert 0 < np.abs(found.astype(int) - GREY).mean() < 40


def test_arrays_of_another_kind_are_refused_with_a_remedy(folder):
    np.save("pictures.npy", GREY)
    np.save("wide.npy", MANY.astype(np.uint16))
    np.save("five.npy", np.zeros((2, 2, 2, 2, 4), np.uint8))
    np.save("clips.npy", MANY)
    (folder / "only").mkdir()
    np.save("only/clip.npy", GREY)
    for name in ("pictures.npy", "wide.npy", "five.npy"):
        assert "uint8 clips of axes TNHW" in engram("pack", name, "-o", "x", "--axes", "TNHW", code=1).stderr
    assert "say --axes NTHW or TNHW" in engram("pack", "clips.npy", "-o", "x", code=1).stderr
    assert "one .npy array of clips" in engram("pack", "in", "-o", "x", "--axes", "NTHW", code=1).stderr
    with pytest.raises(UnsupportedInput, match="files of folders are clips with --axes THW"):
        Collection([str(folder / "only")])
    for wrong in (["--max-error", 1], ["--bill"]):
        assert "are for pictures" in engram("pack", "in", "-o", "x", *wrong, code=1).stderr
    assert "name it, such as -m digits" in engram("pack", "in", "-o", "x", "--embed", code=2).stderr


def test_a_format_that_would_lose_something_becomes_another_one():
    def suffix(name: str, channels: int) -> str:
        return film_suffix(name, Entry("", Look(2, 2, channels, False, 8), frames=3))

    assert [suffix(name, 3) for name in (".mkv", ".npy", ".png", ".apng")] == [""] * 4
    assert [suffix(name, 3) for name in (".mp4", ".gif", ".webp", "", ".jpg")] == [
        ".mkv",
        ".png",
        ".png",
        ".npy",
        ".npy",
    ]
    assert suffix(".gif", 1) == ""


def test_clips_are_read_when_they_are_asked_for(folder):
    found = Films([str(folder / "in")])
    assert [film.name for film in found] == ["deep/colour.png", "grey.gif", "movie.mkv"]
    assert [film.name for film in found[1:]] == ["grey.gif", "movie.mkv"]
    assert (found.dimensions, len(found.taken)) == (0, 3)
    np.save("x.npy", MANY)
    for clip, frames in ((found[1].clip, GREY), (Films(["x.npy"], "NTHW")[2].clip, MANY[2])):
        np.testing.assert_array_equal(np.stack(list(ForkingPickler.loads(ForkingPickler.dumps(clip)))), frames)
    (folder / "in" / "grey.gif").unlink()
    with pytest.raises(FileNotFoundError):
        found[1]
