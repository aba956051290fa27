"""Work that falls into parts: over how many threads or processes, in what shares, and with the results in order.

Threads do for work that spends its time in few, long numpy calls. Thousands of short ones keep handing Python's lock to
each other, and two threads are no faster than one (measured); such work is forked where that is safe.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from codec import errors

__all__ = ["Jobs", "Progress", "Results", "Run", "cores", "in_forks", "in_order", "in_processes", "shares", "workers"]

AHEAD = 8  # jobs for a process

Progress = Callable[[int, int], None]  # parts done, parts
Jobs = Iterator[tuple[Any, Callable[[], Any]]]  # each with a key
Results = Generator[tuple[Any, Any], None, None]
Run = Callable[[Jobs], Results]  # keys and results, in the order of the jobs


def shares(start: int, stop: int, parts: int) -> list[tuple[int, int]]:
    """A range in `parts` runs of nearly equal length."""
    cuts = [start + (stop - start) * i // parts for i in range(parts + 1)] if parts else []
    return list(itertools.pairwise(cuts))


def workers(threads: int, count: int) -> int:
    """Threads for `count` jobs: as many as are asked for, 0 for all, but no more than there are cores to run on.

    Threads that wait for a core only take memory, and hand Python's lock to each other.
    """
    return max(1, min(threads or cores(), cores(), count))


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(jobs: Jobs, threads: int, count: int) -> Results:
    """Run jobs, at most `threads` and a few waiting at a time, and give their results in order."""
    most = workers(threads, count)
    if most <= 1:
        yield from ((key, job()) for key, job in jobs)
        return
    with ThreadPoolExecutor(most) as pool:
        waiting: list[tuple[Any, Any]] = []
        try:
            for key, job in jobs:
                waiting.append((key, pool.submit(job)))
                if len(waiting) > most:
                    key, future = waiting.pop(0)
                    yield key, future.result()
            for key, future in waiting:
                yield key, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def in_processes(jobs: Sequence[Callable[[], bytes]], threads: int) -> Iterator[bytes]:
    """Run jobs in processes of their own, at most `threads`, and give their results in order.

    Where forking is not safe (not on Linux, or in a program that has threads) they run in threads, and with one worker
    right here. A process that has a result ready waits until it is taken, so few are in memory at a time.

    Raises
    ------
    CodecError, MemoryError
        As the job raised it.
    RuntimeError
        The job raised something else, or its process died.
    """
    most = workers(threads, len(jobs))
    if most == 1 or not _forkable():
        yield from (result for _, result in in_order(((None, job) for job in jobs), most, len(jobs)))
        return
    sys.stdout.flush()
    sys.stderr.flush()
    children: list[tuple[int, BinaryIO]] = []
    try:
        for number in range(most):
            children.append(_forked(jobs[number::most], [pipe for _, pipe in children]))
        for number in range(len(jobs)):
            yield _received(children[number % most][1])
    finally:
        for process, pipe in children:
            pipe.close()
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def in_forks(jobs: Jobs, threads: int) -> Results:
    """Run jobs whose results are bytes, as `in_processes` does, but as they come: no more at a time than AHEAD each."""
    while batch := list(itertools.islice(jobs, AHEAD * workers(threads, cores()))):
        keys, calls = zip(*batch, strict=True)
        yield from zip(keys, in_processes(calls, threads), strict=True)


def _forkable() -> bool:
    """Whether this process can be forked: on Linux, as long as it has one thread."""
    return sys.platform == "linux" and len(list(Path("/proc/self/task").iterdir())) == 1


def _forked(jobs: Sequence[Callable[[], bytes]], others: Sequence[BinaryIO]) -> tuple[int, BinaryIO]:
    """A process that does the jobs one by one: its number, and the pipe that its results come from."""
    source, sink = os.pipe()
    process = os.fork()
    if process:
        os.close(sink)
        return process, os.fdopen(source, "rb")
    try:  # the child; it must not return
        os.close(source)
        for pipe in others:
            pipe.close()
        with os.fdopen(sink, "wb") as out:
            for job in jobs:
                status, data = 0, b""
                try:
                    data = job()
                except Exception as error:
                    status, data = 1, f"{type(error).__name__}\0{error}".encode()
                out.write(bytes([status]) + len(data).to_bytes(8, "little") + data)
                out.flush()
                if status:
                    break
    finally:
        os._exit(0)


def _received(pipe: BinaryIO) -> bytes:
    """The next result of a process."""
    head = pipe.read(9)
    length = int.from_bytes(head[1:], "little")
    data = pipe.read(length) if len(head) == 9 else b""
    if len(head) < 9 or len(data) < length:
        raise RuntimeError("a worker process died, perhaps for want of memory; fewer threads (-T 1) need less")
    if head[0] == 0:
        return data
    name, _, message = data.decode().partition("\0")
    kind = getattr(errors, name, None)
    if kind is not None and issubclass(kind, errors.CodecError):
        raise kind(message)
    if name == "MemoryError":
        raise MemoryError(message)
    raise RuntimeError(f"a worker process failed: {name}: {message}")
