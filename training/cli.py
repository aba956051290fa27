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
from training.config import KINDS, Recipe, find_data, find_recipe, kind_of, parse_recipe
from training.errors import CheckpointError, TrainingError

if TYPE_CHECKING:
    import numpy as np
    from lightning_fabric import Fabric
    from numpy.typing import NDArray

    from training.checkpoint import Checkpoint
    from training.data import Photos
    from training.surprises import Surprises

    Digits = NDArray[np.uint8]

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
@click.option("--data", type=click.Path(path_type=Path), help="Training pictures, instead of the recipe's.")
@click.option("--validation", type=click.Path(path_type=Path), help="Validation pictures.")
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
    """Train a model by a RECIPE: a TOML file, or the name of one that is bundled (photo, lossless, digits, video).

    Pictures are folders of them; digits are .npz files with train_images (and test_images, to validate), or .npy files;
    video learns from frames that `engram record` has written.
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
    own = KINDS[kind_of(chosen.stages)]  # a photo model is a start of inter frames too
    parts = {stage: part for stage, part in starts.items() if stage in own}
    parts |= {each.stem: checkpoint.load(each) for each in finished}
    try:
        _export(parts, chosen, folder / f"{chosen.name}{SUFFIX}", force=True)
    except CheckpointError as error:  # the stages are there, and that is what was asked for
        click.echo(f"no model is written: {error}", err=True)


@click.command(context_settings=_HELP)
@click.argument("parts", metavar="PART...", nargs=-1, required=True, type=_FILE)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="MODEL.egmm")
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing file.")
@click.option("--recipe", help="Recipe that has the model's name and card.  [default: the bundled one]")
def export(parts: tuple[Path, ...], output: Path, force: bool, recipe: str | None) -> None:
    """Make a model file of the checkpoints of its stages.

    prior.npz and synthesis.npz make one of photos, residual.npz a lossless one, style.npz and ways.npz one of digits,
    inter.npz one of video.
    A model file (of photos, or lossless) as a PART stands for all stages; what comes after it replaces one of them.
    """
    from training.importing import load_starts

    stages = load_starts(parts)
    path = find_recipe(recipe or kind_of(stages))
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

    if threads:
        torch.set_num_threads(threads)
    named = recipe.data.validation
    shown = data or find_data(recipe.data.train, path)
    held_out = validation or (find_data(named, path) if named else None)
    pairs = {"digits": _digits, "video": _frames}.get(kind_of(recipe.stages), _photos)
    seen, unseen = pairs(recipe, shown, held_out, say=fabric.is_global_zero)
    with stopping(say=fabric.is_global_zero) as stop:
        finished = loop.train(
            recipe,
            seen,
            unseen,
            out,
            resume=resume,
            starts=starts,
            stop=stop,
            fabric=fabric,
        )
        if len(finished) < len(recipe.stages):
            raise TrainingError(f"stopped; the state is in {out}, and --resume goes on from it")
    return finished


def _photos(recipe: Recipe, shown: Path, held_out: Path | None, *, say: bool) -> tuple[Photos, Photos | None]:
    """Folders of pictures to train and to validate with."""
    from training.data import Photos

    crop = max(stage.schedule.crop for stage in recipe.stages.values())
    photos = Photos(shown, crop)
    if photos.left_out and say:
        click.echo(f"left out {photos.left_out} pictures with a side below {crop}", err=True)
    return photos, Photos(held_out) if held_out else None


def _digits(recipe: Recipe, shown: Path, held_out: Path | None, *, say: bool) -> tuple[Digits, Digits]:
    """Digits to train and to validate with; the latter are held back if there is no file of them."""
    from training.data import load_digits
    from training.digits import hold_back

    seen = load_digits(shown, "train")
    if held_out:
        return seen, load_digits(held_out, "test")
    seen, unseen = hold_back(seen, recipe.data.validation_pictures)
    if say:
        click.echo(f"{len(unseen):,} of the digits are held back for validation", err=True)
    return seen, unseen


def _frames(recipe: Recipe, shown: Path, held_out: Path | None, *, say: bool) -> tuple[Surprises, Surprises]:
    """Recorded inter frames to train and to validate with; the latter are held back if there is no file of them."""
    from training.inter import hold_back
    from training.surprises import Surprises

    seen = Surprises.read(shown)
    if held_out:
        return seen, Surprises.read(held_out)
    seen, unseen = hold_back(seen, recipe.data.validation_pictures)
    if say:
        click.echo(f"{len(unseen):,} of the frames are held back for validation", err=True)
    return seen, unseen


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
