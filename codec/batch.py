"""A batch of files on the command line: an output for each input, one report a file, one exit code for all.

The work goes on after a failure, and the failures are listed at the end; their code is the exit code if they agree on
one, otherwise 1. Reports go to standard output, unless the output itself goes there; all else goes to standard error.
"""

from __future__ import annotations

import contextlib
import errno
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from codec.errors import CodecError, LimitExceeded
from codec.files import STDIO

__all__ = [
    "EXPECTED",
    "Progress",
    "Record",
    "check",
    "code",
    "message",
    "notify",
    "outputs",
    "progress",
    "run",
    "shown",
]

Record = dict[str, Any]  # what --json prints of one file
Progress = Callable[[int, int], None]
EXPECTED = (CodecError, OSError, MemoryError)  # errors that end in one line and a code, not in a traceback
BAR = 30  # characters


def outputs(inputs: Sequence[str], output: str | None, folder: str | None, suffix: str, as_json: bool) -> list[str]:
    """The name of the output of each input: -o OUT, a name in --output-dir, or one beside the input.

    Raises
    ------
    click.UsageError
        The options contradict each other, or binary data would go to a terminal; no work has been done then.
    """
    if output is not None and (folder is not None or len(inputs) > 1):
        raise click.UsageError("-o names one file; several inputs, or a folder, take --output-dir alone")
    if STDIO in inputs:
        if len(inputs) > 1 or folder is not None:
            raise click.UsageError("standard input (-) has to be the only input, without --output-dir")
        if sys.stdin.isatty():
            raise click.UsageError("standard input is a terminal; name a file, or pipe one in")
        output = output or STDIO
    if output is None:
        paths = [Path(source) for source in inputs]
        paths = [path.with_suffix(suffix) if path.name else path for path in paths]  # "." and "/" have no name
        names = [str(path if folder is None else Path(folder, path.name)) for path in paths]
        if twice := [name for name in names if names.count(name) > 1]:
            raise click.UsageError(f"two inputs would both be written to {shown(twice[0])}")
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
        return names
    if output == STDIO and as_json:
        raise click.UsageError("--json and the output cannot both go to standard output; take -o FILE")
    if output == STDIO and sys.stdout.isatty():
        raise click.UsageError("refusing to write binary data to a terminal; take -o FILE, or a pipe")
    return [output]


def check(source: str, target: str, force: bool) -> None:
    """Raise the `OSError` that writing would raise, before the work and not after it."""
    path = Path(target)
    if target == STDIO:
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(path.parent))
    if path.is_file():
        if source != STDIO and Path(source).exists() and path.samefile(source):
            raise FileExistsError(errno.EEXIST, "the output would overwrite its own input", target)
        if not force:
            raise FileExistsError(errno.EEXIST, "the output exists, and -f is not given", target)


def run(
    inputs: Sequence[str], names: Sequence[str] | None, work: Callable[[str, str], tuple[Record, str]], as_json: bool
) -> None:
    """Do `work(input, output name)` for each input, print the record or line that it returns, and exit if any failed.

    `names` are those of `outputs`; None for work that puts nothing out.
    """
    failed: dict[str, int] = {}
    for source, target in zip(inputs, names or [""] * len(inputs), strict=True):
        try:
            record, line = work(source, target)
        except BrokenPipeError:
            raise  # nobody reads on; click ends in silence
        except EXPECTED as error:
            failed[source] = code(error)
            click.echo(f"engram: {shown(source)}: {message(error)}", err=True)
            if as_json:
                record = {"input": source, "error": type(error).__name__, "message": message(error)}
                click.echo(json.dumps(record | {"exit_code": code(error)}))
        else:
            click.echo(json.dumps(record) if as_json else line, err=target == STDIO)
    if failed and len(inputs) > 1:
        click.echo(f"engram: {len(failed)} of {len(inputs)} failed: {', '.join(map(shown, failed))}", err=True)
    if failed:
        codes = set(failed.values())
        click.get_current_context().exit(codes.pop() if len(codes) == 1 else 1)


def notify(name: str, notices: Sequence[str]) -> None:
    """Print what was changed on the way."""
    for notice in notices:
        click.echo(f"engram: {shown(name)}: notice: {notice}", err=True)


def code(error: BaseException) -> int:
    """The exit code of an expected error."""
    return error.exit_code if isinstance(error, CodecError) else 1


def message(error: BaseException) -> str:
    """An expected error in one line."""
    if isinstance(error, LimitExceeded) and "max_pixels" in str(error):
        return f"{error}; --max-pixels raises it"
    if isinstance(error, MemoryError):
        return "out of memory; smaller pictures, or fewer threads (-T 1), need less"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {shown(error.filename)}" if error.filename else error.strerror
    return str(error)


def shown(name: str) -> str:
    """A file name as it can be printed, whatever bytes it has."""
    return click.format_filename(name)


@contextlib.contextmanager
def progress(label: str, unit: str = "") -> Iterator[Progress | None]:
    """A callable (done, total) that draws a bar on standard error, if that is a terminal; None otherwise.

    unit : what is counted; if it is given, how many are done in a second is shown beside the bar
    """
    if not sys.stderr.isatty():
        yield None
        return
    start = time.perf_counter()

    def draw(done: int, total: int) -> None:
        filled = min(BAR * done // max(total, 1), BAR) if total else 0
        speed = f" {done / max(time.perf_counter() - start, 1e-9):.1f} {unit}/s" if unit else ""
        click.echo(f"\r{label} [{'#' * filled}{'.' * (BAR - filled)}]{speed}  ", nl=False, err=True)

    try:
        yield draw
    finally:
        click.echo("\r\x1b[K", nl=False, err=True)
