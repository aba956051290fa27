"""Samples of a tile <-> bytes, exactly: interlaced levels, each phase in parallel by a small integer network.

    known pixels --lattice.view--> z --network--> logits, means, scales --mixture--> decisions --range coder--> bytes

(Interlacing: FLIF, Sneyers and Wuille 2016; networks that refine a picture scale by scale: SReC, Cao et al. 2020; the
mixtures: PixelCNN++, Salimans et al. 2017.) Encoder and decoder walk the same levels, planes and phases, and differ in
what the coder's side does with a decision. Planes come in groups: a plane sees itself and those before it in its group.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codec import intnet, lattice
from codec.entropy import TOTAL, Decoder, Encoder
from codec.intnet import Carrier, Unit
from codec.lattice import MARGIN, PHASES, QUARTERS
from codec.layers import Input, Layers, chained
from codec.mixture import OUTPUTS, Code, code_samples, mixture
from codec.mixture import self_test as mixture_self_test
from codec.model import Model, verified

__all__ = [
    "ACTIVATION",
    "STRUCTURE",
    "Group",
    "Residual",
    "build",
    "decode_planes",
    "encode_planes",
    "net_of",
    "outputs",
    "plain",
    "residual",
]

STRUCTURE = "interlaced-logistics-1"  # the card's "structure": which networks the tensors are for
ACTIVATION = 64  # integers per unit of a hidden layer's output
HIGHEST = 2047  # hidden outputs stay in 0 .. HIGHEST
FARTHEST = 2047  # outputs stay in -FARTHEST .. FARTHEST
PLANES = 3
DEEPEST = 8  # hidden layers of a network
SMALL = 128  # pixels: up to this side the levels go down to one pixel; they are few, and every bit counts
LEFT_OUT = 3  # levels that a larger tile does not have: they save no bytes that would show, and take their time
BLOCK = 1 << 10  # pixels that go through a network at a time
STRIP = 1 << 13  # pixels of a phase that are coded in one go

Ints = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Residual:
    """The networks of a lossless model.

    Attributes
    ----------
    nets : hidden layers and head, by plane and phase; all levels share them
    """

    nets: tuple[tuple[tuple[Unit, ...], ...], ...]

    def units(self) -> Iterator[Unit]:
        return (unit for plane in self.nets for net in plane for unit in net)


@dataclass(frozen=True, slots=True)
class Group:
    """Planes that are coded together, 1 or 3: luma, or luma and two differences.

    Attributes
    ----------
    planes : how many
    depth : bits of a sample, 1 .. 16; differences have one more, and a sign
    """

    planes: int
    depth: int

    def range(self, plane: int) -> tuple[int, int]:
        """Smallest and largest value of a plane."""
        most = (1 << self.depth) - 1
        return (-most if plane else 0), most


def residual(model: Model) -> Residual:
    """Build the networks of a model, prove them exact, and check that this machine computes them right.

    Raises
    ------
    ModelError
        Not a lossless model, tensors that do not fit, sums that could be inexact, or a machine that computes wrong.
    """
    return _residual(model.id, model)


@functools.lru_cache(maxsize=4)
def _residual(_: bytes, model: Model) -> Residual:
    return verified(model, STRUCTURE, "not lossless", build, self_test)


def build(tensors: Mapping[str, NDArray[Any]]) -> Residual:
    """Networks from integer tensors, without the self-test; ModelError if they do not fit."""
    layers = Layers(tensors)
    nets = tuple(
        tuple(net_of(layers, f"{plane}{phase}", lattice.columns(plane, phase)) for phase in range(len(PHASES)))
        for plane in range(PLANES)
    )
    layers.finish()
    return Residual(nets)


def net_of(layers: Layers, name: str, columns: int, most: int = lattice.CLIP, anchors: int = 0) -> tuple[Unit, ...]:
    """Hidden layers, as many as there are tensors for, and a head, for features in -most .. most."""
    count = next((i for i in range(DEEPEST) if not layers.has(f"{name}.{i + 1}.bias")), DEEPEST)
    entry, units = Input(columns, -most, most), list[Unit]()
    for i in range(count):
        width = layers.size(f"{name}.{i}.bias")
        units.append(layers.unit(f"{name}.{i}", (entry,), width, 0, HIGHEST))
        entry = Input(width, 0, HIGHEST)
    return chained(*units, layers.unit(f"{name}.{count}", (entry,), OUTPUTS + anchors, -FARTHEST, FARTHEST))


class Networks(Protocol):
    """Whatever has units and mixtures: these networks, those of alike.py, and those of sprites.py."""

    def units(self) -> Iterator[Unit]: ...


def self_test(built: Networks, engine: Any = None) -> str:
    """Digest of all layers' outputs, and of the mixtures' probabilities, for fixed inputs.

    `engine` as for `intnet.self_test`.
    """
    digest = hashlib.blake2b(digest_size=8)
    for unit in built.units():
        digest.update(intnet.self_test(unit, engine))
    digest.update(mixture_self_test())
    return digest.hexdigest()


def encode_planes(built: Residual, groups: Sequence[Group], planes: Sequence[Ints]) -> bytes:
    """Code the planes of all groups, in their groups' ranges.

    planes : (H, W) integers each; or (n, H, W), n pictures whose samples are coded side by side
    """
    encoder = Encoder()

    def code(ones: Any, decisions: Any) -> Any:
        encoder.encode_bits(decisions, ones)
        return decisions

    _walk(built, groups, planes[0].shape, code, planes)
    return encoder.getvalue()


def decode_planes(
    built: Residual, groups: Sequence[Group], shape: tuple[int, ...], data: bytes, skip: int = 0
) -> list[Ints]:
    """The twin of `encode_planes`: the planes, or every 2^skip-th row and column of them."""
    decoder = Decoder(data)
    return _walk(built, groups, shape, lambda ones, _: decoder.decode_bits(ones), None, skip)


def _walk(
    built: Residual,
    groups: Sequence[Group],
    shape: tuple[int, ...],
    code: Code,
    planes: Sequence[Ints] | None,
    skip: int = 0,
) -> list[Ints]:
    """Levels, from coarse to fine; in each the groups; in those their planes, phase by phase."""
    longest = max(shape[-2:])
    levels = (longest - 1).bit_length() - (LEFT_OUT if longest > SMALL else 0)

    def size(level: int) -> tuple[int, ...]:
        return (*shape[:-2], -(-shape[-2] >> level), -(-shape[-1] >> level))

    members = [(group, plane) for group in groups for plane in range(group.planes)]
    truths: Sequence[Ints | None] = planes or [None] * len(members)
    current: list[Ints] = []
    constant: list[bool] = []
    for (group, plane), truth in zip(members, truths, strict=True):
        low, high = group.range(plane)
        equal = None if truth is None else np.array([truth.min() == truth.max()])
        constant.append(bool(code(np.array([TOTAL // 2]), equal)[0]))
        coarse = plain((1,) * len(shape) if constant[-1] else size(levels), low, high, code, _every(truth, levels))
        current.append(np.broadcast_to(coarse, size(levels)))
    for level in range(levels - 1, skip - 1, -1):
        framed: list[Carrier] = []  # of the group, as far as it has come
        for number, (group, plane) in enumerate(members):
            here = np.repeat(np.repeat(current[number], 2, axis=-2), 2, axis=-1)  # what is not known yet looks alike
            current[number] = here = here[..., : size(level)[-2], : size(level)[-1]]
            framed = [*framed, _framed(here, group)] if plane else [_framed(here, group)]
            for phase in range(len(PHASES)) if not constant[number] else ():
                _code_phase(built, group, level, phase, framed, here, code, _every(truths[number], level))
                framed[-1] = _framed(here, group)
    return [plane[..., :: 1 << max(0, skip - levels), :: 1 << max(0, skip - levels)] for plane in current]


def _code_phase(
    built: Residual,
    group: Group,
    level: int,
    phase: int,
    framed: Sequence[Carrier],
    here: Ints,
    code: Code,
    truth: Ints | None,
) -> None:
    """A phase of a plane, strip by strip, into `here`. Nothing in it depends on what is coded in the phase itself."""
    plane = len(framed) - 1
    part = here[..., PHASES[phase].top :: 2, PHASES[phase].left :: 2]
    known = None if truth is None else truth[..., PHASES[phase].top :: 2, PHASES[phase].left :: 2]
    height, row = part.shape[-2], part.size // max(part.shape[-2], 1)  # pixels of a row, in all pictures
    step = max(1, STRIP // max(row, 1))
    for top in range(0, height if row else 0, step):
        rows = slice(top, min(top + step, height))
        seen = lattice.view(framed, phase, level, group.depth, rows)
        mix = mixture(outputs(built.nets[plane][phase], seen.z), seen)
        samples = None if known is None else known[..., rows, :].ravel()
        found = code_samples(mix, *group.range(plane), code, samples)
        part[..., rows, :] = found.reshape(part[..., rows, :].shape)


def _every(plane: Ints | None, level: int) -> Ints | None:
    """The pixels of a plane that are on a level."""
    return None if plane is None else plane[..., :: 1 << level, :: 1 << level]


def outputs(net: Sequence[Unit], z: Carrier) -> Carrier:
    """Outputs (n, O) of a network, block by block: what is worked on stays in the processor's cache."""
    out = np.empty((len(z), len(net[-1].bias)), np.float32)
    for top in range(0, len(z), BLOCK):
        x = z[top : top + BLOCK]
        for unit in net:
            x = intnet.run(unit, x)
        out[top : top + BLOCK] = x
    return out


def _framed(plane: Ints, group: Group) -> Carrier:
    """A plane in quarters with a margin that mirrors it: an even row of the margin mirrors an even row."""
    carrier = np.float32 if group.depth <= 12 else np.float64
    margins = [(0, 0)] * (plane.ndim - 2) + [(MARGIN, MARGIN)] * 2
    return np.pad(plane.astype(carrier) * QUARTERS, margins, mode="reflect")


def plain(shape: tuple[int, ...], low: int, high: int, code: Code, truth: Ints | None) -> Ints:
    """Numbers that nothing is known of, bit by bit."""
    values = np.zeros(math.prod(shape), np.int32)
    offset = None if truth is None else truth.ravel()[: len(values)] - low
    ones = np.full(len(values), TOTAL // 2, np.int32)
    for bit in range((high - low).bit_length()):
        decisions = code(ones, None if offset is None else offset >> bit & 1)
        values |= decisions.astype(np.int32) << bit
    return np.minimum(values + low, high).reshape(shape)  # a hostile stream may hold more
