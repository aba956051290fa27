"""What a file says of itself, without decoding it."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

from codec.archive import Archive
from codec.container import Chunk, Header, Kind, unpack
from codec.group import Way, way_of
from codec.limits import DEFAULT, Limits
from codec.lossless import plan_of
from codec.model import unpack_model
from codec.tile import Mode
from codec.video import plan_of as video_plan

__all__ = ["contents", "describe"]


def describe(data: bytes) -> dict[str, Any]:
    """Facts of a file of any kind, by name, as JSON can hold them. No pixels are decoded, so no size is too large.

    Raises
    ------
    CodecError
        The file is damaged, or none of ours.
    """
    anything = 2**64
    limits = replace(DEFAULT, max_pixels=2**200, max_side=anything, max_frames=anything)
    header, chunks = unpack(data, limits)
    record: dict[str, Any] = {"kind": header.kind.name.lower(), "bytes": len(data)}
    if header.kind == Kind.MODEL:
        model = unpack_model(data)
        record |= {"model": model.id.hex(), "card": dict(model.card)}
    elif header.kind == Kind.ARCHIVE:
        record |= _bill(data, limits)
        record |= {"model": header.model_id.hex(), "digest": header.digest.hex()}
    else:
        record |= {"width": header.width, "height": header.height, "channels": header.channels}
        record |= {"bit_depth": header.bit_depth, "frames": header.frames, "alpha": any(c.type == "A" for c in chunks)}
        if header.kind == Kind.LOSSLESS:
            record |= _exactness(header, chunks)
        if header.kind == Kind.VIDEO:
            record |= _groups(header, chunks)
        record |= {"bpp": 8 * len(data) / (header.width * header.height * header.frames)}
        record |= {"model": header.model_id.hex() if any(header.model_id) else None, "digest": header.digest.hex()}
    sizes: dict[str, list[int]] = {}
    for chunk in chunks:
        sizes.setdefault(chunk.type, []).append(len(chunk.data))
    return record | {"chunks": {letter: {"count": len(n), "bytes": sum(n)} for letter, n in sizes.items()}}


def _exactness(header: Header, chunks: tuple[Chunk, ...]) -> dict[str, Any]:
    """Of a lossless file: the bound of the error, colours of the palette, and how the tiles are coded."""
    plan, palette = plan_of(header, chunks)
    modes = Counter(chunk.data[0] for chunk in chunks if chunk.type == "T" and chunk.data)
    return {
        "alpha": plan.alpha,
        "max_error": plan.error,
        "palette": None if palette is None else len(palette),
        "tiles": {mode.name.lower(): modes[mode] for mode in Mode if modes[mode]},
    }


def _groups(header: Header, chunks: tuple[Chunk, ...]) -> dict[str, Any]:
    """Of a video: its rate, where its groups begin, how they are coded, and what a second costs."""
    plan = video_plan(header, chunks)
    ways = Counter(way_of(data) for data, _ in plan.groups)
    starts = list(itertools.accumulate((count for _, count in plan.groups[:-1]), initial=0))
    bits = 8 * sum(len(chunk.data) for chunk in chunks)
    return {
        "alpha": False,
        "rate": str(plan.rate),
        "seconds": float(header.frames / plan.rate),
        "kbit_per_second": bits * float(plan.rate) / header.frames / 1000,
        "groups": {way.name.lower(): ways[way] for way in Way if ways[way]},
        "starts": starts,
    }


def _bill(data: bytes, limits: Limits) -> dict[str, Any]:
    """Of an archive: what it holds, and what model and data cost."""
    opened = Archive(data, limits=limits)
    model, samples, alone, clips = len(opened.embedded or b""), 0, 0, 0
    for entry in opened.entries():
        shown = entry.look.height * entry.look.width * (entry.look.channels + entry.look.alpha)
        samples += shown * max(1, entry.frames)
        alone += entry.alone
        clips += entry.frames > 0
    return {
        "items": len(opened),
        "clips": clips,
        "contents": contents(len(opened) - clips, clips),
        "alone": alone,
        "dimensions": opened.catalogue.dimensions,
        "max_error": opened.catalogue.error,
        "model_bytes": model,
        "data_bytes": len(data) - model,
        "samples": samples,
        "bits_per_sample": 8 * len(data) / samples,
        "model_bits_per_sample": 8 * model / samples,
    }


def contents(pictures: int, clips: int) -> str:
    """How many of what, in words."""
    counted = [(pictures, "picture"), (clips, "clip")]
    return " and ".join(f"{number:,} {what}{'s' * (number != 1)}" for number, what in counted if number)
