"""The command `engram measure lossless`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codec import batch
from codec.files import atomic_write, read_bytes
from codec.pixels import read_image
from tools.commands.common import FOLDER, failures, listed, named_files
from tools.exact import RIVALS, default

if TYPE_CHECKING:
    from tools.lossless import Measured, Subject

__all__ = ["lossless"]

SAVE_EVERY = 5.0  # seconds
LARGEST = 127  # error that 8 bits allow


def _errors(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    names = listed(context, parameter, value)
    if not all(name.isascii() and name.isdigit() and 1 <= int(name) <= LARGEST for name in names):
        raise click.BadParameter(f"expected whole numbers of 1 to {LARGEST} with commas between them, got {value!r}")
    return tuple(dict.fromkeys(map(int, names)))


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=FOLDER, metavar="DIR", help="Folder for what is found.")
@click.option("-m", "--model", default="lossless", show_default=True, help="Name or path of a lossless model.")
@click.option("--rivals-only", is_flag=True, help="Measure the rivals alone.")
@click.option("--rivals", callback=listed, default=",".join(default()), show_default=True, help="May be empty.")
@click.option("--errors", callback=_errors, default="1,2", show_default=True, help="Bounds of ours; may be empty.")
@click.option("-e", "--effort", type=click.IntRange(1, 9), default=5, show_default=True, help="Of our encoder.")
@click.option("-T", "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Ours; rivals: one.")
@click.option("--resume/--fresh", default=True, help="Take over what is in the folder (the default), or replace it.")
def lossless(
    images: tuple[Path, ...],
    output: Path,
    model: str,
    rivals_only: bool,
    rivals: tuple[str, ...],
    errors: tuple[int, ...],
    effort: int,
    threads: int,
    resume: bool,
) -> None:
    """Exact codecs on IMAGES, which are pictures or folders of pictures.

    Every file is decoded and compared with the picture, which goes in without ICC profile and EXIF. Written to DIR:
    results.json (a later run measures only what is missing), lossless.png and report.html. A table goes to standard
    output; its bits per subpixel are means over pictures, its percentages compare sums of bytes.

    More rivals: webp-fast, avif, and flif if that program is installed.
    """
    if unknown := [name for name in rivals if name not in RIVALS]:
        raise click.BadParameter(f"{', '.join(unknown)}; known are {', '.join(RIVALS)}", param_hint="--rivals")
    if rivals_only and not rivals:
        raise click.UsageError("--rivals-only goes with rivals")
    with failures():
        from tools import lossless_page, results
        from tools.lossless import engram, measure_all
        from tools.lossless_study import Study, load, save, table

        bounds = () if rivals_only else (0, *errors)
        codecs = [engram(model, effort=effort, threads=threads, max_error=bound) for bound in bounds]
        codecs += [RIVALS[name]() for name in rivals]
        subjects = _subjects(images)
        output.mkdir(parents=True, exist_ok=True)
        store = output / "results.json"
        known = {found.key: found for found in (load(store) if resume else [])}
        count, saved = 0, time.monotonic()

        def keep(study: Study | None = None) -> None:
            """Save what this run knows, and what another run in the same folder has saved meanwhile."""
            if resume:
                known.update({found.key: found for found in load(store)} | known)
            save(store, known.values(), study)

        with batch.progress("measuring") as progress:

            def done(found: Measured | None, fresh: bool) -> None:
                nonlocal count, saved
                count += 1
                if progress:
                    progress(count, len(subjects) * len(codecs))
                if found and fresh:
                    known[found.key] = found
                    if time.monotonic() > saved + SAVE_EVERY:
                        keep()
                        saved = time.monotonic()

            try:
                measured, left_out = measure_all(
                    subjects, codecs, machine=results.machine(), known=list(known.values()), done=done
                )
            finally:
                keep()  # an interrupted measurement goes on where it was
        study = Study(subjects, codecs, measured, left_out)
        keep(study)
        picture = lossless_page.draw(study)
        atomic_write(output / "lossless.png", picture, force=True)
        atomic_write(output / "report.html", lossless_page.render(study, picture).encode(), force=True)
    click.echo(table(study))


def _subjects(paths: Sequence[Path]) -> list[Subject]:
    """Pictures of files and folders with all their bits."""
    from tools.lossless import Subject

    subjects = []
    for name, file in named_files(paths):
        data = read_bytes(file)
        image = read_image(data, exact=True)
        batch.notify(str(file), image.notices)
        digest = hashlib.blake2b(data, digest_size=8).hexdigest()
        subjects.append(Subject(name, digest, replace(image, icc=None, exif=None)))
    return subjects
