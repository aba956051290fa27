"""Moving digits: what the next frame costs, and how far ahead it can be foreseen.

Rows of the study: frames copied; direct networks with as many parameters, and as many operations, as a hypernetwork
and its filters; these; and the codec itself, whose hypernetwork makes one filter for each thing (codec/predictor.py),
and which pays for the taps that things take. All see the same clips of digits that none was trained on.

    bits a frame      of frames 3 .. 20, each given all before it; the codec's with its sprites, which a clip has once
    10 -> 10          ten frames from ten: squared error summed over a frame, SSIM (7 x 7, range 1), means over frames
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
    "measure_codec",
    "measure_network",
    "squared_error",
    "ssim",
    "table",
]

WHOLE, TAPS_ALONE = "codec, all bits of a clip", "codec, taps alone"
SEEN = 10  # frames that the next ones are foretold from
KINDS: dict[str, Callable[[], torch.nn.Module]] = {
    "copy last": CopyLast,
    "direct, equal operations": lambda: Direct(5),
    "direct, equal parameters": lambda: Direct(19),
    "hypernetwork": Hyper,
}
# MSE and SSIM (another window and range, which flatter) after 200 epochs: OpenSTL's table (Tan et al. 2023)
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
    mse, ssim : ten frames foretold from ten
    """

    method: str
    seed: int
    parameters: int
    operations: int
    frame_bits: float
    mse: float
    ssim: float

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
    mse, likeness = _foretold(clips, told)
    return Row(method, seed, parameters(network), operations(network, clips.shape[-1]), bits, mse, likeness), prediction


def measure_codec(built: Sprites, clips: Frames, whole: bool) -> Row | None:
    """The codec's own hypernetwork on clips; None if one is not a few things that move.

    whole : count all bits of a clip, sprites and first frame too, over the frames that are foretold; or taps alone
    """
    bits, told, things = [], [], 0
    frames = clips.shape[1] - 2
    for clip in clips:
        sprites, seen = find_sprites(clip), find_sprites(clip[:SEEN])
        if sprites is None or seen is None:
            return None
        sprites, seen = stacked(sprites, built.side), stacked(seen, built.side)  # as the hypernetwork knows them
        things = max(things, len(sprites))
        data = encode_group(built, clip)
        if data is None:
            return None
        bits.append(8 * len(data) / frames if whole else _tap_bits(built, sprites, clip.shape[1:]))
        told.append(continued(built, seen, clip.shape[1:], len(clip) - SEEN) / 255)
    mse, likeness = _foretold(clips, told)
    count = sum(unit.convs[0].weight.size + unit.bias.size for unit in built.predictor.units)
    return Row(WHOLE if whole else TAPS_ALONE, 0, count, count * things, float(np.mean(bits)), mse, likeness)


def continued(built: Sprites, sprites: list[Sprite], frame: tuple[int, ...], frames: int) -> Frames:
    """(frames, H, W) that follow if every thing takes the likeliest tap."""
    moved = []
    for sprite in sprites:
        corners = sprite.corners
        for _ in range(frames):
            weights = built.predictor.tables(corners[:, None], sprite.pixels.shape, (frame[0], frame[1]))[0, :TAPS]
            move = predictor.displacements(np.array([weights.argmax()]))
            corners = np.concatenate([corners, corners[-1:] + move])
        moved.append(Sprite(sprite.pixels, corners[-frames:]))
    return compose(moved, (frames, frame[0], frame[1]))


def squared_error(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Of frames (T, H, W) in [0, 1]: summed over pixels, mean over frames."""
    return float(((x - y) ** 2).sum((1, 2)).mean())


def ssim(x: NDArray[np.float64], y: NDArray[np.float64], window: int = 7) -> float:
    """Structural similarity of frames (T, H, W) in [0, 1], mean over frames (Wang et al. 2004; uniform window)."""
    a, b = (torch.from_numpy(np.ascontiguousarray(each))[:, None] for each in (x, y))

    def mean(t: Any) -> Any:
        return functional.avg_pool2d(t, window, 1)

    unbiased = window**2 / (window**2 - 1)
    m, n = mean(a), mean(b)
    va, vb, vab = (unbiased * (mean(p * q) - mp * mq) for p, q, mp, mq in ((a, a, m, m), (b, b, n, n), (a, b, m, n)))
    c1, c2 = 0.01**2, 0.03**2
    s = (2 * m * n + c1) * (2 * vab + c2) / ((m**2 + n**2 + c1) * (va + vb + c2))
    return float(s.mean())


def table(rows: list[Row]) -> str:
    """Methods in lines: mean over seeds, and the largest distance from it."""
    lines = [
        f"{'method':29} {'parameters':>10} {'operations':>11} {'bits a frame':>18} {'10 -> 10 MSE':>16} {'SSIM':>7}"
    ]
    for method in dict.fromkeys(row.method for row in rows):
        mine = [row for row in rows if row.method == method]
        bits, mse = (np.array([getattr(row, name) for row in mine]) for name in ("frame_bits", "mse"))
        likeness = np.mean([row.ssim for row in mine])
        spread = [f"{v.mean():.1f} ± {np.abs(v - v.mean()).max():.1f}" for v in (bits, mse)]
        row = mine[0]
        lines.append(
            f"{method:29} {row.parameters:>10,} {row.operations:>11,} {spread[0]:>18} {spread[1]:>16} {likeness:>7.4f}"
        )
    lines += [
        f"{name + ' (published)':26} {'':>10} {'':>11} {'':>18} {mse:>16.1f} {s:>7.4f}"
        for name, (mse, s) in PUBLISHED.items()
    ]
    return "\n".join(lines)


def _tap_bits(built: Sprites, sprites: list[Sprite], frame: tuple[int, ...]) -> float:
    """Mean bits of the taps of a frame, from the third on."""
    total = 0.0
    for sprite in sprites:
        taps = predictor.taps(sprite.corners[1:] - sprite.corners[:-1])
        for t in range(2, len(sprite.corners)):
            weights = built.predictor.tables(sprite.corners[:t, None], sprite.pixels.shape, (frame[0], frame[1]))[0]
            total -= float(np.log2(weights[taps[t - 1]] / weights.sum()))
    return total / (len(sprites[0].corners) - 2)


def _foretold(clips: Frames, told: list[Any]) -> tuple[float, float]:
    """Mean squared error and SSIM of what was foretold of clips."""
    truths = [clip[SEEN:] / 255 for clip in clips]
    pairs = list(zip(truths, told, strict=True))
    return float(np.mean([squared_error(x, y) for x, y in pairs])), float(np.mean([ssim(x, y) for x, y in pairs]))
