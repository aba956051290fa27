"""What `engram compress` and `decompress` do with one clip."""

from __future__ import annotations

import time
from typing import Any

from codec import batch
from codec.batch import Record
from codec.files import write_bytes
from codec.frames import check_target, open_clip, write_clip
from codec.limits import Limits
from codec.model import Model
from codec.verification import Comparison
from codec.video import decode_video, encode_video

__all__ = ["compress_clip", "decompress_clip"]


def compress_clip(
    source: str,
    target: str,
    *,
    quality: float,
    lossless: bool,
    model: Model | None,
    effort: int,
    threads: int,
    force: bool,
    verify: bool,
    limits: Limits,
) -> tuple[Record, str]:
    """Compress a clip; the record and the line that tell of it."""
    start = time.perf_counter()
    clip = open_clip(source, limits)
    batch.notify(source, clip.notices)
    aims: dict[str, Any] = {"quality": quality, "lossless": lossless, "effort": effort}
    with batch.progress(f"encoding {batch.shown(source)}", "frames") as progress:

        def told(done: int, _: int) -> None:
            if progress:
                progress(done, clip.frames or 0)

        data = encode_video(clip, rate=clip.rate, model=model, threads=threads, progress=told, **aims)
    decoded = decode_video(data, model=model, limits=limits, threads=threads)
    count = decoded.frames or 0
    size = clip.width * clip.height * count
    record: Record = {"input": source, "output": target, "width": clip.width, "height": clip.height, "frames": count}
    record |= {"rate": str(clip.rate), "bytes": len(data), "bpp": 8 * len(data) / size, "verified": verify}
    kilobits = 8 * len(data) * float(clip.rate) / count / 1000
    line = (
        f"{batch.shown(source)} -> {batch.shown(target)}: {count} frames, {len(data):,} bytes, {kilobits:,.0f} kbit/s"
    )
    if verify:
        with batch.progress(f"verifying {batch.shown(source)}", "frames") as progress:
            comparison = Comparison(exact=lossless)
            for number, (one, other) in enumerate(zip(clip, decoded, strict=True), 1):
                comparison.add(one, other)
                if progress:
                    progress(number, count)
        facts, words = comparison.result()
        record |= facts
        line += f", {words}"
    write_bytes(target, data, force=force)
    record |= {"seconds": time.perf_counter() - start, "notices": list(clip.notices)}
    return record, f"{line}, {record['seconds']:.2f} s"


def decompress_clip(
    data: bytes,
    source: str,
    target: str,
    *,
    frames: slice | None,
    model: Model | None,
    threads: int,
    force: bool,
    limits: Limits,
) -> tuple[Record, str]:
    """Decompress a clip, or some of its frames; the record and the line that tell of it."""
    start = time.perf_counter()
    check_target(target)
    with batch.progress(f"decoding {batch.shown(source)}", "frames") as progress:
        clip = decode_video(data, frames, model=model, limits=limits, threads=threads, progress=progress)
        notices = write_clip(target, clip, clip.rate, clip.shape, force=force)
    batch.notify(target, notices)
    record: Record = {"input": source, "output": target, "width": clip.width, "height": clip.height}
    record |= {"channels": clip.channels, "frames": clip.frames, "rate": str(clip.rate), "notices": list(notices)}
    record["seconds"] = time.perf_counter() - start
    size = f"{clip.frames} frames of {clip.width} x {clip.height}, {record['seconds']:.2f} s"
    return record, f"{batch.shown(source)} -> {batch.shown(target)}: {size}"
