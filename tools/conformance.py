"""Makes the conformance pack: a tiny model, streams that a decoder has to decode, and streams that it has to refuse.

    python -m tools.conformance           adds what is not there yet; what the manifest has is frozen and stays
    python -m tools.conformance --sizes   writes sizes.toml anew, after a change to the encoder

Everything in the pack is made here from seeds; bitstreams/README.md says what it is for.
"""  # fmt: skip

from __future__ import annotations

import argparse
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

from codec.errors import CodecError
from codec.files import atomic_write
from codec.image import decode, encode
from codec.model import Model, unpack_model
from codec.pixels import Image
from tools.streams import Bad, invalid, valid
from tools.synthetic import picture

__all__ = ["FOLDER", "fingerprint", "main", "pack", "sizes"]

FOLDER = Path(__file__).parents[1] / "bitstreams" / "v1"
MODEL, MANIFEST, SIZES = "conformance.egmm", "MANIFEST.toml", "sizes.toml"
SIZED = {"photo-like": (96, 128, 3, 21, 3.0), "grainy": (96, 128, 3, 22, 12.0), "grey": (96, 128, 1, 23, 2.0)}
QUALITIES = (10, 50, 90)

Entry = dict[str, Any]
Manifest = dict[str, list[Entry]]


def fingerprint(image: Image) -> str:
    """SHA-256 of a decoded picture: height, width, channels (u32 each), colour, alpha, ICC profile, EXIF."""
    shape = b"".join(size.to_bytes(4, "little") for size in image.colour.shape)
    alpha = b"" if image.alpha is None else image.alpha.tobytes()
    parts = shape, image.colour.tobytes(), alpha, image.icc or b"", image.exif or b""
    return hashlib.sha256(b"".join(parts)).hexdigest()


def sizes(model: Model) -> dict[str, int]:
    """Bytes of a few pictures at default effort: they must not creep up unnoticed."""
    return {
        f"{name}-{quality}": len(encode(Image(picture(*drawn)), model, quality=quality))
        for name, drawn in SIZED.items()
        for quality in QUALITIES
    }


def pack(folder: Path = FOLDER) -> Manifest:
    """Complete the pack in a folder; returns the whole manifest."""
    manifest: Manifest = tomllib.loads((folder / MANIFEST).read_text()) if (folder / MANIFEST).exists() else {}
    if "model" not in manifest:
        from tools.tiny_model import tiny_model  # brings torch

        manifest["model"] = [_frozen(folder, MODEL, tiny_model())]
    model = unpack_model((folder / MODEL).read_bytes())
    _add(manifest, "valid", folder, model, {name: make(model) for name, make in valid().items()})
    _add(manifest, "invalid", folder, model, invalid(model))
    atomic_write(folder / MANIFEST, _toml(manifest), force=True)
    return manifest


def _add(manifest: Manifest, kind: str, folder: Path, model: Model, streams: dict[str, bytes] | dict[str, Bad]) -> None:
    entries = manifest.setdefault(kind, [])
    known = {entry["file"] for entry in entries}
    for name, stream in streams.items():
        if (file := f"{kind}/{name}.egm") in known:
            continue
        if isinstance(stream, Bad):
            _check_refused(name, stream, model)
            entry = _frozen(folder, file, stream.data) | {"error": stream.error.__name__, "what": stream.what}
        else:
            image = decode(stream, model=model)
            entry = _frozen(folder, file, stream) | {"shape": image.colour.shape, "pixels": fingerprint(image)}
        entries.append(entry)


def _check_refused(name: str, bad: Bad, model: Model) -> None:
    try:
        decode(bad.data, model=model)
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
        found = sizes(unpack_model((FOLDER / MODEL).read_bytes()))
        rows = "".join(f"{name} = {size}\n" for name, size in found.items())
        text = f"# Made by `python -m tools.conformance --sizes`.\n\n{rows}"
        atomic_write(FOLDER / SIZES, text.encode(), force=True)
        print(f"{sum(found.values()):,} bytes in {len(found)} files")
    else:
        print(", ".join(f"{len(entries)} {kind}" for kind, entries in pack().items()))


if __name__ == "__main__":
    main()
