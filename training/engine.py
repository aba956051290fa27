"""A second engine for the integer networks of codec/intnet.py: torch convolutions and integer shifts.

It shares no arithmetic with the first one (no im2col, no float requantisation) and must agree with it bit for bit. The
tests compare the two, export takes the self-test digests of a model from here, and a decoder may be run on it: `run`,
`accumulate`, `convolve` and `requantise` are called as those of codec/intnet.py, and their results have the same types.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import conv2d

from codec.errors import ModelError
from codec.intnet import Carrier, Ints, Unit

__all__ = ["DTYPE", "accumulate", "convolve", "requantise", "run"]

DTYPE = torch.float64  # what torch computes in: float64 (exact by the unit's proof) or int64 (slow, exact by nature)


def run(unit: Unit, *maps: Carrier, at: Ints | None = None, extra: Ints | Carrier | None = None) -> Carrier:
    """The unit's outputs, (H', W', O) or (n, O), in the unit's carrier dtype; see `codec.intnet.run`."""
    return requantise(unit, accumulate(unit, *maps, at=at), extra)


def accumulate(unit: Unit, *maps: Carrier, at: Ints | None = None) -> Carrier:
    """Exact sums of the convolutions, see `codec.intnet.accumulate`."""
    if len(maps) != len(unit.convs):
        raise ModelError(f"{unit.name}: {len(maps)} maps for {len(unit.convs)} convolutions")
    total = convolve(unit, 0, maps[0], at)
    for m, x in enumerate(maps[1:], 1):
        total = total + convolve(unit, m, x, at)
    return total


def convolve(unit: Unit, m: int, x: Carrier, at: Ints | None = None) -> Carrier:
    """One term of `accumulate`, see `codec.intnet.convolve`: always the whole map, of which `at` takes its part."""
    conv = unit.convs[m]
    image = x[:, None] if x.ndim == 2 else x  # (n, I) is a map of one column
    if image.ndim != 3 or image.shape[2] != conv.weight.shape[3]:
        raise ModelError(f"{unit.name}: input {m} has shape {x.shape}, expected (H, W, {conv.weight.shape[3]})")
    weight = torch.from_numpy(conv.weight.astype(np.int64)).permute(0, 3, 1, 2).to(DTYPE)  # (O, I, kh, kw)
    pixels = torch.from_numpy(image.astype(np.int64)).permute(2, 0, 1)[None].to(DTYPE)  # (1, I, H, W)
    if pixels.numel() == 0:  # which conv2d does not take
        sums = np.zeros((*image.shape[:2], len(weight)), unit.dtype)
    else:
        padding = (weight.shape[2] // 2, weight.shape[3] // 2)
        total = conv2d(pixels, weight, padding=padding, stride=conv.stride)[0]
        sums = total.permute(1, 2, 0).numpy().astype(unit.dtype)
    if at is not None:
        return sums.reshape(-1, sums.shape[2])[at]
    return sums[:, 0] if x.ndim == 2 else sums


def requantise(unit: Unit, sums: Carrier, extra: Ints | Carrier | None = None) -> Carrier:
    """clip((sums + bias + extra + half) >> shift, lo, hi) in int64; see `codec.intnet.requantise`."""
    total = torch.from_numpy(sums.astype(np.int64)) + torch.from_numpy(unit.bias.astype(np.int64))
    if extra is not None:
        total = total + torch.from_numpy(np.array(extra, np.int64))
    shift = torch.from_numpy(unit.shift.astype(np.int64))
    half = torch.where(shift > 0, 1 << (shift - 1).clamp(min=0), 0)
    result: Carrier = ((total + half) >> shift).clamp(unit.lo, unit.hi).numpy().astype(unit.dtype)
    return result
