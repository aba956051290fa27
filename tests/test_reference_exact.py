"""tools/reference_exact.py: a second decoder, written from the specification, sees the same exact videos."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from codec.container import split, unpack
from codec.exactframes import Way
from codec.model import unpack_model
from codec.video import decode_video, plan_of
from tests.checks import ROOT, imports
from tools import reference_exact
from tools.exact_streams import HEAD
from tools.reference_model import read_model

V1 = ROOT / "bitstreams" / "v1"
STREAMS = sorted((V1 / "valid").glob("exact-*.egm"))
MODEL = (V1 / "conformance-lossless.egmm").read_bytes()


@functools.cache
def tensors() -> dict[str, np.ndarray]:
    return read_model(MODEL)


def test_it_shares_nothing_with_the_codec():
    used = imports(ROOT / "tools" / "reference_exact.py")
    assert not {each for each in used if each.startswith(("codec", "training"))}


def test_the_streams_have_frames_of_every_way():
    groups = [group for path in STREAMS for group in plan_of(*unpack(path.read_bytes())).groups]
    assert {frame[0] for data, count in groups for frame in split(data[HEAD:], count)} == set(Way)


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_it_decodes_the_same_frames(path):
    data = path.read_bytes()
    found = reference_exact.decode(data, tensors())
    expected = [x.reshape(found[0].shape) for x in decode_video(data, model=unpack_model(MODEL), threads=1)]
    assert len(found) == len(expected)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
