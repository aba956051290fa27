"""tools/reference_decoder.py: a decoder that shares nothing but SPEC.md gets the same pixels."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from codec.image import decode
from tests.checks import ROOT, conformance_model, imports
from tools import reference_decoder
from tools.reference_model import read_model

V1 = ROOT / "bitstreams" / "v1"
PATHS = sorted((V1 / "valid").glob("*.egm"))
STREAMS = [
    path
    for path in PATHS
    if path.stem != "four-tiles" and not path.stem.startswith(("lossless-", "video-", "inter-", "archive-", "exact-"))
]  # it takes long


@functools.cache
def tensors() -> dict[str, np.ndarray]:
    return read_model((V1 / "conformance.egmm").read_bytes())


def test_it_shares_nothing_with_the_codec():
    for name in ("reference_decoder", "reference_model"):
        assert not {each for each in imports(ROOT / "tools" / f"{name}.py") if each.startswith(("codec", "training"))}


def test_it_reads_the_same_model():
    expected = conformance_model().tensors
    assert list(tensors()) == list(expected)
    assert all(np.array_equal(tensors()[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_it_decodes_the_same_pixels(path):
    data = path.read_bytes()
    colour, alpha = reference_decoder.decode(data, tensors())
    expected = decode(data, model=conformance_model())
    assert np.array_equal(colour, expected.colour)
    assert (alpha is None) == (expected.alpha is None)
    assert alpha is None or np.array_equal(alpha, expected.alpha)


def test_it_writes_a_picture(tmp_path, monkeypatch):
    arguments = [str(V1 / "conformance.egmm"), str(V1 / "valid" / "grey-50x31.egm"), str(tmp_path / "out.pgm")]
    monkeypatch.setattr("sys.argv", ["reference_decoder", *arguments])
    monkeypatch.setattr(reference_decoder, "read_model", lambda data: tensors())
    reference_decoder.main()
    assert (tmp_path / "out.pgm").read_bytes().startswith(b"P5 50 31 255\n")
