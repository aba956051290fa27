"""The description length of a set as a whole: rows of the two-part code, precisions, parts; as JSON and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import log, log2
from typing import Any

from codec.catalogue import Look
from tools.description_length import Archives, Precision, rissanen
from tools.prequential import Part, running

__all__ = ["Row", "Study", "crossing", "rows_of", "table"]

NATS_TO_BITS = 1 / log(2)


@dataclass(frozen=True, slots=True)
class Row:
    """Bits of an archive of the first `count` pictures.

    Attributes
    ----------
    general : without a model of its own
    own : with one; `model` bits of it are the model
    """

    count: int
    general: int
    own: int
    model: int

    @property
    def data(self) -> int:
        return self.own - self.model


@dataclass(frozen=True, slots=True)
class Study:
    """What was measured.

    Attributes
    ----------
    weights : k, of the model of its own
    sample : pictures that stand for all in `precisions`
    pays : number of pictures from which the model of its own pays, None if it does not
    parts : of the prequential code; none if nothing was trained
    """

    look: Look
    count: int
    weights: int
    sample: int
    rows: tuple[Row, ...]
    pays: int | None
    precisions: tuple[Precision, ...]
    parts: tuple[Part, ...] = ()

    @property
    def samples(self) -> int:
        """Of all pictures."""
        return self.count * self.look.height * self.look.width * self.look.channels

    @property
    def best(self) -> Precision:
        """The precision with the least total."""
        return min(self.precisions, key=lambda each: each.total)

    @property
    def rissanen(self) -> dict[str, float]:
        """(k/2) log2 n in bits, with pictures for n, and with samples."""
        return {name: rissanen(self.weights, n) for name, n in (("pictures", self.count), ("samples", self.samples))}

    def excess(self, precision: Precision) -> float:
        """What weights this coarse make the data longer than the finest ones, in bits a weight."""
        finest = min(self.precisions, key=lambda each: each.coarser)
        return (precision.data - finest.data) / self.weights

    @property
    def prequential(self) -> list[tuple[int, float]]:
        """Pictures so far and bits so far."""
        return list(running(self.parts))

    def as_json(self) -> dict[str, Any]:
        """All of it; lengths are in bits."""
        return {
            "look": self.look._asdict(),
            "pictures": self.count,
            "samples": self.samples,
            "uniform": self.samples * self.look.depth,
            "weights": self.weights,
            "two_part": [asdict(row) | {"data": row.data} for row in self.rows],
            "pays_from": self.pays,
            "precision": {
                "coded": self.sample,
                "best": self.best.coarser,
                "rissanen": self.rissanen,
                "rows": [
                    {
                        "coarser": each.coarser,
                        "model": each.model,
                        "data": each.data,
                        "total": each.total,
                        "bits_per_weight": each.model / self.weights,
                        "excess_per_weight": self.excess(each),
                    }
                    for each in self.precisions
                ],
            },
            "prequential": [
                asdict(part) | {"bits": part.bits, "so_far": so_far}
                for part, (_, so_far) in zip(self.parts, self.prequential, strict=True)
            ],
        }


def rows_of(general: Archives, own: Archives, model: int, counts: Sequence[int]) -> Iterator[Row]:
    """A row for each number of pictures; the file of the model has `model` bits."""
    return (Row(count, general.bits(count), own.bits(count), model) for count in counts)


def crossing(general: Archives, own: Archives) -> int | None:
    """The least number of pictures, in whole blocks, from which on archives are shorter with a model of their own."""
    pays = None
    for count in reversed(own.borders):
        if own.bits(count) >= general.bits(count):
            break
        pays = count
    return pays


def table(study: Study) -> str:
    """What there is to say."""
    look, k = study.look, study.weights
    lines = [
        f"{study.count:,} pictures, {look.width} x {look.height} x {look.channels}, {look.depth} bits; "
        f"a model of their own with {k:,} weights",
        "two-part code, bits a picture",
        "  pictures   general      data     model     total",
    ]
    for row in study.rows:
        cells = (row.general, row.data, row.model, row.own)
        lines.append(f"  {row.count:8,}" + "".join(f"{bits / row.count:10,.0f}" for bits in cells))
    if study.pays is None:
        lines.append("  a model of their own does not pay")
    else:
        lines.append(f"  a model of their own pays from {study.pays:,} pictures on")
    coded = "" if study.sample == study.count else f", data by {study.sample:,} pictures that were coded"
    lines += [
        f"precision of the weights, bits{coded}",
        "  coarser  a weight         model          data         total  data beyond the finest, a weight",
    ]
    for each in study.precisions:
        mark = "  least total" if each is study.best else ""
        sums = f"{each.model:14,}{each.data:14,.0f}{each.total:14,.0f}"
        lines.append(f"  {each.coarser:7}{each.model / k:10.2f}{sums}{study.excess(each):10.2f}{mark}")
    for name, n in (("pictures", study.count), ("samples", study.samples)):
        bits = study.rissanen[name]
        lines.append(f"  (k/2) log2 n, n = {n:,} {name}: {bits:,.0f} bits, {log2(n) / 2:.2f} a weight")
    lines.append(f"  at the best step of all weights theory has {NATS_TO_BITS / 2:.2f} bits a weight beyond the finest")
    if study.parts:
        lines += _prequential(study)
    return "\n".join(lines)


def _prequential(study: Study) -> list[str]:
    lines = [
        "prequential code, bits a picture",
        "          pictures   general    learnt    so far  two-part so far",
    ]
    two_part = {row.count: row.own for row in study.rows}
    for part, (_, so_far) in zip(study.parts, study.prequential, strict=True):
        size, span = part.last - part.first, f"{part.first + 1:,} .. {part.last:,}"
        learnt = "         -" if part.learnt is None else f"{part.learnt / size:10,.0f}"
        own = f"{two_part[part.last] / part.last:10,.0f}" if part.last in two_part else ""
        lines.append(f"  {span:>16}{part.general / size:10,.0f}{learnt}{so_far / part.last:10,.0f}{own}".rstrip())
    return lines
