"""codec/symbols.py: numbers and groups come out of the range coder as they went in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from codec.codebook import codebook
from codec.entropy import Decoder, Encoder, bits
from codec.errors import ModelError
from codec.layers import Layers
from codec.photo import photo
from codec.symbols import FREE, QUERY, REACH, SCALES, SPLIT_REACH, Groups, Scalars, Symbols, half_queries, tables_of
from tests.checks import conformance_model

FARTHEST = SPLIT_REACH + (1 << 14) - 2  # largest number that every place has a code for
QUERIES = {2: 4 + FREE, 4: 8 + FREE, 8: 8 + FREE}


def symbols() -> Symbols:
    return photo(conformance_model()).prior.symbols


def there_and_back(code_all: Callable[[Any, Any], np.ndarray], picked: np.ndarray) -> np.ndarray:
    """What `code_all(picked, code)` codes, decoded again by `code_all(None, code)`."""
    encoder = Encoder()

    def encode(freqs: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        encoder.encode(chosen, freqs)
        return chosen

    sent = code_all(picked, encode)
    decoder = Decoder(encoder.getvalue())
    received = code_all(None, lambda freqs, _: decoder.decode(freqs))
    assert np.array_equal(received, sent)
    return received


def scalars(n: int) -> Scalars:
    rng = np.random.default_rng(0)
    return Scalars(np.zeros((n, 3), np.int64), rng.integers(0, SCALES, (n, 3)))


def groups(dim: int, n: int = 40, g: int = 5) -> Groups:
    rng = np.random.default_rng(dim)
    query = rng.integers(-QUERY, QUERY + 1, (n, g, QUERIES[dim])).astype(np.float32)
    scale = rng.integers(0, SCALES, (n, g, dim))
    return Groups(np.zeros((n, g, dim), np.int64), rng.integers(-200, 201, (n, g)), query, scale)


@pytest.mark.parametrize("largest", [0, 1, REACH - 1, REACH, REACH + 1, FARTHEST])
def test_numbers_come_back(largest):
    rng, parameters = np.random.default_rng(1), scalars(50)
    picked = rng.choice([-largest, 0, largest], (50, 3))
    found = there_and_back(lambda k, code: symbols().scalars(parameters, k, code), picked)
    assert np.array_equal(found, picked)


@pytest.mark.parametrize("dim", [2, 4, 8])
@pytest.mark.parametrize("kind", ["zeros", "words", "some split", "all split", "far"])
def test_groups_come_back(kind, dim):
    rng, parameters = np.random.default_rng(1), groups(dim)
    shape, words = parameters.scale.shape, codebook(dim).words
    picked = {
        "zeros": np.zeros(shape, np.int64),
        "words": words[rng.integers(0, len(words), shape[:2])],
        "some split": rng.integers(-2, 3, shape) * rng.integers(0, 2, shape),
        "all split": rng.choice([-9, 9], shape),
        "far": rng.choice([-FARTHEST, FARTHEST], shape),
    }[kind]
    found = there_and_back(lambda k, code: symbols().groups(parameters, k, code), picked)
    assert np.array_equal(found, picked)


def test_numbers_beyond_the_longest_code_come_out_alike_on_both_sides():
    for sign in (-1, 1):
        picked = np.full((4, 3), sign << 40)
        found = there_and_back(lambda k, code: symbols().scalars(scalars(4), k, code), picked)
        assert (np.sign(found) == sign).all()
        assert (np.abs(found) == REACH + (1 << 14) - 2).all()


def test_what_is_likely_is_cheap():
    costs = []
    for flag in (-300, 300):
        p, total = groups(8), 0.0

        def count(freqs: np.ndarray, chosen: np.ndarray) -> np.ndarray:
            nonlocal total
            total += bits(chosen, freqs)
            return chosen

        sure = Groups(p.mean, np.full_like(p.flag, flag), p.query, p.scale)
        symbols().groups(sure, np.zeros(p.scale.shape, np.int64), count)
        costs.append(total)
    assert 100 * costs[0] < costs[1]


def test_halves_have_the_queries_of_their_coordinates():
    query = np.arange(2 * 12.0).reshape(2, 12)
    assert half_queries(query).tolist() == [
        [0, 1, 2, 3, 8, 9, 10, 11],
        [4, 5, 6, 7, 8, 9, 10, 11],
        [12, 13, 14, 15, 20, 21, 22, 23],
        [16, 17, 18, 19, 20, 21, 22, 23],
    ]


@pytest.mark.parametrize("dim", [2, 4, 8])
def test_tables_of_codewords_are_tables(dim):
    query = groups(dim).query.reshape(-1, QUERIES[dim])
    tables = tables_of(symbols().word_tables(dim, query))
    assert tables.shape == (len(query), codebook(dim).split + 1)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("scalars.freqs", lambda t: t - t.min(), "add up to 65536"),
        ("splits.freqs", lambda t: t * 0, "add up to 65536"),
        ("splits.freqs", lambda t: t[:, :-1], "expected integers"),
        ("levels.octet.weight.0", lambda t: t[:, :, :, :-1], "expected"),
        ("levels.half.bias", lambda t: t[:-1], "expected"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(name, change, message):
    tensors = dict(conformance_model().tensors)
    with pytest.raises(ModelError, match=message):
        Symbols(Layers(tensors | {name: change(tensors[name])}))
