"""What a stream may ask for.

A few bytes can claim any size, so every size is checked against these numbers before anything is allocated for it.
Products are taken in Python integers, which do not wrap.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from codec.errors import LimitExceeded

__all__ = ["DEFAULT", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds, all inclusive, all positive.

    Raises
    ------
    ValueError
        A bound is not a positive integer.
    """

    max_pixels: int = 2**28  # width x height x frames
    max_side: int = 2**18  # width, height
    max_frames: int = 2**20
    max_chunks: int = 2**16  # chunks in a file
    max_chunk_bytes: int = 2**30  # data of one critical chunk
    max_metadata_bytes: int = 2**24  # data of one ancillary chunk (ICC, EXIF, unknown)
    max_model_bytes: int = 2**26  # a whole model file
    max_file_bytes: int = 2**31  # a whole file of any kind, as read from disk or a pipe

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{field.name} must be a positive integer, got {value!r}")

    def check(self, name: str, value: int, what: str) -> None:
        """Raise `LimitExceeded` if `value` is beyond the bound called `name`; `what` says in words what is counted."""
        bound = getattr(self, name)
        if value > bound:
            raise LimitExceeded(f"{what}: {value:,} is over the limit {name} = {bound:,}")

    def check_size(self, width: int, height: int, frames: int = 1) -> None:
        """Raise `LimitExceeded` if a picture of `frames` x `height` x `width` pixels is too large."""
        self.check("max_side", max(width, height), "longest side in pixels")
        self.check("max_frames", frames, "frames")
        self.check("max_pixels", width * height * frames, f"pixels of {width} x {height} x {frames}")


DEFAULT = Limits()
