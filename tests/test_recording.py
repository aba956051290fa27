"""training/recording.py: one command from pictures to what a model of video learns from."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from PIL import Image

from tools.synthetic import picture
from training.recording import record
from training.surprises import SIDE, Surprises


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(picture(SIDE + 16, SIDE + 32, 3, number, 8.0)).save(folder / f"{number}.png")
    return folder


def ran(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(record, [str(each) for each in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_photos_become_recorded_frames(photos, tmp_path):
    output = tmp_path / "frames.npz"
    text = ran("--photos", photos, "-o", output, "--frames", 2, "-T", 1)
    found = Surprises.read(output)
    assert len(found) >= 2
    assert f"{len(found)} frames, {len(found.missed):,} blocks" in text
    before = output.read_bytes()
    assert "--force" in ran("--photos", photos, "-o", output, "--frames", 2, code=2)
    ran("--photos", photos, "-o", output, "--frames", 2, "-T", 1, "--force")
    assert output.read_bytes() == before  # the same seed records the same


def test_a_folder_without_movies_is_named(photos, tmp_path):
    result = CliRunner().invoke(
        record, ["--photos", str(photos), "--movies", str(photos), "-o", str(tmp_path / "x.npz")]
    )
    assert "there is no movie" in str(result.exception)
    assert not (tmp_path / "x.npz").exists()
