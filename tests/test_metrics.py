"""tools/metrics.py: PSNR, MS-SSIM and SSIMULACRA2."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pictures import picture
from tools.metrics import METRICS, MS_SSIM_MIN_SIDE, SCALE_WEIGHTS, decibels, ms_ssim, psnr, ssimulacra2

X = picture(170, 193)


def noisy(x: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, sigma, x.shape)
    return np.clip(np.rint(x + noise), 0, 255).astype(np.uint8)


def reference_ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """MS-SSIM as pytorch-msssim takes it, with torch's own convolution and pooling."""
    torch = pytest.importorskip("torch")
    taps = torch.exp(-((torch.arange(11.0, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    window = torch.outer(taps, taps)[None, None] / taps.sum() ** 2
    a, b = (torch.from_numpy(v.transpose(2, 0, 1)[:, None].astype(np.float64)) for v in (x, y))
    result = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale:
            odd = [side % 2 for side in a.shape[2:]]
            a, b = (torch.nn.functional.avg_pool2d(v, 2, padding=odd) for v in (a, b))
        ma, mb, aa, bb, ab = (torch.conv2d(v, window) for v in (a, b, a * a, b * b, a * b))
        cs = (2 * (ab - ma * mb) + 58.5225) / (aa - ma**2 + bb - mb**2 + 58.5225)
        ssim = cs * (2 * ma * mb + 6.5025) / (ma**2 + mb**2 + 6.5025)
        result = result * (ssim if scale == 4 else cs).mean((1, 2, 3)).clamp(0) ** weight
    return float(result.mean())


@pytest.mark.parametrize("error", [1, 5, 100])
def test_psnr_of_a_known_error(error):
    grey = np.full((9, 7, 3), 50, np.uint8)
    assert psnr(grey, grey + np.uint8(error)) == pytest.approx(20 * np.log10(255 / error))
    assert psnr(grey + np.uint8(error), grey) == psnr(grey, grey + np.uint8(error))  # nothing wraps around


def test_psnr_takes_all_channels_together():
    grey, other = np.full((8, 8, 3), 50, np.uint8), np.full((8, 8, 3), 50, np.uint8)
    other[..., 0] += 30
    assert psnr(grey, other) == pytest.approx(10 * np.log10(255**2 / 300))


def test_equal_pictures_score_the_most():
    assert psnr(X, X) is None
    assert ms_ssim(X, X) == pytest.approx(1)
    assert ssimulacra2(X, X) == pytest.approx(100)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_score_falls_with_noise(metric, channels):
    x = X[..., :channels]
    scores = [metric.score(x, noisy(x, sigma)) for sigma in (2, 8, 32)]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3


@pytest.mark.parametrize("sigma", [3, 40])
def test_ms_ssim_is_the_one_of_the_literature(sigma):
    y = noisy(X, sigma)
    assert ms_ssim(X, y) == pytest.approx(reference_ms_ssim(X, y), abs=1e-9)


def test_ms_ssim_is_drawn_in_decibels():
    assert METRICS["msssim"].scale is decibels
    assert decibels(0.99) == pytest.approx(20)
    assert np.isfinite(decibels(1.0))


def test_pictures_too_small_for_a_metric_have_no_score():
    side = MS_SSIM_MIN_SIDE
    assert side == 161
    assert ms_ssim(X[:side, :side], X[:side, :side]) is not None
    assert ms_ssim(X[: side - 1], X[: side - 1]) is None
    assert ssimulacra2(X[:7], X[:7]) is None


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_pictures_of_two_shapes_are_an_error(metric):
    with pytest.raises(ValueError, match="one shape"):
        metric.score(X, X[..., :1])
