"""Makes the conformance pack: four tiny models, streams that a decoder has to decode, and those it has to refuse.

    python -m tools.conformance           adds what is not there yet; what the manifest has is frozen and stays
    python -m tools.conformance --sizes   writes sizes.toml anew, after a change to the encoder

Everything in the pack is made here from seeds; bitstreams/README.md says what it is for.
"""  # fmt: skip

from __future__ import annotations

import argparse
import hashlib
import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from codec import image, lossless
from codec.container import Kind, is_kind
from codec.digest import sample_bytes
from codec.errors import CodecError
from codec.files import atomic_write
from codec.model import Model, unpack_model
from codec.picture import Image
from tools.archive_streams import decode_items, invalid_archives, valid_archives
from tools.exact_streams import invalid_exact, valid_exact
from tools.lossless_streams import drawing, invalid_alike, invalid_lossless, valid_alike, valid_lossless
from tools.streams import Bad, invalid, valid
from tools.synthetic import picture
from tools.uneven_lossless import uneven_alike, uneven_lossless
from tools.video_streams import decode_stacked, invalid_inter, invalid_video, valid_inter, valid_video

__all__ = ["ALIKE", "FOLDER", "LOSSLESS", "PHOTO", "VIDEO", "decode", "fingerprint", "load", "main", "pack", "sizes"]

FOLDER = Path(__file__).parents[1] / "bitstreams" / "v1"
PHOTO, LOSSLESS, ALIKE = "conformance.egmm", "conformance-lossless.egmm", "conformance-alike.egmm"
VIDEO = "conformance-video.egmm"  # goes with PHOTO
MANIFEST, SIZES = "MANIFEST.toml", "sizes.toml"
SIZED = {"photo-like": (96, 128, 3, 21, 3.0), "grainy": (96, 128, 3, 22, 12.0), "grey": (96, 128, 1, 23, 2.0)}
STREAMS: tuple[tuple[str, Callable[[], dict[str, Make]], Callable[[Model], dict[str, Bad]]], ...] = (
    (PHOTO, valid, invalid),
    (PHOTO, valid_video, invalid_video),
    (VIDEO, valid_inter, invalid_inter),
    (LOSSLESS, valid_lossless, invalid_lossless),
    (ALIKE, valid_alike, invalid_alike),
    (LOSSLESS, valid_archives, invalid_archives),
    (LOSSLESS, valid_exact, invalid_exact),
)
QUALITIES = (10, 50, 90)
ERRORS = (0, 1)

Entry = dict[str, Any]
Make = Callable[[Model], bytes]
Manifest = dict[str, list[Entry]]


def decode(entry: Entry, data: bytes, models: dict[str, Model]) -> Image:
    """Decode a stream of the pack with the model, and as the kind of file, that its entry names.

    The frames of a video are given one below the other, and so are the items of an archive.
    """
    name = entry.get("model", PHOTO)
    if is_kind(data, Kind.VIDEO):
        return Image(decode_stacked(data, models[name]))
    if is_kind(data, Kind.ARCHIVE):
        return Image(decode_items(data, models[name]))
    if name != PHOTO:
        return lossless.decode(data, model=models[name])
    return image.decode(data, model=models[name])


def fingerprint(picture: Image) -> str:
    """SHA-256 of a decoded picture: height, width, channels (u32 each), colour, alpha, ICC profile, EXIF, palette."""
    found = hashlib.sha256(b"".join(size.to_bytes(4, "little") for size in picture.colour.shape))
    for samples in (picture.colour, picture.alpha):
        found.update(b"" if samples is None else sample_bytes(samples))
    for part in (picture.icc, picture.exif, None if picture.palette is None else picture.palette.tobytes()):
        found.update(part or b"")
    return found.hexdigest()


def sizes(models: dict[str, Model]) -> dict[str, int]:
    """Bytes of a few pictures at default effort: they must not creep up unnoticed."""
    photos = {
        f"{name}-{quality}": len(image.encode(Image(picture(*drawn)), models[PHOTO], quality=quality))
        for name, drawn in SIZED.items()
        for quality in QUALITIES
    }
    sources = {name: Image(picture(*drawn)) for name, drawn in SIZED.items()} | {"drawing": drawing(96, 128, 3)}
    exact = {
        f"lossless-{name}-{error}": len(lossless.encode(source, models[LOSSLESS], max_error=error))
        for name, source in sources.items()
        for error in ERRORS
    }
    return photos | exact


def pack(folder: Path = FOLDER) -> Manifest:
    """Complete the pack in a folder; returns the whole manifest."""
    manifest: Manifest = tomllib.loads((folder / MANIFEST).read_text()) if (folder / MANIFEST).exists() else {}
    for kind in ("model", "valid", "invalid"):
        manifest[kind] = [entry for entry in manifest.get(kind, []) if (folder / entry["file"]).exists()]
    known = {entry["file"] for entry in manifest["model"]}
    lossless_models = (LOSSLESS, uneven_lossless), (ALIKE, uneven_alike)
    for name, make in ((PHOTO, _photo), *lossless_models, (VIDEO, partial(_video, folder))):
        if name not in known:
            manifest["model"].append(_frozen(folder, name, make()))
    models = load(folder)
    for name, good, bad in STREAMS:
        facts = {} if name == PHOTO else {"model": name}
        streams = {file: make(models[name]) for file, make in good().items() if _new(manifest, "valid", file)}
        for file, stream in streams.items():
            decoded = decode(facts, stream, models)
            entry = _frozen(folder, f"valid/{file}.egm", stream) | facts | {"shape": decoded.colour.shape}
            entry |= {"bits": decoded.bit_depth} if facts else {}
            manifest["valid"].append(entry | {"pixels": fingerprint(decoded)})
        for file, wrong in bad(models[name]).items():
            if _new(manifest, "invalid", file):
                _check_refused(file, wrong, facts, models)
                entry = _frozen(folder, f"invalid/{file}.egm", wrong.data) | facts
                manifest["invalid"].append(entry | {"error": wrong.error.__name__, "what": wrong.what})
    atomic_write(folder / MANIFEST, _toml(manifest), force=True)
    return manifest


def load(folder: Path = FOLDER) -> dict[str, Model]:
    """The models of the pack."""
    models = {name: unpack_model((folder / name).read_bytes()) for name, _, _ in STREAMS}
    return models | {VIDEO: replace(models[VIDEO], intra=models[PHOTO])}


def _photo() -> bytes:
    from tools.tiny_model import tiny_model  # brings torch

    return tiny_model()


def _video(folder: Path) -> bytes:
    from tools.tiny_video import tiny_video  # brings torch

    return tiny_video(unpack_model((folder / PHOTO).read_bytes()))


def _new(manifest: Manifest, kind: str, name: str) -> bool:
    return f"{kind}/{name}.egm" not in {entry["file"] for entry in manifest[kind]}


def _check_refused(name: str, bad: Bad, facts: Entry, models: dict[str, Model]) -> None:
    try:
        decode(facts, bad.data, models)
    except CodecError as error:
        if type(error) is not bad.error:
            raise AssertionError(f"{name}: expected {bad.error.__name__}, got {error!r}") from error
    else:
        raise AssertionError(f"{name}: expected {bad.error.__name__}, and it was decoded")


def _frozen(folder: Path, file: str, data: bytes) -> Entry:
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / file, data)
    return {"file": file, "sha256": hashlib.sha256(data).hexdigest()}


def _toml(manifest: Manifest) -> bytes:
    lines = ["# Made by tools/conformance.py. Entries are added, never changed.\n"]
    for kind, entries in manifest.items():
        for entry in entries:
            rows = (f"{key} = {json.dumps(value)}\n" for key, value in entry.items())
            lines.append(f"\n[[{kind}]]\n" + "".join(rows))
    return "".join(lines).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description="Make or complete the conformance pack.")
    parser.add_argument("--sizes", action="store_true", help="write sizes.toml anew")
    if parser.parse_args().sizes:
        found = sizes(load())
        rows = "".join(f"{name} = {size}\n" for name, size in found.items())
        text = f"# Made by `python -m tools.conformance --sizes`.\n\n{rows}"
        atomic_write(FOLDER / SIZES, text.encode(), force=True)
        print(f"{sum(found.values()):,} bytes in {len(found)} files")
    else:
        print(", ".join(f"{len(entries)} {kind}" for kind, entries in pack().items()))


if __name__ == "__main__":
    main()
