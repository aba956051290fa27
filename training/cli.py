"""The command `engram train`: options in, checkpoints out."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from training.config import Recipe, find_recipe, folder_of, parse_recipe
from training.errors import TrainingError

__all__ = ["train"]

RUNS = "runs"  # where a run is kept unless --out says otherwise


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.option("--out", type=click.Path(path_type=Path), help=f"Folder of the run.  [default: {RUNS}/NAME]")
@click.option("--resume/--fresh", default=None, help="Go on from the checkpoints in the folder, or replace them.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Length, instead of the recipe's.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads.  [default: all cores]")
@click.option(
    "--warm-start",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Checkpoint whose weights to start from; once for each stage.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Folder of training pictures, instead of the recipe's.")
@click.option("--validation", type=click.Path(path_type=Path), help="Folder of validation pictures.")
def train(
    recipe: str,
    out: Path | None,
    resume: bool | None,
    minutes: float | None,
    threads: int | None,
    warm_start: tuple[Path, ...],
    data: Path | None,
    validation: Path | None,
) -> None:
    """Train a model by a RECIPE: a TOML file, or the name of one that is bundled (photo).

    The folder of the run gets a checkpoint of each stage (prior.npz, synthesis.npz) and metrics.jsonl. Ctrl-C saves a
    checkpoint and stops; --resume goes on from there as if nothing had happened.
    """
    path = find_recipe(recipe)
    chosen = parse_recipe(path.read_text(encoding="utf-8"), path.name)
    if minutes is not None:
        chosen = chosen.lasting(minutes)
    folder = out or Path(RUNS) / chosen.name
    if resume is None and any(folder.glob("*.npz")):
        raise click.UsageError(f"{folder} holds a run; --resume goes on with it, --fresh replaces it")
    finished = _run(chosen, path, folder, bool(resume), threads, warm_start, data, validation)
    for checkpoint in finished:
        click.echo(f"{checkpoint}")


def _run(
    recipe: Recipe,
    path: Path,
    out: Path,
    resume: bool,
    threads: int | None,
    warm_start: tuple[Path, ...],
    data: Path | None,
    validation: Path | None,
) -> list[Path]:
    import torch  # takes seconds; a wrong option need not wait for it

    from training import loop
    from training.data import Photos

    if threads:
        torch.set_num_threads(threads)
    crop = max(stage.schedule.crop for stage in (recipe.prior, recipe.synthesis) if stage)
    photos = Photos(data or folder_of(recipe.data.train, path), crop)
    if photos.left_out:
        click.echo(f"left out {photos.left_out} pictures with a side below {crop}", err=True)
    named = recipe.data.validation
    held_out = validation or (folder_of(named, path) if named else None)
    with _stopping() as stop:
        finished = loop.train(
            recipe,
            photos,
            Photos(held_out) if held_out else None,
            out,
            resume=resume,
            warm_start=warm_start,
            stop=stop,
        )
        if stop():
            raise TrainingError(f"stopped; the state is in {out}, and --resume goes on from it")
    return finished


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C, or a request to terminate, into an answer to `stop`; the second one interrupts."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        click.echo("\nstopping after this step", err=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
