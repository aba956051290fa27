"""training/choice.py: a set gets the model with which it is shortest, the model counted; few pictures get none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from codec.archive import Archive
from codec.errors import UnsupportedInput
from codec.model import unpack_model
from codec.packing import Item, pack_archive
from codec.picture import Image
from tests.checks import frozen_lossless_model
from tests.pictures import samples
from training import choice as module
from training.choice import choose


def glyphs(count: int, bands: int = 1, depth: int = 8) -> list[Image]:
    """Pictures (8, 8, bands) that are noise to a general model, and nearly nothing to one of their own."""
    noise = [samples("noise", (8, 8, bands), depth, seed) for seed in range(2)]
    low, high = 50 << depth >> 8, 200 << depth >> 8
    kinds = [np.where(each >> (depth - 1), high, low).astype(each.dtype) for each in noise]  # two levels, in disorder
    return [Image.of(kinds[number % 2]) for number in range(count)]


@pytest.fixture(autouse=True)
def general(monkeypatch):
    """The general model is a tiny one; repetitions, which would code these pictures in nothing, are not looked for."""
    monkeypatch.setattr("codec.tile.looks_like_graphics", lambda x: False)
    monkeypatch.setattr(module, "load_model", lambda name: frozen_lossless_model())


def archive(images: list[Image], own: bytes | None) -> bytes:
    model = unpack_model(own) if own else frozen_lossless_model()
    return pack_archive([Item(str(n), image) for n, image in enumerate(images)], model, embed=own)


def test_few_pictures_get_no_model():
    found = choose(iter(glyphs(2)), 0.01, widths=[2])
    assert found.model is None
    assert found.total == found.without


def test_many_pictures_that_are_alike_get_one_that_pays():
    images, told, steps = glyphs(1500), [], itertools.count()
    own, total, without, margin = choose(
        iter(images), 60, widths=[4], stop=lambda: next(steps) > 250, progress=lambda *numbers: told.append(numbers)
    )
    assert own is not None
    data = archive(images, own)
    assert total + margin < without
    assert total == pytest.approx(len(data), rel=0.2)
    assert len(data) < len(archive(images, None))
    opened = Archive(data)
    np.testing.assert_array_equal(opened[1499], images[1499].colour[..., 0])
    assert told == sorted(told)
    assert told[-1][0] <= told[-1][1]


def candidate(model: int, *costs: float) -> module.Candidate:
    return module.Candidate(b"x" * model, sum(costs), np.array(costs))


def test_what_is_chosen_is_the_least_total(monkeypatch):
    tried = iter([candidate(300, 250.0), candidate(100, 350.0)])
    monkeypatch.setattr(module._Sample, "general", lambda _: candidate(0, 500.0))
    monkeypatch.setattr(module, "train_style", lambda model, *_, **__: model)
    monkeypatch.setattr(module, "_finest", lambda *_, **__: next(tried))
    assert choose(glyphs(1), 1, widths=[2])[:3] == (b"x" * 100, 450.0, 500.0)
    tried = iter([candidate(300, 250.0), candidate(200, 301.0)])
    assert choose(glyphs(1), 1, widths=[2])[:3] == (None, 500.0, 500.0)


def test_what_is_estimated_from_all_blocks_is_nearly_sure_and_from_few_it_is_not(monkeypatch):
    images = glyphs(4 * 128)  # four blocks
    look = module.Look.of(images[0])
    one, other = candidate(0, 300.0, 320.0), candidate(0, 500.0, 480.0)
    for samples_, blocks in ((1 << 17, 4), (2 * 128 * 64, 2), (1, 1)):
        monkeypatch.setattr(module, "SAMPLES", samples_)
        sample = module._Sample(look, look.plan(0), images)
        assert len(sample._blocks) == blocks
        if blocks == 2:
            error = 512 * np.std([200 / 128, 160 / 128]) * np.sqrt(1 / 2)
            assert sample.margin(one, other) == pytest.approx(3 * error + 0.005 * one.total)
    monkeypatch.setattr(module, "SAMPLES", 1 << 17)
    assert module._Sample(look, look.plan(0), images[:256]).margin(one, other) == pytest.approx(0.005 * one.total)


def test_of_pictures_of_other_looks_nothing_is_known():
    mixed = [*glyphs(3), Image(np.zeros((9, 9, 1), np.uint8))]
    assert choose(glyphs(3), 0.001, widths=[2]).margin < np.inf
    assert choose(mixed, 0.001, widths=[2]).margin == np.inf


@pytest.mark.parametrize("alpha", [False, True])
def test_bits_of_a_style_are_nearly_those_that_are_coded(alpha):
    images = glyphs(300)
    if alpha:
        images = [Image(image.colour, image.colour[..., 0]) for image in images]
    model = module.Style(module.frequent(module.planes_of(np.stack([image.colour for image in images]))), 4)
    data = module.lossless_model({name: value.numpy() for name, value in model.state_dict().items()}, coarser=4)
    look = module.Look.of(images[0])
    found = module._Sample(look, look.plan(0), images).styled(data, model)
    coded = sum(len(block) + module.CHUNK for block in Archive(archive(images, data)).blocks)
    assert found.pictures == pytest.approx(coded, rel=0.01)
    assert found.data == data


def test_coarser_weights_are_taken_as_long_as_they_pay(monkeypatch):
    sizes = {2: 100, 3: 80, 4: 60, 5: 50}
    costs = {100: 900.0, 80: 901.0, 60: 930.0, 50: 990.0}
    monkeypatch.setattr(module, "lossless_model", lambda state, coarser, name: bytes(sizes[coarser[0]]))
    best = module._finest(module.Style([[0]], 1), lambda data, _: module.Candidate(data, costs[len(data)], np.zeros(1)))
    assert (len(best.data), best.total) == (80, 981.0)


def test_layers_may_be_as_coarse_as_they_like(monkeypatch):
    # The first layer does best with 5 bits less, the others with 3: found step by step, and each is tried once.
    tried = []
    monkeypatch.setattr(module, "lossless_model", lambda state, coarser, name: tried.append(coarser) or bytes(100))

    def cost(data: bytes, _: module.Style) -> module.Candidate:
        return candidate(100, float(np.abs(np.subtract(tried[-1], (5, 3, 3))).sum()))

    best = module._finest(module.Style([[0]], 1), cost, layerwise=True)
    assert best.pictures == 0
    assert len(tried) == len(set(tried)) < 16
    assert all(min(coarser) >= 0 for coarser in tried)


def test_an_interrupt_keeps_what_is_trained():
    asked = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 60

    own = choose(glyphs(1500), 60, widths=[4, 8, 16], stop=stop).model
    assert own is None or unpack_model(own).name == "style"
    assert len(asked) < 70  # it has not gone on with the other widths


def test_it_learns_from_other_pictures_of_the_same_look(monkeypatch):
    seen = []
    monkeypatch.setattr(module, "train_style", lambda model, planes, *_, **__: seen.append(planes) or model)
    others = [*glyphs(5), Image(np.zeros((9, 9, 1), np.uint8))]
    choose(glyphs(3), 1, train_on=iter(others), widths=[2])
    assert [plane.shape for plane in seen[0]] == [(5, 8, 8)]
    with pytest.raises(UnsupportedInput, match=r"like most of those to pack: 8 x 8, 3 channel\(s\) of 8 bits"):
        choose(glyphs(3, 3), 1, train_on=others)


def test_pictures_that_cannot_stand_side_by_side_are_nothing_to_train_on():
    with pytest.raises(UnsupportedInput, match="nothing to train on"):
        choose([Image(np.zeros((200, 200, 1), np.uint8)), Image(np.zeros((2, 2, 1), np.uint8), icc=b"x")], 1)


@pytest.mark.parametrize("error", [0, 2])
def test_near_lossless_sets_are_trained_as_they_are_coded(monkeypatch, error):
    seen = []
    monkeypatch.setattr(module, "train_style", lambda model, planes, *_, **__: seen.append(planes) or model)
    choose(glyphs(3), 1, max_error=error, widths=[2])
    expected = (glyphs(1)[0].colour.astype(int) + error) // (2 * error + 1)
    np.testing.assert_array_equal(seen[0][0][0], expected[..., 0])
