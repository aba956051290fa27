"""Bytes <-> files and pipes. A file that this module writes is there whole, or not there at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from pathlib import Path

from codec.limits import DEFAULT, Limits

__all__ = ["STDIO", "atomic_write", "read_bytes", "write_bytes"]

STDIO = "-"  # the name of standard input and standard output
PIECE = 2**20  # bytes to read at a time; read(n) would allocate n bytes first


def read_bytes(path: str | Path, limits: Limits = DEFAULT) -> bytes:
    """Read a whole file, or standard input if `path` is the string `-` (a file of that name is `./-`).

    Raises
    ------
    LimitExceeded
        More than `limits.max_file_bytes`; nothing beyond them is read.
    OSError
        The file cannot be read.
    """
    pieces, size = [], 0
    with contextlib.nullcontext(sys.stdin.buffer) if path == STDIO else Path(path).open("rb") as source:
        while piece := source.read(PIECE):
            size += len(piece)
            limits.check("max_file_bytes", size, f"bytes of {os.fspath(path)}, or more")
            pieces.append(piece)
    return b"".join(pieces)


def write_bytes(path: str | Path, data: bytes, *, force: bool = False) -> None:
    """Write a whole file, or standard output if `path` is the string `-`; see `atomic_write`."""
    if path == STDIO:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        atomic_write(path, data, force=force)


def atomic_write(path: str | Path, data: bytes, *, force: bool = False) -> None:
    """Put `data` under the name `path` in one step, on the disk and not only in its cache.

    The bytes go to a temporary file in the same folder first. Whatever happens next, an interrupt included, `path`
    is what it was before, and the temporary file is gone. A symbolic link is followed; a device or a pipe is written to
    directly.

    Parameters
    ----------
    force : bool
        Replace an existing file, keeping its permissions. Without it, an existing file stays, even one that another
        program makes in the last moment.

    Raises
    ------
    FileExistsError
        `path` exists and `force` is not set.
    OSError
        The file cannot be written.
    """
    path = Path(os.path.realpath(path))
    mode = path.stat().st_mode if path.exists() else None
    if mode is not None and not stat.S_ISREG(mode):
        path.write_bytes(data)  # replacing /dev/null by a file would be a surprise; a folder raises IsADirectoryError
        return
    if mode is not None and not force:
        raise FileExistsError(errno.EEXIST, "the file exists", str(path))
    temp = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temp.open("xb") as file:
            if mode is not None:
                temp.chmod(stat.S_IMODE(mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if force or not _linked(temp, path):
            temp.replace(path)
    finally:
        temp.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # the name itself; some systems cannot sync a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _linked(temp: Path, path: Path) -> bool:
    """Give the temporary file its second name, which fails if the name is taken; False where no links are to be had."""
    try:
        os.link(temp, path)
    except FileExistsError:
        raise
    except OSError:
        if path.exists():
            raise FileExistsError(errno.EEXIST, "the file exists", str(path)) from None
        return False
    return True
