"""codec/bill.py: what other formats need, which they can be asked for themselves."""

from __future__ import annotations

import io
import lzma

import numpy as np
import pytest
from PIL import Image as pillow

from codec import bill as module
from codec.bill import bill
from codec.packing import Item
from codec.picture import Image
from tests.pictures import samples

ITEMS = [Item(str(seed), Image.of(samples("photo", (12, 10, 3), seed=seed))) for seed in range(6)]


def test_it_counts_files_that_give_the_pictures_back(monkeypatch):
    files = {"PNG": [], "WEBP": []}

    def saved(image, form, **options):
        data = original(image, form, **options)
        files[form].append(data)
        return data

    original = module._saved
    monkeypatch.setattr(module, "_saved", saved)
    found = bill(ITEMS)
    assert found.exact
    assert (found.png, found.webp) == tuple(sum(map(len, files[form])) for form in ("PNG", "WEBP"))
    for form in files:
        for item, data in zip(ITEMS, files[form], strict=True):
            np.testing.assert_array_equal(np.asarray(pillow.open(io.BytesIO(data))), item.image.colour)
    together = b"".join(item.image.colour.tobytes() for item in ITEMS)
    assert found.xz == len(lzma.compress(together, preset=6))


def test_large_sets_are_estimated(monkeypatch):
    exact = bill(ITEMS)
    monkeypatch.setattr(module, "PICTURES", 2)
    monkeypatch.setattr(module, "SAMPLES", 3 * 360)
    found = bill(ITEMS)
    assert not found.exact
    for ours, theirs in zip(found[:3], exact[:3], strict=True):
        assert ours == pytest.approx(theirs, rel=0.3)


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [1, 8, 12, 16])
def test_pictures_of_all_kinds_have_one(bands, depth):
    x = Image.of(samples("photo", (12, 10, bands), depth))
    found = bill([Item("a", Image(x.colour, x.alpha, b"icc", bit_depth=depth))])
    assert (found.webp is None) == (depth > 8)
    assert 0 < found.png < 2000


def test_palettes_have_one():
    colours = np.random.default_rng(0).integers(0, 256, (4, 3), np.uint8)
    indices = samples("noise", (40, 40, 1), 2)
    found = bill([Item("a", Image(indices, palette=colours, bit_depth=2))])
    assert found.png < 40 * 40 / 4 + 200
    assert found.webp
