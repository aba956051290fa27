"""tools/lossless.py, tools/lossless_study.py, tools/lossless_page.py and `engram measure lossless` as a whole."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as pillow

from codec.picture import Image
from tests.pictures import folder_of_pictures, picture
from tools import exact
from tools.cli import measure as command
from tools.lossless import Measured, Subject, colours, compare, engram, measure, measure_all
from tools.lossless_study import Study, table
from tools.tiny_lossless import tiny_lossless

X = picture(24, 32)


@pytest.fixture(scope="module", autouse=True)
def as_it_stands():
    """The codec's source under one name, even if someone edits it between two runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tools.engram.source_version", lambda: "as it stands")
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.egmm"
    path.write_bytes(tiny_lossless())
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two pictures of RGB and one with a palette."""
    folder = folder_of_pictures(tmp_path_factory.mktemp("photos"), (24, 32), (20, 40))
    pillow.fromarray(picture(16, 16)).quantize(9).save(folder / "drawn.png")
    return folder


def run(model, photos, out, *options):
    arguments = ["lossless", photos, "-o", out, "-m", model, "--rivals", "png,jxl,jpegls", *options]
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def found(model, photos, tmp_path_factory):
    """What the command says and writes."""
    out = tmp_path_factory.mktemp("lossless")
    result = run(model, photos, out)
    assert result.exit_code == 0, result.output
    return out, result.stdout


def subject(x: np.ndarray = X, name: str = "x") -> Subject:
    return Subject(name, name, Image.of(x))


def measured(picture: str, codec: str, size: int, bpsp: float, **facts: object) -> Measured:
    """A measurement made up."""
    plain = {"exact": True, "largest_error": 0, "psnr": None, "encode_seconds": 1.0, "decode_seconds": 1.0}
    known = {"tiles": {}, "version": "", "machine": "", "date": ""}
    return Measured("", picture, codec, size, bpsp, **plain | known | facts)


def test_errors_are_found():
    off = X.copy()
    off[3, 4, 1] ^= 2
    assert compare(X, X, 255) == (0, None)
    assert compare(X, off, 255) == (2, pytest.approx(10 * np.log10(255**2 * X.size / 4)))
    assert compare(X, X[:-1], 255) == compare(X, X.astype(np.uint16), 255) == (None, None)


def test_grey_may_come_back_as_rgb_and_opaque_alpha_may_not():
    grey = X[..., :1]
    rgb = np.repeat(grey, 3, axis=2)
    assert compare(grey, rgb, 255) == (0, None)
    assert compare(grey, X, 255)[0] > 0
    for alpha, error in ((255, 0), (250, 5)):
        original = np.concatenate([X, np.full_like(grey, alpha)], axis=2)
        assert compare(original, X, 255)[0] == error
        assert compare(original[..., [0, 3]], rgb, 255)[0] == error


def test_a_codec_that_changes_a_sample_is_named_and_counts_nowhere():
    honest = exact.png()
    liar = dataclasses.replace(honest, name="liar", label="Liar", decode=lambda data: colours(honest.decode(data)) ^ 1)
    subjects = [subject()]
    study = Study(subjects, [honest, liar], *measure_all(subjects, [honest, liar], machine="here"))
    assert {row.codec: (row.pictures, row.inexact) for row in study.rows} == {"png": (1, ()), "liar": (0, ("x",))}
    assert "Liar is not exact on x" in table(study)


def test_a_rival_that_fails_leaves_the_picture_out_and_we_do_not():
    def fail(image: Image) -> bytes:
        raise RuntimeError("too small")

    rival = dataclasses.replace(exact.png(), encode=fail)
    found, left_out = measure_all([subject()], [rival], machine="here")
    assert not found
    assert left_out[0].reason == "RuntimeError: too small"
    with pytest.raises(RuntimeError):
        measure_all([subject()], [dataclasses.replace(rival, name="engram")], machine="here")


def test_means_are_over_pictures_and_ratios_are_of_sums():
    codecs = [exact.jpegxl(7), exact.png()]
    facts = [measured("a", "jxl", 100, 1.0), measured("b", "jxl", 500, 3.0)]
    facts += [measured("a", "png", 300, 3.0), measured("b", "png", 600, 3.6)]
    jxl, png = Study([subject(name="a"), subject(name="b")], codecs, facts, []).rows
    assert (jxl.bpsp, png.bpsp) == (pytest.approx(2.0), pytest.approx(3.3))
    assert png.ratios == {"jxl": pytest.approx(900 / 600), "png": 1.0}


def test_ratios_are_over_pictures_in_common():
    facts = [measured("a", "png", 300, 3.0), measured("b", "png", 600, 3.6), measured("b", "jxl", 500, 3.0)]
    codecs = [exact.jpegxl(7), exact.png()]
    rows = {row.codec: row for row in Study([subject(name="a"), subject(name="b")], codecs, facts, []).rows}
    assert rows["png"].ratios["jxl"] == pytest.approx(600 / 500)


@pytest.mark.parametrize("error", [0, 1, 5])
def test_our_files_keep_their_bound(model, error):
    codec = engram(str(model), max_error=error)
    for x in (X, X[..., :1], picture(9, 9).astype(np.uint16) * 200):
        one = measure(subject(x), codec, "here")
        assert one.largest_error <= error
        assert one.exact == (error == 0 or one.psnr is None)
        assert one.bytes == len(codec.encode(Image.of(x)))
        assert one.bpsp == pytest.approx(8 * one.bytes / x.size)
        assert sum(one.tiles.values()) == 1


def test_the_command_leaves_numbers_a_chart_and_one_page_that_loads_nothing(found):
    out, said = found
    document = json.loads((out / "results.json").read_text())
    names = {(each["picture"], each["codec"]) for each in document["measured"]}
    assert names == {
        *((name, codec) for name in ("00", "01", "drawn") for codec in ("engram", "png", "jxl")),
        *((name, codec) for name in ("00", "01") for codec in ("engram-1", "engram-2", "jpegls")),
    }
    assert all(each["exact"] for each in document["measured"] if not each["codec"].startswith("engram-"))
    assert [near["largest_error"] for near in document["near"]] == [1, 2]
    assert sum(document["tiles"].values()) == 3
    assert (out / "lossless.png").read_bytes()[:4] == b"\x89PNG"
    page = (out / "report.html").read_text()
    assert "Engram needs" in page
    assert not re.search(r"""(src|href)=["']?https?:""", page)
    for text in ("Engram ±1", "JPEG-LS leaves out drawn: no palettes", "JPEG XL e7 keep the colours"):
        assert text in said


def test_a_second_run_measures_nothing_twice_and_adds_what_is_missing(model, photos, found):
    out, _ = found
    before = json.loads((out / "results.json").read_text())["measured"]
    assert run(model, photos, out).exit_code == 0
    assert json.loads((out / "results.json").read_text())["measured"] == before
    assert run(model, photos, out, "--rivals", "xz", "--errors", "").exit_code == 0
    after = json.loads((out / "results.json").read_text())["measured"]
    assert after[: len(before)] == before
    assert {each["codec"] for each in after[len(before) :]} == {"xz"}


def test_a_renamed_picture_is_not_measured_again(model, photos, found, tmp_path):
    out, _ = found
    renamed = tmp_path / "other.png"
    renamed.write_bytes((photos / "00.png").read_bytes())
    before = json.loads((out / "results.json").read_text())["measured"]
    result = run(model, renamed, out, "--errors", "")
    assert "1 of 1" in result.output
    assert json.loads((out / "results.json").read_text())["measured"] == before


def test_an_interruption_loses_nothing(model, photos, tmp_path, monkeypatch):
    def interrupted(image: Image) -> bytes:
        if image.width == 40:
            raise KeyboardInterrupt
        return exact.png().encode(image)

    monkeypatch.setitem(exact.RIVALS, "png", lambda: dataclasses.replace(exact.png(), encode=interrupted))
    assert run(model, photos, tmp_path, "--rivals-only", "--rivals", "jpegls,png").exit_code != 0
    kept = json.loads((tmp_path / "results.json").read_text())["measured"]
    assert [(each["picture"], each["codec"]) for each in kept] == [("00", "jpegls"), ("01", "jpegls"), ("00", "png")]


def test_two_runs_in_one_folder_lose_nothing_of_each_other(model, photos, tmp_path, monkeypatch):
    def meanwhile(image: Image) -> bytes:
        if image.width == 40:
            monkeypatch.setitem(exact.RIVALS, "png", exact.png)
            assert run(model, photos, tmp_path, "--rivals-only", "--rivals", "jpegls").exit_code == 0
        return exact.png().encode(image)

    monkeypatch.setitem(exact.RIVALS, "png", lambda: dataclasses.replace(exact.png(), encode=meanwhile))
    assert run(model, photos, tmp_path, "--rivals-only", "--rivals", "png").exit_code == 0
    kept = json.loads((tmp_path / "results.json").read_text())["measured"]
    assert sorted(each["codec"] for each in kept) == ["jpegls"] * 2 + ["png"] * 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rivals", "gif"], "gif; known are"),
        (["--errors", "1,x"], "expected whole numbers of 1 to 127"),
        (["--errors", "0"], "expected whole numbers of 1 to 127"),
        (["--rivals-only", "--rivals", ""], "goes with rivals"),
    ],
)
def test_wrong_use_says_what_is_right(model, photos, tmp_path, options, said):
    result = run(model, photos, tmp_path, *options)
    assert result.exit_code == 2
    assert said in result.output


def test_results_of_something_else_are_not_overwritten(model, photos, tmp_path):
    (tmp_path / "results.json").write_text('{"format": 1, "points": []}')
    result = run(model, photos, tmp_path)
    assert result.exit_code == 1
    assert "move it away" in result.output
    assert (tmp_path / "results.json").read_text() == '{"format": 1, "points": []}'
