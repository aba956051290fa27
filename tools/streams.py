"""The streams of the conformance pack: what a decoder has to decode, and what it has to refuse.

A valid stream shows one thing: a size, a quality, a chunk, or a branch of the entropy code that pictures seldom reach.
An invalid one breaks one rule of SPEC.md, with all checksums right unless the checksum is the rule.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import entropy, photo
from codec.codebook import codebook
from codec.container import Chunk, Header, Kind, pack, unpack
from codec.errors import (
    ChecksumMismatch,
    CodecError,
    CorruptStream,
    Desync,
    LimitExceeded,
    ModelMismatch,
    NotOurFormat,
    TruncatedStream,
    UnsupportedVersion,
)
from codec.hyper import HYPER_GROUPS, HYPER_WORDS
from codec.image import Canvas, digest, encode
from codec.model import Model
from codec.pixels import Image
from codec.prior import Pass
from codec.symbols import REACH
from tools.synthetic import picture

__all__ = ["EXIF", "ICC", "Bad", "any_file", "forced", "invalid", "valid"]

Make = Callable[[Model], bytes]
ICC = bytes(range(1, 200))  # carried, not understood
EXIF = b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00"  # an empty directory


def valid() -> dict[str, Make]:
    """Streams by name."""
    made: dict[str, Make] = {}
    for height, width in ((1, 1), (1, 16), (17, 1), (16, 16), (15, 33), (33, 31), (64, 64), (70, 130)):
        made[f"rgb-{width}x{height}"] = partial(_coded, picture(height, width, 3, 7), 60)
    for height, width in ((1, 1), (31, 50)):
        made[f"grey-{width}x{height}"] = partial(_coded, picture(height, width, 1, 8), 60)
    for quality in (0, 25, 50, 75, 100):
        made[f"quality-{quality}"] = partial(_coded, picture(48, 80, 3, 9), quality)
    noise = np.random.default_rng(1)
    made["black"] = partial(_coded, np.zeros((40, 40, 3), np.uint8), 100)
    made["white"] = partial(_coded, np.full((40, 40, 3), 255, np.uint8), 100)
    made["flat"] = partial(_coded, np.full((100, 100, 3), (10, 200, 90), np.uint8), 30)
    made["dots"] = partial(_coded, 255 * noise.integers(0, 2, (48, 48, 3), np.uint8), 100)
    made["noise"] = partial(_coded, noise.integers(0, 256, (64, 48, 3), np.uint8), 80)
    made["noise-coarse"] = partial(_coded, noise.integers(0, 256, (64, 48, 3), np.uint8), 0)
    made["chequers"] = partial(_coded, _chequers(64, 64), 100)
    made["two-tiles-beside"] = partial(_coded, _ramp(40, 1100), 40)
    made["two-tiles-below"] = partial(_coded, _ramp(1100, 40), 40)
    made["four-tiles"] = partial(_coded, _ramp(1030, 1040)[..., :1], 20)
    mask, small = picture(30, 40, 1, 3)[..., 0], picture(30, 40, 3, 4)
    made["alpha-plain"] = partial(_coded, small, 50, alpha=noise.integers(0, 256, (30, 40), np.uint8))
    made["alpha-left"] = partial(_coded, small, 50, alpha=np.tile(np.arange(0, 120, 3, dtype=np.uint8), (30, 1)))
    made["alpha-above"] = partial(_coded, small, 50, alpha=np.sort(mask, axis=0))
    made["alpha-grey"] = partial(_coded, small[..., :1], 50, alpha=(mask > 128).astype(np.uint8) * 255)
    made["icc"] = partial(_coded, small, 50, icc=ICC)
    made["exif"] = partial(_coded, small, 50, exif=EXIF)
    made["all-chunks"] = partial(_coded, small, 50, alpha=mask, icc=ICC, exif=EXIF)
    made["unknown-ancillary"] = _unknown_ancillary
    made["chunks-first"] = _chunks_first
    for name, scale in (("small", 1.0), ("words", 2.0), ("splits", 8.0), ("escapes", 300.0), ("extreme", 20000.0)):
        made[f"forced-{name}"] = partial(forced, shape=(3, 5), step_index=40, scale=scale, seed=5)
    made["forced-all"] = partial(forced, shape=(7, 9), step_index=30, scale=0.0, seed=4)
    made["forced-clip"] = partial(forced, shape=(2, 2), step_index=0, scale=20000.0, seed=6)
    made["forced-tall"] = partial(forced, shape=(33, 1), step_index=63, scale=3.0, seed=7)
    return made


def _coded(colour: NDArray[np.uint8], quality: float, model: Model, **others: Any) -> bytes:
    return encode(Image(colour, **others), model, quality=quality)


def _ramp(height: int, width: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    return np.stack([(x // 5) % 256, (y // 5) % 256, (x + y) // 10 % 256], 2).astype(np.uint8)


def _chequers(height: int, width: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    return np.stack([(x + y) % 2, x // 3 % 2, y // 4 % 2], 2).astype(np.uint8) * 255


def _unknown_ancillary(model: Model) -> bytes:
    header, chunks = unpack(_coded(picture(20, 20, 3, 2), 50, model))
    return pack(header, [Chunk("z", b"later"), *chunks, Chunk("z", b""), Chunk("q", bytes(300))])


def _chunks_first(model: Model) -> bytes:
    image = {"alpha": picture(20, 20, 1, 3)[..., 0], "icc": ICC, "exif": EXIF}
    header, chunks = unpack(_coded(picture(20, 20, 3, 2), 50, model, **image))
    return pack(header, chunks[::-1])


def forced(model: Model, *, shape: tuple[int, int], step_index: int, scale: float, seed: int) -> bytes:
    """A tile of random codes that follow no picture.

    scale : most codes are 0, the others grow with it up to the largest; or 0 for all codewords alike
    """
    built, rng, coder = photo.photo(model), np.random.default_rng(seed), entropy.Encoder()
    n = -(-shape[0] // 4) * -(-shape[1] // 4)
    hyper = rng.integers(0, HYPER_WORDS, (n, HYPER_GROUPS))
    step = int(built.steps[step_index])

    def choose(now: Pass) -> NDArray[np.int64]:
        size = now.parameters.mean.shape
        if scale == 0:
            words = codebook(size[2]).words if len(size) == 3 else np.arange(-REACH, REACH + 1)
            return words[rng.integers(0, len(words), size[:2])]
        numbers = np.rint(scale * rng.standard_normal(size) ** 3).astype(np.int64)
        kept = rng.random((*size[:2], *[1] * (len(size) - 2))) < 0.3
        return np.where(kept & (rng.random(size) < 0.4), np.clip(numbers, -16000, 16000), 0)

    def code(freqs: Any, symbols: Any) -> Any:
        coder.encode(symbols, freqs)
        return symbols

    values = built.prior.walk(hyper, shape, step_index, step, choose, code)
    y = photo.dequantise(built, values, shape, step)
    height, width = 16 * shape[0] - 3, 16 * shape[1] - 5
    canvas = Canvas(built, height, width, 3)
    canvas.add((0, shape[0], 0, shape[1]), y, step_index)
    header = Header(Kind.PHOTO, width, height, 3, 8, 1, model.id, digest(Image(canvas.colour)))
    return pack(header, [Chunk("T", bytes([step_index]) + coder.getvalue())])


@dataclass(frozen=True, slots=True)
class Bad:
    """A stream that has to be refused.

    Attributes
    ----------
    data : bytes
    error : class of the error; a decoder may raise one below it
    what : the rule that is broken
    """

    data: bytes
    error: type[CodecError]
    what: str


def invalid(model: Model) -> dict[str, Bad]:
    """Streams by name."""
    small = picture(20, 30, 3, 2)
    good = encode(Image(small, alpha=picture(20, 30, 1, 3)[..., 0], icc=ICC), model, quality=40)
    header, (tile, alpha, icc) = unpack(good)
    plain = [tile]
    head = len(_header(header))
    bad: dict[str, Bad] = {}

    def add(name: str, data: bytes, error: type[CodecError], what: str) -> None:
        bad[name] = Bad(data, error, what)

    def flip(at: int, bit: int = 0) -> bytes:
        return good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :]

    add("empty", b"", NotOurFormat, "no bytes")
    add("magic", b"\x89PNG" + good[4:], NotOurFormat, "another magic")
    add("magic-ascii", b"NEGM" + good[4:], NotOurFormat, "the top bit of the magic is lost")
    add("version", good[:4] + b"\x02" + good[5:], UnsupportedVersion, "a later version")
    cuts = {"magic": 3, "header": 12, "header-end": head, "chunk": head + 9, "last": len(good) - 1}
    cuts["between"] = head + len(_chunk("T", tile.data))
    for name, length in cuts.items():
        add(f"cut-{name}", good[:length], TruncatedStream, f"cut after {length} bytes")
    add("flip-size", flip(6), ChecksumMismatch, "a bit of the header is flipped")
    add("flip-tile", flip(head + 20), ChecksumMismatch, "a bit of a tile is flipped")
    add("flip-checksum", flip(len(good) - 2), ChecksumMismatch, "a bit of the last checksum is flipped")
    add("flip-type", flip(head, 5), ChecksumMismatch, "a critical chunk became ancillary")
    add("trailing", good + b"\0", CorruptStream, "a byte after the last chunk")
    add("twice", good + good, CorruptStream, "a file after the file")

    def other(name: str, error: type[CodecError], what: str, chunks: Any = plain, **fields: Any) -> None:
        add(name, any_file(header, chunks, **fields), error, what)

    other("kind", UnsupportedVersion, "a kind that there is not", kind=9)
    other("kind-lossless", UnsupportedVersion, "a reserved kind, with a chunk it does not have", kind=Kind.LOSSLESS)
    other("width-0", CorruptStream, "no pixels", width=b"\0")
    other("width-long", CorruptStream, "a varint longer than it has to be", width=b"\x9e\x00")
    other("width-endless", CorruptStream, "a varint of ten bytes", width=b"\xff" * 9 + b"\x01")
    other("bomb-side", LimitExceeded, "2^40 x 2^40 pixels", width=_varint(1 << 40), height=_varint(1 << 40))
    other("bomb-pixels", LimitExceeded, "2^17 x 2^17 pixels", width=_varint(1 << 17), height=_varint(1 << 17))
    other("bomb-wrap", LimitExceeded, "a product that is 0 modulo 2^64", width=_varint(1 << 62), height=_varint(4))
    other("channels-0", CorruptStream, "no channels", channels=0)
    other("channels-2", UnsupportedVersion, "two channels of colour", channels=2)
    other("channels-5", CorruptStream, "five channels of colour", channels=5)
    other("depth-16", UnsupportedVersion, "16 bits", depth=16)
    other("depth-17", CorruptStream, "17 bits", depth=17)
    other("frames", CorruptStream, "a photo of two frames", frames=2)
    other("model", ModelMismatch, "another model", model_id=bytes(8))
    other("digest", Desync, "other pixels than the digest's", digest=bytes(4))
    other("digest-channels", Desync, "the digest of an RGB picture on a grey one", channels=1)
    other("no-tile", CorruptStream, "no tile", [alpha])
    other("tiles-2", CorruptStream, "two tiles where there is one", [tile, tile])
    other("tiles-1", CorruptStream, "one tile where there are two", width=_varint(1025))
    other("tile-empty", CorruptStream, "a tile without a step index", [Chunk("T", b"")])
    other("step-index", CorruptStream, "step index 64", [Chunk("T", b"\x40" + tile.data[1:])])
    other("step-other", Desync, "another step index than the encoder's", [Chunk("T", b"\x05" + tile.data[1:])])
    other("payload-none", Desync, "no symbols", [Chunk("T", tile.data[:1])])
    other("payload-noise", Desync, "symbols of noise", [Chunk("T", tile.data[:1] + bytes(range(1, 256)))])
    other("alpha-missing", Desync, "the alpha plane is left out")
    other("alpha-filter", CorruptStream, "filter 3", [tile, Chunk("A", b"\x03" + alpha.data[1:])])
    other("alpha-empty", CorruptStream, "an alpha plane of no bytes", [tile, Chunk("A", b"")])
    other("alpha-noise", CorruptStream, "an alpha plane that is no zlib stream", [tile, Chunk("A", bytes(range(50)))])
    for name, size in (("short", 599), ("long", 601), ("bomb", 10**7)):
        deflated = b"\0" + zlib.compress(bytes(size), 9)
        other(f"alpha-{name}", CorruptStream, f"{size} bytes of alpha for 600 pixels", [tile, Chunk("A", deflated)])
    other("alpha-trailing", CorruptStream, "bytes after the zlib stream", [tile, Chunk("A", alpha.data + b"\0")])
    other("alpha-twice", CorruptStream, "two alpha planes", [tile, alpha, alpha])
    other("icc-twice", CorruptStream, "two ICC profiles", [tile, alpha, icc, icc])
    other("chunk-critical", UnsupportedVersion, "a critical chunk that there is not", [tile, Chunk("Q", b"")])
    other("chunk-model", UnsupportedVersion, "a chunk of model files", [tile, Chunk("J", b"{}")])
    raw = _header(header)
    add("chunk-digit", raw + _chunk("7", b"", last=True), CorruptStream, "a type that is no letter")
    add("chunk-none", raw, TruncatedStream, "no chunk")
    add("chunk-length", raw + b"\xd4" + _varint(1 << 40), TruncatedStream, "a chunk longer than the file")
    wide = replace(header, width=1040)
    two = [Chunk("T", tile.data), Chunk("T", b"\x07" + tile.data[1:])]
    add("step-mixed", any_file(wide, two), CorruptStream, "tiles of two qualities")
    return bad


def any_file(header: Header, chunks: list[Chunk], **fields: Any) -> bytes:
    """A file with any fields in its header, and right checksums."""
    last = len(chunks) - 1
    parts = (_chunk(chunk.type, chunk.data, last=i == last) for i, chunk in enumerate(chunks))
    return _header(header, **fields) + b"".join(parts)


def _header(header: Header, **fields: Any) -> bytes:
    f: dict[str, Any] = {
        "kind": header.kind, "width": _varint(header.width), "height": _varint(header.height),
        "channels": header.channels, "depth": header.bit_depth, "frames": header.frames,
        "model_id": header.model_id, "digest": header.digest,
    } | fields  # fmt: skip
    sizes = f["width"] + f["height"] + bytes([f["channels"], f["depth"], f["frames"]])
    head = b"\xceEGM" + bytes([1, f["kind"]]) + sizes + f["model_id"] + f["digest"]
    return bytes(head) + zlib.crc32(head).to_bytes(4, "little")


def _chunk(letter: str, data: bytes, *, last: bool = False) -> bytes:
    body = bytes([ord(letter) | (0x80 if last else 0)]) + _varint(len(data)) + data
    return body + zlib.crc32(body).to_bytes(4, "little")


def _varint(value: int) -> bytes:
    out = []
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
