"""The lossy videos of the conformance pack: what a decoder has to decode, and what it has to refuse."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import entropy
from codec.container import Chunk, join, pack, spell, split, unpack
from codec.errors import CorruptStream, Desync, LimitExceeded, ModelMismatch, TruncatedStream, UnsupportedVersion
from codec.field import Field, FieldCoder
from codec.footage import footage
from codec.group import Way
from codec.image import decode_tiles
from codec.interframe import Past, decode_frame
from codec.model import Model
from codec.motion import FARTHEST
from codec.video import decode_video, encode_video
from tools.streams import Bad, any_file
from tools.synthetic import picture

__all__ = ["decode_stacked", "invalid_inter", "invalid_video", "valid_inter", "valid_video"]

Make = Callable[[Model], bytes]
Frames = list[NDArray[np.uint8]]
HEAD = 5  # bytes of a group before its parts


def valid_video() -> dict[str, Make]:
    """Streams by name."""
    made: dict[str, Make] = {}
    for height, width, channels in ((1, 1, 3), (16, 16, 1), (17, 40, 3), (50, 35, 1), (70, 130, 3)):
        colour = "grey" if channels == 1 else "rgb"
        made[f"video-{colour}-{width}x{height}"] = partial(_coded, sliding(4, height, width, channels), quality=60)
    for quality in (0, 100):
        made[f"video-quality-{quality}"] = partial(_coded, sliding(3, 48, 80, 3), quality=quality)
    made["video-one-frame"] = partial(_coded, sliding(1, 30, 20, 3))
    made["video-still"] = partial(_coded, sliding(1, 40, 50, 3) * 4)
    made["video-groups"] = partial(_coded, sliding(7, 24, 24, 3), rate=Fraction(4), interval=0.75)
    made["video-cut"] = partial(_coded, [*sliding(2, 40, 56, 3), *sliding(2, 40, 56, 3, seed=9, contrast=True)])
    made["video-rate"] = partial(_coded, sliding(2, 16, 16, 1), rate=Fraction(30000, 1001))
    made["video-noise"] = partial(_coded, _noise(3, 33, 47), quality=80)
    made["video-far"] = partial(_coded, _jumping(4, 64, 96))
    for number, share in enumerate((0.3, 1.0)):
        made[f"video-forced-{number}"] = partial(forced, shape=(3, 5), share=share, seed=number)
    return made


def valid_inter() -> dict[str, Make]:
    """Streams of a model of video, by name."""
    made: dict[str, Make] = {}
    for height, width, channels in ((1, 1, 3), (50, 35, 1), (70, 130, 3)):
        colour = "grey" if channels == 1 else "rgb"
        made[f"inter-{colour}-{width}x{height}"] = partial(_coded, sliding(4, height, width, channels), quality=60)
    for quality in (0, 100):
        made[f"inter-quality-{quality}"] = partial(_coded, sliding(3, 48, 80, 3), quality=quality)
    made["inter-still"] = partial(_coded, sliding(1, 40, 50, 3) * 3)
    made["inter-groups"] = partial(_coded, sliding(7, 24, 24, 3), rate=Fraction(4), interval=0.75)
    made["inter-cut"] = partial(_coded, [*sliding(2, 40, 56, 3), *sliding(2, 40, 56, 3, seed=9, contrast=True)])
    made["inter-noise"] = partial(_coded, _noise(3, 33, 47), quality=80)
    for number, share in enumerate((0.3, 1.0)):
        made[f"inter-forced-{number}"] = partial(forced, shape=(3, 5), share=share, seed=number)
    return made


def sliding(
    frames: int, height: int, width: int, channels: int, seed: int = 1, contrast: bool = False
) -> list[NDArray[np.uint8]]:
    """A picture that slides by a pixel and a half a frame, more or less, while a square stays where it is."""
    large = picture(height + 2 * frames, width + 3 * frames, channels, seed)
    if contrast:
        large = 255 - large // 3
    out = []
    for t in range(frames):
        x = large[2 * t : 2 * t + height, 3 * t // 2 : 3 * t // 2 + width].copy()
        x[height // 4 : height // 2, width // 4 : width // 2] = 90
        out.append(x[..., 0] if channels == 1 else x)
    return out


def _noise(frames: int, height: int, width: int) -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(3).integers(0, 256, (frames, height, width, 3), np.uint8))


def _jumping(frames: int, height: int, width: int) -> list[NDArray[np.uint8]]:
    """Vectors that are long, and that point out of the frame."""
    large = picture(3 * height, 3 * width, 3, 5)
    ways = np.random.default_rng(4).integers(0, 40, (frames, 2)) + np.array([height, width])
    return [large[y : y + height, x : x + width] for y, x in ways.tolist()]


def _coded(frames: Frames, model: Model, *, rate: Fraction = Fraction(25), **options: Any) -> bytes:
    return encode_video(frames, rate=rate, model=model, threads=1, **options)


def forced(model: Model, *, shape: tuple[int, int], share: float, seed: int) -> bytes:
    """Inter frames of random fields, with vectors of all lengths, and then symbols of noise."""
    rng, (h, w), built = np.random.default_rng(seed), shape, footage(model)
    header, (_, group) = unpack(_coded(sliding(1, 16 * h - 3, 16 * w - 5, 3), model))
    parts = split(group.data[HEAD:], 1)
    coder, frame_shape = FieldCoder(shape), (header.height, header.width, header.channels)
    past = Past.after(decode_tiles(built, split(parts[0], 1), frame_shape, 1), 1)
    found = hashlib.blake2b(past.frame.data)
    for size in (3, 60, FARTHEST):
        encoder = entropy.Encoder()

        def code(freqs: Any, symbols: Any, encoder: entropy.Encoder = encoder) -> Any:
            encoder.encode(symbols, freqs)
            return symbols

        flags = rng.random((3, h, w)) < share
        vectors = rng.integers(-size, size + 1, (h, w, 2)) * flags[1][..., None]
        cells = np.repeat(np.repeat(vectors, 2, axis=0), 2, axis=1)
        own = np.repeat(np.repeat(flags[2], 2, axis=0), 2, axis=1)
        cells[own] = rng.integers(-size, size + 1, (int(own.sum()), 2))
        coder.code(code, Field(flags[0], flags[2], cells))
        head = bytes([int(rng.integers(128))])
        while True:  # not every noise is a message
            part, trial = head + encoder.getvalue() + rng.bytes(200), copy.deepcopy(past)
            try:
                found.update(decode_frame(built, part, trial).data)
                break
            except CorruptStream:
                continue
        past = trial
        parts.append(part)
    digest = found.digest()[:4]
    chunks = [Chunk("P", spell([25, 1, len(parts)])), Chunk("G", bytes([Way.LOSSY]) + digest + join(parts))]
    return pack(replace(header, frames=len(parts), digest=hashlib.blake2b(digest).digest()[:4]), chunks)


def decode_stacked(data: bytes, model: Model) -> NDArray[np.uint8]:
    """The frames of a video, one below the other: (T H, W, C)."""
    clip = decode_video(data, model=model, threads=1)
    return np.concatenate([frame.reshape(clip.height, clip.width, -1) for frame in clip])


def invalid_video(model: Model) -> dict[str, Bad]:
    """Streams by name."""
    header, (plan, first, second) = unpack(_coded(sliding(4, 20, 30, 3), model, rate=Fraction(4), interval=0.5))
    parts = split(first.data[HEAD:], 2)
    bad: dict[str, Bad] = {}

    def add(name: str, error: Any, what: str, chunks: Any = None, **fields: Any) -> None:
        data = any_file(header, chunks or [plan, first, second], **fields)
        bad[f"video-{name}"] = Bad(data, error, what)

    def planned(name: str, error: Any, what: str, *values: int) -> None:
        add(name, error, what, [Chunk("P", spell(values)), first, second])

    def grouped(name: str, error: Any, what: str, body: bytes) -> None:
        add(name, error, what, [plan, Chunk("G", first.data[:HEAD] + body), second])

    add("channels", UnsupportedVersion, "two channels", channels=2)
    add("depth", UnsupportedVersion, "10 bits", depth=10)
    add("frames", CorruptStream, "five frames where the groups have four", frames=5)
    add("bomb", LimitExceeded, "2^18 x 2^18 pixels", width=b"\x80\x80\x10", height=b"\x80\x80\x10")
    add("model", ModelMismatch, "another model", model_id=bytes(8))
    add("digest", Desync, "another digest of the digests", digest=bytes(4))
    add("swapped", Desync, "groups in another order", [plan, second, first])
    add("no-plan", CorruptStream, "no plan", [first, second])
    add("no-group", CorruptStream, "a plan for two groups, and one", [plan, first])
    add("tile", UnsupportedVersion, "a chunk of photos", [plan, first, second, Chunk("T", b"")])
    add("plan-twice", CorruptStream, "two plans", [plan, plan, first, second])
    add("plan-cut", TruncatedStream, "a number that is cut", [Chunk("P", plan.data + b"\x80"), first, second])
    planned("rate-0", CorruptStream, "a rate of 0", 0, 1, 2, 2)
    planned("rate-large", CorruptStream, "a numerator above 2^32", 1 << 33, 1, 2, 2)
    planned("rate-terms", CorruptStream, "a rate that is not in lowest terms", 8, 2, 2, 2)
    planned("count-0", CorruptStream, "a group without frames", 4, 1, 0, 4)
    planned("counts", CorruptStream, "five frames in groups, four in the header", 4, 1, 3, 2)
    add("group-short", CorruptStream, "a group of four bytes", [plan, Chunk("G", first.data[:4]), second])
    add("group-way", CorruptStream, "a group of way 3", [plan, Chunk("G", b"\x03" + first.data[1:]), second])
    grouped("parts-none", CorruptStream, "a group without parts", b"")
    grouped("parts-cut", TruncatedStream, "a part that is cut", first.data[HEAD:-1])
    grouped("parts-more", CorruptStream, "three parts where there are two", join([*parts, b""]))
    grouped("intra-tiles", CorruptStream, "an intra frame of two tiles", join([parts[0] + parts[0], parts[1]]))
    grouped("inter-empty", CorruptStream, "an inter frame without bytes", join([parts[0], b""]))
    grouped("inter-head", CorruptStream, "bit 7 of an inter frame's head", join([parts[0], b"\x80" + parts[1][1:]]))
    grouped("inter-far", CorruptStream, "a vector that is too long", join([parts[0], b"\x00" + _far(2, 2)]))
    grouped("inter-noise", Desync, "an inter frame that the encoder did not see", join([parts[0], b"\x0f"]))
    return bad


def invalid_inter(model: Model) -> dict[str, Bad]:
    """Streams of a model of video, by name."""
    header, (plan, group) = unpack(_coded(sliding(3, 20, 30, 3), model))
    first, second, third = split(group.data[HEAD:], 3)
    photo_model = model.intra.id if model.intra else b""
    bad: dict[str, Bad] = {}

    def add(name: str, error: Any, what: str, *parts: bytes, **fields: Any) -> None:
        data = any_file(header, [plan, Chunk("G", group.data[:HEAD] + join(list(parts)))], **fields)
        bad[f"inter-{name}"] = Bad(data, error, what)

    add("model", ModelMismatch, "the photo model alone", first, second, third, model_id=photo_model)
    add("empty", CorruptStream, "an inter frame without bytes", first, second, b"")
    add("head", CorruptStream, "bit 7 of an inter frame's head", first, b"\x80" + second[1:], third)
    add("far", CorruptStream, "a vector that is too long", first, b"\x00" + _far(2, 2), third)
    add("swapped", Desync, "inter frames in another order", first, third, second)
    add("damage", Desync, "a byte that the encoder did not write", first, second[:-1] + bytes([second[-1] ^ 64]), third)
    return bad


def _far(h: int, w: int) -> bytes:
    """The code of a field whose last vector is one too long."""
    encoder = entropy.Encoder()

    def code(freqs: Any, symbols: Any) -> Any:
        encoder.encode(symbols, freqs)
        return symbols

    still = Field.still((h, w))
    still.vectors[:2, :2] = FARTHEST + 1
    try:
        FieldCoder((h, w)).code(code, still)
    except CorruptStream:  # which the encoder is told, too, once it is written
        return encoder.getvalue()
    raise AssertionError("a vector that is too long was coded")
