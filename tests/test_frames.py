from __future__ import annotations

import os
import stat
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codec import frames as module
from codec.errors import EncodeError, LimitExceeded, UnsupportedInput
from codec.frames import WRITTEN, check_target, is_clip, open_clip, write_clip
from codec.limits import Limits
from tests.checks import check_only_codec_errors
from tests.clips import moving, psnr

MOVIES = {".mp4", ".mkv"}
LOSSLESS = [name for name in WRITTEN if name not in (".mp4", ".gif")]


def needs(extension: str) -> None:
    if extension in MOVIES:
        pytest.importorskip("av")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (15, 17)], ids=str)
@pytest.mark.parametrize("extension", WRITTEN)
def test_every_format_out_and_in_again(tmp_path, extension, size, channels):
    needs(extension)
    frames, path = moving(6, *size, channels), tmp_path / f"clip{extension}"
    write_clip(path, iter(frames), Fraction(20), frames[0].shape)
    assert os.listdir(tmp_path) == [path.name]
    assert is_clip(path)
    clip = open_clip(path)
    assert (clip.shape, clip.frames, clip.notices) == (frames[0].shape, 6, ())
    assert clip.rate == (25 if extension in (".npy", "") else 20)
    for _ in range(2):
        found = list(clip)
        assert psnr(found, frames) > (200 if extension in LOSSLESS else 25)


@pytest.mark.parametrize(
    ("extension", "channels", "rate", "says"),
    [
        (".mp4", 3, 25, "lossy"),
        (".gif", 3, 25, "256 colours"),
        (".gif", 1, 60, "slower"),
        (".npy", 1, 30, "30 frames/s is not kept in .npy"),
        ("", 1, 30, "30 frames/s is not kept in a folder"),
        (".mkv", 3, 30, None),
        (".png", 3, 30, None),
        (".gif", 1, 30, None),
    ],
)
def test_what_a_format_does_not_keep_is_told(tmp_path, extension, channels, rate, says):
    needs(extension)
    frames = moving(3, 8, 8, channels)
    notices = write_clip(tmp_path / f"clip{extension}", frames, Fraction(rate), frames[0].shape)
    assert len(notices) == (says is not None)
    assert says is None or says in notices[0]


def endless(frames):
    yield from frames
    raise RuntimeError("the frames do not come any more")


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("extension", WRITTEN)
def test_a_failure_leaves_what_was_there(tmp_path, extension, old):
    needs(extension)
    path, frames = tmp_path / f"clip{extension}", moving(3, 8, 8)
    if old:
        write_clip(path, frames[:1], Fraction(25), (8, 8, 3))
    with pytest.raises(RuntimeError, match="do not come"):
        write_clip(path, endless(frames), Fraction(25), (8, 8, 3), force=old)
    assert os.listdir(tmp_path) == ([path.name] if old else [])
    assert not old or len(list(open_clip(path))) == 1


@pytest.mark.parametrize("extension", WRITTEN)
def test_what_is_there_stays_without_force(tmp_path, extension):
    needs(extension)
    path, frames = tmp_path / f"clip{extension}", moving(3, 8, 8)
    write_clip(path, frames[:2], Fraction(25), (8, 8, 3))
    with pytest.raises(FileExistsError):
        write_clip(path, frames, Fraction(25), (8, 8, 3))
    assert open_clip(path).frames == 2
    write_clip(path, frames, Fraction(25), (8, 8, 3), force=True)
    assert open_clip(path).frames == 3
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("extension", WRITTEN)
def test_no_frames_and_wrong_frames_are_refused(tmp_path, extension):
    needs(extension)
    path = tmp_path / f"clip{extension}"
    with pytest.raises(EncodeError, match="no frames"):
        write_clip(path, [], Fraction(25), (8, 8, 3))
    for wrong in (np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((8, 9, 3), np.uint8)):
        with pytest.raises(ValueError, match="frame 1 is"):
            write_clip(path, [*moving(1, 8, 8), wrong], Fraction(25), (8, 8, 3))
    with pytest.raises(ValueError, match="rate"):
        write_clip(path, moving(1, 8, 8), Fraction(0), (8, 8, 3))
    assert os.listdir(tmp_path) == []


def test_a_folder_with_anything_else_in_it_is_not_replaced(tmp_path):
    path, frames = tmp_path / "frames", moving(3, 8, 8)
    path.mkdir()
    write_clip(path, frames, Fraction(25), (8, 8, 3))  # an empty one is
    (path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="more than numbered pictures"):
        write_clip(path, frames, Fraction(25), (8, 8, 3), force=True)
    assert len(os.listdir(path)) == 4


def test_a_folder_and_a_file_do_not_replace_each_other(tmp_path):
    (tmp_path / "frames").write_text("a file")
    (tmp_path / "clip.npy").mkdir()
    for name in ("frames", "clip.npy"):
        with pytest.raises(OSError, match="this is no"):
            write_clip(tmp_path / name, moving(1, 8, 8), Fraction(25), (8, 8, 3), force=True)
    assert sorted(os.listdir(tmp_path)) == ["clip.npy", "frames"]


def test_a_link_is_followed_and_permissions_are_kept(tmp_path):
    path, link = tmp_path / "clip.npy", tmp_path / "link.npy"
    path.write_bytes(b"old")
    path.chmod(0o604)
    link.symlink_to(path)
    write_clip(link, moving(2, 8, 8), Fraction(25), (8, 8, 3), force=True)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert open_clip(path).frames == 2


def test_arrays_are_those_of_numpy(tmp_path):
    for shape in ((3, 4, 5), (3, 4, 5, 3)):
        array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        path = tmp_path / f"{len(shape)}.npy"
        write_clip(path, array, Fraction(25), shape[1:])
        np.testing.assert_array_equal(np.load(path), array)
        np.savez_compressed(tmp_path / "a.npz", array)
        np.testing.assert_array_equal(np.stack(list(open_clip(tmp_path / "a.npz"))), array)
    np.save(tmp_path / "grey.npy", np.zeros((2, 4, 5, 1), np.uint8))
    assert open_clip(tmp_path / "grey.npy").shape == next(iter(open_clip(tmp_path / "grey.npy"))).shape == (4, 5)


@pytest.mark.parametrize("frames", [1, 9, 10, 99, 1000, 12345])
def test_the_header_of_an_array_has_room_for_any_number_of_frames(tmp_path, frames):
    write_clip(tmp_path / "a.npy", np.zeros((frames, 1, 1), np.uint8), Fraction(25), (1, 1))
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
    np.save(tmp_path / "a.npy", array, allow_pickle=array.dtype == object)
    np.savez(tmp_path / "a.npz", array)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(UnsupportedInput, match=says):
            open_clip(tmp_path / name)


def test_a_bundle_of_several_arrays_names_them(tmp_path):
    np.savez(tmp_path / "a.npz", one=np.zeros(3), two=np.zeros(3))
    with pytest.raises(UnsupportedInput, match=r"one\.npy, two\.npy"):
        open_clip(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_damaged_arrays_are_refused_or_read_in_part(tmp_path, name):
    path, rng = tmp_path / name, np.random.default_rng(0)
    array = rng.integers(0, 256, (3, 8, 8), np.uint8)
    np.save(path, array) if name == "a.npy" else np.savez_compressed(path, array)
    whole = path.read_bytes()
    for cut in (0, 1, 7, 20, 127, 128, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(UnsupportedInput, match=r"a\.np"):
            list(open_clip(path))

    def read(data):
        path.write_bytes(data)
        list(open_clip(path))

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
        open_clip(path)


def test_limits_hold(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 5), np.uint8))
    for limits, name in ((Limits(max_frames=2), "max_frames"), (Limits(max_pixels=19), "max_pixels")):
        with pytest.raises(LimitExceeded, match=name):
            open_clip(tmp_path / "a.npy", limits)


def test_a_clip_is_told_from_a_picture(tmp_path):
    (tmp_path / "empty").mkdir()
    Image.fromarray(moving(1, 8, 8)[0]).save(tmp_path / "one.png")
    (tmp_path / "notes.txt").write_text("text")
    assert not any(is_clip(path) for path in (*tmp_path.iterdir(), "-"))
    (tmp_path / "some.mp4").touch()
    assert is_clip(tmp_path / "some.mp4")
    for name in ("none.png", "none.mp4", "none"):
        with pytest.raises(FileNotFoundError):
            is_clip(tmp_path / name)


@pytest.mark.parametrize("path", ["clip.txt", "clip", "-"])
def test_what_is_not_read_says_what_is(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    Path("clip.txt").write_text("text")
    Path("clip").write_text("text")
    with pytest.raises(UnsupportedInput, match=r"read (are|from)"):
        open_clip(path)


@pytest.mark.parametrize("path", ["clip.webm", "-", "a.npz"])
def test_what_is_not_written_says_what_is(path):
    with pytest.raises(EncodeError, match=r"known are \.mp4 \.mkv"):
        check_target(path)


def test_frames_are_taken_one_by_one(tmp_path, monkeypatch):
    alive: list[int] = []

    def frames():
        for number in range(50):
            alive.append(number)
            yield np.full((4, 4), number, np.uint8)

    def look(file, frames, shape):
        for number, _ in enumerate(frames):
            assert alive[-1] == number

    monkeypatch.setattr(module, "_write_array", look)
    write_clip(tmp_path / "a.npy", frames(), Fraction(25), (4, 4))
