"""Figures of the report as data URIs and charts: pictures, heat maps, patches, maps of codebooks, curves."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec.picture import Image
from tools.bits_map import BitsMap
from tools.charts import Chart, Line, chart
from tools.codebook_map import Book, Patch
from tools.meter import CELL
from tools.run_history import Leg, Series

__all__ = ["RAMP", "Cell", "Heat", "cells", "curves", "heat", "patch_uri", "photograph", "redrawn"]

LONGEST = 960  # pixels of a shown picture
PANEL = (510, 330)
SIXTEENTH = 8  # pixels of a cell in a drawn map
ANCHORS = ((255, 251, 245), (252, 214, 150), (233, 130, 45), (150, 45, 10), (45, 8, 0))  # each darker than the last


@dataclass(frozen=True, slots=True)
class Heat:
    """A heat map, and the bits of a cell that its darkest shade stands for; cells beyond have the same."""

    title: str
    uri: str
    top: float
    bits: float


@dataclass(frozen=True, slots=True)
class Cell:
    """A codeword in the map of its codebook: where, how dark, and what a reader sees when pointing at it."""

    x: int
    y: int
    colour: str
    dead: bool
    text: str


def heat(title: str, bits: NDArray[np.float64], found: BitsMap) -> Heat:
    """Cells of 16 x 16 pixels, cut to the picture."""
    top = float(np.quantile(bits, 0.995)) or float(bits.max()) or 1.0
    shades = np.rint(np.clip(bits / top, 0, 1) * 255).astype(np.uint8)
    height, width = (-(-side * SIXTEENTH // CELL) for side in (found.image.height, found.image.width))
    large = shades.repeat(SIXTEENTH, 0).repeat(SIXTEENTH, 1)[:height, :width]
    return Heat(title, _indexed(large), top, float(bits.sum()))


def photograph(image: Image) -> tuple[str, int, int]:
    """A picture to look at: its URI, width and height; 8 bits, at most LONGEST pixels, on white where transparent."""
    from PIL import Image as Pillow

    image = image.expanded().filled()
    x = image.colour.astype(np.float32) / (1 if image.colour.dtype == np.uint8 else 257)
    if image.alpha is not None:
        share = image.alpha[..., None] / np.iinfo(image.alpha.dtype).max
        x = x * share + 255 * (1 - share)
    rgb = np.broadcast_to(np.rint(x).astype(np.uint8), (*x.shape[:2], 3))
    drawn = Pillow.fromarray(np.ascontiguousarray(rgb))
    drawn.thumbnail((LONGEST, LONGEST))
    file = io.BytesIO()
    drawn.save(file, "WEBP", quality=82, method=4)
    return _uri("webp", file.getvalue()), drawn.width, drawn.height


def redrawn(data: bytes) -> str:
    """A PNG of another tool, small enough for the page; ValueError if it is none."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(io.BytesIO(data), formats=["PNG"]) as found:
            drawn = found.convert("RGB")
    except (OSError, SyntaxError, Pillow.DecompressionBombError) as error:
        raise ValueError(f"no PNG: {error}") from error
    drawn.thumbnail((2000, 4000))
    file = io.BytesIO()
    drawn.save(file, "WEBP", quality=88, method=4)
    return _uri("webp", file.getvalue())


def patch_uri(patch: Patch) -> str:
    from PIL import Image as Pillow

    file = io.BytesIO()
    Pillow.fromarray(patch.pixels).save(file, "PNG", optimize=True)
    return _uri("png", file.getvalue())


def cells(book: Book, columns: int = 24) -> list[Cell]:
    """The codewords in the order of the codebook, row by row; shades grow with the logarithm of the share."""
    most = max(int(book.counts.max()), 1)
    found = []
    for k, (word, count) in enumerate(zip(book.words, book.counts.tolist(), strict=True)):
        shade = 0.08 + 0.92 * np.log1p(count) / np.log1p(most) if count else 0.0
        share = f"{100 * count / max(book.taken, 1):.2f} %" if count else "never taken"
        found.append(Cell(k % columns, k // columns, RAMP[round(float(shade) * 255)], not count, f"{word}: {share}"))
    return found


def curves(found: Sequence[Series], legs: Sequence[Leg]) -> list[Chart]:
    """A chart for each; where a leg begins, the curve has a mark."""
    starts, before = list[tuple[int, str]](), 0
    for number, leg in enumerate(legs, 1):
        if number > 1:
            starts.append((before, f"leg {number}: {leg.source}"))
        before += leg.steps
    charts = []
    for each in found:
        lines = []
        for number, (name, path) in enumerate(each.curves.items()):
            marks = []
            for start, text in starts:
                if after := next((p for p in path if p[0] >= start), None):
                    marks.append((*after, text))
            lines.append(Line(f"k{number % 6}", name, path, tuple(marks)))
        charts.append(chart(lines, title=each.title, x="steps", y=each.unit, size=PANEL, log=False))
    return charts


def _ramp() -> tuple[str, ...]:
    places = np.linspace(0, 1, len(ANCHORS))
    rows = np.stack([np.interp(np.linspace(0, 1, 256), places, channel) for channel in np.transpose(ANCHORS)], axis=1)
    return tuple("#{:02x}{:02x}{:02x}".format(*row) for row in np.rint(rows).astype(int).tolist())


def _indexed(shades: NDArray[np.uint8]) -> str:
    """Shades 0 .. 255 of the ramp as a PNG."""
    from PIL import Image as Pillow

    picture = Pillow.fromarray(shades)  # grey, whose shades become indices
    picture.putpalette(bytes.fromhex("".join(colour[1:] for colour in RAMP)))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return _uri("png", file.getvalue())


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


RAMP = _ramp()
