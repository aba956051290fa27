"""The line on standard error that says where a training is; nothing is said unless that is a terminal."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Mapping

__all__ = ["Figures", "Live"]

Figures = Mapping[str, float | list[float] | None]

SECONDS = 1.0  # between two states of the line
WORDS = {  # figures that are shown, and how
    "loss": "loss {}",
    "bpp": "{} bpp",
    "bpsp": "{} bits per subpixel",
    "psnr": "{} dB",
    "gain": "{} dB gained",
    "perplexity": "perplexity {}",
    "dead": "{} dead",
}


class Live:
    """The line of one stage.

    Parameters
    ----------
    name : of the stage
    on : False for silence even on a terminal
    """

    def __init__(self, name: str, on: bool = True) -> None:
        self.name, self.shown, self.on = name, -math.inf, on and sys.stderr.isatty()
        self.first: tuple[float, float] | None = None

    @property
    def due(self) -> bool:
        """Whether it is time to show something new."""
        return self.on and time.monotonic() - self.shown > SECONDS

    def show(self, step: int, progress: float, figures: Figures) -> None:
        """Replace the line: what share of the training is over, 0..1, and figures by names of WORDS."""
        left = duration(self.left(progress, time.monotonic()))
        words = [f"{self.name}  step {step}  {progress:.1%}, {left} left"]
        words += [WORDS[name].format(number(value)) for name, value in figures.items() if value is not None]
        line = "  ".join(words)[: shutil.get_terminal_size().columns - 1]  # a second line could not be taken back
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()
        self.shown = time.monotonic()

    def left(self, progress: float, now: float) -> float:
        """Minutes that are left, if it goes on as it did since the line was first shown, `now` being in seconds."""
        self.first = self.first or (progress, now)
        gone = progress - self.first[0]
        return (now - self.first[1]) / 60 * (1 - progress) / gone if gone > 0 else math.inf

    def close(self) -> None:
        """Leave the line as it is, and go on below."""
        if self.on:
            sys.stderr.write("\n")


def number(value: float | list[float]) -> str:
    """Four digits, or as many as a whole number has; several numbers side by side."""
    if isinstance(value, list):
        return "/".join(map(number, value))
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def duration(minutes: float) -> str:
    """Minutes in the unit that suits them."""
    if not math.isfinite(minutes):
        return "?"
    if minutes < 1.5:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
