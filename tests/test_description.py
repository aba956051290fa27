"""codec/description.py: what is said of a file is what it holds, and nothing is decoded for it."""

from __future__ import annotations

import json

import pytest

from codec.archive import Archive
from codec.container import Chunk, Header, Kind, pack
from codec.description import describe
from codec.errors import CodecError
from codec.model import unpack_model
from codec.packing import Item, pack_archive
from codec.picture import Image
from codec.still import encode
from tests.checks import conformance_model, frozen_lossless_model, style_model
from tests.pictures import samples


def image(bands: int = 4) -> Image:
    return Image.of(samples("photo", (9, 8, bands)))


def test_pictures_are_described():
    photo = encode(image(), quality=50, model=conformance_model())
    found = describe(photo)
    names = ("kind", "width", "height", "channels", "bit_depth", "alpha")
    assert tuple(found[name] for name in names) == ("photo", 8, 9, 3, 8, True)
    assert found["bpp"] == 8 * len(photo) / 72
    assert found["chunks"]["T"]["count"] == 1
    exact = describe(encode(image(), quality=0, max_error=2, model=frozen_lossless_model()))
    assert (exact["kind"], exact["alpha"], exact["max_error"], exact["palette"]) == ("lossless", True, 2, None)
    assert sum(exact["tiles"].values()) == 1


def test_models_are_described():
    found = describe(style_model())
    assert (found["kind"], found["card"]["name"]) == ("model", "style")
    assert found["model"] == unpack_model(style_model()).id.hex()


def test_the_bill_of_an_archive_adds_up():
    items = [Item(f"{n}", image(1)) for n in range(5)] + [Item("p", Image(image(3).colour, icc=b"icc"))]
    data = pack_archive(items, unpack_model(style_model()), embed=style_model(), alone=frozen_lossless_model())
    found = describe(data)
    assert (found["items"], found["alone"], found["dimensions"], found["max_error"]) == (6, 1, 0, 0)
    assert found["samples"] == sum(item.image.pixels.size for item in items) == 5 * 72 + 216
    assert found["model_bytes"] + found["data_bytes"] == found["bytes"] == len(data)
    assert found["model_bytes"] == len(Archive(data).embedded or b"")
    assert found["bits_per_sample"] == 8 * len(data) / found["samples"]
    json.dumps(found)


def test_sizes_beyond_all_limits_are_only_told():
    data = pack(Header(Kind.PHOTO, 2**40, 2**40, 3, 8, 1), [Chunk("T", b"")])
    assert describe(data)["width"] == 2**40


def test_damage_is_refused():
    data = encode(image(), quality=0, max_error=0, model=frozen_lossless_model())
    for damaged in (b"", data[:-1], data[:20], data[:40] + b"x" + data[41:]):
        with pytest.raises(CodecError):
            describe(damaged)
