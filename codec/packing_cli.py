"""The command `engram pack`: pictures into one archive, with a model of their own if that is shorter."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codec import batch, options
from codec.errors import UnsupportedInput
from codec.files import read_bytes, write_bytes

if TYPE_CHECKING:
    from codec.model import Model
    from codec.packing import Item

__all__ = ["pack"]


@click.command(context_settings=options.HELP)
@click.argument("inputs", metavar="FOLDER|FILE|ARRAY.npy...", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), metavar="SET.ega")
@click.option("-m", "--model", help="Name or path of a model; the archive refers to it.  [lossless, or photo with -q]")
@click.option("--embed", is_flag=True, help="Put the model into the archive, so that nothing else is needed.")
@click.option("--train", is_flag=True, help="Train a model on the pictures, and put it in if that is shorter.")
@click.option("--train-on", multiple=True, type=click.Path(exists=True), help="Train on these instead.  [the pictures]")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, help="Of --train.")
@click.option("-q", "--quality", type=click.FloatRange(0, 100), help="Lossy, at this quality.")
@click.option("--max-error", type=click.IntRange(min=1), metavar="N", help="No sample of colour is more than N off.")
@click.option("--axes", type=click.Choice(["THW", "NTHW", "TNHW"]), help="Arrays are clips: N clips, T frames.")
@click.option("--append", is_flag=True, help="Add to the archive, which keeps what it holds, byte for byte.")
@click.option("--bill", "billed", is_flag=True, help="Say what PNG, WebP and xz need.  [with --train always]")
@click.option("--verify/--no-verify", default=True, show_default=True, help="Decode before writing, and compare.")
@click.option("--dask", "address", metavar="tcp://HOST:PORT", help="Pack on a Dask cluster (extra 'cluster').")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Pack in N processes of a Dask cluster here.")
@options.threads
@options.force
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
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
    axes: str | None,
    append: bool,
    billed: bool,
    verify: bool,
    address: str | None,
    workers: int | None,
    threads: int,
    force: bool,
    as_json: bool,
) -> None:
    """Pack pictures and clips into one archive, lossless unless -q or --max-error is given.

    Any of them can be read without the others. An array (N, H, W) or (N, H, W, C) of uint8 or uint16 is N pictures.
    Movies and animated pictures are clips. Arrays of uint8 are clips if --axes says so: NTHW for one array (N, T, H, W)
    of N clips of T frames, TNHW for one with the frames first (as mnist_test_seq.npy), THW for a file for each clip, in
    folders, too. An axis of 3 colours may follow.
    Ctrl-C while it trains ends the training, and packs with what has been trained; a second one ends all.
    The archive is the same whether it is packed here or on a cluster.
    """
    train = train or bool(train_on)
    if quality is not None and (max_error or train):
        raise click.UsageError("--quality goes without --max-error and --train")
    if train and (model or append):
        raise click.UsageError("--train makes the model: it goes without --model and --append")
    if append and embed:
        raise click.UsageError("--append keeps the archive's model where it is: it goes without --embed")
    if address and workers:
        raise click.UsageError("--dask names a cluster that runs, --workers starts one: they exclude each other")
    from codec.archive import Archive
    from codec.clips import is_of_sprites
    from codec.cluster import cluster
    from codec.collection import Collection
    from codec.films import Films
    from codec.model import find_model, load_model, unpack_model
    from codec.packing import pack_archive

    start = time.perf_counter()
    if append and not Path(output).exists():
        raise UnsupportedInput(f"there is no archive {output} to add to; leave out --append to make one")
    batch.check("-", output, force or append)
    films, error = Films(inputs, axes), max_error or 0
    items = Collection(inputs, without=films.taken)
    if films and embed and not model:
        remedy = "such as -m digits for things that move over black, -m lossless for all else"
        raise click.UsageError(f"clips choose their models, and --embed puts one into the archive: name it, {remedy}")
    if films and (error or train or billed):
        raise UnsupportedInput("--max-error, --train and --bill are for pictures; pack clips exactly, or with -q")
    after = Archive(read_bytes(output)) if append else None
    lossy = None if quality is None else load_model(model or "photo")
    general = load_model("lossless" if model is None or lossy else model)
    own, total, without, margin, chosen = None, 0.0, 0.0, 0.0, lossy or general
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(cluster(address, workers=workers or 0)) if address or workers else None
        if after:
            own = after.embedded
            if lossy or not model:
                chosen = unpack_model(own) if own else find_model(after.header.model_id)
        elif train:
            own, total, without, margin = _trained(items, Collection(train_on) if train_on else None, minutes, error)
        elif embed:
            own = _model_file(chosen, model)

        exactly = chosen if model or is_of_sprites(chosen) else None
        moving = exactly if lossy is None else lossy if model else None  # None: it suits each clip

        def packed(own: bytes | None) -> bytes:
            by = unpack_model(own) if own else chosen
            # a picture that stands on its own is no part of a set that is alike: the general model knows it better
            common: dict[str, Any] = {"alone": lossy or general, "quality": quality, "max_error": error, "after": after}
            common |= {"dimensions": items.dimensions or films.dimensions, "frames_first": films.frames_first}
            common |= {"films": films, "moving": moving}
            common |= {"verify": verify, "threads": threads, "run": run}
            with batch.progress("packing") as progress:
                return pack_archive(items, by, embed=own, progress=progress, **common)

        data = packed(own)
        if own and without - total < margin:  # they were estimated, and are too near: the bytes have the last word
            other = packed(None)
            own, data, without = (None, other, len(other)) if len(other) <= len(data) else (own, data, len(other))
    write_bytes(output, data, force=force or append)
    record = _record(output, data) | {"verified": verify}
    line = f"{batch.shown(output)}: {record['contents']}, {len(data):,} bytes, "
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
) -> tuple[bytes | None, float, float, float]:
    """The model file that makes the pictures shortest, or None if that is the general one; see `training.choice`."""
    try:
        choice, training = import_module("training.choice"), import_module("training.cli")
    except ModuleNotFoundError as missing:
        need = f"--train needs the module {missing.name!r}, which is not installed"
        raise UnsupportedInput(f"{need}; the extra 'train' brings it: pip install 'engram-codec[train]'") from None
    with batch.progress("training") as progress, training.stopping() as stop:
        mine = (item.image for item in items)
        source = (item.image for item in others) if others is not None else None
        found: tuple[bytes | None, float, float, float] = choice.choose(
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
    names = ("items", "clips", "contents", "bytes", "model_bytes", "data_bytes")
    return {"output": output} | {name: facts[name] for name in (*names, "bits_per_sample", "model_bits_per_sample")}
