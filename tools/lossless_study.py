"""What measurements of exact codecs say together: means, ratios, the table, results.json.

A codec's bits per subpixel are the mean over pictures. A ratio of bytes is that of two sums, over the pictures that
both codecs took. What did not come back exactly is named and counts nowhere.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.exact import Exact
from tools.lossless import OURS, LeftOut, Measured, Subject
from tools.rate_distortion import MeasureError
from tools.results import machine, versions

__all__ = ["ANCHORS", "Near", "Row", "Study", "load", "save", "table"]

FORMAT = 1
ANCHORS = {"jxl": "JPEG XL e7", "png": "PNG"}  # what bytes are compared with
DASH = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Row:
    """A codec over all pictures that it gave back exactly.

    Attributes
    ----------
    pictures : how many those are
    bpsp, encode_seconds, decode_seconds : means over them
    ratios : bytes against those of each anchor, None without a picture in common
    inexact : pictures that did not come back as they were
    """

    codec: str
    label: str
    pictures: int
    bpsp: float | None
    ratios: dict[str, float | None]
    encode_seconds: float | None
    decode_seconds: float | None
    inexact: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Near:
    """Our codec with a bound on the error.

    Attributes
    ----------
    ratio : bytes against those of our exact files
    psnr : mean over pictures, dB
    largest_error : of any sample
    broken : pictures with a larger error than the bound; they count nowhere else
    """

    codec: str
    label: str
    pictures: int
    bpsp: float | None
    ratio: float | None
    psnr: float | None
    largest_error: int
    broken: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """All that was measured of some pictures and codecs."""

    subjects: Sequence[Subject]
    codecs: Sequence[Exact]
    measured: Sequence[Measured]
    left_out: Sequence[LeftOut]

    @property
    def rows(self) -> list[Row]:
        """Exact codecs, the smallest files first."""
        rows = [self._row(codec) for codec in self.codecs if not codec.max_error]
        return sorted(rows, key=lambda row: float("inf") if row.bpsp is None else row.bpsp)

    @property
    def near(self) -> list[Near]:
        return [self._near(codec) for codec in self.codecs if codec.max_error]

    @property
    def tiles(self) -> dict[str, int]:
        """Tiles of our exact files, by how they are coded."""
        return dict(sum((Counter(found.tiles) for found in self.kept(OURS).values()), Counter()))

    def kept(self, name: str) -> dict[str, Measured]:
        """What was measured of a codec where it kept its promise, by the picture's name."""
        bounds = {codec.name: codec.max_error for codec in self.codecs}
        return {found.picture: found for found in self._of(name) if _keeps(found, bounds[name])}

    def ratio(self, name: str, anchor: str) -> float | None:
        """Bytes of a codec against those of another, over the pictures that both kept."""
        ours, theirs = self.kept(name), self.kept(anchor)
        both = ours.keys() & theirs.keys()
        return sum(ours[key].bytes for key in both) / sum(theirs[key].bytes for key in both) if both else None

    def _of(self, name: str) -> list[Measured]:
        return [found for found in self.measured if found.codec == name]

    def _row(self, codec: Exact) -> Row:
        kept = self.kept(codec.name).values()
        return Row(
            codec=codec.name,
            label=codec.label,
            pictures=len(kept),
            bpsp=_mean(found.bpsp for found in kept),
            ratios={anchor: self.ratio(codec.name, anchor) for anchor in ANCHORS},
            encode_seconds=_mean(found.encode_seconds for found in kept),
            decode_seconds=_mean(found.decode_seconds for found in kept),
            inexact=tuple(found.picture for found in self._of(codec.name) if not found.exact),
        )

    def _near(self, codec: Exact) -> Near:
        kept = self.kept(codec.name).values()
        return Near(
            codec=codec.name,
            label=codec.label,
            pictures=len(kept),
            bpsp=_mean(found.bpsp for found in kept),
            ratio=self.ratio(codec.name, OURS),
            psnr=_mean(found.psnr for found in kept if found.psnr is not None),
            largest_error=max((found.largest_error or 0 for found in kept), default=0),
            broken=tuple(found.picture for found in self._of(codec.name) if not _keeps(found, codec.max_error)),
        )


def table(study: Study) -> str:
    """The summary as text."""
    titles = ["codec", "bits/subpixel", *(f"against {label}" for label in ANCHORS.values()), "encode s", "decode s"]
    lines = [[*titles, "pictures"]]
    for row in study.rows:
        ratios = [_percent(row.ratios[anchor]) for anchor in ANCHORS]
        seconds = [_number(row.encode_seconds), _number(row.decode_seconds)]
        lines.append([row.label, _number(row.bpsp), *ratios, *seconds, f"{row.pictures} of {len(study.subjects)}"])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    for near in study.near:
        against = "" if near.ratio is None else f", {100 * near.ratio:.1f} % of the exact bytes"
        quality = "" if near.psnr is None else f", {near.psnr:.2f} dB"
        text.append(f"{near.label}: {_number(near.bpsp)}{against}{quality}, largest error {near.largest_error}")
    if tiles := study.tiles:
        text.append("tiles: " + ", ".join(f"{count} {mode}" for mode, count in sorted(tiles.items())))
    return "\n".join([*text, *notes(study)])


def notes(study: Study) -> list[str]:
    """What a reader has to know: pictures that were left out, or did not come back."""
    broken = [(row.label, row.inexact, "not exact") for row in study.rows if row.inexact]
    broken += [(near.label, near.broken, "beyond its bound") for near in study.near if near.broken]
    found = [f"{label} is {what} on {_some(names)}" for label, names, what in broken]
    labels = {codec.name: codec.label for codec in study.codecs}
    reasons: dict[tuple[str, str], list[str]] = {}
    for each in study.left_out:
        reasons.setdefault((labels[each.codec], each.reason), []).append(each.picture)
    found += [f"{label} leaves out {_some(names)}: {reason}" for (label, reason), names in reasons.items()]
    indexed = [subject.name for subject in study.subjects if subject.image.palette is not None]
    bare = [codec.label for codec in study.codecs if codec.palettes == "as colours"]
    return found + (
        [f"of {_some(indexed)}, {', '.join(bare)} keep the colours, not the palette"] if indexed and bare else []
    )


def load(path: Path) -> list[Measured]:
    """What earlier runs measured; nothing if there is no such file.

    Raises
    ------
    MeasureError
        The file is there and is not one of ours.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if (document["kind"], document["format"]) != ("lossless", FORMAT):
            raise ValueError(f"it is {document['kind']} in format {document['format']}")
        return [Measured(**found) for found in document["measured"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise MeasureError(f"{path.name} is not a file of `engram measure lossless` ({error}); move it away") from error


def save(path: Path, known: Iterable[Measured], study: Study | None = None) -> None:
    """Write all that is known, and a study with its summaries, atomically."""
    from codec.files import atomic_write

    now = datetime.now(UTC).isoformat(timespec="seconds")
    document: dict[str, Any] = {"kind": "lossless", "format": FORMAT, "date": now}
    document |= {"machine": machine(), "versions": versions()}
    if study:
        facts = ("name", "label", "settings", "version", "fingerprint", "max_error")
        document |= {
            "pictures": [subject.facts() for subject in study.subjects],
            "codecs": [{fact: getattr(codec, fact) for fact in facts} for codec in study.codecs],
            "summary": [asdict(row) for row in study.rows],
            "near": [asdict(near) for near in study.near],
            "tiles": study.tiles,
            "left_out": [asdict(each) for each in study.left_out],
        }
    document["measured"] = [asdict(found) for found in known]
    atomic_write(path, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode(), force=True)


def _keeps(found: Measured, bound: int) -> bool:
    return found.largest_error is not None and found.largest_error <= bound


def _mean(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else None


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:.3f}"


def _percent(ratio: float | None) -> str:
    return DASH if ratio is None else f"{100 * (ratio - 1):+.1f} %"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:3])} and {len(names) - 3} more"
