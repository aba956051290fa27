"""Clips <-> animated GIF, PNG and WebP, by Pillow.

    read      all three, as they are shown: 8 bits of grey (if no frame has a colour) or RGB, transparency over black
    written   GIF, PNG; frame by frame, as whole pictures, so that memory does not grow with the clip

GIF counts time in 1/100 s and WebP in 1/1000 s. Durations that are equal but for that rounding are one frame rate.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from codec.clip import DEFAULT_RATE, Clip, Frame, rate_of
from codec.errors import CodecError, EncodeError, LimitExceeded, UnsupportedInput
from codec.limits import DEFAULT, Limits
from codec.png import SIGNATURE

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

__all__ = ["ANIMATIONS", "is_animated", "open_animation", "packed", "write_gif", "write_png"]

ANIMATIONS = {".gif": "GIF", ".png": "PNG", ".apng": "PNG", ".webp": "WEBP"}
TICK = {"GIF": 10.0, "PNG": 1.0, "WEBP": 1.0}  # milliseconds by which durations may differ from rounding alone
UNSET = 100.0  # milliseconds, which browsers show a frame for that has no duration
SHORTEST = 2  # hundredths of a second; browsers take less for UNSET
LOOP = b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"  # for ever


def is_animated(path: Path) -> bool:
    """Whether a file is a picture of several frames that `open_animation` reads. OSError if it cannot be opened."""
    with path.open("rb"):
        pass
    try:
        with _opened(path, DEFAULT) as picture:
            return int(getattr(picture, "n_frames", 1)) > 1
    except Exception:  # Pillow answers damage, and what it does not know, with a dozen exception types
        return False


def open_animation(path: Path, limits: Limits = DEFAULT) -> Clip:
    """Open an animated picture, or a still one as a clip of one frame. All frames are looked at.

    Raises
    ------
    UnsupportedInput
        The file is damaged, of another kind, or has samples of more than 8 bits.
    LimitExceeded
        A frame is too large, or there are too many.
    OSError
        The file cannot be opened.
    """
    durations, grey, opaque, form, size = [], True, True, "", (0, 0)
    for picture, frame, solid in _frames(path, limits):
        form, size = picture.format or "", picture.size
        durations.append(float(picture.info.get("duration") or UNSET))
        opaque &= solid
        grey = grey and bool((frame[..., :1] == frame[..., 1:]).all())
    shortest, longest = min(durations), max(durations)
    notices = [] if opaque else ["transparency is left out; what is behind it is black"]
    if len(durations) == 1:
        rate = DEFAULT_RATE
    elif shortest == longest:
        rate = rate_of(1, Fraction(longest) / 1000)
    else:
        rate = rate_of(len(durations), Fraction(sum(durations)) / 1000)
        if longest - shortest > TICK[form]:
            rates = f"{float(rate):.6g} frames/s"
            notices.append(f"the frames last {shortest:g} to {longest:g} ms; all are kept, at {rates}")
    return Clip(*size, 1 if grey else 3, rate, len(durations), partial(_pixels, path, limits, grey), tuple(notices))


def write_gif(file: IO[bytes], frames: Iterable[Frame], rate: Fraction, shape: tuple[int, ...]) -> None:
    """Write an animated GIF. Grey is kept; a frame of more than 256 colours is shown with the 256 that fit it best.

    Raises
    ------
    EncodeError
        A side is over 65,535 pixels.
    """
    if max(shape) > 0xFFFF:
        raise EncodeError(f"GIF holds sides of at most 65,535 pixels, these frames have {shape[1]} x {shape[0]}")
    file.write(b"GIF89a" + struct.pack("<HHBBB", shape[1], shape[0], 0x70, 0, 0) + LOOP)  # no colours that all share
    for number, frame in enumerate(frames):
        start, end = (round(100 * n / rate) for n in (number, number + 1))
        still = packed(frame, "GIF")
        flags, table = still[10], 13
        at = table + 3 * (2 << (flags & 7))  # the colours, which become those of this frame alone
        while still[at] != 0x2C:  # extensions before the frame: a label, then blocks
            at += 2
            while still[at]:
                at += 1 + still[at]
            at += 1
        file.write(b"!\xf9\x04" + struct.pack("<BHBB", 1 << 2, min(max(SHORTEST, end - start), 0xFFFF), 0, 0))
        file.write(still[at : at + 9] + bytes([0x80 | flags & 7]) + still[table : table + 3 * (2 << (flags & 7))])
        file.write(still[at + 10 : -1])  # less the trailer
    file.write(b";")


def write_png(file: IO[bytes], frames: Iterable[Frame], rate: Fraction) -> None:
    """Write an animated PNG into a file that can be sought in: lossless, with the rate to 16 bits of its fraction."""
    delay = min(max(1 / rate, Fraction(1, 0xFFFF)), Fraction(0xFFFF))
    delay = delay.limit_denominator(0xFFFF) if delay < 1 else 1 / (1 / delay).limit_denominator(0xFFFF)
    file.write(SIGNATURE)
    where, count, number = 0, 0, 0  # of the chunk that counts the frames, of frames, of chunks
    for frame in frames:
        header, data = _still_png(frame)
        if not count:
            file.write(_chunk(b"IHDR", header))
            where = file.tell()
            file.write(_chunk(b"acTL", bytes(8)))
        placed = struct.pack(">I8s8xHHBB", number, header[:8], delay.numerator, delay.denominator, 0, 0)
        file.write(_chunk(b"fcTL", placed))
        file.write(_chunk(b"fdAT", struct.pack(">I", number + 1) + data) if count else _chunk(b"IDAT", data))
        number += 2 if count else 1
        count += 1
    file.write(_chunk(b"IEND", b""))
    file.seek(where)
    file.write(_chunk(b"acTL", struct.pack(">II", count, 0)))  # played for ever
    file.seek(0, io.SEEK_END)


def packed(frame: Frame, form: str) -> bytes:
    """The file of a still picture: "GIF" or "PNG"."""
    from PIL import Image

    stream = io.BytesIO()
    options = {"compress_level": 3} if form == "PNG" else {"interlace": 0}
    Image.fromarray(np.ascontiguousarray(frame)).save(stream, form, **options)
    return stream.getvalue()


def _still_png(frame: Frame) -> tuple[bytes, bytes]:
    """The header and the samples of a PNG file."""
    still, at, data = packed(frame, "PNG"), len(SIGNATURE), []
    while at < len(still):
        length, name = struct.unpack_from(">I4s", still, at)
        if name == b"IDAT":
            data.append(still[at + 8 : at + 8 + length])
        at += 12 + length
    return still[16:29], b"".join(data)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), name) + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def _opened(path: Path, limits: Limits) -> ImageFile:
    """A picture whose header is read and whose size is checked."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # doubts about metadata; sizes that Pillow warns of are checked below
        try:
            picture = Image.open(path, formats=tuple(TICK))
        except Image.DecompressionBombError as error:
            raise LimitExceeded(f"{path}: {error}") from error
    try:
        limits.check_size(*picture.size)
    except LimitExceeded:
        picture.close()
        raise
    return picture


def _frames(path: Path, limits: Limits) -> Iterator[tuple[ImageFile, Frame, bool]]:
    """The frames as they are shown, (H, W, 3), each with the picture as it stands there, and whether it is opaque."""
    with path.open("rb") as file:  # errors of the system are its own
        head = file.read(25)
    if head.startswith(SIGNATURE) and head[-1] > 8:
        raise UnsupportedInput(f"{path} has samples of {head[-1]} bits; convert it to 8 bits first")
    number = 0
    try:
        with _opened(path, limits) as picture:
            size, hidden = picture.size, bool(getattr(picture, "default_image", False))
            for number in range(int(hidden), getattr(picture, "n_frames", 1)):
                limits.check("max_frames", number + 1, "frames")
                frame, opaque = _shown(picture, number)
                if picture.size != size:
                    raise UnsupportedInput(f"{path}: frame {number} is larger than the first one")
                yield picture, frame, opaque
    except (CodecError, MemoryError):
        raise
    except Exception as error:  # Pillow answers damage with a dozen exception types
        raise UnsupportedInput(f"{path} is damaged at frame {number}, or no GIF, PNG or WebP: {error}") from error


def _shown(picture: ImageFile, number: int) -> tuple[Frame, bool]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # doubts about metadata
        picture.seek(number)
        x = np.asarray(picture.convert("RGBA"))
    colour, alpha = x[..., :3], x[..., 3:]
    if (alpha == 255).all():
        return colour, True
    return ((colour * alpha.astype(np.uint16) + 127) // 255).astype(np.uint8), False


def _pixels(path: Path, limits: Limits, grey: bool) -> Iterator[Frame]:
    """The frames as pixels."""
    for _, frame, _ in _frames(path, limits):
        yield np.ascontiguousarray(frame[..., 0] if grey else frame)
