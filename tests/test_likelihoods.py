"""training/likelihoods.py: bits that are those of a code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from codec.codebook import codebook
from training.likelihoods import Levels, gamma_bits, logistic_bits, scale_of


@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0, 4.0, 20.0, 80.0])
@pytest.mark.parametrize("reach", [15, 127])
def test_a_logistic_is_a_code_up_to_its_floor(scale, reach):
    k = torch.arange(-reach, reach + 1.0)
    p = 2 ** -logistic_bits(k, torch.tensor(scale), reach)
    floored = int((p <= 2.0**-16).sum()) * 2.0**-16  # symbols that are given the least probability of a table
    assert 1 - 1e-4 <= float(p.sum()) <= 1 + floored + 1e-4


def test_a_logistic_has_the_probability_of_its_interval():
    def cdf(x: float) -> float:
        return 0.5 * (1 + math.tanh(x / 2))

    for k, s in [(0, 1.0), (3, 1.0), (-3, 1.0), (9, 1.1), (40, 30.0), (-1, 0.2)]:
        expected = -math.log2(cdf((k + 0.5) / s) - cdf((k - 0.5) / s))
        assert float(logistic_bits(torch.tensor(float(k)), torch.tensor(s), 127)) == pytest.approx(expected, rel=1e-3)


def test_the_ends_hold_the_tails():
    bits = logistic_bits(torch.tensor([15.0, -15.0, 16.0, 900.0]), torch.tensor(3.0), 15).tolist()
    tail = 1 / (1 + math.exp(14.5 / 3))
    assert bits[:2] == pytest.approx([-math.log2(tail)] * 2, rel=1e-3)
    assert bits[0] < bits[2] < bits[3] == 16  # and no table has less than 2^-16


def test_gamma_bits_bound_the_elias_gamma_code():
    for beyond in range(1000):
        length = 2 * int(math.log2(beyond + 1)) + 1
        bits = float(gamma_bits(torch.tensor(15.0 + beyond), 15))
        assert length - 1e-4 <= bits < length + 2
    assert gamma_bits(torch.arange(-14.0, 15.0), 15).sum() == 0


def test_scales_are_geometric():
    scales = scale_of(torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0])).tolist()
    assert scales == pytest.approx([0.05, 0.05, 2, 80, 80], rel=1e-5)


@pytest.mark.parametrize(("name", "dim"), [("pair", 2), ("quad", 4), ("octet", 8), ("half", 4)])
def test_a_level_is_a_code_over_its_codewords_and_the_split(name, dim):
    level = Levels().requires_grad_(False).level(name)
    words = codebook(dim, zero=name == "half").words
    query = torch.randn(1, level.fixed.shape[1]).expand(len(words), -1)
    bits, split = level.bits(torch.from_numpy(words).float(), query)
    assert not split.any()
    far, is_split = level.bits(torch.full((1, dim), 30.0), query[:1])
    assert is_split.all()
    assert float((2**-bits).sum() + (2**-far).sum()) == pytest.approx(1, abs=1e-4)


def test_codewords_near_the_query_are_likelier():
    levels = Levels()
    with torch.no_grad():
        levels.level("pair").key.zero_()
    query = torch.tensor([[1.0, 1.0, 0.4, -0.4, 0, 0, 0, 0]])  # small magnitudes, first positive, second negative
    codes = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [3.0, -3.0]])
    bits = levels.level("pair").bits(codes, query.expand(3, -1))[0]
    assert bits[0] < bits[1] < bits[2]


@pytest.mark.parametrize(("name", "dim"), [("pair", 2), ("quad", 4)])
def test_vectors_without_a_codeword_are_split_into_numbers(name, dim):
    levels, rng = Levels(), np.random.default_rng(0)
    code = torch.from_numpy(rng.integers(4, 41, (6, dim)) * rng.choice([-1, 1], (6, dim))).float()
    query, scale = torch.randn(6, levels.level(name).fixed.shape[1]), torch.rand(6, dim)
    words, split = levels.level(name).bits(code, query)
    numbers = (logistic_bits(code, scale_of(scale), 15) + gamma_bits(code, 15)).sum(1)
    assert split.all()
    bits, symbols = levels.bits(code, query, scale)
    torch.testing.assert_close(bits, words + numbers)
    assert symbols == 6 + 6 * dim


def test_halves_of_a_split_eight_are_coded_as_fours_and_then_as_numbers():
    levels = Levels()
    code = torch.tensor([[1.0, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 9, -20, 0, 1]])  # neither is a codeword of eight
    query, scale = torch.randn(2, 12), torch.rand(2, 8)
    octet, split = levels.level("octet").bits(code, query)
    free = query[:, 8:].repeat_interleave(2, 0)
    halves, again = levels.level("half").bits(code.reshape(4, 4), torch.cat([query[:, :8].reshape(4, 4), free], 1))
    numbers = logistic_bits(code[1, 4:], scale_of(scale[1, 4:]), 15) + gamma_bits(code[1, 4:], 15)
    expected = octet + halves.reshape(2, 2).sum(1) + torch.stack([torch.zeros(()), numbers.sum()])
    assert split.all()
    assert again.tolist() == [False, False, False, True]
    bits, symbols = levels.bits(code, query, scale)
    torch.testing.assert_close(bits, expected)
    assert symbols == 2 + 4 + 4


def test_the_names_that_export_reads():
    names = {f"{level}.{part}" for level in ("pair", "quad", "octet", "half") for part in ("fixed", "key", "bias")}
    assert set(Levels().state_dict()) == names
