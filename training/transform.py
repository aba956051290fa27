"""The lapped transform of codec/transform.py for batches, in float32, and the order of its coefficients.

    y = A_H (x C) A_W^T          x = A_H^T y A_W C^T

Maps of coefficients are (B, 768, h, w), pictures (B, 16 h, 16 w, 3).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable

import torch
from torch import Tensor

from codec.codebook import SLICES
from codec.transform import BLOCK, COEFFICIENTS, border_rotation, colour_axes, dct

__all__ = ["GREY", "analyse", "coefficient_order", "synthesise"]

GREY = 127.5  # the level that is nothing to the transform
HALF = BLOCK // 2
FREQUENCIES = BLOCK * BLOCK
DC_BONUS = 100.0  # so that the three block means come first, whatever their variance


@functools.cache
def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """Border rotation (16, 16), DCT (16, 16), colour axes (3, 3)."""
    rotation, basis, axes = (torch.from_numpy(m).float() for m in (border_rotation(), dct(BLOCK), colour_axes()))
    return rotation, basis, axes


def _in_blocks(matrix: Tensor, x: Tensor, axis: int) -> Tensor:
    """matrix @ each run of 16 rows, or columns, of x (B, H, W, 3); axis is 1 or 2."""
    b, h, w, c = x.shape
    if axis == 1:
        return torch.einsum("ij,bnjwc->bniwc", matrix, x.reshape(b, h // BLOCK, BLOCK, w, c)).reshape(x.shape)
    return torch.einsum("ij,bhnjc->bhnic", matrix, x.reshape(b, h, w // BLOCK, BLOCK, c)).reshape(x.shape)


def _across_borders(matrix: Tensor, x: Tensor, axis: int) -> Tensor:
    """matrix @ the 16 rows, or columns, around each border between two blocks."""
    size = x.shape[axis]
    if size == BLOCK:
        return x
    first, inner, last = x.split([HALF, size - BLOCK, HALF], axis)  # type: ignore[no-untyped-call]
    return torch.cat([first, _in_blocks(matrix, inner, axis), last], axis)


def analyse(x: Tensor) -> Tensor:
    """Pixels (B, 16 h, 16 w, 3), grey levels 0..255 -> coefficients (B, 768, h, w), in grey levels.

    A coefficient's number is 256 colour axis + 16 vertical frequency + horizontal frequency.
    """
    rotation, basis, axes = _matrices()
    y = (x - GREY) @ axes
    for axis in (1, 2):
        y = _in_blocks(basis, _across_borders(rotation, y, axis), axis)
    b, height, width, _ = x.shape
    h, w = height // BLOCK, width // BLOCK
    return y.reshape(b, h, BLOCK, w, BLOCK, 3).permute(0, 5, 2, 4, 1, 3).reshape(b, COEFFICIENTS, h, w)


def synthesise(y: Tensor) -> Tensor:
    """Coefficients (B, 768, h, w) -> pixels (B, 16 h, 16 w, 3), not clipped or rounded."""
    rotation, basis, axes = _matrices()
    b, _, h, w = y.shape
    x = y.reshape(b, 3, BLOCK, BLOCK, h, w).permute(0, 4, 2, 5, 3, 1).reshape(b, BLOCK * h, BLOCK * w, 3)
    for axis in (1, 2):
        x = _across_borders(rotation.T, _in_blocks(basis.T, x, axis), axis)
    return x @ axes.T + GREY


def coefficient_order(pictures: Iterable[Tensor]) -> Tensor:
    """Coefficients as the slices want them: by variance over the pictures, and alike ones side by side in groups.

    Parameters
    ----------
    pictures : (16 h, 16 w, 3), grey levels

    Returns
    -------
    (768,) int64
        Numbers of coefficients. A slice of groups is sorted by colour and direction, so that a group shares them.
    """
    powers = [analyse(x[None].float()).square().mean((0, 2, 3)) for x in pictures]
    deviation = torch.stack(powers).mean(0).sqrt()
    deviation[::FREQUENCIES] *= DC_BONUS
    falling = deviation.argsort(descending=True).tolist()
    order: list[int] = []
    for part in SLICES:
        members = falling[part.start : part.stop]
        order += members if part.dim == 1 else sorted(members, key=_direction)
    return torch.tensor(order)


def _direction(number: int) -> tuple[int, float, int]:
    """Colour axis, angle of the frequency, number."""
    colour, frequency = divmod(number, FREQUENCIES)
    vertical, horizontal = divmod(frequency, BLOCK)
    return colour, math.atan2(horizontal, vertical), number
