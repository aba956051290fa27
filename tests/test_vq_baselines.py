"""tools/vq_baselines.py: the quantisers of others, and where ours are the same."""

from __future__ import annotations

import ast
import math

import pytest
import torch

from tests.checks import ROOT
from tools.vq_baselines import BASELINES, fsq_levels, make_baseline
from training.quantizers import MovingAverage, RotationTrick

G, N, K, D = 3, 40, 9, 4


def drawn() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """z, codebook and bits."""
    generator = torch.Generator().manual_seed(0)
    z, codebook = (torch.randn(G, n, D, generator=generator) for n in (N, K))
    return z.requires_grad_(), codebook, torch.rand(G, K, generator=generator)


def made(method: str, groups: int = G, **options):
    torch.manual_seed(0)
    quantizer = make_baseline(method, groups=groups, size=K, dim=D, **options)
    quantizer.start(drawn()[1][:groups])
    return quantizer


@pytest.mark.parametrize("groups", [1, G])
@pytest.mark.parametrize("method", BASELINES)
def test_values_are_what_the_codes_say(method, groups):
    z, codebook, bits = (each[:groups] for each in drawn())
    out = made(method, groups).eval()(z, codebook, bits)
    assert out.codes.shape == (groups, N)
    assert out.values.shape == z.shape
    assert 0 <= out.codes.min() <= out.codes.max() < K
    assert torch.equal(out.rate, bits.gather(1, out.codes))
    for codes, values in zip(out.codes, out.values, strict=True):
        assert len(codes.unique()) == len(torch.cat([codes[:, None], values], 1).unique(dim=0)) > 1


@pytest.mark.parametrize("method", ["ste", "ema", "rotation-trick"])
def test_codes_are_of_the_nearest_codeword(method):
    z, codebook, bits = drawn()
    out = made(method).eval()(z, codebook, bits)
    assert torch.equal(out.codes, torch.cdist(z, codebook).argmin(-1))
    assert torch.equal(out.values, torch.stack([c[k] for c, k in zip(codebook, out.codes, strict=True)]))


@pytest.mark.parametrize("method", BASELINES)
def test_every_baseline_trains_on_what_is_decoded(method):
    z, codebook, bits = drawn()
    quantizer = made(method)
    hard = quantizer.eval()(z, codebook, bits).values.detach()
    out = quantizer.train()(z, codebook, bits)
    torch.testing.assert_close(out.values, hard, rtol=0, atol=1e-5)
    (out.values.square().sum() + out.energy).backward()
    assert float(z.grad.abs().sum()) > 0
    assert method in ("ema", "fsq") or all(float(each.grad.abs().sum()) > 0 for each in quantizer.parameters())


@pytest.mark.parametrize("method", ["ste", "ema", "rotation-trick"])
def test_the_energy_is_half_the_squared_distance(method):
    z, codebook, bits = drawn()
    out = made(method).train()(z, codebook, bits)
    half = 0.5 * (z - out.values).square().sum(-1).mean()
    torch.testing.assert_close(out.energy, half)


def test_straight_through_is_the_identity_backward():
    z, codebook, bits = drawn()
    gradient = torch.randn(G, N, D)
    (back,) = torch.autograd.grad(made("ste").train()(z, codebook, bits).values, z, gradient)
    assert torch.equal(back, gradient)


def test_our_rotation_trick_is_theirs():
    z, codebook, bits = drawn()
    gradient = torch.randn(G, N, D)
    pairs = [each.train()(z, codebook, bits) for each in (RotationTrick(), made("rotation-trick"))]
    torch.testing.assert_close(pairs[0].values, pairs[1].values, rtol=0, atol=1e-5)
    torch.testing.assert_close(pairs[0].energy, pairs[1].energy)
    backs = [torch.autograd.grad(each.values, z, gradient)[0] for each in pairs]
    torch.testing.assert_close(backs[0], backs[1], rtol=1e-4, atol=1e-4)


def test_our_moving_average_is_theirs_but_for_the_smoothing():
    z, codebook, bits = drawn()
    ours, theirs, words = MovingAverage(G, K, decay=0.9).train(), made("ema", decay=0.9).train(), codebook.clone()
    for _ in range(5):
        ours(z, words, bits)
        theirs(z, codebook, bits)
    torch.testing.assert_close(words, theirs.inner.codebook, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(words, codebook, atol=1e-2)


def test_the_commitment_of_simvq_is_that_of_the_others():
    """Vectors get the gradient of `COMMITMENT` times the mean squared distance, once the autoencoder has weighed it."""
    z, codebook, bits = drawn()
    out = made("simvq").train()(z, codebook, bits)
    (of_energy,) = torch.autograd.grad(out.energy, z)
    expected = (z - out.values).detach() / (G * N)  # of the mean of half the squared distances
    torch.testing.assert_close(of_energy, expected, rtol=1e-4, atol=1e-6)


def test_simvq_learns_a_map_and_no_codeword():
    names = [name for name, _ in made("simvq").named_parameters()]
    assert names == [f"inner.{group}.code_transform.weight" for group in range(G)]


@pytest.mark.parametrize("size", [4, 9, 31, 64, 100, 256, 1024, 2000, 4096])
def test_levels_fill_the_budget(size):
    levels = fsq_levels(size)
    assert min(levels) >= 3
    assert 0.7 * size <= math.prod(levels) <= size
    for numbers in range(1, len(levels) + 1):
        assert len(fsq_levels(size, numbers)) == numbers


def test_levels_that_cannot_be_are_refused():
    assert fsq_levels(64, 3) == (4, 4, 4)
    with pytest.raises(ValueError, match="too few"):
        fsq_levels(64, 4)


def test_an_unknown_baseline_is_refused():
    with pytest.raises(ValueError, match="nearest"):
        make_baseline("nearest", groups=1, size=4, dim=2)


def test_the_package_is_imported_when_it_is_needed():
    for file in ("tools/vq_baselines.py", "tools/quantizer_study.py", "tools/commands/quantizers.py"):
        top = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
        named = [ast.unparse(node) for node in top if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not [line for line in named if "vector_quantize_pytorch" in line]
