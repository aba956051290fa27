"""The command `engram measure vq-plane`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from codec import batch
from codec.files import atomic_write
from tools.commands.common import FOLDER, failures, listed
from tools.rate_distortion import MeasureError

__all__ = ["vq_plane"]

METHODS = ("moving-average", "hopfield", "annealed", "rotation")  # as in `tools.vq_autoencoder`
POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command("vq-plane")
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=FOLDER, metavar="DIR", help="Folder for what is found.")
@click.option(
    "--methods",
    callback=listed,
    default="moving-average,hopfield,annealed",
    show_default=True,
    help=f"Of {', '.join(METHODS)}.",
)
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Trainings of each method.")
@click.option("--steps", type=click.IntRange(min=1), default=4000, show_default=True, help="Batches of 100 pictures.")
@click.option("--groups", type=click.IntRange(1, 64), default=8, show_default=True, help="Codebooks side by side.")
@click.option("--words", type=click.IntRange(2, 4096), default=32, show_default=True, help="Codewords of each.")
@click.option("--dim", type=click.IntRange(1, 256), default=8, show_default=True, help="Length of a codeword.")
@click.option("--beta", type=POSITIVE, default=4.0, show_default=True, help="Of hopfield.")
@click.option("--anneal", type=POSITIVE, nargs=2, default=(0.25, 256.0), show_default=True, help="Betas of annealed.")
@click.option(
    "--revive", type=click.FloatRange(0, 100), default=0.0, help="Move codewords that a batch takes less often."
)
@click.option("--samples", type=click.IntRange(min=2), default=100, show_default=True, help="The estimator's pictures.")
@click.option("--snapshots", type=click.IntRange(min=4), default=60, show_default=True, help="At most so many.")
@click.option("--resume/--fresh", default=True, help="Take over the runs in the folder (the default), or replace them.")
@click.option("-T", "--threads", type=click.IntRange(min=1), default=1, show_default=True)
def vq_plane(
    data: Path,
    output: Path,
    methods: tuple[str, ...],
    seeds: int,
    steps: int,
    groups: int,
    words: int,
    dim: int,
    beta: float,
    anneal: tuple[float, float],
    revive: float,
    samples: int,
    snapshots: int,
    resume: bool,
    threads: int,
) -> None:
    """The information plane where it is exact: train autoencoders with codes on DATA, and count bits.

    Codes are a function of the picture, so what they tell about it is their entropy. It stands beside what the
    matrix estimator says, what a file pays, the error with codes and with retrieval in their place, the use of the
    codebook, and beta with its critical value.

    DATA is as for `plane`. Written to DIR: a file of each run (an interrupted run goes on, a finished one is not done
    again), results.json, and vq_plane.png, all over the steps of the training. A short table goes to standard output.
    """
    if unknown := [name for name in methods if name not in METHODS]:
        raise click.BadParameter(f"{', '.join(unknown)}; known are {', '.join(METHODS)}", param_hint="--methods")
    if not methods:
        raise click.BadParameter(f"none given; known are {', '.join(METHODS)}", param_hint="--methods")
    with failures():
        import torch

        from tools import image_sets, results, vq_plane, vq_plane_plot
        from tools.vq_autoencoder import Settings, Training
        from training.cli import stopping

        torch.set_num_threads(threads)
        images = image_sets.load(data)
        todo = [
            Settings(
                *(method, seed, steps, groups, words, dim),
                beta=beta,
                beta_first=anneal[0],
                beta_last=anneal[1],
                revive=revive,
            )
            for seed in range(seeds)
            for method in methods
        ]
        runs = []
        with stopping() as stop:
            for settings in todo:
                with batch.progress(f"training {settings.name}") as progress:
                    run = vq_plane.follow(
                        Training(settings, images),
                        output / "runs" / f"{settings.name}.npz",
                        samples=samples,
                        count=snapshots,
                        resume=resume,
                        stop=stop,
                        progress=progress,
                    )
                if run is None:
                    raise MeasureError(f"stopped; the state is in {output}, and the same command goes on from it")
                runs.append(run)
        versions = results.versions() | {"torch": torch.__version__}
        document = vq_plane.document(runs, machine=results.machine(), versions=versions, digest=images.digest)
        atomic_write(output / "results.json", json.dumps(document, allow_nan=False).encode(), force=True)
        atomic_write(output / "vq_plane.png", vq_plane_plot.draw(runs), force=True)
    click.echo(vq_plane.table(runs))
