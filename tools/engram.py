"""Engram as one more `Codec`, so that it is measured exactly as its rivals are."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tools.rivals import Codec, Pixels

LADDER = (0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0, 100.0)


def engram(model: str, *, effort: int = 5, threads: int = 1, name: str = "engram", label: str = "Engram") -> Codec:
    """The codec with one model.

    The version holds a hash of the codec's own source: a changed codec is measured anew, as a changed model is.

    Raises
    ------
    CodecError
        If there is no such model, or it does not load.
    """
    from codec.image import decode, encode
    from codec.model import load_model
    from codec.pixels import Image

    loaded = load_model(model)

    def code(pixels: Pixels, quality: float) -> bytes:
        return encode(Image(pixels), loaded, quality=quality, effort=effort, threads=threads)

    return Codec(
        name=name,
        label=label,
        settings=f"model {Path(model).stem} ({loaded.id.hex()}), effort {effort}, threads {threads}",
        version=source_version(),
        knob="quality",
        ladder=LADDER,
        suffix=".egm",
        encode=code,
        decode=lambda data: decode(data, model=loaded, threads=threads).colour,
        whole=False,
    )


def source_version() -> str:
    """A name of the codec's code as it is."""
    import codec

    digest = hashlib.blake2b(digest_size=4)
    for file in sorted(Path(codec.__file__).parent.glob("*.py")):
        digest.update(file.name.encode() + file.read_bytes())
    return f"source {digest.hexdigest()}"
