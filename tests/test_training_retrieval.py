"""training/retrieval.py: choices that cost least, checked against all there are."""

from __future__ import annotations

import math

import pytest
import torch

from codec.codebook import codebook
from training.likelihoods import Levels, gamma_bits, logistic_bits
from training.retrieval import Choice, quantise, retrieve, retrieve_numbers

LEVELS = pytest.mark.parametrize(("name", "dim"), [("pair", 2), ("quad", 4), ("octet", 8)])


def drawn(name: str, dim: int, spread: float = 1.0, n: int = 300):
    torch.manual_seed(0)
    level = Levels().level(name)
    return level, torch.randn(n, dim) * spread * 2 / dim, torch.randn(n, level.fixed.shape[1]), torch.randn(n) * 3


def cost(level, code, r, query, flag, weight):
    """Bits and weighted distance of codes that are codewords, or zero."""
    nonzero = (code != 0).any(-1)
    flags = torch.nn.functional.softplus(torch.where(nonzero, -flag, flag)) / math.log(2)
    return flags + torch.where(nonzero, level.bits(code, query)[0], 0.0) + weight * (code - r).square().sum(-1)


def test_quantising_rounds_at_one_half_and_has_a_dead_zone_below():
    r = torch.tensor([-1.6, -0.6, -0.4, 0.4, 0.6, 1.4, 1.6])
    assert quantise(r, 0.5).tolist() == [-2, -1, 0, 0, 1, 1, 2]
    assert quantise(r, 0.3).tolist() == [-1, 0, 0, 0, 0, 1, 1]


@LEVELS
@pytest.mark.parametrize("weight", [2.0, 8.0, 30.0])
def test_no_codeword_costs_less_than_the_one_chosen(name, dim, weight):
    level, r, query, flag = drawn(name, dim)
    chosen = retrieve(level, r, query, flag, weight)
    words = torch.cat([torch.zeros(1, dim), torch.from_numpy(codebook(dim).words).float()])
    every = torch.stack([cost(level, word.expand_as(r), r, query, flag, weight) for word in words])
    inside = (chosen[:, None] == words).all(-1).any(-1)
    small = (r.abs() <= 0.5).all(-1)
    best = every.min(0).values
    assert (chosen[small] == 0).all()
    ours = cost(level, chosen, r, query, flag, weight)
    torch.testing.assert_close(ours[inside & ~small], best[inside & ~small], rtol=1e-4, atol=1e-3)
    assert float(inside.float().mean()) > 0.2
    assert len(chosen.unique(dim=0)) > 5


@LEVELS
def test_what_no_codeword_fits_is_split(name, dim):
    level, r, query, flag = drawn(name, dim, spread=30.0)
    far = (r.abs() > 4.5).any(-1)
    chosen = retrieve(level, r, query, flag, 8.0)
    assert torch.equal(chosen[far], quantise(r, 0.42)[far])


def test_the_weight_moves_choices_from_zero():
    level, r, query, flag = drawn("quad", 4)
    flag = torch.zeros_like(flag)
    counts = [int((retrieve(level, r, query, flag, weight) != 0).any(-1).sum()) for weight in (0.1, 4.0, 10.0, 1e6)]
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] == int((r.abs() > 0.5).any(-1).sum())


def test_no_gradient_passes_through_a_choice():
    level, r, query, flag = drawn("pair", 2)
    assert not retrieve(level, r.requires_grad_(), query.requires_grad_(), flag.requires_grad_(), 8.0).requires_grad


@pytest.mark.parametrize("weight", [1.0, 8.0, 1e6])
def test_a_number_is_the_nearest_or_the_next_towards_zero_whichever_costs_less(weight):
    torch.manual_seed(0)
    r, scale = torch.randn(500) * 4, torch.rand(500) + 0.1
    chosen = retrieve_numbers(r, scale, weight)
    near = r.round()
    for k in (near, near - near.sign()):
        costs = [logistic_bits(c, scale, 127) + gamma_bits(c, 127) + weight * (c - r).square() for c in (chosen, k)]
        assert (costs[0] <= costs[1] + 1e-4).all()
    assert ((chosen == near) | (chosen == near - near.sign())).all()
    assert (weight == 1e6) == torch.equal(chosen, near)


def test_the_defaults_are_between_those_of_training():
    assert 6 <= Choice().weight <= 11
    assert Choice().threshold <= 0.5
