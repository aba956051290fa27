"""Work that falls into parts: over how many threads, in what shares, and with the results in order."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["Progress", "in_order", "shares", "workers"]

Progress = Callable[[int, int], None]  # parts done, parts


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


def in_order(jobs: Iterator[tuple[Any, Callable[[], Any]]], threads: int, count: int) -> Iterator[tuple[Any, Any]]:
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
