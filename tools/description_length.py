"""Two-part codes in bytes that are written: archives with a model in them and without, at coarser and coarser weights.

    L(H) + L(D|H)    H: the general model, which costs nothing, or a model of their own, which lies in the archive

(Rissanen 1978; Grünwald 2007.) H is a model file, D|H the rest of the archive of the first n pictures. A weight that is
coarser by a bit is shorter by about a bit, and the data become longer: where the sum is least, theory expects about
(1/2) log2 n bits a weight, (k/2) log2 n for k weights (Rissanen's stochastic complexity without its constant).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.catalogue import BLOCK_PIXELS, Block, Catalogue, Look, runs, write_catalogue
from codec.container import Chunk, Header, Kind, pack
from codec.digest import sample_bytes
from codec.jobs import Progress, in_order
from codec.model import Model, unpack_model
from codec.picture import Image
from codec.tile import Plan, encode_tile, networks
from tools.rate_distortion import MeasureError
from training.residual_export import lossless_model, residual_state

__all__ = ["Archives", "Pictures", "Precision", "counts_up_to", "precisions", "rissanen", "state_of", "weights_of"]

CHUNK = 7  # bytes of a block that its data do not tell: type, length, checksum
COARSER = tuple(range(13))  # bits that weights may lack of the finest
NAME = "style"  # on the card


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Pictures of one look, in their order.

    Attributes
    ----------
    samples : (n, h, w, 1 or 3) unsigned integers
    depth : bits of a sample
    left_out : pictures of other looks
    without_alpha : whether there was alpha, which is not measured
    """

    samples: NDArray[Any]
    depth: int
    left_out: int = 0
    without_alpha: bool = False

    @classmethod
    def of(cls, images: Iterable[Image]) -> Pictures:
        """Those of the most frequent look; MeasureError if no picture is small and plain enough to share a block."""
        groups: dict[Look, list[Image]] = {}
        count = 0
        for image in images:
            count += 1
            if (look := Look.of(image)) is not None:
                groups.setdefault(look._replace(alpha=False), []).append(image)
        if not groups:
            what = f"at most {BLOCK_PIXELS:,} pixels, without palette, profile and EXIF"
            raise MeasureError(f"none of the pictures can stand beside another: that takes {what}")
        look, mine = max(groups.items(), key=lambda group: (len(group[1]), group[0]))
        alpha = any(image.alpha is not None for image in mine)
        return cls(np.stack([image.colour for image in mine]), look.depth, count - len(mine), alpha)

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def digest(self) -> str:
        """Of the samples."""
        return hashlib.blake2b(sample_bytes(self.samples), digest_size=8).hexdigest()

    @property
    def look(self) -> Look:
        _, height, width, channels = self.samples.shape
        return Look(height, width, channels, False, self.depth)

    @property
    def plan(self) -> Plan:
        return self.look.plan(0)

    def spread(self, count: int) -> Pictures:
        """At most `count` of the pictures, evenly spread."""
        return replace(self, samples=self.samples[:: -(-len(self) // count)])


class Archives:
    """Archives of the first n pictures by one model. What they share is coded once.

    Parameters
    ----------
    embed : the model's file, if it goes into the archives
    """

    def __init__(
        self,
        pictures: Pictures,
        model: Model,
        embed: bytes | None = None,
        *,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> None:
        self._pictures, self._model, self._embed = pictures, model, embed
        self._built = networks(model)
        whole = _starts(self._layout(len(pictures)))
        jobs = ((place, partial(self._code, *place)) for place in whole)
        self._blocks: dict[tuple[int, int], bytes] = {}
        for place, data in in_order(jobs, threads, len(whole)):
            self._blocks[place] = data
            if progress:
                progress(len(self._blocks), len(whole))

    @property
    def data(self) -> int:
        """Bits of the blocks of all pictures."""
        return sum(8 * (len(self._blocks[place]) + CHUNK) for place in _starts(self._layout(len(self._pictures))))

    @property
    def borders(self) -> list[int]:
        """Numbers of pictures that fill blocks, and of all pictures."""
        return [first + count for first, count in _starts(self._layout(len(self._pictures)))]

    def bits(self, count: int) -> int:
        """Length of the archive of the first `count` pictures, model and index and all."""
        look, layout = self._pictures.look, self._layout(count)
        for place in _starts(layout):
            if place not in self._blocks:  # the end of this archive, the middle of a block of a longer one
                self._blocks[place] = self._code(*place)
        blocks = [Chunk("B", self._blocks[place]) for place in _starts(layout)]
        dimensions = 3 if look.channels == 1 else 4
        index = write_catalogue(Catalogue(tuple(layout), 0, dimensions, (), np.arange(count)))
        header = Header(Kind.ARCHIVE, look.width, look.height, look.channels, look.depth, count, self._model.id)
        own = [Chunk("M", self._embed)] if self._embed else []
        return 8 * len(pack(header, [*own, Chunk("I", index), *blocks]))

    def _layout(self, count: int) -> list[Block]:
        return list(runs([self._pictures.look] * count))

    def _code(self, first: int, count: int) -> bytes:
        return encode_tile(self._built, self._pictures.plan, self._pictures.samples[first : first + count], None)


def _starts(layout: Sequence[Block]) -> list[tuple[int, int]]:
    """First picture and number of pictures of each block."""
    found, first = [], 0
    for block in layout:
        found.append((first, block.count))
        first += block.count
    return found


@dataclass(frozen=True, slots=True)
class Precision:
    """A model at one precision of its weights.

    Attributes
    ----------
    coarser : bits that the weights lack of the finest ones that are exact in float32
    model : bits of the model file
    data : bits of all pictures, from those that were coded
    """

    coarser: int
    model: int
    data: float
    file: bytes = field(repr=False, compare=False)

    @property
    def total(self) -> float:
        return self.model + self.data


def precisions(
    state: Mapping[str, NDArray[Any]],
    pictures: Pictures,
    sample: int,
    coarser: Sequence[int] = COARSER,
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> list[Precision]:
    """A trained model at coarser and coarser weights; `sample` pictures are coded, and stand for all.

    Parameters
    ----------
    state : arrays of the float networks by name, as of `training.style.Style`
    """
    some, found = pictures.spread(sample), list[Precision]()
    for number, each in enumerate(coarser, 1):
        file = lossless_model(dict(state), coarser=each, name=NAME)
        archives = Archives(some, unpack_model(file), threads=threads)
        data = archives.data * len(pictures) / len(some)
        found.append(Precision(each, 8 * len(file), data, file))
        if progress:
            progress(number, len(coarser))
    return found


def state_of(model: Model) -> dict[str, NDArray[Any]]:
    """The float networks of a model file, to export them again."""
    networks(model)  # which raises a ModelError if it is of another kind
    return residual_state(model.tensors)


def weights_of(state: Mapping[str, NDArray[Any]]) -> int:
    """k: weights and biases of the networks."""
    return sum(value.size for name, value in state.items() if name.startswith("nets."))


def rissanen(weights: int, count: int) -> float:
    """(k/2) log2 n, in bits."""
    return weights / 2 * math.log2(count)


def counts_up_to(count: int) -> Iterator[int]:
    """1, 2, 5, 10, 20, ... below a number, and the number."""
    yield from (m * 10**e for e in range(len(str(count))) for m in (1, 2, 5) if m * 10**e < count)
    yield count
