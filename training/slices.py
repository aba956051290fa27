"""The slices of the latent: each one's networks, and the bits of its codes.

    slice 0       block means, interlaced in five passes: each around the mean of its known neighbours, corrected
    slice 1       numbers around a predicted mean, in two checkerboard passes
    slices 2..6   groups of 2, 4 and 8: a flag, then a codeword by its query's association with the keys
    the control   the same slices, all numbers: what is lost or won without groups

Schedule and layout are those of `codec.prior.Prior`. Decoded values are whole numbers of step / UNIT, as floats.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codec.codebook import SLICES, UNIT
from codec.symbols import FREE, REACH
from training.features import Rectify, feature_count, features_of, log_feature, rectified, signed_feature
from training.likelihoods import Levels, gamma_bits, logistic_bits, scale_of
from training.retrieval import Choice, quantise, retrieve, retrieve_numbers

__all__ = ["HEAD", "CodedSlice", "DcSlice", "ScalarSlice", "Slice", "checkerboard", "interlace"]

DC = SLICES[0].size  # the mean of a block on each colour axis
DC_HIDDEN = 64
FIRST_MEAN_GAIN, DC_MEAN_GAIN = 16.0, 4.0  # steps per unit of a mean, in the first pass of slice 0 and in the others
MEAN_GAIN = {1: 4.0, 2: 2.0}  # the same by dimension; wider groups have the linear prediction only
LINEAR = 3  # slices 1..3 have a linear prediction, from slices 0 and 1

# Outputs per group of a slice's head, in this order:
#   dimension 1         mean, scale
#   dimension 2, 4, 8   flag, query of the fixed features, scale, query of the free ones; then 2: mean, 4: unused
HEAD = {1: 2, 2: 13, 4: 21, 8: 21}
SHAPED = {2: 4, 4: 8, 8: 8}  # fixed features of a query: -|c| and, below eight, c of each coordinate
HEAD_NOISE = 0.02  # standard deviation of the first weights of a head
FLAG_START, QUERY_START, SCALE_START = -1.0, 1.5, {1: 0.5, 2: 0.35, 4: 0.35, 8: 0.35}

# Interlacing of slice 0: the neighbours that each pass knows; see `interlace` for where it stands.
_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_STRAIGHT = ((-1, 0), (1, 0), (0, -1), (0, 1))
NEIGHBOURS: tuple[tuple[tuple[int, int], ...], ...] = (
    (),
    tuple((2 * i, 2 * j) for i, j in _DIAGONAL),
    tuple((2 * i, 2 * j) for i, j in _STRAIGHT),
    _DIAGONAL,
    _STRAIGHT,
)
Positions = tuple[Tensor, Tensor]  # rows, columns (n,)


class CodedSlice(NamedTuple):
    """What coding a slice, or one of its passes, costs, and what is decoded.

    Attributes
    ----------
    bits : (B,)
    decoded : (B, size, h, w); of a pass (B, n, groups, dimension)
    miss : scalar, mean |y - mean| where the rate does not train the mean, else 0
    symbols : that the range coder is given, escapes beyond a table's reach not counted
    """

    bits: Tensor
    decoded: Tensor
    miss: Tensor
    symbols: int


def to_units(y: Tensor) -> Tensor:
    """Steps -> whole numbers of step / UNIT, without a gradient."""
    return torch.floor(y.detach() * UNIT + 0.5)


def _grid(h: int, w: int) -> Positions:
    rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    return rows, columns


def interlace(h: int, w: int) -> list[Positions]:
    """Where the passes of slice 0 stand: the corners of a 4x4 pattern, its middle, and so on, halving the distance."""
    i, j = _grid(h, w)
    passes = (
        (i % 4 == 0) & (j % 4 == 0),
        (i % 4 == 2) & (j % 4 == 2),
        (i % 2 == 0) & (j % 2 == 0) & ((i + j) % 4 == 2),
        (i % 2 == 1) & (j % 2 == 1),
        (i + j) % 2 == 1,
    )
    return [(i[where], j[where]) for where in passes]


def checkerboard(h: int, w: int) -> list[Positions]:
    """Where the two passes of the other slices stand."""
    i, j = _grid(h, w)
    first = (i + j) % 2 == 0
    return [(i[first], j[first]), (i[~first], j[~first])]


def among(passes: list[Positions], live: Tensor | None) -> list[Positions]:
    """Those positions of each pass that are live (h, w); all of them if nothing is said."""
    if live is None:
        return passes
    kept = [live[at] for at in passes]
    return [(i[where], j[where]) for (i, j), where in zip(passes, kept, strict=True)]


def taken(x: Tensor, at: Positions) -> Tensor:
    """Vectors of a map: (B, C, h, w) -> (B, n, C)."""
    return x.permute(0, 2, 3, 1)[:, at[0], at[1]]


class DcSlice(nn.ModuleList):
    """Slice 0: one small network for each pass."""

    def __init__(self, width: int) -> None:
        super().__init__(_DcPass(width, len(near)) for near in NEIGHBOURS)

    def forward(self, y: Tensor, state: Tensor, live: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Code y (B, 3, h, w), in steps, with a state (B, width, h, w) -> bits (B,) and decoded (B, 3, h, w)."""
        decoded = torch.zeros(y.shape)
        bits = torch.zeros(len(y))
        for network, at, near in zip(self, among(interlace(*y.shape[2:]), live), NEIGHBOURS, strict=True):
            if len(at[0]) == 0:
                continue
            base, around = neighbourhood(decoded, at, near)
            mean, scale = network(taken(state, at), around)
            mean = base / UNIT + mean
            target, rounded = taken(y, at), to_units(mean)
            k = torch.round(target - rounded / UNIT)
            # k, moved by what the rounding of the mean took: the bits then train the mean
            off = (target - mean) + (k - (target - rounded / UNIT))
            bits = bits + (logistic_bits(off, scale, REACH) + gamma_bits(k, REACH)).sum((1, 2))
            decoded[:, :, at[0], at[1]] = (rounded + k * UNIT).permute(0, 2, 1)
        return bits, decoded


def neighbourhood(decoded: Tensor, at: Positions, near: tuple[tuple[int, int], ...]) -> tuple[Tensor, Tensor]:
    """Decoded neighbours of positions; those outside the picture do not count.

    Parameters
    ----------
    decoded : (B, 3, h, w), in step / UNIT
    near : m offsets

    Returns
    -------
    base : (B, n, 3), rounded mean of the neighbours, in step / UNIT
    around : (B, n, m, 3), how far they are from it
    """
    b, c, h, w = decoded.shape
    if not near:
        return torch.zeros(b, len(at[0]), c), torch.zeros(b, len(at[0]), 0, c)
    offset = torch.tensor(near)
    i, j = at[0][:, None] + offset[:, 0], at[1][:, None] + offset[:, 1]  # (n, m)
    there = ((i >= 0) & (i < h) & (j >= 0) & (j < w)).float()[None, :, :, None]  # (1, n, m, 1)
    values = decoded[:, :, i.clamp(0, h - 1), j.clamp(0, w - 1)].permute(0, 2, 3, 1)  # (B, n, m, 3)
    base = torch.floor((values * there).sum(2) / there.sum(2).clamp(min=1) + 0.5)
    return base, (values - base[:, :, None]) * there


class _DcPass(nn.Sequential):
    """State (B, n, width) and neighbours (B, n, m, 3) -> mean (B, n, 3), in steps from theirs, and scale (B, n, 3)."""

    def __init__(self, width: int, neighbours: int) -> None:
        head = nn.Linear(DC_HIDDEN, 2 * DC)
        super().__init__(nn.Linear(width + 2 * DC * neighbours, DC_HIDDEN), Rectify(), head)
        self.gain = DC_MEAN_GAIN if neighbours else FIRST_MEAN_GAIN
        nn.init.normal_(head.weight, std=HEAD_NOISE)
        nn.init.zeros_(head.bias)

    def forward(self, state: Tensor, around: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        seen = torch.cat([state, signed_feature(around).flatten(2), log_feature(around).flatten(2)], -1)
        out: Tensor = super().forward(seen)  # type: ignore[no-untyped-call]
        return self.gain * out[..., :DC], scale_of(0.5 * out[..., DC:] + 0.5)


class Slice(nn.Module):
    """Slice 1..6.

    Attributes
    ----------
    context, head : state -> hidden layer -> parameters
    partial : features of the slice's own first pass -> hidden layer of the second
    linear, linear_partial : linear predictions from slices 0 and 1, and from the first pass; slices 1..3 only
    """

    def __init__(self, number: int, width: int, hidden: int) -> None:
        super().__init__()
        self.number, self.part = number, SLICES[number]
        self.context = nn.Conv2d(width, hidden, 1)
        self.partial = nn.Conv2d(feature_count(number), hidden, 3, padding=1, bias=False)
        self.head = nn.Conv2d(hidden, self.part.groups * HEAD[self.part.dim], 1)
        self.linear: nn.Conv2d | None = None
        self.linear_partial: nn.Conv2d | None = None
        if number <= LINEAR:
            size, lower = self.part.size, SLICES[min(number, 2)].start
            self.linear = nn.Conv2d(lower, size, 3, padding=1, bias=False)
            self.linear_partial = nn.Conv2d(size, size, 3, padding=1, bias=False)
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear_partial.weight)
        self._start_head()

    def _start_head(self) -> None:
        """Before anything is learned, most groups are zero, and probabilities fall with the norm."""
        dim = self.part.dim
        nn.init.normal_(self.head.weight, std=HEAD_NOISE)
        bias = torch.zeros(self.part.groups, HEAD[dim])
        if dim == 1:
            bias[:, 1] = SCALE_START[dim]
        else:
            scale = 1 + SHAPED[dim]
            bias[:, 0] = FLAG_START
            bias[:, 1 : 1 + dim] = QUERY_START
            bias[:, scale : scale + dim] = SCALE_START[dim]
        self.head.bias = nn.Parameter(bias.flatten())

    def forward(
        self,
        y: Tensor,
        state: Tensor,
        condition: Tensor,
        lower: Tensor,
        levels: Levels,
        choice: Choice,
        hint: Tensor | None = None,
        live: Tensor | None = None,
    ) -> CodedSlice:
        """Code the slice.

        Parameters
        ----------
        y : (B, size, h, w), in steps
        state : (B, width, h, w)
        condition : (B, hidden), of the quality
        lower : (B, 3 or 12, h, w), decoded slice 0, or 0 and 1
        hint : (B, hidden, h, w), what is known of the slice beforehand
        live : (h, w), the blocks that are coded; those of the others are 0
        """
        b, _, h, w = y.shape
        dim, groups = self.part.dim, self.part.groups
        hidden = self.context(state) + condition[:, :, None, None]
        hidden = hidden if hint is None else hidden + hint
        guess = self._predict(lower)
        decoded, bits, miss, symbols = torch.zeros(y.shape), torch.zeros(b), torch.zeros(()), 0
        for again, at in enumerate(among(checkerboard(h, w), live)):
            if len(at[0]) == 0:
                continue
            if again:
                hidden = hidden + self.partial(features_of(self.number, decoded))
                guess = guess if self.linear_partial is None else guess + self.linear_partial(decoded / UNIT)
            out = F.linear(taken(rectified(hidden), at), self.head.weight[:, :, 0, 0], self.head.bias)
            target, mean = (taken(x, at).reshape(b, -1, groups, dim) for x in (y, guess))
            code = self._code_numbers if dim == 1 else self._code_groups
            coded = code(target, mean, out.reshape(b, -1, groups, HEAD[dim]), levels, choice)
            decoded[:, :, at[0], at[1]] = coded.decoded.reshape(b, -1, self.part.size).permute(0, 2, 1)
            bits, miss, symbols = bits + coded.bits, miss + coded.miss, symbols + coded.symbols
        return CodedSlice(bits, decoded, miss, symbols)

    def _predict(self, lower: Tensor) -> Tensor:
        """Linear prediction (B, size, h, w), in steps. Kernels on slice 0 sum to 0: brightness predicts nothing."""
        if self.linear is None:
            return lower.new_zeros(len(lower), self.part.size, *lower.shape[2:])
        weight = self.linear.weight
        means = weight[:, :DC] - weight[:, :DC].mean((2, 3), keepdim=True)
        return F.conv2d(lower / UNIT, torch.cat([means, weight[:, DC:]], 1), padding=1)

    def _code_numbers(self, y: Tensor, mean: Tensor, out: Tensor, levels: Levels, choice: Choice) -> CodedSlice:
        """A pass of numbers: y, mean (B, n, g, 1), out (B, n, g, 2)."""
        mean = mean + MEAN_GAIN[1] * out[..., :1]
        rounded = to_units(mean)
        k = quantise(y - rounded / UNIT, choice.threshold)
        off = (y - mean) + (k - (y - mean)).detach()  # k, with a gradient to the mean
        bits = logistic_bits(off, scale_of(out[..., 1:]), REACH) + gamma_bits(k, REACH)
        return CodedSlice(bits.flatten(1).sum(1), rounded + k * UNIT, torch.zeros(()), k.numel())

    def _code_groups(self, y: Tensor, mean: Tensor, out: Tensor, levels: Levels, choice: Choice) -> CodedSlice:
        """A pass of groups: y, mean (B, n, g, d), out (B, n, g, HEAD[d])."""
        flag, query, scale, mean = self._split(out, mean)
        rounded = to_units(mean)
        r = y - rounded / UNIT
        flat = r.flatten(0, 2), query.flatten(0, 2), flag.flatten()
        k = retrieve(levels.of(self.part.dim), *flat, choice.weight).reshape(r.shape)
        nonzero = (k != 0).any(-1)  # (B, n, g)
        bits = F.softplus(torch.where(nonzero, -flag, flag)).sum((1, 2)) / math.log(2)
        words, symbols = levels.bits(k[nonzero], query[nonzero], scale[nonzero])
        bits = bits.index_add(0, nonzero.nonzero()[:, 0], words)
        return CodedSlice(bits, rounded + k * UNIT, self._miss(y, mean), flag.numel() + symbols)

    def _split(self, out: Tensor, mean: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Outputs of the head for groups -> flag (B, n, g), query (.., F), scale and mean (.., d)."""
        dim = self.part.dim
        used = (1, SHAPED[dim], dim, FREE)
        flag, shaped, scale, free, rest = torch.split(out, [*used, HEAD[dim] - sum(used)], -1)
        if dim in MEAN_GAIN:
            mean = mean + MEAN_GAIN[dim] * rest
        return flag[..., 0], torch.cat([shaped, free], -1), scale, mean

    def _miss(self, y: Tensor, mean: Tensor) -> Tensor:
        return torch.zeros(()) if self.linear is None else (y - mean).abs().mean()


class ScalarSlice(Slice):
    """The control: a slice whose groups are numbers, each under the logistic of its own scale.

    Networks, passes and means are those of `Slice`. The head's outputs for flags and codewords are left unused.
    """

    def _code_groups(self, y: Tensor, mean: Tensor, out: Tensor, levels: Levels, choice: Choice) -> CodedSlice:
        _, _, parameter, mean = self._split(out, mean)
        rounded, scale = to_units(mean), scale_of(parameter)
        k = retrieve_numbers(y - rounded / UNIT, scale, choice.weight)
        bits = logistic_bits(k, scale, REACH) + gamma_bits(k, REACH)
        return CodedSlice(bits.flatten(1).sum(1), rounded + k * UNIT, self._miss(y, mean), k.numel())
