"""results.json: every measured point with what it was measured by, on, and when.

The file is also the memory of a measurement: the next run takes a point over where the picture (by the hash of its
file), the codec, its library's version and the setting are the same. Points of codecs that the current run does not ask
for stay in the file, so a new model never costs the rivals' points; `codecs` and `pictures` say what the last run
showed.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from tools.curves import BDRate, Comparison
from tools.rate_distortion import MeasureError, Picture, Point
from tools.rivals import Codec

FORMAT = 1
PACKAGES = ("engram-codec", "numpy", "scipy", "pillow", "imagecodecs", "ssimulacra2", "bjontegaard")


def machine() -> str:
    """The processor and its number of cores, as points carry it."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(errors="replace").splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    return f"{cpu}, {os.cpu_count()} cores"


def versions() -> dict[str, str]:
    """Of Python, the system and the packages that take part."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def load(path: Path) -> list[Point]:
    """Points of an earlier run; none if there is no such file.

    Raises
    ------
    MeasureError
        If the file is there and is not one of ours.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']}, expected {FORMAT}")
        return [Point(**point) for point in document["points"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise MeasureError(f"{path.name} is not a results file of this version ({error}); move it away") from error


def save(
    path: Path,
    points: Iterable[Point],
    pictures: Sequence[Picture],
    codecs: Sequence[Codec],
    comparisons: Sequence[Comparison] = (),
) -> None:
    """Write everything, atomically."""
    from codec.files import atomic_write

    document = {
        "format": FORMAT,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "pictures": [
            dict(zip(("name", "hash", "height", "width", "channels"), (p.name, p.hash, *p.pixels.shape), strict=True))
            for p in pictures
        ],
        "codecs": [
            {key: getattr(codec, key) for key in ("name", "label", "settings", "version", "knob", "fingerprint")}
            for codec in codecs
        ],
        "bd_rates": [_comparison(comparison) for comparison in comparisons],
        "points": [asdict(point) for point in points],
    }
    atomic_write(path, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode(), force=True)


def _comparison(comparison: Comparison) -> dict[str, Any]:
    def plain(rate: BDRate | str) -> dict[str, Any]:
        return asdict(rate) if isinstance(rate, BDRate) else {"reason": rate}

    return {
        "codec": comparison.codec,
        "anchor": comparison.anchor,
        "metric": comparison.metric,
        "method": comparison.method,
        "mean_curve": plain(comparison.mean_curve),
        "mean_of_pictures": comparison.mean_of_pictures,
        "per_picture": {name: plain(rate) for name, rate in comparison.per_picture.items()},
    }
