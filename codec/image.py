"""Main path for photos: a picture <-> a file's bytes.

    encode  x --analysis--> y --tiles: retrieve, code--> payloads --container--> bytes
    decode  bytes --container--> payloads --tiles: decode--> y_hat --synthesis, restoration--> x_hat

Both sides run the same integer synthesis (`Canvas`), strip by strip, so the encoder knows the decoded pixels and puts
their digest into the header. Memory beyond the picture itself does not grow with its height.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import transform
from codec.alpha import pack_plane, unpack_plane
from codec.container import Chunk, Header, Kind, check_kind, pack, unpack
from codec.digest import digest
from codec.errors import CorruptStream, Desync, ModelMismatch, TargetUnreachable, UnsupportedInput, UnsupportedVersion
from codec.jobs import Progress, in_order, shares, workers
from codec.limits import DEFAULT, Limits
from codec.model import Model, find_model
from codec.photo import TILE, Photo, decode_tile, encode_tile, photo
from codec.picture import Image
from codec.prior import STEPS
from codec.transform import BLOCK, FRACTION

NARROWEST = 16  # blocks of a window that is painted beside another: narrower ones are mostly overlap

U8 = NDArray[np.uint8]
Ints = NDArray[np.integer[Any]]
Box = tuple[int, int, int, int]  # top, bottom, left, right of a tile, in blocks


def encode(
    image: Image, model: Model, *, quality: float, effort: int = 5, threads: int = 0, progress: Progress | None = None
) -> bytes:
    """Compress a picture.

    Parameters
    ----------
    image : Image
    model : a photo model
    quality : 0 (smallest) .. 100 (best)
    effort : 1 .. 9, what the encoder spends on choosing codes; any decoder reads the result
    threads : tiles worked on at once; 0 for as many as there are cores. The bytes do not depend on it.
    """
    if not 0 <= quality <= 100:
        raise ValueError(f"quality is 0 to 100, not {quality}")
    return _encode(image, model, round(quality / 100 * (STEPS - 1)), effort, threads, progress)[0]


def decode(
    data: bytes,
    *,
    model: Model | None = None,
    limits: Limits = DEFAULT,
    threads: int = 0,
    progress: Progress | None = None,
) -> Image:
    """Decompress a picture.

    Parameters
    ----------
    data : a whole file of kind PHOTO
    model : the model it was made with; None to look it up by the id in the header

    Raises
    ------
    CodecError
        And nothing else, whatever the bytes.
    """
    header, chunks = unpack(data, limits)
    _check(header)
    model = model or find_model(header.model_id)
    if model.id != header.model_id:
        raise ModelMismatch(f"the file needs model {header.model_id.hex()}, not {model.id.hex()} ({model.name})")
    tiles = [chunk.data for chunk in chunks if chunk.type == "T"]
    shape = header.height, header.width, header.channels
    colour = decode_tiles(photo(model), tiles, shape, threads, progress)
    image = Image(colour, _alpha(header, chunks), _one(chunks, "i"), _one(chunks, "e"))
    if digest(image) != header.digest:
        raise Desync("all checksums fit, but the pixels are not those the encoder saw: this machine computes otherwise")
    return image


def encode_tiles(
    built: Photo, colour: U8, step_index: int, effort: int, threads: int, progress: Progress | None = None
) -> tuple[list[bytes], U8]:
    """Payloads of the tiles of a picture (H, W, 1 or 3), in raster order, and the decoded picture."""
    height, width, channels = colour.shape
    boxes = list(_boxes(height, width))
    canvas = Canvas(built, height, width, channels, threads)
    jobs = ((box, partial(_encode_box, built, colour, box, step_index, effort)) for box in boxes)
    payloads = []
    for done, (box, (payload, y)) in enumerate(in_order(jobs, threads, len(boxes)), 1):
        payloads.append(payload)
        canvas.add(box, y, step_index)
        if progress:
            progress(done, len(boxes))
    return payloads, canvas.colour


def decode_tiles(
    built: Photo, tiles: Sequence[bytes], shape: tuple[int, int, int], threads: int, progress: Progress | None = None
) -> U8:
    """A picture of that shape: the twin of `encode_tiles`.

    Raises
    ------
    CorruptStream
        Another number of tiles, or tiles of two qualities.
    """
    height, width, channels = shape
    boxes = list(_boxes(height, width))
    if len(tiles) != len(boxes):
        raise CorruptStream(f"{len(tiles)} tiles for {width} x {height} pixels, expected {len(boxes)}")
    canvas = Canvas(built, height, width, channels, threads)
    jobs = ((box, partial(decode_tile, built, tile, _shape(box))) for tile, box in zip(tiles, boxes, strict=True))
    for done, (box, (step_index, y)) in enumerate(in_order(jobs, threads, len(boxes)), 1):
        canvas.add(box, y, step_index)
        if progress:
            progress(done, len(boxes))
    return canvas.colour


def encode_to_target(
    image: Image,
    model: Model,
    *,
    bpp: float | None = None,
    psnr: float | None = None,
    effort: int = 5,
    threads: int = 0,
    progress: Progress | None = None,
) -> bytes:
    """The best quality whose whole file has at most `bpp` bits per pixel, or the smallest file of at least `psnr` dB.

    Raises
    ------
    TargetUnreachable
        No quality of the model reaches it.
    """
    if (bpp is None) == (psnr is None):
        raise ValueError("give bpp or psnr, one of the two")
    pixels = image.colour.shape[0] * image.colour.shape[1]
    low, high, best, reached = 0, STEPS - 1, None, ""
    while low <= high:
        middle = (low + high) // 2
        data, colour = _encode(image, model, middle, effort, threads, progress)
        if bpp is not None:
            rate = 8 * len(data) / pixels
            fits, reached = rate <= bpp, f"{rate:.3f} bpp"
        else:
            gain = measure_psnr(image.colour, colour)
            fits, reached = gain >= (psnr or 0), f"{gain:.2f} dB"
        if fits:
            best = data
        if fits == (bpp is not None):
            low = middle + 1
        else:
            high = middle - 1
    if best is None:
        wanted = f"{bpp} bpp" if bpp is not None else f"{psnr} dB"
        raise TargetUnreachable(f"{wanted} is out of this model's reach for this picture; the nearest is {reached}")
    return best


def measure_psnr(x: U8, x_hat: U8) -> float:
    """PSNR in dB over all samples of two uint8 pictures of one shape; infinite if they are equal."""
    rows = max(1, (1 << 22) // max(1, x[0].size))
    parts = (slice(top, top + rows) for top in range(0, len(x), rows))
    total = sum(float(((x[p].astype(np.float32) - x_hat[p]) ** 2).sum(dtype=np.float64)) for p in parts)
    return float("inf") if total == 0 else float(10 * np.log10(255**2 * x.size / total))


def _encode(
    image: Image, model: Model, step_index: int, effort: int, threads: int, progress: Progress | None
) -> tuple[bytes, U8]:
    """File and decoded colour."""
    if not 1 <= effort <= 9:
        raise ValueError(f"effort is 1 to 9, not {effort}")
    if image.palette is not None or image.bit_depth != 8:
        found = "a palette" if image.palette is not None else f"samples of {image.bit_depth} bits"
        remedy = "use .expanded() or .filled() of it, or code it without loss (max_error=0)"
        raise UnsupportedInput(f"the lossy codec takes RGB and grey of 8 bits, and this picture has {found}; {remedy}")
    height, width, channels = image.colour.shape
    payloads, colour = encode_tiles(photo(model), image.colour, step_index, effort, threads, progress)
    chunks = [Chunk("T", payload) for payload in payloads]
    if image.alpha is not None:
        chunks.append(Chunk("A", pack_plane(image.alpha)))
    chunks += [Chunk(letter, data) for letter, data in (("i", image.icc), ("e", image.exif)) if data]
    header = Header(Kind.PHOTO, width, height, channels, 8, 1, model.id, digest(replace(image, colour=colour)))
    return pack(header, chunks), colour


def _encode_box(built: Photo, colour: U8, box: Box, step_index: int, effort: int) -> tuple[bytes, Ints]:
    return encode_tile(built, _coefficients(colour, box), step_index, effort)


class Canvas:
    """Tiles of coefficients in, in raster order, pixels out: the decoder's synthesis, in strips of bounded height.

    Parameters
    ----------
    restored : whether the restoration is applied; always, for a photo
    """

    def __init__(
        self, built: Photo, height: int, width: int, channels: int, threads: int = 0, restored: bool = True
    ) -> None:
        self._threads = threads
        self.colour: U8 = np.empty((height, width, channels), np.uint8)
        self._built = built
        self._restored = restored
        # blocks that a block's pixels depend on; 1 for the lapped transform
        self._halo = 1 + (built.restoration.halo if restored else 0)
        self._h, self._w = -(-height // BLOCK), -(-width // BLOCK)
        self._rows = np.zeros((0, self._w, transform.COEFFICIENTS), np.int32)  # coefficients that are still needed
        self._top = 0  # block row of the first of them
        self._done = 0  # block rows whose pixels are there
        self._step_index = -1

    def add(self, box: Box, y: Ints, step_index: int) -> None:
        """A tile: where it is, and its coefficients in 1/256 grey levels.

        Raises
        ------
        CorruptStream
            Not the quality of the tiles before it: the restoration works across tiles.
        """
        top, bottom, left, right = box
        if self._step_index not in (-1, step_index):
            raise CorruptStream(f"a tile has step index {step_index}, the ones before it {self._step_index}")
        self._step_index = step_index
        if left == 0:
            grown = np.empty((bottom - top, self._w, self._rows.shape[2]), np.int32)
            self._rows = np.concatenate([self._rows, grown])
        self._rows[top - self._top : bottom - self._top, left:right] = y
        if right == self._w:
            self._paint(self._h if bottom == self._h else bottom - self._halo)

    def _paint(self, stop: int) -> None:
        """Make the pixels of all block rows before `stop`, in windows, and forget what no later row needs."""
        most = workers(self._threads, self._w // NARROWEST)
        columns = shares(0, self._w, max(most, -(-self._w // TILE)))
        rows = shares(self._done, stop, -(-max(stop - self._done, 0) // TILE))
        jobs = ((None, partial(self._window, *row, *column)) for row in rows for column in columns)
        for _ in in_order(jobs, most, len(rows) * len(columns)):
            pass
        self._done = max(stop, self._done)
        keep = max(self._done - self._halo, 0)
        self._rows, self._top = self._rows[keep - self._top :].copy(), keep

    def _window(self, top: int, bottom: int, left: int, right: int) -> None:
        a, b = max(top - self._halo, 0), min(bottom + self._halo, self._h)
        c, d = max(left - self._halo, 0), min(right + self._halo, self._w)
        y = self._rows[a - self._top : b - self._top, c:d]
        x = transform.synthesis(y, (b - a, d - c))
        if self._restored:
            x = self._built.restoration(x, self._step_index, int(self._built.steps[self._step_index]))
        x = x[(top - a) * BLOCK : (bottom - a) * BLOCK, (left - c) * BLOCK : (right - c) * BLOCK]
        if self.colour.shape[2] == 1:
            x = x.sum(axis=2, keepdims=True) / 3
        out = self.colour[top * BLOCK : bottom * BLOCK, left * BLOCK : right * BLOCK]
        out[:] = np.clip(np.floor(x * 2.0**-FRACTION + 0.5), 0, 255)[: out.shape[0], : out.shape[1]]


def _coefficients(colour: U8, box: Box) -> NDArray[np.float64]:
    """Coefficients of a tile of blocks; the picture is continued by its border pixels to whole blocks."""
    height, width, channels = colour.shape
    top, bottom, left, right = box
    a, b = max(top - 1, 0), min(bottom + 1, -(-height // BLOCK))
    c, d = max(left - 1, 0), min(right + 1, -(-width // BLOCK))
    x = colour[a * BLOCK : b * BLOCK, c * BLOCK : d * BLOCK]
    x = np.pad(x, ((0, (b - a) * BLOCK - x.shape[0]), (0, (d - c) * BLOCK - x.shape[1]), (0, 0)), mode="edge")
    y = transform.analysis(np.broadcast_to(x, (*x.shape[:2], 3)) if channels == 1 else x)
    return np.ascontiguousarray(y[top - a : bottom - a, left - c : right - c])


def _boxes(height: int, width: int) -> Iterator[Box]:
    """Tiles in raster order."""
    h, w = -(-height // BLOCK), -(-width // BLOCK)
    return ((t, min(t + TILE, h), u, min(u + TILE, w)) for t in range(0, h, TILE) for u in range(0, w, TILE))


def _shape(box: Box) -> tuple[int, int]:
    return box[1] - box[0], box[3] - box[2]


def _check(header: Header) -> None:
    check_kind(header, Kind.PHOTO)
    if header.channels not in (1, 3) or header.bit_depth != 8:
        found = f"{header.channels} channels of {header.bit_depth} bits"
        raise UnsupportedVersion(f"a photo of {found}; this version of the codec knows 1 or 3 channels of 8 bits")


def _one(chunks: Any, letter: str) -> bytes | None:
    return next((chunk.data for chunk in chunks if chunk.type == letter), None)


def _alpha(header: Header, chunks: Any) -> U8 | None:
    data = _one(chunks, "A")
    return None if data is None else unpack_plane(data, (header.height, header.width))
