"""What a training wrote down: metrics.jsonl -> legs of stages -> curves.

A stage may have been trained in several legs, in several folders or in one: where its steps start again, a new leg
begins, and its curve goes on behind the one before.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codec.files import read_bytes
from tools.rate_distortion import MeasureError

__all__ = ["METRICS", "Leg", "Series", "last", "legs_of", "series"]

METRICS = "metrics.jsonl"
POINTS = 240  # of a curve; more are averaged

Record = dict[str, Any]
Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Leg:
    """One run of one stage: its records, by growing steps, and the folder that they are from."""

    stage: str
    source: str
    records: tuple[Record, ...]

    @property
    def steps(self) -> int:
        return int(self.records[-1]["step"])

    @property
    def minutes(self) -> float:
        return float(self.records[-1].get("minutes", 0))

    @property
    def done(self) -> bool:
        return bool(self.records[-1].get("done", False))


@dataclass(frozen=True, slots=True)
class Series:
    """Curves that share a chart: by name, (step, value), steps counted through all legs."""

    title: str
    unit: str
    curves: dict[str, Curve]


def legs_of(path: Path) -> list[Leg]:
    """Read a metrics file; of a run that is going on, the last line may be cut.

    Raises
    ------
    MeasureError
        It is not such a file.
    """
    source, records = path.parent.name or str(path.parent), list[Record]()
    lines = read_bytes(path).split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            if not line.strip():
                continue
            records.append(_checked(json.loads(line)))
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                break
            raise MeasureError(f"{path}: line {number} is no record of a training: {error}") from error
    if not records:
        raise MeasureError(f"{path} has no records yet; wait for the first lines of the training")
    legs: list[Leg] = []
    for stage in dict.fromkeys(record["stage"] for record in records):
        own = [record for record in records if record["stage"] == stage]
        cuts = [i for i in range(1, len(own)) if own[i]["step"] < own[i - 1]["step"]]
        for start, stop in itertools.pairwise([0, *cuts, len(own)]):
            legs.append(Leg(stage, source, tuple(own[start:stop])))
    return legs


def _checked(record: Any) -> Record:
    """ValueError unless it has a stage, a step, and minutes if any."""
    if not isinstance(record, dict) or not isinstance(record.get("stage"), str):
        raise ValueError("no object with a stage")
    step, minutes = record.get("step"), record.get("minutes", 0.0)
    if not isinstance(step, int) or not 0 <= step < 1 << 53:
        raise ValueError(f"a step of {step!r}")
    if not isinstance(minutes, int | float) or not math.isfinite(minutes):
        raise ValueError(f"{minutes!r} minutes")
    return record


def series(legs: Sequence[Leg]) -> list[Series]:
    """All that can be drawn of the legs of one stage."""
    found = []
    for title, unit, read in _KINDS:
        curves: dict[str, list[tuple[float, float]]] = {}
        before = 0
        for leg in legs:
            for record in leg.records:
                for name, value in read(record):
                    if isinstance(value, int | float) and math.isfinite(value):
                        curves.setdefault(name, []).append((before + int(record["step"]), float(value)))
            before += leg.steps
        if kept := {name: _thinned(curve) for name, curve in curves.items() if len(curve) > 1}:
            found.append(Series(title, unit, kept))
    return found


def last(legs: Sequence[Leg]) -> Record | None:
    """The last evaluation on validation pictures."""
    records = [record for leg in legs for record in leg.records if isinstance(record.get("validation"), dict)]
    return records[-1] if records else None


def _thinned(curve: list[tuple[float, float]]) -> Curve:
    """At most POINTS points: means of neighbours."""
    size = -(-len(curve) // POINTS)
    if size == 1:
        return tuple(curve)
    parts = [curve[i : i + size] for i in range(0, len(curve), size)]
    return tuple((p[-1][0], math.fsum(v for _, v in p) / len(p)) for p in parts)


Pairs = Iterable[tuple[str, Any]]


def _one(key: str, name: str) -> Callable[[Record], Pairs]:
    return lambda record: [(name, record.get(key))]


def _levels(record: Record) -> Pairs:
    return [(f"level {key[6:]}", value) for key, value in record.items() if key.startswith("level_")]


def _points(key: str) -> Callable[[Record], Pairs]:
    def read(record: Record) -> Pairs:
        points = _inside(record, "validation").get("points")
        points = [p for p in points if isinstance(p, dict)] if isinstance(points, list) else []
        return [(f"quality {p.get('quality')}", p.get(key)) for p in points]

    return read


def _bits(record: Record) -> Pairs:
    return [("validation", _inside(record, "validation").get("bpsp"))]


def _groups(key: str) -> Callable[[Record], Pairs]:
    def read(record: Record) -> Pairs:
        values = _inside(record, "hyper").get(key)
        return [(f"group {g}", value) for g, value in enumerate(values)] if isinstance(values, list) else []

    return read


def _inside(record: Record, key: str) -> Record:
    found = record.get(key)
    return found if isinstance(found, dict) else {}


_KINDS: tuple[tuple[str, str, Callable[[Record], Pairs]], ...] = (
    ("Loss in training", "", _one("loss", "loss")),
    ("Bits per subpixel on validation pictures", "bits", _bits),
    ("Bits per pixel on validation pictures", "bits", _points("bpp")),
    ("PSNR on validation pictures", "dB", _points("psnr")),
    ("Bits per subpixel in training, by level", "bits", _levels),
    ("Perplexity of the hyper-latent", "codewords", _groups("perplexity")),
    ("Dead codewords of the hyper-latent", "codewords", _groups("dead")),
    ("Learning rate", "", _one("learning_rate", "rate")),
)
