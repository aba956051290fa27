"""A still picture: samples of 1 .. 16 bits, or a palette and its indices, with what is carried along."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.errors import UnsupportedInput

__all__ = ["Image", "Samples", "replicate"]

Samples = NDArray[Any]  # uint8 or uint16
PALETTE_BITS = (1, 2, 4, 8)  # bits of an index


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A still picture.

    Attributes
    ----------
    colour : ndarray of uint8 or uint16, (H, W, C)
        C is 1 (grey) or 3 (red, green, blue). With a palette, C is 1, the type uint8, and the samples are indices.
    alpha : ndarray of the same type, (H, W), or None
        0 is transparent, `2**bit_depth - 1` opaque. None with a palette, which has its own.
    icc, exif : bytes or None
        ICC profile; EXIF as a TIFF structure. Carried, not interpreted.
    notices : tuple of str
        What reading the picture changed.
    palette : ndarray of uint8, (n, 3) or (n, 4), or None
        1 <= n <= 2**bit_depth colours, with alpha as the fourth column if there is one.
    bit_depth : int
        Bits of a sample, colour and alpha alike: 1 .. 8 for uint8, 9 .. 16 for uint16, all of them if it is not given.
        White is `2**bit_depth - 1`. With a palette, bits of an index: 1, 2, 4 or 8.
    source : str
        Pillow's name of the format that the picture was read from ("JPEG", "PNG", ...), empty for arrays.

    Raises
    ------
    UnsupportedInput
        An array is of another shape or type, has no pixels, or has a sample that is too large.
    """

    colour: Samples
    alpha: Samples | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    notices: tuple[str, ...] = ()
    palette: NDArray[np.uint8] | None = field(default=None, kw_only=True)
    bit_depth: int = field(default=0, kw_only=True)
    source: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        kind = self.colour.dtype
        if kind not in (np.uint8, np.uint16):
            raise UnsupportedInput(
                f"colour has samples of type {kind}, expected uint8 or uint16; "
                "scale them to 0 .. 255 (or 65535), round, and convert with .astype(numpy.uint8) (or uint16)"
            )
        if self.colour.ndim != 3 or self.colour.shape[2] not in (1, 3) or self.colour.size == 0:
            raise UnsupportedInput(f"colour has the shape {self.colour.shape}, expected (height, width, 1 or 3)")
        if self.alpha is not None and self.alpha.shape != self.colour.shape[:2]:
            raise UnsupportedInput(f"alpha has the shape {self.alpha.shape}, expected {self.colour.shape[:2]}")
        if self.alpha is not None and self.alpha.dtype != kind:
            raise UnsupportedInput(f"alpha has samples of type {self.alpha.dtype}, colour of type {kind}")
        object.__setattr__(self, "bit_depth", self.bit_depth or self.full_depth)
        if not self.full_depth - 7 <= self.bit_depth <= self.full_depth:
            fitting = f"{self.full_depth - 7} .. {self.full_depth}"
            raise UnsupportedInput(f"a bit depth of {self.bit_depth}, expected {fitting} for samples of type {kind}")
        self._check_range()

    def _check_range(self) -> None:
        stop, what = 1 << self.bit_depth, f"{self.bit_depth} bits"
        if self.palette is not None:
            found, shape = self.palette.dtype, self.palette.shape
            if found != np.uint8 or len(shape) != 2 or shape[1] not in (3, 4):
                raise UnsupportedInput(f"a palette of type {found} and shape {shape}, expected uint8, (n, 3 or 4)")
            if self.alpha is not None or self.channels != 1 or self.bit_depth not in PALETTE_BITS:
                raise UnsupportedInput("a palette stands with one plane of indices of 1, 2, 4 or 8 bits, without alpha")
            if not 1 <= len(self.palette) <= stop:
                raise UnsupportedInput(f"a palette of {len(self.palette)} colours, expected 1 .. {stop} for {what}")
            stop, what = len(self.palette), f"a palette of {len(self.palette)} colours"
        if stop > np.iinfo(self.colour.dtype).max:
            return
        largest = max(int(plane.max()) for plane in (self.colour, self.alpha) if plane is not None)
        if largest >= stop:
            raise UnsupportedInput(f"a sample is {largest}, which is too large for {what}")

    @classmethod
    def of(cls, array: Samples) -> Image:
        """Wrap uint8 or uint16: (H, W) grey, or (H, W, C) with C = 1, 2 (grey + alpha), 3 or 4 (RGB + alpha)."""
        array = array[..., np.newaxis] if array.ndim == 2 else array
        if array.ndim == 3 and array.shape[2] in (2, 4):
            return cls(array[..., :-1], array[..., -1])
        return cls(array)

    @property
    def height(self) -> int:
        return int(self.colour.shape[0])

    @property
    def width(self) -> int:
        return int(self.colour.shape[1])

    @property
    def channels(self) -> int:
        """Channels of colour, alpha not counted."""
        return int(self.colour.shape[2])

    @property
    def full_depth(self) -> int:
        """Bits that a sample could have: 8 or 16."""
        return 8 * self.colour.dtype.itemsize

    @property
    def pixels(self) -> Samples:
        """Colour, and alpha as the last channel if there is one; uint8 or uint16, (H, W, 1 .. 4)."""
        return self.colour if self.alpha is None else np.dstack((self.colour, self.alpha))

    def expanded(self) -> Image:
        """A picture with a palette as RGB or RGBA, any other as it is."""
        if self.palette is None:
            return self
        entries = self.palette
        colour, alpha = entries[:, :3][self.colour[..., 0]], None
        if entries.shape[1] == 4:
            alpha = entries[:, 3][self.colour[..., 0]]
        notice = f"palette converted to {'RGB' if alpha is None else 'RGBA'}"
        notices = (*self.notices, notice)
        return replace(self, colour=colour, alpha=alpha, palette=None, bit_depth=8, notices=notices)

    def filled(self) -> Image:
        """The samples scaled to all of their 8 or 16 bits; a picture that has them, or a palette, as it is."""
        full = self.full_depth
        if self.palette is not None or self.bit_depth == full:
            return self
        colour = replicate(self.colour, self.bit_depth)
        alpha = None if self.alpha is None else replicate(self.alpha, self.bit_depth)
        bits = f"{self.bit_depth} bit{'s' if self.bit_depth > 1 else ''}"
        notice = f"{bits} converted to {full} bits{' grey' if self.channels == 1 else ''}"
        return replace(self, colour=colour, alpha=alpha, bit_depth=full, notices=(*self.notices, notice))


def replicate(samples: Samples, bits: int) -> Samples:
    """Scale samples of `bits` bits to all bits of their type by repeating their bits from the top: 0b101 -> 0b10110110.

    Within one of the rounded product with (full white / white); a shift to the right by the difference undoes it.
    """
    full = 8 * samples.dtype.itemsize
    scaled: Samples = samples << (full - bits)
    while bits < full:
        scaled |= scaled >> bits
        bits *= 2
    return scaled
