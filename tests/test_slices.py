"""training/slices.py: schedule, quantisation and bits of slices."""

from __future__ import annotations

import pytest
import torch

from codec.codebook import SLICES, UNIT
from training.likelihoods import Levels
from training.retrieval import Choice
from training.slices import (
    HEAD,
    NEIGHBOURS,
    CodedSlice,
    DcSlice,
    ScalarSlice,
    Slice,
    checkerboard,
    interlace,
    neighbourhood,
)

SIZES = [(1, 1), (1, 5), (2, 3), (7, 8), (8, 8)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("schedule", [interlace, checkerboard])
def test_a_schedule_visits_each_block_once(schedule, size):
    seen = torch.zeros(size)
    for rows, columns in schedule(*size):
        seen[rows, columns] += 1
    assert torch.equal(seen, torch.ones(size))


@pytest.mark.parametrize("size", SIZES)
def test_neighbours_are_known_before_they_are_asked_for(size):
    known = torch.zeros(size, dtype=torch.bool)
    for (rows, columns), near in zip(interlace(*size), NEIGHBOURS, strict=True):
        for i, j in near:
            inside = (rows + i >= 0) & (rows + i < size[0]) & (columns + j >= 0) & (columns + j < size[1])
            assert known[(rows + i)[inside], (columns + j)[inside]].all()
        known[rows, columns] = True


def test_the_mean_of_neighbours_leaves_out_those_outside():
    decoded = torch.arange(9.0).reshape(1, 1, 3, 3).expand(1, 3, 3, 3) * 10
    at = torch.tensor([0, 1]), torch.tensor([0, 1])
    base, around = neighbourhood(decoded, at, ((-1, 0), (1, 0), (0, -1), (0, 1)))
    assert base[0, :, 0].tolist() == [20, 40]  # of 30 and 10; of 10, 70, 30 and 50
    assert around[0, :, :, 0].tolist() == [[0, 10, 0, -10], [-30, 30, -10, 10]]


NEAREST = Choice(0.5, 1e9)  # whatever it costs
KINDS = pytest.mark.parametrize("kind", [Slice, ScalarSlice])


def coded(number: int, y: torch.Tensor, kind: type[Slice] = Slice, choice: Choice = NEAREST) -> CodedSlice:
    torch.manual_seed(0)
    part = kind(number, 8, 6)
    b, _, h, w = y.shape
    lower = torch.randint(-200, 200, (b, SLICES[min(number, 2)].start, h, w)).float()
    return part(y, torch.randn(b, 8, h, w), torch.randn(b, 6), lower, Levels(), choice)


@KINDS
@pytest.mark.parametrize("number", range(1, len(SLICES)))
@pytest.mark.parametrize("spread", [0.5, 5.0, 300.0])
def test_a_slice_is_decoded_to_within_about_half_a_step(number, spread, kind):
    y = torch.randn(2, SLICES[number].size, 3, 4) * spread
    out = coded(number, y, kind)
    split = SLICES[number].dim > 1 and kind is Slice  # vectors that are split are rounded with a small dead zone
    assert float((out.decoded / UNIT - y).abs().max()) <= (0.58 if split else 0.5) + 1e-3
    assert torch.equal(out.decoded, out.decoded.round())
    assert out.bits.shape == (2,)
    assert (out.bits > 0).all()
    assert bool(out.miss > 0) == (number in (2, 3))  # there the rate does not train the mean


@KINDS
@pytest.mark.parametrize("number", range(1, len(SLICES)))
def test_what_is_far_from_zero_costs_more(number, kind):
    y = torch.randn(2, SLICES[number].size, 3, 4)
    assert (coded(number, 20 * y, kind).bits > coded(number, 2 * y, kind).bits).all()


@KINDS
@pytest.mark.parametrize("number", range(2, len(SLICES)))
def test_where_bits_weigh_more_there_are_fewer_of_them(number, kind):
    y = torch.randn(2, SLICES[number].size, 3, 4)
    outs = [coded(number, y, kind, Choice(weight=weight)) for weight in (1e9, 12.0, 3.0)]
    bits = [float(out.bits.sum().detach()) for out in outs]
    errors = [float((out.decoded / UNIT - y).square().sum()) for out in outs]
    assert bits == sorted(bits, reverse=True)
    assert errors == sorted(errors)
    assert len(set(bits)) == 3


@pytest.mark.parametrize("number", range(1, len(SLICES)))
def test_symbols_are_counted(number):
    part, blocks = SLICES[number], 2 * 3 * 4
    nothing, everything = torch.zeros(2, part.size, 3, 4), torch.full((2, part.size, 3, 4), 40.0)
    choice = Choice(weight=1e9)
    assert coded(number, nothing, ScalarSlice, choice).symbols == blocks * part.size
    if part.dim == 1:
        assert coded(number, nothing).symbols == blocks * part.size
    elif part.dim == 8:  # there is no mean that could move it from zero
        assert coded(number, nothing).symbols == blocks * part.groups
        # a flag, a codeword that says split, two that say it again, and eight numbers
        assert coded(number, everything).symbols == blocks * part.groups * (1 + 1 + 2 + 8)
    else:
        assert coded(number, everything).symbols == blocks * part.groups * (1 + 1 + part.dim)


def test_slice_0_is_decoded_to_within_half_a_step():
    torch.manual_seed(0)
    y = torch.randn(2, 3, 6, 7) * 30
    bits, decoded = DcSlice(8)(y, torch.randn(2, 8, 6, 7))
    assert float((decoded / UNIT - y).abs().max()) <= 0.5 + 1 / UNIT
    assert torch.equal(decoded, decoded.round())
    assert (bits > 0).all()


def test_a_smooth_picture_costs_less_than_noise():
    torch.manual_seed(0)
    network, state = DcSlice(8), torch.randn(1, 8, 16, 16)
    smooth = torch.linspace(0, 40, 16).reshape(1, 1, 16, 1).expand(1, 3, 16, 16)
    shuffled = smooth[:, :, torch.randperm(16)]
    assert float(network(smooth, state)[0].detach()) < float(network(shuffled, state)[0].detach())


def test_brightness_predicts_nothing():
    part = Slice(1, 8, 6)
    torch.nn.init.normal_(part.linear.weight)
    lower = torch.randn(1, 3, 5, 5)
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))  # outside of the picture is zero, not bright
    torch.testing.assert_close(part._predict(lower)[inner], part._predict(lower + 99.0)[inner], rtol=0, atol=1e-3)


@pytest.mark.parametrize("number", range(1, len(SLICES)))
def test_before_training_the_means_are_zero_and_most_groups_too(number):
    part, dim = Slice(number, 8, 6), SLICES[number].dim
    bias = part.head.bias.detach().reshape(-1, HEAD[dim])
    assert float(bias[:, 0].max()) <= 0
    assert torch.equal(bias, bias[:1].expand_as(bias))
