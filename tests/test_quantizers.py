"""training/quantizers.py: the identities of a Hopfield codebook, and what each method promises."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd.functional import jacobian

from training.config import METHODS
from training.quantizers import (
    AnnealedHopfield,
    HopfieldStraightThrough,
    MovingAverage,
    RotationTrick,
    _Rotate,
    association,
    energies,
    free_energy,
    make_quantizer,
    retrieve,
)

G, N, K, D = 2, 17, 9, 3
BETAS = (0.1, 1.0, 7.0, 50.0)


def draw(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """z, codebook and bits, float64."""
    generator = torch.Generator().manual_seed(seed)
    z, codebook = (torch.randn(G, n, D, generator=generator, dtype=torch.float64) for n in (N, K))
    bits = -torch.log_softmax(torch.randn(G, K, generator=generator, dtype=torch.float64), -1) / math.log(2)
    return z, codebook, bits


# --- identities


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("mu", [0.0, 0.3])
def test_retrieval_never_raises_the_free_energy(beta, mu):
    z, codebook, bits = draw()
    before = free_energy(energies(z, codebook, bits, mu), beta)
    for _ in range(10):
        z = retrieve(association(energies(z, codebook, bits, mu), beta), codebook)
        after = free_energy(energies(z, codebook, bits, mu), beta)
        assert (after <= before + 1e-12).all()
        before = after


@pytest.mark.parametrize("beta", BETAS)
def test_the_jacobian_of_retrieval_is_beta_times_the_covariance(beta):
    z, codebook, bits = draw()

    def update(one: torch.Tensor) -> torch.Tensor:
        return retrieve(association(energies(one[None, None], codebook[:1], bits[:1], 0.2), beta), codebook[:1])[0, 0]

    for one in z[0, :5]:
        p = association(energies(one[None, None], codebook[:1], bits[:1], 0.2), beta)[0, 0]
        mean = p @ codebook[0]
        covariance = (codebook[0].T * p) @ codebook[0] - torch.outer(mean, mean)
        torch.testing.assert_close(jacobian(update, one), beta * covariance, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("beta", BETAS)
def test_the_gradient_of_the_free_energy_is_what_retrieval_moves(beta):
    z, codebook, bits = draw()
    z.requires_grad_()
    energy = energies(z, codebook, bits, 0.2)
    free_energy(energy, beta).sum().backward()
    torch.testing.assert_close(z.grad, (z - retrieve(association(energy, beta), codebook)).detach())


@pytest.mark.parametrize("beta", BETAS)
def test_the_gradient_of_the_free_energy_moves_each_codeword_by_its_association(beta):
    z, codebook, bits = draw()
    codebook.requires_grad_()
    energy = energies(z, codebook, bits, 0.2)
    free_energy(energy, beta).sum().backward()
    p = association(energy, beta).detach()
    pull = (p[..., None] * (codebook.detach()[:, None] - z[:, :, None])).sum(1)  # sum over vectors of p_k (c_k - z)
    torch.testing.assert_close(codebook.grad, pull)


@pytest.mark.parametrize("beta", BETAS)
def test_the_free_energy_is_that_of_a_hopfield_network_with_a_bias(beta):
    """-lse(beta, C z - |c|^2 / 2) + |z|^2 / 2, Ramsauer et al. 2020, equation 2; and retrieval is its attention."""
    z, codebook, _ = draw()
    score = z @ codebook.transpose(1, 2) - 0.5 * codebook.square().sum(-1)[:, None]
    energy = energies(z, codebook)
    free = 0.5 * z.square().sum(-1) - torch.logsumexp(beta * score, -1) / beta
    torch.testing.assert_close(free_energy(energy, beta), free)
    torch.testing.assert_close(association(energy, beta), torch.softmax(beta * score, -1))


@pytest.mark.parametrize("beta", BETAS)
def test_the_association_has_the_least_mean_energy_at_the_price_of_its_entropy(beta):
    z, codebook, bits = draw()
    energy = energies(z, codebook, bits, 0.2)

    def cost(q: torch.Tensor) -> torch.Tensor:
        return (q * energy).sum(-1) + torch.xlogy(q, q).sum(-1) / beta

    p, free = association(energy, beta), free_energy(energy, beta)
    torch.testing.assert_close(cost(p), free)
    for other in (torch.full_like(p, 1 / K), association(energy, 2 * beta), p.roll(1, -1)):
        assert (cost(other) >= free - 1e-12).all()


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("mu", [0.0, 0.3])
def test_the_free_energy_bounds_the_least_energy(beta, mu):
    z, codebook, bits = draw()
    energy = energies(z, codebook, bits, mu)
    free, least = free_energy(energy, beta), energy.amin(-1)
    assert (free <= least + 1e-12).all()
    assert (least <= free + math.log(K) / beta + 1e-12).all()


def test_at_great_beta_retrieval_is_the_nearest_codeword():
    z, codebook, _ = draw()
    nearest = torch.cdist(z, codebook).argmin(-1)
    soft = retrieve(association(energies(z, codebook), 1e6), codebook)
    hard = torch.stack([codebook[g][nearest[g]] for g in range(G)])
    torch.testing.assert_close(soft, hard)
    half = 0.5 * (z - hard).square().sum(-1)
    torch.testing.assert_close(free_energy(energies(z, codebook), 1e6), half, rtol=0, atol=1e-5)


def test_below_the_critical_beta_everything_is_retrieved_as_the_mean():
    z, codebook, _ = draw()
    codebook = codebook - codebook.mean(1, keepdim=True)  # then 0 is a fixed point for codewords of equal norm
    codebook = codebook / codebook.norm(dim=-1, keepdim=True)
    codebook = torch.cat([codebook, -codebook], 1)
    critical = 1 / max(float(torch.linalg.eigvalsh(c.T @ c / len(c)).max()) for c in codebook)
    for beta, merges in ((0.8 * critical, True), (20 * critical, False)):
        state = z
        for _ in range(400):
            state = retrieve(association(energies(state, codebook), beta), codebook)
        assert (float(state.norm(dim=-1).max()) < 1e-3) == merges


def test_at_the_critical_beta_the_mean_loses_its_stability():
    """A vector near the mean moves by the factor beta / critical along the longest axis of the codewords."""
    corners = torch.tensor([[[a, b] for a in (-2.0, 2.0) for b in (-1.0, 1.0)]], dtype=torch.float64)
    critical = 1 / 4  # the variance along the longest axis is 2^2
    for factor in (0.5, 0.9, 1.1, 2.0):
        z = torch.tensor([[[1e-4, 0.0]]], dtype=torch.float64)
        moved = retrieve(association(energies(z, corners), factor * critical), corners)
        assert float(moved[0, 0, 0] / z[0, 0, 0]) == pytest.approx(factor, rel=1e-6)


def test_a_price_moves_the_decision_as_the_formula_says():
    """Between c_0 and c_1 on a line, the border is at the middle + mu (bits_1 - bits_0) / (c_1 - c_0)."""
    codebook, bits, mu = torch.tensor([[[0.0], [2.0]]]), torch.tensor([[1.0, 5.0]]), 0.1
    border = 1.0 + mu * (5.0 - 1.0) / 2.0
    z = torch.tensor([[[border - 1e-3], [border + 1e-3], [1.0]]])
    for method in METHODS:
        quantizer = make_quantizer(method, groups=1, size=2, mu=mu)
        assert quantizer.eval()(z, codebook, bits).codes.tolist() == [[0, 1, 0]]
    assert RotationTrick(0.0).eval()(z, codebook, bits).codes.tolist() == [[1, 1, 0]]


# --- methods


@pytest.mark.parametrize("method", METHODS)
def test_every_method_decodes_to_codewords(method):
    z, codebook, bits = (x.float() for x in draw())
    out = make_quantizer(method, groups=G, size=K).eval()(z, codebook, bits)
    for g in range(G):
        assert torch.equal(out.values[g], codebook[g][out.codes[g]])
        assert torch.equal(out.rate[g], bits[g][out.codes[g]])
    assert float(out.energy) > 0


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_vectors_and_codebook(method):
    z, codebook, bits = (x.float() for x in draw())
    z.requires_grad_()
    words, price = torch.nn.Parameter(codebook.clone()), bits.clone().requires_grad_()
    quantizer = make_quantizer(method, groups=G, size=K).train()
    out = quantizer(z, words, price)
    (out.values.square().sum() + out.energy + out.rate.mean()).backward()
    assert float(z.grad.abs().sum()) > 0
    assert float(price.grad.abs().sum()) > 0
    moved = words.detach() != codebook if words.grad is None else words.grad != 0
    assert moved.any(-1).gather(1, out.codes).all()  # each codeword that was taken


@pytest.mark.parametrize("method", ["hopfield", "moving-average", "rotation"])
def test_hard_methods_train_on_what_is_decoded(method):
    z, codebook, bits = (x.float() for x in draw())
    quantizer = make_quantizer(method, groups=G, size=K, mu=0.0)
    trained = quantizer.train()(z, codebook.clone(), bits).values
    torch.testing.assert_close(trained, quantizer.eval()(z, codebook, bits).values, rtol=0, atol=1e-6)


def test_straight_through_has_the_jacobian_of_retrieval():
    z, codebook, bits = draw()
    quantizer = HopfieldStraightThrough(beta=3.0, mu=0.1).train()
    hard = jacobian(lambda x: quantizer(x, codebook, bits).values.sum((0, 1)), z)
    soft = jacobian(lambda x: retrieve(association(energies(x, codebook, bits, 0.1), 3.0), codebook).sum((0, 1)), z)
    torch.testing.assert_close(hard, soft)


def test_annealing_closes_the_gap():
    z, codebook, bits = draw()
    quantizer = AnnealedHopfield(beta=0.5, beta_last=5000.0, mu=0.0)
    gaps = []
    for progress in (0.0, 0.5, 1.0):
        quantizer.anneal(progress)
        soft, hard = (quantizer.train(mode)(z, codebook, bits).values for mode in (True, False))
        gaps.append(float((soft - hard).abs().mean()))
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-2
    assert quantizer.beta == pytest.approx(5000.0)
    quantizer.anneal(0.5)
    assert quantizer.beta == pytest.approx(50.0)


def test_the_moving_average_is_the_mean_of_a_still_batch():
    z, codebook, bits = (x.float() for x in draw())
    quantizer = MovingAverage(G, K, decay=0.5).train()
    codes = None
    for _ in range(60):
        out = quantizer(z, codebook, bits)
        codes = out.codes
    for g in range(G):
        for k in codes[g].unique():
            torch.testing.assert_close(codebook[g, k], z[g][codes[g] == k].mean(0), rtol=0, atol=1e-5)


def test_a_codeword_that_is_not_taken_stays():
    codebook = torch.tensor([[[0.0, 0.0], [9.0, 9.0]]])
    quantizer = MovingAverage(1, 2, decay=0.9).train()
    for _ in range(300):
        quantizer(torch.full((1, 4, 2), 1.0), codebook, torch.ones(1, 2))
    torch.testing.assert_close(codebook, torch.tensor([[[1.0, 1.0], [9.0, 9.0]]]))


def test_the_rotation_trick_is_exact_forward_and_rotates_backward():
    z, codebook, bits = draw()
    z.requires_grad_()
    out = RotationTrick().train()(z, codebook, bits)
    hard = torch.stack([codebook[g][out.codes[g]] for g in range(G)])
    assert torch.equal(out.values, hard)
    gradient = torch.randn_like(hard)
    (back,) = torch.autograd.grad(out.values, z, gradient)
    scale = hard.norm(dim=-1) / z.norm(dim=-1)
    torch.testing.assert_close(back.norm(dim=-1), scale * gradient.norm(dim=-1))  # a rotation keeps lengths
    angle = (back * z).sum(-1) / (scale * z.norm(dim=-1))  # and angles: with z as with its codeword before
    torch.testing.assert_close(angle, (gradient * hard).sum(-1) / hard.norm(dim=-1))


def test_the_rotation_trick_survives_what_has_no_rotation():
    codebook = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    z = torch.tensor([[[-5.0, 0.0], [0.0, 0.0], [1e-30, 0.0]]], requires_grad=True)
    codes = torch.zeros(1, 3, dtype=torch.long)
    out = _Rotate.apply(z, codebook.gather(1, codes[..., None].expand(-1, -1, 2)))
    out.sum().backward()
    assert torch.equal(z.grad, torch.ones_like(z))


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="nearest"):
        make_quantizer("nearest", groups=1, size=2)
