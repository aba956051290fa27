"""The exact videos of the conformance pack: what a decoder has to decode, and what it has to refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.chroma import KINDS, Planes, painted
from codec.container import Chunk, join, pack, spell, split, unpack
from codec.errors import CorruptStream, Desync, ModelMismatch, TruncatedStream
from codec.exactframes import Way
from codec.exactframes import _plan as plan_of_tiles
from codec.model import Model
from codec.tile import encode_tile, networks
from codec.video import encode_video
from tools.streams import Bad, any_file
from tools.synthetic import picture

__all__ = ["halved", "invalid_exact", "valid_exact"]

Make = Callable[[Model], bytes]
Frames = list[NDArray[np.uint8]]
HEAD = 5  # bytes of a group before its parts


def valid_exact() -> dict[str, Make]:
    """Streams by name."""
    made: dict[str, Make] = {}
    for height, width, channels in ((1, 1, 3), (1, 1, 1), (19, 12, 1), (18, 13, 3)):
        colour = "grey" if channels == 1 else "rgb"
        made[f"exact-{colour}-{width}x{height}"] = partial(_coded, sliding(3, height, width, channels))
    for kind in range(KINDS):
        made[f"exact-halved-{kind}"] = partial(_coded, halved(2, 12, 20, kind))
    made["exact-halved-2x2"] = partial(_coded, halved(2, 2, 2, 0))
    made["exact-halved-clipped"] = partial(_coded, halved(2, 14, 12, 4, contrast=3.0))
    made["exact-still"] = partial(_coded, sliding(1, 9, 9, 3) * 3)
    made["exact-groups"] = partial(_coded, sliding(4, 10, 8, 1), rate=Fraction(4), interval=0.5)
    made["exact-cut"] = partial(_coded, [*halved(2, 10, 12, 1), *sliding(2, 10, 12, 3)])
    made["exact-difference"] = difference
    return made


def sliding(frames: int, height: int, width: int, channels: int) -> Frames:
    """A picture that slides by a pixel and a half a frame, more or less."""
    large = picture(height + 2 * frames, width + 3 * frames, channels, 31)
    cuts = [large[2 * t : 2 * t + height, 3 * t // 2 : 3 * t // 2 + width] for t in range(frames)]
    return [np.ascontiguousarray(x[..., 0] if channels == 1 else x) for x in cuts]


def halved(frames: int, height: int, width: int, kind: int, contrast: float = 0.7) -> Frames:
    """A clip as it comes from a video file whose chroma has half the resolution."""
    out = []
    for x in sliding(frames, height, width, 3):
        y, cb, cr = np.moveaxis(np.clip(128 + contrast * (x.astype(np.float64) - 128), 0, 255).astype(np.uint8), 2, 0)
        out.append(painted(Planes(kind, y, np.stack([cb[::2, ::2], cr[::2, ::2]], axis=2) // 2 + np.uint8(64))))
    return out


def difference(model: Model) -> bytes:
    """The way that this encoder does not take."""
    header, (plan, group) = unpack(_coded(sliding(2, 8, 8, 3), model))
    parts, (first, second) = split(group.data[HEAD:], 2), sliding(2, 8, 8, 3)
    tile = encode_tile(networks(model), plan_of_tiles(3), second - first, None)
    data = group.data[:HEAD] + join([parts[0], bytes([Way.DIFFERENCE]) + join([tile])])
    return pack(header, [plan, Chunk("G", data)])


def _coded(frames: Frames, model: Model, *, rate: Fraction = Fraction(25), **options: Any) -> bytes:
    return encode_video(frames, rate=rate, lossless=True, model=model, threads=1, **options)


def invalid_exact(model: Model) -> dict[str, Bad]:
    """Streams by name."""
    bad: dict[str, Bad] = {}

    def frames_of(frames: Frames) -> tuple[Any, Chunk, bytes, list[bytes]]:
        header, (plan, group) = unpack(_coded(frames, model))
        return header, plan, group.data[:HEAD], split(group.data[HEAD:], len(frames))

    def add(name: str, error: Any, what: str, source: Any, parts: list[bytes]) -> None:
        header, plan, head, _ = source
        counted = Chunk("P", plan.data[:-1] + spell([len(parts)]))
        data = any_file(replace(header, frames=len(parts)), [counted, Chunk("G", head + join(parts))])
        bad[f"exact-{name}"] = Bad(data, error, what)

    plain, made = frames_of(sliding(2, 8, 8, 3)), frames_of(halved(2, 8, 8, 0))
    alone, moved = plain[3]
    first, second = made[3]
    bad["exact-model"] = Bad(any_file(plain[0], [plain[1], Chunk("G", plain[2] + join(plain[3]))], model_id=bytes(8)),
                             ModelMismatch, "another model")  # fmt: skip
    add("way", CorruptStream, "a frame of way 5", plain, [alone, b"\x05" + moved[1:]])
    add("first", CorruptStream, "a first frame that is like the one before it", plain, [b"\0", moved])
    add("first-moved", CorruptStream, "a first frame that is expected", plain, [b"\x03" + moved[1:], moved])
    add("same", CorruptStream, "data after way 0", plain, [alone, b"\0\0"])
    add("tiles", CorruptStream, "a frame of two tiles", plain, [alone + alone[1:], moved])
    add("empty", CorruptStream, "a frame without a way", plain, [alone, b""])
    add(
        "moved-parts", TruncatedStream, "a frame that is expected, without a field", plain, [alone, b"\x03" + alone[1:]]
    )
    add("head-none", CorruptStream, "planes without a head", made, [first, b"\x04"])
    add(
        "head",
        CorruptStream,
        "bit 5 of the head of planes",
        made,
        [first, b"\x04" + bytes([second[1] | 32]) + second[2:]],
    )
    add("expected", CorruptStream, "planes that are expected in a first frame", made, [second, second])
    add("planes", TruncatedStream, "two planes of three", made, [first[:2] + join(split(first[2:], 3)[:2]), second])
    tile = split(second[2:], 4)
    tile[1] = b"\2" + tile[1][1:]
    add("tile", CorruptStream, "a tile that begins with 2", made, [first, second[:2] + join(tile)])
    add("noise", Desync, "pixels that the encoder did not see", made, [first, bytes([Way.SAME])])
    odd = frames_of(sliding(1, 7, 8, 3))
    add("odd", CorruptStream, "halved chroma of seven rows", odd, [first])
    grey = frames_of(sliding(1, 8, 8, 1))
    add("grey", CorruptStream, "chroma in a grey frame", grey, [first])
    return bad
