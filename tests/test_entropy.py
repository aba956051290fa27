"""codec/entropy.py: tables are exact, messages come back, and cost what they should."""

from __future__ import annotations

import hashlib

import constriction
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.entropy import _POWERS, TOTAL, Decoder, Encoder, bits, frequencies_from_logits, frequencies_of_bit
from codec.errors import CorruptStream

seeds = st.integers(0, 2**32 - 1)


def tables(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    """(n, k) tables from nearly sure to flat."""
    return frequencies_from_logits(np.rint(rng.normal(0, rng.uniform(0, 300, (n, 1)), (n, k))).astype(np.int32))


def draw(rng: np.random.Generator, freqs: np.ndarray) -> np.ndarray:
    """(n,) symbols, each drawn from its table."""
    u = rng.integers(0, TOTAL, (len(freqs), 1))
    return (np.cumsum(freqs, axis=1) <= u).sum(axis=1).astype(np.int32)


def message(*parts: tuple[np.ndarray, np.ndarray]) -> bytes:
    encoder = Encoder()
    for symbols, freqs in parts:
        encoder.encode(symbols, freqs)
    return encoder.getvalue()


@given(seeds, st.integers(0, 60), st.integers(1, 300))
def test_a_message_comes_back(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = tables(rng, n, k), tables(rng, 1, k)[0]
    x, y = draw(rng, a), draw(rng, np.tile(b, (n, 1)))
    decoder = Decoder(message((x, a), (y, b), (x, a)))
    assert np.array_equal(decoder.decode(a), x)
    assert np.array_equal(decoder.decode(b, n), y)
    assert np.array_equal(decoder.decode(a, n), x)


def test_tables_may_lie_in_memory_as_they_like() -> None:
    rng = np.random.default_rng(0)
    a, b = tables(rng, 50, 33), tables(rng, 1, 33)
    x, y = draw(rng, a), draw(rng, np.tile(b, (50, 1)))
    expected = message((x, a), (y, np.tile(b, (50, 1))))
    for other in (np.asfortranarray(a), np.repeat(a, 2, axis=1)[:, ::2], a[::-1].copy()[::-1]):
        assert message((x, other), (y, np.broadcast_to(b, (50, 33)))) == expected
        decoder = Decoder(expected)
        assert np.array_equal(decoder.decode(other), x)
        assert np.array_equal(decoder.decode(np.broadcast_to(b, (50, 33))), y)


@given(seeds, st.integers(1, 12), st.booleans())
def test_short_messages_come_back_from_their_shortest_form(seed: int, n: int, unlikely: bool) -> None:
    # Few symbols, hostile ends: the last symbol of each table sits at the upper end of the interval, where carries are.
    rng = np.random.default_rng(seed)
    freqs = tables(rng, n, int(rng.integers(2, 9)))
    x = np.full(n, freqs.shape[1] - 1) if unlikely else draw(rng, freqs)
    data = message((x, freqs))
    assert np.array_equal(Decoder(data).decode(freqs), x)
    assert not data.endswith(b"\0")
    assert 8 * len(data) <= bits(x, freqs) + 16


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_a_carry_at_the_very_end_comes_back(narrow: list[bool]) -> None:
    # Steer the coder's interval onto a word border, until its lower end lies just below it: only then the end carries.
    encoder, sent = Encoder(), []

    def close_in(border: int, narrow: bool) -> int:
        """Send the symbol whose part of the interval holds the border; return the distance to it from below."""
        _, (low, span) = encoder._coder.pos()
        below = (border - low - 1) // (256 * (span >> 24))  # parts of 2^-16 that lie below the border
        width = 2 if narrow else TOTAL - below - 1
        table = np.array([below, width, TOTAL - below - width]) if below else np.array([TOTAL // 2, TOTAL // 2])
        sent.append((np.array([int(below > 0)]), table))
        encoder.encode(*sent[-1])
        return border - encoder._coder.pos()[1][0]

    while encoder._coder.pos()[0] == 0:
        close_in(1 << 63, True)
    for choice in narrow:
        close_in(1 << 64, choice)
    while close_in(1 << 64, False) >= 1 << 32:
        pass
    decoder = Decoder(message(*sent))
    assert all(decoder.decode(table, 1) == symbol for symbol, table in sent)
    assert len(message(*sent)) < 4 * encoder._coder.pos()[0] + 1  # the carry made zeros of all that it went through


def test_nothing_costs_nothing() -> None:
    assert message() == b""
    assert message((np.zeros(0, np.int32), np.array([TOTAL // 2] * 2)), (np.zeros(999, int), np.array([TOTAL]))) == b""
    assert Decoder(b"").decode(np.array([TOTAL]), 3).tolist() == [0, 0, 0]
    assert len(message((np.zeros(100_000, int), np.array([TOTAL - 1, 1])))) < 10


@given(seeds, st.integers(2, 300))
def test_the_coder_uses_exactly_the_tables(seed: int, k: int) -> None:
    # The state of a fresh coder after one symbol shows the borders that it used, in units of 2^-24 of its range.
    rng = np.random.default_rng(seed)
    freqs = tables(rng, 1, k)
    left = np.cumsum(freqs[0]) - freqs[0]
    unit = ((1 << 64) - 1) >> 24
    for symbol in range(k):
        for table in (freqs, freqs[0]):
            encoder = Encoder()
            encoder.encode(np.array([symbol]), table)
            assert encoder._coder.pos() == (0, (256 * int(left[symbol]) * unit, 256 * int(freqs[0, symbol]) * unit))


def test_the_cost_is_that_of_the_tables() -> None:
    rng = np.random.default_rng(1)
    for k in (2, 5, 32, 145):
        freqs = tables(rng, 20_000, k)
        x = draw(rng, freqs)
        cost = bits(x, freqs)
        assert cost == pytest.approx(-np.log2(freqs[np.arange(len(x)), x] / TOTAL).sum())
        assert cost - 1 <= 8 * len(message((x, freqs))) <= 1.0001 * cost + 0.0005 * len(x) + 16


def test_bad_tables_and_symbols_are_refused() -> None:
    good = np.full((3, 4), TOTAL // 4)
    for symbols in ([0, 1, 4], [0, -1, 0], [0, 1]):
        with pytest.raises(ValueError, match=r"symbol"):
            Encoder().encode(np.array(symbols), good)
    for entry in (0, -1, TOTAL // 4 + 1, TOTAL // 4 - 1, TOTAL, 2**31 - 1):
        bad = good.copy()
        bad[1, 2] = entry
        for table in (bad, bad[1]):
            with pytest.raises(ValueError, match="frequencies"):
                Encoder().encode(np.zeros(3, int), table)
            with pytest.raises(ValueError, match="frequencies"):
                Decoder(b"abcd").decode(table, 3)
    with pytest.raises(ValueError, match="number of symbols"):
        Decoder(b"abcd").decode(good[0])
    with pytest.raises(ValueError, match="do not fit"):
        Decoder(b"abcd").decode(good, 2)


@given(st.binary(max_size=40), seeds)
def test_any_bytes_decode_to_symbols_in_range_or_are_refused(data: bytes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(2, 40))
    try:
        symbols = Decoder(data).decode(tables(rng, 50, k))
    except CorruptStream:
        return
    assert symbols.dtype == np.int32
    assert symbols.min() >= 0
    assert symbols.max() < k


def softmax_in_python_integers(logits: list[int]) -> list[int]:
    """The equation of frequencies_from_logits in unbounded integers."""
    k = len(logits)
    distances = [max(logits) - logit for logit in logits]
    e = [root32(1 << (768 - d)) if d <= 768 else 0 for d in distances]
    scale = (1 << 32) * (TOTAL - k) // sum(e)
    freqs = [x * scale // (1 << 32) + 1 for x in e]
    freqs[logits.index(max(logits))] += TOTAL - sum(freqs)
    return freqs


def root32(n: int) -> int:
    """floor of the 32nd root, by bisection."""
    low, high = 0, 1 << 25
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**32 <= n else (low, middle)
    return low


@given(st.lists(st.integers(-(2**22), 2**22) | st.integers(-900, 900), min_size=1, max_size=300))
def test_the_softmax_is_its_equation(logits: list[int]) -> None:
    expected = softmax_in_python_integers(logits)
    for dtype in (np.int32, np.int64, np.float32, np.float64):
        assert frequencies_from_logits(np.array([logits], dtype)).tolist() == [expected]
    assert sum(expected) == TOTAL
    assert min(expected) >= 1


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=50))
def test_the_tables_of_flags_are_softmaxes(logits: list[int]) -> None:
    expected = [softmax_in_python_integers([0, logit]) for logit in logits]
    assert frequencies_of_bit(np.array(logits)).tolist() == expected


def test_the_softmax_is_close_to_the_real_one() -> None:
    rng = np.random.default_rng(2)
    logits = np.rint(rng.normal(0, 100, (200, 64)))
    p = np.exp2(logits / 32)
    p /= p.sum(axis=1, keepdims=True)
    excess = (p * (np.log2(p) - np.log2(frequencies_from_logits(logits) / TOTAL))).sum(axis=1)
    assert excess.max() < 0.003


def test_tables_do_not_change() -> None:
    # Old streams need these very integers.
    logits = (np.arange(40_000) * 7919 % 1601 - 800).reshape(-1, 100)
    digest = hashlib.blake2b(frequencies_from_logits(logits).astype("<i4").tobytes(), digest_size=8).hexdigest()
    assert digest == "2261381e25cb5289"
    assert hashlib.blake2b(_POWERS.astype("<i8").tobytes(), digest_size=8).hexdigest() == "50357870d0cc587c"


def test_a_message_does_not_change() -> None:
    freqs = frequencies_from_logits((np.arange(3000) * 7919 % 301).reshape(-1, 10))
    data = message((np.arange(300) * 31 % 10, freqs))
    assert hashlib.blake2b(data, digest_size=8).hexdigest() == "41b1896ba22a3bcc"


def test_a_panic_of_the_coder_becomes_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    nan = constriction.stream.model.QuantizedGaussian(-5, 5)  # a standard deviation of zero panics
    decoder = Decoder(b"abcdefgh")
    with pytest.raises(CorruptStream, match="gave up"):
        decoder._take(nan, np.zeros(3, np.float32), np.zeros(3, np.float32))


def decode_by_the_book(data: bytes, freqs: list[list[int]]) -> list[int]:
    """The range decoder of SPEC.md in Python integers."""
    at, low, span, point, symbols = 8, 0, 2**64 - 1, int.from_bytes(data[:8].ljust(8, b"\0"), "big"), []
    for row in freqs:
        scale = span >> 24
        quantile, left, k = (point - low) % 2**64 // scale // 256, 0, 0
        while left + row[k] <= quantile:
            left, k = left + row[k], k + 1
        low, span = (low + scale * 256 * left) % 2**64, scale * 256 * row[k]
        if span < 2**32:
            word = int.from_bytes(data[at : at + 4].ljust(4, b"\0"), "big")
            at, low, span, point = at + 4, (low << 32) % 2**64, span << 32, (point << 32) % 2**64 | word
        symbols.append(k)
    return symbols


@given(seeds, st.integers(0, 100), st.integers(2, 30))
def test_a_decoder_written_from_the_spec_agrees(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    freqs = tables(rng, n, k)
    x = draw(rng, freqs)
    assert decode_by_the_book(message((x, freqs)), freqs.tolist()) == x.tolist()


def drawn_bits(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Decisions (n,), and probabilities of a 1 from one end to the other, the very ends included."""
    ones = np.clip(TOTAL / (1 + np.exp(rng.normal(0, 6, n))), 1, TOTAL - 1).astype(np.int32)
    return (rng.integers(0, TOTAL, n) < ones).astype(np.int32), ones


@given(seeds, st.integers(0, 300))
def test_decisions_are_symbols_of_tables_of_two(seed: int, n: int) -> None:
    decisions, ones = drawn_bits(np.random.default_rng(seed), n)
    encoder = Encoder()
    encoder.encode_bits(decisions, ones)
    data = encoder.getvalue()
    assert data == message((decisions, np.stack([TOTAL - ones, ones], axis=1)))
    found = Decoder(data).decode_bits(ones)
    assert found.dtype == np.int32
    assert np.array_equal(found, decisions)


def test_decisions_and_symbols_stand_in_one_message_of_any_length() -> None:
    rng = np.random.default_rng(4)
    decisions, ones = drawn_bits(rng, 70_000)  # more than are worked on at a time
    freqs = tables(rng, 20, 7)
    symbols, encoder = draw(rng, freqs), Encoder()
    for part in (decisions, decisions.astype(bool), np.repeat(decisions, 2)[::2]):
        encoder.encode_bits(part, ones)
        encoder.encode(symbols, freqs)
    decoder = Decoder(encoder.getvalue())
    for _ in range(3):
        assert np.array_equal(decoder.decode_bits(ones), decisions)
        assert np.array_equal(decoder.decode(freqs), symbols)
    price = bits(decisions, np.stack([TOTAL - ones, ones], axis=1))
    assert 8 * len(encoder.getvalue()) <= 3 * (1.0002 * price + 0.0005 * len(ones) + bits(symbols, freqs)) + 32


def test_bad_decisions_and_probabilities_are_refused() -> None:
    good = np.array([1, TOTAL // 2, TOTAL - 1])
    for decisions in ([0, 2, 1], [0, -1, 1], [0, 1]):
        with pytest.raises(ValueError, match="decisions do not fit"):
            Encoder().encode_bits(np.array(decisions), good)
    for entry in (0, -1, TOTAL, TOTAL + 1):
        bad = np.array([1, entry, TOTAL - 1])
        with pytest.raises(ValueError, match="frequency of a 1"):
            Encoder().encode_bits(np.array([0, 1, 0]), bad)
        with pytest.raises(ValueError, match="frequency of a 1"):
            Decoder(b"abcd").decode_bits(bad)


@given(st.binary(max_size=40), seeds)
def test_any_bytes_decode_to_decisions_or_are_refused(data: bytes, seed: int) -> None:
    _, ones = drawn_bits(np.random.default_rng(seed), 200)
    try:
        found = Decoder(data).decode_bits(ones)
    except CorruptStream:
        return
    assert set(found.tolist()) <= {0, 1}


def test_no_decisions_cost_nothing() -> None:
    encoder = Encoder()
    encoder.encode_bits(np.zeros(0, np.int32), np.zeros(0, np.int32))
    assert encoder.getvalue() == b""
    assert Decoder(b"").decode_bits(np.zeros(0, np.int32)).tolist() == []
