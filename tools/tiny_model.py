"""A photo model of a few channels, trained for a minute on pictures from seeds: the model of the conformance pack.

Its sizes are unlike those of the model `photo` wherever a model may choose, so that a decoder that takes them for
constants fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from codec.hyper import HYPER_DIM, HYPER_GROUPS
from tools.synthetic import picture
from training.export import photo_model
from training.features import HYPER_INPUTS
from training.networks import Prior, step_of
from training.retrieval import Choice
from training.synthesis import Synthesis
from training.transform import analyse, coefficient_order, synthesise

__all__ = ["tiny_model"]

WIDTH, HIDDEN, BLOCKS = 16, 10, 1
INNER, WIDE, NARROW = 12, 12, 8  # of the hyper-latent's decoder and encoder
PICTURES, SIDE, BATCH = 96, 96, 4
RATE, LAST = 4e-3, 0.05  # learning rate, and what is left of it at the end
CHOICE = Choice()


def tiny_model(steps: int = 1200, seed: int = 0) -> bytes:
    """Train, and export to a model file; the bytes depend on the machine."""
    torch.manual_seed(seed)
    noises = [0.0 if i % 4 == 0 else 12.0 * (i % 7) / 6 for i in range(PICTURES)]
    x = torch.stack([torch.from_numpy(picture(SIDE, SIDE, 3, i, noise)) for i, noise in enumerate(noises)])
    prior = Prior(WIDTH, HIDDEN, coefficient_order(x))
    z = HYPER_GROUPS * HYPER_DIM
    prior.h_a = nn.Sequential(
        nn.Conv2d(HYPER_INPUTS, WIDE, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(WIDE, NARROW, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(NARROW, z, 1),
    )
    prior.h_s = nn.ModuleList([nn.Conv2d(z, 4 * INNER, 1), nn.Conv2d(INNER, 4 * WIDTH, 1)])
    prior.slices[2].linear_partial.requires_grad_(False)  # stays zero: a sixth of the file
    synthesis = Synthesis(WIDTH, BLOCKS)
    _train(prior, steps, lambda batch, t: _bits(prior, batch, t), x)
    prior.eval()
    _train(synthesis, steps // 3, lambda batch, t: _decibels(prior, synthesis, batch, t), x)
    states = ({name: value.detach().numpy() for name, value in m.state_dict().items()} for m in (prior, synthesis))
    return photo_model(
        *states,
        name="conformance",
        version=1,
        description="tiny, for conformance tests; trained on synthetic pictures",
        licence="CC0-1.0",
    )


def _train(model: nn.Module, steps: int, loss: Callable[[Tensor, Tensor], Tensor], pictures: Tensor) -> None:
    """Adam, half a cosine. `loss` of a batch of pictures and their qualities 0..1."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], RATE)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (LAST + (1 - LAST) * (1 + math.cos(math.pi * step / steps)) / 2)
        batch = pictures[torch.randint(len(pictures), (BATCH,))].float()
        optimizer.zero_grad()
        loss(batch, torch.rand(BATCH)).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def _bits(prior: Prior, x: Tensor, t: Tensor) -> Tensor:
    """Bits per pixel, all qualities worth about the same."""
    coded = prior(_latent(prior, x, t), t, CHOICE)
    bpp: Tensor = coded.bits.sum(1) / SIDE**2
    loss: Tensor = (bpp * bpp.detach() ** -0.7).mean() + 0.1 * coded.auxiliary
    return loss


def _decibels(prior: Prior, synthesis: Synthesis, x: Tensor, t: Tensor) -> Tensor:
    """What the filter changes the error by."""
    with torch.no_grad():
        coded = prior(_latent(prior, x, t), t, CHOICE)
        y = torch.empty_like(coded.y_hat)
        y[:, prior.order] = coded.y_hat * step_of(t)[:, None, None, None]
        linear = synthesise(y).permute(0, 3, 1, 2)
    original, better = x.permute(0, 3, 1, 2), synthesis(linear, t)
    before, after = ((image - original).square().mean((1, 2, 3)) for image in (linear, better))
    return (10 * torch.log10((after + 0.5) / (before + 0.5))).mean()


def _latent(prior: Prior, x: Tensor, t: Tensor) -> Tensor:
    return analyse(x)[:, prior.order] / step_of(t)[:, None, None, None]
