"""tools/image_sets.py: .npz files and folders of IDX files."""

from __future__ import annotations

import gzip
import io
import struct

import numpy as np
import pytest

from tests.pictures import digits
from tools.image_sets import IDX, load
from tools.rate_distortion import MeasureError


def write(path, **changes):
    arrays = digits(30, 20) | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def test_both_forms_are_read_alike(tmp_path):
    found = load(write(tmp_path / "set.npz"))
    for i, (name, stem) in enumerate(IDX.items()):
        data = idx(digits(30, 20)[name])
        (tmp_path / (stem + ".gz" if i % 2 else stem)).write_bytes(gzip.compress(data) if i % 2 else data)
    other = load(tmp_path)
    assert found.digest == other.digest
    assert (found.pixels, found.classes) == (64, 10)
    assert found.train_images.shape == (30, 64)
    assert all(getattr(each, name).flags.writeable for each in (found, other) for name in IDX)  # as torch wants it
    assert np.array_equal(other.test_labels, digits(30, 20)["test_labels"])


def test_another_label_is_another_set(tmp_path):
    labels = digits(30, 20)["test_labels"].copy()
    labels[-1] ^= 1
    assert load(write(tmp_path / "a.npz")).digest != load(write(tmp_path / "b.npz", test_labels=labels)).digest


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"test_labels": None}, "has no test_labels"),
        ({"train_images": np.zeros((30, 8, 8))}, "uint8"),
        ({"train_images": np.zeros((0, 8, 8), np.uint8)}, "uint8"),
        ({"test_images": np.zeros((20, 9, 9), np.uint8)}, "different sizes"),
        ({"train_labels": np.zeros(29, np.int64)}, "30 whole numbers"),
        ({"train_labels": np.full(30, -1)}, "30 whole numbers"),
        ({"train_labels": np.zeros(30)}, "30 whole numbers"),
    ],
)
def test_what_is_no_set_says_why(tmp_path, changes, says):
    with pytest.raises(MeasureError, match=says):
        load(write(tmp_path / "set.npz", **changes))


def test_damaged_files_say_so(tmp_path):
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    for data in (b"", b"PK\x03\x04", b"nothing", file.getvalue()):
        (tmp_path / "x.npz").write_bytes(data)
        with pytest.raises(MeasureError, match=r"x\.npz"):
            load(tmp_path / "x.npz")


def test_damaged_idx_files_say_so(tmp_path):
    with pytest.raises(MeasureError, match="neither"):
        load(tmp_path)
    whole = idx(digits(30, 20)["train_images"])
    for data in (
        b"",
        whole[:9],
        whole[:-1],
        whole + b"0",
        b"\0\0\x0d" + whole[3:],
        struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3),
    ):
        (tmp_path / IDX["train_images"]).write_bytes(data)
        with pytest.raises(MeasureError, match="no IDX file"):
            load(tmp_path)
