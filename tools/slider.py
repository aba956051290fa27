"""Pictures of all codecs at (nearly) equal bytes, for looking at.

    target bytes ──bisect each codec's knob──▶ the file nearest to it ──decode──▶ window ──lossless WebP──▶ data URI

What the page shows is the decoder's output, pixel for pixel, whatever formats the browser knows.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tools.metrics import Metric, Pixels
from tools.rate_distortion import Picture, with_channels
from tools.rivals import Codec

WINDOW = 768  # longest side shown; a larger picture shows its middle at full size
SEARCH_STEPS = 8


@dataclass(frozen=True, slots=True)
class Shown:
    """One codec's version of a picture; the scores are over the whole picture, not the window."""

    codec: str
    label: str
    bytes: int
    bpp: float
    scores: dict[str, float | None]
    uri: str


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One picture as every codec gives it back, the original first."""

    name: str
    width: int
    height: int
    cropped: bool
    versions: tuple[Shown, ...]


def exhibit(picture: Picture, codecs: Iterable[Codec], metrics: Sequence[Metric], bpp: float) -> Exhibit:
    """The picture through every codec, each at the file size nearest to `bpp` bits per pixel."""
    height, width, channels = picture.pixels.shape
    target = max(1, round(bpp * height * width / 8))
    raw = picture.pixels.size
    versions = [Shown("original", "Original", raw, 8 * raw / (height * width), {}, data_uri(picture.pixels))]
    for codec in codecs:
        data = nearest_file(codec, picture.pixels, target)
        decoded = with_channels(codec.decode(data), channels)
        scores = {metric.name: metric.score(picture.pixels, decoded) for metric in metrics}
        bits = 8 * len(data) / (height * width)
        versions.append(Shown(codec.name, codec.label, len(data), bits, scores, data_uri(decoded)))
    shown_height, shown_width = window(picture.pixels).shape[:2]
    cropped = (shown_height, shown_width) != (height, width)
    return Exhibit(picture.name, shown_width, shown_height, cropped, tuple(versions))


def nearest_file(codec: Codec, pixels: Pixels, target: int) -> bytes:
    """The file nearest to `target` bytes, in ratio, within the codec's ladder; sizes grow along the ladder."""
    files: dict[float, bytes] = {}
    low, high = 0.0, 1.0
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        setting = codec.at(middle)
        if setting not in files:
            files[setting] = codec.encode(pixels, setting)
        if len(files[setting]) < target:
            low = middle
        else:
            high = middle
    return min(files.values(), key=lambda data: abs(math.log(len(data) / target)))


def window(pixels: Pixels) -> Pixels:
    """The middle of a picture, at most 768 pixels each way."""
    height, width = pixels.shape[:2]
    top, left = max(0, height - WINDOW) // 2, max(0, width - WINDOW) // 2
    return pixels[top : top + WINDOW, left : left + WINDOW]


def data_uri(pixels: Pixels) -> str:
    """The window of a picture as a lossless WebP inside a URI."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.broadcast_to(shown := window(pixels), (*shown.shape[:2], 3)).copy()).save(
        file, "WEBP", lossless=True, quality=60, method=4
    )
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
