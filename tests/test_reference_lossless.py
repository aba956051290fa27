"""tools/reference_lossless.py: a decoder that shares nothing but SPEC.md gets the same pixels of lossless files."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from codec import lossless
from codec.container import unpack
from codec.model import Model
from codec.tile import Mode
from tests.checks import ROOT, imports
from tools import conformance, reference_lossless
from tools.reference_model import read_model

V1 = ROOT / "bitstreams" / "v1"


def modes(data: bytes) -> set[int]:
    return {chunk.data[0] for chunk in unpack(data)[1] if chunk.type == "T"}


PATHS = sorted((V1 / "valid").glob("lossless-*.egm"))
STREAMS = [path for path in PATHS if Mode.GRAPHICS not in modes(path.read_bytes())]  # it does not know that mode


@functools.cache
def model() -> Model:
    return conformance.load()[conformance.LOSSLESS]


@functools.cache
def tensors() -> dict[str, np.ndarray]:
    return read_model((V1 / conformance.LOSSLESS).read_bytes())


def test_it_shares_nothing_with_the_codec():
    found = set(imports(ROOT / "tools" / "reference_lossless.py"))
    assert not {each for each in found if each.startswith(("codec", "training"))}


def test_it_has_enough_to_decode():
    assert len(STREAMS) >= 80
    assert {Mode.STORED, Mode.RESIDUAL} == set().union(*(modes(path.read_bytes()) for path in STREAMS))


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_it_decodes_the_same_samples(path):
    data = path.read_bytes()
    samples, palette = reference_lossless.decode(data, tensors())
    expected = lossless.decode(data, model=model())
    assert np.array_equal(samples, expected.pixels)
    assert (palette is None) == (expected.palette is None)
    assert palette is None or np.array_equal(palette, expected.palette)


def test_it_writes_a_picture(tmp_path, monkeypatch):
    arguments = [str(V1 / conformance.LOSSLESS), str(V1 / "valid" / "lossless-rgb-8x8.egm"), str(tmp_path / "out.ppm")]
    monkeypatch.setattr("sys.argv", ["reference_lossless", *arguments])
    reference_lossless.main()
    assert (tmp_path / "out.ppm").read_bytes().startswith(b"P6 8 8 255\n")
