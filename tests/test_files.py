from __future__ import annotations

import errno
import io
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codec import files
from codec.errors import LimitExceeded
from codec.files import atomic_write, read_bytes, write_bytes
from codec.limits import Limits

DATA = b"new" * 1000


def test_what_was_written_is_read(tmp_path):
    atomic_write(tmp_path / "file", DATA)
    assert read_bytes(tmp_path / "file") == DATA
    assert os.listdir(tmp_path) == ["file"]


def test_an_existing_file_stays_without_force(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        atomic_write(path, DATA)
    assert path.read_bytes() == b"old"
    atomic_write(path, DATA, force=True)
    assert path.read_bytes() == DATA
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_made_in_the_last_moment_stays(tmp_path, monkeypatch):
    path = tmp_path / "file"
    monkeypatch.setattr(os, "fsync", lambda _: path.write_bytes(b"other program"))
    with pytest.raises(FileExistsError):
        atomic_write(path, DATA)
    assert path.read_bytes() == b"other program"
    assert os.listdir(tmp_path) == ["file"]


def test_it_works_where_no_links_are_to_be_had(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    atomic_write(tmp_path / "file", DATA)
    with pytest.raises(FileExistsError):
        atomic_write(tmp_path / "file", b"newer")
    assert read_bytes(tmp_path / "file") == DATA
    assert os.listdir(tmp_path) == ["file"]


FAILURES = [OSError(errno.ENOSPC, "disk full"), KeyboardInterrupt(), SystemExit(1), MemoryError()]
STEPS = [("write", None), ("fsync", None), ("write", b"old"), ("fsync", b"old"), ("replace", b"old"), ("link", None)]
CASES = [(error, *step) for error in FAILURES for step in STEPS]
CASES.remove((FAILURES[0], "link", None))  # not a failure: there are places without links


@pytest.mark.parametrize(("error", "step", "old"), CASES)
def test_a_failure_at_any_step_leaves_what_was_there(tmp_path, monkeypatch, error, step, old):
    def fail(*_):
        raise error

    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)
    if step == "write":
        _fail_in_write(monkeypatch, fail)
    elif step == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)):
        atomic_write(path, DATA, force=old is not None)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ([] if old is None else ["file"])
    assert old is None or path.read_bytes() == old


def _fail_in_write(monkeypatch, fail):
    """Make files opened by `Path.open` fail in the middle of a write."""
    opened = Path.open

    class Half(io.FileIO):
        def write(self, data):
            super().write(data[: len(data) // 2])
            fail()

    def opening(path, mode="r", *args, **kwargs):
        return Half(path, mode.replace("b", "")) if "x" in mode else opened(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", opening)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_interrupt_of_the_process_leaves_no_temporary_file(tmp_path):
    program = (  # a background job, such as CI may be, starts with SIGINT ignored
        "import os, signal, sys, time\nfrom codec.files import atomic_write\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "os.fsync = lambda _: (print('now', flush=True), time.sleep(60))\n"
        "atomic_write(sys.argv[1], b'data')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "file"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process:
        assert process.stdout.readline() == b"now\n"
        assert len(os.listdir(tmp_path)) == 1
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.wait()
    assert os.listdir(tmp_path) == []


def test_permissions_follow_the_umask_or_the_replaced_file(tmp_path):
    path = tmp_path / "file"
    before = os.umask(0o027)
    try:
        atomic_write(path, DATA)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    atomic_write(path, b"again", force=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_a_link_is_followed(tmp_path):
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "folder" / "file")
    atomic_write(link, DATA)
    assert link.is_symlink()
    assert (tmp_path / "folder" / "file").read_bytes() == DATA


@pytest.mark.skipif(os.name == "nt", reason="needs named pipes")
@pytest.mark.parametrize("force", [False, True])
def test_a_pipe_or_device_is_written_to_and_not_replaced(tmp_path, force):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        atomic_write(pipe, DATA, force=force)
        assert os.read(reader, len(DATA)) == DATA
    finally:
        os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_is_not_replaced(tmp_path, force):
    with pytest.raises(OSError, match="directory"):
        atomic_write(tmp_path, DATA, force=force)
    assert tmp_path.is_dir()


@pytest.mark.parametrize("name", ["a" * 255, "ü ñ 文.egm", " ", "-", ".hidden"])
def test_any_legal_name_can_be_written(tmp_path, name):
    atomic_write(tmp_path / name, DATA)
    assert os.listdir(tmp_path) == [name]


def test_a_missing_folder_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        atomic_write(tmp_path / "none" / "file", DATA)


def test_a_dash_is_standard_input_and_output(monkeypatch, tmp_path):
    stdin, stdout = io.BytesIO(DATA), io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stdin))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout))
    assert read_bytes("-") == DATA
    write_bytes("-", DATA)
    assert stdout.getvalue() == DATA
    monkeypatch.chdir(tmp_path)
    write_bytes("./-", DATA)
    assert read_bytes(Path("-")) == DATA


def test_more_than_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PIECE", 10)
    (tmp_path / "file").write_bytes(bytes(100))
    assert read_bytes(tmp_path / "file", Limits(max_file_bytes=100)) == bytes(100)
    with pytest.raises(LimitExceeded, match="max_file_bytes"):
        read_bytes(tmp_path / "file", Limits(max_file_bytes=99))
    with pytest.raises(LimitExceeded):
        read_bytes("/dev/zero", Limits(max_file_bytes=99))
