"""The command `engram`: options and what the commands do with one file. See `batch.py` for several.

Exit codes: 0 ok, 1 failed, 2 wrong use, 3 corrupt or truncated, 4 over a limit, 5 model missing or wrong,
130 interrupted.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from codec import archive_cli, batch, packing_cli
from codec.batch import Record
from codec.container import Kind, is_kind, unpack
from codec.errors import CodecError, UnsupportedInput
from codec.files import read_bytes, write_bytes
from codec.limits import DEFAULT

__all__ = ["cli", "main"]

QUALITY = 50.0  # where nothing is asked for
JPEGS = ("JPEG", "MPO")
INTERRUPTED = 130
TERMINATED = 143


class _Guarded(click.Group):
    """A group whose expected errors, and interrupts, end in one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nengram: interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            raise
        except batch.EXPECTED as error:
            click.echo(f"engram: {batch.message(error)}", err=True)
            ctx.exit(batch.code(error))


@click.group(cls=_Guarded, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="engram-codec", prog_name="engram")
def cli() -> None:
    """Engram, a learned image codec: photos in, small files out, the same pixels on every machine."""


def main() -> NoReturn:
    """Run the command and exit; what the console script calls."""
    # Threads are for tiles and windows here. Matrix products of this size gain nothing from threads of their own,
    # and wait for each other when a core is busy with something else (measured: 0.4 s became 10 s).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # an exception, so that temporary files go
    cli.main(prog_name="engram")
    raise SystemExit  # not reached: click exits by itself


class _Real(click.FloatRange):
    """A range without the number that is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        return self.fail(f"{value!r} is not a number", param, ctx) if math.isnan(number) else number


class _Part(click.ParamType[tuple[int, ...]]):
    """X,Y,WIDTH,HEIGHT."""

    name = "X,Y,W,H"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        numbers = value.split(",")
        if len(numbers) != 4 or not all(number.strip().isdecimal() for number in numbers):
            self.fail(f"{value!r} is not X,Y,WIDTH,HEIGHT in pixels", param, ctx)
        return tuple(map(int, numbers))


class _Run(click.ParamType[slice]):
    """A:B, frames from A on, up to B and without it; either may be left out."""

    name = "A:B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> slice:
        ends = str(value).split(":")
        if len(ends) != 2 or not all(end.isdecimal() or not end for end in ends):
            self.fail(f"{value!r} is not A:B, numbers of frames from 0 on", param, ctx)
        start, stop = (int(end) if end else None for end in ends)
        return slice(start, stop)


_share, _positive, _many = _Real(0, 100), _Real(0, min_open=True), click.IntRange(min=1)
_inputs = click.argument("inputs", metavar="IN...", nargs=-1, required=True)
_files = click.argument("inputs", metavar="FILE...", nargs=-1, required=True)
_output = click.option("-o", "--output", metavar="OUT", help="Output file; - is standard output.")
_folder = click.option("--output-dir", "folder", metavar="DIR", help="Folder for the outputs of several inputs.")
_model = click.option("-m", "--model", help="Name, path or id of a model.")
_threads = click.option("-T", "--threads", type=click.IntRange(min=0), default=0, help="Threads; 0 takes all cores.")
_force = click.option("-f", "--force", is_flag=True, help="Overwrite existing files.")
_pixels = click.option("--max-pixels", type=_many, default=DEFAULT.max_pixels, show_default=True, help="Refuse more.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object per file on standard output.")


@cli.command()
@_inputs
@_output
@_folder
@click.option("-q", "--quality", type=_share, help=f"Quality, 0 .. 100; {QUALITY:g} by default.")
@click.option("--target-bpp", type=_positive, help="The best quality within so many bits per pixel.")
@click.option("--target-psnr", type=_positive, help="The smallest file of at least this PSNR, in dB.")
@click.option("--lossless", is_flag=True, help="Keep every sample; 16 bits, palettes, grey and alpha, too.")
@click.option("--max-error", type=_many, metavar="N", help="Near-lossless: no sample of colour is more than N off.")
@_model
@click.option("-e", "--effort", type=click.IntRange(1, 9), default=5, show_default=True, help="How hard to search.")
@_threads
@_force
@click.option("--verify/--no-verify", default=True, show_default=True, help="Decode before writing, and compare.")
@_pixels
@_json
def compress(
    inputs: tuple[str, ...],
    output: str | None,
    folder: str | None,
    quality: float | None,
    target_bpp: float | None,
    target_psnr: float | None,
    lossless: bool,
    max_error: int | None,
    model: str | None,
    effort: int,
    threads: int,
    force: bool,
    verify: bool,
    max_pixels: int,
    as_json: bool,
) -> None:
    """Compress pictures and clips to .egm files: lossy, or exactly with --lossless.

    A clip is a video file, an animated picture, a folder of numbered pictures, or an array (.npy, .npz) of uint8. Each
    file is written beside its input, unless -o or --output-dir say where; standard input (-) goes to standard output.
    """
    if sum(value is not None for value in (quality, target_bpp, target_psnr, lossless or None, max_error)) > 1:
        raise click.UsageError("--quality, --target-bpp, --target-psnr, --lossless and --max-error exclude each other")
    bound = 0 if lossless else max_error
    names = batch.outputs(inputs, output, folder, ".egm", as_json)
    from codec.clip_cli import compress_clip
    from codec.frames import is_clip
    from codec.model import load_model
    from codec.pixels import read_image
    from codec.still import decode, encode
    from codec.verification import verification

    limits = replace(DEFAULT, max_pixels=max_pixels)
    chosen = load_model(model or ("photo" if bound is None else "lossless"))
    aims: dict[str, Any] = {"quality": QUALITY if quality is None else quality, "bpp": target_bpp, "psnr": target_psnr}

    def work(source: str, target: str) -> tuple[Record, str]:
        start = time.perf_counter()
        batch.check(source, target, force)
        if is_clip(source):
            if target_bpp or target_psnr or max_error:
                raise UnsupportedInput("a clip takes --quality or --lossless; the other aims are for pictures")
            options: dict[str, Any] = {"quality": aims["quality"], "lossless": lossless, "effort": effort}
            options |= {"threads": threads, "force": force, "verify": verify, "limits": limits}
            return compress_clip(source, target, model=chosen if model else None, **options)
        image = read_image(source, limits, exact=bound is not None)
        if bound:
            image = image.expanded()
        notices = [*image.notices]
        if bound is not None and image.source in JPEGS:
            notices.append("these pixels come from a JPEG; recompressing that file itself, as JPEG XL does, is smaller")
        batch.notify(source, notices)
        common: dict[str, Any] = {"model": chosen, "threads": threads}
        with batch.progress(f"encoding {batch.shown(source)}") as progress:
            data = encode(image, **aims, max_error=bound, effort=effort, progress=progress, **common)
        record: Record = {"input": source, "output": target, "width": image.width, "height": image.height}
        record |= {"bytes": len(data), "bpp": 8 * len(data) / (image.width * image.height), "verified": verify}
        line = f"{batch.shown(source)} -> {batch.shown(target)}: {len(data):,} bytes, {record['bpp']:.3f} bpp"
        if verify:
            with batch.progress(f"verifying {batch.shown(source)}") as progress:
                decoded = decode(data, limits=limits, progress=progress, **common)
            facts, words = verification(image, decoded, bound)
            record |= facts
            line += f", {words}"
        write_bytes(target, data, force=force)
        record |= {"seconds": time.perf_counter() - start, "notices": notices}
        return record, f"{line}, {record['seconds']:.2f} s"

    batch.run(inputs, names, work, as_json)


@cli.command()
@_inputs
@_output
@_folder
@click.option("--crop", type=_Part(), help="A part of the picture, in pixels; no more of a lossless file is decoded.")
@click.option("--preview", is_flag=True, help="Every 8th row and column of a lossless picture, fast.")
@click.option("--frames", type=_Run(), help="Of a clip: frames from A on, up to B and without it.")
@_model
@_threads
@_force
@_pixels
@_json
def decompress(
    inputs: tuple[str, ...],
    output: str | None,
    folder: str | None,
    crop: tuple[int, ...] | None,
    preview: bool,
    frames: slice | None,
    model: str | None,
    threads: int,
    force: bool,
    max_pixels: int,
    as_json: bool,
) -> None:
    """Decompress .egm files to pictures and clips.

    The extension of the output names its format: png (the default), jpg, webp, tiff, bmp, ppm; for a clip mkv (the
    default), mp4, gif, png, npy, or a folder, which has no dot in its name.
    """
    if crop and preview:
        raise click.UsageError("--crop and --preview exclude each other")
    names = batch.outputs(inputs, output, folder, ".png", as_json)
    from codec.clip_cli import decompress_clip
    from codec.frames import WRITTEN
    from codec.lossless import Crop
    from codec.model import load_model
    from codec.pixels import FORMATS, format_of, write_image
    from codec.still import decode

    form = ""
    try:
        form = FORMATS[format_of(names[0])][0]
    except CodecError as error:
        if Path(names[0]).suffix.lower() not in WRITTEN:
            raise click.BadParameter(str(error), param_hint="-o") from None
    limits = replace(DEFAULT, max_pixels=max_pixels)
    common: dict[str, Any] = {"limits": limits, "threads": threads, "preview": preview}
    common |= {"model": load_model(model) if model else None, "crop": Crop(*crop) if crop else None}

    def work(source: str, target: str) -> tuple[Record, str]:
        start = time.perf_counter()
        batch.check(source, target, force)
        data = read_bytes(source, limits)
        if is_kind(data, Kind.VIDEO):
            if crop or preview:
                raise UnsupportedInput("--crop and --preview are for pictures; a clip takes --frames")
            if output is None and folder is None:
                target = str(Path(target).with_suffix(".mkv"))
                batch.check(source, target, force)
            options: dict[str, Any] = {"model": common["model"], "threads": threads, "force": force, "limits": limits}
            return decompress_clip(data, source, target, frames=frames, **options)
        if frames:
            raise UnsupportedInput("--frames is for clips, and this file holds a picture")
        with batch.progress(f"decoding {batch.shown(source)}") as progress:
            image = decode(data, progress=progress, **common)
        notices = write_image(image, target, force=force)
        batch.notify(target, notices)
        record: Record = {"input": source, "output": target, "format": form}
        record |= {"width": image.width, "height": image.height, "channels": image.channels}
        record |= {"alpha": image.alpha is not None, "notices": list(notices), "seconds": time.perf_counter() - start}
        size = f"{image.width} x {image.height}, {record['seconds']:.2f} s"
        return record, f"{batch.shown(source)} -> {batch.shown(target)}: {size}"

    batch.run(inputs, names, work, as_json)


@cli.command()
@_files
@_json
def info(inputs: tuple[str, ...], as_json: bool) -> None:
    """Say what files hold, without decoding them."""
    from codec.description import describe

    def work(source: str, _: str) -> tuple[Record, str]:
        record: Record = {"input": source} | describe(read_bytes(source))
        rows = [f"{batch.shown(source)}: {record['kind']}"]
        rows += [f"  {name:10} {value}" for name, value in record.items() if name not in ("input", "kind")]
        return record, "\n".join(rows)

    batch.run(inputs, None, work, as_json)


@cli.command()
@_files
@_model
@_threads
@_pixels
@_json
def test(inputs: tuple[str, ...], model: str | None, threads: int, max_pixels: int, as_json: bool) -> None:
    """Decode files and check them, and write nothing; model files and archives are checked, too."""
    from codec.archive import Archive
    from codec.model import load_model, unpack_model
    from codec.still import decode
    from codec.video import decode_video

    limits = replace(DEFAULT, max_pixels=max_pixels)
    chosen = load_model(model) if model else None

    def work(source: str, _: str) -> tuple[Record, str]:
        data = read_bytes(source, limits)
        kind = unpack(data, limits)[0].kind
        with batch.progress(f"testing {batch.shown(source)}") as progress:
            if kind == Kind.MODEL:
                unpack_model(data, limits)
            elif kind == Kind.ARCHIVE:
                Archive(data, model=chosen, limits=limits).verify(threads, progress)
            elif kind == Kind.VIDEO:
                sum(1 for _ in decode_video(data, model=chosen, limits=limits, threads=threads, progress=progress))
            else:
                decode(data, model=chosen, limits=limits, threads=threads, progress=progress)
        return {"input": source, "bytes": len(data), "ok": True}, f"{batch.shown(source)}: ok"

    batch.run(inputs, None, work, as_json)


@cli.command()
@_json
def models(as_json: bool) -> None:
    """List the models that come with the codec, and those in the folders of $ENGRAM_MODELS."""
    from codec.model import load_model
    from codec.model import models as names

    for name in names():
        model = load_model(name)
        record = {"name": name, "model": model.id.hex(), "bytes": model.size, "card": dict(model.card)}
        line = f"{name:12} {model.id.hex()} {model.size:10,} bytes  {model.card.get('description', '')}"
        click.echo(json.dumps(record) if as_json else line.rstrip())


def _extra(name: str, module: str, extra: str, text: str) -> None:
    """Add a command that lives outside of `codec`, and is imported when it is called."""

    @cli.command(name, help=text, add_help_option=False, context_settings={"ignore_unknown_options": True})
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def run(arguments: tuple[str, ...]) -> Any:
        try:
            command: click.Command = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            need = f"`engram {name}` needs the module {error.name!r}, which is not installed"
            click.echo(f"engram: {need}; the extra {extra!r} brings it: pip install 'engram-codec[{extra}]'", err=True)
            click.get_current_context().exit(1)
        return command.main(list(arguments), prog_name=f"engram {name}")


for each in (packing_cli.pack, archive_cli.unpack, archive_cli.list_, archive_cli.extract):
    cli.add_command(each)
_extra("train", "training.cli", "train", "Train a model from a recipe (extra 'train').")
_extra("record", "training.recording", "train", "Record what inter frames leave to code, to train on (extra 'train').")
_extra("export", "training.cli", "train", "Make a model file of the checkpoints of a training (extra 'train').")
_extra("report", "tools.commands.report", "tools", "A page about a run, a measurement or a model (extra 'tools').")
_extra("measure", "tools.cli", "tools", "Measure models: rate-distortion and more (extra 'tools').")


if __name__ == "__main__":
    main()
