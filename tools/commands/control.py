"""The command `engram measure control`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from codec.files import atomic_write
from tools.commands.common import FOLDER, failures

__all__ = ["control"]


@click.command()
@click.argument("recipe", default="photo", metavar="[RECIPE]")
@click.option("-o", "--output", required=True, type=FOLDER, metavar="DIR", help="Folder for what is found.")
@click.option("--steps", type=click.IntRange(min=1), default=200, show_default=True, help="Of each training.")
@click.option("--resume/--fresh", default=None, help="Go on with the trainings in the folder, or replace them.")
@click.option("--data", type=FOLDER, help="Folder of training pictures, instead of the recipe's.")
@click.option("--validation", type=FOLDER, help="Folder of validation pictures, instead of the recipe's.")
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
    with failures():
        import torch

        from tools import control as compared
        from tools import results
        from training.cli import stopping
        from training.config import find_data, find_recipe, parse_recipe
        from training.data import Photos

        torch.set_num_threads(threads)
        path = find_recipe(recipe)
        chosen = parse_recipe(path.read_text(encoding="utf-8"), path.name)
        short = compared.recipe_of(chosen, "vector", steps).prior
        photos = Photos(data or find_data(chosen.data.train, path), short.schedule.crop if short else 1)
        if not (named := validation or chosen.data.validation):
            raise click.UsageError("the recipe names no validation pictures; --validation does")
        held_out = Photos(validation or find_data(str(named), path))
        with stopping() as stop:
            found = compared.control(
                chosen, photos, held_out, output, steps, pictures=pictures, resume=bool(resume), stop=stop
            )
        document = compared.as_json(found, machine=results.machine(), versions=results.versions())
        atomic_write(output / "control.json", json.dumps(document, indent=1).encode(), force=True)
        atomic_write(output / "control.png", compared.draw(found), force=True)
    click.echo(compared.table(found))
