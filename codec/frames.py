"""Clips <-> files: video, animated pictures, arrays of numpy, folders of numbered pictures.

    format                         read    written
    .mp4                           x       H.264, lossy, near what the eye sees        see movie.py
    .mkv                           x       FFV1, lossless
    .mov .webm .avi .y4m ...       x
    .gif                           x       256 colours a frame; grey is lossless       see animation.py
    .png .apng (animated)          x       lossless
    .webp (animated)               x
    .npy, .npz with one array      x       .npy; (T, H, W) or (T, H, W, 3) uint8, without a rate
    a folder of numbered pictures  x       PNG, without a rate                         see sequence.py

Frames are read and written one by one, so that no clip is too long for the memory.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from codec.animation import ANIMATIONS, is_animated, open_animation, write_gif, write_png
from codec.arrays import ARRAYS, open_array, write_array
from codec.clip import Clip, Frame
from codec.errors import EncodeError, UnsupportedInput
from codec.files import STDIO, _linked
from codec.limits import DEFAULT, Limits
from codec.movie import MOVIES, open_movie, require_av, write_movie
from codec.sequence import numbered, open_sequence, write_sequence

__all__ = ["WRITTEN", "Clip", "check_target", "is_clip", "open_clip", "write_clip"]

FOLDER = ""  # the extension of a folder
WRITTEN = (".mp4", ".mkv", ".gif", ".png", ".apng", ".npy", FOLDER)


def is_clip(path: str | Path) -> bool:
    """Whether `open_clip` takes the file or folder, and it is not one picture. OSError if it is not there.

    Arrays are known by their extension, which does not tell whether they hold a clip.
    """
    if path == STDIO:
        return False
    path = Path(path)
    path.stat()
    if path.is_dir():
        return bool(numbered(path))
    return path.suffix.lower() in MOVIES.union(ARRAYS) or is_animated(path)


def open_clip(path: str | Path, limits: Limits = DEFAULT) -> Clip:
    """Open a clip: look at what is there, and read the frames when they are asked for.

    A folder, or an array, has no frame rate, and gets `DEFAULT_RATE`; `dataclasses.replace` gives it another one.

    Raises
    ------
    UnsupportedInput
        The file is damaged, of a kind that is not read, or PyAV is needed and not installed. Iterating raises it too.
    LimitExceeded
        A frame is too large, or there are too many.
    OSError
        The file cannot be read.
    """
    if path == STDIO:
        raise UnsupportedInput("a clip is read from a file or a folder, not from standard input")
    path = Path(path)
    suffix = path.suffix.lower()
    if path.is_dir():
        return open_sequence(path, limits)
    if suffix in MOVIES:
        return open_movie(path, limits)
    if suffix in ANIMATIONS:
        return open_animation(path, limits)
    if suffix in ARRAYS:
        return open_array(path, limits)
    known = " ".join(sorted({*MOVIES, *ANIMATIONS, *ARRAYS}))
    raise UnsupportedInput(f"no video has the extension {suffix or '(none)'}; read are {known} and folders of pictures")


def check_target(path: str | Path) -> str:
    """The extension that names the format of a clip to write, one of `WRITTEN`; empty for a folder.

    Raises
    ------
    EncodeError
        No format of that extension is written, or PyAV is needed and not installed.
    """
    suffix = Path(path).suffix.lower()
    if path == STDIO or suffix not in WRITTEN:
        known = " ".join(WRITTEN[:-1])
        raise EncodeError(
            f"no clip is written to {path}; known are {known}, and a folder, which is a name without a dot"
        )
    if suffix in MOVIES:
        require_av()
    return suffix


def write_clip(
    path: str | Path, frames: Iterable[Frame], rate: Fraction, shape: tuple[int, ...], *, force: bool = False
) -> tuple[str, ...]:
    """Write frames as they come, in the format of the extension. The clip is there whole, or not there at all.

    Parameters
    ----------
    frames : of the shape `shape`, uint8; at least one
    rate : frames a second
    shape : (height, width) or (height, width, 3)
    force : replace a file that is there, or the pictures of a folder that holds nothing else

    Returns
    -------
    notices : what the format does not keep

    Raises
    ------
    EncodeError
        The format is unknown, does not hold such frames, or there are none.
    ValueError
        A frame is of another shape or type, or the rate is not positive.
    OSError
        The file cannot be written, or exists and `force` is not set.
    """
    suffix = check_target(path)
    if rate <= 0:
        raise ValueError(f"a rate is positive, got {rate}")
    frames = _checked(frames, shape)
    notices: list[str] = []
    with _arriving(Path(path), folder=suffix == FOLDER, force=force) as temp:
        if suffix in MOVIES:
            write_movie(temp, "mp4" if suffix == ".mp4" else "matroska", frames, rate, shape)
        elif suffix == FOLDER:
            write_sequence(temp, frames)
        else:
            with temp.open("xb") as file:
                if suffix == ".gif":
                    write_gif(file, frames, rate, shape)
                elif suffix == ".npy":
                    write_array(file, frames, shape)
                else:
                    write_png(file, frames, rate)
    if suffix == ".mp4":
        notices.append("H.264 is lossy: the file does not hold the decoded frames exactly; .mkv does")
    if suffix == ".gif" and len(shape) == 3:
        notices.append("GIF holds 256 colours a frame")
    if suffix == ".gif" and rate > 50:
        notices.append("GIF shows at most 50 frames/s, so the clip plays slower")
    if suffix in (".npy", FOLDER):
        notices.append(f"the rate of {float(rate):.6g} frames/s is not kept in {suffix or 'a folder'}")
    return tuple(notices)


def _checked(frames: Iterable[Frame], shape: tuple[int, ...]) -> Iterator[Frame]:
    """The frames, looked at as they pass by."""
    number = -1
    for number, frame in enumerate(frames):
        if frame.shape != shape or frame.dtype != np.uint8:
            raise ValueError(f"frame {number} is {frame.shape} {frame.dtype}, expected {shape} uint8")
        yield frame
    if number < 0:
        raise EncodeError("there are no frames to write")


@contextlib.contextmanager
def _arriving(path: Path, *, folder: bool, force: bool) -> Iterator[Path]:
    """A temporary name in the same folder, which becomes `path` if nothing goes wrong, and is gone otherwise.

    See `files.atomic_write`, which does so for bytes. A folder is made, a file is not.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and (path.is_dir() != folder or not (folder or path.is_file())):
        kind = errno.ENOTDIR if folder else errno.EISDIR if path.is_dir() else errno.EINVAL
        raise OSError(kind, "this is no folder" if folder else "this is no file to replace", str(path))
    if path.exists() and not (force and _replaceable(path)) and not (folder and not any(path.iterdir())):
        what = "the folder exists and holds more than numbered pictures" if folder and force else "the file exists"
        raise FileExistsError(errno.EEXIST, what, str(path))
    temp = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        if folder:
            temp.mkdir()
        yield temp
        if folder:
            _move_folder(temp, path)
            return
        if path.exists():
            temp.chmod(stat.S_IMODE(path.stat().st_mode))
        with temp.open("rb+") as file:
            os.fsync(file.fileno())
        if force or not _linked(temp, path):
            temp.replace(path)
    finally:
        shutil.rmtree(temp, ignore_errors=True) if folder else temp.unlink(missing_ok=True)


def _replaceable(path: Path) -> bool:
    """A file, or a folder of numbered pictures and nothing else."""
    return path.is_file() or len(numbered(path)) == len(list(path.iterdir()))


def _move_folder(temp: Path, path: Path) -> None:
    """Put one folder in the place of another one."""
    old = temp.with_suffix(".old")
    if path.exists():
        path.rename(old)
    try:
        temp.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
