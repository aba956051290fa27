"""codec/prior.py: both sides walk one schedule, and what goes in comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from codec.codebook import SLICES, UNIT, codebook
from codec.context import Hints
from codec.entropy import Decoder, Encoder, bits
from codec.errors import ModelError
from codec.features import energies
from codec.footage import inter
from codec.hyper import HYPER_GROUPS, HYPER_WORDS
from codec.layers import Layers
from codec.photo import photo
from codec.prior import Pass, Prior
from codec.symbols import REACH, SPLIT_REACH, Groups, Scalars
from tests.checks import conformance_model, conformance_video
from training import export, networks
from training.retrieval import Choice

SHAPES = [(1, 1), (1, 2), (2, 1), (3, 5), (4, 4), (8, 9), (1, 33), (17, 33)]
FARTHEST = SPLIT_REACH + (1 << 14) - 2  # largest number that every place has a code for
LARGEST = 2**31 - 1
KINDS = ["zeros", "small", "codewords", "large", "largest"]


def drawn(kind: str, seed: int = 0) -> Callable[[Pass], np.ndarray]:
    """A `choose` that knows no picture."""
    rng = np.random.default_rng(seed)

    def choose(now: Pass) -> np.ndarray:
        size = now.parameters.mean.shape
        if kind == "codewords":
            words = codebook(size[2]).words if len(size) == 3 else np.arange(-REACH, REACH + 1)
            return words[rng.integers(0, len(words), size[:2])]
        if kind == "largest":
            return rng.choice([-FARTHEST, -1, 0, FARTHEST], size)
        return rng.integers(*{"zeros": (0, 1), "small": (-2, 3), "large": (-300, 301)}[kind], size)

    return choose


def walked(
    shape: tuple[int, int], choose: Callable[[Pass], Any], code: Callable[..., Any], hyper: Any = None, index: int = 30
) -> np.ndarray:
    built = photo(conformance_model())
    return built.prior.walk(hyper, shape, index, int(built.steps[index]), choose, code)


def some_hyper(shape: tuple[int, int]) -> np.ndarray:
    n = -(-shape[0] // 4) * -(-shape[1] // 4)
    return np.random.default_rng(1).integers(0, HYPER_WORDS, (n, HYPER_GROUPS))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_is_encoded_is_decoded(shape, kind):
    encoder, choose = Encoder(), drawn(kind)
    expected = np.full((shape[0] * shape[1], SLICES[-1].stop), 1 << 40)

    def note(now: Pass) -> np.ndarray:
        picked = choose(now)
        expected[now.at, now.start : now.stop] = (now.parameters.mean + picked * UNIT).reshape(len(now.at), -1)
        return picked

    def encode(freqs: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        encoder.encode(symbols, freqs)
        return symbols

    sent = walked(shape, note, encode, some_hyper(shape))
    assert np.array_equal(sent, expected)  # each coefficient once, as it was chosen
    decoder = Decoder(encoder.getvalue())
    received = walked(shape, lambda now: None, lambda freqs, _: decoder.decode(freqs))
    assert np.array_equal(received, sent)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_coefficient_comes_once_in_at_most_17_passes(shape):
    seen, passes = np.zeros((shape[0] * shape[1], SLICES[-1].stop), int), 0

    def choose(now: Pass) -> np.ndarray:
        nonlocal passes
        passes += 1
        seen[now.at, now.start : now.stop] += 1
        assert now.parameters.mean.shape[0] == len(now.at)
        return np.zeros(now.parameters.mean.shape, np.int64)

    walked(shape, choose, lambda freqs, symbols: symbols, some_hyper(shape))
    assert (seen == 1).all()
    assert passes <= 5 + 2 * 6


@pytest.mark.parametrize("kind", ["small", "largest"])
def test_parameters_stay_in_their_ranges(kind):
    choose = drawn(kind)

    def check(now: Pass) -> np.ndarray:
        p = now.parameters
        assert p.scale.min() >= 0
        assert p.scale.max() < 64
        assert isinstance(p, Scalars) == (p.mean.ndim == 2)
        if isinstance(p, Groups):
            assert np.abs(p.query).max() <= 127
            assert p.mean.shape == p.scale.shape == (*p.flag.shape, p.dim)
        return choose(now)

    walked((5, 6), check, lambda freqs, symbols: symbols, some_hyper((5, 6)))


def test_quality_changes_the_tables():
    zeros = lambda now: np.zeros(now.parameters.mean.shape, np.int64)  # noqa: E731
    costs = []
    for index in (0, 63):
        total = 0.0

        def count(freqs: np.ndarray, symbols: np.ndarray) -> np.ndarray:
            nonlocal total
            total += bits(symbols, freqs)
            return symbols

        walked((4, 4), zeros, count, some_hyper((4, 4)), index)
        costs.append(total)
    assert costs[0] < 0.5 * costs[1]  # zeros are what a coarse step expects


def shaken(network: torch.nn.Module) -> dict[str, np.ndarray]:
    """A network's state after some noise, which makes all of it count."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.add_(torch.randn_like(parameter) * (0.003 if "linear" in name else 0.03))
    return {name: value.numpy() for name, value in network.eval().state_dict().items()}


def cost(prior: Prior, decoded: np.ndarray, shape: tuple[int, int], index: int, **told: Any) -> float:
    """Bits of coefficients (h * w, 768), in 1/16 steps, that another prior decoded around means much like its own."""
    total, hyper = 0.0, told.pop("hyper", None)

    def choose(now: Pass) -> np.ndarray:
        mean = now.parameters.mean
        near = decoded[now.at, now.start : now.stop].reshape(mean.shape)
        return np.floor((near - mean) / UNIT + 0.5).astype(np.int64)

    def count(freqs: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        nonlocal total
        total += bits(symbols, freqs)
        return symbols

    prior.walk(hyper, shape, index, int(export.steps()[index]), choose, count, **told)
    return total


def some_latent(shape: tuple[int, int]) -> np.ndarray:
    """(h * w, 768) coefficients in steps, few groups of which are split."""
    spread = np.repeat([8.0, 3.0, 1.0, 0.4, 0.3, 0.25, 0.2], [part.size for part in SLICES])
    return np.random.default_rng(0).normal(size=(shape[0] * shape[1], len(spread))) * spread


def as_map(x: np.ndarray, shape: tuple[int, int]) -> torch.Tensor:
    """(h * w, n) -> (1, n, h, w)."""
    return torch.from_numpy(x.T.reshape(1, -1, *shape)).float()


def test_integers_cost_what_the_float_network_says_within_2_percent():
    torch.manual_seed(0)
    network, shape, index = networks.Prior(24, 20), (9, 10), 20
    exported = Prior(Layers(export.prior_tensors(shaken(network))))
    with torch.no_grad():
        coded = network(as_map(some_latent(shape), shape), torch.tensor([index / 63]), Choice())
    decoded = (coded.y_hat[0] * UNIT).reshape(-1, shape[0] * shape[1]).numpy().T
    total = cost(exported, decoded, shape, index, hyper=coded.hyper.codes.numpy().T)  # both of the same codes
    assert total == pytest.approx(float(coded.bits.sum()), rel=0.02)


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_integers_of_inter_frames_cost_what_the_float_network_says_within_2_percent(share):
    torch.manual_seed(0)
    network, shape, index = networks.InterPrior(24, 20), (9, 10), 20
    exported = Prior(Layers(export.inter_tensors(shaken(network))))
    rng, blocks = np.random.default_rng(1), shape[0] * shape[1]
    live, y = rng.random(blocks) < share, some_latent(shape)
    hints = Hints(*(rng.integers(-spread, spread + 1, y.shape) for spread in (90, 20)))
    context = np.concatenate([energies(hints.known), energies(hints.before)], axis=1)
    maps = [as_map(x, shape) for x in (y, hints.known, context)]
    with torch.no_grad():
        coded = network(maps[0], torch.tensor([index / 63]), torch.from_numpy(live.reshape(shape)), *maps[1:], Choice())
    decoded = (coded.y_hat[0] * UNIT).reshape(-1, blocks).numpy().T
    assert not decoded[~live].any()
    total = cost(exported, decoded, shape, index, live=live, hints=hints)
    assert total == pytest.approx(float(coded.bits.sum()), rel=0.02)
    if share < 1:  # what is known counts
        other = Hints(np.zeros_like(hints.known), hints.before)
        assert abs(cost(exported, decoded, shape, index, live=live, hints=other) - total) > 0.002 * total


def test_a_prior_of_inter_frames_wants_to_be_told():
    prior = inter(conformance_video())
    with pytest.raises(ValueError, match="wants hints"):
        prior.walk(None, (1, 1), 0, 1, lambda now: None, lambda freqs, _: None)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("condition", lambda t: t[:, :-1], r"expected integers \(64, 86\)"),
        ("slices.1.hidden.bias", lambda t: np.zeros(1025, int), "1 to 1024"),
        ("slices.6.head.shift", lambda t: t * 0 - 1, "shift"),
        ("update.2.out.shift", lambda t: t * 0 + LARGEST, r"shift|2\^53"),
        ("dc.3.hidden.weight.0", lambda t: np.repeat(t, 3, axis=1), "expected"),
        ("update.1.hidden.weight.0", lambda t: t.astype(float), "float64"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(name, change, message):
    tensors = dict(conformance_model().tensors)
    with pytest.raises(ModelError, match=message):
        Prior(Layers(tensors | {name: change(tensors[name])}))
