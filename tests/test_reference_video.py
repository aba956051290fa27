"""tools/reference_video.py: a second decoder, written from the specification, sees the same videos."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from codec.video import decode_video
from tests.checks import ROOT, conformance_model, imports
from tools import reference_video
from tools.reference_model import read_model

V1 = ROOT / "bitstreams" / "v1"
STREAMS = sorted((V1 / "valid").glob("video-*.egm"))


@functools.cache
def tensors() -> dict[str, np.ndarray]:
    return read_model((V1 / "conformance.egmm").read_bytes())


def test_it_shares_nothing_with_the_codec():
    used = imports(ROOT / "tools" / "reference_video.py")
    assert not {each for each in used if each.startswith(("codec", "training"))}


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_it_decodes_the_same_frames(path):
    data = path.read_bytes()
    found = [frame[..., 0] if frame.shape[2] == 1 else frame for frame in reference_video.decode(data, tensors())]
    expected = list(decode_video(data, model=conformance_model(), threads=1))
    assert len(found) == len(expected)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_there_are_videos_to_decode():
    assert len(STREAMS) >= 15
