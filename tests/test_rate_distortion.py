"""tools/rate_distortion.py and `engram measure rd` as a whole."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from tests.pictures import picture
from tools.cli import measure as command
from tools.metrics import METRICS
from tools.rate_distortion import Picture, measure
from tools.rivals import jpeg

MODEL = Path(__file__).parents[1] / "bitstreams" / "v1" / "conformance.egmm"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(2):
        Image.fromarray(picture(64, 48 + 16 * i)).save(folder / f"{i}.png")
    return folder


def rd(photos, out, *options):
    fixed = ["-m", MODEL, "--rivals", "jpeg", "--metrics", "psnr", "--show", "none"]
    arguments = ["rd", photos, "-o", out, *fixed, *options]
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def test_a_point_is_the_size_of_the_whole_file():
    x, codec = picture(32, 40), jpeg()
    point = measure(Picture("x", "0", x), codec, 75, [METRICS["psnr"]], "here")
    assert point.bytes == len(codec.encode(x, 75))
    assert point.bpp == pytest.approx(8 * point.bytes / (32 * 40))


def test_rd_leaves_points_a_plot_and_one_page_that_loads_nothing(photos, tmp_path):
    out = tmp_path / "out"
    result = rd(photos, out)
    assert result.exit_code == 0, result.output
    assert "Engram" in result.output
    points = json.loads((out / "results.json").read_text())["points"]
    found = {(point["picture"], point["codec"]) for point in points}
    assert found == {(name, codec) for name in "01" for codec in ("engram", "jpeg")}
    assert (out / "rd.png").read_bytes()[:4] == b"\x89PNG"
    page = (out / "report.html").read_text()
    assert "<svg" in page
    assert not re.search(r"""(src|href)=["']?https?:""", page)


def test_a_second_run_measures_nothing_twice(photos, tmp_path):
    assert rd(photos, tmp_path / "out").exit_code == 0
    before = json.loads((tmp_path / "out" / "results.json").read_text())["points"]
    assert rd(photos, tmp_path / "out").exit_code == 0
    assert json.loads((tmp_path / "out" / "results.json").read_text())["points"] == before


def test_a_path_that_is_not_there_is_a_usage_error(tmp_path):
    assert rd(tmp_path / "nothing", tmp_path / "out").exit_code == 2
