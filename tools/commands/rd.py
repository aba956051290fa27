"""The command `engram measure rd`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import click

from codec import batch
from codec.files import atomic_write
from tools.commands.common import FILE, FOLDER, failures, listed, load_pictures
from tools.curves import Method
from tools.metrics import METRICS
from tools.rate_distortion import Picture, Point, measure_all
from tools.rivals import RIVALS, Codec
from tools.study import Study

__all__ = ["rd"]

SHOWN = 3  # pictures in the slider where none are named
SAVE_EVERY = 30.0  # seconds
METHODS = get_args(Method)
_POSITIVE = click.FloatRange(0, min_open=True)


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=FOLDER, metavar="DIR", help="Folder for what is found.")
@click.option("-m", "--model", "models", multiple=True, help="Name or path of a model; several to compare. [photo]")
@click.option("--rivals-only", is_flag=True, help="Measure the rivals alone.")
@click.option("--rivals", callback=listed, default=",".join(RIVALS), show_default=True, help="May be empty.")
@click.option("--metrics", callback=listed, default=",".join(METRICS), show_default=True, help="The first one leads.")
@click.option("--points", type=click.IntRange(min=2), help="Settings for each codec; its usual 7 or 8 by default.")
@click.option("-e", "--effort", type=click.IntRange(1, 9), default=5, show_default=True, help="Of our encoder.")
@click.option("-T", "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Ours; rivals: one.")
@click.option("--method", type=click.Choice(METHODS), default=METHODS[0], show_default=True, help="Of BD-rates.")
@click.option("--published", type=FILE, metavar="JSON", help="Curves of others to draw.")
@click.option("--published-names", callback=listed, default="", help="Of the published curves, only these.")
@click.option("--show", callback=listed, default="", help="Pictures for the slider by name, or `none`. [three]")
@click.option("--show-bpp", type=_POSITIVE, default=0.25, show_default=True, help="Their size in bits per pixel.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Take over points measured before.")
def rd(
    images: tuple[Path, ...],
    output: Path,
    models: tuple[str, ...],
    rivals_only: bool,
    rivals: tuple[str, ...],
    metrics: tuple[str, ...],
    points: int | None,
    effort: int,
    threads: int,
    method: Method,
    published: Path | None,
    published_names: tuple[str, ...],
    show: tuple[str, ...],
    show_bpp: float,
    resume: bool,
) -> None:
    """Rate-distortion curves on IMAGES, which are pictures or folders of pictures.

    Each picture goes through each codec at each setting, as a whole file on disk. Written to DIR: results.json (all
    points; a later run measures only what is missing), rd.png, and report.html with curves, BD-rates and a slider. A
    short table goes to standard output.
    """
    for names, known, what in ((rivals, RIVALS, "--rivals"), (metrics, METRICS, "--metrics")):
        if unknown := [name for name in names if name not in known]:
            raise click.BadParameter(f"{', '.join(unknown)}; known are {', '.join(known)}", param_hint=what)
    if not metrics:
        raise click.BadParameter("at least one metric is needed", param_hint="--metrics")
    if rivals_only and (models or not rivals):
        raise click.UsageError("--rivals-only goes with rivals, and without --model")
    with failures():
        from tools import page, plot, results
        from tools.slider import exhibit
        from tools.study import load_published, study, table

        curves = load_published(published) if published else {}
        if missing := [name for name in published_names if name not in curves]:
            raise click.BadParameter(f"not in the file: {', '.join(missing)}", param_hint="--published-names")
        codecs = ([] if rivals_only else _ours(models, effort, threads)) + [RIVALS[name]() for name in rivals]
        pictures = load_pictures(images)
        chosen = _chosen(pictures, show)
        output.mkdir(parents=True, exist_ok=True)
        store = output / "results.json"
        old = results.load(store) if resume else []
        measures = [METRICS[name] for name in metrics]
        fresh: dict[str, Point] = {}
        saved = time.monotonic()

        def save(found: Study | None = None) -> None:
            merged = {point.key: point for point in old} | fresh
            results.save(store, merged.values(), pictures, codecs, found.comparisons if found else ())

        count, total = 0, sum(len(codec.rungs(points)) for codec in codecs) * len(pictures)
        with batch.progress("measuring") as progress:

            def done(point: Point, is_fresh: bool) -> None:
                nonlocal count, saved
                count += 1
                if progress:
                    progress(count, total)
                if is_fresh:
                    fresh[point.key] = point
                    if time.monotonic() > saved + SAVE_EVERY:
                        save()
                        saved = time.monotonic()

            try:
                measured = measure_all(
                    pictures, codecs, measures, machine=results.machine(), points=points, known=old, done=done
                )
            finally:
                save()  # an interrupted measurement goes on where it was
        kept = {name: curves[name] for name in published_names or curves}
        found = study(measured, codecs, measures, method=method, published=kept)
        save(found)
        atomic_write(output / "rd.png", plot.plot(found), force=True)
        exhibits = []
        with batch.progress("pictures at equal bytes") as progress:
            for number, picture in enumerate(chosen):
                if progress:
                    progress(number, len(chosen))
                exhibits.append(exhibit(picture, codecs, measures, show_bpp))
        atomic_write(output / "report.html", page.render(found, exhibits).encode(), force=True)
    click.echo(table(found))


def _ours(models: Sequence[str], effort: int, threads: int) -> list[Codec]:
    from tools.engram import engram

    codecs = [engram(models[0] if models else "photo", effort=effort, threads=threads)]
    for model in models[1:]:
        stem = Path(model).stem
        codecs.append(engram(model, effort=effort, threads=threads, name=f"engram-{stem}", label=f"Engram {stem}"))
    return codecs


def _chosen(pictures: Sequence[Picture], names: Sequence[str]) -> list[Picture]:
    """Pictures for the slider: those named, or a few spread over all."""
    if names == ("none",):
        return []
    if unknown := [name for name in names if name not in {picture.name for picture in pictures}]:
        raise click.BadParameter(f"no such picture: {', '.join(unknown)}", param_hint="--show")
    if names:
        return [picture for picture in pictures if picture.name in names]
    count = min(SHOWN, len(pictures))
    return [pictures[round(i * (len(pictures) - 1) / max(count - 1, 1))] for i in range(count)]
