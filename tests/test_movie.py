from __future__ import annotations

import builtins
from fractions import Fraction

import numpy as np
import pytest

from codec.errors import EncodeError, LimitExceeded, UnsupportedInput
from codec.limits import Limits
from codec.movie import open_movie, require_av, write_movie
from tests.checks import check_only_codec_errors
from tests.clips import moving, psnr

av = pytest.importorskip("av")

SIZES = [(16, 16), (15, 17), (2, 2), (1, 1)]
FORMS = {".mp4": "mp4", ".mkv": "matroska"}


def made(path, frames, rate=Fraction(25), **context):
    """A file as others write it: `context` are attributes of the coder, times in ms, rotation in degrees, sound."""
    codec, kind = context.pop("codec", "libx264"), context.pop("kind", "yuv420p")
    times, rotation, sound = context.pop("times", None), context.pop("rotation", 0), context.pop("sound", False)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"qp": "0"} if codec == "libx264" else {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = kind
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        if rotation:
            stream.set_display_rotation(rotation)
        if sound:
            voice = container.add_stream("aac", rate=8000)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, "gray" if pixels.ndim == 2 else "rgb24")
            frame.pts = times[number] if times else number
            frame.time_base = Fraction(1, 1000) if times else 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            silence.sample_rate = 8000
            container.mux(voice.encode(silence))
            container.mux(voice.encode(None))
    return path


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_mkv_is_lossless(tmp_path, size, channels):
    frames = moving(6, *size, channels)
    write_movie(tmp_path / "clip.mkv", "matroska", frames, Fraction(25), frames[0].shape)
    clip = open_movie(tmp_path / "clip.mkv")
    assert (clip.shape, clip.frames, clip.rate, clip.notices) == (frames[0].shape, 6, 25, ())
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(list(clip)), np.stack(frames))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(32, 48), (31, 47)], ids=str)
def test_mp4_is_close(tmp_path, size, channels):
    frames = moving(6, *size, channels)
    write_movie(tmp_path / "clip.mp4", "mp4", frames, Fraction(25), frames[0].shape)
    clip = open_movie(tmp_path / "clip.mp4")
    assert (clip.shape, clip.frames, clip.rate, clip.notices) == (frames[0].shape, 6, 25, ())
    assert psnr(list(clip), frames) > 38


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "7/3", "1/2", "60"])
@pytest.mark.parametrize("extension", FORMS)
def test_the_rate_is_kept_as_a_fraction(tmp_path, extension, rate):
    path = tmp_path / f"clip{extension}"
    write_movie(path, FORMS[extension], moving(5, 4, 4), Fraction(rate), (4, 4, 3))
    assert open_movie(path).rate == Fraction(rate)


def test_all_levels_of_grey_are_kept_by_mp4(tmp_path):
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None], 32, axis=0)
    write_movie(tmp_path / "clip.mp4", "mp4", [ramp] * 3, Fraction(25), ramp.shape)
    assert psnr(list(open_movie(tmp_path / "clip.mp4")), [ramp] * 3) > 48


@pytest.mark.parametrize("tagged", [1, 6, 2])  # BT.709, BT.601, not told
@pytest.mark.parametrize("height", [32, 720])
def test_colours_are_read_by_the_matrix_that_the_file_tells_or_players_take(tmp_path, tagged, height):
    told = tagged if tagged != 2 else 1 if height == 720 else 6
    kr, kb = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}[told]
    rgb = np.array([200, 60, 30])
    y = np.dot(rgb, (kr, 1 - kr - kb, kb))
    coded = 16 + y * 219 / 255, 128 + (rgb[2] - y) / (1 - kb) * 112 / 255, 128 + (rgb[0] - y) / (1 - kr) * 112 / 255
    frame = av.VideoFrame.from_ndarray(
        np.repeat(np.rint(coded).astype(np.uint8), [height * 32, height * 8, height * 8]).reshape(-1, 32), "yuv420p"
    )
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.codec_context.colorspace = 32, height, tagged
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (found,) = open_movie(tmp_path / "clip.mp4")
    assert np.abs(found.astype(int) - rgb).max() <= 3


def test_grey_of_limited_range_is_stretched(tmp_path):
    frames = [np.full((16, 16), level, np.uint8) for level in (16, 126, 235)]
    neutral = [np.vstack((frame, np.full((8, 16), 128, np.uint8))) for frame in frames]
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width = stream.height = 16
        for pixels in neutral:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "yuv420p")))
        container.mux(stream.encode(None))
    clip = open_movie(tmp_path / "clip.mp4")
    assert clip.channels == 1
    assert [int(frame[3, 3]) for frame in clip] == [0, 128, 255]


def test_one_frame_in_colour_makes_a_clip_of_colour(tmp_path):
    grey = np.full((16, 16, 3), 90, np.uint8)
    assert open_movie(made(tmp_path / "a.mp4", [grey] * 4)).channels == 1
    assert open_movie(made(tmp_path / "b.mp4", [grey] * 3 + moving(1, 16, 16))).channels == 3


def test_audio_is_left_out_with_a_notice(tmp_path):
    clip = open_movie(made(tmp_path / "clip.mp4", moving(6, 16, 16), sound=True))
    assert clip.notices == ("audio left out",)
    assert len(list(clip)) == clip.frames == 6


@pytest.mark.parametrize("extension", FORMS)
def test_unequal_durations_become_one_rate_with_a_notice(tmp_path, extension):
    path = made(tmp_path / f"clip{extension}", moving(6, 16, 16), times=[0, 40, 80, 120, 320, 400])
    clip = open_movie(path)
    assert len(list(clip)) == clip.frames == 6
    assert clip.rate == Fraction(25, 2)
    assert clip.notices == ("the frames last 40 to 200 ms; all are kept, at 12.5 frames/s",)


def test_times_that_make_no_sense_leave_the_rate_that_is_told(tmp_path):
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=12)
        stream.width = stream.height = 16
        stream.pix_fmt = "gray"
        for number, frame in enumerate(moving(6, 16, 16, 1)):
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, "gray")):
                packet.pts = packet.dts = number // 3
                container.mux(packet)
    clip = open_movie(path)
    assert (clip.rate, clip.frames, len(list(clip))) == (12, 6, 6)
    assert clip.notices == ("several frames have the same time; all are kept, at 12 frames/s",)


def test_times_that_are_rounded_are_no_reason_for_a_notice(tmp_path):
    clip = open_movie(made(tmp_path / "clip.mkv", moving(6, 16, 16), times=[0, 33, 67, 100, 133, 167]))
    assert clip.notices == ()
    assert abs(clip.rate - 30) < 0.1


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (-90, 3), (180, 2)])
def test_frames_are_turned_as_the_file_says(tmp_path, rotation, turns):
    frames = moving(3, 16, 32)
    clip = open_movie(made(tmp_path / "clip.mp4", frames, rotation=rotation))
    expected = [np.rot90(frame, turns) for frame in frames]
    assert clip.shape == expected[0].shape
    assert psnr(list(clip), expected) > 30


def test_more_bits_and_transparency_are_reduced_with_a_notice(tmp_path):
    frames = moving(3, 16, 16)
    deep = open_movie(made(tmp_path / "deep.mkv", frames, codec="ffv1", kind="yuv444p10le"))
    assert deep.notices == ("samples of 10 bits are reduced to 8",)
    assert psnr(list(deep), frames) > 45
    clear = open_movie(made(tmp_path / "clear.mkv", frames, codec="ffv1", kind="yuva444p"))
    assert clear.notices == ("transparency is left out",)


@pytest.mark.parametrize(
    ("extension", "codec"),
    [(".avi", "mpeg4"), (".webm", "libvpx-vp9"), (".mov", "libx264"), (".y4m", "wrapped_avframe"), (".264", "libx264")],
)
def test_other_files_are_read(tmp_path, extension, codec):
    frames = moving(6, 32, 32)
    path = made(tmp_path / f"clip{extension}", frames, codec=codec)
    clip = open_movie(path)
    assert (clip.shape, clip.rate) == ((32, 32, 3), 25)
    found = list(clip)
    assert len(found) == clip.frames == 6
    assert psnr(found, frames) > 25


@pytest.mark.parametrize("extension", FORMS)
def test_damaged_files_are_refused_or_read_in_part(tmp_path, extension):
    path = tmp_path / f"clip{extension}"
    write_movie(path, FORMS[extension], moving(6, 32, 32), Fraction(25), (32, 32, 3))
    whole, rng = path.read_bytes(), np.random.default_rng(0)

    def read(data):
        path.write_bytes(data)
        assert all(frame.dtype == np.uint8 for frame in open_movie(path))

    for cut in (0, 1, 10, 100, len(whole) // 2, len(whole) - 100):
        check_only_codec_errors(read, whole[:cut], f"cut to {cut} bytes")
    for number in range(20):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(0, len(whole), 10)] = rng.integers(0, 256, 10)
        check_only_codec_errors(read, damaged.tobytes(), f"damage {number}")


PLAYLIST = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"


@pytest.mark.parametrize("data", [b"", b"no video", PLAYLIST, b"ffconcat version 1.0"])
def test_what_is_no_video_says_so(tmp_path, data):
    (tmp_path / "clip.mp4").write_bytes(data)
    with pytest.raises(UnsupportedInput, match=r"clip\.mp4 is damaged, or of a kind"):
        open_movie(tmp_path / "clip.mp4")


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    with pytest.raises(UnsupportedInput, match="holds no video"):
        open_movie(tmp_path / "clip.mp4")


def test_a_name_with_a_colon_is_a_name(tmp_path):
    path = tmp_path / "12:30 %d.mkv"
    write_movie(path, "matroska", moving(2, 4, 4), Fraction(25), (4, 4, 3))
    assert open_movie(path).frames == 2


def test_limits_hold(tmp_path):
    path = tmp_path / "clip.mkv"
    write_movie(path, "matroska", moving(6, 16, 16), Fraction(25), (16, 16, 3))
    for limits, name in ((Limits(max_frames=5), "max_frames"), (Limits(max_side=15), "max_side")):
        with pytest.raises(LimitExceeded, match=name):
            open_movie(path, limits)


def test_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_movie(tmp_path / "none.mp4")


def test_what_ffmpeg_does_not_write_is_an_error_of_encoding(tmp_path):
    with pytest.raises(EncodeError, match="20000 x 2 pixels"):
        write_movie(tmp_path / "clip.mp4", "mp4", moving(1, 2, 20000), Fraction(25), (2, 20000, 3))


def test_a_rate_that_no_file_holds_is_refused(tmp_path):
    with pytest.raises(EncodeError, match="round it"):
        write_movie(tmp_path / "clip.mkv", "matroska", moving(1, 4, 4), Fraction(2**40, 2**41 - 1), (4, 4, 3))
    assert not list(tmp_path.iterdir())


def test_without_pyav_the_remedy_is_named(monkeypatch):
    imported = builtins.__import__

    def refuse(name, *arguments, **words):
        if name.split(".")[0] == "av":
            raise ImportError(name)
        return imported(name, *arguments, **words)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UnsupportedInput, match=r"pip install 'engram-codec\[video\]'"):
        require_av()
