"""The codes of a photo: the discrete latent that its file holds, for those who train on tokens.

    file --walk of the prior--> numbers, hyper --codebooks--> indices         numbers, hyper --walk, synthesis--> pixels

A block of 16 x 16 pixels is 768 integers around what the prior predicts of it, in 122 columns from coarse to fine: 12
single numbers, 10 pairs, 16 fours and 84 eights (codebook.py). A column's index names its codeword:

    single numbers     index = number + 127; 0 and 254 stand for all that are as far off, or farther
    pairs, fours, eights     0: all zero;  1 .. K: codebook(dim).words[index - 1];  K + 1: no codeword fits, it is split

So indices are tokens of fixed vocabularies (`SIZES`), which lose what a split group holds; numbers lose nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import photo
from codec.codebook import SLICES, UNIT, codebook
from codec.container import Kind, check_kind, unpack
from codec.errors import CorruptStream, ModelMismatch
from codec.hyper import HYPER_GROUPS, HYPER_WORDS
from codec.image import Box, Canvas
from codec.limits import DEFAULT, Limits
from codec.model import Model, find_model
from codec.photo import TILE, Photo
from codec.prior import STEPS, Pass
from codec.symbols import REACH
from codec.transform import BLOCK

__all__ = ["COLUMNS", "HYPER_SIZE", "SIZES", "Codes", "codes_of", "pixels_of"]

HYPER = 4  # blocks that a code of the hyper-latent spans, each way
HYPER_SIZE = HYPER_WORDS  # codewords of each of its columns
_WORDS = {1: 2 * REACH + 1} | {dim: codebook(dim).split + 2 for dim in (2, 4, 8)}
SIZES = np.repeat([_WORDS[part.dim] for part in SLICES], [part.groups for part in SLICES])
"""(122,) int64: indices of a column are 0 .. SIZES[column] - 1."""
COLUMNS = len(SIZES)


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """The discrete latent of a photo of h x w blocks, h = ceil(height / 16), w = ceil(width / 16).

    Attributes
    ----------
    numbers : (h, w, 768) int16
        What is coded of each block: integers, in steps of the quantiser, around the mean that the prior predicts from
        what is coded before. In the model's order, by falling variance. With `hyper` and `step_index` they are all that
        the pixels depend on.
    hyper : (ceil(h / 4), ceil(w / 4), 2) uint8
        Codes of the hyper-latent, 0 .. 63: what the prior is told in advance of 4 x 4 blocks.
    step_index : quality, 0 .. 63
    height, width, channels : of the picture; its alpha is no part of the codes
    """

    numbers: NDArray[np.int16]
    hyper: NDArray[np.uint8]
    step_index: int
    height: int
    width: int
    channels: int

    @property
    def indices(self) -> NDArray[np.int16]:
        """(h, w, 122) int16: the codeword of each column, below `SIZES[column]`."""
        columns = []
        for part in SLICES:
            vectors = self.numbers[..., part.start : part.stop].reshape(-1, part.dim).astype(np.int64)
            if part.dim == 1:
                found = np.clip(vectors[:, 0], -REACH, REACH) + REACH
            else:
                found = np.where(vectors.any(axis=1), codebook(part.dim).index(vectors) + 1, 0)
            columns.append(found.reshape(*self.numbers.shape[:2], part.groups))
        return np.concatenate(columns, axis=2).astype(np.int16)


def codes_of(data: bytes, *, model: Model | None = None, limits: Limits = DEFAULT) -> Codes:
    """The codes that a file of kind PHOTO holds.

    Parameters
    ----------
    model : that it was made with; None to look it up by the id in the header

    Raises
    ------
    CodecError
        And nothing else, whatever the bytes. (The digest in the header is one of pixels, which are not made here.)
    """
    header, chunks = unpack(data, limits)
    check_kind(header, Kind.PHOTO)
    model = model or find_model(header.model_id)
    if model.id != header.model_id:
        raise ModelMismatch(f"the file needs model {header.model_id.hex()}, not {model.id.hex()} ({model.name})")
    built, tiles = photo.photo(model), [chunk.data for chunk in chunks if chunk.type == "T"]
    hyper_shape, shape = _shapes(header.height, header.width)
    boxes = list(_boxes(*shape[:2]))
    if len(tiles) != len(boxes) or header.channels not in (1, 3):
        found = f"{len(tiles)} tiles, {header.channels} channels"
        raise CorruptStream(f"{found} for {header.width} x {header.height} pixels, expected {len(boxes)}, and 1 or 3")
    numbers, hyper = np.zeros(shape, np.int16), np.zeros(hyper_shape, np.uint8)
    if len(qualities := {tile[:1] for tile in tiles}) > 1:
        raise CorruptStream(f"tiles of {len(qualities)} qualities, expected one")
    for box, payload in zip(boxes, tiles, strict=True):
        step_index, *parts = _read_tile(built, payload, (box[1] - box[0], box[3] - box[2]))
        for whole, part, scale in zip((numbers, hyper), parts, (1, HYPER), strict=True):
            window = _window(whole, box, scale)
            window[...] = part.reshape(window.shape)
    return Codes(numbers, hyper, step_index, header.height, header.width, header.channels)


def pixels_of(codes: Codes, model: Model, *, threads: int = 0) -> NDArray[np.uint8]:
    """The picture that codes stand for, (height, width, channels): the very pixels that a decoder of its file gets.

    Raises
    ------
    ValueError
        Arrays of other shapes, or codes that the model does not have.
    """
    built = photo.photo(model)
    _check(codes)
    canvas = Canvas(built, codes.height, codes.width, codes.channels, threads)
    for box in _boxes(*codes.numbers.shape[:2]):
        numbers, hyper = _window(codes.numbers, box, 1), _window(codes.hyper, box, HYPER)
        canvas.add(box, _tile(built, codes.step_index, numbers, hyper), codes.step_index)
    return canvas.colour


def _read_tile(built: Photo, payload: bytes, shape: tuple[int, int]) -> tuple[int, Any, Any]:
    """Step index, numbers (h * w, 768) and codes of the hyper-latent (n, 2) of a tile: what its walk comes by."""
    step_index, decoder = photo.open_tile(payload)
    passes, hyper = list[Pass](), list[Any]()

    def code(freqs: Any, _: Any) -> Any:
        symbols = decoder.decode(freqs)
        if not passes:  # the hyper-latent comes before the first pass
            hyper.append(symbols)
        return symbols

    values = built.prior.walk(None, shape, step_index, int(built.steps[step_index]), passes.append, code)
    numbers = np.zeros(values.shape, np.int16)
    for now in passes:
        off = values[now.at, now.start : now.stop] - now.parameters.mean.reshape(len(now.at), -1)
        numbers[now.at, now.start : now.stop] = off // UNIT
    return step_index, numbers, np.stack(hyper, axis=1)


def _tile(built: Photo, step_index: int, numbers: NDArray[np.int16], hyper: NDArray[np.uint8]) -> Any:
    """The twin of `_read_tile`: coefficients (h, w, 768) of the transform, in 1/256 grey levels."""
    h, w, size = numbers.shape
    flat, step = numbers.reshape(h * w, size).astype(np.int64), int(built.steps[step_index])

    def choose(now: Pass) -> Any:
        return flat[now.at, now.start : now.stop].reshape(now.parameters.mean.shape)

    codes = hyper.reshape(-1, HYPER_GROUPS).astype(np.int64)
    values = built.prior.walk(codes, (h, w), step_index, step, choose, lambda _, symbols: symbols)
    return photo.dequantise(built, values, (h, w), step)


def _boxes(h: int, w: int) -> Iterator[Box]:
    """Tiles of h x w blocks, in raster order: top, bottom, left, right."""
    return ((t, min(t + TILE, h), u, min(u + TILE, w)) for t in range(0, h, TILE) for u in range(0, w, TILE))


def _window(whole: Any, box: Box, scale: int) -> Any:
    """The part of a map of codes that belongs to a tile; tiles begin at multiples of `scale` blocks."""
    top, bottom, left, right = box
    return whole[top // scale : -(-bottom // scale), left // scale : -(-right // scale)]


def _shapes(height: int, width: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Of `hyper` and `numbers`, for a picture of so many pixels."""
    h, w = -(-height // BLOCK), -(-width // BLOCK)
    return (-(-h // HYPER), -(-w // HYPER), HYPER_GROUPS), (h, w, SLICES[-1].stop)


def _check(codes: Codes) -> None:
    for name, shape in zip(("hyper", "numbers"), _shapes(codes.height, codes.width), strict=True):
        if (found := getattr(codes, name).shape) != shape:
            raise ValueError(f"{name} of shape {found}, expected {shape} for {codes.width} x {codes.height} pixels")
    if not 0 <= codes.step_index < STEPS or codes.hyper.min() < 0 or codes.hyper.max() >= HYPER_WORDS:
        raise ValueError(f"a step index or code of the hyper-latent outside of 0 .. {STEPS - 1}")
    if codes.channels not in (1, 3):
        raise ValueError(f"{codes.channels} channels, expected 1 or 3")
