"""codec/field.py: how a frame is predicted comes back from its code, and decoders refuse what no encoder writes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.entropy import Decoder, Encoder
from codec.errors import CorruptStream
from codec.field import Field, FieldCoder
from codec.motion import FARTHEST
from tests.checks import check_only_codec_errors


def some(shape: tuple[int, int], seed: int, size: int, share: float = 0.5) -> Field:
    """A field with blocks of all kinds; some of its vectors are large."""
    rng = np.random.default_rng(seed)
    h, w = shape
    live, split, moved = (rng.random(shape) < share for _ in range(3))
    blocks = np.where(moved[..., None], rng.integers(-size, size + 1, (h, w, 2)), 0)
    cells = np.repeat(np.repeat(blocks, 2, axis=0), 2, axis=1)
    own = np.repeat(np.repeat(split, 2, axis=0), 2, axis=1)
    cells[own] = rng.integers(-size, size + 1, (int(own.sum()), 2))
    return Field(live, split, cells)


def coded(fields: list[Field], shape: tuple[int, int]) -> bytes:
    encoder, coder = Encoder(), FieldCoder(shape)

    def code(freqs: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        encoder.encode(symbols, freqs)
        return symbols

    for field in fields:
        coder.code(code, field)
    return encoder.getvalue()


def decoded(data: bytes, count: int, shape: tuple[int, int]) -> list[Field]:
    decoder, coder = Decoder(data), FieldCoder(shape)
    return [coder.code(lambda freqs, _: decoder.decode(freqs), None) for _ in range(count)]


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.integers(0, 2**32),
    st.sampled_from([0, 1, 7, 8, 100, FARTHEST]),
    st.sampled_from([0.0, 0.2, 0.9]),
)
def test_fields_come_back(shape, seed, size, share):
    fields = [some(shape, seed + t, size, share) for t in range(3)]
    for told, found in zip(fields, decoded(coded(fields, shape), 3, shape), strict=True):
        np.testing.assert_array_equal(found.vectors, told.vectors)
        np.testing.assert_array_equal(found.live, told.live)


def test_what_stands_still_costs_next_to_nothing():
    shape = 18, 22
    assert len(coded([Field.still(shape)] * 20, shape)) < 60


def test_one_motion_for_all_costs_little_and_less_each_time():
    shape = 18, 22
    pan = Field(np.zeros(shape, bool), np.zeros(shape, bool), np.tile(np.array([9, -30]), (36, 44, 1)))
    lengths = [0, *(len(coded([pan] * count, shape)) for count in (1, 2, 3, 4))]
    first, second, third, fourth = np.diff(lengths)
    assert 200 > first > 3 * second
    assert second > third >= fourth
    assert fourth <= 8


def test_a_vector_that_is_too_long_is_refused():
    shape = 2, 2
    far = Field(np.zeros(shape, bool), np.zeros(shape, bool), np.full((4, 4, 2), FARTHEST + 1))
    with pytest.raises(CorruptStream, match="quarters of a pixel"):
        coded([far], shape)


@given(st.binary(max_size=80), st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_any_bytes_are_a_field_or_are_refused(data, shape):
    def read(data: bytes) -> None:
        for field in decoded(data, 3, shape):
            assert np.abs(field.vectors).max() <= FARTHEST

    check_only_codec_errors(read, data, "a field of random bytes")
