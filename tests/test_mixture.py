"""codec/mixture.py: whatever a network says, samples come back, and cost what its distribution says."""

from __future__ import annotations

import hashlib
import itertools
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import mixture as module
from codec.entropy import TOTAL, Decoder, Encoder
from codec.lattice import FLOOR, OCTAVE, View, logarithm
from codec.mixture import COMPONENTS, LEAST, MEAN_UNIT, MOST, OUTPUTS, code_samples, mixture, tables
from codec.residual import FARTHEST, Group
from tests.checks import replayed
from training.residual import bits

seeds = st.integers(0, 2**32 - 1)
LARGEST_SPREAD = 16 * 8 * 65535 + FLOOR  # of 16-bit differences


def seen(base: np.ndarray, spread: np.ndarray) -> View:
    """A view without features: base in quarters, spread in 1/64 grey levels."""
    spread = spread.astype(np.float64)
    return View(np.zeros((len(base), 0)), base.astype(np.float64), spread, logarithm(spread))


def hostile(rng: np.random.Generator, count: int, low: int, high: int) -> np.ndarray:
    """Mixtures of outputs anywhere in their range, often at its ends."""
    outputs = rng.integers(-FARTHEST, FARTHEST + 1, (count, OUTPUTS))
    outputs = np.where(rng.random(outputs.shape) < 0.3, rng.choice([-FARTHEST, 0, FARTHEST], outputs.shape), outputs)
    spread = np.geomspace(FLOOR, LARGEST_SPREAD, 64)[rng.integers(64, size=count)].astype(int)
    base = rng.choice([4 * low, 0, 4 * high, rng.integers(4 * low, 4 * high + 1)], count)
    return mixture(outputs.astype(np.float32), seen(base, spread))


def typical(rng: np.random.Generator, count: int) -> tuple[np.ndarray, View]:
    """Outputs as a trained network gives them, around the middle of 8 bits."""
    logits, means = rng.normal(0, 40, (count, COMPONENTS)), rng.normal(0, 20, (count, COMPONENTS))
    scales = rng.normal(-16, 16, (count, COMPONENTS))
    outputs = np.rint(np.concatenate([logits, means, scales], axis=1)).astype(np.float32)
    return outputs, seen(rng.integers(400, 620, count), np.rint(2 ** rng.uniform(6, 9, count)))


def cost(samples: np.ndarray, mix: np.ndarray, low: int, high: int) -> float:
    """Bits that the samples are spelled in."""
    _, decisions, asked = replayed(samples, mix, low, high)
    shares = [np.where(yes > 0, ones, TOTAL - ones) / TOTAL for yes, ones in zip(decisions, asked, strict=True)]
    return float(-np.log2(np.concatenate(shares)).sum())


@settings(max_examples=40)
@given(seeds, st.integers(1, 16), st.booleans())
def test_any_sample_comes_back_whatever_the_network_says(seed, depth, difference):
    rng, (low, high) = np.random.default_rng(seed), Group(3, depth).range(difference)
    mix = hostile(rng, 200, low, high)
    samples = np.where(rng.random(200) < 0.3, rng.choice([low, high], 200), rng.integers(low, high + 1, 200))
    found, _, asked = replayed(samples, mix, low, high)
    np.testing.assert_array_equal(found, samples)
    assert all(1 <= ones.min() <= ones.max() < TOTAL for ones in asked)
    assert len(asked) <= 7 + depth + difference + 1  # after the quantiles, halves: no endless loops


@settings(max_examples=40)
@given(seeds, st.sampled_from([1, 8, 16]))
def test_samples_come_back_through_the_coder(seed, depth):
    rng, (low, high) = np.random.default_rng(seed), (0, (1 << depth) - 1)
    mix, samples, encoder = hostile(rng, 100, low, high), rng.integers(low, high + 1, 100), Encoder()

    def write(ones: np.ndarray, taken: np.ndarray) -> np.ndarray:
        encoder.encode_bits(taken, ones)
        return taken

    code_samples(mix, low, high, write, samples)
    decoder = Decoder(encoder.getvalue())
    np.testing.assert_array_equal(code_samples(mix, low, high, lambda ones, _: decoder.decode_bits(ones)), samples)


@settings(max_examples=40)
@given(seeds, st.integers(1, 16))
def test_any_decisions_end_in_a_sample_in_range(seed, depth):
    rng, (low, high) = np.random.default_rng(seed), Group(3, depth).range(1)
    found = code_samples(hostile(rng, 50, low, high), low, high, lambda ones, _: rng.integers(0, 2, len(ones)))
    np.testing.assert_array_equal(found, np.floor(found))
    assert low <= found.min() <= found.max() <= high


def test_every_value_has_a_spelling_of_its_own():
    rng = np.random.default_rng(3)
    for low, high in ((0, 255), (-255, 255), (0, 1), (0, 6)):
        mix = np.tile(hostile(rng, 1, low, high), high - low + 1)
        _, decisions, asked = replayed(np.arange(low, high + 1), mix, low, high)
        assert len({len(call) for call in asked}) <= len(asked)
        assert decisions[0].sum() in range(1, high - low + 1)  # the first decision parts the range in two
    mix = np.tile(hostile(rng, 1, 0, 63), 64)
    chances = [2.0 ** -cost(np.array([v]), mix[:, v : v + 1], 0, 63) for v in range(64)]
    assert sum(chances) == pytest.approx(1, abs=1e-9)


def test_samples_cost_what_the_training_reckons():
    rng = np.random.default_rng(0)
    outputs, view = typical(rng, 20_000)
    mix = mixture(outputs, view)
    samples = code_samples(mix, 0, 255, lambda ones, _: (rng.integers(0, TOTAL, len(ones)) < ones).astype(int))
    inner = (samples > 0) & (samples < 255)  # tails that are cut off belong to the ends, which the training leaves out
    units = np.repeat([32 / math.log(2), MEAN_UNIT, OCTAVE], COMPONENTS)
    parameters = torch.from_numpy((outputs / units).astype(np.float32)).unflatten(1, (3, COMPONENTS))
    reckoned = bits(parameters, view, torch.from_numpy(samples), 256).numpy()[inner].sum()
    assert cost(samples[inner], mix[:, inner], 0, 255) == pytest.approx(reckoned, rel=0.01)


def test_a_sample_takes_about_as_many_decisions_as_bits():
    rng = np.random.default_rng(1)
    mix = mixture(*typical(rng, 5000))
    samples = code_samples(mix, 0, 255, lambda ones, _: (rng.integers(0, TOTAL, len(ones)) < ones).astype(int))
    _, _, asked = replayed(samples, mix, 0, 255)
    assert sum(map(len, asked)) < 1.5 * cost(samples, mix, 0, 255) + 5000


def table_by_the_book(mix: np.ndarray, low: int, high: int, without: tuple[int, ...]) -> list[int]:
    """The table of one mixture (rows,), in Python integers but for the places in the table of the logistic."""
    weights, means, slopes = mix[:3].astype(int).tolist(), mix[3:6], mix[6:9]
    heights = [0]
    for v in range(low, high):
        cells = (np.float32(64 * v + 32) - means) * slopes + np.float32(6144)
        places = np.clip(cells, 0, 12288).astype(int)
        heights.append(sum(w * int(g) for w, g in zip(weights, module._CDF[places], strict=True)))
    heights.append(sum(weights) << 22)
    mass = [0 if low + i in without else b - a for i, (a, b) in enumerate(itertools.pairwise(heights))]
    table = [(TOTAL - len(mass)) * each // max(1, sum(mass)) + 1 for each in mass]
    table[table.index(max(table))] += TOTAL - sum(table)
    return table


@settings(max_examples=25)
@given(seeds, st.integers(1, 9), st.booleans(), st.integers(0, 5))
def test_tables_are_their_definition_in_python_integers(seed, depth, difference, count):
    rng, (low, high) = np.random.default_rng(seed), Group(3, depth).range(difference and depth < 9)
    mix = np.concatenate([hostile(rng, 3, low, high), mixture(*typical(rng, 2))], axis=1)
    without = tuple(rng.integers(low - 3, high + 4, count).tolist())
    found = tables(mix, low, high, without)
    assert found.dtype == np.int32
    assert found.shape == (5, high - low + 1)
    for table, one in zip(found, mix.T, strict=True):
        assert table.min() >= 1
        assert table.tolist() == table_by_the_book(one, low, high, without)


def test_tables_of_nothing_are_tables():
    mix = hostile(np.random.default_rng(0), 4, 0, 7)
    np.testing.assert_array_equal(tables(mix, 0, 7, range(8)), [[TOTAL - 7] + [1] * 7] * 4)
    assert tables(mix[:, :0], 0, 7).shape == (0, 8)


def test_tables_do_not_depend_on_how_many_are_made_at_a_time(monkeypatch):
    mix = hostile(np.random.default_rng(1), 50, -255, 255)
    expected = tables(mix, -255, 255, (0, 3))
    monkeypatch.setattr(module, "_BLOCK", 511 * 7)
    np.testing.assert_array_equal(tables(mix, -255, 255, (0, 3)), expected)


def test_a_sample_costs_about_the_same_by_a_table():
    rng = np.random.default_rng(2)
    mix = mixture(*typical(rng, 3000))
    samples = code_samples(mix, 0, 255, lambda ones, _: (rng.integers(0, TOTAL, len(ones)) < ones).astype(int))
    freqs = tables(mix, 0, 255)[np.arange(3000), samples.astype(int)]
    assert -np.log2(freqs / TOTAL).sum() == pytest.approx(cost(samples, mix, 0, 255), rel=0.01)


@pytest.mark.parametrize("depth", [1, 8, 16])
@pytest.mark.parametrize("spread", [FLOOR, LARGEST_SPREAD])
@pytest.mark.parametrize("scale", [-FARTHEST, FARTHEST])
def test_a_surprise_has_a_price(depth, spread, scale):
    # All components in the middle, sharp or broad. Above it, 16 bits may be lost where float32 does not see the leak.
    high = (1 << depth) - 1
    mix = mixture(np.float32([[0] * 6 + [scale] * 3]), seen(np.array([2 * high]), np.array([spread])))
    for sample in {0, 1 % high, high // 3, high // 2, high - 1, high}:
        price = cost(np.array([sample]), mix, 0, high)
        assert price <= depth + module.LEAK_BITS + 6 + (16 if sample > high // 2 else 0)


@settings(max_examples=40)
@given(seeds)
def test_mixtures_are_finite_and_as_they_are_described(seed):
    rng = np.random.default_rng(seed)
    mix = hostile(rng, 100, 0, 65535)
    assert mix.dtype == np.float32
    assert np.isfinite(mix).all()
    weights, slopes = mix[:COMPONENTS], mix[2 * COMPONENTS : 3 * COMPONENTS]
    assert (weights.max(axis=0) == 1 << 12).all()
    assert weights.min() >= 0
    assert slopes.min() > 0
    assert mix[-2].min() >= 2.0**-4


def test_the_logistic_is_that_of_decimal_arithmetic():
    table = module._CDF
    places = (np.arange(len(table)) + 0.5 - len(table) // 2) / 512
    assert np.abs(table - 2**22 / (1 + np.exp(-places))).max() < 1 + 1e-6
    with localcontext() as context:
        context.prec = 40
        for index in range(0, len(table), 131):
            a = (Decimal(index) + Decimal("0.5") - len(table) // 2) / 512
            exact = Decimal(2**22) / (1 + (-a).exp())
            expected = math.floor(exact) if a > 0 else math.ceil(exact)
            assert int(table[index]) == expected
    assert (np.diff(table) >= 0).all()


def test_powers_and_scales_are_roots_in_python_integers():
    powers = [int(power) for power in module._POWERS]
    assert powers[-1] == 0
    for j, power in enumerate(powers[:-1]):
        assert power**32 <= 1 << (384 - j) < (power + 1) ** 32
    for j, scale in zip(range(LEAST, MOST + 1), module._SCALES, strict=True):
        assert float(scale) == pytest.approx(2.0 ** (j / OCTAVE), rel=2.0**-15)
    np.testing.assert_allclose(module._SLOPES * module._SCALES, 512 / MEAN_UNIT, rtol=2.0**-8)


def test_the_self_test_does_not_change():
    # Models in the field carry digests that it is a part of.
    assert module.self_test().hex() == "2ac6360eabb465f7"


def test_decisions_begin_at_the_quantiles():
    for node, quantile in ((1, 1 / 2), (2, 1 / 4), (3, 3 / 4), (4, 1 / 8), (127, 127 / 128)):
        assert module._LADDER[node] == pytest.approx(math.log(quantile / (1 - quantile)), abs=2 / 512)


def test_tables_do_not_change():
    # Old streams need these very numbers.
    found = hashlib.blake2b(digest_size=8)
    for table in (module._POWERS, module._CDF, module._LADDER, module._SCALES, module._SLOPES):
        found.update(table.astype("<f4").tobytes())
    assert found.hexdigest() == "8158113ddc1e438e"
