"""training/clips.py: movies cut up, and photos in motion."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from codec.movie import write_movie
from tests.clips import moving
from tests.pictures import folder_of_pictures
from training import clips
from training.clips import Movies, cut, moved
from training.data import Photos
from training.errors import DataError


@pytest.fixture
def photos(tmp_path) -> Photos:
    return Photos(folder_of_pictures(tmp_path / "photos", (80, 90), (64, 70)))


def only(monkeypatch: pytest.MonkeyPatch, **shares: float) -> None:
    """Clips of one kind: those of the shares that are named, and of no other."""
    for name in ("STILL", "THING", "NOISY", "HALVED"):
        monkeypatch.setattr(clips, name, shares.get(name, 0.0))


def made(photos: Photos, seed: int = 0, side: int = 32, length: int = 3) -> np.ndarray:
    return moved(photos, np.random.default_rng(seed), side, length)


def test_clips_are_of_the_size_that_is_asked_for_and_depend_on_the_seed_alone(photos):
    one, again, other = made(photos, 1), made(photos, 1), made(photos, 2)
    assert one.shape == (3, 32, 32, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_camera_that_stands_still_shows_one_picture(photos, monkeypatch):
    only(monkeypatch, STILL=1.0)
    clip = made(photos)
    assert (clip == clip[0]).all()
    only(monkeypatch, STILL=1.0, NOISY=1.0)
    clip = made(photos).astype(int)
    assert 0 < np.abs(clip - clip[0]).mean() < 6


def test_a_picture_that_slides_shows_what_was_beside_it():
    x = torch.rand(80, 90, 3, generator=torch.Generator().manual_seed(0)) * 255
    clip = clips._panned(x, [2.0, -3.0, 0.0, 0.0], 32, 3)
    torch.testing.assert_close(clip[1][:-2, 3:], clip[0][2:, :-3], rtol=0, atol=0.02)
    torch.testing.assert_close(clip[1], x[24:56, 29:61], rtol=0, atol=0.02)  # in the middle of the time


def test_a_thing_covers_a_part(photos, monkeypatch):
    only(monkeypatch, STILL=1.0, THING=1.0)
    monkeypatch.setattr(clips, "RADII", (6, 10))
    parts = [(clip := made(photos, seed).astype(int), np.abs(clip - clip[0]).max(3) > 3) for seed in range(4)]
    shares = [changed[1:].mean() for _, changed in parts]
    assert max(shares) > 0
    assert max(shares) < 0.9


def test_colour_is_halved_and_green_is_kept(photos, monkeypatch):
    only(monkeypatch, STILL=1.0)
    whole = made(photos).astype(int)
    only(monkeypatch, STILL=1.0, HALVED=1.0)
    halved = made(photos).astype(int)
    assert np.array_equal(whole[..., 1], halved[..., 1])
    assert 0 < np.abs(whole - halved)[..., ::2].mean() < 12


def test_a_cut_is_a_square_of_all_frames():
    run = np.arange(2 * 9 * 12 * 3).reshape(2, 9, 12, 3).astype(np.uint8)
    part = cut(run, np.random.default_rng(0), 8)
    assert part.shape == (2, 8, 8, 3)
    places = [run[:, i : i + 8, j : j + 8] for i in range(2) for j in range(5)]
    assert any(np.array_equal(part, place) for place in places)


def test_movies_become_stretches_and_small_ones_nothing(tmp_path):
    for name, size, channels in (("a.mkv", (64, 80), 3), ("b.mkv", (32, 34), 1), ("c.mkv", (20, 64), 3)):
        frames = moving(5, *size, channels)
        write_movie(tmp_path / name, "matroska", frames, Fraction(25), frames[0].shape)
    (tmp_path / "notes.txt").write_text("no movie")
    movies = Movies(tmp_path)
    assert [path.name for path in movies.paths] == ["a.mkv", "b.mkv", "c.mkv"]
    assert [run.shape for run in movies.stretches(32, 2)] == [(2, 32, 40, 3)] * 2 + [(2, 32, 34, 3)] * 2
    assert movies.stretches(32, 6) == []


def test_a_folder_without_movies_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match="there is no movie in"):
            Movies(folder)
