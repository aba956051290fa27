"""training/networks.py: the priors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from codec.codebook import SLICES, UNIT
from codec.features import ENERGIES
from training.config import METHODS
from training.networks import Coding, InterPrior, Prior, step_of
from training.quantizers import make_quantizer
from training.retrieval import Choice

ROUNDING = Choice(0.5, 1e9)  # the nearest, whatever it costs


def tiny(method: str = "hopfield", **options: bool) -> Prior:
    torch.manual_seed(0)
    return Prior(8, 6, quantizer=make_quantizer(method, groups=2, size=64), **options)


def latent(b: int = 2, h: int = 3, w: int = 5, spread: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    fall = torch.linspace(1, 0.1, 768)[:, None, None]
    return torch.randn(b, 768, h, w, generator=generator) * fall * spread


def test_steps_fall_geometrically():
    steps = step_of(torch.tensor([0.0, 0.5, 1.0]))
    assert steps.tolist() == pytest.approx([204, 204 * 2**-2.125, 204 * 2**-4.25])


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (4, 4), (5, 9)])
@pytest.mark.parametrize("scalar", [False, True])
def test_every_size_is_decoded_to_within_about_half_a_step(size, scalar):
    y = latent(2, *size)
    out = tiny(scalar=scalar).eval()(y, torch.tensor([0.2, 0.8]), ROUNDING)
    assert out.bits.shape == (2, 8)
    assert float((out.y_hat - y).abs().max()) <= (0.5 if scalar else 0.58) + 1 / UNIT
    assert torch.equal(out.y_hat * UNIT, (out.y_hat * UNIT).round())


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter_is_trained(method):
    model = tiny(method).train()
    out = model(latent(2, 4, 4, 30.0), torch.tensor([0.3, 0.6]), ROUNDING)
    (out.bits.mean() + out.auxiliary).backward()
    left = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()}
    assert left == ({"hyper_codebook"} if method == "moving-average" else set())


def test_the_scalar_control_has_the_same_networks_and_trains_what_it_uses():
    vector, scalar = tiny().state_dict(), tiny(scalar=True).state_dict()
    assert vector.keys() == scalar.keys()
    assert all(torch.equal(vector[name].nan_to_num(), scalar[name].nan_to_num()) for name in vector)
    model = tiny(scalar=True).train()
    out = model(latent(2, 4, 4, 30.0), torch.tensor([0.3, 0.6]), Choice())
    (out.bits.mean() + out.auxiliary).backward()
    left = {name for name, p in model.named_parameters() if p.grad is None}
    assert left == {name for name in dict(model.named_parameters()) if name.startswith("levels.")}
    assert out.symbols == 2 * (4 * 4 * 768 + 2)


def test_a_prior_of_groups_needs_fewer_symbols_than_one_of_numbers():
    y, t = latent(), torch.tensor([0.2, 0.8])
    vector, scalar = (tiny(scalar=scalar).eval()(y, t, Choice()) for scalar in (False, True))
    assert 2 * 3 * 5 * (12 + 110) < vector.symbols < scalar.symbols


def test_slices_do_not_see_what_comes_after_them():
    model = tiny().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        model.h_a[4].weight.zero_()  # the hyper-latent sees everything: make it a constant
    y, t = latent(), torch.tensor([0.2, 0.8])
    before = model(y, t, ROUNDING)
    for number in (0, 1, 3, 5):
        part, other = SLICES[number], y.clone()
        other[:, part.start :] += 3 * torch.randn_like(other[:, part.start :])
        after = model(other, t, ROUNDING)
        assert torch.equal(after.bits[:, : number + 1], before.bits[:, : number + 1])
        assert torch.equal(after.y_hat[:, : part.start], before.y_hat[:, : part.start])
        assert not torch.equal(after.bits[:, number + 1], before.bits[:, number + 1])


def test_training_and_evaluation_cost_the_same():
    model, y, t = tiny(), latent(), torch.tensor([0.2, 0.8])
    trained, plain = model.train()(y, t, ROUNDING), model.eval()(y, t, ROUNDING)
    torch.testing.assert_close(trained.bits, plain.bits, rtol=1e-5, atol=1e-2)
    assert torch.equal(trained.hyper.codes, plain.hyper.codes)


def test_items_of_a_batch_do_not_meet():
    model, y, t = tiny().eval(), latent(), torch.tensor([0.2, 0.8])
    both = model(y, t, ROUNDING).bits
    alone = torch.cat([model(y[i : i + 1], t[i : i + 1], ROUNDING).bits for i in range(2)])
    torch.testing.assert_close(both, alone, rtol=1e-5, atol=1e-2)


def test_a_norm_keeps_the_hyper_latent_where_its_codewords_are():
    model, y, t = tiny(hyper_norm=True), latent(2, 8, 8), torch.tensor([0.2, 0.8])
    z = model.train()(y, t, ROUNDING).hyper.z  # (groups, n, dimension)
    torch.testing.assert_close(z.mean(1), torch.zeros(2, 4), rtol=0, atol=1e-4)
    torch.testing.assert_close(z.std(1, correction=0), torch.full((2, 4), 0.5), rtol=1e-2, atol=0)
    one = model.eval()(y[:1], t[:1], ROUNDING)  # by what it saw in training, not by the batch
    assert torch.equal(one.hyper.codes, model(y, t, ROUNDING).hyper.codes[:, :4])


def test_training_watches_the_codes_of_the_hyper_latent():
    model, y, t = tiny(), latent(2, 8, 8), torch.tensor([0.2, 0.8])
    model.eval()(y, t, ROUNDING)
    assert model.hyper_usage.hits.isnan().all()
    model.train()(y, t, ROUNDING)
    assert model.hyper_usage.hits.sum(1).tolist() == [8, 8]  # 2 pictures of 2 x 2


def tiny_inter() -> InterPrior:
    torch.manual_seed(0)
    return InterPrior(8, 6)


@torch.no_grad()
def inter_costs(*arguments: Any, **known: float) -> Coding:
    return inter_coded(*arguments, **known)


def inter_coded(
    model: InterPrior, y: torch.Tensor, live: torch.Tensor, known: float = 40.0, energy: float = 20.0
) -> Coding:
    """A frame, of whose prediction and past so much is known."""
    h, w = y.shape[2:]
    prediction, energies = latent(1, h, w, known).round(), torch.full((1, 2 * ENERGIES, h, w), energy)
    return model(y, torch.tensor([0.5]), live, prediction, energies, ROUNDING)


def test_blocks_that_are_not_live_cost_nothing_and_are_zero():
    y, live = latent(1, 4, 6, 30.0), torch.zeros(4, 6, dtype=torch.bool)
    live[1:3, 2:5] = True
    out = inter_costs(tiny_inter(), y, live)
    assert out.bits.shape == (1, 7)
    assert not out.y_hat[..., ~live].any()
    assert float((out.y_hat - y)[..., live].abs().max()) < 0.58 + 1 / UNIT
    other = torch.where(live, y, 99.0)
    assert torch.equal(inter_costs(tiny_inter(), other, live).bits, out.bits)
    live[1, 2] = False
    assert float(inter_costs(tiny_inter(), y, live).bits.sum()) < float(out.bits.sum())


def test_what_is_known_counts_and_little_before_training():
    model, y, live = tiny_inter().eval(), latent(1, 4, 4), torch.ones(4, 4, dtype=torch.bool)

    def differences() -> list[float]:
        bits = inter_costs(model, y, live).bits
        others = (inter_costs(model, y, live, known=5.0).bits, inter_costs(model, y, live, energy=90.0).bits)
        return [float(((other - bits) / bits).abs().mean()) for other in others]

    assert max(differences()) < 0.05
    with torch.no_grad():
        for part in (*model.hints, model.context[1]):
            part.weight.normal_(std=0.3)
    assert min(differences()) > 0.002


def test_every_parameter_of_the_prior_of_inter_frames_is_trained():
    model, live = tiny_inter().train(), torch.ones(4, 4, dtype=torch.bool)
    out = inter_coded(model, latent(1, 4, 4, 30.0), live)
    (out.bits.mean() + out.auxiliary).backward()
    assert {name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()} == set()
    assert all(hint.weight.grad.any() for hint in model.hints)


def test_both_priors_share_what_codes_the_slices():
    shared = tiny().state_dict().keys() & tiny_inter().state_dict().keys()
    assert {name.split(".")[0] for name in shared} == {"order", "condition", "dc", "update", "slices", "levels"}
