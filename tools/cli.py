"""The command `engram measure`: reads what to measure, measures, writes what was found."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import click

from codec import batch
from codec.files import atomic_write, read_bytes
from codec.pixels import read_image
from tools.curves import Method
from tools.metrics import METRICS
from tools.rate_distortion import MeasureError, Picture, Point, measure_all
from tools.rivals import RIVALS, Codec
from tools.study import Study

EXTENSIONS = {
    *(".png", ".jpg", ".jpeg", ".webp", ".avif", ".jp2"),
    *(".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".pnm", ".qoi"),
}
SHOWN = 3  # pictures in the slider where none are named
SAVE_EVERY = 30.0  # seconds
METHODS = get_args(Method)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)
_POSITIVE = click.FloatRange(0, min_open=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def measure() -> None:
    """Measure codecs, ours and others'."""


def _listed(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))


@measure.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=_FOLDER, metavar="DIR", help="Folder for what is found.")
@click.option("-m", "--model", "models", multiple=True, help="Name or path of a model; several to compare. [photo]")
@click.option("--rivals-only", is_flag=True, help="Measure the rivals alone.")
@click.option("--rivals", callback=_listed, default=",".join(RIVALS), show_default=True, help="May be empty.")
@click.option("--metrics", callback=_listed, default=",".join(METRICS), show_default=True, help="The first one leads.")
@click.option("--points", type=click.IntRange(min=2), help="Settings for each codec; its usual 7 or 8 by default.")
@click.option("-e", "--effort", type=click.IntRange(1, 9), default=5, show_default=True, help="Of our encoder.")
@click.option("-T", "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Ours; rivals: one.")
@click.option("--method", type=click.Choice(METHODS), default=METHODS[0], show_default=True, help="Of BD-rates.")
@click.option("--published", type=_FILE, metavar="JSON", help="Curves of others to draw.")
@click.option("--published-names", callback=_listed, default="", help="Of the published curves, only these.")
@click.option("--show", callback=_listed, default="", help="Pictures for the slider by name, or `none`. [three]")
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
    with _failures():
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


@measure.command()
@click.argument("recipe", default="photo", metavar="[RECIPE]")
@click.option("-o", "--output", required=True, type=_FOLDER, metavar="DIR", help="Folder for what is found.")
@click.option("--steps", type=click.IntRange(min=1), default=200, show_default=True, help="Of each training.")
@click.option("--resume/--fresh", default=None, help="Go on with the trainings in the folder, or replace them.")
@click.option("--data", type=_FOLDER, help="Folder of training pictures, instead of the recipe's.")
@click.option("--validation", type=_FOLDER, help="Folder of validation pictures, instead of the recipe's.")
@click.option("--pictures", type=click.IntRange(min=1), default=8, show_default=True, help="Validation pictures.")
@click.option("-T", "--threads", type=click.IntRange(min=1), default=1, show_default=True)
def control(
    recipe: str,
    output: Path,
    steps: int,
    resume: bool | None,
    data: Path | None,
    validation: Path | None,
    pictures: int,
    threads: int,
) -> None:
    """Vectors against numbers: train the prior of a RECIPE (photo) with both, and compare them.

    The same networks, data, seed and steps; the scalar control codes every coefficient of a group as a number of its
    own. Written to DIR: a folder of each training, control.json and control.png. A table goes to standard output.
    """
    if resume is None and any(output.glob("*/prior.npz")):
        raise click.UsageError(f"{output} holds trainings; --resume goes on with them, --fresh replaces them")
    with _failures():
        import torch

        from tools import control as compared
        from tools import results
        from training.cli import stopping
        from training.config import find_recipe, folder_of, parse_recipe
        from training.data import Photos

        torch.set_num_threads(threads)
        path = find_recipe(recipe)
        chosen = parse_recipe(path.read_text(encoding="utf-8"), path.name)
        short = compared.recipe_of(chosen, "vector", steps).prior
        photos = Photos(data or folder_of(chosen.data.train, path), short.schedule.crop if short else 1)
        if not (named := validation or chosen.data.validation):
            raise click.UsageError("the recipe names no validation pictures; --validation does")
        held_out = Photos(validation or folder_of(str(named), path))
        with stopping() as stop:
            found = compared.control(
                chosen, photos, held_out, output, steps, pictures=pictures, resume=bool(resume), stop=stop
            )
        document = compared.as_json(found, machine=results.machine(), versions=results.versions())
        atomic_write(output / "control.json", json.dumps(document, indent=1).encode(), force=True)
        atomic_write(output / "control.png", compared.draw(found), force=True)
    click.echo(compared.table(found))


def load_pictures(paths: Sequence[Path]) -> list[Picture]:
    """Pictures of files and folders, named by their stems, or by their whole names where stems repeat."""
    files = [file for path in paths for file in (sorted(_inside(path)) if path.is_dir() else [path])]
    if not files:
        raise MeasureError("no pictures in the folders given")
    stems = [file.stem for file in files]
    names = [file.stem if stems.count(file.stem) == 1 else file.name for file in files]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise MeasureError(f"two pictures of one name: {', '.join(repeated)}")
    pictures = []
    for name, file in zip(names, files, strict=True):
        data = read_bytes(file)
        image = read_image(data)
        notices = [*image.notices, *(["alpha is not measured"] if image.alpha is not None else [])]
        batch.notify(str(file), notices)
        pictures.append(Picture(name, hashlib.blake2b(data, digest_size=8).hexdigest(), image.colour))
    return pictures


def _inside(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.suffix.lower() in EXTENSIONS)


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


@contextmanager
def _failures() -> Iterator[None]:
    """What a user can mend ends in one line."""
    try:
        yield
    except MeasureError as error:
        raise click.ClickException(str(error)) from error
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"this needs the module {error.name}; the extra 'tools' brings it: pip install 'engram-codec[tools]'"
        ) from error
