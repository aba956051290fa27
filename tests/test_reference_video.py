"""tools/reference_video.py: a second decoder, written from the specification, sees the same videos."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from codec.video import decode_video
from tests.checks import ROOT, conformance_model, conformance_video, imports
from tools import reference_video
from tools.reference_model import read_model

V1 = ROOT / "bitstreams" / "v1"
STREAMS = [path for kind in ("video", "inter") for path in sorted((V1 / "valid").glob(f"{kind}-*.egm"))]


@functools.cache
def tensors(name: str) -> dict[str, np.ndarray]:
    return read_model((V1 / name).read_bytes())


def test_it_shares_nothing_with_the_codec():
    used = imports(ROOT / "tools" / "reference_video.py")
    assert not {each for each in used if each.startswith(("codec", "training"))}


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_it_decodes_the_same_frames(path):
    data = path.read_bytes()
    inter = path.name.startswith("inter")
    model, own = (conformance_video(), tensors("conformance-video.egmm")) if inter else (conformance_model(), None)
    decoded = reference_video.decode(data, tensors("conformance.egmm"), own)
    found = [frame[..., 0] if frame.shape[2] == 1 else frame for frame in decoded]
    expected = list(decode_video(data, model=model, threads=1))
    assert len(found) == len(expected)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_there_are_videos_to_decode():
    assert len(STREAMS) >= 26
