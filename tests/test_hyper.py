"""codec/hyper.py: the hyper-latent is coded where something follows, and makes the first state."""

from __future__ import annotations

import numpy as np
import pytest

from codec.entropy import Decoder, Encoder
from codec.errors import ModelError
from codec.hyper import HYPER_GROUPS, HYPER_WORDS, Hyper
from codec.layers import Layers
from codec.photo import photo
from codec.prior import Prior
from tests.checks import conformance_model

SHAPES = [(1, 1), (4, 4), (5, 9), (16, 3)]


def hyper() -> Hyper:
    return photo(conformance_model()).prior.hyper


def some(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    cells = -(-shape[0] // 4) * -(-shape[1] // 4)
    return np.random.default_rng(seed).integers(0, HYPER_WORDS, (cells, HYPER_GROUPS))


def coded(codes: np.ndarray, shape: tuple[int, int], live: np.ndarray) -> tuple[np.ndarray, int]:
    """What a decoder gets, and how many symbols that takes."""
    encoder, count = Encoder(), 0

    def encode(freqs: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        nonlocal count
        count += len(symbols)
        encoder.encode(symbols, freqs)
        return symbols

    sent = hyper().code(codes, shape, live, encode)
    decoder = Decoder(encoder.getvalue())
    received = hyper().code(None, shape, live, lambda freqs, _: decoder.decode(freqs))
    assert np.array_equal(received, sent)
    return received, count


@pytest.mark.parametrize("shape", SHAPES)
def test_codes_come_back(shape):
    codes = some(shape)
    found, count = coded(codes, shape, np.ones(shape, np.bool_).ravel())
    assert np.array_equal(found, codes)
    assert count == codes.size


def test_where_no_block_is_live_nothing_is_sent_and_the_likeliest_is_taken():
    shape, live = (6, 9), np.zeros((6, 9), np.bool_)
    live[5, 4] = True  # in the fifth of 2 x 3 cells
    found, count = coded(some(shape), shape, live.ravel())
    assert count == HYPER_GROUPS
    expected = np.tile(hyper().freqs.argmax(axis=1), (6, 1))
    expected[4] = some(shape)[4]
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_state_is_a_block_each_and_the_condition_counts(shape):
    prior, codes = photo(conformance_model()).prior, some(shape)
    low, high = (hyper().start(codes, shape, prior.condition[index, : prior.width]) for index in (0, 63))
    assert low.shape == (*shape, prior.width)
    assert np.abs(low).max() <= 127
    assert np.array_equal(low, np.rint(low))
    assert not np.array_equal(low, high)


def test_a_code_is_seen_by_its_own_blocks_alone():
    prior, codes = photo(conformance_model()).prior, some((8, 8))
    other = codes.copy()
    other[3] = (codes[3] + 1) % HYPER_WORDS
    condition = prior.condition[30, : prior.width]
    changed = (hyper().start(codes, (8, 8), condition) != hyper().start(other, (8, 8), condition)).any(axis=2)
    assert changed.any()
    assert not changed[:4].any()
    assert not changed[:, :4].any()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("hyper.words", lambda t: t + 128, r"hyper\.words has numbers"),
        ("hyper.freqs", lambda t: t + 1, "add up to 65536"),
        ("h_s.1.shift", lambda t: t * 0 + 52, r"2\^53"),
        ("h_s.1.bias", lambda t: t[:-1], "times 4"),
        ("h_s.1.bias", lambda t: t[0], "numbers"),
        ("h_s.0.bias", lambda t: t[:-1], "times 4"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(name, change, message):
    tensors = dict(conformance_model().tensors)
    with pytest.raises(ModelError, match=message):
        Prior(Layers(tensors | {name: change(tensors[name])}))
