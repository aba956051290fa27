"""Clips <-> arrays of numpy: (T, H, W) or (T, H, W, 3) uint8 in .npy files, or alone in .npz files.

They are read and written frame by frame. (T, H, W, 1) is read as grey. Many clips, (N, T, H, W), are refused,
for which of the frames follow each other is not to be guessed.
"""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from codec.clip import DEFAULT_RATE, Clip, Frame
from codec.errors import CodecError, UnsupportedInput
from codec.limits import DEFAULT, Limits

__all__ = ["ARRAYS", "open_array", "write_array"]

ARRAYS = (".npy", ".npz")


def open_array(path: Path, limits: Limits = DEFAULT) -> Clip:
    """Open the array of an .npy file, or the only one of an .npz file, at `DEFAULT_RATE`.

    Raises
    ------
    UnsupportedInput
        The file is damaged, or its array is no clip; the message says what one is.
    LimitExceeded
        A frame is too large, or there are too many.
    OSError
        The file cannot be opened.
    """
    with _opened(path, limits) as (_, shape):
        frames, height, width = shape[:3]
        channels = 3 if shape[3:] == (3,) else 1
    return Clip(width, height, channels, DEFAULT_RATE, frames, partial(_frames, path, limits))


def write_array(file: IO[bytes], frames: Iterable[Frame], shape: tuple[int, ...]) -> None:
    """Write an .npy file; numpy leaves room in its header for the number of frames, which is known at the end."""
    count = 0
    _write_header(file, (count, *shape))
    for frame in frames:
        file.write(np.ascontiguousarray(frame).tobytes())
        count += 1
    file.seek(0)
    _write_header(file, (count, *shape))


def _frames(path: Path, limits: Limits) -> Iterator[Frame]:
    """The frames of an array, one after the other."""
    with _opened(path, limits) as (file, shape):
        frame = shape[1:] if shape[3:] == (3,) else shape[1:3]
        for _ in range(shape[0]):
            data = file.read(math.prod(frame))
            if len(data) < math.prod(frame):
                raise EOFError("the file is cut short")
            yield np.frombuffer(bytearray(data), np.uint8).reshape(frame)


@contextlib.contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[tuple[IO[bytes], tuple[int, ...]]]:
    """The file of an array at its first element, and its shape, which is one of a clip and within the limits."""
    with path.open("rb"):  # errors of the system are its own
        pass
    try:
        with contextlib.ExitStack() as stack:
            if path.suffix.lower() == ".npz":
                bundle = stack.enter_context(zipfile.ZipFile(path))
                if len(bundle.infolist()) != 1:
                    names = ", ".join(sorted(bundle.namelist())) or "nothing"
                    raise UnsupportedInput(f"{path} holds {names}; save the array that is meant with numpy.save")
                member = bundle.infolist()[0]
                size, file = member.file_size, stack.enter_context(bundle.open(member))
            else:
                size, file = path.stat().st_size, stack.enter_context(path.open("rb"))
            version = np.lib.format.read_magic(file)
            read_header: Any = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                read_header = np.lib.format.read_array_header_2_0
            shape, fortran, kind = read_header(file)
            _check(path, shape, fortran, kind)
            limits.check_size(shape[2], shape[1])
            limits.check("max_frames", shape[0], f"frames in {path}")
            if size - file.tell() < math.prod(shape):
                raise EOFError(f"it is cut short: {size - file.tell():,} of {math.prod(shape):,} samples")
            yield file, shape
    except CodecError:
        raise
    except Exception as error:  # numpy and zipfile answer damage with a dozen exception types, MemoryError among them
        raise UnsupportedInput(f"{path} is damaged, or no array of numpy: {error}") from error


def _check(path: Path, shape: tuple[int, ...], fortran: bool, kind: np.dtype[Any]) -> None:
    expected = "a clip is (frames, height, width) or (frames, height, width, 3), uint8"
    if kind != np.uint8:
        raise UnsupportedInput(f"{path} has samples of type {kind}; {expected}; scale, round and convert them first")
    if len(shape) == 4 and shape[3] not in (1, 3):
        raise UnsupportedInput(f"{path} has the shape {shape}; {expected}; of many clips, save one alone")
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise UnsupportedInput(f"{path} has the shape {shape}; {expected}")
    if fortran:
        raise UnsupportedInput(f"{path} is in Fortran order; save numpy.ascontiguousarray of it")


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
