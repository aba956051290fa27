"""Clips in archives: those that are alike share a video file, in which each is a group.

    clip --encode_video--> file       files of one size, rate and model, each of one group --together--> block

A block of clips is an ordinary file of kind VIDEO (video.py), and the index says how many clips it holds: one, with
all its groups; or as many as it has groups. A group decodes by itself, and so does every clip. What a clip costs
besides its data are 7 bytes of a chunk, and its share of a header that up to `TOGETHER` clips have in common.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from typing import Any, NamedTuple

from codec.clip import Clip
from codec.container import Chunk, Header, pack, spell, unpack
from codec.errors import CorruptStream
from codec.group import DIGEST
from codec.limits import DEFAULT, Limits
from codec.model import Model
from codec.sprites import STRUCTURE
from codec.video import decode_video, encode_video, plan_of

__all__ = ["Film", "Reel", "encode_clip", "is_of_sprites", "reel_of", "together"]

TOGETHER = 64  # clips that share a file at most: what is looked through, not decoded, for one of them
FRAMES = 1 << 16  # that they have at most


class Film(NamedTuple):
    """A clip and its name; clips of an array have none."""

    name: str
    clip: Clip


@dataclass(frozen=True, slots=True)
class Reel:
    """What a block says of its clips without decoding them.

    Attributes
    ----------
    width, height, channels, rate : of all of them
    starts : frame of the file at which each begins, and the number of all frames
    model_id : of the model that they need
    """

    width: int
    height: int
    channels: int
    rate: Fraction
    starts: tuple[int, ...]
    model_id: bytes

    def frames(self, within: int) -> slice:
        """Of one of the clips, in the file."""
        return slice(self.starts[within], self.starts[within + 1])


def encode_clip(model: Model | None, clip: Clip, *, quality: float | None, verify: bool) -> bytes:
    """The file of a clip: exact, or with loss if there is a quality; see `encode_video`.

    Parameters
    ----------
    model : None to choose one that suits the clip
    verify : decode it, and compare digests; `Desync` if they differ
    """
    lossless = quality is None
    data = encode_video(clip, rate=clip.rate, quality=quality or 0, lossless=lossless, model=model, threads=1)
    if verify:
        for _ in decode_video(data, model=model, threads=1):
            pass
    return data


def together(films: Iterable[tuple[int, bytes]]) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """Files of clips, with their numbers -> blocks, with the numbers of the clips in each, in their order.

    Files of one group share a block if size, rate and model are the same; others stay as they are.
    """
    waiting: dict[tuple[Any, ...], list[tuple[int, int, bytes]]] = {}  # numbers, frames, groups
    for number, data in films:
        header, chunks = unpack(data)
        plan = plan_of(header, chunks)
        if len(plan.groups) > 1:
            yield (number,), data
            continue
        group, frames = plan.groups[0]
        head = replace(header, frames=1, digest=bytes(DIGEST))  # what is alike
        found = waiting.setdefault((head, plan.rate), [])
        if found and (len(found) == TOGETHER or sum(each[1] for each in found) + frames > FRAMES):
            yield _block(head, plan.rate, found)
            found.clear()
        found.append((number, frames, group))
    for (head, rate), found in waiting.items():
        yield _block(head, rate, found)


def reel_of(data: bytes, count: int, limits: Limits = DEFAULT) -> Reel:
    """What a block of `count` clips says of them.

    Raises
    ------
    CodecError
        It is no video file, or not one of so many clips.
    """
    header, chunks = unpack(data, limits)
    plan = plan_of(header, chunks)
    frames = [number for _, number in plan.groups]
    if count == 1:
        frames = [header.frames]
    elif len(frames) != count:
        raise CorruptStream(f"a block of {count:,} clips with {len(frames):,} groups")
    starts = tuple(accumulate(frames, initial=0))
    return Reel(header.width, header.height, header.channels, plan.rate, starts, header.model_id)


def is_of_sprites(model: Model) -> bool:
    """Whether a model knows things that move, and pictures alone not."""
    return model.card.get("structure") == STRUCTURE


def _block(head: Header, rate: Fraction, found: list[tuple[int, int, bytes]]) -> tuple[tuple[int, ...], bytes]:
    """Numbers of the clips, and the video file that has them as its groups."""
    numbers, counts, groups = zip(*found, strict=True)
    digest = hashlib.blake2b(b"".join(group[1 : 1 + DIGEST] for group in groups)).digest()[:DIGEST]
    plan = Chunk("P", spell([rate.numerator, rate.denominator, *counts]))
    header = replace(head, frames=sum(counts), digest=digest)
    return numbers, pack(header, [plan, *(Chunk("G", group) for group in groups)])
