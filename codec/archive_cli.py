"""The commands for sets of pictures: `engram pack`, `unpack`, `list`, `extract`."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codec import batch
from codec.errors import UnsupportedInput
from codec.files import read_bytes, write_bytes

if TYPE_CHECKING:
    from codec.archive import Archive, Item
    from codec.picture import Image

__all__ = ["extract", "list_", "pack", "unpack"]

SUFFIX = ".ega"
ARRAY = ".npy"
EXACT = (".png", ".tif", ".tiff", ".webp", ".bmp", ".ppm", ".pgm", ".pnm")  # formats that keep every sample

_HELP = {"help_option_names": ["-h", "--help"]}
_archive = click.argument("archive", type=click.Path(exists=True, dir_okay=False), metavar="SET.ega")
_force = click.option("-f", "--force", is_flag=True, help="Overwrite existing files.")
_json = click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
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
@click.option("--append", is_flag=True, help="Add to the archive, which keeps what it holds.")
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
    threads: int,
    force: bool,
    as_json: bool,
) -> None:
    """Pack pictures into one archive, lossless unless -q or --max-error is given.

    Any of them can be read without the others. An array (N, H, W) or (N, H, W, C) of uint8 or uint16 is N pictures.
    """
    train = train or bool(train_on)
    if quality is not None and (max_error or train):
        raise click.UsageError("--quality goes without --max-error and --train")
    if train and (model or append):
        raise click.UsageError("--train makes the model: it goes without --model and --append")
    from codec.archive import Archive, Item, pack_archive
    from codec.image import encode
    from codec.model import load_model, model_bytes, unpack_model

    start = time.perf_counter()
    batch.check("-", output, force or append)
    items, dimensions = _items(inputs)
    error = max_error or 0
    if append:
        old = Archive(read_bytes(output))
        if (old.catalogue.dimensions, old.catalogue.error) != (dimensions, error):
            raise UnsupportedInput("what is added has to be of the archive's kind: files or an array, one --max-error")
        before = [Item(name, old.image(i)) for i, name in enumerate(old.catalogue.names)]
        items = before + items
        model = model or (None if old.embedded else old.header.model_id.hex())
    own: bytes | None = old.embedded if append else None
    if train:
        trained: Any = import_module("training.choice")
        with batch.progress("training") as progress:
            pictures = [item.image for item in items]
            others = [item.image for item in _items(train_on)[0]] if train_on else None
            own = trained.choose(pictures, minutes, train_on=others, max_error=error, progress=progress)
    chosen = unpack_model(own) if own else load_model(model or "lossless")
    if embed and own is None:
        own = model_bytes(chosen.id)
    photo = None if quality is None else load_model(model or "photo")

    def lossy(image: Image) -> bytes:
        assert photo is not None
        assert quality is not None
        return encode(image.expanded(), photo, quality=quality, threads=1)

    with batch.progress("packing") as progress:
        data = pack_archive(
            items,
            load_model("lossless") if photo else chosen,
            embed=own,
            max_error=error,
            dimensions=dimensions,
            threads=threads,
            progress=progress,
            encode_file=lossy if photo else None,
        )
    write_bytes(output, data, force=force or append)
    model_bits, samples = 8 * len(own or b""), sum(item.image.pixels.size for item in items)
    record = {"output": output, "items": len(items), "bytes": len(data), "model_bytes": len(own or b"")}
    record |= {"bits_per_sample": 8 * len(data) / samples, "seconds": time.perf_counter() - start}
    line = f"{batch.shown(output)}: {len(items):,} pictures, {len(data):,} bytes, "
    line += f"{8 * len(data) / samples:.3f} bits a sample (model {model_bits / samples:.3f}), {record['seconds']:.2f} s"
    click.echo(json.dumps(record) if as_json else line)


@click.command(context_settings=_HELP)
@_archive
@click.option("-o", "--output", type=click.Path(), metavar="FOLDER|ARRAY.npy", help="[the archive's name]")
@_force
def unpack(archive: str, output: str | None, force: bool) -> None:
    """Unpack an archive: into a folder, or to an array if it was made from one."""
    from codec.archive import Archive

    opened = Archive(read_bytes(archive))
    target = Path(output or Path(archive).with_suffix(ARRAY if opened.catalogue.dimensions else ""))
    if opened.catalogue.dimensions:
        if target.suffix != ARRAY:
            raise click.BadParameter("this archive holds an array; name a file that ends in .npy", param_hint="-o")
        batch.check("-", str(target), force)
        write_bytes(target, _array(opened), force=force)
        click.echo(f"{batch.shown(archive)} -> {batch.shown(str(target))}: {len(opened):,} pictures")
        return
    with batch.progress("unpacking") as progress:
        for number, name in enumerate(opened.catalogue.names):
            _write(opened.image(number), target / _file_name(name), force)
            if progress:
                progress(number + 1, len(opened))
    click.echo(f"{batch.shown(archive)} -> {batch.shown(str(target))}: {len(opened):,} pictures")


@click.command("list", context_settings=_HELP)
@_archive
@_json
def list_(archive: str, as_json: bool) -> None:
    """List the pictures of an archive, in their order."""
    from codec.archive import Archive

    for name, look in Archive(read_bytes(archive)).contents():
        if as_json:
            click.echo(json.dumps({"name": name} | ({} if look is None else look._asdict())))
        else:
            click.echo(f"{name}" + ("" if look is None else f"  {look.width} x {look.height} x {look.channels}"))


@click.command(context_settings=_HELP)
@_archive
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("-o", "--output", type=click.Path(), metavar="FILE|FOLDER", help="[the name, in the current folder]")
@_force
def extract(archive: str, names: tuple[str, ...], output: str | None, force: bool) -> None:
    """Extract pictures by their names (or numbers), without decoding the others."""
    from codec.archive import Archive

    opened = Archive(read_bytes(archive))
    for name in names:
        try:
            image = opened.image(opened.number(name))
        except KeyError:
            raise UnsupportedInput(f"{archive} holds no picture {name!r}; `engram list` shows what it holds") from None
        target = Path(Path(name).name)
        if output is not None:
            target = Path(output, target.name) if len(names) > 1 or Path(output).is_dir() else Path(output)
        target = target.with_name(_file_name(target.name))
        _write(image, target, force)
        click.echo(f"{batch.shown(str(target))}: {image.width} x {image.height}")


def _items(inputs: Sequence[str]) -> tuple[list[Item], int]:
    """Pictures of folders, files and arrays, and the dimensions of the array, 0 for files."""
    from codec.archive import Item
    from codec.picture import Image

    if [Path(source).suffix for source in inputs] == [ARRAY]:
        array = _read_array(inputs[0])
        return [Item("", Image.of(picture)) for picture in array], array.ndim
    return [Item(name, _read(path)) for name, path in _found(inputs)], 0


def _found(inputs: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Names and paths of the pictures: those of a folder with their place in it, in the order of their names."""
    from codec.pixels import FORMATS

    suffixes = {*FORMATS, ".gif", ".avif", ".jp2", ".qoi"}
    for source in map(Path, inputs):
        if not source.is_dir():
            yield source.name, source
            continue
        for path in sorted(path for path in source.rglob("*") if path.suffix.lower() in suffixes and path.is_file()):
            yield path.relative_to(source).as_posix(), path


def _read(path: Path) -> Image:
    from codec.pixels import read_image

    image = read_image(str(path), exact=True)
    batch.notify(str(path), image.notices)
    return image


def _read_array(path: str) -> Any:
    """An array of pictures; UnsupportedInput if it is none."""
    import numpy as np

    try:
        array = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    except ValueError as error:
        raise UnsupportedInput(f"{path} is no array of numbers: {error}") from None
    if array.dtype not in (np.uint8, np.uint16) or array.ndim not in (3, 4) or 0 in array.shape:
        raise UnsupportedInput(f"{path} holds {array.dtype} {array.shape}, expected uint8 or uint16, (N, H, W[, C])")
    return array


def _array(opened: Archive) -> bytes:
    import numpy as np

    pictures = np.stack([opened.image(i).pixels for i in range(len(opened))])
    stream = io.BytesIO()
    np.save(stream, pictures[..., 0] if opened.catalogue.dimensions == 3 else pictures, allow_pickle=False)
    return stream.getvalue()


def _file_name(name: str) -> str:
    """The name with an extension that keeps every sample."""
    return name if Path(name).suffix.lower() in EXACT else name + ".png"


def _write(image: Image, target: Path, force: bool) -> None:
    from codec.pixels import write_image

    target.parent.mkdir(parents=True, exist_ok=True)
    batch.notify(str(target), write_image(image, target, force=force))
