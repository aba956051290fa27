"""codec/retrieval.py: what is chosen is near, and worth its bits."""

from __future__ import annotations

import numpy as np
import pytest

from codec import retrieval
from codec.codebook import SLICES, UNIT
from codec.entropy import bits
from codec.hyper import HYPER_GROUPS, HYPER_WORDS
from codec.photo import photo
from codec.prior import Pass
from codec.retrieval import Retriever, Rounding
from codec.transform import analysis
from tests.checks import conformance_model
from tools.synthetic import picture

SHAPE, INDEX = (5, 6), 45


def scaled(noise: float = 20.0) -> np.ndarray:
    """Coefficients of a picture in steps, in the model's order."""
    built = photo(conformance_model())
    y = analysis(picture(16 * SHAPE[0], 16 * SHAPE[1], 3, 5, noise))
    return y.reshape(-1, SLICES[-1].stop)[:, built.order] * 16 / built.steps[INDEX]


def walked(choose, count=None) -> np.ndarray:
    built = photo(conformance_model())
    hyper = built.hyper(scaled(), SHAPE)
    code = count or (lambda freqs, symbols: symbols)
    return built.prior.walk(hyper, SHAPE, INDEX, int(built.steps[INDEX]), choose, code)


def costs(now: Pass, picked: np.ndarray) -> float:
    """Bits of a pass under its own tables."""
    prior, total = photo(conformance_model()).prior, 0.0

    def count(freqs, symbols):
        nonlocal total
        total += bits(symbols, freqs)
        return symbols

    (prior.symbols.scalars if picked.ndim == 2 else prior.symbols.groups)(now.parameters, picked, count)
    return total


@pytest.mark.parametrize("noise", [2.0, 20.0, 200.0])
def test_a_pass_is_never_worse_than_rounding_or_than_zeros(noise):
    built, y = photo(conformance_model()), scaled(noise)
    retriever = Retriever(built.prior, y)

    def choose(now: Pass) -> np.ndarray:
        mean = now.parameters.mean
        r = y[now.at, now.start : now.stop].reshape(mean.shape) - mean / UNIT
        picked = retriever(now)
        price = [costs(now, k) + retriever.weight * ((r - k) ** 2).sum() for k in (picked, np.rint(r).astype(int))]
        assert price[0] <= price[1] * (1 + 1e-6)
        if mean.ndim == 3:
            assert price[0] <= (costs(now, 0 * picked) + retriever.weight * (r**2).sum()) * (1 + 1e-6)
        return picked

    walked(choose)


@pytest.mark.parametrize("chooser", [Retriever, Rounding])
def test_an_error_is_below_a_step_or_worth_its_bits(chooser):
    y = scaled()
    off = np.abs(walked(chooser(photo(conformance_model()).prior, y)) / UNIT - y)
    assert off.max() < 4
    assert (off > 1).mean() < 1e-2
    assert off[:, : SLICES[1].stop].mean() < 0.35


def test_bits_that_are_worth_more_buy_a_smaller_error(monkeypatch):
    built, y, found = photo(conformance_model()), scaled(), []
    for weight in (1.0, 5.0, 50.0):
        monkeypatch.setattr(retrieval, "WEIGHT", weight)
        total = 0.0

        def count(freqs, symbols):
            nonlocal total
            total += bits(symbols, freqs)
            return symbols

        values = walked(Retriever(built.prior, y), count)
        found.append((total, -((values / UNIT - y) ** 2).sum()))
    assert found == sorted(found)
    assert found[0][0] < 0.9 * found[-1][0]


def test_the_hyper_latent_has_legal_codes_for_any_coefficients():
    built = photo(conformance_model())
    for h, w, scale in ((1, 1, 0.0), (1, 9, 1.0), (5, 4, 1e3), (4, 4, 1e6)):
        y = np.random.default_rng(0).standard_normal((h * w, SLICES[-1].stop)) * scale
        codes = built.hyper(y, (h, w))
        assert codes.shape == (-(-h // 4) * -(-w // 4), HYPER_GROUPS)
        assert (codes.min(), codes.max()) >= (0, 0)
        assert codes.max() < HYPER_WORDS
