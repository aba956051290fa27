"""tools/prequential.py: a part is coded under what was learnt before it, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codec.model import unpack_model
from codec.picture import Image
from tests.pictures import samples
from tools import prequential as module
from tools.description_length import Archives, Pictures
from tools.prequential import Part, cuts_of, learn, learnt_bits, parts_of, running
from tools.rate_distortion import MeasureError
from training.residual_export import lossless_model
from training.style import Style, frequent, planes_of


def alike(count: int, bands: int = 1) -> Pictures:
    """Pictures of a few levels; those from the fifth on are brighter."""
    noise = [samples("noise", (12, 12, bands), seed=seed) // 64 * 8 + (100 if seed > 3 else 0) for seed in range(count)]
    return Pictures.of(Image.of(x.astype(np.uint8)) for x in noise)


def test_each_part_is_as_long_as_all_before_it():
    assert cuts_of(2000, 32) == [32, 64, 128, 256, 512, 1024, 2000]
    assert cuts_of(64, 32) == [32, 64]
    assert cuts_of(5, 32) == [5]


def test_what_is_learnt_is_learnt_from_the_pictures_before(monkeypatch):
    seen, coded, told = [], [], []

    def train(model, planes, depth, schedule, *, progress, **_):
        seen.append((planes, schedule.minutes))
        model.anchors += 1  # it goes on from where it was
        progress(1.0, 0.0)

    monkeypatch.setattr(module, "train_style", train)
    monkeypatch.setattr(
        module, "learnt_bits", lambda model, planes, _: coded.append(planes) or float(model.anchors[0, 0])
    )
    pictures = alike(10)
    found = learn(pictures, [4, 8, 10], 11.0, 3, progress=lambda *numbers: told.append(numbers))
    first = frequent([pictures.samples[:4, ..., 0]])  # the levels of the first part, not of those to come
    assert found.bits == [first[0][0] + 1, first[0][0] + 2]
    np.testing.assert_array_equal(found.state["anchors"], np.array(first) + 3)
    assert told == [(4, 22), (12, 22), (22, 22)]
    whole = pictures.samples[..., 0]
    for (planes, minutes), end in zip(seen, (4, 8, 10), strict=True):
        np.testing.assert_array_equal(planes[0], whole[:end])
        assert minutes == pytest.approx(end / 2)
    for planes, (start, end) in zip(coded, ((4, 8), (8, 10)), strict=True):
        np.testing.assert_array_equal(planes[0], whole[start:end])


def test_an_interrupt_ends_it():
    with pytest.raises(MeasureError, match="nothing is written"):
        learn(alike(4), [2, 4], 60, 3, stop=lambda: True)


@pytest.mark.parametrize("bands", [1, 3])
def test_what_is_learnt_costs_what_a_file_of_it_has(bands, monkeypatch):
    pictures = alike(100, bands)
    planes = planes_of(pictures.samples)
    torch.manual_seed(0)
    model = Style(frequent(planes), 3)
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    bits = learnt_bits(model, planes, 8)
    assert bits == pytest.approx(Archives(pictures, unpack_model(lossless_model(state))).data, rel=0.03)
    monkeypatch.setattr(module, "AT_ONCE", 1000)
    assert learnt_bits(model, planes, 8) == pytest.approx(bits, rel=1e-4)


def test_parts_add_up():
    parts = parts_of([4, 8, 10], [1000, 1500, 2100], [400.0, 700.0])
    assert parts == [Part(0, 4, 1000), Part(4, 8, 500, 400.0), Part(8, 10, 600, 700.0)]
    assert [part.bits for part in parts] == [1000, 401, 601]  # a bit says which of the two it is
    assert list(running(parts)) == [(4, 1000), (8, 1401), (10, 2002)]
    assert parts_of([5], [100], []) == [Part(0, 5, 100)]
