"""training/surprises.py: what is recorded of inter frames is what the codec asks its prior for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from codec import interframe
from codec.context import Hints
from codec.features import energies
from codec.footage import footage
from codec.photo import photo
from tests.checks import conformance_model, conformance_video
from tests.clips import moving
from tests.pictures import folder_of_pictures
from training import surprises
from training.data import Photos
from training.errors import DataError
from training.surprises import ARRAYS, Frame, Surprises, record, record_all

STEP_INDEX = 50


def clip(frames: int = 4, height: int = 48, width: int = 64) -> np.ndarray:
    return np.stack(moving(frames, height, width))


def recorded() -> list[Frame]:
    return record(photo(conformance_model()), clip(), STEP_INDEX)


def test_it_is_what_the_codec_tells_its_prior(monkeypatch):
    hints: list[Hints] = []
    real, video = interframe._prior, footage(conformance_video())

    def told(built: Any, *arguments: Any) -> Any:
        hints.append(real(video, *arguments)[1])
        return built.prior, None

    monkeypatch.setattr(interframe, "_prior", told)
    frames = recorded()
    assert len(frames) == len(hints) > 1
    for frame, hint in zip(frames, hints, strict=True):
        live = frame.live.ravel()
        assert np.array_equal(frame.known, hint.known[live])
        expected = np.concatenate([energies(hint.known), energies(hint.before)], axis=1)
        assert np.array_equal(frame.context.reshape(len(live), -1), expected)
    assert not hints[0].before.any()
    assert hints[1].before.any()


def test_it_is_what_the_codec_codes():
    frames, built = recorded(), photo(conformance_model())
    index = STEP_INDEX - surprises.COARSER
    past = interframe.Past.after(surprises.encode_tiles(built, clip()[0], STEP_INDEX, 3, 1)[1], 1)
    found = interframe.compare(built, clip()[1], past, index)
    live = found.field.live
    assert np.array_equal(frames[0].live, live)
    np.testing.assert_allclose(frames[0].missed, found.missed[live.ravel()], rtol=1e-6)
    assert frames[0].t == index / 63
    whole = frames[0].known / 16 + frames[0].missed  # the frame itself, in steps
    y = surprises_of(clip()[1], built, index)[live.ravel()]
    assert np.abs(whole - y).max() < 0.04


def surprises_of(x: np.ndarray, built: Any, index: int) -> np.ndarray:
    y = interframe.transform.analysis(x)
    return y.reshape(-1, y.shape[2])[:, built.order] * 16 / built.steps[index]


def test_frames_with_nothing_to_code_are_left_out():
    still = np.repeat(clip(1), 3, axis=0)
    assert record(photo(conformance_model()), still, 30) == []
    with pytest.raises(DataError, match="no clip has anything to code"):
        Surprises.of([])


def test_frames_are_kept_in_a_file():
    frames = recorded()
    kept = Surprises.of(frames)
    assert len(kept) == len(frames)
    assert np.diff(kept.starts).tolist() == [int(frame.live.sum()) for frame in frames]
    again = Surprises.read(kept.getvalue())
    assert all(np.array_equal(getattr(kept, name), getattr(again, name)) for name in ARRAYS)
    start, stop = again.starts[1:3]
    np.testing.assert_allclose(again.missed[start:stop], frames[1].missed, rtol=1e-3, atol=1e-3)
    assert np.array_equal(again.known[start:stop], frames[1].known)
    both = Surprises.joined([kept, again])
    assert len(both) == 2 * len(kept)
    assert np.array_equal(both.known[both.starts[len(kept)] :], kept.known)


def test_what_is_too_far_for_the_file_is_clipped():
    frame = recorded()[0]
    far = Surprises.of([replace(frame, known=np.full_like(frame.known, -(1 << 20)))])
    assert (far.known == -(1 << 15) + 1).all()


def test_files_of_something_else_are_refused(tmp_path):
    kept = Surprises.of(recorded())
    data, arrays = kept.getvalue(), {name: getattr(kept, name) for name in ARRAYS}
    np.save(tmp_path / "one.npy", np.zeros(3))
    for bad in (b"", b"no archive", data[: len(data) // 2], tmp_path / "one.npy"):
        with pytest.raises(DataError, match=r"no \.npz file"):
            Surprises.read(bad)
    np.savez(tmp_path / "other.npz", t=np.zeros(3))
    with pytest.raises(DataError, match="there is no 'live'"):
        Surprises.read(tmp_path / "other.npz")
    for name in ("t", "live", "context", "missed", "known"):
        with pytest.raises(DataError, match="do not fit together"):
            Surprises(arrays | {name: arrays[name][:-1]})


def test_clips_are_recorded_until_there_are_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(surprises, "SIDE", 48)
    monkeypatch.setattr(surprises, "LENGTH", 3)
    photos, seen = Photos(folder_of_pictures(tmp_path, (70, 80), (64, 64))), []
    built = photo(conformance_model())
    found = record_all(built, photos, None, 3, threads=1, progress=lambda *each: seen.append(each))
    assert len(found) >= 3
    assert found.live.shape[1:] == (3, 3)
    assert seen[-1] == (3, 3)
    again = record_all(built, photos, None, 3, threads=1)
    assert all(np.array_equal(getattr(found, name), getattr(again, name)) for name in ARRAYS)
