from __future__ import annotations

import json
import os
import re
import sys

import click
import pytest
from click.testing import CliRunner

from codec import batch
from codec.errors import CorruptStream, LimitExceeded, ModelNotFound, TruncatedStream, UnsupportedInput


def outputs(*inputs, output=None, folder=None, as_json=False):
    return batch.outputs(inputs, output, folder, ".egm", as_json)


def test_an_output_stands_beside_its_input_or_in_the_folder(tmp_path):
    folder = tmp_path / "a" / "b"
    assert outputs("x.png", "dir/y.jpg", "z") == ["x.egm", os.path.join("dir", "y.egm"), "z.egm"]
    assert outputs("x.png", "dir/y.jpg", folder=str(folder)) == [str(folder / "x.egm"), str(folder / "y.egm")]
    assert folder.is_dir()


def test_one_output_can_be_named():
    assert outputs("x.png", output="y.egm") == ["y.egm"]
    assert outputs("x.png", output="-") == ["-"]
    assert outputs("-") == ["-"]
    assert outputs("-", output="y.egm") == ["y.egm"]


@pytest.mark.parametrize(
    ("inputs", "options", "word"),
    [
        (("a.png", "b.png"), {"output": "c.egm"}, "--output-dir"),
        (("a.png",), {"output": "c.egm", "folder": "d"}, "--output-dir"),
        (("-", "a.png"), {}, "only input"),
        (("-",), {"folder": "d"}, "without --output-dir"),
        (("a.png", "a.jpg"), {}, "a.egm"),
        (("x/a.png", "y/a.png"), {"folder": "d"}, "a.egm"),
        (("a.png",), {"output": "-", "as_json": True}, "--json"),
    ],
)
def test_options_that_contradict_each_other_are_wrong_use(inputs, options, word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(click.UsageError) as caught:
        outputs(*inputs, **options)
    assert word in caught.value.message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_binary_data_and_terminals_do_not_meet(stream, monkeypatch):
    monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: True, raising=False)
    with pytest.raises(click.UsageError, match="terminal"):
        outputs("-")


def test_what_writing_would_refuse_is_refused_before_the_work(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    os.link(path, tmp_path / "same")
    batch.check("-", "-", False)
    batch.check("other", str(path), True)
    batch.check("other", os.devnull, False)
    with pytest.raises(FileExistsError, match="-f"):
        batch.check("other", str(path), False)
    with pytest.raises(FileExistsError, match="own input"):
        batch.check(str(tmp_path / "same"), str(path), True)
    with pytest.raises(FileNotFoundError, match="folder"):
        batch.check("other", str(tmp_path / "none" / "file"), False)


def run(*errors: BaseException | None, as_json: bool = False):
    """Run a batch with an input for each of `errors`, and that outcome."""
    names = [f"file{index}" for index in range(len(errors))]

    def work(source: str, _: str):
        if error := errors[names.index(source)]:
            raise error
        return {"input": source}, f"{source} done"

    command = click.Command("batch", callback=lambda: batch.run(names, None, work, as_json))
    return CliRunner().invoke(command)


def test_the_work_goes_on_after_a_failure_and_failures_are_listed_at_the_end():
    result = run(None, CorruptStream("bad bytes"), None, OSError(5, "bad disk"))
    assert result.stdout.splitlines() == ["file0 done", "file2 done"]
    lines = ["engram: file1: bad bytes", "engram: file3: bad disk", "engram: 2 of 4 failed: file1, file3"]
    assert result.stderr.splitlines() == lines


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([None, None], 0),
        ([None, CorruptStream("")], 3),
        ([CorruptStream(""), TruncatedStream("")], 3),
        ([LimitExceeded("")], 4),
        ([ModelNotFound("")], 5),
        ([UnsupportedInput("")], 1),
        ([OSError(2, "")], 1),
        ([MemoryError()], 1),
        ([CorruptStream(""), LimitExceeded("")], 1),
    ],
)
def test_the_exit_code_is_the_one_that_failures_agree_on(errors, code):
    assert run(*errors).exit_code == code


def test_json_has_one_object_a_file_whatever_happens():
    result = run(None, LimitExceeded("max_pixels"), as_json=True)
    good, bad = map(json.loads, result.stdout.splitlines())
    assert good == {"input": "file0"}
    assert bad["input"], bad["exit_code"] == ("file1", 4)
    assert bad["error"] == "LimitExceeded"
    assert "--max-pixels" in bad["message"]


def test_a_bug_is_not_hidden():
    result = run(ZeroDivisionError("bug"), None)
    assert isinstance(result.exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(2, "No such file", "a.png"), "No such file: a.png"),
        (OSError("told in words"), "told in words"),
        (MemoryError(), "out of memory; smaller pictures, or fewer threads (-T 1), need less"),
        (CorruptStream("bad bytes"), "bad bytes"),
    ],
)
def test_an_expected_error_is_one_line(error, text):
    assert batch.message(error) == text


def test_progress_is_drawn_on_a_terminal_only(monkeypatch, capsys):
    with batch.progress("work") as draw:
        assert draw is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with batch.progress("work") as draw:
        draw(0, 2)
        draw(1, 2)
        draw(0, 0)
    output = capsys.readouterr()
    assert output.out == ""
    assert f"work [{'#' * 15}{'.' * 15}]" in output.err
    assert output.err.endswith("\r\x1b[K")


def test_progress_shows_how_many_in_a_second(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with batch.progress("work", "frames") as draw:
        draw(1, 2)
        draw(7, 0)  # nobody knows how many there are
    assert re.search(r"\] [\d.]+ frames/s", capsys.readouterr().err)


def test_names_of_any_bytes_can_be_shown():
    assert batch.shown(os.fsdecode(b"caf\xe9.png")).encode()
