"""Main path for video: frames <-> a file's bytes, group by group.

    encode  frames --groups: an intra frame, and what is new in those after it--> data --container--> bytes
    decode  bytes --container--> data --group by group--> frames

Memory does not grow with the length of the clip, but for the compressed bytes: the lossy codec holds a few frames at a
time, the exact one a group. Each group decodes by itself, so a frame in the middle costs one group. See group.py.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.clip import DEFAULT_RATE, Clip, Frame
from codec.container import Chunk, Header, Kind, numbers, pack, spell, unpack
from codec.errors import CorruptStream, Desync, EncodeError, ModelMismatch, UnsupportedInput, UnsupportedVersion
from codec.footage import footage
from codec.group import DIGEST, LARGEST_FRAME, LossyGroup, Way, decode_group, encode_exact, way_of
from codec.limits import DEFAULT, Limits
from codec.model import Model, find_model, load_model, models
from codec.prior import STEPS
from codec.sprites import STRUCTURE, encode_group, sprites
from codec.tile import networks

__all__ = ["Plan", "decode_video", "encode_video", "plan_of"]

INTERVAL = 4.0  # seconds from one intra frame to the next, at most
LARGEST_RATE = 1 << 32  # numerator and denominator are at most this
LONGEST_NUMBER = 9  # bytes
GROUP_SAMPLES = 1 << 27  # of a group that is held as a whole

U8 = NDArray[np.uint8]
Progress = Callable[[int, int], None]  # frames done, frames; 0 if nobody knows


@dataclass(frozen=True, slots=True)
class Plan:
    """What a video file says of its groups: chunk P, read together with the header and the groups.

    Attributes
    ----------
    rate : frames a second
    groups : data and number of frames of each
    """

    rate: Fraction
    groups: tuple[tuple[bytes, int], ...]


def encode_video(
    frames: Iterable[Frame],
    *,
    rate: Fraction = DEFAULT_RATE,
    quality: float = 50,
    lossless: bool = False,
    model: Model | None = None,
    interval: float = INTERVAL,
    effort: int = 5,
    threads: int = 0,
    progress: Progress | None = None,
) -> bytes:
    """Compress a clip.

    Parameters
    ----------
    frames : (H, W) or (H, W, 3) uint8, all of one shape; they are read once, one after the other
    rate : frames a second
    quality : 0 (smallest) .. 100 (best), as for photos
    lossless : keep every sample; `quality` has no meaning then
    model : one of video, or of photos; for lossless video a lossless one, or one of things that move. None chooses
    interval : seconds from one intra frame to the next, at most
    effort : 1 .. 9
    threads : 0 for as many as there are cores. The bytes do not depend on it.

    Raises
    ------
    EncodeError
        There are no frames, or they are not of one shape.
    """
    if not 0 <= quality <= 100 or not 1 <= effort <= 9 or interval <= 0:
        raise ValueError(f"quality is 0 .. 100, effort 1 .. 9, interval positive; not {quality}, {effort}, {interval}")
    if not 0 < rate.numerator <= LARGEST_RATE or rate.denominator > LARGEST_RATE:
        raise UnsupportedInput(f"a rate of {rate} frames/s; positive fractions of numbers up to 2^32 are coded")
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise EncodeError("the clip has no frames")
    stream = _alike(itertools.chain([first], frames), progress)
    longest = max(1, round(interval * rate))
    if lossless:
        longest = min(longest, max(1, GROUP_SAMPLES // first.size))
        model, groups = _exact_groups(stream, longest, model, effort, threads)
    else:
        if first.shape[0] * first.shape[1] > LARGEST_FRAME:
            raise UnsupportedInput(f"frames of {first.shape[1]} x {first.shape[0]} pixels; lossy video has up to 2^25")
        model = model or load_model("video")
        groups = _lossy_groups(stream, longest, model, round(quality / 100 * (STEPS - 1)), effort, threads)
    coded = list(groups)
    plan = spell([rate.numerator, rate.denominator, *(count for _, count in coded)])
    chunks = [Chunk("P", plan), *(Chunk("G", data) for data, _ in coded)]
    total, channels = sum(count for _, count in coded), 1 if first.ndim == 2 else first.shape[2]
    check = _digest([data for data, _ in coded])
    return pack(Header(Kind.VIDEO, first.shape[1], first.shape[0], channels, 8, total, model.id, check), chunks)


def decode_video(
    data: bytes,
    frames: slice | None = None,
    *,
    model: Model | None = None,
    limits: Limits = DEFAULT,
    threads: int = 0,
    progress: Progress | None = None,
) -> Clip:
    """Decompress a clip, or some of its frames. The file is checked at once, frames are decoded as they are asked for.

    Parameters
    ----------
    data : a whole file of kind VIDEO
    frames : of these alone, and groups without any of them are not decoded; the step has to be positive
    model : the model it was made with; None to look it up by the id in the header

    Raises
    ------
    CodecError
        And nothing else, whatever the bytes; iterating raises it, too. `Desync` comes after the frames it is about.
    """
    header, chunks = unpack(data, limits)
    plan = plan_of(header, chunks)
    model = model or find_model(header.model_id)
    if model.id != header.model_id:
        raise ModelMismatch(f"the file needs model {header.model_id.hex()}, not {model.id.hex()} ({model.name})")
    wanted = range(header.frames)[frames or slice(None)]
    if wanted.step < 0:
        raise ValueError("frames are decoded forwards")
    rate, chosen = plan.rate / wanted.step, model

    def source() -> Iterator[Frame]:
        shape, start, done = (header.height, header.width, header.channels), 0, 0
        for group, count in plan.groups:
            last = _last_before(wanted, start + count)
            if last is not None and last >= start:
                decoded = decode_group(chosen, group, count, shape, threads, limits)
                for number, frame in enumerate(decoded, start):
                    if number in wanted:
                        yield frame[..., 0] if header.channels == 1 else frame
                        done += 1
                        if progress:
                            progress(done, len(wanted))
                    if number == wanted[-1] < start + count - 1:  # the digest of a group is compared at its end
                        return
            start += count

    return Clip(header.width, header.height, header.channels, rate, len(wanted), source)


def plan_of(header: Header, chunks: tuple[Chunk, ...]) -> Plan:
    """The plan of a video file, checked against its header and its groups.

    Raises
    ------
    UnsupportedVersion
        A file of another kind, or samples of a kind that this version does not know.
    CorruptStream, Desync
        Header, plan and groups do not fit together.
    """
    if header.kind != Kind.VIDEO:
        raise UnsupportedVersion(f"a file of kind {header.kind.name}, expected VIDEO")
    if header.channels not in (1, 3) or header.bit_depth != 8:
        found = f"{header.channels} channels of {header.bit_depth} bits"
        raise UnsupportedVersion(f"a video of {found}; this version of the codec knows 1 or 3 channels of 8 bits")
    plan = next((chunk.data for chunk in chunks if chunk.type == "P"), None)
    groups = [chunk.data for chunk in chunks if chunk.type == "G"]
    if plan is None:
        raise CorruptStream("a video without a plan, chunk P")
    values = numbers(plan) if len(plan) <= LONGEST_NUMBER * (2 + len(groups)) else []
    if len(values) != 2 + len(groups) or not all(values) or max(values[:2]) > LARGEST_RATE:
        raise CorruptStream(f"a plan of {len(values)} numbers for {len(groups)} groups, or one that is 0 or too large")
    rate, counts = Fraction(values[0], values[1]), values[2:]
    if rate.denominator != values[1]:
        raise CorruptStream(f"a rate of {values[0]}/{values[1]}, which is not in lowest terms")
    if sum(counts) != header.frames:
        raise CorruptStream(f"groups of {sum(counts)} frames in a video of {header.frames}")
    for group in groups:
        way_of(group)
    if _digest(groups) != header.digest:
        raise Desync("all checksums fit, but the groups are not those that the header was written for")
    return Plan(rate, tuple(zip(groups, counts, strict=True)))


def _lossy_groups(
    frames: Iterator[U8], longest: int, model: Model, step_index: int, effort: int, threads: int
) -> Iterator[tuple[bytes, int]]:
    built = footage(model)
    group = LossyGroup(built, step_index, effort, threads)
    for frame in frames:
        if len(group) == longest or not group.add(frame):
            yield group.getvalue(), len(group)
            group = LossyGroup(built, step_index, effort, threads)
            group.add(frame)
    yield group.getvalue(), len(group)


def _exact_groups(
    frames: Iterator[U8], longest: int, model: Model | None, effort: int, threads: int
) -> tuple[Model, Iterator[tuple[bytes, int]]]:
    """The model, which the first group decides on if none is named, and the groups."""
    held = list(itertools.islice(frames, longest))
    coded = None
    if model is None:
        model, coded = _suited(held)
    built: Any = sprites(model) if _moves(model) else networks(model)

    def groups() -> Iterator[tuple[bytes, int]]:
        yield coded or encode_exact(built, held, effort, threads), len(held)
        while group := list(itertools.islice(frames, longest)):
            yield encode_exact(built, group, effort, threads), len(group)

    return model, groups()


def _suited(frames: list[U8]) -> tuple[Model, bytes | None]:
    """A model of things that move, if one has what the frames show, and their group; otherwise the general one."""
    if frames[0].shape[2] == 1:
        for model in filter(_moves, map(load_model, models())):
            data = encode_group(sprites(model), np.stack(frames)[..., 0])
            if data is not None:
                return model, bytes([Way.SPRITES]) + data
    return load_model("lossless"), None


def _moves(model: Model) -> bool:
    return model.card.get("structure") == STRUCTURE


def _alike(frames: Iterator[Frame], progress: Progress | None) -> Iterator[U8]:
    """The frames as (H, W, C), looked at as they pass by."""
    shape: tuple[int, ...] | None = None
    for number, frame in enumerate(frames):
        shape = shape or frame.shape
        if frame.dtype != np.uint8 or frame.ndim not in (2, 3) or frame.size == 0 or frame.shape[2:] not in ((), (3,)):
            raise UnsupportedInput(f"frame {number} is {frame.shape} {frame.dtype}; (H, W) or (H, W, 3) uint8 is coded")
        if frame.shape != shape:
            raise EncodeError(f"frame {number} is {frame.shape}, the ones before it {shape}; scale them to one size")
        yield np.ascontiguousarray(frame.reshape(*frame.shape[:2], -1))
        if progress:
            progress(number + 1, 0)


def _last_before(wanted: range, stop: int) -> int | None:
    """The last of the wanted numbers that is below `stop`."""
    below = range(wanted.start, min(wanted.stop, stop), wanted.step)
    return below[-1] if below else None


def _digest(groups: list[bytes]) -> bytes:
    """Of the digests of all groups, so that they cannot be exchanged."""
    return hashlib.blake2b(b"".join(group[1 : 1 + DIGEST] for group in groups)).digest()[:DIGEST]
