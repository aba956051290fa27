from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from codec.animation import is_animated, open_animation, packed, write_gif, write_png
from codec.errors import EncodeError, LimitExceeded, UnsupportedInput
from codec.limits import Limits
from tests.checks import check_only_codec_errors
from tests.clips import moving
from tests.pictures import png

EXTENSION = {"GIF": ".gif", "PNG": ".png", "WEBP": ".webp"}


def animated(path, frames, duration=40, mode=None):
    """A file of Pillow's making; `duration` in ms, one or a list of them."""
    pictures = [Image.fromarray(frame).convert(mode) if mode else Image.fromarray(frame) for frame in frames]
    form = {extension: name for name, extension in EXTENSION.items()}[path.suffix]
    options = {"lossless": True} if form == "WEBP" else {}
    pictures[0].save(path, form, save_all=True, append_images=pictures[1:], duration=duration, loop=0, **options)
    return path


def written(path, frames, rate=Fraction(25)):
    with path.open("xb") as file:
        if path.suffix == ".gif":
            write_gif(file, frames, rate, frames[0].shape)
        else:
            write_png(file, frames, rate)
    return path


def few_colours(frames: int, height: int, width: int) -> list[np.ndarray]:
    return [frame // 64 * 64 for frame in moving(frames, height, width)]


@pytest.mark.parametrize("size", [(16, 16), (15, 17), (1, 1)], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("extension", [".gif", ".png"])
def test_what_is_written_is_read(tmp_path, extension, channels, size):
    frames = moving(6, *size, 1) if channels == 1 else few_colours(6, *size)
    frames[3] = frames[2]  # a frame like the one before stays a frame
    clip = open_animation(written(tmp_path / f"clip{extension}", frames))
    assert (clip.frames, clip.rate, clip.notices) == (6, 25, ())
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(list(clip)), np.stack(frames))


def test_pillow_agrees_with_what_is_written(tmp_path):
    frames = moving(5, 16, 16)
    with Image.open(written(tmp_path / "clip.png", frames, Fraction(30000, 1001))) as picture:
        assert (picture.n_frames, picture.info["loop"]) == (5, 0)
        for number, frame in enumerate(frames):
            picture.seek(number)
            assert picture.info["duration"] == pytest.approx(1001 / 30)
            np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), frame)
    with Image.open(written(tmp_path / "clip.gif", [frame[..., 0] for frame in frames])) as picture:
        assert (picture.n_frames, picture.info["loop"], picture.info["duration"]) == (5, 0, 40)


def test_a_gif_of_many_colours_is_close(tmp_path):
    frames = moving(3, 64, 64)
    found = list(open_animation(written(tmp_path / "clip.gif", frames)))
    assert np.abs(np.stack(found).astype(int) - np.stack(frames)).mean() < 8


@pytest.mark.parametrize("form", EXTENSION)
@pytest.mark.parametrize("channels", [1, 3])
def test_files_of_others_are_read(tmp_path, form, channels):
    frames = moving(6, 15, 17, 1) if channels == 1 else few_colours(6, 15, 17)
    clip = open_animation(animated(tmp_path / f"clip{EXTENSION[form]}", frames, 50))
    assert (clip.shape, clip.frames, clip.rate, clip.notices) == (frames[0].shape, 6, 20, ())
    np.testing.assert_array_equal(np.stack(list(clip)), np.stack(frames))


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "7/3", "1/70", "60"])
def test_png_keeps_a_rate_as_a_fraction(tmp_path, rate):
    assert open_animation(written(tmp_path / "clip.png", moving(3, 4, 4), Fraction(rate))).rate == Fraction(rate)


@pytest.mark.parametrize("rate", [Fraction(1, 10**6), Fraction(10**6), Fraction(10**6 + 3, 10**6)], ids=str)
def test_png_writes_the_nearest_rate_that_it_holds(tmp_path, rate):
    found = open_animation(written(tmp_path / "clip.png", moving(3, 4, 4), rate)).rate
    assert abs(found / min(max(rate, Fraction(1, 65535)), 1000) - 1) < 0.001 or rate > 1000


@pytest.mark.parametrize("rate", [30, 24, 12, 50])
def test_gif_keeps_a_rate_by_unequal_durations(tmp_path, rate):
    clip = open_animation(written(tmp_path / "clip.gif", moving(12, 4, 4), Fraction(rate)))
    assert clip.rate == rate
    assert clip.notices == ()


@pytest.mark.parametrize("form", EXTENSION)
def test_unequal_durations_become_one_rate_with_a_notice(tmp_path, form):
    path = animated(tmp_path / f"clip{EXTENSION[form]}", few_colours(4, 8, 8), [40, 40, 40, 280])
    clip = open_animation(path)
    assert clip.rate == 10
    assert clip.notices == ("the frames last 40 to 280 ms; all are kept, at 10 frames/s",)
    assert len(list(clip)) == clip.frames == 4


def test_a_gif_without_durations_is_shown_as_browsers_do(tmp_path):
    assert open_animation(animated(tmp_path / "clip.gif", few_colours(4, 8, 8), 0)).rate == 10


@pytest.mark.parametrize("form", EXTENSION)
def test_transparency_is_laid_over_black_with_a_notice(tmp_path, form):
    frames = [np.dstack((frame, np.full((8, 8), 255, np.uint8))) for frame in few_colours(3, 8, 8)]
    for frame in frames:
        frame[0, :3, 3] = 0
    clip = open_animation(animated(tmp_path / f"clip{EXTENSION[form]}", frames))
    assert clip.notices == ("transparency is left out; what is behind it is black",)
    first = next(iter(clip))
    assert (first[0, :3] == 0).all()
    np.testing.assert_array_equal(first[1:], frames[0][1:, :, :3])


def test_a_picture_that_stands_for_the_animation_is_no_frame(tmp_path):
    still, *frames = (Image.fromarray(frame) for frame in moving(4, 8, 8))
    still.save(tmp_path / "clip.png", save_all=True, append_images=frames, duration=40, default_image=True)
    clip = open_animation(tmp_path / "clip.png")
    np.testing.assert_array_equal(np.stack(list(clip)), np.stack(moving(4, 8, 8)[1:]))
    assert clip.frames == 3


def test_a_still_picture_is_a_clip_of_one_frame(tmp_path):
    (tmp_path / "one.png").write_bytes(packed(moving(1, 8, 8)[0], "PNG"))
    clip = open_animation(tmp_path / "one.png")
    assert (clip.frames, clip.rate) == (1, 25)
    assert not is_animated(tmp_path / "one.png")
    assert is_animated(written(tmp_path / "two.png", moving(2, 8, 8)))


def test_sixteen_bits_are_refused(tmp_path):
    (tmp_path / "deep.png").write_bytes(png(np.zeros((4, 4, 3), np.uint16), 16, 2))
    with pytest.raises(UnsupportedInput, match="16 bits"):
        open_animation(tmp_path / "deep.png")


@pytest.mark.parametrize("form", EXTENSION)
def test_damaged_files_are_refused_or_read_in_part(tmp_path, form):
    path = animated(tmp_path / f"clip{EXTENSION[form]}", few_colours(6, 16, 16))
    whole, rng = path.read_bytes(), np.random.default_rng(0)

    def read(data):
        path.write_bytes(data)
        is_animated(path)
        assert all(frame.dtype == np.uint8 for frame in open_animation(path, Limits(max_pixels=2**16)))

    for cut in (0, 1, 10, 60, len(whole) // 2, len(whole) - 10):
        check_only_codec_errors(read, whole[:cut], f"cut to {cut} bytes")
    for number in range(40):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(0, len(whole), 5)] = rng.integers(0, 256, 5)
        check_only_codec_errors(read, damaged.tobytes(), f"damage {number}")


def test_limits_hold(tmp_path):
    path = written(tmp_path / "clip.gif", moving(6, 8, 8, 1))
    for limits, name in ((Limits(max_frames=5), "max_frames"), (Limits(max_pixels=63), "max_pixels")):
        with pytest.raises(LimitExceeded, match=name):
            open_animation(path, limits)


def test_a_gif_has_no_long_sides():
    with pytest.raises(EncodeError, match="65,535"):
        write_gif(io.BytesIO(), [], Fraction(25), (1, 65536))
