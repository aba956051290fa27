"""Pictures that are alike, such as digits, sprites or tiles of a map <-> bytes, exactly, along wavefronts.

    pixels with one t = x + SLOPE y, in all pictures at once, see pixels with a smaller t

    known samples, place --> z --network--> logits, means, scales --> an anchor, or a sample of the mixture --> bytes

Of pictures that share a style much more can be known than of photos: where a pixel is matters, and so does every stroke
above it. So a network sees the samples themselves, many of them, and its own place; and it sees all that raster order
would show it but for the far right, which a photo's interlaced order (codec/residual.py) does not. (Autoregression in
raster order: PixelCNN, van den Oord et al. 2016; wavefronts: as in video coders that run on many cores.)
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.entropy import TOTAL, Decoder, Encoder, frequencies_from_logits
from codec.errors import ModelError
from codec.fronts import PLACES, REACH, SLOPE, Front, every, fronts, together
from codec.intnet import Carrier, Unit
from codec.lattice import AROUND, QUARTERS, Offset, View, logarithm, nearest
from codec.layers import Layers
from codec.mixture import OUTPUTS, TABLED, code_samples, mixture, tables
from codec.model import Model, verified
from codec.perceptron import perceptron
from codec.residual import Group, net_of, plain, self_test

__all__ = [
    "NEAR", "STRUCTURE", "TOP", "WIDE", "Alike", "Reader", "Writer",
    "alike", "build", "code_planes", "columns", "decode_planes", "encode_planes", "every", "features", "framed",
    "quiet", "seen", "seen_by", "self_test", "taken", "uniform",
]  # fmt: skip

STRUCTURE = "wavefront-logistics-1"  # the card's "structure": which networks the tensors are for
PLANES = 3
WIDE = 64  # pixels of its own plane that a pixel sees
NEAR = 24  # of those: where they are all the same, a small network will do
TOP = 255  # features stay within -TOP .. TOP, whatever the depth
SPREAD = 8 * 64  # means are in units of 8 grey levels, of 256
LARGEST = 65535
BATCH = 1 << 12  # pixels that the encoder works on at a time

CAUSAL = nearest(WIDE, lambda y, x: (y < 0 and x < -SLOPE * y) or (y == 0 and x < 0), REACH)
EARLIER = nearest(AROUND, lambda y, x: True, REACH)

Ints = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """The networks of a model of pictures that are alike.

    Attributes
    ----------
    nets : for each plane, 1 or 3, the network of lively pixels and that of quiet ones
    anchors : for each plane, grey levels with a logit of their own, such as black
    """

    nets: tuple[tuple[tuple[Unit, ...], tuple[Unit, ...]], ...]
    anchors: tuple[tuple[int, ...], ...]

    def units(self) -> Iterator[Unit]:
        return (unit for plane in self.nets for net in plane for unit in net)


def alike(model: Model) -> Alike:
    """Build the networks of a model, prove them exact, and check that this machine computes them right.

    Raises
    ------
    ModelError
        Not a model of this kind, tensors that do not fit, sums that could be inexact, or a machine that computes wrong.
    """
    return _alike(model.id, model)


@functools.lru_cache(maxsize=8)
def _alike(_: bytes, model: Model) -> Alike:
    return verified(model, STRUCTURE, "not for pictures that are alike", build, self_test)


def build(tensors: Mapping[str, NDArray[Any]]) -> Alike:
    """Networks from integer tensors, without the self-test; ModelError if they do not fit."""
    layers = Layers(tensors)
    built = taken(layers)
    layers.finish()
    return built


def taken(layers: Layers) -> Alike:
    """The networks among the tensors of a model that may hold more."""
    planes = PLANES if layers.has("10.0.bias") else 1
    count = layers.size("anchors", planes)
    values = layers.bounded("anchors", planes * count, low=-LARGEST, high=LARGEST).reshape(planes, count)
    nets = [
        tuple(net_of(layers, f"{plane}{kind}", columns(plane), TOP, count) for kind in range(2))
        for plane in range(planes)
    ]
    return Alike(tuple((lively, quiet) for lively, quiet in nets), tuple(tuple(row) for row in values.tolist()))


def encode_planes(built: Alike, groups: Sequence[Group], planes: Sequence[Ints]) -> bytes:
    """Code the planes of all groups, in their groups' ranges.

    planes : (H, W) integers each; or (n, H, W), n pictures whose samples are coded side by side
    """
    writer = Writer(Encoder())
    code_planes(built, groups, planes[0].shape, writer, planes)
    return writer.coder.getvalue()


def decode_planes(built: Alike, groups: Sequence[Group], shape: tuple[int, ...], data: bytes) -> list[Ints]:
    """The twin of `encode_planes`."""
    return code_planes(built, groups, shape, Reader(Decoder(data)), None)


class Writer(NamedTuple):
    """The encoder's side: what it is told is written, and handed back."""

    coder: Encoder

    def bits(self, ones: Any, decisions: Any) -> Any:
        self.coder.encode_bits(decisions, ones)
        return decisions

    def symbols(self, freqs: Any, symbols: Any) -> Any:
        self.coder.encode(symbols, freqs)
        return symbols


class Reader(NamedTuple):
    """The decoder's side: it is told nothing, and hands out what it reads."""

    coder: Decoder

    def bits(self, ones: Any, _: Any) -> Any:
        return self.coder.decode_bits(ones)

    def symbols(self, freqs: Any, _: Any) -> Any:
        return self.coder.decode(freqs)


def code_planes(
    built: Alike,
    groups: Sequence[Group],
    shape: tuple[int, ...],
    side: Writer | Reader,
    truths: Sequence[Ints] | None,
) -> list[Ints]:
    """The groups; in each its planes; in those the wavefronts."""
    if max(group.planes for group in groups) > len(built.nets):
        raise ModelError(f"the model codes {len(built.nets)} plane(s), and these pictures are in colour")
    stack = math.prod(shape[:-2]), shape[-2], shape[-1]
    found: list[Ints] = []
    frames: list[Carrier] = []  # of the group, as far as it has come
    members = [(each, plane) for each in groups for plane in range(each.planes)]
    for group, plane in members:
        low, high = group.range(plane)
        truth = None if truths is None else truths[len(found)].reshape(stack)
        here = np.full(stack, np.clip(built.anchors[plane][0], low, high), np.int32)  # what the corners are taken for
        equal = None if truth is None else np.array([truth.min() == truth.max()])
        if side.bits(np.array([TOTAL // 2]), equal)[0]:
            here[...] = plain((1, 1, 1), low, high, side.bits, truth)
            frames = [*(frames if plane else ()), framed(here, group.depth)]
        else:
            lively = _lively(stack, side, truth, int(here.flat[0]))
            frames = [*(frames if plane else ()), framed(here if truth is None else truth, group.depth)]
            flat, pixels = frames[-1].reshape(-1), here.reshape(-1)
            known = None if truth is None else truth.reshape(-1)
            for front, ends in together(lively, 0 if truth is None else BATCH):
                samples = _code_fronts(built, frames, front, ends, group, side, known)
                pixels[front.pixels] = samples
                flat[front.framed] = _levelled(samples, group.depth)
        found.append(here.reshape(shape))
    return found


def _lively(stack: tuple[int, int, int], side: Writer | Reader, truth: Ints | None, plain: int) -> Iterator[Front]:
    """The fronts without those at the beginning and at the end in which there is nothing, in any picture."""
    _, height, width = stack
    count, ends = width + SLOPE * (height - 1), None
    if truth is not None:
        _, y, x = np.nonzero(truth != plain)
        t = x + SLOPE * y
        ends = np.array([t.min(), count - 1 - t.max()] if len(t) else [count - 1, 0])
    first, last = uniform(side, count, ends, 2).tolist()
    found = itertools.islice(fronts(*stack), first, max(first, count - last))
    return (front for front in found if len(front.pixels))


def uniform(side: Writer | Reader, end: int, told: Ints | None, count: int = 1) -> NDArray[np.int64]:
    """`count` numbers in 0 .. end - 1 of which nothing is known, for end <= 2^15."""
    freqs = np.full((count, end), TOTAL // end, np.int32)
    freqs[:, 0] += TOTAL - freqs.sum(axis=1, dtype=np.int32)
    found: NDArray[np.int64] = side.symbols(freqs, told).astype(np.int64)
    return found


def _code_fronts(
    built: Alike,
    frames: Sequence[Carrier],
    front: Front,
    ends: Sequence[int],
    group: Group,
    side: Writer | Reader,
    known: Ints | None,
) -> NDArray[np.int32]:
    """Samples of n pixels: front by front which anchor each is, or none; then those that are none.

    The encoder has several fronts at once, since what pixels see is known to it; the decoder only one.

    ends : where each front ends
    known : samples of the whole plane, for the encoder
    """
    plane = len(frames) - 1
    anchors, (low, high) = built.anchors[plane], group.range(plane)
    o = _outputs(built, frames, front)
    logits = np.zeros((len(o), 1 + len(anchors)), np.float32)  # first that of none of the anchors
    logits[:, 1:] = o[:, OUTPUTS:]
    freqs = frequencies_from_logits(logits)
    truth = None if known is None else known[front.pixels]
    symbols = side.symbols(freqs, None) if truth is None else _places(truth, np.array(anchors))
    samples = np.array([0, *(min(max(low, anchor), high) for anchor in anchors)], np.int32)[symbols]
    others = np.flatnonzero(symbols == 0)
    rest, tabled = None if truth is None else truth[others], high - low < TABLED
    mix = mixture(o[others, :OUTPUTS], seen_by(plane, group.depth), not tabled)
    table = tables(mix, low, high, anchors) if tabled else None
    begin = first = 0
    for end, last in zip(ends, np.searchsorted(others, ends).tolist(), strict=True):
        if truth is not None:
            side.symbols(freqs[begin:end], symbols[begin:end])
        if first < last:
            told = None if rest is None else rest[first:last]
            if table is None:
                samples[others[first:last]] = code_samples(mix[:, first:last], low, high, side.bits, told)
            else:
                less = None if told is None else told - low
                samples[others[first:last]] = side.symbols(table[first:last], less) + low
        begin, first = end, last
    return samples


def _outputs(built: Alike, frames: Sequence[Carrier], front: Front) -> Carrier:
    """(n, OUTPUTS + A) outputs of the networks: that of lively pixels, and that of quiet ones."""
    plane = len(frames) - 1
    z, o = seen(frames, front), np.empty((len(front.pixels), OUTPUTS + len(built.anchors[plane])), np.float32)
    calm = quiet(z)
    for net, which in zip(built.nets[plane], (~calm, calm), strict=True):
        chosen = np.flatnonzero(which)
        if len(chosen):
            rows, columns_ = front.rows[chosen], front.columns[chosen]
            o[chosen] = perceptron(net, PLACES, TOP)(z[chosen], rows, columns_)
    return o


def _places(samples: Ints, anchors: Ints) -> NDArray[np.intp]:
    """1 + the number of the anchor that each sample is, or 0 if it is none."""
    equal = samples[:, None] == anchors
    places: NDArray[np.intp] = np.where(equal.any(axis=1), equal.argmax(axis=1) + 1, 0)
    return places


def columns(plane: int) -> int:
    """K: how many features a pixel has in a plane."""
    return WIDE + AROUND * plane + 2 * PLACES


def framed(plane: Ints, depth: int) -> Carrier:
    """A stack of planes (n, h, w) with black margins, in levels of 8 bits, as float32."""
    margin = (REACH, REACH)
    return np.pad(_levelled(plane, depth), ((0, 0), margin, margin))


def _levelled(samples: NDArray[Any], depth: int) -> Carrier:
    """Samples of `depth` bits, or differences of such -> integers in -TOP .. TOP."""
    levels = samples.astype(np.float32) * np.float32(2.0 ** (8 - depth))
    np.floor(levels, out=levels)
    np.maximum(levels, -TOP, out=levels)
    np.minimum(levels, TOP, out=levels)
    return levels


def features(frames: Sequence[Carrier], front: Front) -> Carrier:
    """What pixels see, and where they are: (n, K) integers in -TOP .. TOP.

    frames : planes of the group so far, of `framed`; the last one is the plane to code
    """
    places, each = np.zeros((len(front.pixels), 2 * PLACES), np.float32), np.arange(len(front.pixels))
    places[each, front.rows] = places[each, PLACES + front.columns] = TOP
    return np.concatenate([seen(frames, front), places], axis=1)


def seen(frames: Sequence[Carrier], front: Front) -> Carrier:
    """The features without places: known samples."""
    last, row = len(frames) - 1, frames[-1].shape[-1]
    z = np.empty((len(front.framed), columns(last) - 2 * PLACES), np.float32)
    z[:, :WIDE] = frames[-1].reshape(-1).take(front.framed[:, None] + _steps(CAUSAL, row))
    for p, frame in enumerate(frames[:-1]):
        first = WIDE + AROUND * p
        z[:, first : first + AROUND] = frame.reshape(-1).take(front.framed[:, None] + _steps(EARLIER, row))
    return z


@functools.lru_cache(maxsize=16)
def _steps(offsets: tuple[Offset, ...], row: int) -> NDArray[np.intp]:
    """How far offsets are in an array whose rows have that length."""
    return np.array([y * row + x for y, x in offsets])


def quiet(z: Carrier) -> NDArray[np.bool_]:
    """(n,) whether the known samples nearest to a pixel are all the same."""
    near: NDArray[np.bool_] = (z[:, :NEAR] == z[:, :1]).all(axis=1)
    return near


@functools.lru_cache(maxsize=64)
def seen_by(plane: int, depth: int) -> View:
    """The view of all pixels of a plane, without features: they have one base and spread."""
    base = np.array([0 if plane else QUARTERS << (depth - 1)], np.float32)
    spread = np.array([SPREAD << max(depth - 8, 0)], np.float32)
    return View(np.empty((1, 0), np.float32), base, spread, logarithm(spread))
