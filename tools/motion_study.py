"""Moving digits: what the next frame costs, and how far ahead it can be foreseen.

Rows of the study: frames copied; direct networks with as many parameters, and as many operations, as a hypernetwork
and its filters; these; and the codec itself, whose hypernetwork makes one filter for each thing (codec/predictor.py),
and which pays for the taps that things take. All see the same clips of digits that none was trained on.

    bits a frame      of frames 3 .. 20, each given all before it; the codec's with its sprites, which a clip has once
    10 -> 10          ten frames from ten, means over frames: squared error summed over a frame; SSIM (7 x 7, range 1)

The codec foretells twice: the likeliest future, which is sharp, and the mean of many that it holds possible, which is
blurred and has the least squared error (the conditional mean), as networks have that are trained to minimise it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from codec import predictor
from codec.predictor import TAPS
from codec.sprites import Sprites, encode_group, stacked
from codec.tracks import Sprite, compose, find_sprites
from tools.transitions import CopyLast, Direct, Hyper, Prediction, operations, parameters, train_transition

__all__ = [
    "KINDS",
    "PUBLISHED",
    "Row",
    "continued",
    "imagined",
    "measure_codec",
    "measure_network",
    "squared_error",
    "ssim",
    "table",
]

LIKELIEST, MEAN = "codec, likeliest future", "codec, mean of futures"
SEEN = 10  # frames that the next ones are foretold from
DRAWS = 64  # futures that a mean is taken of
KINDS: dict[str, Callable[[], torch.nn.Module]] = {
    "copy last": CopyLast,
    "direct, equal operations": lambda: Direct(5),
    "direct, equal parameters": lambda: Direct(19),
    "hypernetwork": Hyper,
}
OPENSTL_RANGE = 2.0  # of pixels in [0, 1]: what scikit-image up to 0.19 takes for that of floats, if it is not told
# MSE, and SSIM with that range, which flatters, after 200 epochs: OpenSTL's table (Tan et al. 2023)
PUBLISHED = {
    "ConvLSTM": (29.80, 0.9288),
    "PredNet": (161.38, 0.7783),
    "PhyDNet": (28.19, 0.9374),
    "PredRNN": (23.97, 0.9462),
    "PredRNN++": (22.06, 0.9509),
    "SimVP": (32.15, 0.9268),
    "TAU": (24.60, 0.9454),
}

Frames = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Row:
    """What was found of one method and seed.

    Attributes
    ----------
    parameters, operations : of the network that predicts; multiplications a frame
    frame_bits : mean bits of a frame, given those before it
    mse, ssim, ssim_openstl : ten frames foretold from ten; the latter with OPENSTL_RANGE
    """

    method: str
    seed: int
    parameters: int
    operations: int
    frame_bits: float
    mse: float
    ssim: float
    ssim_openstl: float

    as_dict = asdict


def measure_network(
    method: str,
    digits: Frames,
    clips: Frames,
    steps: int,
    seed: int,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[Row, Prediction]:
    """Train one of KINDS, and measure it on clips (n, T, H, W)."""
    torch.manual_seed(seed)
    network = KINDS[method]()
    prediction = train_transition(network, digits, steps, seed, size=clips.shape[-1], stop=stop, progress=progress)
    bits = float(prediction.frame_bits(clips).mean())
    told = [prediction.continued(clip[:SEEN], clips.shape[1] - SEEN) for clip in clips]
    row = Row(method, seed, parameters(network), operations(network, clips.shape[-1]), bits, *_foretold(clips, told))
    return row, prediction


def measure_codec(built: Sprites, clips: Frames) -> list[Row]:
    """The codec's own hypernetwork on clips; nothing if one is not a few things that move.

    Returns
    -------
    list of Row
        LIKELIEST, with all bits of a clip, sprites and first frame too, over the frames that are foretold; and MEAN,
        with those of the taps alone.
    """
    bits, told, things = list[tuple[float, float]](), list[tuple[NDArray[Any], NDArray[Any]]](), 0
    frames, frame = clips.shape[1], (clips.shape[2], clips.shape[3])
    for number, clip in enumerate(clips):
        sprites, data = find_sprites(clip), encode_group(built, clip)
        if sprites is None or data is None:
            return []
        sprites = stacked(sprites, built.side)  # as the hypernetwork knows them
        things = max(things, len(sprites))
        bits.append((8 * len(data) / (frames - 2), _tap_bits(built, sprites, frame)))
        told.append(_futures(built, clip, number))
    count = sum(unit.convs[0].weight.size + unit.bias.size for unit in built.predictor.units)
    rows = []
    for method, spent, futures in zip((LIKELIEST, MEAN), np.mean(bits, 0), zip(*told, strict=True), strict=True):
        rows.append(Row(method, 0, count, count * things, float(spent), *_foretold(clips, [f / 255 for f in futures])))
    return rows


def continued(built: Sprites, sprites: list[Sprite], frame: tuple[int, int], frames: int) -> Frames:
    """(frames, H, W) that follow if every thing takes the likeliest tap at each step."""
    ways = [_ways(built, sprite, frame, frames, lambda weights: weights.argmax(1)) for sprite in sprites]
    moved = [Sprite(sprite.pixels, way[:, 0]) for sprite, way in zip(sprites, ways, strict=True)]
    return compose(moved, (frames, *frame))


def imagined(
    built: Sprites, sprites: list[Sprite], frame: tuple[int, int], frames: int, *, draws: int = DRAWS, seed: int = 0
) -> NDArray[np.float64]:
    """(frames, H, W) mean of futures in which things take taps at random, as likely as the hypernetwork holds them."""
    rng = np.random.default_rng(seed)

    def draw(weights: NDArray[np.int32]) -> NDArray[np.int64]:
        steps = weights.cumsum(1)
        found: NDArray[np.int64] = (rng.integers(steps[:, -1:]) >= steps).sum(1)
        return found

    ways = [_ways(built, sprite, frame, frames, draw, draws) for sprite in sprites]
    total = np.zeros((frames, *frame))
    for number in range(draws):
        moved = [Sprite(sprite.pixels, way[:, number]) for sprite, way in zip(sprites, ways, strict=True)]
        total += compose(moved, (frames, *frame))
    return total / draws


def _futures(built: Sprites, clip: Frames, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The likeliest future and the mean of them; the last frame again if those that are seen do not come apart."""
    (frames, *frame), seen = clip[SEEN:].shape, find_sprites(clip[:SEEN])
    if seen is None:
        still = np.repeat(clip[SEEN - 1 : SEEN], frames, axis=0)
        return still, still
    sprites, size = stacked(seen, built.side), (frame[0], frame[1])
    return continued(built, sprites, size, frames), imagined(built, sprites, size, frames, seed=seed)


def _ways(
    built: Sprites,
    sprite: Sprite,
    frame: tuple[int, int],
    frames: int,
    choose: Callable[[NDArray[np.int32]], NDArray[np.int64]],
    count: int = 1,
) -> NDArray[np.int64]:
    """Corners (frames, count, 2) of a thing that goes on; `choose`: weights (count, TAPS) -> taps (count,)."""
    corners = np.repeat(sprite.corners[:, None], count, axis=1)
    for _ in range(frames):
        taps = choose(built.predictor.tables(corners, sprite.pixels.shape, frame)[:, :TAPS])
        corners = np.concatenate([corners, corners[-1:] + predictor.displacements(taps)])
    return corners[-frames:]


def squared_error(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Of frames (T, H, W) in [0, 1]: summed over pixels, mean over frames."""
    return float(((x - y) ** 2).sum((1, 2)).mean())


def ssim(x: NDArray[np.float64], y: NDArray[np.float64], window: int = 7, reach: float = 1.0) -> float:
    """Structural similarity of frames (T, H, W), mean over frames (Wang et al. 2004; uniform window).

    reach : range that samples are taken to have; the larger, the more alike frames seem
    """
    a, b = (torch.from_numpy(np.ascontiguousarray(each))[:, None] for each in (x, y))

    def mean(t: Any) -> Any:
        return functional.avg_pool2d(t, window, 1)

    unbiased = window**2 / (window**2 - 1)
    m, n = mean(a), mean(b)
    va, vb, vab = (unbiased * (mean(p * q) - mp * mq) for p, q, mp, mq in ((a, a, m, m), (b, b, n, n), (a, b, m, n)))
    c1, c2 = (0.01 * reach) ** 2, (0.03 * reach) ** 2
    s = (2 * m * n + c1) * (2 * vab + c2) / ((m**2 + n**2 + c1) * (va + vb + c2))
    return float(s.mean())


def table(rows: list[Row]) -> str:
    """Methods in lines: mean over seeds, and the largest distance from it."""
    lines = [
        f"{'method':29} {'parameters':>10} {'operations':>11} {'bits a frame':>18} {'10 -> 10 MSE':>16}"
        f" {'SSIM':>7} {'(2)':>7}"
    ]
    for method in dict.fromkeys(row.method for row in rows):
        mine = [row for row in rows if row.method == method]
        bits, mse = (np.array([getattr(row, name) for row in mine]) for name in ("frame_bits", "mse"))
        likeness, flattered = np.mean([(row.ssim, row.ssim_openstl) for row in mine], 0)
        spread = [f"{v.mean():.1f} ± {np.abs(v - v.mean()).max():.1f}" for v in (bits, mse)]
        row = mine[0]
        lines.append(
            f"{method:29} {row.parameters:>10,} {row.operations:>11,} {spread[0]:>18} {spread[1]:>16}"
            f" {likeness:>7.4f} {flattered:>7.4f}"
        )
    lines += [
        f"{name + ' (published)':26} {'':>10} {'':>11} {'':>18} {mse:>16.1f} {'':>7} {s:>7.4f}"
        for name, (mse, s) in PUBLISHED.items()
    ]
    return "\n".join([*lines, "(2): SSIM with a range of 2, as the published figures have it"])


def _tap_bits(built: Sprites, sprites: list[Sprite], frame: tuple[int, int]) -> float:
    """Mean bits of the taps of a frame, from the third on."""
    total = 0.0
    for sprite in sprites:
        taps = predictor.taps(sprite.corners[1:] - sprite.corners[:-1])
        for t in range(2, len(sprite.corners)):
            weights = built.predictor.tables(sprite.corners[:t, None], sprite.pixels.shape, frame)[0]
            total -= float(np.log2(weights[taps[t - 1]] / weights.sum()))
    return total / (len(sprites[0].corners) - 2)


def _foretold(clips: Frames, told: list[NDArray[np.float64]]) -> tuple[float, float, float]:
    """Mean squared error and SSIM, with both ranges, of what was foretold of clips."""
    pairs = [(clip[SEEN:] / 255, y) for clip, y in zip(clips, told, strict=True)]
    found = [(squared_error(x, y), ssim(x, y), ssim(x, y, reach=OPENSTL_RANGE)) for x, y in pairs]
    mse, likeness, flattered = np.mean(found, 0)
    return float(mse), float(likeness), float(flattered)
