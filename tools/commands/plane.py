"""The command `engram measure plane`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from codec import batch
from codec.files import atomic_write
from tools.commands.common import FOLDER, failures, listed
from tools.rate_distortion import MeasureError

__all__ = ["plane"]

NAMES = ("shallow", "deep", "overfit", "sparse", "tied", "tied-clean", "variational", "label")  # as in `tools.species`
ALL = "all"


def _seeds(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    names = listed(context, parameter, value)
    if not names or not all(name.isascii() and name.isdigit() and len(name) < 10 for name in names):
        raise click.BadParameter(f"expected whole numbers with commas between them, got {value!r}")
    return tuple(map(int, names))


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=FOLDER, metavar="DIR", help="Folder for what is found.")
@click.option("--species", callback=listed, default=ALL, show_default=True, help=f"Of {', '.join(NAMES)}.")
@click.option("--seeds", callback=_seeds, default="0", show_default=True, help="A run of each species for each.")
@click.option("--epochs", type=click.IntRange(min=1), default=50, show_default=True, help="Fewer are quicker.")
@click.option("--samples", type=click.IntRange(min=2), default=100, show_default=True, help="Test pictures looked at.")
@click.option("--snapshots", type=click.IntRange(min=4), default=300, show_default=True, help="At most so many.")
@click.option(
    "--sweep/--no-sweep", default=True, show_default=True, help="Look through wider and narrower kernels, too."
)
@click.option("--resume/--fresh", default=True, help="Take over the runs in the folder (the default), or replace them.")
@click.option("-T", "--threads", type=click.IntRange(min=1), default=1, show_default=True)
def plane(
    data: Path,
    output: Path,
    species: tuple[str, ...],
    seeds: tuple[int, ...],
    epochs: int,
    samples: int,
    snapshots: int,
    sweep: bool,
    resume: bool,
    threads: int,
) -> None:
    """The information plane: train species of autoencoders on DATA, and see what their layers tell about it.

    DATA is MNIST, Fashion-MNIST or their like: one .npz with train_images, train_labels, test_images and test_labels,
    or a folder of IDX files. Written to DIR: a file of each run (an interrupted run goes on, a finished one is not done
    again), results.json, plane.png, kernels.png, and plane.html, where the training can be played. A short table with
    the paper's figures goes to standard output.
    """
    names = NAMES if species == (ALL,) else species
    if unknown := [name for name in names if name not in NAMES]:
        raise click.BadParameter(f"{', '.join(unknown)}; known are {', '.join(NAMES)}, and all", param_hint="--species")
    with failures():
        import torch

        from tools import image_sets, plane_page, plane_plot, planes, results
        from tools.information_plane import LEE_JO, SWEEP, TAPIA_ESTEVEZ
        from tools.lee_jo import SETS
        from tools.species import BATCH, SPECIES, Training
        from tools.trajectories import follow
        from training.cli import stopping

        torch.set_num_threads(threads)
        images = image_sets.load(data)
        steps = epochs * -(-len(images.train_images) // BATCH)
        kernels = (LEE_JO, *(SWEEP if sweep else ()), TAPIA_ESTEVEZ)
        found = []
        with stopping() as stop:
            for seed in seeds:
                for name in names:
                    with batch.progress(f"training {name}, seed {seed}") as progress:
                        run = follow(
                            Training(SPECIES[name], images, seed),
                            steps,
                            kernels,
                            output / "runs" / f"{name}-{seed}.npz",
                            samples=samples,
                            count=snapshots,
                            resume=resume,
                            threads=threads,
                            stop=stop,
                            progress=progress,
                        )
                    if run is None:
                        raise MeasureError(f"stopped; the state is in {output}, and the same command goes on from it")
                    found.append(run)
        measured = planes.Planes(SETS.get(images.digest, data.stem), tuple(found))
        versions = results.versions() | {"torch": torch.__version__}
        document = planes.document(measured, machine=results.machine(), versions=versions, digest=images.digest)
        picture = plane_plot.draw_planes(measured)
        atomic_write(output / "results.json", json.dumps(document, allow_nan=False).encode(), force=True)
        atomic_write(output / "plane.png", picture, force=True)
        atomic_write(output / "kernels.png", plane_plot.draw_kernels(measured), force=True)
        atomic_write(output / "plane.html", plane_page.render(measured, picture).encode(), force=True)
    click.echo(planes.table(measured))
