"""What the commands share: kinds of arguments, pictures, and errors that end in one line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from codec import batch
from codec.files import read_bytes
from codec.pixels import read_image
from tools.rate_distortion import MeasureError, Picture

__all__ = ["EXTENSIONS", "FILE", "FOLDER", "failures", "listed", "load_pictures", "named_files"]

EXTENSIONS = {
    *(".png", ".jpg", ".jpeg", ".webp", ".avif", ".jp2"),
    *(".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".pnm", ".qoi"),
}
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


def listed(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Callback of an option that takes names with commas between them; each name counts once."""
    return tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))


@contextmanager
def failures() -> Iterator[None]:
    """What a user can mend ends in one line."""
    try:
        yield
    except MeasureError as error:
        raise click.ClickException(str(error)) from error
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"this needs the module {error.name}; the extra 'tools' brings it: pip install 'engram-codec[tools]'"
        ) from error


def load_pictures(paths: Sequence[Path]) -> list[Picture]:
    """Pictures of files and folders, as grey or RGB of 8 bits."""
    pictures = []
    for name, file in named_files(paths):
        data = read_bytes(file)
        image = read_image(data)
        notices = [*image.notices, *(["alpha is not measured"] if image.alpha is not None else [])]
        batch.notify(str(file), notices)
        pictures.append(Picture(name, hashlib.blake2b(data, digest_size=8).hexdigest(), image.colour))
    return pictures


def named_files(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Files, and those in folders, named by their stems, or by their whole names where stems repeat."""
    files = [file for path in paths for file in (sorted(_inside(path)) if path.is_dir() else [path])]
    if not files:
        raise MeasureError("no pictures in the folders given")
    stems = [file.stem for file in files]
    names = [file.stem if stems.count(file.stem) == 1 else file.name for file in files]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise MeasureError(f"two pictures of one name: {', '.join(repeated)}")
    return list(zip(names, files, strict=True))


def _inside(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.suffix.lower() in EXTENSIONS)
