"""tools/description_study.py, and its picture: what the lengths say."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from codec.catalogue import Look
from tools import description_plot
from tools.description_length import Precision
from tools.description_study import Row, Study, crossing, rows_of, table
from tools.prequential import Part

STUDY = Study(
    Look(4, 4, 1, False, 8),
    count=64,
    weights=100,
    sample=16,
    rows=tuple(Row(n, 100 * n, 1500 + 60 * n, 1400) for n in (1, 32, 64)),
    pays=40,
    precisions=tuple(Precision(c, m, d, b"") for c, m, d in ((0, 1400, 3800.0), (1, 1300, 3810.0), (2, 1200, 3950.0))),
    parts=(Part(0, 32, 3200), Part(32, 64, 3200, 2800.0)),
)


def archives(per_picture: int, once: int):
    return SimpleNamespace(bits=lambda n: once + per_picture * n, borders=list(range(20, 101, 20)))


@pytest.mark.parametrize(
    ("once", "pays"), [(0, 20), (799, 20), (800, 40), (3999, 100), (4000, None)], ids=str
)  # a model saves 40 bits a picture
def test_a_model_pays_where_it_has_saved_what_it_costs(once, pays):
    assert crossing(archives(100, 0), archives(60, once)) == pays


def test_a_model_that_pays_now_and_then_pays_from_the_last_time_on():
    bits = {20: 1, 40: 9, 60: 1, 80: 1, 100: 1}
    own = SimpleNamespace(bits=bits.__getitem__, borders=list(bits))
    assert crossing(SimpleNamespace(bits=lambda n: 5), own) == 60


def test_rows_tell_model_and_data_apart():
    (row,) = rows_of(archives(100, 0), archives(60, 500), 400, [3])
    assert (row.general, row.own, row.model, row.data) == (300, 680, 400, 280)


def test_the_best_precision_is_that_of_the_least_total():
    assert STUDY.best.coarser == 1
    assert STUDY.excess(STUDY.best) == 0.1
    assert STUDY.rissanen == {"pictures": 300.0, "samples": 500.0}


def test_it_is_all_in_the_file():
    document = json.loads(json.dumps(STUDY.as_json(), allow_nan=False))
    assert document["uniform"] == 64 * 16 * 8
    assert document["two_part"][1] == {"count": 32, "general": 3200, "own": 3420, "model": 1400, "data": 2020}
    assert document["precision"]["best"] == 1
    assert document["precision"]["rows"][2]["bits_per_weight"] == 12
    assert [part["so_far"] for part in document["prequential"]] == [3200, 6001]


def test_the_table_says_it():
    text = table(STUDY)
    for words in (
        "64 pictures, 4 x 4 x 1, 8 bits; a model of their own with 100 weights",
        "pays from 40 pictures on",
        "data by 16 pictures that were coded",
        "(k/2) log2 n, n = 1,024 samples: 500 bits, 5.00 a weight",
        "33 .. 64       100        88        94        83",
    ):
        assert words in text
    assert [line.split()[0] for line in text.splitlines() if line.endswith("least total")] == ["1"]
    bare = table(replace(STUDY, pays=None, parts=(), sample=64))
    assert "does not pay" in bare
    assert "prequential" not in bare
    assert "were coded" not in bare


@pytest.mark.parametrize("study", [STUDY, replace(STUDY, pays=None, parts=())], ids=["all", "without parts"])
def test_it_is_drawn(study):
    assert description_plot.draw(study).startswith(b"\x89PNG")
