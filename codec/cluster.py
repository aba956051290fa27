"""Jobs on a Dask cluster: machines, or processes of this one.

    partial(function of a module, models, arrays, numbers)  --Dask-->  worker  --Dask-->  its result

A job is a pure function and what it is of. So a job whose worker dies is run again elsewhere, results are taken in the
order of the jobs, and they are what one process would have made. A model goes to each worker once. Few jobs are on
their way at a time, however many there are: neither this machine nor the scheduler holds more.

Dask's workers run whatever is sent to their scheduler: who can reach it can run programs there. Lossless bytes are the
same on all machines; with loss, the encoder's choices are made in floats, which other processors may round otherwise.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from codec import batch
from codec.errors import EncodeError, UnsupportedInput
from codec.jobs import Jobs, Results, Run
from codec.model import Model

__all__ = ["cluster"]

PATIENCE = 5  # seconds that a scheduler may take to answer
AHEAD = 3  # jobs on their way for each thread of the workers
QUIET = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"  # Ctrl-C is for this process, not for workers

_models: dict[bytes, Model] = {}  # of a worker, by id, so that their networks are built once


@contextlib.contextmanager
def cluster(address: str | None = None, *, workers: int = 0) -> Iterator[Run]:
    """What does jobs on a cluster. At the end, and on any error, jobs that are on their way are cancelled.

    Parameters
    ----------
    address : of a scheduler, such as tcp://host:8786
    workers : without an address: processes of this machine that are started, and ended with the context

    Raises
    ------
    UnsupportedInput
        Dask is not installed.
    OSError
        The scheduler does not answer, or is lost; or a job's workers died, again and again.
    EncodeError
        A worker has another version of the codec.
    """
    try:
        import dask
        import distributed
    except ModuleNotFoundError as missing:
        need = f"a cluster needs the module {missing.name!r}, which is not installed"
        raise UnsupportedInput(f"{need}; the extra 'cluster' brings it: pip install 'engram-codec[cluster]'") from None
    start: Any = distributed.LocalCluster
    connect: Any = distributed.Client
    with contextlib.ExitStack() as stack:
        # pictures travel with their jobs, and are not kept elsewhere, so that no worker's death loses one
        stack.enter_context(dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}))
        target: Any = address
        if address is None:
            shape = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": ":0"}  # any port that is free
            target = stack.enter_context(start(**shape, preload=[QUIET], silence_logs=logging.ERROR))
        try:
            if address is not None:  # a client would wait for ever where there is no such address
                distributed.comm.addressing.resolve_address(address)
            client = stack.enter_context(connect(target, timeout=PATIENCE, set_as_default=False))
        except (OSError, ValueError) as error:
            remedy = "start one with `dask scheduler`, or take --workers 2"
            raise ConnectionError(f"no Dask scheduler answers at {address}: {_line(error)}; {remedy}") from None
        _check_all(client)
        if not client.nthreads():
            batch.notify(str(address), ["the cluster has no workers yet, and is waited for"])
        yield functools.partial(_run, client)


def _check_all(client: Any) -> None:
    """EncodeError unless workers and scheduler have this version; those that come later are checked with each job."""
    here = version()
    versions = client.run(_there, on_error="return")
    for address, found in versions.items():
        if found != here:
            what = f"no Engram, or another version ({_line(found)})" if isinstance(found, Exception) else found
            raise EncodeError(f"the worker {address} has {what}; install engram-codec {here} on all of them")
    try:
        client.run_on_scheduler(_there)
    except ImportError:  # it reads the jobs that it hands on
        raise EncodeError(f"the scheduler has no Engram; install engram-codec {here} there, too") from None


def _run(client: Any, jobs: Jobs) -> Results:
    """Keys and results of the jobs, in their order."""
    models: dict[bytes, Any] = {}  # futures, by id
    waiting: deque[tuple[Any, Any]] = deque()

    def first() -> tuple[Any, Any]:
        result = _result(waiting[0][1])
        return waiting.popleft()[0], result

    try:
        for key, job in jobs:
            waiting.append((key, _sent(client, job, models)))
            if len(waiting) > AHEAD * max(1, sum(client.nthreads().values())):
                yield first()
        while waiting:
            yield first()
    finally:
        client.cancel([*(future for _, future in waiting), *models.values()])


def _sent(client: Any, job: Callable[[], Any], models: dict[bytes, Any]) -> Any:
    """The future of a job. Its models are futures, too: Dask moves those to the workers, and makes lost ones anew."""
    if not isinstance(job, functools.partial):
        raise TypeError(f"a job for a cluster is a partial of a function of a module, not {job!r}")

    def there(value: Any) -> Any:
        if not isinstance(value, Model):
            return value
        if value.id not in models:
            models[value.id] = client.submit(_kept, version(), value, pure=False)
        return models[value.id]

    arguments = [there(value) for value in job.args]
    words = {name: there(value) for name, value in job.keywords.items()}
    return client.submit(_work, version(), job.func, *arguments, pure=False, **words)


def _result(future: Any) -> Any:
    """The result of a job, or its error."""
    from distributed import CancelledError, KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        remedy = "perhaps for want of memory: workers with more of it, or smaller pictures, may do"
        raise OSError(f"a part was given to {error.allowed_failures + 1} workers, and all died, {remedy}") from None
    except CancelledError:
        raise ConnectionError("the Dask scheduler was lost, or gave the work up; run the command again") from None


# ---- what runs on a worker -------------------------------------------------------------------------------------------


def _work(expected: str, function: Callable[..., Any], *arguments: Any, **words: Any) -> Any:
    """Do a job."""
    _check(expected)

    def own(value: Any) -> Any:
        return _models.setdefault(value.id, value) if isinstance(value, Model) else value

    return function(*map(own, arguments), **{name: own(value) for name, value in words.items()})


def _kept(expected: str, model: Model) -> Model:
    """A model, as a result that Dask keeps."""
    _check(expected)
    return model


def _check(expected: str) -> None:
    if (found := version()) != expected:
        from distributed import get_worker

        raise EncodeError(
            f"the worker {get_worker().address} has {found}; install engram-codec {expected} on all of them"
        )


def _there() -> str:
    return version()


@functools.cache
def version() -> str:
    """Version of the codec, and a digest of its code: where they are equal, bytes are."""
    digest = hashlib.blake2b(digest_size=4)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_text(encoding="utf-8").encode())
    return f"{metadata.version('engram-codec')} ({digest.hexdigest()})"


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
