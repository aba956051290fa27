"""The command `engram measure bits`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from codec import batch
from codec.files import atomic_write, read_bytes
from tools.commands.common import FILE, FOLDER, failures, listed
from tools.rate_distortion import MeasureError

__all__ = ["bits"]


def _counts(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    names = listed(context, parameter, value)
    if not all(name.isascii() and name.isdigit() and len(name) < 10 and int(name) for name in names):
        raise click.BadParameter(f"expected whole numbers from 1 with commas between them, got {value!r}")
    return tuple(sorted({int(name) for name in names}))


@click.command()
@click.argument("inputs", metavar="FOLDER|FILE|ARRAY.npy...", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("-o", "--output", required=True, type=FOLDER, metavar="DIR", help="Folder for what is found.")
@click.option("--items", type=click.IntRange(min=2), default=2000, show_default=True, help="The first so many.")
@click.option("--counts", callback=_counts, default="", help="Numbers of pictures to pack.  [1,2,5,10,20,... and all]")
@click.option("--model", type=FILE, metavar="FILE.egmm", help="A lossless model, instead of training one.")
@click.option("--general", default="lossless", show_default=True, help="Name or path of the model that costs nothing.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=3.0, show_default=True, help="Of training.")
@click.option("--width", type=click.IntRange(1, 256), default=32, show_default=True, help="Of the networks' layers.")
@click.option("--first", type=click.IntRange(min=1), default=32, show_default=True, help="Pictures of the first part.")
@click.option("--sample", type=click.IntRange(min=1), default=200, show_default=True, help="Coded at each precision.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("-T", "--threads", type=click.IntRange(min=1), default=1, show_default=True)
def bits(
    inputs: tuple[str, ...],
    output: Path,
    items: int,
    counts: tuple[int, ...],
    model: Path | None,
    general: str,
    minutes: float,
    width: int,
    first: int,
    sample: int,
    seed: int,
    threads: int,
) -> None:
    """Description length: what a set of pictures costs with a model of its own, and without.

    Two-part: archives of more and more pictures, by the general model, and by one that is trained on all of them (or
    --model) and lies in the archive. Precision: the same at coarser and coarser weights, beside (k/2) log2 n.
    Prequential, if it is trained: every part by what was learnt from the parts before it; the parts double.

    Pictures are those of the most frequent size and kind, without alpha. An array is (N, H, W) or (N, H, W, C) of uint8
    or uint16. Written to DIR: bits.json, bits.png, and the model as style.egmm. A table goes to standard output.
    """
    with failures():
        import torch

        from codec.collection import Collection
        from codec.model import load_model, unpack_model
        from tools import description_plot, results
        from tools.description_length import Archives, Pictures, counts_up_to, precisions, state_of, weights_of
        from tools.description_study import Study, crossing, rows_of, table
        from tools.prequential import Part, cuts_of, learn, parts_of
        from training.cli import stopping

        torch.set_num_threads(threads)
        found = Collection(inputs)
        pictures = Pictures.of(found[number].image for number in range(min(items, len(found))))
        notices = [f"{pictures.left_out:,} pictures of other kinds are left out"] if pictures.left_out else []
        batch.notify(inputs[0], [*notices, *(["alpha is not measured"] if pictures.without_alpha else [])])
        total = len(pictures)
        if total < 2 or (counts and counts[-1] > total):
            raise MeasureError(f"there are {total:,} pictures, and {counts[-1] if counts else 2:,} are needed")
        output.mkdir(parents=True, exist_ok=True)
        cuts = cuts_of(total, first)
        chosen = sorted({*(counts or counts_up_to(total)), *(() if model else cuts), total})
        with batch.progress("general model") as progress:
            without = Archives(pictures, load_model(general), threads=threads, progress=progress)
        parts: list[Part] = []
        if model:
            file = read_bytes(model)
            state = state_of(unpack_model(file))
        else:
            with stopping() as stop, batch.progress("learning") as progress:
                learnt = learn(pictures, cuts, minutes, width, seed=seed, stop=stop, progress=progress)
            state, parts = learnt.state, parts_of(cuts, [without.bits(cut) for cut in cuts], learnt.bits)
        with batch.progress("precisions") as progress:
            tried = precisions(state, pictures, sample, threads=threads, progress=progress)
        if not model:
            file = min(tried, key=lambda each: each.total).file
        with batch.progress("own model") as progress:
            own = Archives(pictures, unpack_model(file), file, threads=threads, progress=progress)
        study = Study(
            pictures.look,
            total,
            weights_of(state),
            len(pictures.spread(sample)),
            tuple(rows_of(without, own, 8 * len(file), chosen)),
            crossing(without, own),
            tuple(tried),
            tuple(parts),
        )
        settings = {"minutes": minutes, "width": width, "first": first, "seed": seed, "threads": threads}
        whole = {
            "machine": results.machine(),
            "versions": results.versions() | {"torch": torch.__version__},
            "data": pictures.digest,
            "general": load_model(general).id.hex(),
            "model": unpack_model(file).id.hex(),
            "training": None if model else settings,
        } | study.as_json()
        document = json.dumps(whole, indent=1, allow_nan=False) + "\n"
        atomic_write(output / "bits.json", document.encode(), force=True)
        atomic_write(output / "bits.png", description_plot.draw(study), force=True)
        if not model:
            atomic_write(output / "style.egmm", file, force=True)
    click.echo(table(study))
