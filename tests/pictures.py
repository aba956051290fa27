"""Small pictures and picture files for tests."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from codec import picture as codec_picture
from codec.pixels import write_image

ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colours, an edge and some noise: (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    i, j = np.mgrid[:height, :width] / 32.0
    waves = [np.sin(a * i + b * j + c) for a, b, c in rng.uniform(-3, 3, (3, 3))]
    x = 128 + 50 * np.stack(waves, 2) + 40 * (i + j > 2)[..., None] + rng.normal(0, 4, (height, width, 3))
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


KINDS = ("noise", "constant", "gradient", "photo")


def samples(kind: str, shape: tuple[int, int, int], depth: int = 8, seed: int = 0) -> np.ndarray:
    """(H, W, 1 .. 4) samples of `depth` bits, uint8 or uint16: of one of KINDS."""
    rng, white = np.random.default_rng(seed), (1 << depth) - 1
    height, width, bands = shape
    if kind == "noise":
        x = rng.integers(0, white + 1, shape)
    elif kind == "constant":
        x = np.broadcast_to(rng.integers(0, white + 1, bands), shape)
    elif kind == "gradient":
        slope = max(1, white // 200)
        x = np.add.outer(np.arange(height), np.arange(width))[..., None] * np.arange(1, bands + 1) * slope % (white + 1)
    else:
        x = picture(height, width, seed)[..., np.arange(bands) % 3] * (white / 255)
        x = np.clip(np.rint(x + rng.normal(0, white / 500, shape)), 0, white)
    return x.astype(np.uint8 if depth <= 8 else np.uint16)


def folder_of_pictures(folder: Path, *sizes: tuple[int, int], suffix: str = "png") -> Path:
    """Write a picture of each size (height, width); returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (height, width) in enumerate(sizes):
        Image.fromarray(picture(height, width, number)).save(folder / f"{number:02}.{suffix}", lossless=True)
    return folder


@st.composite
def images(draw: st.DrawFn, longest: int = 20, metadata: bool = True) -> codec_picture.Image:
    """A picture of any kind that there is: 1 .. 16 bits, with and without alpha, or a palette; metadata or none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(1, longest)), draw(st.integers(1, longest))
    channels, alpha, palette = draw(st.sampled_from([1, 3])), None, None
    if draw(st.booleans()):
        depth = draw(st.sampled_from([1, 2, 4, 8]))
        palette = rng.integers(0, 256, (draw(st.integers(1, 1 << depth)), draw(st.sampled_from([3, 4]))), np.uint8)
        colour = rng.integers(0, len(palette), (height, width, 1), np.uint8)
    else:
        depth = draw(st.integers(1, 16))
        kind, stop = np.uint8 if depth <= 8 else np.uint16, 1 << draw(st.integers(0, depth))  # up to white, or darker
        colour = rng.integers(0, stop, (height, width, channels), kind)
        alpha = rng.integers(0, stop, (height, width), kind) if draw(st.booleans()) else None
    icc = draw(st.none() | st.binary(min_size=1)) if metadata else None
    exif = draw(st.none() | st.binary().map(b"II*\0".__add__)) if metadata else None
    return codec_picture.Image(colour, alpha, icc, exif, palette=palette, bit_depth=depth)


def saved(picture: Image.Image, form: str, **options: object) -> bytes:
    """The file that Pillow makes of its picture."""
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def png(samples: np.ndarray, depth: int, colour_type: int, *, interlaced: bool = False, **chunks: bytes) -> bytes:
    """A PNG file of (height, width, bands) samples, without filters; `chunks` come before the samples."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b""
    for top, left, down, right in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = samples[top::down, left::right]
        bits = part[..., np.newaxis] >> np.arange(depth - 1, -1, -1) & 1
        packed = np.packbits(bits.reshape(len(part), -1).astype(np.uint8), axis=1)
        rows += b"".join(b"\0" + row.tobytes() for row in packed if row.size)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], depth, colour_type, 0, 0, interlaced)
    before = b"".join(chunk(name.encode(), data) for name, data in chunks.items())
    body = chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(samples: np.ndarray, order: str = "<", *, deflated: bool = False, **tags: int) -> bytes:
    """A TIFF file of (height, width, bands) samples in one strip; tags are named t262 and the like."""
    height, width, bands = samples.shape
    strip = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    strip = zlib.compress(strip) if deflated else strip
    at = 8 + 2 * bands  # the header, then the bits of each band, then the strip, then the tags
    fields = {256: width, 257: height, 259: 8 if deflated else 1, 262: 2 if bands > 2 else 1, 273: at, 277: bands}
    fields |= {278: height, 279: len(strip), 284: 1} | ({338: 2} if bands in (2, 4) else {})
    fields |= {int(tag[1:]): value for tag, value in tags.items()}
    entries = [struct.pack(order + "HHLL", tag, 4, 1, value) for tag, value in fields.items()]
    bits = struct.pack(order + f"{bands}H", *[8 * samples.itemsize] * bands)
    where = struct.pack(order + "L", 8) if bands > 2 else bits.ljust(4, b"\0")
    entries.append(struct.pack(order + "HHL", 258, 3, bands) + where)
    entries.sort(key=lambda entry: struct.unpack(order + "H", entry[:2]))
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HL", 42, at + len(strip))
    return head + bits + strip + struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)


def digits(train: int, test: int) -> dict[str, np.ndarray]:
    """A labelled set in the form of MNIST: pictures (n, 8, 8) uint8 of ten kinds, by the names of an .npz file."""
    rng = np.random.default_rng(7)
    kinds = rng.integers(0, 256, (10, 8, 8))
    found = {}
    for part, count in (("train", train), ("test", test)):
        labels = np.arange(count) % 10
        noise = rng.normal(0, 12, (count, 8, 8))
        found[f"{part}_images"] = np.clip(kinds[labels] + noise, 0, 255).astype(np.uint8)
        found[f"{part}_labels"] = labels.astype(np.uint8)
    return found


def folder_of_kinds(folder: Path) -> Path:
    """Write seven small pictures of many formats and kinds, two of them in a folder inside; returns the folder."""
    (folder / "sub").mkdir(parents=True)
    grey, deep, bit = (samples("photo", (9, 8, 1), depth) for depth in (8, 16, 1))
    indices, colours = samples("noise", (9, 8, 1), 2), np.eye(4, 3, dtype=np.uint8) * 200
    pictures = {
        "rgb.png": codec_picture.Image(samples("photo", (9, 8, 3))), "sub/grey.bmp": codec_picture.Image(grey),
        "deep.tif": codec_picture.Image(deep), "bit.png": codec_picture.Image(bit, bit_depth=1),
        "sub/alpha.webp": codec_picture.Image.of(samples("photo", (7, 7, 4))),
        "pal.png": codec_picture.Image(indices, palette=colours, bit_depth=2),
        "z.ppm": codec_picture.Image(samples("photo", (5, 5, 3))),
    }  # fmt: skip
    for name, image in pictures.items():
        write_image(image, folder / name)
    return folder


def files_in(folder: Path) -> list[str]:
    """Names of all files in a folder and the folders in it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
