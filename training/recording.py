"""The command `engram record`: clips and photos in, what inter frames leave to code out."""

from __future__ import annotations

from pathlib import Path

import click

from codec import batch
from codec.files import atomic_write

__all__ = ["record"]

_HELP = {"help_option_names": ["-h", "--help"]}
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(context_settings=_HELP)
@click.option("--photos", required=True, type=_FOLDER, help="Photos, which are set in motion.")
@click.option("--movies", type=_FOLDER, help="Movies; half of the clips are from them.")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FRAMES.npz")
@click.option("--frames", type=click.IntRange(min=1), default=4000, show_default=True, help="How many are recorded.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("-T", "--threads", type=click.IntRange(min=0), default=0, help="Processes; 0 takes all cores.")
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing file.")
def record(photos: Path, movies: Path | None, output: Path, frames: int, seed: int, threads: int, force: bool) -> None:
    """Encode clips with the photo model, and keep what their inter frames leave to code.

    That is what `engram train video --data FRAMES.npz` learns from. 1000 frames take about three minutes of two cores.
    """
    if output.exists() and not force:
        raise click.UsageError(f"{output} exists; --force overwrites it")
    from codec.model import load_model
    from codec.photo import photo
    from training.clips import Movies
    from training.data import Photos
    from training.surprises import SIDE, record_all

    with batch.progress("recording", "frames") as progress:
        found = record_all(
            photo(load_model("photo")),
            Photos(photos, SIDE),
            Movies(movies) if movies else None,
            frames,
            seed=seed,
            threads=threads,
            progress=progress,
        )
    atomic_write(output, found.getvalue(), force=force)
    click.echo(f"{output}: {len(found):,} frames, {len(found.missed):,} blocks")
