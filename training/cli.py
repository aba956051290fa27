"""The commands `engram train` and `engram export`: recipes in, checkpoints and models out."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from codec.files import atomic_write
from codec.model import SUFFIX, model_id
from training.config import Recipe, find_recipe, folder_of, parse_recipe
from training.errors import CheckpointError, TrainingError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from training.checkpoint import Checkpoint

__all__ = ["export", "stopping", "train"]

RUNS = "runs"  # where a run is kept unless --out says otherwise
_HELP = {"help_option_names": ["-h", "--help"]}
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(context_settings=_HELP)
@click.argument("recipe", metavar="RECIPE")
@click.option("--out", type=click.Path(path_type=Path), help=f"Folder of the run.  [default: {RUNS}/NAME]")
@click.option("--resume/--fresh", default=None, help="Go on from the checkpoints in the folder, or replace them.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Length, instead of the recipe's.")
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True, help="They share each batch.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of a process.  [default: all cores]")
@click.option(
    "--warm-start",
    type=_FILE,
    multiple=True,
    help="Checkpoint whose weights to start from, once for each stage; or a model file.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Folder of training pictures, instead of the recipe's.")
@click.option("--validation", type=click.Path(path_type=Path), help="Folder of validation pictures.")
def train(
    recipe: str,
    out: Path | None,
    resume: bool | None,
    minutes: float | None,
    processes: int,
    threads: int | None,
    warm_start: tuple[Path, ...],
    data: Path | None,
    validation: Path | None,
) -> None:
    """Train a model by a RECIPE: a TOML file, or the name of one that is bundled (photo, lossless).

    The folder of the run gets a checkpoint of each stage (such as prior.npz), metrics.jsonl, the same for TensorBoard
    and, at the end, the model (NAME.egmm); a stage that the recipe leaves out comes from --warm-start. Ctrl-C saves a
    checkpoint and stops; --resume goes on from there as if nothing had happened.
    """
    path = find_recipe(recipe)
    chosen = parse_recipe(path.read_text(encoding="utf-8"), path.name)
    if minutes is not None:
        chosen = chosen.lasting(minutes)
    chosen.check_shares(processes)
    folder = out or Path(RUNS) / chosen.name
    if resume is None and any(folder.glob("*.npz")):
        raise click.UsageError(f"{folder} holds a run; --resume goes on with it, --fresh replaces it")
    from training import checkpoint  # with torch, which takes seconds; a wrong option need not wait for it
    from training.importing import load_starts
    from training.processes import launch

    starts = load_starts(warm_start)
    fabric = launch(processes)  # from here on, each of them does the same
    try:
        finished = _run(chosen, path, folder, bool(resume), threads, starts, data, validation, fabric)
    except TrainingError:
        if fabric.is_global_zero:
            raise
    if not fabric.is_global_zero:
        return  # the first one says what there is to say
    for each in finished:
        click.echo(f"{each}")
    parts = starts | {each.stem: checkpoint.load(each) for each in finished}
    try:
        _export(parts, chosen, folder / f"{chosen.name}{SUFFIX}", force=True)
    except CheckpointError as error:  # the stages are there, and that is what was asked for
        click.echo(f"no model is written: {error}", err=True)


@click.command(context_settings=_HELP)
@click.argument("parts", metavar="PART...", nargs=-1, required=True, type=_FILE)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="MODEL.egmm")
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing file.")
@click.option("--recipe", help="Recipe that has the model's name and card.  [default: photo or lossless]")
def export(parts: tuple[Path, ...], output: Path, force: bool, recipe: str | None) -> None:
    """Make a model file of the checkpoints of its stages: prior.npz and synthesis.npz, or residual.npz.

    A model file as a PART stands for all stages; what comes after it replaces one of them.
    """
    from training.importing import load_starts

    stages = load_starts(parts)
    path = find_recipe(recipe or ("lossless" if "residual" in stages else "photo"))
    _export(stages, parse_recipe(path.read_text(encoding="utf-8"), path.name), output, force=force)


def _export(parts: Mapping[str, Checkpoint], recipe: Recipe, output: Path, *, force: bool) -> None:
    """Write a model, and say what it is: its size is L(H)."""
    from training.export import model_of

    data = model_of(parts, recipe.name, recipe.card)
    atomic_write(output, data, force=force)
    click.echo(f"{output}: {len(data):,} bytes, id {model_id(data).hex()}")


def _run(
    recipe: Recipe,
    path: Path,
    out: Path,
    resume: bool,
    threads: int | None,
    starts: Mapping[str, Checkpoint],
    data: Path | None,
    validation: Path | None,
    fabric: Fabric,
) -> list[Path]:
    import torch

    from training import loop
    from training.data import Photos

    if threads:
        torch.set_num_threads(threads)
    crop = max(stage.schedule.crop for stage in recipe.stages.values())
    photos = Photos(data or folder_of(recipe.data.train, path), crop)
    if photos.left_out and fabric.is_global_zero:
        click.echo(f"left out {photos.left_out} pictures with a side below {crop}", err=True)
    named = recipe.data.validation
    held_out = validation or (folder_of(named, path) if named else None)
    with stopping(say=fabric.is_global_zero) as stop:
        finished = loop.train(
            recipe,
            photos,
            Photos(held_out) if held_out else None,
            out,
            resume=resume,
            starts=starts,
            stop=stop,
            fabric=fabric,
        )
        if len(finished) < len(recipe.stages):
            raise TrainingError(f"stopped; the state is in {out}, and --resume goes on from it")
    return finished


@contextmanager
def stopping(say: bool = True) -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C, or a request to terminate, into an answer to `stop`; the second one interrupts."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        if say:
            click.echo("\nstopping after this step", err=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
