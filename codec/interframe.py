"""A frame <-> a payload, given the frame before it: encode and decode as twins.

    encode  x --search--> field --predict--> x~     y(x) - y(x~) --retrieve--> k --Encoder--> bytes
    decode  bytes --> field --predict--> x~, k      y^ = y(x~) + k --synthesis, restoration--> x^

The lapped transform is linear, so what the prediction got wrong is coded in the transform domain, by quantiser and
prior of a model of video: a frame is a photo of which most is known. Blocks on which nothing is coded cost next to
nothing.

    payload = step index, and 64 if the frame is restored (1 byte), range-coded symbols
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import entropy, motion, transform
from codec.context import Hints
from codec.errors import CorruptStream
from codec.field import Field, FieldCoder
from codec.image import Canvas
from codec.motion_search import search
from codec.photo import Photo, dequantise
from codec.prior import Prior
from codec.retrieval import WEIGHT, Retriever, Rounding
from codec.transform import BLOCK, COEFFICIENTS

__all__ = ["Past", "Surprise", "compare", "decode_frame", "encode_frame", "encode_surprise"]

PRUNED = 5  # effort from which blocks are left out that turn out not to be worth their bits
RESTORED = 64  # flag beside the step index
NONZERO = 7.0  # bits that a coefficient costs, about, and as many as its magnitude's square has
LEAST = 7.0  # bits that coding a block costs, about
WORTH = 0.8  # a block is coded if that costs less than so much of what leaving it as it is costs

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Ints = NDArray[np.int32]
U8 = NDArray[np.uint8]


@dataclass(slots=True, eq=False)
class Past:
    """What both sides know of the frames before, since the intra frame of the group.

    Attributes
    ----------
    frame : (H, W, C), the last one, decoded
    fields : coder of the fields, which learns
    values : (h * w, 768), what was coded of the last frame, as `Prior.walk` gives it; 0 after an intra frame
    threads : for what can be done side by side; nothing depends on it
    """

    frame: U8
    fields: FieldCoder
    values: I64
    threads: int = 0

    @classmethod
    def after(cls, frame: U8, threads: int = 0) -> Past:
        """The past of the second frame of a group."""
        h, w = _blocks(frame)
        return cls(frame, FieldCoder((h, w)), np.zeros((h * w, COEFFICIENTS), np.int64), threads)


@dataclass(frozen=True, slots=True, eq=False)
class Surprise:
    """What the encoder finds when it compares a frame with the one before it.

    Attributes
    ----------
    field : where vectors point, and which blocks are worth coding
    known : (h, w, 768) integers, coefficients of the prediction in 1/256 grey levels
    missed : (h * w, 768), what it got wrong, in steps and in the model's order
    """

    field: Field
    known: F64
    missed: F64


def encode_frame(built: Photo, frame: U8, past: Past, step_index: int, effort: int = 5) -> bytes:
    """Code a frame (H, W, 1 or 3) like the one before it; `past` goes on to this one.

    effort : 1 .. 9; up to 3 codes are rounded with a dead zone, from 4 retrieved under the prior's tables, and from 5
        blocks are tried before it is said which are coded
    """
    return encode_surprise(built, frame, past, compare(built, frame, past, step_index), step_index, effort)


def compare(built: Photo, frame: U8, past: Past, step_index: int) -> Surprise:
    """Search for what a frame (H, W, 1 or 3) has in common with the one before it, and what is new."""
    shape, step = _blocks(frame), int(built.steps[step_index])
    pad = [(0, BLOCK * blocks - pixels) for blocks, pixels in zip(shape, frame.shape, strict=False)]
    current = np.pad(frame, (*pad, (0, 0)), mode="edge")
    vectors, split = search(current, past.frame, past.fields.before.vectors, step / 16)
    known = _projected(past.frame, vectors)
    missed = transform.analysis(_three(current)) - known / 256
    scaled = missed.reshape(len(known.reshape(-1, known.shape[-1])), -1)[:, built.order] * (16 / step)
    return Surprise(Field(_worth_coding(scaled).reshape(shape), split, vectors), known, scaled)


def encode_surprise(built: Photo, frame: U8, past: Past, found: Surprise, step_index: int, effort: int) -> bytes:
    """The payload of a frame that was compared; `past` goes on to it."""
    shape, step = _blocks(frame), int(built.steps[step_index])
    coder = entropy.Encoder()

    def code(freqs: Any, symbols: Any) -> Any:
        coder.encode(symbols, freqs)
        return symbols

    prior, hints = _prior(built, found.known, past, step)
    hyper = None if hints else built.hyper(found.missed, shape)

    def walk(chooser: Rounding | Retriever, code: Any, live: NDArray[np.bool_]) -> I64:
        return prior.walk(hyper, shape, step_index, step, chooser, code, live.ravel(), hints)

    live = found.field.live
    if effort >= PRUNED and live.any():
        trial = Retriever(prior, found.missed)
        walk(trial, lambda _, symbols: symbols, live)
        left = trial.weight * (found.missed**2).sum(axis=1)
        live = live & (trial.spent < WORTH * left).reshape(shape)
    past.fields.code(code, replace(found.field, live=live))
    values = np.zeros(found.missed.shape, np.int64)
    if live.any():
        values = walk((Rounding if effort < 4 else Retriever)(prior, found.missed), code, live)
    y = _sum(built, found.known, values, step)
    ways = [_painted(built, y, step_index, frame, past.threads, restored) for restored in (False, True)]
    restored = _error(ways[1], frame) < _error(ways[0], frame)
    past.frame, past.values = ways[restored], values
    return bytes([step_index + RESTORED * restored]) + coder.getvalue()


def decode_frame(built: Photo, payload: bytes, past: Past) -> U8:
    """The twin of `encode_frame`: a frame of the shape of the one before it, to which `past` goes on.

    Raises
    ------
    CorruptStream
        No payload, unknown flags, or a vector that is too long.
    """
    if not payload or payload[0] >= 2 * RESTORED:
        raise CorruptStream(f"an inter frame begins with {payload[0] if payload else 'nothing'}, expected 0 to 127")
    restored, step_index = divmod(payload[0], RESTORED)
    shape, step = _blocks(past.frame), int(built.steps[step_index])
    decoder = entropy.Decoder(payload[1:])

    def code(freqs: Any, _: Any) -> Any:
        return decoder.decode(freqs)

    field = past.fields.code(code, None)
    known = _projected(past.frame, field.vectors)
    values = np.zeros((shape[0] * shape[1], len(built.order)), np.int64)
    if field.live.any():
        prior, hints = _prior(built, known, past, step)
        values = prior.walk(None, shape, step_index, step, lambda now: None, code, field.live.ravel(), hints)
    y = _sum(built, known, values, step)
    past.frame = _painted(built, y, step_index, past.frame, past.threads, bool(restored))
    past.values = values
    return past.frame


def _prior(built: Photo, known: F64, past: Past, step: int) -> tuple[Prior, Hints | None]:
    """The prior that codes what is new, and what it is told beforehand; the one of photos is told nothing."""
    if built.inter is None:
        return built.prior, None
    ordered = known.reshape(-1, COEFFICIENTS)[:, built.order].astype(np.int64)
    return built.inter, Hints((2 * ordered + step) // (2 * step), past.values)


def _worth_coding(scaled: F64) -> NDArray[np.bool_]:
    """Blocks (n,) where coding the coefficients (n, 768), in steps, seems to be worth its bits."""
    near = np.rint(scaled)
    gain = WEIGHT * (scaled**2 - (scaled - near) ** 2) - NONZERO - 2 * np.log2(np.maximum(np.abs(near), 1))
    worth: NDArray[np.bool_] = np.maximum(gain, 0).sum(axis=1, where=near != 0) > LEAST
    return worth


def _projected(reference: U8, vectors: I64) -> F64:
    """Coefficients of the prediction, exactly, in 1/256 grey levels."""
    return transform.project(_three(motion.predict(reference, vectors)))


def _sum(built: Photo, known: F64, values: I64, step: int) -> Ints:
    """Coefficients (h, w, 768) of what was known and what is new, in 1/256 grey levels."""
    y: Ints = known.astype(np.int32)
    y += dequantise(built, values, known.shape[:2], step)
    return y


def _painted(built: Photo, y: Ints, step_index: int, like: U8, threads: int, restored: bool) -> U8:
    """The pixels of a frame, in the shape of another one."""
    h, w, _ = y.shape
    height, width, channels = like.shape
    canvas = Canvas(built, height, width, channels, threads, restored)
    canvas.add((0, h, 0, w), y, step_index)
    return canvas.colour


def _error(x: U8, y: U8) -> float:
    return float(((x.astype(np.float32) - y) ** 2).sum(dtype=np.float64))


def _three(x: NDArray[Any]) -> NDArray[Any]:
    """(H, W, 1 or 3) -> (H, W, 3)."""
    return np.broadcast_to(x, (*x.shape[:2], 3))


def _blocks(frame: U8) -> tuple[int, int]:
    return -(-frame.shape[0] // BLOCK), -(-frame.shape[1] // BLOCK)
