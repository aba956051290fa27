"""The report: a training run, a measured codec or a model as one HTML file with everything in it.

A section is there only if there is something to put into it. The page says no date and depends on nothing but what it
is made of, so the same things make the same page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codec.container import MAGIC, Kind
from codec.image import encode as encode_photo
from codec.lossless import encode as encode_lossless
from codec.model import Model, unpack_model
from codec.photo import STRUCTURE as PHOTO
from codec.photo import photo
from codec.pixels import read_image
from codec.prior import STEPS
from tools.bits_map import BitsMap, bits_map
from tools.charts import shades
from tools.codebook_map import Book, books
from tools.curves import BDRate
from tools.model_bill import ITEMS, Bill, bill
from tools.page import headline as result
from tools.page import panel, percent
from tools.rate_distortion import MeasureError
from tools.report_figures import RAMP, cells, curves, heat, patch_uri, photograph, redrawn
from tools.report_sources import Sources
from tools.run_history import Leg, last, series

__all__ = ["Item", "Report", "inspect", "render"]

SHOWN = 4  # pictures that are drawn with their bits; all count in the tables
DRAWN = 0.01  # of a picture's bits: parts with less have no map of their own
COLOURS = ("#0b62a8", "#c2410c", "#00785a", "#9c3587", "#7d5f00", "#5f6368")


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """Something to code: the bytes of a picture's file, or of one that is coded already."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What a model tells about itself and some pictures."""

    model: Model
    bill: Bill
    maps: tuple[BitsMap, ...]
    books: tuple[Book, ...]


def inspect(sources: Sources, items: Sequence[Item], *, quality: float, effort: int, threads: int) -> Report | None:
    """Code the items, and follow every bit; None without a model.

    Raises
    ------
    MeasureError
        Items without a model, or a model by itself, which has little to show.
    CodecError
        An item that the model cannot code, or a file of another model.
    """
    if sources.model is None:
        if items:
            raise MeasureError("--image needs a model; name one beside what the report is about, such as photo")
        return None
    name, data = sources.model
    model = unpack_model(data)
    if not items and not (sources.legs or sources.rates or sources.exact or sources.planes):
        raise MeasureError(f"{name} is a model by itself; --image PICTURE shows it at work (no picture is shipped)")
    exact = model.card.get("structure") != PHOTO
    maps = []
    for item in items:
        file = item.data
        if not file.startswith(MAGIC):
            image = read_image(file, exact=exact)
            if exact:
                file = encode_lossless(image, model, effort=effort, threads=threads)
            else:
                file = encode_photo(image, model, quality=quality, effort=effort, threads=threads)
        maps.append(bits_map(item.name, file, model, threads))
    photos = [each for each in maps if each.kind == Kind.PHOTO]
    found = books(photo(model), photos) if photos else []
    return Report(model, bill(data), tuple(maps), tuple(found))


def render(sources: Sources, report: Report | None) -> str:
    """The page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("tools"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "count": _count, "short": _short}
    stages = list(dict.fromkeys(leg.stage for leg in sources.legs))
    names = {codec.name for study in sources.rates.values() for codec in study.codecs}
    return environment.get_template("run.html").render(
        headline=headline(sources, report),
        lede=_lede(sources, report),
        facts=facts(sources, report),
        stages=[_stage(stage, [leg for leg in sources.legs if leg.stage == stage]) for stage in stages],
        rates=[(n, s, [panel(s, m, large=not i) for i, m in enumerate(s.metrics)]) for n, s in sources.rates.items()],
        exact=sources.exact,
        planes=[(name, plane, _drawn(sources, name)) for name, plane in sources.planes.items()],
        books=[(b, cells(b), [(p, patch_uri(p)) for p in b.patches]) for b in report.books] if report else [],
        maps=[_map(each, number < SHOWN) for number, each in enumerate(report.maps)] if report else [],
        model=report.model if report else None,
        bill=report.bill if report else None,
        items=ITEMS,
        steps=STEPS,
        shades=shades(sorted(names)) if names else {},
        colours=COLOURS,
        ramp=RAMP[::32] + RAMP[-1:],
        is_rate=lambda value: isinstance(value, BDRate),
    )


def headline(sources: Sources, report: Report | None) -> str:
    """What the page is about, in a line."""
    if sources.legs:
        names = list(dict.fromkeys(leg.source for leg in sources.legs))
        return f"Training {' and '.join(names)}"
    if len(sources.rates) == 1:
        return result(next(iter(sources.rates.values())))
    if report:
        return f"Model {report.model.name}"
    return "Measured codecs" if sources.rates or sources.exact else "Information plane"


def _lede(sources: Sources, report: Report | None) -> str:
    said = []
    if sources.legs:
        minutes = sum(leg.minutes for leg in sources.legs)
        ended = all(leg.done for leg in sources.legs)
        said.append(f"{_count(sum(leg.steps for leg in sources.legs))} steps in {minutes:.0f} minutes")
        said[-1] += "" if ended else ", not finished"
    if report:
        count = len(report.maps)
        said.append(f"model {report.model.name}, {report.model.id.hex()}")
        if count:
            said.append(f"{count} picture{'s' if count > 1 else ''} followed bit by bit")
    return "; ".join(said) + "." if said else ""


def facts(sources: Sources, report: Report | None) -> list[tuple[str, str]]:
    """A few numbers, each with what it is."""
    found = []
    for stage in dict.fromkeys(leg.stage for leg in sources.legs):
        record = last([leg for leg in sources.legs if leg.stage == stage])
        if record and isinstance(bpsp := record["validation"].get("bpsp"), float):
            found.append((f"{bpsp:.3f}", "bits per subpixel on validation pictures"))
    if report and report.maps:
        size, pixels = sum(each.size for each in report.maps), sum(each.pixels for each in report.maps)
        found.append((f"{8 * size / pixels:.3f}", "bits per pixel in the pictures given"))
    if report:
        found.append((_count(report.bill.size), "bytes of the model, L(H)"))
    if report and report.books:
        dead, words = sum(book.dead for book in report.books), sum(len(book.counts) for book in report.books)
        found.append((f"{words - dead} of {words}", "codewords in use"))
    return found


def _stage(name: str, legs: Sequence[Leg]) -> dict[str, Any]:
    record = last(legs)
    points = (record or {}).get("validation", {}).get("points")
    rows = [p for p in points if isinstance(p, dict)] if isinstance(points, list) else []
    keys = [key for key in ("quality", "bpp", "psnr_linear", "psnr") if rows and all(key in row for row in rows)]
    rows = [row for row in rows if all(isinstance(row[key], int | float) for key in keys)]
    return {"name": name, "legs": legs, "charts": curves(series(legs), legs), "shown": keys, "points": rows}


def _map(found: BitsMap, shown: bool) -> dict[str, Any]:
    cells_, file = found.cells, 8.0 * found.size
    described: dict[str, Any] = {"found": found, "cells": float(cells_.sum()), "file": file, "shown": shown}
    if shown:
        photo_uri, width, height = photograph(found.image)
        described |= {"photo": photo_uri, "width": width, "height": height, "heat": heat("all", cells_, found)}
        least = DRAWN * cells_.sum()
        described["parts"] = [heat(title, bits, found) for title, bits in found.maps if bits.sum() > least]
    return described


def _drawn(sources: Sources, name: str) -> str | None:
    try:
        return redrawn(sources.pictures[name]) if name in sources.pictures else None
    except ValueError as error:
        raise MeasureError(f"the picture beside results.json of {name}: {error}") from error


def _count(number: float) -> str:
    """Whole, with thin spaces between thousands."""
    return f"{number:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _short(number: float) -> str:
    """About three digits."""
    return _count(number) if number >= 1000 else f"{number:.3g}" if number >= 1 else f"{number:.3f}"
