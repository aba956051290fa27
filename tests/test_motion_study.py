"""The study of moving digits measures what it says."""

from __future__ import annotations

import numpy as np
import pytest

from codec.tracks import Sprite, compose
from tests.checks import sprites_model_frozen
from tools import motion_plot
from tools.motion_study import (
    OPENSTL_RANGE,
    Row,
    continued,
    imagined,
    measure_codec,
    measure_network,
    squared_error,
    ssim,
    table,
)
from tools.transitions import Hyper
from training.moving_mnist import moving_mnist


def digits() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (5, 8, 8)).astype(np.uint8)


def test_likeness_of_equal_and_of_unrelated_frames():
    x, y = np.random.default_rng(0).random((2, 3, 16, 16))
    assert ssim(x, x) == pytest.approx(1)
    assert abs(ssim(x, y)) < 0.2
    assert ssim(x, y, reach=OPENSTL_RANGE) > ssim(x, y)
    assert ssim(2 * x, 2 * y, reach=2) == pytest.approx(ssim(x, y))
    assert squared_error(x, x) == 0
    assert squared_error(np.zeros((1, 2, 2)), np.ones((1, 2, 2))) == 4


def test_a_network_is_trained_and_measured():
    clips = moving_mnist(digits(), 2, 0, frames=12, size=16)
    row, prediction = measure_network("hypernetwork", digits(), clips, 3, seed=1)
    assert (row.method, row.seed) == ("hypernetwork", 1)
    assert row.frame_bits > 0
    assert isinstance(prediction.network, Hyper)
    assert motion_plot.draw_filters(prediction, clips[0]).startswith(b"\x89PNG")
    with pytest.raises(TypeError, match="CopyLast"):
        motion_plot.draw_filters(measure_network("copy last", digits(), clips, 1, 0)[1], clips[0])
    assert motion_plot.draw_frames({"a": prediction.continued(clips[0], 12), "b": clips[0] / 255}).startswith(
        b"\x89PNG"
    )


def test_the_codec_pays_for_taps_only():
    built, clips = sprites_model_frozen(), moving_mnist(digits(), 2, 0, frames=12, size=24)
    whole, taps = measure_codec(built, clips)
    assert 0 < taps.frame_bits < 2 * 20
    assert whole.frame_bits > taps.frame_bits + 8 * 8 * 2
    assert taps.mse < whole.mse  # of a mean of futures, and of one of them
    assert measure_codec(built, np.random.default_rng(0).integers(0, 256, (1, 12, 9, 9)).astype(np.uint8)) == []


def test_things_that_go_on_keep_their_looks():
    sprite = Sprite(np.full((2, 2), 7, np.uint8), np.array([[0, 0], [1, 1]]))
    frames = continued(sprites_model_frozen(), [sprite], (12, 12), 3)
    assert frames.shape == (3, 12, 12)
    assert set(np.unique(frames)) <= {0, 7}
    assert compose([sprite], (2, 12, 12)).max() == 7
    mean = imagined(sprites_model_frozen(), [sprite], (12, 12), 3, draws=50)
    np.testing.assert_array_less(mean, 7)  # it is nowhere for sure
    assert 0 < mean[0].sum() <= 4 * 7


def test_the_table_has_a_line_for_each_method():
    rows = [Row("a", seed, 1, 2, 10.0 + seed, 3.0, 0.5, 0.6) for seed in range(3)]
    lines = table(rows).splitlines()
    assert lines[1].split()[0] == "a"
    assert "11.0 ± 1.0" in lines[1]
