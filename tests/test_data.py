"""training/data.py: batches that depend on the generator alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tests.pictures import digits, folder_of_pictures, picture
from training.data import Photos, crops, load_digits, symmetry
from training.errors import DataError


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    return Photos(folder_of_pictures(folder, (40, 48), (64, 33), (32, 32)), 32)


def test_a_batch_is_a_function_of_the_generator(photos):
    one, same, other = (crops(photos, np.random.default_rng(seed), 5, 32) for seed in (7, 7, 8))
    assert one.shape == (5, 32, 32, 3)
    assert one.dtype == torch.float32
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_crops_are_windows_of_the_pictures(photos):
    pixels = [photos[n] for n in range(len(photos))]
    windows = {
        symmetry(x[i : i + 32, j : j + 32], which).tobytes()
        for x in pixels
        for i in range(x.shape[0] - 31)
        for j in range(x.shape[1] - 31)
        for which in range(8)
    }
    for crop in crops(photos, np.random.default_rng(0), 20, 32):
        assert crop.numpy().astype(np.uint8).tobytes() in windows


def test_the_eight_symmetries_differ():
    pixels = picture(8, 8)
    assert len({symmetry(pixels, which).tobytes() for which in range(8)}) == 8


def test_a_grey_batch_has_one_grey_picture(photos):
    x = crops(photos, np.random.default_rng(0), 3, 32, grey=1.0)
    assert torch.equal(x[0], x[0, ..., :1].round().expand(-1, -1, 3))
    assert not torch.equal(x[1], x[1, ..., :1].expand(-1, -1, 3))


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp"])
def test_formats_and_their_order(tmp_path, suffix):
    photos = Photos(folder_of_pictures(tmp_path, (20, 24), (18, 16), suffix=suffix))
    assert [photos[n].shape for n in range(2)] == [(20, 24, 3), (18, 16, 3)]
    assert np.array_equal(photos[1], picture(18, 16, 1))


def test_grey_and_transparent_files_become_rgb(tmp_path):
    Image.fromarray(picture(16, 16)).convert("L").save(tmp_path / "a.png")
    Image.fromarray(picture(16, 16)).convert("RGBA").save(tmp_path / "b.png")
    photos = Photos(tmp_path)
    assert [photos[n].shape for n in range(2)] == [(16, 16, 3)] * 2
    assert np.array_equal(photos[1], picture(16, 16))


def test_small_pictures_are_left_out(tmp_path):
    photos = Photos(folder_of_pictures(tmp_path, (31, 64), (32, 32)), 32)
    assert (len(photos), photos.left_out) == (1, 1)


def test_pictures_beyond_the_cache_are_read_again(tmp_path):
    folder_of_pictures(tmp_path, (32, 32), (32, 32))
    photos = Photos(tmp_path, cache_bytes=32 * 32 * 3)
    assert photos[0] is photos[0]
    assert photos[1] is not photos[1]
    assert np.array_equal(photos[1], photos[1])


def test_whole_pictures_are_cut_to_blocks(photos):
    assert [tuple(x.shape) for x in photos.whole()] == [(32, 48, 3), (64, 32, 3), (32, 32, 3)]
    assert [tuple(x.shape) for x in photos.whole(2, longest=40)] == [(32, 32, 3), (32, 32, 3)]


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no folder .*nowhere"):
        Photos(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DataError, match="no pictures"):
        Photos(tmp_path)
    folder_of_pictures(tmp_path, (16, 20))
    with pytest.raises(DataError, match="1 pictures, all with a side below 32"):
        Photos(tmp_path, 32)


def test_damaged_pictures_are_named(tmp_path):
    (tmp_path / "junk.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"junk\.png"):
        Photos(tmp_path)
    whole = folder_of_pictures(tmp_path / "cut", (32, 32)) / "00.png"
    whole.write_bytes(whole.read_bytes()[:500])
    with pytest.raises(DataError, match=r"00\.png"):
        Photos(tmp_path / "cut")[0]


def test_digits_are_read_for_training_and_for_testing(tmp_path):
    arrays = digits(30, 20)
    np.savez(tmp_path / "set.npz", **arrays)
    np.save(tmp_path / "plain.npy", arrays["train_images"])
    for part in ("train", "test"):
        np.testing.assert_array_equal(load_digits(tmp_path / "set.npz", part), arrays[f"{part}_images"])
        np.testing.assert_array_equal(load_digits(tmp_path / "plain.npy", part), arrays["train_images"])


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"train_images": np.zeros((2, 8, 8), np.uint8)}, "has no test_images"),
        ({"test_images": np.zeros((2, 8, 8))}, "expected test_images of .* uint8, got .* float64"),
        ({"test_images": np.zeros((2, 64), np.uint8)}, r"got \(2, 64\)"),
        ({"test_images": np.zeros((0, 8, 8), np.uint8)}, r"got \(0, 8, 8\)"),
    ],
)
def test_files_without_digits_say_why(tmp_path, arrays, says):
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(DataError, match=says):
        load_digits(tmp_path / "set.npz", "test")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"nothing", b"\x93NUMPY\x01\x00"])
def test_damaged_files_of_digits_are_named(tmp_path, data):
    (tmp_path / "set.npz").write_bytes(data)
    with pytest.raises(DataError, match=r"set\.npz is no \.npz or \.npy"):
        load_digits(tmp_path / "set.npz", "test")
