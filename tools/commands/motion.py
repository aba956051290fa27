"""The command `engram measure motion`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from codec import batch
from codec.files import atomic_write
from tools.commands.common import FOLDER, failures
from tools.rate_distortion import MeasureError

__all__ = ["motion"]


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=FOLDER, metavar="DIR", help="Folder for what is found.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Trainings of each network.")
@click.option("--steps", type=click.IntRange(min=1), default=500, show_default=True, help="Of each training.")
@click.option("--clips", type=click.IntRange(min=1), default=50, show_default=True, help="To measure with.")
@click.option("-m", "--model", default="digits", show_default=True, help="Model of the codec's row.")
@click.option("-T", "--threads", type=click.IntRange(min=1), default=1, show_default=True)
def motion(data: Path, output: Path, seeds: int, steps: int, clips: int, model: str, threads: int) -> None:
    """Moving digits: a hypernetwork against direct networks, in bits a frame and in frames foretold.

    DATA is MNIST or its like, as for `measure plane`: training digits to train with, test digits to measure with.
    Written to DIR: results.json, which an interrupted study goes on from; foretold.png and filters.png.
    """
    with failures():
        import torch

        from codec.model import load_model
        from codec.sprites import sprites, stacked
        from codec.tracks import find_sprites
        from tools import image_sets, motion_plot, results
        from tools.motion_study import (
            KINDS,
            LIKELIEST,
            MEAN,
            SEEN,
            Row,
            continued,
            imagined,
            measure_codec,
            measure_network,
            table,
        )
        from training.cli import stopping
        from training.moving_mnist import moving_mnist

        torch.set_num_threads(threads)
        digits = image_sets.load(data)
        side = round(digits.pixels**0.5)
        train, test = (part.reshape(-1, side, side) for part in (digits.train_images, digits.test_images))
        shown = moving_mnist(test, clips, seed=0)
        settings = {"data": digits.digest, "steps": steps, "clips": clips}
        path = output / "results.json"
        output.mkdir(parents=True, exist_ok=True)
        known = json.loads(path.read_text()) if path.exists() else {}
        rows = [Row(**row) for row in known.get("rows", [])] if known.get("settings") == settings else []

        def save() -> None:
            document = {"settings": settings, "machine": results.machine(), "rows": [row.as_dict() for row in rows]}
            atomic_write(path, (json.dumps(document, indent=1) + "\n").encode(), force=True)

        built = sprites(load_model(model))
        told = {"true": shown[0, SEEN:] / 255}
        with stopping() as stop, batch.progress("training") as progress:
            todo = [(method, seed) for seed in range(seeds) for method in KINDS]
            for number, (method, seed) in enumerate(todo):
                if any((row.method, row.seed) == (method, seed) for row in rows):
                    continue

                def show(step: int, _: float, number: int = number) -> None:
                    if progress:
                        progress(number * steps + step, len(todo) * steps)

                row, prediction = measure_network(method, train, shown, steps, seed, stop=stop, progress=show)
                if stop():
                    raise MeasureError(f"stopped; what is finished is in {output}, and the same command goes on")
                rows.append(row)
                save()
                if seed == 0:
                    frames = prediction.continued(shown[0, :SEEN], shown.shape[1] - SEEN)
                    told[method] = frames
                    if method == "hypernetwork":
                        atomic_write(output / "filters.png", motion_plot.draw_filters(prediction, shown[0]), force=True)
        rows = [row for row in rows if row.method in KINDS]
        rows += measure_codec(built, shown)
        save()
        seen = find_sprites(shown[0, :SEEN])
        if seen is not None and len(told) > len(KINDS):
            things, (frames, *frame) = stacked(seen, built.side), shown[0, SEEN:].shape
            told[LIKELIEST] = continued(built, things, (frame[0], frame[1]), frames) / 255
            told[MEAN] = imagined(built, things, (frame[0], frame[1]), frames) / 255
            atomic_write(output / "foretold.png", motion_plot.draw_frames(told, SEEN + 1), force=True)
    click.echo(table(rows))
