"""Rate against distortion, point by point, from whole files.

picture ──encode(setting)──▶ file on disk ──read, decode──▶ picture'      one Point: bytes, scores, seconds
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tools.metrics import Metric, Pixels
from tools.rivals import Codec


class MeasureError(Exception):
    """The measurement asked for has no answer; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture to measure on: its pixels (H, W, C) and the hash of its file."""

    name: str
    hash: str
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Point:
    """One picture through one codec at one setting."""

    key: str  # of `point_key`: equal keys, equal measurement
    picture: str
    codec: str
    setting: float
    bytes: int
    bpp: float
    scores: dict[str, float | None]  # by the metric's name; None where the metric is not defined
    encode_seconds: float
    decode_seconds: float
    version: str
    machine: str
    date: str


def point_key(picture_hash: str, codec: Codec, setting: float) -> str:
    """What a point measures, so that it need not be measured again."""
    return f"{picture_hash}/{codec.fingerprint}/{setting:g}"


def measure(picture: Picture, codec: Codec, setting: float, metrics: Iterable[Metric], machine: str) -> Point:
    """Code one picture into a file, decode what the file holds, and compare.

    The clock runs over the codec's own work, from pixels to bytes and from bytes to pixels, not over the disk's.

    Raises
    ------
    MeasureError
        If what comes back has another shape.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"picture{codec.suffix}"
        start = time.perf_counter()
        data = codec.encode(picture.pixels, setting)
        encoded = time.perf_counter()
        file.write_bytes(data)
        size, data = file.stat().st_size, file.read_bytes()
        read = time.perf_counter()
        decoded = codec.decode(data)
        done = time.perf_counter()
    height, width, channels = picture.pixels.shape
    decoded = with_channels(decoded, channels)
    if decoded.shape != picture.pixels.shape:
        raise MeasureError(f"{codec.label} gave {picture.name} back as {decoded.shape}, not {picture.pixels.shape}")
    return Point(
        key=point_key(picture.hash, codec, setting),
        picture=picture.name,
        codec=codec.name,
        setting=setting,
        bytes=size,
        bpp=8 * size / (height * width),
        scores={metric.name: metric.score(picture.pixels, decoded) for metric in metrics},
        encode_seconds=encoded - start,
        decode_seconds=done - read,
        version=codec.version,
        machine=machine,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def warm_up(codec: Codec, pixels: Pixels) -> None:
    """One small run, so that loading libraries is not counted in the first point's time."""
    codec.decode(codec.encode(np.ascontiguousarray(pixels[:64, :64]), codec.ladder[0]))


def measure_all(
    pictures: Sequence[Picture],
    codecs: Sequence[Codec],
    metrics: Sequence[Metric],
    *,
    machine: str,
    points: int | None = None,
    known: Iterable[Point] = (),
    done: Callable[[Point, bool], None] = lambda point, fresh: None,
) -> list[Point]:
    """Measure every picture, codec and setting; `known` points are taken over, `done(point, fresh)` hears of each."""
    wanted = {metric.name for metric in metrics}
    reusable = {point.key: point for point in known if wanted <= point.scores.keys()}
    result, warm = [], set()
    for picture in pictures:
        for codec in codecs:
            for setting in codec.rungs(points):
                point = reusable.get(point_key(picture.hash, codec, setting))
                if fresh := point is None:
                    if codec.name not in warm:
                        warm_up(codec, picture.pixels)
                        warm.add(codec.name)
                    point = measure(picture, codec, setting, metrics, machine)
                result.append(point)
                done(point, fresh)
    return result


def with_channels(decoded: Pixels, channels: int) -> Pixels:
    """Back to grey after a codec that has no grey: (H, W, 3) -> (H, W, 1) by Pillow's luma; otherwise unchanged."""
    if decoded.shape[2] == 3 and channels == 1:
        from PIL import Image

        return np.asarray(Image.fromarray(decoded).convert("L"))[..., None]
    return decoded
