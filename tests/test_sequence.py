from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from codec.errors import LimitExceeded, UnsupportedInput
from codec.limits import Limits
from codec.sequence import numbered, open_sequence, write_sequence
from tests.clips import moving


def folder(path, frames, name="frame{}.png", first=0):
    for number, frame in enumerate(frames, first):
        Image.fromarray(frame).save(path / name.format(number))
    return path


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (15, 17), (1, 1)], ids=str)
def test_what_is_written_is_read(tmp_path, size, channels):
    frames = moving(6, *size, channels)
    write_sequence(tmp_path, frames)
    clip = open_sequence(tmp_path)
    assert (clip.shape, clip.frames, clip.rate, clip.notices) == (frames[0].shape, 6, 25, ())
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(list(clip)), np.stack(frames))


def test_pictures_are_in_the_order_of_their_numbers(tmp_path):
    frames = moving(12, 4, 4)
    folder(tmp_path, frames, "shot_{}.bmp", first=7)  # 7 .. 18
    (tmp_path / "notes 1.txt").write_text("no picture")
    Image.fromarray(frames[0]).save(tmp_path / "cover.png")
    assert [path.name for path in numbered(tmp_path)] == [f"shot_{n}.bmp" for n in range(7, 19)]
    np.testing.assert_array_equal(np.stack(list(open_sequence(tmp_path))), np.stack(frames))


def test_one_picture_in_colour_makes_a_clip_of_colour(tmp_path):
    grey, colour = moving(1, 4, 4, 1)[0], moving(1, 4, 4)[0]
    found = list(open_sequence(folder(tmp_path, [grey, colour, grey])))
    np.testing.assert_array_equal(found[0], np.dstack((grey, grey, grey)))
    np.testing.assert_array_equal(found[1], colour)


def test_transparency_is_laid_over_black_with_a_notice(tmp_path):
    frame = np.dstack((moving(1, 4, 4)[0], np.full((4, 4), 255, np.uint8)))
    frame[0, 0, 3] = 0
    clip = open_sequence(folder(tmp_path, [frame, frame]))
    assert clip.notices == ("transparency is left out; what is behind it is black",)
    assert next(iter(clip))[0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["a1.png", "b2.png"], "expected one series"),
        (["a1.png", "a01.png"], "expected one series"),
        (["cover.png"], "no numbered pictures"),
        ([], "no numbered pictures"),
    ],
)
def test_what_is_no_series_says_why(tmp_path, names, says):
    for name in names:
        Image.fromarray(moving(1, 4, 4)[0]).save(tmp_path / name)
    with pytest.raises(UnsupportedInput, match=says):
        open_sequence(tmp_path)


def test_pictures_of_other_sizes_and_damaged_ones_are_named(tmp_path):
    folder(tmp_path, [*moving(2, 4, 4), *moving(1, 4, 5)])
    with pytest.raises(UnsupportedInput, match=r"frame2\.png has 5 x 4 pixels, frame0\.png 4 x 4"):
        open_sequence(tmp_path)
    (tmp_path / "frame1.png").write_bytes(b"no picture")
    with pytest.raises(UnsupportedInput, match=r"frame1\.png: no picture"):
        open_sequence(tmp_path)


def test_limits_hold(tmp_path):
    folder(tmp_path, moving(3, 4, 4))
    for limits, name in ((Limits(max_frames=2), "max_frames"), (Limits(max_pixels=15), "max_pixels")):
        with pytest.raises(LimitExceeded, match=name):
            open_sequence(tmp_path, limits)
