"""codec/catalogue.py: an index comes back, and hostile ones are refused before anything large is made of them."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from codec.catalogue import BLOCK_PIXELS, Block, Catalogue, Look, check_names, read_catalogue, runs, write_catalogue
from codec.errors import CodecError, CorruptStream, UnsupportedInput
from codec.picture import Image
from tests.checks import check_refused

DIGIT, SPRITE = Look(28, 28, 1, False, 8), Look(16, 9, 3, True, 12)
LAYOUT = (Block(3, DIGIT), Block(1, SPRITE), Block(1, None))
NAMES = ("b/a.png", "b/ü 💾.png", "z", "a", "b.c")
FULL = Catalogue(LAYOUT, 2, 0, NAMES, np.array([4, 0, 2, 1, 3]))
HOSTILE = {
    "absolute": "/etc/passwd", "parent": "../a", "inner parent": "a/../../b", "parent alone": "..", "here": "./a",
    "nothing": "", "dot": ".", "slash": "/", "trailing": "a/", "double": "a//b", "backslash": "a\\..\\b",
    "drive": "C:a", "stream": "a.png:b", "zero": "a\0b", "newline": "a\nb", "escape": "a\x1b[2Jb", "delete": "a\x7f",
    "c1": "a\x9b2J", "line": "a\u2028b", "surrogate": "a\udc80", "long": "x" * 1025, "long in bytes": "ü" * 513,
}  # fmt: skip


def index(error=0, dimensions=0, flags=0, rows=((1, 5, 5, 1, 0, 8),), order=(), names=b"a\0") -> bytes:
    """An index of any content."""
    text = struct.pack("<HBB", error, dimensions, flags) + b"".join(struct.pack("<IIIBBB", *row) for row in rows)
    return zlib.compress(text + b"".join(struct.pack("<I", n) for n in order) + names)


@pytest.mark.parametrize("catalogue", [
    FULL,
    Catalogue((Block(10, DIGIT), Block(7, DIGIT)), 0, 3, (), np.arange(17)),
    Catalogue((Block(1, Look(128, 128, 1, False, 8)),) * 2, 0, 3, (), np.arange(2)),
    Catalogue((Block(1, SPRITE),), 0, 4, (), np.arange(1)),
    Catalogue((Block(1, None),) * 3, 0, 3, (), np.arange(3)[::-1]),
])  # fmt: skip
def test_an_index_comes_back(catalogue):
    count = len(catalogue.order)
    found = read_catalogue(write_catalogue(catalogue), len(catalogue.layout), count)
    for name in ("layout", "error", "dimensions", "names"):
        assert getattr(found, name) == getattr(catalogue, name)
    assert found.order.tolist() == catalogue.order.tolist()


def test_a_thousand_blocks_that_are_alike_take_few_bytes():
    layout = (Block(10, DIGIT),) * 1000
    data = write_catalogue(Catalogue(layout, 0, 3, (), np.arange(10_000)))
    assert len(data) < 150
    assert read_catalogue(data, 1000, 10_000).layout == layout


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_names_that_lead_elsewhere_are_refused_when_written_and_when_read(name):
    with pytest.raises(UnsupportedInput, match="no name for a picture"):
        check_names(["fine", name])
    data = index(rows=[(2, 5, 5, 1, 0, 8)], names=b"fine\0" + name.encode(errors="surrogateescape") + b"\0")
    with pytest.raises(CorruptStream):
        read_catalogue(data, 1, 2)


def test_two_pictures_of_one_name_are_refused():
    with pytest.raises(UnsupportedInput, match="two pictures are called 'a'"):
        check_names(["a", "b", "a"])
    with pytest.raises(CorruptStream, match="two pictures"):
        read_catalogue(index(rows=[(2, 5, 5, 1, 0, 8)], names=b"a\0a\0"), 1, 2)


FAULTS = {
    "count 0": index(rows=[(0, 5, 5, 1, 0, 8)]), "height 0": index(rows=[(1, 0, 5, 1, 0, 8)]),
    "two channels": index(rows=[(1, 5, 5, 2, 0, 8)]), "alpha 2": index(rows=[(1, 5, 5, 1, 2, 8)]),
    "depth 0": index(rows=[(1, 5, 5, 1, 0, 0)]), "depth 17": index(rows=[(1, 5, 5, 1, 0, 17)]),
    "too many pixels": index(rows=[(1, 129, 128, 1, 0, 8)]), "huge": index(rows=[(2**32 - 1,) * 3 + (3, 1, 16)]),
    "too many small ones": index(rows=[(11, 28, 28, 1, 0, 8)]), "two large ones": index(rows=[(2, 128, 128, 1, 0, 8)]),
    "file with sizes": index(rows=[(1, 5, 0, 0, 0, 0)]), "two in a file": index(rows=[(2, 0, 0, 0, 0, 0)]),
    "error": index(error=128), "dimensions": index(dimensions=2, names=b""), "flags": index(flags=2),
    "more pictures": index(rows=[(2, 5, 5, 1, 0, 8)], names=b"a\0b\0"), "no rows": index(rows=[]),
    "no name": index(names=b""), "two names": index(names=b"a\0b\0"), "no end": index(names=b"a"),
    "not UTF-8": index(names=b"\xff\0"), "array with names": index(dimensions=3),
    "array with channels": index(dimensions=3, rows=[(1, 5, 5, 3, 0, 8)], names=b""),
    "order too large": index(flags=1, order=[1]), "order cut": index(flags=1, names=b""),
    "no zlib": b"no zlib", "nothing": b"", "cut": index()[:-1], "more": index() + b"x",
}  # fmt: skip


@pytest.mark.parametrize("data", FAULTS.values(), ids=FAULTS)
def test_an_index_that_makes_no_sense_is_refused(data):
    check_refused(lambda text: read_catalogue(text, 1, 1), data, "index")


def test_looks_and_orders_that_do_not_fit_together_are_refused():
    mixed = index(dimensions=4, rows=[(1, 5, 5, 1, 0, 8), (1, 5, 6, 1, 0, 8)], names=b"")
    twice = index(flags=1, rows=[(2, 5, 5, 1, 0, 8)], order=[1, 1], names=b"a\0b\0")
    with pytest.raises(CorruptStream, match="differ"):
        read_catalogue(mixed, 2, 2)
    with pytest.raises(CorruptStream, match="leaves pictures out"):
        read_catalogue(twice, 1, 2)


@pytest.mark.parametrize("text", [bytes(10**7), b"\xff" * 10**7], ids=["zeros", "ones"])
def test_a_bomb_is_not_inflated(text):
    data = zlib.compress(text, 1)
    good = zlib.compress(zlib.decompress(index(names=b"")) + text, 1)
    del text
    tracemalloc.start()
    for bomb in (data, good):
        with pytest.raises(CodecError):
            read_catalogue(bomb, 1, 1)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("seed", range(3))
def test_damage_is_noticed_or_harmless(seed):
    rng = np.random.default_rng(seed)
    text = bytearray(zlib.decompress(write_catalogue(FULL)))
    for _ in range(100):
        damaged = bytearray(text)
        for at in rng.integers(len(damaged), size=rng.integers(1, 4)):
            damaged[at] = rng.integers(256)
        try:
            found = read_catalogue(zlib.compress(bytes(damaged), 1), 3, 5)
        except CodecError:
            continue
        assert sum(block.count for block in found.layout) == len(found.order) == len(set(found.names)) == 5


def test_runs_are_as_long_as_a_block_may_be():
    large = Look(128, 128, 3, False, 8)  # a picture may be larger than what is shared
    found = list(runs([DIGIT] * 25 + [SPRITE] * 2 + [large] * 2))
    assert found == [Block(10, DIGIT), Block(10, DIGIT), Block(5, DIGIT), Block(2, SPRITE), *[Block(1, large)] * 2]
    assert all(b.count * b.look.height * b.look.width <= BLOCK_PIXELS for b in found if b.count > 1)


def test_only_small_and_plain_pictures_have_a_look():
    small, large = np.zeros((128, 128, 3), np.uint8), np.zeros((129, 128, 3), np.uint8)
    assert Look.of(Image(small)) == Look(128, 128, 3, False, 8)
    assert Look.of(Image(small, small[..., 0], bit_depth=3)) == Look(128, 128, 3, True, 3)
    palette = Image(small[..., :1], palette=np.zeros((1, 3), np.uint8))
    for other in (Image(large), Image(small, icc=b"x"), Image(small, exif=b"II*\0"), palette):
        assert Look.of(other) is None
