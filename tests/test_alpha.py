"""codec/alpha.py: the alpha plane comes back exactly, or is refused."""

from __future__ import annotations

import contextlib
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from codec.alpha import pack_plane, unpack_plane
from codec.errors import CorruptStream

RAMP = np.tile(np.arange(60, dtype=np.uint8), (40, 1))
PERIODIC = np.resize(np.random.default_rng(0).integers(0, 256, 53, np.uint8), (40, 60))


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_any_plane_comes_back(plane):
    assert np.array_equal(unpack_plane(pack_plane(plane), plane.shape), plane)


@pytest.mark.parametrize(("plane", "kind"), [(PERIODIC, 0), (RAMP, 1), (RAMP.T, 2)])
def test_the_filter_follows_the_plane(plane, kind):
    data = pack_plane(plane)
    assert data[0] == kind
    assert len(data) < plane.size / 10
    assert np.array_equal(unpack_plane(data, plane.shape), plane)


@given(st.binary(max_size=60), st.sampled_from([(1, 1), (3, 5)]))
def test_any_bytes_are_decoded_or_refused(data, shape):
    with contextlib.suppress(CorruptStream):
        assert unpack_plane(data, shape).shape == shape


@pytest.mark.parametrize("size", [0, 14, 16, 10**7])
def test_other_sizes_than_the_picture_are_refused(size):
    with pytest.raises(CorruptStream, match="expected 15 bytes"):
        unpack_plane(b"\0" + zlib.compress(bytes(size), 9), (3, 5))


def test_damaged_planes_are_refused():
    data = pack_plane(RAMP)
    for broken in (b"", b"\x03" + data[1:], data + b"\0", *(data[:n] for n in range(len(data)))):
        with pytest.raises(CorruptStream):
            unpack_plane(broken, RAMP.shape)
