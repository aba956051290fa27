from __future__ import annotations

import zipfile

import numpy as np
import pytest

from codec.arrays import open_array, write_array
from codec.errors import LimitExceeded, UnsupportedInput
from codec.limits import Limits
from tests.checks import check_only_codec_errors


def written(path, array):
    with path.open("wb") as file:
        write_array(file, array, array.shape[1:])
    return path


def test_arrays_are_those_of_numpy(tmp_path):
    for shape in ((3, 4, 5), (3, 4, 5, 3)):
        array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        path = tmp_path / f"{len(shape)}.npy"
        written(path, array)
        np.testing.assert_array_equal(np.load(path), array)
        np.savez_compressed(tmp_path / "a.npz", array)
        np.testing.assert_array_equal(np.stack(list(open_array(tmp_path / "a.npz"))), array)
    np.save(tmp_path / "grey.npy", np.zeros((2, 4, 5, 1), np.uint8))
    assert open_array(tmp_path / "grey.npy").shape == next(iter(open_array(tmp_path / "grey.npy"))).shape == (4, 5)


@pytest.mark.parametrize("frames", [1, 9, 10, 99, 1000, 12345])
def test_the_header_of_an_array_has_room_for_any_number_of_frames(tmp_path, frames):
    written(tmp_path / "a.npy", np.zeros((frames, 1, 1), np.uint8))
    assert np.load(tmp_path / "a.npy").shape == (frames, 1, 1)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((2, 4, 5)), "type float64"),
        (np.zeros((2, 4, 5), bool), "type bool"),
        (np.array([{}]), "type object"),
        (np.zeros((20, 10, 4, 4), np.uint8), "many clips"),
        (np.zeros((4, 5), np.uint8), "a clip is"),
        (np.zeros((0, 4, 5), np.uint8), "a clip is"),
        (np.zeros((4, 3, 2), np.uint8).T, "ascontiguousarray"),
    ],
)
def test_arrays_that_are_no_clip_say_why(tmp_path, array, says):
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", array)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(UnsupportedInput, match=says):
            open_array(tmp_path / name)


def test_a_negative_shape_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 5), np.uint8))
    data = (tmp_path / "a.npy").read_bytes().replace(b"(3, 4, 5), }  ", b"(3, -4, -5), }")
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(UnsupportedInput, match="a clip is"):
        open_array(tmp_path / "a.npy")


def test_a_bundle_of_several_arrays_names_them(tmp_path):
    np.savez(tmp_path / "a.npz", one=np.zeros(3), two=np.zeros(3))
    with pytest.raises(UnsupportedInput, match=r"one\.npy, two\.npy"):
        open_array(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_damaged_arrays_are_refused_or_read_in_part(tmp_path, name):
    path, rng = tmp_path / name, np.random.default_rng(0)
    array = rng.integers(0, 256, (3, 8, 8), np.uint8)
    np.save(path, array) if name == "a.npy" else np.savez_compressed(path, array)
    whole = path.read_bytes()
    for cut in (0, 1, 7, 20, 127, 128, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(UnsupportedInput, match=r"a\.np"):
            list(open_array(path))

    def read(data):
        path.write_bytes(data)
        list(open_array(path))

    for number in range(200):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(0, len(whole), 3)] = rng.integers(0, 256, 3)
        check_only_codec_errors(read, damaged.tobytes(), f"damage {number}")


def test_an_array_that_claims_more_than_it_holds_is_refused_at_once(tmp_path):
    path = tmp_path / "a.npz"
    np.save(tmp_path / "a.npy", np.zeros((1, 1000, 1000), np.uint8))
    header = (tmp_path / "a.npy").read_bytes()[:128].replace(b"(1, 1000, 1000)", b"(9, 1000, 1000)")
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("a.npy", header + bytes(1000))
    with pytest.raises(UnsupportedInput, match="cut short: 1,000 of 9,000,000"):
        open_array(path)


def test_limits_hold(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 5), np.uint8))
    for limits, name in ((Limits(max_frames=2), "max_frames"), (Limits(max_pixels=19), "max_pixels")):
        with pytest.raises(LimitExceeded, match=name):
            open_array(tmp_path / "a.npy", limits)
