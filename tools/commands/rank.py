"""The command `engram measure rank`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from codec import batch
from codec.files import atomic_write
from tools.commands.common import FOLDER, failures, load_pictures
from tools.rate_distortion import MeasureError

__all__ = ["rank"]


@click.command()
@click.argument("data", required=False, type=click.Path(exists=True, path_type=Path), metavar="[DATA]")
@click.option("-o", "--output", required=True, type=FOLDER, metavar="DIR", help="Folder for what is found.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Trainings of each kind.")
@click.option("--quick", is_flag=True, help="A tenth of the steps: how it looks, not what it shows.")
@click.option(
    "--pictures",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Pictures or folders of them, at which to measure the codec's hyper-encoder.",
)
@click.option("-m", "--model", "models", multiple=True, help="Models, or checkpoints prior.npz, for that. [photo]")
@click.option("--resume/--fresh", default=True, help="Take over the runs in the folder (the default), or replace them.")
@click.option("-T", "--threads", type=click.IntRange(min=1), default=1, show_default=True)
def rank(
    data: Path | None,
    output: Path,
    seeds: int,
    quick: bool,
    pictures: tuple[Path, ...],
    models: tuple[str, ...],
    resume: bool,
    threads: int,
) -> None:
    """Local rank: how many directions of the input a layer tells apart, while it learns.

    Trainings: linear encoders by the Gaussian information bottleneck, whose ranks are known in closed form; perceptrons
    on Gaussian data with weight decay and without; and, with DATA, the same on digits and a deep VIB. DATA is MNIST or
    its like: one .npz with train_images, train_labels, test_images and test_labels, or a folder of IDX files. With
    --pictures, the hyper-encoder of the codec as well.

    Written to DIR: a file of each run (an interrupted run goes on, a finished one is not done again), results.json, and
    a PNG of each experiment. A short table goes to standard output.
    """
    if models and not pictures:
        raise click.UsageError("--model goes with --pictures")
    with failures():
        import torch

        from tools import image_sets, rank_codec, rank_plot, results
        from tools.rank_study import Run, follow, plan, table
        from tools.rank_training import EPS, RELATIVE, Examples
        from training.cli import stopping

        torch.set_num_threads(threads)
        digits = image_sets.load(data) if data else None
        examples = Examples.of(digits) if digits else None
        digest = digits.digest if digits else ""
        shown = load_pictures(pictures) if pictures else []
        todo = plan(seeds, quick, digits is not None)
        folder = output / "runs"
        folder.mkdir(parents=True, exist_ok=True)
        runs: list[Run] = []
        with stopping() as stop, batch.progress("training") as progress:
            for number, settings in enumerate(todo):
                if progress:
                    progress(number, len(todo))
                path = folder / f"{settings.name}.npz"
                if not resume:
                    path.unlink(missing_ok=True)
                run = follow(settings, examples, path, digest if settings.needs_digits else "", stop)
                if run is None:
                    raise MeasureError(f"stopped; the state is in {output}, and the same command goes on from it")
                runs.append(run)
        encoders = rank_codec.measure(models or ("photo",), shown, seeds) if shown else []
        document = {
            "machine": results.machine(),
            "versions": results.versions(),
            "data": digest,
            "thresholds": {"absolute": EPS, "relative": RELATIVE},
            "runs": [{"name": r.settings.name, "settings": asdict(r.settings), "rows": r.rows} for r in runs],
            "encoders": [asdict(encoder) for encoder in encoders],
        }
        atomic_write(output / "results.json", (json.dumps(document, indent=1) + "\n").encode(), force=True)
        for name, picture in rank_plot.draw(runs, encoders):
            atomic_write(output / f"{name}.png", picture, force=True)
    click.echo(table(runs))
    if encoders:
        click.echo(rank_codec.table(encoders))
