"""tools/quantizer_data.py: sets of small pictures from whatever there is."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pictures import digits, folder_of_pictures, picture
from tools.image_sets import load
from tools.quantizer_data import CROP, held_back, name, read
from tools.rate_distortion import MeasureError


def windows(photo: np.ndarray) -> set[bytes]:
    """All that could be drawn from a photo."""
    height, width = photo.shape[:2]
    places = np.ndindex(height - CROP + 1, width - CROP + 1)
    return {photo[i : i + CROP, j : j + CROP].tobytes() for i, j in places}


def test_a_labelled_set_is_read_as_elsewhere(tmp_path):
    np.savez(tmp_path / "a.npz", **digits(30, 7))
    assert read(tmp_path / "a.npz").digest == load(tmp_path / "a.npz").digest
    assert name(tmp_path / "a.npz") == "a"


@pytest.mark.parametrize("shape", [(20, 5, 4), (20, 5, 4, 3)])
def test_of_bare_pictures_the_last_seventh_is_held_out(shape, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    np.save(tmp_path / "b.npy", images)
    found = read(tmp_path / "b.npy")
    assert np.array_equal(found.train_images, images[:18].reshape(18, -1))
    assert np.array_equal(found.test_images, images[18:].reshape(2, -1))
    assert (len(found.train_labels), len(found.test_labels)) == (18, 2)


def test_crops_are_of_the_photos_of_their_part(tmp_path):
    for part, first in (("train", 0), ("val", 3)):
        folder_of_pictures(tmp_path / part, *[(20, 24)] * (first + 2))
    found = read(tmp_path, crops=9, held_out=11)
    assert found.train_images.shape == (9, CROP * CROP * 3)
    assert found.test_images.shape == (11, CROP * CROP * 3)
    each = [windows(picture(20, 24, seed)) for seed in range(5)]
    assert [row.tobytes() in each[0] for row in found.train_images] == [True] * 4 + [False] * 5
    assert all(row.tobytes() in each[1] for row in found.train_images[4:])
    assert {next(n for n in range(5) if row.tobytes() in each[n]) for row in found.test_images} == set(range(5))
    assert read(tmp_path, crops=9, held_out=11).digest == found.digest


def test_without_a_part_for_it_every_seventh_photo_is_held_out(tmp_path):
    folder_of_pictures(tmp_path, *[(17, 17)] * 8)
    found = read(tmp_path, crops=12, held_out=4)
    each = [windows(picture(17, 17, seed)) for seed in range(8)]
    assert all(row.tobytes() in each[0] | each[7] for row in found.test_images)
    assert not any(row.tobytes() in each[0] | each[7] for row in found.train_images)


def test_choices_do_not_see_what_is_held_out(tmp_path):
    np.savez(tmp_path / "a.npz", **digits(70, 7))
    whole = read(tmp_path / "a.npz")
    part = held_back(whole)
    assert np.array_equal(np.concatenate([part.train_images, part.test_images]), whole.train_images)
    assert len(part.test_images) == 10


def test_what_is_no_set_is_refused_with_a_reason(tmp_path):
    np.save(tmp_path / "float.npy", np.zeros((9, 4, 4)))
    np.save(tmp_path / "few.npy", np.zeros((6, 4, 4), np.uint8))
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty").mkdir()
    folder_of_pictures(tmp_path / "three", *[(16, 16)] * 3)
    for path, says in (("float", "uint8"), ("few", "at least 7"), ("text", "no .npy"), ("empty", "no pictures")):
        with pytest.raises(MeasureError, match=says):
            read(tmp_path / (path if path == "empty" else f"{path}.npy"))
    with pytest.raises(MeasureError, match="3 photos; at least 7"):
        read(tmp_path / "three")
