"""Moving MNIST: clips of digits that fly straight and bounce off the border.

The generator is that of PredRNN (Wang et al., NeurIPS 2017), which OpenSTL's table of results uses, after Srivastava,
Mansimov and Salakhutdinov (ICML 2015). The corner of a digit lives in the unit square: the frame less the digit.

    (y, x) ~ U[0, 1)²,  θ ~ U[0, 2π),  v = (sin θ, cos θ)
    each frame:  (y, x) += v · speed / (size - side);  beyond a border: onto it, that part of v reversed; then draw
    drawn at  ⌊(size - side) · (y, x)⌋,  where digits overlap the brighter pixel

No step is taken between drawing and storing, so the start itself is never seen, and a bounce loses what is left of its
step. (The stochastic variant, which draws a new speed at each bounce, is another data set.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Motion", "draw_clips", "draw_motion", "moving_mnist"]

U8 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Motion:
    """What happens in n clips of T frames with `count` digits each.

    Attributes
    ----------
    which : (n, count) int64, numbers of the digits
    corners : (n, T, count, 2) int64, row and column of the top left pixel of each digit
    """

    which: NDArray[np.int64]
    corners: NDArray[np.int64]


def moving_mnist(
    digits: U8,
    clips: int,
    seed: int | np.random.Generator,
    frames: int = 20,
    size: int = 64,
    count: int = 2,
    speed: float = 3.6,
) -> U8:
    """Clips of `count` digits each: (clips, frames, size, size) uint8.

    They depend on the arguments alone. More clips of one seed begin with the same ones. What moves where in them is
    `draw_motion(digits, ...)` of the same arguments.

    Parameters
    ----------
    digits : (N, side, side) uint8, light on black
    clips, frames, count : how many
    seed : of a generator, or one that goes on from where it is
    size : of the frame, pixels a side; larger than that of a digit
    speed : pixels a frame

    Raises
    ------
    ValueError
        There are no digits, they are not square, or they are not smaller than the frame.
    """
    return draw_clips(digits, draw_motion(digits, clips, seed, frames, size, count, speed), size)


def draw_motion(
    digits: U8,
    clips: int,
    seed: int | np.random.Generator,
    frames: int = 20,
    size: int = 64,
    count: int = 2,
    speed: float = 3.6,
) -> Motion:
    """Draw digits and their ways at random; see `moving_mnist`."""
    side = digits.shape[-1]
    if digits.ndim != 3 or digits.shape[1] != side or len(digits) == 0 or not 0 < side < size:
        raise ValueError(f"expected digits (N, side, side) with a side below {size}, got {digits.shape}")
    room = size - side
    # four numbers a digit in one draw, so that a clip does not depend on how many follow it
    start, turn, pick = np.split(np.random.default_rng(seed).random((clips, count, 4)), (2, 3), axis=-1)
    angle = 2 * np.pi * turn[..., 0]
    at, velocity = start.copy(), np.stack((np.sin(angle), np.cos(angle)), axis=-1)
    corners = np.empty((clips, frames, count, 2), np.int64)
    for t in range(frames):
        at += velocity * (speed / room)
        velocity[(at <= 0) | (at >= 1)] *= -1
        np.clip(at, 0, 1, out=at)
        corners[:, t] = room * at  # truncated
    return Motion((pick[..., 0] * len(digits)).astype(np.int64), corners)


def draw_clips(digits: U8, motion: Motion, size: int = 64) -> U8:
    """Draw the digits at their places: (n, T, size, size) uint8."""
    clips, frames, count, _ = motion.corners.shape
    out = np.zeros((clips, frames, size, size), np.uint8)
    # every window of the size of a digit, as a view: (n, T, size - side + 1, size - side + 1, side, side)
    windows = np.lib.stride_tricks.sliding_window_view(out, digits.shape[1:], axis=(2, 3), writeable=True)
    n = np.arange(clips)
    for t, digit in np.ndindex(frames, count):
        row, column = motion.corners[:, t, digit].T
        # places of different clips do not overlap, so all can be written at once
        windows[n, t, row, column] = np.maximum(windows[n, t, row, column], digits[motion.which[:, digit]])
    return out
