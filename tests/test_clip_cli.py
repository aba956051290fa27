"""codec/clip_cli.py: clips on the command line, with the models that come with the codec."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from codec.animation import is_animated
from codec.frames import open_clip
from tests.clips import moving, psnr
from tests.test_cli import done, failed, names

FRAMES = moving(5, 34, 40)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder: empty but for clip.npy."""
    monkeypatch.chdir(tmp_path)
    np.save("clip.npy", np.stack(FRAMES))
    return tmp_path


@pytest.fixture
def stream(folder) -> Path:
    done("compress", "clip.npy", "-q", "60")
    return folder / "clip.egm"


def test_there_and_back(stream, folder):
    assert "5 frames of 40 x 34" in done("decompress", "clip.egm", "-o", "back.npy").stdout
    assert psnr(FRAMES, list(np.load("back.npy"))) > 30
    assert stream.stat().st_size < Path("clip.npy").stat().st_size / 5
    done("decompress", "clip.egm", "-o", "frames/", "--frames", "1:4")
    assert len(names(folder / "frames")) == 3
    done("decompress", "clip.egm", "-o", "back.png")
    assert is_animated(Path("back.png"))
    assert all(
        np.array_equal(one, other) for one, other in zip(open_clip("back.png"), np.load("back.npy"), strict=True)
    )


def test_lossless_is_lossless_and_grey_stays_grey(folder):
    grey = np.stack(moving(3, 20, 24, 1))
    np.save("grey.npy", grey)
    told = json.loads(done("compress", "grey.npy", "--lossless", "-o", "exact.egm", "--json").stdout)
    assert (told["frames"], told["max_error"], told["verified"]) == (3, 0, True)
    done("decompress", "exact.egm", "-o", "back.npy")
    assert np.array_equal(np.load("back.npy"), grey)


def test_what_a_file_holds_is_told_without_decoding(stream):
    told = json.loads(done("info", "clip.egm", "--json").stdout)
    assert (told["kind"], told["frames"], told["rate"], told["starts"]) == ("video", 5, "25", [0])
    assert told["groups"] == {"lossy": 1}
    assert told["kbit_per_second"] == pytest.approx(8 * stream.stat().st_size * 5 / 1000, rel=0.2)


def test_files_are_tested(stream):
    assert "clip.egm: ok" in done("test", "clip.egm").stdout
    data = bytearray(stream.read_bytes())
    data[len(data) // 2] ^= 1
    stream.write_bytes(data)
    assert "checksum" in failed(3, "test", "clip.egm")


def test_animations_and_folders_of_pictures_are_clips(stream, folder):
    done("decompress", "clip.egm", "-o", "clip.gif")
    done("decompress", "clip.egm", "-o", "numbered")
    for source in ("clip.gif", "numbered"):
        told = json.loads(done("compress", source, "-o", f"{source}.egm", "--json").stdout)
        assert told["frames"] == 5


def test_options_of_pictures_are_refused_in_one_line(stream):
    for option in ("--target-bpp", "--target-psnr", "--max-error"):
        assert "for pictures" in failed(1, "compress", "clip.npy", "-f", option, "3")
    assert "--frames" in failed(1, "decompress", "clip.egm", "-o", "back.npy", "--crop", "0,0,5,5")
    assert "not A:B" in failed(2, "decompress", "clip.egm", "-o", "back.npy", "--frames", "3")
    assert "back.npy" not in names(stream.parent)


def test_nothing_is_overwritten_without_force(stream):
    before = stream.read_bytes()
    assert "-f" in failed(1, "compress", "clip.npy", "-q", "10")
    assert stream.read_bytes() == before


def test_nothing_is_left_behind_by_what_is_damaged(stream, folder):
    stream.write_bytes(stream.read_bytes()[:-3])
    failed(3, "decompress", "clip.egm", "-o", "back.npy")
    assert names(folder) == ["clip.egm", "clip.npy"]
