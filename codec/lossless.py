"""Main path for exact pictures: samples <-> a file's bytes, lossless or with a bound on every sample's error.

    encode  x --step 2N+1--> integers --tiles: networks, repetition, or as they are--> payloads --container--> bytes
    decode  bytes --container--> payloads --tiles--> integers --> x, or samples within N of it

A tile is coded on its own (tile.py): a part of a picture needs its tiles alone, a preview their coarse levels alone.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.container import Chunk, Header, Kind, pack, unpack
from codec.digest import digest
from codec.errors import CorruptStream, Desync, ModelMismatch, UnsupportedInput, UnsupportedVersion
from codec.graphics import looks_like_graphics
from codec.jobs import Progress, in_processes, shares
from codec.limits import DEFAULT, Limits
from codec.model import Model, find_model
from codec.picture import Image
from codec.tile import Mode, Networks, Plan, decode_tile, encode_tile, largest_error, networks

__all__ = ["Crop", "check_crop", "decode", "encode", "plan_of"]

UNIT = 64  # pixels: borders of tiles are multiples of it, so that previews of tiles fit together
PHOTO_SIDE, GRAPHICS_SIDE = 9, 11  # log2 of a tile's longest side
SIDES = range(6, 13)
PREVIEW = 3  # levels that a preview leaves out: every 8th row and column
ALPHA = 1  # flag: the last channel is alpha


class Crop(NamedTuple):
    """A part of a picture, in pixels."""

    x: int
    y: int
    width: int
    height: int


class Box(NamedTuple):
    top: int
    bottom: int
    left: int
    right: int

    def size(self, scale: int = 1) -> tuple[int, int]:
        """Rows and columns, of every `scale`-th one."""
        return -(-(self.bottom - self.top) // scale), -(-(self.right - self.left) // scale)


def encode(
    image: Image,
    model: Model,
    *,
    max_error: int = 0,
    effort: int = 5,
    threads: int = 0,
    progress: Progress | None = None,
) -> bytes:
    """Compress a picture exactly, or with a bound on the error of every sample.

    Parameters
    ----------
    image : Image
        With a palette, its indices and the palette itself are kept, for which `max_error` has to be 0.
    model : a lossless model
    max_error : N: samples of colour differ by at most N from the original; alpha is exact
    effort : 1 .. 9; from 7 all ways to code a tile are tried for all tiles. Any decoder reads the result.
    threads : tiles worked on at once; 0 for as many as there are cores. The bytes do not depend on it.

    Raises
    ------
    UnsupportedInput
        `max_error` with a palette, or too large for the bit depth.
    ModelError
        Not a lossless model.
    """
    if not 1 <= effort <= 9:
        raise ValueError(f"effort is 1 to 9, not {effort}")
    if max_error and image.palette is not None:
        raise UnsupportedInput("indices of a palette have no error that could be bounded; expand the picture to RGB")
    most = largest_error(image.bit_depth)
    if not 0 <= max_error <= most:
        raise UnsupportedInput(f"an error of {max_error} for samples of {image.bit_depth} bits, expected 0 .. {most}")
    built = networks(model)
    drawn = looks_like_graphics(image.pixels)
    side = GRAPHICS_SIDE if drawn else PHOTO_SIDE
    plan = Plan(image.channels, image.alpha is not None, image.bit_depth, max_error, side)
    boxes = _boxes(image.height, image.width, side)
    jobs = [partial(_encode_box, built, plan, image, box, effort) for box in boxes]
    tiles, restored = list[bytes](), np.empty_like(image.colour) if max_error else image.colour
    for done, (box, tile) in enumerate(zip(boxes, in_processes(jobs, threads), strict=True), 1):
        tiles.append(tile)
        if max_error:
            window = (slice(box.top, box.bottom), slice(box.left, box.right))
            restored[window] = plan.restore(plan.reduce(image.colour[window]))
        if progress:
            progress(done, len(boxes))
    chunks = [Chunk("P", struct.pack("<BBH", ALPHA if plan.alpha else 0, side, max_error))]
    if image.palette is not None:
        chunks.append(Chunk("C", bytes([image.palette.shape[1]]) + image.palette.tobytes()))
    chunks += [Chunk("T", tile) for tile in tiles]
    chunks += [Chunk(letter, data) for letter, data in (("i", image.icc), ("e", image.exif)) if data]
    needed = model.id if any(tile[0] == Mode.RESIDUAL for tile in tiles) else bytes(8)
    found = digest(replace(image, colour=restored))
    header = Header(Kind.LOSSLESS, image.width, image.height, image.channels, image.bit_depth, 1, needed, found)
    return pack(header, chunks)


def decode(
    data: bytes,
    *,
    model: Model | None = None,
    limits: Limits = DEFAULT,
    threads: int = 0,
    progress: Progress | None = None,
    crop: Crop | None = None,
    preview: bool = False,
) -> Image:
    """Decompress a picture, a part of it, or a small preview of it.

    Parameters
    ----------
    data : a whole file of kind LOSSLESS
    model : the model it was made with; None to look it up by the id in the header, if the file needs one
    crop : the part that is wanted; other tiles are not decoded
    preview : every 8th row and column, from the coarse levels alone

    Raises
    ------
    CodecError
        And nothing else, whatever the bytes.
    ValueError
        A crop that is not inside the picture.
    """
    header, chunks = unpack(data, limits)
    plan, palette = plan_of(header, chunks)
    tiles = [chunk.data for chunk in chunks if chunk.type == "T"]
    boxes = _boxes(header.height, header.width, plan.side)
    if len(tiles) != len(boxes):
        raise CorruptStream(f"{len(tiles)} tiles for {header.width} x {header.height} pixels, expected {len(boxes)}")
    whole = Crop(0, 0, header.width, header.height)
    part = crop or whole
    check_crop(part, header.width, header.height)
    built = _networks(header, model, tiles)
    skip = PREVIEW if preview else 0
    scale = 1 << skip
    wanted = [
        (box, tile)
        for box, tile in zip(boxes, tiles, strict=True)
        if box.top < part.y + part.height and box.bottom > part.y
        if box.left < part.x + part.width and box.right > part.x
    ]
    first, last = wanted[0][0], wanted[-1][0]
    outer = Box(first.top, last.bottom, first.left, last.right)
    samples = np.empty((*outer.size(scale), plan.channels + plan.alpha), plan.kind)
    jobs = [partial(_decode_box, built, plan, tile, box, skip) for box, tile in wanted]
    for done, ((box, _), data) in enumerate(zip(wanted, in_processes(jobs, threads), strict=True), 1):
        height, width = box.size(scale)
        top, left = (box.top - outer.top) // scale, (box.left - outer.left) // scale
        tile_samples = np.frombuffer(data, plan.kind).reshape(height, width, samples.shape[2])
        samples[top : top + height, left : left + width] = tile_samples
        if progress:
            progress(done, len(jobs))
    y, x = (part.y - outer.top) // scale, (part.x - outer.left) // scale
    samples = samples[y : y + -(-part.height // scale), x : x + -(-part.width // scale)]
    colour, alpha = samples[..., : plan.channels], samples[..., -1] if plan.alpha else None
    if palette is not None and colour.max() >= len(palette):
        raise CorruptStream(f"an index of {colour.max()} into a palette of {len(palette)} colours")
    icc, exif = (next((chunk.data for chunk in chunks if chunk.type == letter), None) for letter in "ie")
    image = Image(colour, alpha, icc, exif, palette=palette, bit_depth=header.bit_depth)
    if part == whole and not preview and digest(image) != header.digest:
        raise Desync("all checksums fit, but the pixels are not those the encoder saw: this machine computes otherwise")
    return image


def check_crop(crop: Crop, width: int, height: int) -> None:
    """ValueError unless the crop has pixels, all of them inside the picture."""
    inside = crop.x + crop.width <= width and crop.y + crop.height <= height
    if min(crop[:2]) < 0 or min(crop[2:]) < 1 or not inside:
        raise ValueError(f"the crop {','.join(map(str, crop))} is not inside a picture of {width} x {height}")


def _encode_box(built: Networks, plan: Plan, image: Image, box: Box, effort: int) -> bytes:
    window = (slice(box.top, box.bottom), slice(box.left, box.right))
    return encode_tile(built, plan, image.colour[window], None if image.alpha is None else image.alpha[window], effort)


def _decode_box(built: Networks | None, plan: Plan, payload: bytes, box: Box, skip: int) -> bytes:
    return np.ascontiguousarray(decode_tile(built, plan, payload, box.size(), skip)).tobytes()


def _boxes(height: int, width: int, side: int) -> list[Box]:
    """Tiles in raster order: as few as have no side above 2^side, of nearly equal size."""
    cuts = []
    for length in (height, width):
        units = -(-length // UNIT)
        runs = shares(0, units, -(-units * UNIT >> side))
        cuts.append([(start * UNIT, min(stop * UNIT, length)) for start, stop in runs])
    return [Box(*rows, *columns) for rows in cuts[0] for columns in cuts[1]]


def plan_of(header: Header, chunks: Sequence[Chunk]) -> tuple[Plan, NDArray[np.uint8] | None]:
    """What chunks P and C say, checked against the header and each other."""
    if header.kind != Kind.LOSSLESS:
        raise UnsupportedVersion(f"a file of kind {header.kind.name}, expected LOSSLESS")
    if header.channels not in (1, 3):
        raise UnsupportedVersion(f"{header.channels} channels; this version of the codec knows 1 or 3")
    found = {chunk.type: chunk.data for chunk in chunks if chunk.type in "PC"}
    if len(found.get("P", b"")) != 4:
        raise CorruptStream(f"a chunk P of {len(found.get('P', b''))} bytes, expected 4")
    flags, side, error = struct.unpack("<BBH", found["P"])
    if flags & ~ALPHA or side not in SIDES or error > largest_error(header.bit_depth):
        raise CorruptStream(f"chunk P has flags {flags}, side {side} and error {error}, which make no sense")
    plan = Plan(header.channels, bool(flags & ALPHA), header.bit_depth, error, side)
    if "C" not in found:
        return plan, None
    data = found["C"]
    columns = data[0] if data else 0
    if columns not in (3, 4) or len(data) % columns != 1 or not 1 <= len(data) // columns <= 1 << header.bit_depth:
        raise CorruptStream(f"a palette of {len(data)} bytes with {columns} columns")
    if header.channels != 1 or plan.alpha or error or header.bit_depth not in (1, 2, 4, 8):
        raise CorruptStream("a palette with colours, alpha, errors or a bit depth that no palette picture has")
    return plan, np.frombuffer(data, np.uint8, offset=1).reshape(-1, columns)


def _networks(header: Header, model: Model | None, tiles: Sequence[bytes]) -> Networks | None:
    """The networks that the tiles need, if any does."""
    if not any(tile[:1] == bytes([Mode.RESIDUAL]) for tile in tiles):
        return None
    model = model or find_model(header.model_id)
    if model.id != header.model_id:
        raise ModelMismatch(f"the file needs model {header.model_id.hex()}, not {model.id.hex()} ({model.name})")
    return networks(model)
