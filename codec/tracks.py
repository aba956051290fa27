"""Clips of a few light things that move over black -> the things and their ways. The encoder's side only.

    x_t = max_k s_k(. - p_k,t)          is what such a clip is: sprites s_k at places p_k,t, the brighter one in front

A sprite is nowhere brighter than any frame at its place. So a part that stands apart in one frame is followed through
all others: it can only be where the frame is nowhere darker (its violation is zero). Once the ways are known, the
brightest sprites that no frame forbids are the minimum over the frames,

    s_k(q) = min_t x_t(p_k,t + q),

and they explain every pixel if anything with these ways does: they are nowhere darker than the true ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["FAR", "Sprite", "compose", "find_sprites"]

FAR = 4  # rows and columns that a thing moves in a frame, at most
MOST = 6  # things in a clip
SEEDS = 8  # frames in which parts are looked for
END = 9  # pixels of an end of a part
LARGEST = 30  # pixels that a thing extends from any part of it

U8 = NDArray[np.uint8]
Ints = NDArray[np.int64]


class Part(NamedTuple):
    """Pixels of a frame, black where they are not of the part, and where their first one is."""

    top: int
    left: int
    pixels: U8


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A thing and its way.

    Attributes
    ----------
    pixels : (h, w) uint8, black where it is transparent
    corners : (T, 2) row and column of its first pixel in each frame
    """

    pixels: U8
    corners: Ints


def compose(sprites: list[Sprite], shape: tuple[int, int, int]) -> U8:
    """The clip (T, H, W) that sprites make; they may stand over the border."""
    frames = np.zeros(shape, np.uint8)
    for sprite in sprites:
        (h, w), (_, height, width) = sprite.pixels.shape, shape
        for frame, (y, x) in zip(frames, sprite.corners.tolist(), strict=True):
            top, left = max(y, 0), max(x, 0)
            part = frame[top : max(0, min(y + h, height)), left : max(0, min(x + w, width))]
            source = sprite.pixels[top - y :, left - x :][: part.shape[0], : part.shape[1]]
            np.maximum(part, source, out=part)
    return frames


def find_sprites(frames: U8) -> list[Sprite] | None:
    """Sprites that make up a clip exactly, or None if none were found.

    frames : (T, H, W) uint8
    """
    parts = [(seed, part) for seed in _most_ink(frames)[:SEEDS] for part in _parts(frames[seed])[:1]]
    parts += [(seed, end) for seed, part in parts for end in _ends(part)]  # where two things touch in all frames
    for seed, part in parts:
        if (sprites := _peel(frames, part, seed)) is not None:
            return sprites
    return None


def _peel(frames: U8, part: Part, seed: int) -> list[Sprite] | None:
    """Follow a part; then what its sprite leaves unexplained; and so on."""
    sprites: list[Sprite] = []
    while len(sprites) < MOST:
        way = _follow(frames, part, seed)
        if way is None:
            return None
        sprites.append(_brightest(frames, part, way))
        rest = np.where(frames > compose(sprites, frames.shape), frames, 0)
        if not rest.any():
            return [_cropped(sprite) for sprite in _needed(frames, sprites)]
        seed = _most_ink(rest)[0]
        part = _parts(rest[seed])[0]
    return None


def _most_ink(frames: U8) -> list[int]:
    """Numbers of frames, those with the most ink first: there the least is hidden."""
    order: list[int] = np.argsort(-np.count_nonzero(frames, axis=(1, 2)), kind="stable").tolist()
    return order


def _parts(frame: U8) -> list[Part]:
    """Connected parts (with diagonals) of what is not black, the largest first."""
    ink = frame > 0
    height, width = ink.shape
    labels = np.where(ink, np.arange(1, ink.size + 1).reshape(ink.shape), 0)
    while True:
        around, spread = np.pad(labels, 1), labels
        for y, x in np.ndindex(3, 3):
            spread = np.maximum(spread, around[y : y + height, x : x + width])
        spread = np.where(ink, spread, 0)
        if np.array_equal(spread, labels):
            break
        labels = spread
    found, counts = np.unique(labels[ink], return_counts=True)
    return [_part(np.where(labels == label, frame, 0)) for label in found[np.argsort(-counts, kind="stable")].tolist()]


def _part(picture: U8) -> Part:
    """What is not black in a picture."""
    ys, xs = np.nonzero(picture)
    top, left = int(ys.min()), int(xs.min())
    return Part(top, left, picture[top : ys.max() + 1, left : xs.max() + 1])


def _ends(part: Part) -> list[Part]:
    """The outermost pieces of a part: what belongs to one thing if two touch."""
    (h, w), found = part.pixels.shape, []
    rows, columns = np.arange(h)[:, None], np.arange(w)
    for sides in ((rows, h), (columns, w)):
        at, length = sides
        for end in (at < min(END, length // 2), at >= length - min(END, length // 2)):
            piece = np.where(end, part.pixels, 0)
            if piece.any():
                found += [Part(part.top + p.top, part.left + p.left, p.pixels) for p in _parts(piece)[:1]]
    return found


def _violation(frame: U8, part: U8, y: int, x: int, far: int) -> tuple[Ints, Ints]:
    """How much brighter than a frame a part is, and how much darker, at all places up to `far` from (y, x)."""
    h, w = part.shape
    padded = np.pad(frame.astype(np.int16), far + max(h, w))
    top, left = y + max(h, w), x + max(h, w)  # of the first place: (y - far, x - far), behind the margin
    window = padded[top : top + h + 2 * far, left : left + w + 2 * far]
    views = np.lib.stride_tricks.sliding_window_view(window, (h, w))
    difference = np.where(part > 0, part.astype(np.int16) - views, 0)
    return np.maximum(difference, 0).sum(axis=(2, 3)), np.maximum(-difference, 0).sum(axis=(2, 3))


def _follow(frames: U8, part: Part, seed: int) -> Ints | None:
    """The way of a part through all frames, as its corners, from where it is in frame `seed`; None if it is lost.

    Of several places where it fits, that which it resembles most is taken; of those, the one straight ahead.
    """
    way = np.empty((len(frames), 2), np.int64)
    way[seed] = part.top, part.left
    for step, stop in ((1, len(frames)), (-1, -1)):
        last = np.zeros(2, np.int64)
        for t in range(seed + step, stop, step):
            y, x = way[t - step].tolist()
            over, under = _violation(frames[t], part.pixels, y, x, FAR)
            places = np.argwhere(over == 0)
            if len(places) == 0:
                return None
            moves = places - FAR
            likeness = under[places[:, 0], places[:, 1]] + np.abs(moves - last).sum(axis=1)
            last = moves[likeness.argmin()]
            way[t] = way[t - step] + last
    return way


def _brightest(frames: U8, part: Part, way: Ints) -> Sprite:
    """The brightest sprite on a way, as far as LARGEST pixels around a part, that no frame forbids."""
    (h, w), (height, width) = part.pixels.shape, frames.shape[1:]
    up, left = max(0, LARGEST - h), max(0, LARGEST - w)
    corners, (h, w) = way - (up, left), (h + 2 * up, w + 2 * left)
    pixels = np.full((h, w), 255, np.uint8)
    for frame, (y, x) in zip(frames, corners.tolist(), strict=True):
        top, left = max(y, 0), max(x, 0)
        seen = frame[top : max(0, min(y + h, height)), left : max(0, min(x + w, width))]
        part_ = pixels[top - y :, left - x :][: seen.shape[0], : seen.shape[1]]
        np.minimum(part_, seen, out=part_)
    inside = _ever_inside(corners, (h, w), (height, width))
    return Sprite(np.where(inside, pixels, 0).astype(np.uint8), corners)


def _cropped(sprite: Sprite) -> Sprite:
    """A sprite without its black borders."""
    if not sprite.pixels.any():
        return sprite
    part = _part(sprite.pixels)
    return Sprite(part.pixels, sprite.corners + np.array([part.top, part.left]))


def _ever_inside(corners: Ints, size: tuple[int, int], frame: tuple[int, int]) -> NDArray[np.bool_]:
    """(h, w) which pixels of a sprite are within the frame at some time."""
    ys, xs = (corners[:, axis, None] + np.arange(size[axis]) for axis in range(2))
    within: Any = [(each >= 0) & (each < most) for each, most in zip((ys, xs), frame, strict=True)]
    ever: NDArray[np.bool_] = np.einsum("ty,tx->yx", within[0].astype(np.int64), within[1].astype(np.int64)) > 0
    return ever


def _needed(frames: U8, sprites: list[Sprite]) -> list[Sprite]:
    """The sprites without those pixels that others show as well, whenever they are seen."""
    for number, sprite in enumerate(sprites):
        others = compose([other for other in sprites if other is not sprite], frames.shape)
        (h, w), needed = sprite.pixels.shape, np.zeros(sprite.pixels.shape, bool)
        for frame, other, (y, x) in zip(frames, others, sprite.corners.tolist(), strict=True):
            top, left = max(y, 0), max(x, 0)
            seen = slice(top, max(0, min(y + h, frame.shape[0]))), slice(left, max(0, min(x + w, frame.shape[1])))
            part = needed[top - y :, left - x :][: frame[seen].shape[0], : frame[seen].shape[1]]
            part |= frame[seen] > other[seen]
        sprites = [
            *sprites[:number],
            Sprite(np.where(needed, sprite.pixels, 0), sprite.corners),
            *sprites[number + 1 :],
        ]
    return sprites
