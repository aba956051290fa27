from __future__ import annotations

import os
import stat
import weakref
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codec.errors import EncodeError, UnsupportedInput
from codec.frames import WRITTEN, check_target, is_clip, open_clip, write_clip
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
        assert all(frame.flags.writeable and frame.flags.c_contiguous for frame in found)
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


@pytest.mark.parametrize("extension", WRITTEN)
def test_no_frames_pile_up(tmp_path, extension):
    needs(extension)
    path = tmp_path / f"clip{extension}"
    alive: weakref.WeakValueDictionary[int, np.ndarray] = weakref.WeakValueDictionary()

    def watched(frames):
        for number, frame in enumerate(frames):
            alive[number] = frame
            assert len(alive) < 4
            yield frame

    write_clip(path, watched(np.full((4, 4), n, np.uint8) for n in range(40)), Fraction(25), (4, 4))
    assert sum(1 for _ in watched(open_clip(path))) == 40
