"""training/journal.py: what a run records, as lines and for TensorBoard."""

from __future__ import annotations

import json
import struct

import pytest

from training import journal
from training.journal import BOARD, METRICS, Journal, numbers, prune

RECORD = {"loss": 1.5, "bpp": [0.5, None, 0.25], "hyper": {"dead": [3, 0]}, "done": True}


def scalars(folder):
    """(name, step, value, time) of all scalars in the files for TensorBoard, in their order."""
    proto = pytest.importorskip("tensorboardX.proto.event_pb2")
    (file,) = folder.glob("events.out.tfevents.*")
    data, found = file.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])  # then its checksum, the event, and its checksum
        event = proto.Event.FromString(data[12 : 12 + length])
        found += [(value.tag, event.step, value.simple_value, event.wall_time) for value in event.summary.value]
        data = data[16 + length :]
    return found


def write(folder, *lines):
    (folder / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"cut')


def line(stage, step):
    return {"stage": stage, "step": step, "minutes": 2.0, "loss": float(step)}


def test_all_numbers_of_a_record_have_a_name():
    found = {"loss": 1.5, "bpp/0": 0.5, "bpp/2": 0.25, "hyper/dead/0": 3, "hyper/dead/1": 0}
    assert dict(numbers(RECORD)) == found


def test_lines_after_the_step_of_a_stage_are_taken_back(tmp_path):
    write(tmp_path, line("prior", 2), line("prior", 4), line("synthesis", 9))
    kept = prune(tmp_path / METRICS, "prior", 2)
    assert kept == [line("prior", 2), line("synthesis", 9)]
    assert [json.loads(text) for text in (tmp_path / METRICS).read_text().splitlines()] == kept
    assert prune(tmp_path / METRICS, "prior", 0) == [line("synthesis", 9)]
    assert prune(tmp_path / "nothing", "prior", 0) == []


def test_tensorboard_gets_the_numbers_of_the_lines(tmp_path):
    one = Journal(tmp_path, "prior", 0, 0.0)
    one.write(5, 1.0, RECORD)
    one.close()
    found = scalars(tmp_path / BOARD / "prior")
    assert [each[:3] for each in found] == [(name, 5, value) for name, value in numbers(RECORD)]
    (recorded,) = (tmp_path / METRICS).read_text().splitlines()
    assert json.loads(recorded) == {"stage": "prior", "step": 5, "minutes": 1.0} | RECORD


def test_a_resumed_run_has_one_file_that_says_what_its_lines_say(tmp_path):
    Journal(tmp_path, "prior", 0, 0.0).close()
    write(tmp_path, line("prior", 2), line("prior", 4), line("synthesis", 9))
    again = Journal(tmp_path, "prior", 2, 2.0)
    again.write(3, 3.0, {"loss": 3.0})
    again.close()
    found = scalars(tmp_path / BOARD / "prior")
    assert [each[:3] for each in found] == [("loss", 2, 2.0), ("loss", 3, 3.0)]
    assert found[1][3] - found[0][3] == pytest.approx(60)  # as if there had been no break


def test_a_process_that_records_nothing_leaves_all_as_it_is(tmp_path):
    write(tmp_path, line("prior", 2))
    before = (tmp_path / METRICS).read_bytes()
    other = Journal(tmp_path, "prior", 0, 0.0, on=False)
    other.write(3, 3.0, {"loss": 3.0})
    other.close()
    assert (tmp_path / METRICS).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [METRICS]


def test_without_the_package_there_are_lines_only(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "find_spec", lambda name: None)
    one = Journal(tmp_path, "prior", 0, 0.0)
    one.write(5, 1.0, RECORD)
    one.close()
    assert [path.name for path in tmp_path.iterdir()] == [METRICS]
