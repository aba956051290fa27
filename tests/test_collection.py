"""codec/collection.py: what is packed, by which names, in which order; and what is refused."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image as pillow

from codec.collection import Collection, save_array
from codec.errors import UnsupportedInput
from tests.pictures import folder_of_pictures, picture, saved


def array_file(path, array) -> str:
    np.save(path, array)
    return str(path)


def test_pictures_of_a_folder_come_by_their_names_and_are_read_when_asked_for(tmp_path):
    folder_of_pictures(tmp_path / "b", (5, 4))
    folder_of_pictures(tmp_path / "a" / "z", (6, 7), (8, 9))
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    found = Collection([str(tmp_path)])
    assert len(found) == 3
    assert [item.name for item in found] == ["a/z/00.png", "a/z/01.png", "b/00.png"]
    assert found[1].image.colour.shape == (8, 9, 3)
    assert [item.name for item in found[1:]] == ["a/z/01.png", "b/00.png"]
    (tmp_path / "b" / "00.png").unlink()
    assert found[0].image.height == 6
    with pytest.raises(FileNotFoundError):
        found[2]


def test_files_are_named_without_their_folders(tmp_path):
    folder_of_pictures(tmp_path, (5, 4), (4, 4))
    assert [item.name for item in Collection([str(tmp_path / "01.png"), str(tmp_path / "00.png")])] == [
        "01.png",
        "00.png",
    ]
    with pytest.raises(UnsupportedInput, match="two pictures are called"):
        Collection([str(tmp_path / "01.png"), str(tmp_path)])


def test_modes_are_kept_and_changes_are_told_once(tmp_path, capsys):
    palette = pillow.fromarray(picture(6, 5)).quantize(9)
    (tmp_path / "p.png").write_bytes(saved(palette, "PNG"))
    (tmp_path / "c.jpg").write_bytes(saved(pillow.fromarray(picture(6, 5)).convert("CMYK"), "JPEG"))
    found = Collection([str(tmp_path)])
    for _ in range(2):
        assert found[1].image.palette is not None
        assert found[0].image.notices
    assert capsys.readouterr().err.count("c.jpg") == len(found[0].image.notices)


@pytest.mark.parametrize("shape", [(3, 5, 4), (3, 5, 4, 3)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_an_array_is_its_pictures_and_can_be_saved_again(tmp_path, shape, kind):
    array = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    found = Collection([array_file(tmp_path / "a.npy", array)])
    assert (len(found), found.dimensions) == (3, len(shape))
    assert [item.name for item in found] == [""] * 3
    again = save_array(np.stack([item.image.pixels for item in found]), len(shape))
    np.testing.assert_array_equal(np.load(io.BytesIO(again)), array)


def test_an_array_is_not_read_into_memory(tmp_path):
    name = array_file(tmp_path / "a.npy", np.arange(5 << 20, dtype=np.uint32).view(np.uint8).reshape(80, 512, 512))
    tracemalloc.start()
    found = Collection([name])
    assert found[79].image.colour[-1, -2, 0] == 0x4F  # of 0x004FFFFF
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_arrays_that_hold_no_pictures_are_refused(tmp_path):
    for array in (np.zeros((2, 3, 4)), np.zeros((3, 4), np.uint8), np.zeros((1, 2, 3, 5), np.uint8),
                  np.zeros((0, 3, 4), np.uint8), np.zeros((2, 3, 4), bool), np.zeros((2, 3, 4), np.int16)):  # fmt: skip
        with pytest.raises(UnsupportedInput, match=r"a\.npy holds .* expected"):
            Collection([array_file(tmp_path / "a.npy", array)])
    for text in (b"", b"\x93NUMPY", b"no array", b"\x80\x04N."):
        (tmp_path / "b.npy").write_bytes(text)
        with pytest.raises(UnsupportedInput, match="no array of numbers"):
            Collection([str(tmp_path / "b.npy")])


def test_several_arrays_are_refused_with_a_remedy(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3, 4), np.uint8))
    one = array_file(tmp_path / "a.npy", np.zeros((2, 3, 4), np.uint8))
    with pytest.raises(UnsupportedInput, match=r"numpy\.save"):
        Collection([str(tmp_path / "a.npz")])
    (tmp_path / "c.npy").write_bytes((tmp_path / "a.npz").read_bytes())
    with pytest.raises(UnsupportedInput, match=r"numpy\.save"):
        Collection([str(tmp_path / "c.npy")])
    with pytest.raises(UnsupportedInput, match="one by one"):
        Collection([one, one])


def test_a_folder_without_pictures_and_a_hostile_name_are_refused(tmp_path):
    with pytest.raises(UnsupportedInput, match="no pictures in"):
        Collection([str(tmp_path)])
    (tmp_path / "a\nb.png").write_bytes(saved(pillow.fromarray(picture(2, 2)), "PNG"))
    with pytest.raises(UnsupportedInput, match="control characters"):
        Collection([str(tmp_path)])
