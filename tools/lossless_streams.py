"""Lossless streams of the conformance pack; the twin of streams.py, which has those of photos.

Most are put together here, and not by the encoder: so each tile has the mode that it is to show, even where another one
would be shorter, and a small picture has many tiles.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec import alike, lossless, residual
from codec.alike import Alike
from codec.container import Chunk, Header, Kind, pack, unpack
from codec.digest import digest, sample_bytes
from codec.errors import CodecError, CorruptStream, Desync, LimitExceeded, ModelMismatch, UnsupportedVersion
from codec.graphics import pack_graphics
from codec.jobs import shares
from codec.lossless import UNIT
from codec.model import Model
from codec.picture import Image
from codec.planes import original, reversible
from codec.tile import Mode, Networks, Plan, networks
from tools.streams import EXIF, ICC, Bad, any_file
from tools.synthetic import picture

__all__ = ["drawing", "invalid_alike", "invalid_lossless", "valid_alike", "valid_lossless"]

Make = Callable[[Model], bytes]
Samples = NDArray[Any]
S, G, R = Mode.STORED, Mode.GRAPHICS, Mode.RESIDUAL


def valid_lossless() -> dict[str, Make]:
    """Streams by name."""
    made: dict[str, Make] = {}
    for height, width in ((1, 1), (1, 2), (2, 1), (1, 16), (17, 1), (3, 2), (8, 8), (9, 16), (33, 31)):
        made[f"rgb-{width}x{height}"] = partial(_file, image(height, width, 3), [R])
    made["grey-1x1"] = partial(_file, image(1, 1, 1), [R])
    made["grey-40x29"] = partial(_file, image(29, 40, 1), [R])
    made["grey-alpha"] = partial(_file, image(13, 22, 1, alpha=True), [R])
    made["rgba"] = partial(_file, image(21, 14, 3, alpha=True), [R])
    for depth in (1, 2, 3, 4, 7, 9, 12, 13, 16):
        made[f"grey-{depth}-bits"] = partial(_file, image(12, 17, 1, depth), [R])
        made[f"rgb-{depth}-bits"] = partial(_file, image(10, 11, 3, depth), [R])
    made["rgba-16-bits"] = partial(_file, image(11, 9, 3, 16, alpha=True), [R])
    made["rgb-129x3"] = partial(_file, image(3, 129, 3), [R])
    made["grey-2x260"] = partial(_file, image(260, 2, 1), [R])
    made["strips"] = partial(_file, image(9, 4096, 1, 1), [R], side=12)
    for error in (1, 2, 7, 127):
        made[f"within-{error}"] = partial(_file, image(15, 18, 3, alpha=error == 2), [R], error=error)
    made["within-1-grey"] = partial(_file, image(20, 23, 1), [R], error=1)
    made["within-1000-of-16-bits"] = partial(_file, image(9, 14, 3, 16), [R], error=1000)
    made["within-32767-of-16-bits"] = partial(_file, image(9, 14, 1, 16), [R], error=32767)
    made["within-1-stored"] = partial(_file, image(9, 14, 3, 5, alpha=True), [S], error=1)
    flat = np.full((20, 30, 3), (10, 200, 90), np.uint8)
    made["flat"] = partial(_file, Image(flat), [R])
    made["flat-alpha"] = partial(_file, Image(image(20, 30, 3).colour, np.full((20, 30), 255, np.uint8)), [R])
    made["grey-in-rgb"] = partial(_file, Image(np.repeat(image(20, 30, 1).colour, 3, axis=2)), [R])
    noise = np.random.default_rng(2)
    made["noise"] = partial(_file, Image(noise.integers(0, 256, (17, 19, 3), np.uint8)), [R])
    made["noise-16-bits"] = partial(_file, Image(noise.integers(0, 1 << 16, (9, 10, 3), np.uint16)), [R])
    made["dots"] = partial(_file, Image(255 * noise.integers(0, 2, (17, 19, 3), np.uint8)), [R])
    made["dots-16-bits"] = partial(_file, Image(65535 * noise.integers(0, 2, (16, 13, 3), np.uint16)), [R])
    made["lonely"] = partial(_file, lonely(24, 25, 16), [R])
    for name, depth, alpha, error in (("rgb", 8, False, 0), ("rgba-9-bits", 9, True, 0), ("within-2", 8, False, 2)):
        made[f"forced-{name}"] = partial(_forced, Plan(3, alpha, depth, error, 9), (14, 11), 40)
    made["forced-rgb-16-bits"] = partial(_forced, Plan(3, False, 16, 0, 9), (12, 10), 700)
    for depth, channels, alpha in ((8, 3, True), (1, 1, False), (3, 3, False), (12, 1, True), (16, 3, True)):
        name = f"stored-{depth}-bits"
        made[name] = partial(_file, image(7, 11, channels, depth, alpha=alpha), [S])
    made["tiles"] = partial(_file, image(66, 130, 1), [S, R, S, R, S, R], side=6)
    made["tiles-narrow"] = partial(_file, image(129, 5, 3), [R, S, R], side=6)
    made["tiles-uneven"] = partial(_file, image(20, 330, 1), [R, S], side=8)
    made["tiles-16-bits"] = partial(_file, image(6, 70, 3, 16, alpha=True), [S, R], side=6)
    for bits, columns in product((1, 2, 4, 8), (3, 4)):
        made[f"palette-{bits}-{columns}"] = partial(_file, indexed(9, 14, bits, columns), [R])
    made["palette-stored"] = partial(_file, indexed(9, 14, 4, 3), [S])
    made["palette-one-colour"] = partial(_file, replace(indexed(3, 4, 1, 3), colour=np.zeros((3, 4, 1), np.uint8)), [S])
    made["icc"] = partial(_file, image(6, 5, 3, icc=ICC), [R])
    made["exif"] = partial(_file, image(6, 5, 3, exif=EXIF), [R])
    made["all-chunks"] = partial(_file, replace(indexed(6, 5, 4, 4), icc=ICC, exif=EXIF), [R])
    made["chunks-backwards"] = partial(_changed, change=lambda chunks: chunks[::-1])
    made["unknown-ancillary"] = partial(_changed, change=lambda chunks: [Chunk("z", b"new"), *chunks, Chunk("q", b"")])
    made["encoded"] = partial(_encoded, image(40, 33, 3))
    made["encoded-within-1"] = partial(_encoded, image(40, 33, 3, alpha=True), max_error=1)
    made["encoded-16-bits"] = partial(_encoded, image(10, 21, 1, 16))
    made["encoded-noise"] = partial(_encoded, Image(noise.integers(0, 256, (20, 20, 3), np.uint8)))
    for channels, alpha, depth in product((1, 3), (False, True), (8, 16)):
        drawn = drawing(30, 41, channels, depth, alpha=alpha)
        made[f"graphics-{drawn.pixels.shape[2]}-{depth}"] = partial(_file, drawn, [G])
    made["graphics-grain"] = partial(_file, image(20, 30, 3), [G])
    made["graphics-noise"] = partial(_file, Image(noise.integers(0, 256, (5, 6, 3), np.uint8)), [G])
    made["graphics-1x1"] = partial(_file, image(1, 1, 3), [G])
    made["graphics-1x9"] = partial(_file, drawing(9, 1, 3), [G])
    made["graphics-9x1"] = partial(_file, drawing(1, 9, 3), [G])
    made["graphics-flat"] = partial(_file, Image(flat), [G])
    made["graphics-5-bits"] = partial(_file, drawing(20, 31, 3, 5), [G])
    made["graphics-within-3"] = partial(_file, drawing(20, 31, 3, alpha=True), [G], error=3)
    made["graphics-tall"] = partial(_file, drawing(523, 6, 1), [G], side=10)
    made["graphics-wide"] = partial(_file, drawing(5, 519, 3), [G], side=10)
    made["graphics-palette"] = partial(_file, indexed(31, 23, 8, 3), [G])
    made["graphics-palette-1-bit"] = partial(_file, indexed(31, 23, 1, 3), [G])
    made["graphics-beside"] = partial(_file, drawing(66, 70, 3), [G, R, G, S], side=6)
    made["graphics-encoded"] = partial(_encoded, drawing(50, 60, 3))
    return {f"lossless-{name}": make for name, make in made.items()}


def valid_alike() -> dict[str, Make]:
    """Streams of a model for pictures that are alike, by name."""
    made: dict[str, Make] = {}
    for height, width, channels in ((1, 1, 3), (28, 27, 1), (13, 17, 3), (130, 3, 1)):
        made[f"{'rgb' if channels == 3 else 'grey'}-{width}x{height}"] = partial(
            _file, image(height, width, channels), [R]
        )
    made["rgba"] = partial(_file, image(10, 12, 3, alpha=True), [R])
    made["dots"] = partial(_file, Image(255 * np.random.default_rng(4).integers(0, 2, (19, 16, 1), np.uint8)), [R])
    made["within-3"] = partial(_file, image(11, 15, 3), [R], error=3)
    for depth in (1, 4, 12, 16):
        made[f"grey-{depth}-bits"] = partial(_file, image(12, 15, 1, depth), [R])
    for depth in (5, 9):
        made[f"rgb-{depth}-bits"] = partial(_file, image(12, 10, 3, depth), [R])
    made["grey-9-bits"] = partial(_file, image(7, 9, 1, 9), [R])
    made["flat"] = partial(_file, Image(np.full((9, 12, 3), (10, 200, 90), np.uint8)), [R])
    made["lonely"] = partial(_file, lonely(17, 20, 8), [R])
    dark = np.pad(image(6, 7, 1).colour, ((8, 5), (4, 9), (0, 0)))  # fronts at both ends are left out
    made["dark"] = partial(_file, Image(dark), [R])
    made["tiles"] = partial(_file, image(6, 70, 1), [R, S], side=6)
    for name, depth, alpha in (("rgb", 8, False), ("rgba-4-bits", 4, True), ("rgb-11-bits", 11, False)):
        made[f"forced-{name}"] = partial(_forced, Plan(3, alpha, depth, 0, 9), (11, 9), 300)
    return {f"lossless-alike-{name}": make for name, make in made.items()}


def image(height: int, width: int, channels: int, depth: int = 8, *, alpha: bool = False, **others: Any) -> Image:
    """A picture like a photo, of any bit depth."""
    fine = picture(height, width, channels + alpha, 5, 2.0).astype(np.int64) << 8
    fine += np.random.default_rng(3).integers(0, 256, fine.shape)
    x = (fine >> (16 - depth)).astype(np.uint8 if depth <= 8 else np.uint16)
    return Image(x[..., :channels], x[..., -1] if alpha else None, bit_depth=depth, **others)


def drawing(height: int, width: int, channels: int, depth: int = 8, *, alpha: bool = False) -> Image:
    """Lines, boxes, letters that come again, and a gradient, of any bit depth."""
    y, x = np.mgrid[:height, :width]
    white = (1 << depth) - 1
    letters = (x * 7 // 3 ^ y * 5) % 11 < 4
    parts = [y % 7 == 0, x % 9 == 3, letters & (y % 16 < 9), (x > 12) & (y > 15) & (x < 25)]
    planes = [np.full((height, width), white) for _ in range(channels + alpha)]
    for number, plane in enumerate(planes):
        for colour, part in enumerate(parts):
            plane[part] = (colour * 37 + number * 11) % (white + 1)
        plane[(x < 6) & (y > 10)] = (x * white // 40)[(x < 6) & (y > 10)]
    made = np.stack(planes, axis=2).astype(np.uint8 if depth <= 8 else np.uint16)
    return Image(made[..., :channels], made[..., -1] if alpha else None, bit_depth=depth)


def lonely(height: int, width: int, depth: int) -> Image:
    """One white pixel."""
    x = np.full((height, width, 1), 3, np.uint8 if depth <= 8 else np.uint16)
    x[height // 2 - 1, width // 2 + 1] = (1 << depth) - 1
    return Image(x, bit_depth=depth)


def indexed(height: int, width: int, bits: int, columns: int) -> Image:
    """A picture with a palette that is not full, unless it has two colours."""
    colours = max(2, (1 << bits) * 3 // 4)
    palette = np.random.default_rng(bits).integers(0, 256, (colours, columns), np.uint8)
    indices = image(height, width, 1).colour % np.uint8(colours)
    return Image(indices, palette=palette, bit_depth=bits)


def _file(source: Image, modes: Sequence[Mode], model: Model, *, side: int = 9, error: int = 0) -> bytes:
    """A file of a picture whose tiles have these modes in turn."""
    plan = Plan(source.channels, source.alpha is not None, source.bit_depth, error, side)
    parts = [source.pixels[window] for window in _windows(source.height, source.width, side)]
    tiles = [_tile(plan, part, mode, model) for part, mode in zip(parts, cycle(modes), strict=False)]
    decoded = replace(source, colour=plan.restore(plan.reduce(source.colour)))
    return _joined(plan, decoded, tiles, model)


def _tile(plan: Plan, samples: Samples, mode: Mode, model: Model) -> bytes:
    colour, alpha = plan.reduce(samples[..., : plan.channels]), samples[..., plan.channels :]
    x = np.ascontiguousarray(np.concatenate([colour, alpha], axis=2))
    if mode == Mode.RESIDUAL:
        planes = [*reversible(colour)] if plan.channels == 3 else [colour[..., 0]]
        kind, built = _coder(model)
        data = kind.encode_planes(built, plan.groups, [*planes, *np.moveaxis(alpha, 2, 0)])
    elif mode == Mode.GRAPHICS:
        data = pack_graphics(x, plan.depth)
    elif plan.depth == 16:
        data = x.astype("<u2").tobytes()
    else:
        bits = "".join(f"{number:0{plan.depth}b}" for number in x.ravel())
        data = bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))
    return _payload(mode, x, data)


def _coder(model: Model) -> tuple[Any, Networks]:
    """The module that codes with a model's networks, and these."""
    built = networks(model)
    return alike if isinstance(built, Alike) else residual, built


def _payload(mode: Mode, x: Samples, data: bytes) -> bytes:
    return bytes([mode]) + hashlib.blake2b(sample_bytes(x)).digest()[:4] + data


def _joined(plan: Plan, decoded: Image, tiles: Sequence[bytes], model: Model) -> bytes:
    chunks = [Chunk("P", struct.pack("<BBH", plan.alpha, plan.side, plan.error))]
    if decoded.palette is not None:
        chunks.append(Chunk("C", bytes([decoded.palette.shape[1]]) + decoded.palette.tobytes()))
    chunks += [Chunk("T", tile) for tile in tiles]
    chunks += [Chunk(letter, data) for letter, data in (("i", decoded.icc), ("e", decoded.exif)) if data]
    needed = model.id if any(tile[0] == Mode.RESIDUAL for tile in tiles) else bytes(8)
    size = decoded.width, decoded.height, decoded.channels, plan.depth
    return pack(Header(Kind.LOSSLESS, *size, 1, needed, digest(decoded)), chunks)


def _windows(height: int, width: int, side: int) -> Iterator[tuple[slice, slice]]:
    cuts = []
    for length in (height, width):
        units = -(-length // UNIT)
        runs = shares(0, units, -(-units * UNIT // (1 << side)))
        cuts.append([slice(start * UNIT, min(stop * UNIT, length)) for start, stop in runs])
    return product(*cuts)


def _forced(plan: Plan, shape: tuple[int, int], length: int, model: Model) -> bytes:
    """A tile of a message of noise: what it decodes to follows no picture, and leaves every range."""
    data = np.random.default_rng(plan.depth + plan.error).bytes(length)
    kind, built = _coder(model)
    planes = kind.decode_planes(built, plan.groups, shape, b"\x15" + data)
    x = np.concatenate([original(*planes[:3]), *(plane[..., None] for plane in planes[3:])], axis=2)
    x = np.clip(x, 0, (1 << plan.depth) - 1).astype(plan.kind)
    colour = plan.restore(x[..., :3])
    decoded = Image(colour, x[..., 3] if plan.alpha else None, bit_depth=plan.depth)
    return _joined(plan, decoded, [_payload(Mode.RESIDUAL, x, b"\x15" + data)], model)


def _changed(model: Model, change: Callable[[list[Chunk]], list[Chunk]]) -> bytes:
    source = replace(indexed(6, 5, 4, 4), icc=ICC, exif=EXIF)
    header, chunks = unpack(_file(source, [Mode.RESIDUAL], model))
    return pack(header, change(list(chunks)))


def _encoded(source: Image, model: Model, max_error: int = 0) -> bytes:
    return lossless.encode(source, model, max_error=max_error, effort=9)


def invalid_lossless(model: Model) -> dict[str, Bad]:
    """Streams by name."""
    bad: dict[str, Bad] = {}
    photo = _parts(_file(image(12, 15, 3), [R], model))
    plain = _parts(_file(image(12, 15, 3), [S], model))
    paint = _parts(_file(indexed(12, 15, 4, 3), [S], model))
    drawn = _parts(_file(drawing(12, 15, 3), [G], model))

    def add(
        name: str, error: type[CodecError], what: str, parts: dict[str, Any], of: str | None = None, **fields: Any
    ) -> None:
        bad[f"lossless-{name}"] = Bad(_altered(parts, of, **fields), error, what)

    add("channels-2", UnsupportedVersion, "two channels of colour", plain, channels=2)
    add("channels-4", UnsupportedVersion, "four channels of colour", plain, channels=4)
    add("frames", CorruptStream, "two frames", plain, frames=2)
    add("bomb", LimitExceeded, "2^42 pixels", plain, width=b"\x80\x80\x80\x01", height=b"\x80\x80\x80\x01")
    add("chunk-alpha", UnsupportedVersion, "an alpha plane, as photos have it", plain, A=b"\0")
    add("digest", Desync, "other pixels than the digest's", plain, digest=bytes(4))
    add("model", ModelMismatch, "another model", photo, model_id=bytes(8))
    add("plan-missing", CorruptStream, "no plan", plain, of="T")
    add("plan-twice", CorruptStream, "two plans", plain, of="PPT")
    add("plan-short", CorruptStream, "a plan of 3 bytes", plain, P=b"\0\x09\0")
    add("plan-long", CorruptStream, "a plan of 5 bytes", plain, P=b"\0\x09\0\0\0")
    add("plan-flags", CorruptStream, "a flag that there is not", plain, P=b"\x02\x09\0\0")
    add("plan-side-5", CorruptStream, "tiles of 32 pixels", plain, P=b"\0\x05\0\0")
    add("plan-side-13", CorruptStream, "tiles of 8192 pixels", plain, P=b"\0\x0d\0\0")
    add("plan-error", CorruptStream, "an error of 128 for 8 bits", plain, P=b"\0\x09\x80\0")
    add("plan-alpha", CorruptStream, "alpha that the stored tile does not have", plain, P=b"\x01\x09\0\0")
    add("plan-other-error", Desync, "another error than the encoder's", photo, P=b"\0\x09\x01\0")
    add("no-tile", CorruptStream, "no tile", plain, of="P")
    add("tiles-2", CorruptStream, "two tiles where there is one", plain, of="PTT")
    add("tiles-1", CorruptStream, "one tile where there are two", plain, width=b"\x81\x04")
    tile = plain["T"]
    add("tile-empty", CorruptStream, "a tile of no bytes", plain, T=b"")
    add("tile-short", CorruptStream, "a tile of 4 bytes", plain, T=tile[:4])
    add("tile-mode", CorruptStream, "mode 3", plain, T=b"\x03" + tile[1:])
    add("tile-digest", Desync, "other integers than the tile's digest", plain, T=tile[:1] + bytes(4) + tile[5:])
    add("stored-short", CorruptStream, "stored integers that end too early", plain, T=tile[:-1])
    add("stored-long", CorruptStream, "a byte after the stored integers", plain, T=tile + b"\0")
    add("stored-depth", CorruptStream, "8 bits each where there are 7", plain, depth=7)
    coded = photo["T"]
    add("residual-none", Desync, "a message of no bytes", photo, T=coded[:5])
    add("residual-noise", Desync, "decisions of noise", photo, T=coded[:5] + bytes(range(1, 200)))
    add("residual-ones", CorruptStream, "beyond the range coder's interval", photo, T=coded[:5] + b"\xff" * 16)
    add("residual-digest", Desync, "other integers than the tile's digest", photo, T=coded[:1] + bytes(4) + coded[5:])
    add("residual-width", Desync, "another width", photo, width=b"\x10")
    add("palette-twice", CorruptStream, "two palettes", paint, of="PCCT")
    add("palette-empty", CorruptStream, "a palette of no bytes", paint, C=b"")
    add("palette-none", CorruptStream, "a palette of no colours", paint, C=b"\x03")
    add("palette-columns", CorruptStream, "two columns", paint, C=b"\x02" + bytes(24))
    add("palette-part", CorruptStream, "a part of a colour", paint, C=b"\x03" + bytes(37))
    add("palette-large", CorruptStream, "17 colours for 4 bits", paint, C=b"\x03" + bytes(51))
    add("palette-small", CorruptStream, "an index beyond the palette", paint, C=b"\x03" + bytes(6))
    add("palette-rgb", CorruptStream, "a palette with red, green, blue", plain, C=b"\x03" + bytes(30))
    add("palette-alpha", CorruptStream, "a palette with alpha beside it", paint, P=b"\x01\x09\0\0")
    add("palette-error", CorruptStream, "a palette with an error", paint, P=b"\0\x09\x01\0")
    add("palette-depth", CorruptStream, "a palette with indices of 5 bits", paint, depth=5)
    graphics = drawn["T"]
    add("graphics-none", CorruptStream, "graphics of no bytes", drawn, T=graphics[:5])
    add("graphics-kind", CorruptStream, "graphics of a kind that there is not", drawn, T=graphics[:5] + b"\x09")
    graphics = graphics[:1] + bytes(4) + graphics[5:]
    add("graphics-digest", Desync, "other integers than the tile's digest", drawn, T=graphics)
    return bad


def invalid_alike(model: Model) -> dict[str, Bad]:
    """Streams of a model for pictures that are alike, by name."""
    parts = _parts(_file(image(12, 15, 3), [R], model))
    head, data = parts["T"][:5], parts["T"][5:]
    made = {
        "model": (ModelMismatch, "another model", _altered(parts, model_id=bytes(8))),
        "none": (Desync, "a message of no bytes", _altered(parts, T=head)),
        "noise": (Desync, "symbols of noise", _altered(parts, T=head + bytes(range(1, 200)))),
        "ones": (CorruptStream, "beyond the range coder's interval", _altered(parts, T=head + b"\xff" * 16)),
        "digest": (Desync, "other integers than the tile's digest", _altered(parts, T=head[:1] + bytes(4) + data)),
        "width": (Desync, "another width", _altered(parts, width=b"\x10")),
    }
    return {f"lossless-alike-{name}": Bad(file, error, what) for name, (error, what, file) in made.items()}


def _altered(parts: dict[str, Any], of: str | None = None, **fields: Any) -> bytes:
    """The file of header and chunks. `of`: chunks by their letters, those of `parts` unless they are given."""
    header, chunks = parts["header"], {letter: fields.pop(letter, parts.get(letter)) for letter in "PCTA"}
    letters = of if of is not None else "".join(letter for letter in "PCTA" if chunks[letter] is not None)
    return any_file(header, [Chunk(letter, chunks[letter]) for letter in letters], **fields)


def _parts(data: bytes) -> dict[str, Any]:
    """Header and chunks by name."""
    header, chunks = unpack(data)
    return {"header": header} | {chunk.type: chunk.data for chunk in chunks}
