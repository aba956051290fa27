"""The command `engram report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from codec import batch
from codec.files import atomic_write, read_bytes
from tools.commands.common import EXTENSIONS, failures
from tools.rate_distortion import MeasureError

__all__ = ["report"]

_HELP = {"help_option_names": ["-h", "--help"]}


@click.command(context_settings=_HELP)
@click.argument("sources", nargs=-1, required=True, metavar="RUN_DIR|RESULTS|MODEL...")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="REPORT.html")
@click.option(
    "-i",
    "--image",
    "images",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Picture, folder of them, or .egm file of the model, in which to follow the bits; several times for more.",
)
@click.option("-q", "--quality", type=click.FloatRange(0, 100), default=50, show_default=True, help="Of a photo model.")
@click.option("-e", "--effort", type=click.IntRange(1, 9), default=5, show_default=True, help="Of the encoder.")
@click.option("-T", "--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing file.")
def report(
    sources: tuple[str, ...],
    output: Path,
    images: tuple[Path, ...],
    quality: float,
    effort: int,
    threads: int,
    force: bool,
) -> None:
    """One HTML page about a training, a measurement or a model, with everything in it.

    RUN_DIR is the folder of a training: its curves, and the model of its checkpoints as they are now. RESULTS is the
    results.json of a measurement (rd, lossless or plane), or its folder. MODEL is a file, or the name of one that is
    installed. Several can go together: a run in several legs, a model and what was measured of it.

    With --image, the page also shows where the bits of each picture go, which codewords it takes, and what the model
    costs a picture.
    """
    with failures():
        from tools import report as page
        from tools.report_sources import find

        batch.check("", str(output), force)
        found = find(sources)
        for notice in found.notices:
            batch.notify(str(output), [notice])
        items = [page.Item(name, read_bytes(path)) for name, path in _named(images)]
        inspected = page.inspect(found, items, quality=quality, effort=effort, threads=threads)
        if inspected and not items:
            batch.notify(str(output), ["without --image there is no map of bits and codewords"])
        atomic_write(output, page.render(found, inspected).encode(), force=force)
    click.echo(f"{output}: {output.stat().st_size:,} bytes")


def _named(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Files, and those in folders that may be pictures, by their names without suffix."""
    wanted = EXTENSIONS | {".egm"}
    files = []
    for path in paths:
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() in wanted) if path.is_dir() else [path]
        if not inside:
            raise MeasureError(f"no pictures in {path}")
        files += inside
    return [(file.stem, file) for file in files]
