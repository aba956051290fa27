"""The commands that read sets of pictures: `engram unpack`, `list`, `extract`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codec import batch, options
from codec.errors import CorruptStream, UnsupportedInput
from codec.files import read_bytes, write_bytes
from codec.limits import DEFAULT

if TYPE_CHECKING:
    from codec.archive import Archive, Entry
    from codec.limits import Limits

__all__ = ["extract", "list_", "unpack"]

ARRAY = ".npy"

_archive = click.argument("archive", type=click.Path(exists=True, dir_okay=False), metavar="SET.ega")
_json = click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")


@click.command(context_settings=options.HELP)
@_archive
@click.option("-o", "--output", type=click.Path(), metavar="FOLDER|ARRAY.npy", help="[the archive's name]")
@options.max_pixels
@options.force
def unpack(archive: str, output: str | None, max_pixels: int, force: bool) -> None:
    """Unpack an archive: into a folder, or to an array if it was made from one.

    What a file of its name would not keep exactly is written as PNG, clips of movies as .mkv.
    """
    from codec.archive import Archive
    from codec.description import contents
    from codec.films import write_films

    opened = Archive(read_bytes(archive))
    dimensions, limits = opened.catalogue.dimensions, replace(DEFAULT, max_pixels=max_pixels)
    target = Path(output or Path(archive).with_suffix(ARRAY if dimensions else ""))
    with batch.progress("unpacking") as progress:
        if dimensions:
            if target.suffix != ARRAY:
                raise click.BadParameter("this archive holds an array; name a file that ends in .npy", param_hint="-o")
            batch.check(archive, str(target), force)
            if opened.entry(0).frames:
                write_films(opened, target, limits, force, progress)
            else:
                write_bytes(target, _array(opened, limits, progress), force=force)
        else:
            targets = _targets(target, [(entry.name, entry) for entry in opened.entries()], force)
            for number, path in enumerate(targets):
                _write(opened, number, path, force)
                if progress:
                    progress(number + 1, len(opened))
    clips = sum(entry.frames > 0 for entry in opened.entries())
    held = contents(len(opened) - clips, clips)
    click.echo(f"{batch.shown(archive)} -> {batch.shown(str(target))}: {held}")


@click.command("list", context_settings=options.HELP)
@_archive
@_json
def list_(archive: str, as_json: bool) -> None:
    """List the pictures and clips of an archive, in their order."""
    from codec.archive import Archive

    for entry in Archive(read_bytes(archive)).entries():
        look = entry.look
        if as_json:
            record: batch.Record = {"name": entry.name} | look._asdict() | {"alone": entry.alone}
            record |= {"frames": entry.frames, "rate": str(entry.rate)} if entry.frames else {}
            click.echo(json.dumps(record))
        else:
            alpha = " + alpha" if look.alpha else ""
            size = f"{look.width} x {look.height} x {look.channels}{alpha}"
            click.echo(f"{entry.name}  {size}, {look.depth} bits{_time(entry)}")


@click.command(context_settings=options.HELP)
@_archive
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("-o", "--output", type=click.Path(), metavar="FILE|FOLDER", help="[the name, in the current folder]")
@options.force
def extract(archive: str, names: tuple[str, ...], output: str | None, force: bool) -> None:
    """Extract pictures and clips by their names (of an array: their numbers), without decoding the others.

    A clip is written in the format of -o: .mkv .mp4 .gif .png .npy, or a folder of frames.
    """
    from codec.archive import Archive

    opened, numbers = Archive(read_bytes(archive)), list[int]()
    for name in names:
        try:
            numbers.append(opened.number(name))
        except KeyError:
            raise UnsupportedInput(f"{archive} holds no picture {name!r}; `engram list` shows what it holds") from None
    if output is not None and len(names) == 1 and not Path(output).is_dir():
        targets = [Path(output)]  # named by who asks, not by the archive
    else:
        entries = [opened.entry(number) for number in numbers]
        targets = _targets(Path(output or "."), [(Path(entry.name).name, entry) for entry in entries], force)
    for number, target in zip(numbers, targets, strict=True):
        _write(opened, number, target, force)
        entry = opened.entry(number)
        click.echo(f"{batch.shown(str(target))}: {entry.look.width} x {entry.look.height}{_time(entry)}")


def _time(entry: Entry) -> str:
    """Of a clip, how many frames; nothing of a picture."""
    return f", {entry.frames} frames, {float(entry.rate):.6g}/s" if entry.frames else ""


def _array(opened: Archive, limits: Limits, progress: batch.Progress | None) -> bytes:
    """The .npy file of an archive that was made of an array."""
    import numpy as np

    from codec.collection import save_array

    first = opened.image(0).pixels
    limits.check("max_pixels", len(opened) * first[..., 0].size, "pixels of the array")
    pictures = np.empty((len(opened), *first.shape), first.dtype)
    for number in range(len(opened)):
        image = opened.image(number)
        if (image.pixels.shape, image.colour.dtype) != (first.shape, first.dtype) or image.palette is not None:
            raise CorruptStream(f"picture {number} of an array has another shape or type than the first one")
        pictures[number] = image.pixels
        if progress:
            progress(number + 1, len(opened))
    if opened.catalogue.dimensions == 3 and first.shape[2] > 1:
        raise CorruptStream("an array of 3 dimensions, whose pictures have channels")
    return save_array(pictures, opened.catalogue.dimensions)


def _targets(folder: Path, entries: Sequence[tuple[str, Entry]], force: bool) -> list[Path]:
    """Where pictures are written to by name, all of them different files inside the folder; nothing is written yet.

    Raises
    ------
    UnsupportedInput
        A link in the folder leads out of it, or two pictures would be one file.
    FileExistsError
        A file is there, and `force` is not set.
    """
    from codec.films import film_suffix

    inside = os.path.realpath(folder)
    targets = dict[str, Path]()
    for name, entry in entries:
        path = folder / name
        if entry.frames:
            path = path.with_name(path.name + film_suffix(path.suffix.lower(), entry))
        elif not _keeps(path.suffix.lower(), entry):
            path = path.with_name(path.name + ".png")
        real = os.path.realpath(path)
        if os.path.commonpath([inside, real]) != inside:
            raise UnsupportedInput(f"{batch.shown(str(path))} leads out of the folder through a link; remove the link")
        if real in targets:
            raise UnsupportedInput(f"{name!r} and another picture would be one file; extract them one by one with -o")
        if path.parent.is_dir():
            batch.check("-", str(path), force)
        targets[real] = path
    return list(targets.values())


def _keeps(suffix: str, entry: Entry) -> bool:
    """Whether a file of that kind gives a picture back as it is; PNG does always."""
    look, bare = entry.look, not entry.extras
    if suffix in (".tif", ".tiff"):
        return bare and (look.depth == 8 or (look.depth == 16 and not (look.alpha and look.channels == 1)))
    if suffix in (".ppm", ".pgm", ".pnm"):
        return bare and not look.alpha
    if suffix == ".bmp":
        return bare and not look.alpha and look.depth == 8
    if suffix == ".webp":
        return "C" not in entry.extras and look.channels == 3 and look.depth == 8
    return suffix == ".png"


def _write(opened: Archive, number: int, target: Path, force: bool) -> None:
    """Write a picture or a clip in the format of the name."""
    from codec.films import write_film
    from codec.pixels import write_image

    target.parent.mkdir(parents=True, exist_ok=True)
    if opened.entry(number).frames:
        notices = write_film(opened.clip(number, threads=0), target, force)
    else:
        notices = write_image(opened.image(number), target, force=force)
    batch.notify(str(target), notices)
