"""`engram report`: the page as a whole, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image as Pillow

from codec.cli import cli
from tests.checks import ROOT
from tests.pictures import folder_of_pictures, picture
from tools.results import FORMAT
from tools.run_history import legs_of, series

MODEL = ROOT / "bitstreams" / "v1" / "conformance.egmm"
TIMES, DASH, MINUS, THIN = "\N{MULTIPLICATION SIGN}", "\N{EN DASH}", "\N{MINUS SIGN}", "\N{NARROW NO-BREAK SPACE}"
IDS = re.compile(r'<section id="([a-z]+)\d*"')


def report(folder: Path, *arguments: object, code: int = 0) -> str:
    """The page that the command makes, or what it says instead."""
    output = folder / "report.html"
    result = CliRunner().invoke(cli, ["report", *map(str, arguments), "-o", str(output), "-f"])
    assert result.exit_code == code, result.output
    if code:
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert not output.exists()
        return result.stderr
    return output.read_text()


def record(stage: str, step: int, **values: object) -> str:
    return json.dumps({"stage": stage, "step": step, "minutes": step / 100, **values})


def run_of(folder: Path, *lines: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def prior(step: int, loss: float, **values: object) -> str:
    hyper = {"used": [60, 61], "dead": [4, 3], "perplexity": [31.5, 32.5]}
    return record("prior", step, loss=loss, hyper=hyper, learning_rate=1e-3, **values)


VALIDATION = {"points": [{"quality": 0.5, "bpp": 0.4321, "psnr": 33.125}]}
RUN = (
    prior(10, 2.5),
    prior(20, 2.0),
    record("prior", 20, validation=VALIDATION),
    record("residual", 100, loss=3.5, level_0=2.5, level_1=3.0, learning_rate=1e-3),
    record("residual", 200, loss=3.0, level_0=2.25, level_1=2.75, learning_rate=5e-4),
    record("residual", 200, validation={"bpsp": 2.625, "levels": [2.25, 2.75]}, done=True),
)


def rates(folder: Path) -> Path:
    """A results.json as `engram measure rd` writes it, of two codecs."""
    codecs = [
        {"name": n, "label": n.upper(), "settings": "s", "version": "1", "knob": "q", "fingerprint": f"f{n}"}
        for n in ("engram", "jpeg")
    ]
    points = [
        {"key": f"h/f{name}/{q}", "picture": "p", "codec": name, "setting": q, "bytes": q, "bpp": q * factor}
        | {"scores": {"psnr": 30.0 + q}, "encode_seconds": 1.0, "decode_seconds": 1.0}
        | {"version": "1", "machine": "m", "date": "d"}
        for name, factor in (("engram", 0.1), ("jpeg", 0.2))
        for q in range(1, 8)
    ]
    rate = {"codec": "engram", "anchor": "jpeg", "metric": "psnr", "method": "pchip", "per_picture": {}}
    rate |= {"mean_curve": {"percent": -50.0, "low": 31.0, "high": 37.0}, "mean_of_pictures": -50.0}
    document = {"format": FORMAT, "codecs": codecs, "points": points, "bd_rates": [rate]}
    document["pictures"] = [{"name": "p", "hash": "h", "height": 8, "width": 8, "channels": 3}]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(document))
    return folder


def planes(folder: Path) -> Path:
    """Results as `engram measure plane` writes them, with a picture."""
    summary = {"peak": 4.5, "peak_step": 300.0, "final": 3.25, "log10_test": -2.125, "simplifies": True}
    document = {"format": 1, "images": "digits", "samples": 64, "ceiling": 6.0, "kernels": ["gamma 2"]}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(document | {"summary": {"shallow": [summary]}, "runs": []}))
    Pillow.fromarray(picture(30, 40)).save(folder / "plane.png")
    return folder


def check_stands_alone(page: str) -> None:
    assert not re.search(r"""(src|href)\s*=\s*(?!["']?(data:|#))""", page)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|<script|<link", page)
    assert all(re.search(r'\balt="[^"]+"', tag) for tag in re.findall(r"<img[^>]*>", page))
    assert all('role="img" aria-label="' in tag or "aria-hidden" in tag for tag in re.findall(r"<svg[^>]*>", page))


def test_a_run_shows_its_curves_and_its_last_validation(tmp_path):
    page = report(tmp_path, run_of(tmp_path / "mine", *RUN))
    check_stands_alone(page)
    assert IDS.findall(page) == ["training"]
    assert "Training mine" in page
    assert "Stage prior" in page
    assert "Stage residual" in page
    for title in ("Loss in training", "Perplexity of the hyper-latent", "Dead codewords", "Learning rate", "by level"):
        assert title in page
    assert "0.432" in page
    assert "33.125" in page
    assert "2.625" in page
    assert "not finished" in page


def test_legs_follow_each_other(tmp_path):
    first = run_of(tmp_path / "one", prior(10, 3.0), prior(20, 2.5))
    second = run_of(tmp_path / "two", prior(10, 2.0), prior(20, 1.5), prior(10, 1.25), prior(30, 1.0))
    legs = [leg for folder in (first, second) for leg in legs_of(folder / "metrics.jsonl")]
    assert [(leg.source, leg.steps) for leg in legs] == [("one", 20), ("two", 20), ("two", 30)]
    loss = series(legs)[0].curves["loss"]
    assert loss == ((10, 3.0), (20, 2.5), (30, 2.0), (40, 1.5), (50, 1.25), (70, 1.0))
    page = report(tmp_path, first, second)
    assert "leg 2: two" in page
    assert "leg 3: two" in page


def test_long_curves_are_averaged_and_what_is_no_number_left_out(tmp_path):
    lines = [record("s", i, loss=float("nan") if i == 7 else 2.0 * (i % 2)) for i in range(1, 5000)]
    (found,) = series(legs_of(run_of(tmp_path, *lines) / "metrics.jsonl"))
    values = [value for _, value in found.curves["loss"]]
    assert len(values) <= 240
    assert sum(values) / len(values) == pytest.approx(1, abs=0.01)


def test_a_model_at_work_has_codebooks_bits_and_a_bill(tmp_path):
    pictures = folder_of_pictures(tmp_path / "pictures", (48, 64), (40, 40))
    page = report(tmp_path, MODEL, "-i", pictures, "-q", 60)
    check_stands_alone(page)
    assert IDS.findall(page) == ["codebooks", "bits", "bill"]
    assert "codeword" in page
    assert "perplexity" in page
    assert "hyper-latent" in page
    assert page.count('class="heat"') > 10
    size = f"{MODEL.stat().st_size:,}".replace(",", THIN)
    assert f"L(H) = {size} bytes" in page
    assert len(page) < 2_000_000
    assert report(tmp_path, MODEL, "-i", pictures, "-q", 60) == page


def test_a_coded_file_is_followed_as_it_is(tmp_path):
    folder = folder_of_pictures(tmp_path / "pictures", (33, 47))
    file = folder / "00.egm"
    made = CliRunner().invoke(cli, ["compress", str(folder / "00.png"), "-m", str(MODEL), "-q", "30", "-o", str(file)])
    assert made.exit_code == 0, made.output
    page = report(tmp_path, MODEL, "-i", file)
    assert f"47 {TIMES} 33 pixels, {file.stat().st_size} bytes" in page


def test_a_lossless_model_shows_levels_and_planes(tmp_path):
    from tools.tiny_lossless import tiny_lossless

    (tmp_path / "tiny.egmm").write_bytes(tiny_lossless())
    page = report(tmp_path, tmp_path / "tiny.egmm", "-i", folder_of_pictures(tmp_path / "p", (64, 80)))
    check_stands_alone(page)
    assert IDS.findall(page) == ["bits", "bill"]
    assert "level 0: every pixel" in page
    assert "orange-blue" in page
    assert "diagonal" in page


def test_measurements_are_shown_and_found_in_folders(tmp_path):
    run = run_of(tmp_path / "run", *RUN)
    rates(run / "rd")
    planes(run / "plane")
    page = report(tmp_path, run)
    check_stands_alone(page)
    assert IDS.findall(page) == ["training", "rates", "plane"]
    assert f"{MINUS}50.0" in page
    assert f"31.0{DASH}37.0" in page
    assert "digits" in page
    assert "4.50" in page
    assert "3.25" in page
    assert 'src="data:image/webp' in page
    alone = report(tmp_path, run / "rd" / "results.json")
    assert IDS.findall(alone) == ["rates"]


def test_planes_of_a_codec_are_the_drawing(tmp_path):
    folder = planes(tmp_path / "vq")
    (folder / "plane.png").rename(folder / "vq_plane.png")
    document = {"format": 1, "kernels": [], "samples": 64, "ceilings": {"exact": 9.0, "samples": 6.0}, "runs": []}
    (folder / "results.json").write_text(json.dumps(document))
    page = report(tmp_path, folder)
    check_stands_alone(page)
    assert IDS.findall(page) == ["plane"]
    assert "6.00 bits" in page
    assert 'src="data:image/webp' in page


def test_an_exact_measurement_is_a_table(tmp_path):
    rows = [{"label": "Ours", "pictures": 3, "bpsp": 2.875, "ratios": {"jxl": 0.9875, "png": None}}]
    (tmp_path / "results.json").write_text(json.dumps({"kind": "lossless", "summary": rows, "measured": []}))
    page = report(tmp_path, tmp_path / "results.json")
    assert IDS.findall(page) == ["exact"]
    assert "2.875" in page
    assert f"{MINUS}1.2" in page


HOSTILE = {
    "nothing": (None, "no model"),
    "empty": ({}, "holds nothing to report"),
    "empty records": ({"metrics.jsonl": ""}, "no records yet"),
    "garbage": ({"metrics.jsonl": "{]\n{}\n"}, "line 1"),
    "a list": ({"metrics.jsonl": "[]\n{}\n"}, "line 1"),
    "no step": ({"metrics.jsonl": '{"stage": "s"}\n{}\n'}, "a step of None"),
    "deep": ({"metrics.jsonl": "[" * 100_000 + "\n{}\n"}, "line 1"),
    "no results": ({"results.json": "{"}, "damaged"),
    "a number": ({"results.json": "7"}, "damaged"),
    "no points": ({"results.json": json.dumps({"points": [], "format": 1})}, "damaged"),
    "half points": ({"results.json": json.dumps({"points": [{}], "codecs": [], "pictures": []})}, "not a results file"),
    "half planes": ({"results.json": json.dumps({"kernels": [], "ceiling": 1, "summary": {"s": []}})}, "damaged"),
    "half exact": ({"results.json": json.dumps({"kind": "lossless"})}, "no summary"),
    "no model": ({"x.egmm": "not a model"}, "not an Engram file"),
    "two models": ({"x.egmm": "a", "y.egmm": "b"}, "2 models"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_cannot_be_shown_ends_in_a_line(case, tmp_path):
    files, says = HOSTILE[case]
    folder = tmp_path / "run"
    if files is not None:
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
    result = CliRunner().invoke(cli, ["report", str(folder), "-o", str(tmp_path / "out.html")])
    assert result.exit_code not in (0, 2)
    assert isinstance(result.exception, SystemExit), result.exception
    assert says in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert not (tmp_path / "out.html").exists()


def test_damaged_planes_and_checkpoints_are_named(tmp_path):
    folder = planes(tmp_path / "plane")
    (folder / "plane.png").write_bytes(b"no picture")
    assert "no PNG" in report(tmp_path, folder, code=1)
    run = run_of(tmp_path / "run", *RUN)
    (run / "residual.npz").write_bytes(b"no checkpoint")
    result = CliRunner().invoke(cli, ["report", str(run), "-o", str(tmp_path / "run.html")])
    assert result.exit_code == 0, result.output
    assert "no model can be made of the checkpoints" in result.stderr


def test_a_model_that_cannot_run_gives_way_to_its_checkpoints(tmp_path):
    run = run_of(tmp_path / "run", *RUN)
    (run / "residual.npz").write_bytes(b"no checkpoint")
    (run / "run.egmm").write_bytes(MODEL.read_bytes()[:-1])
    result = CliRunner().invoke(cli, ["report", str(run), "-o", str(tmp_path / "run.html")])
    assert result.exit_code == 0, result.output
    assert "is passed over for its checkpoints" in result.stderr
    assert IDS.findall((tmp_path / "run.html").read_text()) == ["training"]


def test_a_cut_last_line_is_a_run_that_goes_on(tmp_path):
    run = run_of(tmp_path / "run", *RUN)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "resid')
    assert "2.625" in report(tmp_path, run)


def test_a_model_by_itself_asks_for_a_picture(tmp_path):
    assert "--image PICTURE" in report(tmp_path, MODEL, code=1)
    assert "--image needs a model" in report(
        tmp_path, run_of(tmp_path / "run", *RUN), "-i", folder_of_pictures(tmp_path / "p", (16, 16)), code=1
    )


def test_names_of_others_are_text_and_not_markup(tmp_path):
    folder = rates(tmp_path / "rd")
    text = (folder / "results.json").read_text()
    (folder / "results.json").write_text(text.replace("JPEG", "<script>alert(1)</script>"))
    evil = record("<b>stage</b>", 1, loss=1.0)
    page = report(tmp_path, folder, run_of(tmp_path / "run", evil, evil))
    assert "<script" not in page
    assert "<b>stage" not in page
    assert "&lt;b&gt;stage" in page


def test_an_existing_page_stays_unless_forced(tmp_path):
    output = tmp_path / "out.html"
    output.write_text("mine")
    run = run_of(tmp_path / "run", *RUN)
    result = CliRunner().invoke(cli, ["report", str(run), "-o", str(output)])
    assert result.exit_code == 1
    assert "-f is not given" in result.stderr
    assert output.read_text() == "mine"
