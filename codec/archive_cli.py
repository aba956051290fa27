"""The commands for sets of pictures: `engram pack`, `unpack`, `list`, `extract`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codec import batch
from codec.errors import CorruptStream, UnsupportedInput
from codec.files import read_bytes, write_bytes
from codec.limits import DEFAULT

if TYPE_CHECKING:
    from codec.archive import Archive, Entry
    from codec.model import Model
    from codec.packing import Item
    from codec.picture import Image

__all__ = ["extract", "list_", "pack", "unpack"]

ARRAY = ".npy"
SURE = 1.2  # how much longer a set has to be without a model of its own for that not to be tried

_HELP = {"help_option_names": ["-h", "--help"]}
_archive = click.argument("archive", type=click.Path(exists=True, dir_okay=False), metavar="SET.ega")
_force = click.option("-f", "--force", is_flag=True, help="Overwrite existing files.")
_json = click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
_pixels = click.option(
    "--max-pixels", type=click.IntRange(min=1), default=DEFAULT.max_pixels, show_default=True, help="Refuse more."
)
_threads = click.option("-T", "--threads", type=click.IntRange(min=0), default=0, help="Threads; 0 takes all cores.")


@click.command(context_settings=_HELP)
@click.argument("inputs", metavar="FOLDER|FILE|ARRAY.npy...", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), metavar="SET.ega")
@click.option("-m", "--model", help="Name or path of a model; the archive refers to it.  [lossless, or photo with -q]")
@click.option("--embed", is_flag=True, help="Put the model into the archive, so that nothing else is needed.")
@click.option("--train", is_flag=True, help="Train a model on the pictures, and put it in if that is shorter.")
@click.option("--train-on", multiple=True, type=click.Path(exists=True), help="Train on these instead.  [the pictures]")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, help="Of --train.")
@click.option("-q", "--quality", type=click.FloatRange(0, 100), help="Lossy, at this quality.")
@click.option("--max-error", type=click.IntRange(min=1), metavar="N", help="No sample of colour is more than N off.")
@click.option("--append", is_flag=True, help="Add to the archive, which keeps what it holds, byte for byte.")
@click.option("--bill", "billed", is_flag=True, help="Say what PNG, WebP and xz need.  [with --train always]")
@click.option("--verify/--no-verify", default=True, show_default=True, help="Decode before writing, and compare.")
@_threads
@_force
@_json
def pack(
    inputs: tuple[str, ...],
    output: str,
    model: str | None,
    embed: bool,
    train: bool,
    train_on: tuple[str, ...],
    minutes: float,
    quality: float | None,
    max_error: int | None,
    append: bool,
    billed: bool,
    verify: bool,
    threads: int,
    force: bool,
    as_json: bool,
) -> None:
    """Pack pictures into one archive, lossless unless -q or --max-error is given.

    Any of them can be read without the others. An array (N, H, W) or (N, H, W, C) of uint8 or uint16 is N pictures.
    Ctrl-C while it trains ends the training, and packs with what has been trained; a second one ends all.
    """
    train = train or bool(train_on)
    if quality is not None and (max_error or train):
        raise click.UsageError("--quality goes without --max-error and --train")
    if train and (model or append):
        raise click.UsageError("--train makes the model: it goes without --model and --append")
    if append and embed:
        raise click.UsageError("--append keeps the archive's model where it is: it goes without --embed")
    from codec.archive import Archive
    from codec.collection import Collection
    from codec.model import find_model, load_model, unpack_model
    from codec.packing import pack_archive
    from codec.still import encode

    start = time.perf_counter()
    batch.check("-", output, force or append)
    items, error = Collection(inputs), max_error or 0
    after = Archive(read_bytes(output)) if append else None
    lossy = None if quality is None else load_model(model or "photo")
    general = load_model("lossless" if model is None or lossy else model)
    own, total, without, chosen = None, 0.0, 0.0, lossy or general
    if after:
        own = after.embedded
        if lossy or not model:
            chosen = unpack_model(own) if own else find_model(after.header.model_id)
    elif train:
        own, total, without = _trained(items, Collection(train_on) if train_on else None, minutes, error)
    elif embed:
        own = _model_file(chosen, model)

    def file(image: Image) -> bytes:
        """A picture that stands on its own is no part of a set that is alike: the general model knows it better."""
        if lossy is not None:
            return encode(image.expanded().filled(), quality=quality or 0, model=lossy, threads=1)
        return encode(image, quality=0, max_error=error, model=general, threads=1)

    def packed(own: bytes | None) -> bytes:
        by = unpack_model(own) if own else chosen
        common: dict[str, Any] = {"dimensions": items.dimensions, "threads": threads, "max_error": error}
        common |= {"encode_file": file, "apart": lossy is not None, "after": after}
        with batch.progress("packing") as progress:
            return pack_archive(items, by, embed=own, progress=progress, **common)

    data = packed(own)
    if own and train and without < SURE * total:  # it was chosen by an estimate; the bytes have the last word
        other = packed(None)
        own, data, without = (None, other, len(other)) if len(other) <= len(data) else (own, data, len(other))
    if verify:
        with batch.progress("verifying") as progress:
            Archive(data, model=None if own else chosen).verify(threads, progress)
    write_bytes(output, data, force=force or append)
    record = _record(output, data) | {"verified": verify}
    line = f"{batch.shown(output)}: {record['items']:,} pictures, {len(data):,} bytes, "
    line += f"{record['bits_per_sample']:.3f} bits a sample"
    if own:
        line += f" ({record['model_bytes']:,} bytes are the model, {record['model_bits_per_sample']:.3f} bits a sample)"
    if train:
        record["without"] = round(without) if own else len(data)
        line += f"\n  without a model of its own: about {record['without']:,} bytes"
    if train or billed:
        from codec.bill import bill

        found = bill(items)
        record["bill"] = found._asdict()
        webp = "-" if found.webp is None else f"{found.webp:,}"
        line += f"\n  the same pictures{'' if found.exact else ', estimated'}: PNG {found.png:,} bytes, "
        line += f"WebP {webp}, xz of their samples {found.xz:,}"
    record["seconds"] = time.perf_counter() - start
    click.echo(json.dumps(record) if as_json else f"{line}\n  {record['seconds']:.2f} s")


def _trained(
    items: Sequence[Item], others: Sequence[Item] | None, minutes: float, error: int
) -> tuple[bytes | None, float, float]:
    """The model file that makes the pictures shortest, or None if that is the general one; see `training.choice`."""
    try:
        choice, training = import_module("training.choice"), import_module("training.cli")
    except ModuleNotFoundError as missing:
        need = f"--train needs the module {missing.name!r}, which is not installed"
        raise UnsupportedInput(f"{need}; the extra 'train' brings it: pip install 'engram-codec[train]'") from None
    with batch.progress("training") as progress, training.stopping() as stop:
        mine = (item.image for item in items)
        source = (item.image for item in others) if others is not None else None
        found: tuple[bytes | None, float, float] = choice.choose(
            mine, minutes, train_on=source, max_error=error, stop=stop, progress=progress
        )
    return found


def _model_file(model: Model, path: str | None) -> bytes:
    """The bytes of the file of a model that was found by its name, or by a path."""
    from codec.errors import ModelNotFound
    from codec.model import model_bytes

    try:
        return model_bytes(model.id)
    except ModelNotFound:
        return read_bytes(str(path))


def _record(output: str, data: bytes) -> dict[str, Any]:
    """What an archive holds, in numbers."""
    from codec.description import describe

    facts = describe(data)
    names = ("items", "bytes", "model_bytes", "data_bytes", "bits_per_sample", "model_bits_per_sample")
    return {"output": output} | {name: facts[name] for name in names}


@click.command(context_settings=_HELP)
@_archive
@click.option("-o", "--output", type=click.Path(), metavar="FOLDER|ARRAY.npy", help="[the archive's name]")
@_pixels
@_force
def unpack(archive: str, output: str | None, max_pixels: int, force: bool) -> None:
    """Unpack an archive: into a folder, or to an array if it was made from one."""
    from codec.archive import Archive

    opened = Archive(read_bytes(archive))
    dimensions = opened.catalogue.dimensions
    target = Path(output or Path(archive).with_suffix(ARRAY if dimensions else ""))
    with batch.progress("unpacking") as progress:
        if dimensions:
            if target.suffix != ARRAY:
                raise click.BadParameter("this archive holds an array; name a file that ends in .npy", param_hint="-o")
            batch.check(archive, str(target), force)
            write_bytes(target, _array(opened, max_pixels, progress), force=force)
        else:
            targets = _targets(target, [(entry.name, entry) for entry in opened.entries()], force)
            for number, path in enumerate(targets):
                _write(opened.image(number), path, force)
                if progress:
                    progress(number + 1, len(opened))
    click.echo(f"{batch.shown(archive)} -> {batch.shown(str(target))}: {len(opened):,} pictures")


@click.command("list", context_settings=_HELP)
@_archive
@_json
def list_(archive: str, as_json: bool) -> None:
    """List the pictures of an archive, in their order."""
    from codec.archive import Archive

    for entry in Archive(read_bytes(archive)).entries():
        look = entry.look
        if as_json:
            click.echo(json.dumps({"name": entry.name} | look._asdict() | {"alone": entry.alone}))
        else:
            alpha = " + alpha" if look.alpha else ""
            click.echo(f"{entry.name}  {look.width} x {look.height} x {look.channels}{alpha}, {look.depth} bits")


@click.command(context_settings=_HELP)
@_archive
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("-o", "--output", type=click.Path(), metavar="FILE|FOLDER", help="[the name, in the current folder]")
@_force
def extract(archive: str, names: tuple[str, ...], output: str | None, force: bool) -> None:
    """Extract pictures by their names (of an array: their numbers), without decoding the others."""
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
        image = opened.image(number)
        _write(image, target, force)
        click.echo(f"{batch.shown(str(target))}: {image.width} x {image.height}")


def _array(opened: Archive, max_pixels: int, progress: batch.Progress | None) -> bytes:
    """The .npy file of an archive that was made of an array."""
    import numpy as np

    from codec.collection import save_array

    first = opened.image(0).pixels
    replace(DEFAULT, max_pixels=max_pixels).check("max_pixels", len(opened) * first[..., 0].size, "pixels of the array")
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
    inside = os.path.realpath(folder)
    targets = dict[str, Path]()
    for name, entry in entries:
        path = folder / name
        if not _keeps(path.suffix.lower(), entry):
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


def _write(image: Image, target: Path, force: bool) -> None:
    from codec.pixels import write_image

    target.parent.mkdir(parents=True, exist_ok=True)
    batch.notify(str(target), write_image(image, target, force=force))
