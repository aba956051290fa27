"""tools/reference_lossless.py: a decoder that shares nothing but SPEC.md gets the same pixels of lossless files."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from codec import lossless
from codec.container import unpack
from codec.tile import Mode
from tests.checks import ROOT, imports
from tools import conformance, reference_lossless
from tools.reference_model import read_model

V1 = ROOT / "bitstreams" / "v1"
STREAMS = sorted((V1 / "valid").glob("lossless-*.egm"))


models = functools.cache(conformance.load)


@functools.cache
def tensors(name: str) -> dict[str, np.ndarray]:
    return read_model((V1 / name).read_bytes())


def test_it_shares_nothing_with_the_codec():
    for name in ("reference_lossless", "reference_alike", "reference_mixture", "reference_graphics"):
        assert not {each for each in imports(ROOT / "tools" / f"{name}.py") if each.startswith(("codec", "training"))}


def test_the_streams_have_tiles_of_every_mode():
    chunks = [chunk for path in STREAMS for chunk in unpack(path.read_bytes())[1]]
    assert {chunk.data[0] for chunk in chunks if chunk.type == "T"} == set(Mode)
    assert len(STREAMS) >= 116


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_it_decodes_the_same_samples(path):
    data = path.read_bytes()
    name = conformance.ALIKE if "alike" in path.stem else conformance.LOSSLESS
    samples, palette = reference_lossless.decode(data, tensors(name))
    expected = lossless.decode(data, model=models()[name])
    assert np.array_equal(samples, expected.pixels)
    assert (palette is None) == (expected.palette is None)
    assert palette is None or np.array_equal(palette, expected.palette)


def test_it_writes_a_picture(tmp_path, monkeypatch):
    arguments = [str(V1 / conformance.LOSSLESS), str(V1 / "valid" / "lossless-rgb-8x8.egm"), str(tmp_path / "out.ppm")]
    monkeypatch.setattr("sys.argv", ["reference_lossless", *arguments])
    reference_lossless.main()
    assert (tmp_path / "out.ppm").read_bytes().startswith(b"P6 8 8 255\n")
