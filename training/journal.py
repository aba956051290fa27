"""What a run records about itself: metrics.jsonl, and the same numbers for TensorBoard.

metrics.jsonl is the record: one JSON object per line, with stage, step and minutes. The files for TensorBoard (one
folder per stage) are made of it: anew from its lines when a run is resumed, so that the two always say the same.
They need the package tensorboardX; without it there are none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from codec.files import atomic_write

__all__ = ["BOARD", "METRICS", "Journal", "numbers", "prune", "tensorboard_is_there"]

METRICS, BOARD = "metrics.jsonl", "tensorboard"  # in the folder of the run
PLACE = ("stage", "step", "minutes")  # keys that say where a line belongs

Record = dict[str, Any]


def tensorboard_is_there() -> bool:
    """Whether files for TensorBoard can be written."""
    return find_spec("tensorboardX") is not None


class Journal:
    """The records of one stage; what was recorded after the step that it begins with is taken back.

    Parameters
    ----------
    out : folder of the run
    step, minutes : where the stage begins, or goes on
    on : False for a process that records nothing
    """

    def __init__(self, out: Path, stage: str, step: int, minutes: float, on: bool = True) -> None:
        self.path, self.stage, self.on = out / METRICS, stage, on
        self.began = time.time() - 60 * minutes  # as if there had been no break
        self.board: Any = None
        if on:
            lines = prune(self.path, stage, step)
            self.board = _writer(out / BOARD / stage)
            for line in lines:
                if line["stage"] == stage:
                    self._draw(line)

    def write(self, step: int, minutes: float, record: Record) -> None:
        """Record something."""
        if self.on:
            line = {"stage": self.stage, "step": step, "minutes": round(minutes, 3)} | record
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            self._draw(line)

    def close(self) -> None:
        """Nothing more comes."""
        if self.board:
            self.board.close()

    def _draw(self, line: Record) -> None:
        if self.board:
            for name, value in numbers({key: value for key, value in line.items() if key not in PLACE}):
                self.board.add_scalar(name, value, line["step"], self.began + 60 * line["minutes"])


def numbers(record: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """All numbers of a record, named by the way to them: ("validation/points/0/bpp", 0.31)."""
    if isinstance(record, dict | list):
        for key, value in record.items() if isinstance(record, dict) else enumerate(record):
            yield from numbers(value, f"{name}/{key}" if name else str(key))
    elif isinstance(record, int | float) and not isinstance(record, bool):
        yield name, record


def prune(metrics: Path, stage: str, step: int) -> list[Record]:
    """Take back the lines that a stage wrote after the checkpoint it goes on from, and a line that was cut.

    Returns
    -------
    list of dict
        The lines that are left, of all stages.
    """
    if not metrics.exists():
        return []
    kept = []
    for text in metrics.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if line["stage"] != stage or line["step"] <= step > 0:
            kept.append((line, text + "\n"))
    atomic_write(metrics, "".join(text for _, text in kept).encode(), force=True)
    return [line for line, _ in kept]


def _writer(folder: Path) -> Any:
    """A writer of a new file for TensorBoard, in place of those that are there; None without the package."""
    if not tensorboard_is_there():
        return None
    from tensorboardX import SummaryWriter  # type: ignore[import-untyped]

    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    return SummaryWriter(str(folder))
