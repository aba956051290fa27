"""codec/cluster.py: an archive from a cluster is the one that a single process writes, whatever happens to workers."""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
import types
from collections.abc import Iterator
from functools import partial

import distributed
import numpy as np
import pytest

from codec import cluster as module
from codec.archive import Archive
from codec.cluster import AHEAD, cluster
from codec.errors import CorruptStream, EncodeError, NotOurFormat, UnsupportedInput
from codec.jobs import Run
from codec.model import unpack_model
from codec.packing import Item, pack_archive
from codec.picture import Image
from tests.checks import ROOT, conformance_model, engram, frozen_lossless_model, style_model
from tests.pictures import folder_of_kinds, samples

STYLE = style_model()
GREY, GENERAL, PHOTO = unpack_model(STYLE), frozen_lossless_model(), conformance_model()
DIGITS = np.random.default_rng(0).choice(np.array([0, 99, 7], np.uint8), (400, 16, 32), p=(0.6, 0.35, 0.05))
MIXED = [
    Item("deep", Image(samples("photo", (9, 8, 1), 16))), Item("grey", Image(samples("photo", (9, 8, 1)))),
    Item("rgba", Image.of(samples("photo", (7, 7, 4)))), Item("large", Image(samples("photo", (130, 140, 3)))),
    Item("again", Image(samples("noise", (9, 8, 1)))), Item("profile", Image(samples("photo", (5, 5, 3)), icc=b"icc")),
]  # fmt: skip


@functools.cache
def alone() -> bytes:
    """What one process makes of them."""
    return digits(threads=1)


def digits(**options) -> bytes:
    """An archive of an array of 400 pictures, in many blocks, with its model."""
    return pack_archive([Item("", Image.of(x)) for x in DIGITS], GREY, embed=STYLE, dimensions=3, **options)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two processes."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local:
        yield local.scheduler_address


@pytest.fixture(scope="module")
def run(address) -> Iterator[Run]:
    with cluster(address) as found:
        yield found


def pids(run: Run) -> set[int]:
    return {pid for _, pid in run((number, partial(os.getpid)) for number in range(12))}


def test_archives_are_the_same_bytes(run):
    assert digits(run=run, verify=True) == alone()
    for model, items, options in (
        (GREY, MIXED, {"alone": GENERAL}), (GENERAL, MIXED, {"max_error": 2}), (PHOTO, MIXED[1:], {"quality": 40})
    ):  # fmt: skip
        data = pack_archive(items, model, run=run, verify=True, **options)
        assert data == pack_archive(items, model, threads=1, **options)


def test_a_worker_that_dies_loses_and_doubles_nothing(run):
    before, told = pids(run), []

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == 2:
            os.kill(min(before), signal.SIGKILL)

    assert digits(run=run, progress=progress) == alone()
    assert told[-1] == (400, 400)
    assert [done for done, _ in told] == sorted(set(done for done, _ in told))
    assert min(before) not in pids(run)


def test_few_pictures_are_read_ahead(run):
    read, ahead = [], []

    class Read(list):
        def __iter__(self):
            return (read.append(1) or item for item in super().__iter__())

    items = Read(Item("", Image.of(x)) for x in DIGITS)
    data = pack_archive(items, GREY, dimensions=3, run=run, progress=lambda done, _: ahead.append(len(read) - done))
    blocks = Archive(data).catalogue.layout
    assert max(ahead) <= (2 * AHEAD + 1) * blocks[0].count < len(DIGITS)


def test_an_error_arrives_as_it_was_raised(run):
    for data, error in ((b"x", NotOurFormat), (STYLE[:-9] + b"x" + STYLE[-8:], CorruptStream)):
        with pytest.raises(error):
            list(run(iter([(0, partial(len, b"abc")), (1, partial(unpack_model, data))])))


def test_interrupted_work_is_cancelled(run, address):
    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        digits(run=run, progress=interrupted)
    with distributed.Client(address, set_as_default=False) as client:
        deadline = time.monotonic() + 20
        while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
            assert time.monotonic() < deadline, "the scheduler still has tasks"
            time.sleep(0.05)


def test_a_worker_with_another_version_is_refused_when_it_is_found_and_when_it_comes_later(run, address, monkeypatch):
    monkeypatch.setattr(module, "version", lambda: "9.9 (00000000)")
    said = r"the worker tcp://\S+ has \d\S+ \([0-9a-f]{8}\); install engram-codec 9\.9"
    with pytest.raises(EncodeError, match=said), cluster(address):
        pass
    with pytest.raises(EncodeError, match=said):
        digits(run=run)


def test_a_worker_without_the_codec_is_refused(address, monkeypatch):
    absent = types.ModuleType("codec.absent")
    exec("def there(): return 'not asked'", absent.__dict__)
    absent.there.__module__ = absent.__name__
    monkeypatch.setitem(sys.modules, absent.__name__, absent)  # of this process, not of the workers
    monkeypatch.setattr(module, "_there", absent.there)
    with pytest.raises(EncodeError, match=r"has no Engram, or another .*No module named .*; install"), cluster(address):
        pass


def test_the_version_is_one_of_the_code(monkeypatch, tmp_path):
    module.version.cache_clear()
    here = module.version()
    (tmp_path / "cluster.py").write_text("# other code")
    monkeypatch.setattr(module, "__file__", str(tmp_path / "cluster.py"))
    module.version.cache_clear()
    assert module.version() != here
    monkeypatch.undo()
    module.version.cache_clear()
    assert module.version() == here


def test_jobs_are_functions_that_workers_can_have(run):
    with pytest.raises(TypeError, match="partial of a function"):
        list(run(iter([(0, lambda: 1)])))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "no scheduler", "carrier://pigeon:1"])
def test_a_scheduler_that_does_not_answer_is_told_soon(monkeypatch, address):
    monkeypatch.setattr(module, "PATIENCE", 1)
    start = time.monotonic()
    with pytest.raises(ConnectionError, match=r"no Dask scheduler answers at .*--workers 2"), cluster(address):
        pass
    assert time.monotonic() - start < 60


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UnsupportedInput, match=r"pip install 'engram-codec\[cluster\]'"), cluster(workers=2):
        pass


def test_the_command_packs_on_a_cluster(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENGRAM_MODELS", str(ROOT / "bitstreams" / "v1"))
    folder_of_kinds(tmp_path / "in")
    for name, options in (("one", ()), ("dask", ("--dask", address)), ("local", ("--workers", 1))):
        engram("pack", "in", "-o", name, "-m", "conformance-lossless", *options)
        assert (tmp_path / name).read_bytes() == (tmp_path / "one").read_bytes()
    said = engram("pack", "in", "-o", "x.ega", "--dask", "tcp://127.0.0.1:1", code=1).stderr
    assert said.startswith("engram: no Dask scheduler answers at tcp://127.0.0.1:1")
    assert said.count("\n") == 1
