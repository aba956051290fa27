"""The command `engram measure quantizers`."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import click

from codec import batch
from codec.files import atomic_write
from tools.commands.common import FOLDER, failures, listed
from tools.rate_distortion import MeasureError

__all__ = ["quantizers"]

METHODS = ("ste", "ema", "rotation-trick", "simvq", "fsq", "hopfield", "annealed")  # as in `tools.quantizer_study`
ALL = "all"


@click.command()
@click.argument("data", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=FOLDER, metavar="DIR", help="Folder for what is found.")
@click.option("--methods", callback=listed, default=ALL, show_default=True, help=f"Of {', '.join(METHODS)}.")
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Runs of each method and set.")
@click.option("--steps", type=click.IntRange(min=1), default=1000, show_default=True, help="Batches of 100 pictures.")
@click.option("--groups", type=click.IntRange(1, 64), default=8, show_default=True, help="Codes of a picture.")
@click.option("--words", type=click.IntRange(4, 4096), default=64, show_default=True, help="Codewords of each.")
@click.option("--dim", type=click.IntRange(1, 256), default=8, show_default=True, help="Length of a codeword.")
@click.option("--hidden", type=click.IntRange(min=1), default=128, show_default=True, help="Width of the networks.")
@click.option("--tune", is_flag=True, help="Choose rates and knobs anew, on the first DATA, without what is held out.")
@click.option("-T", "--threads", type=click.IntRange(min=1), default=1, show_default=True)
def quantizers(
    data: tuple[Path, ...],
    output: Path,
    methods: tuple[str, ...],
    seeds: int,
    steps: int,
    groups: int,
    words: int,
    dim: int,
    hidden: int,
    tune: bool,
    threads: int,
) -> None:
    """Quantisers against each other: Hopfield relaxations and the usual ones, in one autoencoder, on each DATA.

    DATA is an .npz file or a folder of IDX files as for `plane`, an .npy file of pictures, or a folder of photos, from
    which crops are taken (with folders train/ and val/ in it, those of val/ are held out). All methods have the same
    number of codes, steps, batches and starts. Each seed does all methods on all sets before the next one begins, so a
    study that is stopped is balanced; the same command goes on from there.

    Written to DIR: runs.jsonl, a line for each finished run; results.json; curves.png, differences.png and
    rates.png. With --tune also tuning.jsonl. A table goes to standard output.
    """
    methods = METHODS if methods == (ALL,) else methods
    if unknown := [name for name in methods if name not in METHODS]:
        raise click.BadParameter(f"{', '.join(unknown)}; known are {', '.join(METHODS)}", param_hint="--methods")
    if not methods:
        raise click.BadParameter(f"none given; known are {', '.join(METHODS)}", param_hint="--methods")
    with failures():
        import torch
        import vector_quantize_pytorch  # noqa: F401  asked for now, not after the first runs

        from tools import quantizer_data, quantizer_report, results
        from tools.quantizer_study import Runs, chosen, tuned
        from training.cli import stopping

        torch.set_num_threads(threads)
        size = {"steps": steps, "groups": groups, "words": words, "dim": dim, "hidden": hidden}
        sets = {quantizer_data.name(path): quantizer_data.read(path) for path in data}
        if len(sets) < len(data):
            raise MeasureError("two sets of one name; rename one")
        settings = {method: chosen(method, **size) for method in methods}
        rows = []
        output.mkdir(parents=True, exist_ok=True)
        with stopping() as stop:
            if tune:
                first, images = next(iter(sets.items()))
                tries, part = Runs(output / "tuning.jsonl"), quantizer_data.held_back(images)
                settings = {method: tuned(tries, first, part, method, size, stop) for method in methods}
            runs = Runs(output / "runs.jsonl")
            for seed in range(seeds):
                for name, images in sets.items():
                    for method in methods:
                        each = replace(settings[method], seed=seed)
                        with batch.progress(f"{name} {method} {seed}") as progress:
                            run = runs.run(name, images, each, stop=stop, progress=progress)
                        if run is None:
                            raise MeasureError(f"stopped; the same command goes on from what is in {output}")
                        rows.append(run)
        versions = results.versions() | {name: metadata.version(name) for name in ("torch", "vector-quantize-pytorch")}
        document = {"format": 1, "machine": results.machine(), "versions": versions, "runs": rows}
        atomic_write(output / "results.json", json.dumps(document, allow_nan=False).encode(), force=True)
        for plot in ("curves", "differences", "rates"):
            draw = getattr(quantizer_report, f"draw_{plot}")
            atomic_write(output / f"{plot}.png", draw(rows), force=True)
    click.echo(quantizer_report.table(rows))
