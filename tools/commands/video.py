"""The command `engram measure video`."""

from __future__ import annotations

import hashlib
import itertools
from fractions import Fraction
from pathlib import Path

import click

from codec.files import atomic_write
from tools.commands.common import FOLDER, failures, listed
from tools.rate_distortion import MeasureError, Picture, Point
from tools.rivals import Codec
from tools.video_codecs import RIVALS, engram, rival, stacked

__all__ = ["video"]


@click.command()
@click.argument("clips", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=FOLDER, metavar="DIR", help="Folder for what is found.")
@click.option("-m", "--model", default="video", show_default=True, help="Model of video, or of photos.")
@click.option("--frames", type=click.IntRange(min=1), default=60, show_default=True, help="Of each clip, the first.")
@click.option("--rivals", callback=listed, default=",".join(RIVALS), show_default=True, help="May be empty.")
@click.option("--points", type=click.IntRange(min=6), help="Settings for each codec; 6 or 7 by default.")
@click.option("-e", "--effort", type=click.IntRange(1, 9), default=5, show_default=True, help="Of our encoder.")
@click.option("-T", "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Ours; rivals: one.")
def video(
    clips: tuple[Path, ...],
    output: Path,
    model: str,
    frames: int,
    rivals: tuple[str, ...],
    points: int | None,
    effort: int,
    threads: int,
) -> None:
    """Rate-distortion curves on CLIPS, video files or folders of them.

    PSNR is over all samples of a clip in RGB; bytes are those of whole files for Engram, and of bare streams for the
    rivals. In RGB their 4:2:0 costs quality at high rates, so there is each with 4:4:4, too. Written to DIR:
    results.json (all points; a later run measures only what is missing) and video.png. A table of BD-rates, with a
    line for each clip, goes to standard output.
    """
    if unknown := [name for name in rivals if name not in RIVALS]:
        raise click.BadParameter(f"{', '.join(unknown)}; known are {', '.join(RIVALS)}", param_hint="--rivals")
    with failures():
        from tools import plot, results
        from tools.metrics import METRICS
        from tools.rate_distortion import measure_all
        from tools.study import percent, study

        output.mkdir(parents=True, exist_ok=True)
        store, metrics = output / "results.json", [METRICS["psnr"]]
        old, machine = results.load(store), results.machine()
        found: list[Point] = []
        pictures: list[Picture] = []
        codecs: list[Codec] = []
        for path in _files(clips):
            picture, height, rate = _opened(path, frames)
            ours = [engram(height, rate, model, intra=intra, effort=effort, threads=threads) for intra in (False, True)]
            codecs = [ours[0], *(rival(name, height, rate) for name in rivals), ours[1]]
            pictures.append(picture)
            found += measure_all([picture], codecs, metrics, machine=machine, points=points, known=old)
            click.echo(f"measured {picture.name}", err=True)
            results.save(store, {point.key: point for point in (*old, *found)}.values(), pictures, codecs)
        whole = study(found, codecs, metrics)
        results.save(
            store, {point.key: point for point in (*old, *found)}.values(), pictures, codecs, whole.comparisons
        )
        atomic_write(output / "video.png", plot.plot(whole), force=True)
        names = [codec.name for codec in codecs[1:]]
        rows = [["Engram against", *names, "decoded frames/s"]]
        for picture in pictures:
            mine = [point for point in found if (point.picture, point.codec) == (picture.name, codecs[0].name)]
            against = [whole.comparison(codecs[0].name, name, "psnr") for name in names]
            speed = len(mine) * _count(picture) / sum(point.decode_seconds for point in mine)
            rates = [percent(each.per_picture[picture.name]) if each else "-" for each in against]
            rows.append([picture.name, *rates, f"{speed:.1f}"])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _files(clips: tuple[Path, ...]) -> list[Path]:
    """Files, and those in folders."""
    from codec.movie import MOVIES

    inside = (sorted(path.iterdir()) if path.is_dir() else [path] for path in clips)
    files = [file for some in inside for file in some if file.suffix.lower() in MOVIES or file in clips]
    if not files:
        raise MeasureError("no clips in the folders given")
    return files


def _opened(path: Path, frames: int) -> tuple[Picture, int, Fraction]:
    """The first frames of a clip one below the other, the height of one, and their rate."""
    from codec.frames import open_clip

    clip = open_clip(path)
    pixels = stacked(list(itertools.islice(clip, frames)))
    mark = hashlib.blake2b(pixels.tobytes() + str((clip.height, clip.rate)).encode(), digest_size=8).hexdigest()
    return Picture(f"{path.stem} ({len(pixels) // clip.height} frames)", mark, pixels), clip.height, clip.rate


def _count(picture: Picture) -> int:
    """Frames of a clip, from its name."""
    return int(picture.name.rsplit("(", 1)[1].split()[0])
