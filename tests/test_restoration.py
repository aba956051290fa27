"""codec/restoration.py: an exact filter of known reach."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from codec.errors import ModelError
from codec.intnet import pattern
from codec.layers import Layers
from codec.photo import photo
from codec.restoration import MOST_BLOCKS, Restoration
from tests.checks import conformance_model


def filtered(x: np.ndarray, index: int = 20) -> np.ndarray:
    built = photo(conformance_model())
    return built.restoration(x, index, int(built.steps[index]))


def some(h: int, w: int) -> np.ndarray:
    return pattern((16 * h, 16 * w, 3), 0, 255 * 64).astype(float)


def test_it_changes_pixels_by_whole_units_and_more_at_coarse_steps():
    x = some(3, 4)
    change = [filtered(x, index) - x for index in (0, 63)]
    assert all(np.array_equal(c, np.rint(c)) for c in change)
    assert np.abs(change[0]).mean() > 4 * np.abs(change[1]).mean() > 0


def test_it_does_not_see_brightness():
    x = some(3, 4)
    assert np.array_equal(filtered(x + 640) - 640, filtered(x))


def test_its_halo_is_all_that_it_sees():
    built, x = photo(conformance_model()), some(9, 9)
    before, other = filtered(x), x.copy()
    other[64:80, 64:80] += 1000 * pattern((16, 16, 3), 0, 1)  # block (4, 4)
    touched = (filtered(other) != before).any(axis=2)
    low, high = 16 * (4 - built.restoration.halo), 16 * (5 + built.restoration.halo)
    assert touched[low:high, low:high].any()
    touched[low:high, low:high] = False
    assert not touched.any()


def test_extreme_inputs_stay_exact():
    x = pattern((32, 48, 3), -(2**33), 2**33).astype(float)
    change = filtered(x) - x
    assert np.array_equal(change, np.rint(change))
    assert np.abs(change).max() <= 8 * 255 * 64


def test_its_pixels_are_frozen():
    x = filtered(some(5, 6))
    assert hashlib.sha256(x.astype("<i8").tobytes()).hexdigest()[:16] == "8c8c838860f527bf"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("restore.condition", lambda t: t[:, :-1], r"restore\.condition"),
        ("restore.stem.bias", lambda t: t[:0], "0 numbers"),
        ("restore.head.bias", lambda t: t[:-1], r"restore\.head\.bias"),
        ("restore.block.0.out.shift", lambda t: t * 0 + 51, r"2\^53"),
        ("restore.block.0.hidden.weight.0", lambda t: t[:, :1], r"\(16, 3, 3, 16\)"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(name, change, message):
    tensors = dict(conformance_model().tensors)
    with pytest.raises(ModelError, match=message):
        Restoration(Layers(tensors | {name: change(tensors[name])}), 64)


def test_blocks_are_counted_up_to_a_bound():
    tensors = dict(conformance_model().tensors)
    body = {name: tensor for name, tensor in tensors.items() if name.startswith("restore.block.0.")}
    for i in range(1, MOST_BLOCKS + 1):
        tensors |= {name.replace(".0.", f".{i}.", 1): tensor for name, tensor in body.items()}
    tensors["restore.condition"] = np.zeros((64, 16 * (MOST_BLOCKS + 1)), np.int32)
    layers = Layers(tensors)
    assert Restoration(layers, 64).halo == -(-(MOST_BLOCKS + 1) * 8 // 16)
    assert layers.has(f"restore.block.{MOST_BLOCKS}.out.bias")
    with pytest.raises(ModelError, match="no layer takes"):
        layers.finish()
