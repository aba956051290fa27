"""codec/jobs.py: results in order, a few at a time, from any number of threads."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from functools import partial

import pytest

from codec import jobs
from codec.errors import CorruptStream
from codec.jobs import AHEAD, in_forks, in_order, in_processes, shares, workers


def test_shares_are_whole_disjoint_and_even():
    for start, length, parts in [(0, 10, 3), (5, 1, 1), (7, 2, 5), (0, 64, 8), (3, 0, 2)]:
        found = shares(start, start + length, parts)
        assert [number for a, b in found for number in range(a, b)] == list(range(start, start + length))
        assert len(found) == parts
        assert max(b - a for a, b in found) - min(b - a for a, b in found) <= 1
    assert shares(0, 10, 0) == []


def test_there_is_a_worker_at_least_and_no_more_than_jobs_and_cores(monkeypatch):
    monkeypatch.setattr("codec.jobs.cores", lambda: 6)
    assert [workers(threads, 4) for threads in (0, 1, 3, 16)] == [4, 1, 3, 4]
    assert [workers(threads, 100) for threads in (0, 5, 16)] == [6, 5, 6]  # more threads than cores would be slower
    assert workers(3, 0) == 1
    monkeypatch.setattr("codec.jobs.cores", lambda: 1)
    assert workers(0, 100) == 1


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_results_come_in_the_order_of_the_jobs(threads):
    def job(number: int) -> int:
        time.sleep(0.002 * (number % 3 == 0))
        return number * number

    jobs = ((number, lambda number=number: job(number)) for number in range(20))
    assert list(in_order(jobs, threads, 20)) == [(number, number * number) for number in range(20)]
    assert list(in_order(iter(()), threads, 0)) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_few_jobs_are_drawn_before_their_results_are_taken(threads):
    drawn = []

    def jobs():
        for number in range(50):
            drawn.append(number)
            yield number, lambda: None

    results = in_order(jobs(), threads, 50)
    for taken in range(1, 51):
        next(results)
        assert len(drawn) <= taken + threads


@pytest.mark.parametrize("threads", [1, 4])
def test_a_failing_job_is_the_end_and_leaves_no_thread_behind(threads):
    def fail() -> None:
        raise RuntimeError("third")

    before, ran = threading.active_count(), []
    jobs = ((number, fail if number == 3 else lambda number=number: ran.append(number)) for number in range(100))
    with pytest.raises(RuntimeError, match="third"):
        list(in_order(jobs, threads, 100))
    assert len(ran) <= 3 + threads
    assert threading.active_count() == before


def test_whoever_stops_asking_stops_the_work():
    before, ran = threading.active_count(), []
    results = in_order(((number, lambda number=number: ran.append(number)) for number in range(100)), 2, 100)
    next(results)
    results.close()
    assert len(ran) <= 4
    assert threading.active_count() == before


def raising(error: BaseException):
    def job() -> bytes:
        raise error

    return job


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr("codec.jobs.cores", lambda: 2)


@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.usefixtures("two_cores")
def test_processes_give_their_results_in_order_whatever_their_size(threads):
    jobs = [lambda number=number: bytes([number]) * (number * 40_000) for number in range(9)]
    assert list(in_processes(jobs, threads)) == [job() for job in jobs]
    assert list(in_processes([], threads)) == []


@pytest.mark.usefixtures("two_cores")
def test_work_is_forked_only_where_there_is_one_thread():
    here, jobs = os.getpid(), [lambda: os.getpid().to_bytes(8, "big")] * 4
    forked = {int.from_bytes(each, "big") for each in in_processes(jobs, 2)}
    alone = sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1
    assert (here not in forked) == alone
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert {int.from_bytes(each, "big") for each in in_processes(jobs, 2)} == {here}
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (CorruptStream("tile 3"), (CorruptStream, "^tile 3$")),
        (MemoryError("much"), (MemoryError, "much")),
        (ZeroDivisionError("no"), ((RuntimeError, ZeroDivisionError), "no")),
    ],
)
@pytest.mark.usefixtures("two_cores")
def test_a_failure_in_a_process_arrives_as_it_was_raised(raised, expected):
    results = in_processes([lambda: b"a", lambda: b"b", raising(raised), lambda: b"d"], 2)
    assert [next(results), next(results)] == [b"a", b"b"]
    with pytest.raises(expected[0], match=expected[1]):
        next(results)


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
@pytest.mark.usefixtures("two_cores")
def test_a_process_that_dies_is_noticed_and_none_is_left_behind(monkeypatch):
    forked, children = jobs._forked, []
    monkeypatch.setattr(jobs, "_forkable", lambda: True)
    monkeypatch.setattr(jobs, "_forked", lambda *given: children.append(forked(*given)) or children[-1])
    results = in_processes([lambda: b"a", lambda: os.kill(os.getpid(), signal.SIGKILL) or b""], 2)
    assert next(results) == b"a"
    with pytest.raises(RuntimeError, match="worker process died"):
        next(results)
    unfinished = in_processes([lambda: b"a", lambda: time.sleep(60) or b"b"], 2)
    next(unfinished)
    unfinished.close()
    assert len(children) == 4
    for process, _ in children:
        with pytest.raises(ChildProcessError):
            os.waitpid(process, os.WNOHANG)


def test_jobs_in_forks_come_back_in_order_and_are_not_read_far_ahead():
    read = []

    def calls():
        for number in range(40):
            read.append(number)
            yield number, partial(bytes, [number])

    results = in_forks(calls(), 2)
    assert next(results) == (0, b"\0")
    assert len(read) <= AHEAD * 2
    assert list(results) == [(number, bytes([number])) for number in range(1, 40)]
