"""tools/reference_archive.py: a decoder that shares nothing but SPEC.md finds the same items in archives."""

from __future__ import annotations

import numpy as np
import pytest

from codec.archive import Archive
from tests.checks import ROOT, frozen_lossless_model, imports
from tools import conformance, reference_archive
from tools.reference_model import read_model

V1 = ROOT / "bitstreams" / "v1"
STREAMS = sorted((V1 / "valid").glob("archive-*.egm"))


def test_it_shares_nothing_with_the_codec():
    used = imports(ROOT / "tools" / "reference_archive.py")
    assert not {each for each in used if each.startswith(("codec", "training"))}


def test_there_are_archives_of_clips_to_decode():
    assert len(STREAMS) >= 7
    assert sum("clip" in path.stem for path in STREAMS) >= 4


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_it_decodes_the_same_items(path):
    data = path.read_bytes()
    tensors = read_model((V1 / conformance.LOSSLESS).read_bytes())
    opened = Archive(data, model=frozen_lossless_model())
    found = reference_archive.decode(data, tensors)
    assert len(found) == len(opened)
    for number, (name, samples) in enumerate(found):
        np.testing.assert_array_equal(samples.reshape(opened[number].shape), opened[number])
        assert name in ("", opened.name(number))
