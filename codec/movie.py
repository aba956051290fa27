"""Clips <-> video files, by PyAV, which brings FFmpeg's libraries.

    read      as 8 bits of grey (if no frame has a colour) or RGB: BT.601 or BT.709 as the file says, turned as it says
    left out  audio, subtitles, transparency, bits beyond 8, unequal durations, with notices
    written   .mp4   H.264, which plays nearly everywhere; lossy, but near what the eye sees (CRF 10)
              .mkv   FFV1, lossless

H.264 with chroma of half the resolution needs even sides; odd ones are written with full chroma (High 4:4:4), which
fewer players show but which gives all pixels back in their place. Grey has no colour in either, and all 256 levels.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from codec.clip import DEFAULT_RATE, Clip, Frame, rate_of
from codec.errors import CodecError, EncodeError, UnsupportedInput
from codec.limits import DEFAULT, Limits

__all__ = ["MOVIES", "open_movie", "require_av", "write_movie"]

MOVIES = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".y4m", ".mpg", ".mpeg", ".ts", ".ogv", ".264", ".h264"}
# What FFmpeg may take a file for. A playlist in disguise would make it open other files and addresses.
DEMUXERS = "mov,mp4,matroska,webm,avi,yuv4mpegpipe,mpeg,mpegts,mpegvideo,ogg,h264"
CRF = 10  # H.264's quality: 0 is lossless, 18 is what is commonly called visually lossless
LIMITED, FULL = 1, 2  # AVColorRange: black and white at 16 and 235, or at 0 and 255
BT709, UNSPECIFIED, BT601 = 1, 2, 6  # AVColorSpace, AVColorPrimaries and AVColorTransferCharacteristic alike
JITTER = Fraction(1, 10)  # of a duration, which is no reason for a notice
NEUTRAL = 128  # chroma of grey
HDR = {16: "PQ", 18: "HLG"}  # AVColorTransferCharacteristic


def require_av() -> ModuleType:
    """PyAV; `UnsupportedInput` that says where to get it, if it is not installed."""
    try:
        import av
        import av.video.reformatter
    except ImportError as error:
        raise UnsupportedInput("video files need PyAV, which is not here: pip install 'engram-codec[video]'") from error
    return av


def open_movie(path: Path, limits: Limits = DEFAULT) -> Clip:
    """Open the best video stream of a file. The times of all frames are read; those up to one in colour are decoded.

    Raises
    ------
    UnsupportedInput
        The file is damaged or holds no video, or PyAV is not installed.
    LimitExceeded
        A frame is too large, or there are too many.
    OSError
        The file cannot be read.
    """
    with _opened(path, limits) as (container, stream):
        times, counted = array("q"), 0
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard:
                counted += 1
                limits.check("max_frames", counted, "frames")
                if packet.pts is not None:
                    times.append(packet.pts)
        rate, notices = _rate(stream, times, counted)
        notices += [f"{kind} left out" for kind in ("audio", "subtitles") if getattr(container.streams, kind)]
        ratio = stream.sample_aspect_ratio or Fraction(1)
    with contextlib.closing(_frames(path, limits)) as frames:
        first = next(frames, None)
        grey = first is not None and _is_grey(first) and all(map(_is_grey, frames))
    if first is None:
        raise UnsupportedInput(f"{path} holds no frame that can be decoded")
    turned = first.rotation % 180 != 0
    width, height = (first.height, first.width) if turned else (first.width, first.height)
    if (bits := max(component.bits for component in first.format.components)) > 8:
        notices.append(f"samples of {bits} bits are reduced to 8")
    if any(component.is_alpha for component in first.format.components):
        notices.append("transparency is left out")
    if first.color_trc in HDR:
        notices.append(f"high dynamic range ({HDR[first.color_trc]}) is not mapped to what 8 bits are shown with")
    if first.interlaced_frame:
        notices.append("the frames are interlaced; they are kept so")
    if ratio != 1:
        notices.append(f"the pixels are not square ({ratio.numerator}:{ratio.denominator}); their shape is not kept")
    source = partial(_pixels, path, limits, width, height, grey)
    return Clip(width, height, 1 if grey else 3, rate, counted, source, tuple(notices))


def write_movie(path: Path, form: str, frames: Iterable[Frame], rate: Fraction, shape: tuple[int, ...]) -> None:
    """Write a video file; `form` is "mp4" or "matroska", `shape` that of a frame.

    Raises
    ------
    EncodeError
        FFmpeg does not write such a video, or PyAV is not installed.
    OSError
        The file cannot be written.
    """
    av = require_av()
    if max(rate.numerator, rate.denominator) > 2**31 - 1:
        raise EncodeError(f"a rate of {rate} frames/s has too long a fraction for a video file; round it")
    grey, (height, width) = len(shape) == 2, shape[:2]
    lossless = form == "matroska"
    odd = bool(height % 2 or width % 2)
    kind = "bgr0" if lossless else "yuv444p" if odd else "yuv420p"
    if grey and (lossless or odd):
        kind = "gray"
    try:
        with av.open(f"file:{path}", "w", format=form) as container:
            options = {"level": "3", "slicecrc": "1"} if lossless else {"crf": str(CRF)}
            stream = container.add_stream("ffv1" if lossless else "libx264", rate=rate, options=options)
            stream.width, stream.height, stream.pix_fmt = width, height, kind
            context = stream.codec_context
            context.time_base = 1 / rate
            matrix = UNSPECIFIED
            if grey:
                context.color_range = FULL
            elif not lossless:
                matrix = _usual_matrix(width, height)
                context.color_range, context.colorspace = LIMITED, matrix
                context.color_primaries = context.color_trc = matrix
            convert = av.video.reformatter.VideoReformatter().reformat
            for number, pixels in enumerate(frames):
                if grey:
                    neutral = np.full((height // 2 if kind == "yuv420p" else 0, width), NEUTRAL, np.uint8)
                    frame = av.VideoFrame.from_ndarray(np.vstack((pixels, neutral)), kind)
                else:
                    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
                    frame = convert(frame, format=kind, dst_colorspace=_swscale(matrix), **_exactly(av))
                frame.pts, frame.time_base = number, 1 / rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except OSError:
        raise
    except av.FFmpegError as error:
        raise EncodeError(f"FFmpeg does not write {width} x {height} pixels at {rate} frames/s: {error}") from error


@contextlib.contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[tuple[Any, Any]]:
    """A container and its best video stream, whose size is checked. All errors of FFmpeg come out as ours."""
    av = require_av()
    with path.open("rb"):  # errors of the system are its own
        pass
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}
    try:
        with av.open(f"file:{path}", "r", container_options=options, metadata_errors="replace") as container:
            stream = container.streams.best("video")
            if stream is None or stream.codec_context is None:
                raise UnsupportedInput(f"{path} holds no video that can be decoded")
            limits.check_size(stream.width, stream.height)
            stream.codec_context.options = {"max_pixels": str(limits.max_pixels)}
            stream.thread_type = "AUTO"
            yield container, stream
    except CodecError:
        raise
    except Exception as error:  # PyAV answers damage with a dozen exception types, MemoryError among them
        raise UnsupportedInput(f"{path} is damaged, or of a kind that FFmpeg cannot decode: {error}") from error


def _frames(path: Path, limits: Limits) -> Generator[Any, None, None]:
    """Decoded frames, of any format."""
    with _opened(path, limits) as (container, stream):
        yield from container.decode(stream)


def _is_grey(frame: Any) -> bool:
    """Whether a frame has no colour at all, as far as its format lets one see without converting it."""
    name = frame.format.name
    if name.startswith("yuv") and max(component.bits for component in frame.format.components) == 8:
        return all((_plane(frame, number) == NEUTRAL).all() for number in (1, 2))
    return bool(name.startswith(("gray", "mono", "ya")))


def _plane(frame: Any, number: int) -> Frame:
    """A plane of samples of 8 bits, as a view."""
    plane = frame.planes[number]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


def _luma(frame: Any) -> Frame:
    """A grey frame, with black at 0 and white at 255."""
    if frame.format.name.startswith("yuv"):
        pixels, full = _plane(frame, 0), frame.color_range == FULL or frame.format.name.startswith("yuvj")
    else:
        pixels, full = frame.to_ndarray(format="gray"), frame.color_range != LIMITED
    return pixels if full else np.clip(np.rint((pixels - 16.0) * (255 / 219)), 0, 255).astype(np.uint8)


def _pixels(path: Path, limits: Limits, width: int, height: int, grey: bool) -> Iterator[Frame]:
    """The frames as pixels."""
    av = require_av()
    convert = av.video.reformatter.VideoReformatter().reformat
    with contextlib.closing(_frames(path, limits)) as frames:
        for number, frame in enumerate(frames):
            limits.check("max_frames", number + 1, "frames")
            if grey:
                pixels = _luma(frame)
            else:
                guess = _usual_matrix(frame.width, frame.height) if frame.colorspace == UNSPECIFIED else None
                pixels = convert(frame, format="rgb24", src_colorspace=_swscale(guess), **_exactly(av)).to_ndarray()
            pixels = np.rot90(pixels, round(frame.rotation / 90)).copy()  # the frame goes, and its memory with it
            if pixels.shape[:2] != (height, width):
                found = f"{pixels.shape[1]} x {pixels.shape[0]}"
                raise UnsupportedInput(f"{path}: frame {number} has {found} pixels, the first one {width} x {height}")
            yield pixels


def _rate(stream: Any, times: array[int], counted: int) -> tuple[Fraction, list[str]]:
    """Frames a second, and a notice if the times tell that it varies. Times are those of the packets, in any order."""
    told = next((rate for rate in (stream.average_rate, stream.guessed_rate) if rate and rate > 0), DEFAULT_RATE)
    if len(times) != counted or counted < 2:
        return told, []
    gaps = np.diff(np.sort(np.frombuffer(times, np.int64)))
    if gaps.min() <= 0:
        return told, [f"several frames have the same time; all are kept, at {float(told):.6g} frames/s"]
    mean, tick = Fraction(int(gaps.sum()), len(gaps)), stream.time_base
    seen = rate_of(1, mean * tick)
    # each time is rounded to ticks of its own accord
    if int(gaps.max()) - int(gaps.min()) > max(Fraction(1), JITTER * mean):
        rate = f"{float(seen):.6g} frames/s"
        return seen, [f"the frames last {_ms(gaps.min(), tick)} to {_ms(gaps.max(), tick)} ms; all are kept, at {rate}"]
    return (told if abs(told / seen - 1) < Fraction(1, 1000) + 1 / (mean * len(gaps)) else seen), []


def _ms(ticks: np.int64, tick: Fraction) -> str:
    return f"{float(1000 * int(ticks) * tick):.4g}"


def _usual_matrix(width: int, height: int) -> int:
    """What players take YCbCr of that size for, if the file does not tell: television's or high definition's."""
    return BT709 if width >= 1280 or height > 576 else BT601


def _swscale(matrix: int | None) -> int | None:
    """The number that libswscale has for an AVColorSpace, where it is another one."""
    return 5 if matrix == BT601 else matrix


def _exactly(av: ModuleType) -> dict[str, Any]:
    """How to convert: chroma interpolated, rounded, and the same on all processors."""
    how = av.video.reformatter.Interpolation
    flags = how.BICUBIC | how.FULL_CHR_H_INT | how.FULL_CHR_H_INP | how.ACCURATE_RND | how.BITEXACT
    return {"interpolation": flags, "threads": 1}
