"""codec/archive.py: pictures of a set come back, each without the others; hostile bytes are refused."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from multiprocessing.reduction import ForkingPickler  # what a DataLoader sends a data set with

import numpy as np
import pytest

import codec
from codec import archive as module
from codec import catalogue
from codec.archive import Archive, digest_of, open_archive
from codec.catalogue import Block, Catalogue, Look, write_catalogue
from codec.codes import pixels_of
from codec.container import Chunk, Header, Kind, pack, unpack
from codec.errors import (
    CodecError,
    CorruptStream,
    Desync,
    LimitExceeded,
    ModelMismatch,
    UnsupportedInput,
    UnsupportedVersion,
)
from codec.limits import Limits
from codec.model import model_id, unpack_model
from codec.packing import Item, pack_archive
from codec.picture import Image
from codec.tile import Mode
from tests.checks import (
    ROOT,
    check_only_codec_errors,
    check_refused,
    check_same_picture,
    conformance_model,
    frozen_lossless_model,
    style_model,
)
from tests.pictures import samples

STYLE = style_model()
GREY = unpack_model(STYLE)
DIGITS = np.random.default_rng(0).choice(np.array([0, 99, 7], np.uint8), (50, 9, 8), p=(0.6, 0.35, 0.05))


def grey(model=GREY, embed=STYLE, count=50, **options) -> bytes:
    """An archive of an array (count, 9, 8)."""
    items = [Item("", Image.of(x)) for x in DIGITS[:count]]
    return pack_archive(items, model, embed=embed, dimensions=3, **options)


@pytest.fixture(scope="module")
def digits() -> bytes:
    """An archive of 50 pictures in three blocks, with its model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "BLOCK_PIXELS", 20 * 72)
        return grey()


@pytest.fixture
def path(tmp_path, digits):
    (tmp_path / "set.ega").write_bytes(digits)
    return tmp_path / "set.ega"


def sealed(data: bytes, *, index: Catalogue | bytes | None = None, blocks=None, model=None, **fields) -> bytes:
    """An archive with parts of it exchanged, and right checksums and digests."""
    header, chunks = unpack(data)
    found = {letter: [chunk.data for chunk in chunks if chunk.type == letter] for letter in "MIB"}
    text = write_catalogue(index) if isinstance(index, Catalogue) else index or found["I"][0]
    blocks = found["B"] if blocks is None else blocks
    embedded = found["M"] if model is None else [model] if model else []
    facts = {name: getattr(header, name) for name in ("width", "height", "channels", "bit_depth", "frames", "model_id")}
    new = Header(Kind.ARCHIVE, **facts | {"digest": digest_of(text, blocks)} | fields)
    return pack(new, [*(Chunk("M", m) for m in embedded), Chunk("I", text), *(Chunk("B", b) for b in blocks)])


def everything(data: bytes) -> None:
    opened = Archive(data, limits=Limits(max_pixels=1 << 20))
    list(opened.entries())
    for number in range(min(len(opened), 60)):
        opened.image(number)


def test_blocks_need_the_networks(digits):
    assert {block[0] for block in Archive(digits).blocks} == {Mode.RESIDUAL}
    assert len(digits) - len(STYLE) < DIGITS.size // 2


def test_it_is_a_sequence_of_arrays(path):
    pictures = codec.open_archive(path)
    assert len(pictures) == 50
    np.testing.assert_array_equal(np.stack(list(pictures)), DIGITS)
    np.testing.assert_array_equal(pictures[-1], DIGITS[49])
    np.testing.assert_array_equal(np.stack(pictures[40::-7]), DIGITS[40::-7])
    assert pictures[50:] == []
    assert pictures[0].dtype == np.uint8
    for index in (50, -51):
        with pytest.raises(IndexError, match="of 50"):
            pictures[index]


def test_one_picture_is_decoded_without_other_blocks(path, monkeypatch):
    decoded = []
    original = module.decode_tile
    monkeypatch.setattr(module, "decode_tile", lambda *args: decoded.append(args[3]) or original(*args))
    pictures = open_archive(path)
    np.testing.assert_array_equal(pictures[25], DIGITS[25])
    assert decoded == [(20, 9, 8)]
    pictures[39], pictures[20]
    assert len(decoded) == 1  # the block is kept
    pictures[45]
    assert decoded[1:] == [(10, 9, 8)]


def test_what_is_kept_is_bounded_and_not_changed_by_writing_to_a_picture(digits, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 2)
    pictures = Archive(digits)
    for number in (0, 20, 40):
        pictures[number][...] = 255
    assert len(pictures._kept) == 2
    np.testing.assert_array_equal(pictures[40], DIGITS[40])
    with pytest.raises(ValueError, match="read-only"):
        pictures.image(40).colour[...] = 0


def test_it_is_read_when_it_is_used_and_again_where_it_is_sent(path, monkeypatch):
    pictures = open_archive(os.path.relpath(path))
    monkeypatch.chdir("/")
    data = ForkingPickler.dumps(pictures)
    assert len(data) < 1000
    pictures[3]
    assert len(ForkingPickler.dumps(pictures)) == len(data)
    np.testing.assert_array_equal(ForkingPickler.loads(data)[3], DIGITS[3])
    path.write_bytes(b"something else")
    broken = ForkingPickler.loads(data)
    for _ in range(2):
        with pytest.raises(codec.NotOurFormat):
            len(broken)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        broken[0]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # where there is one core
def test_a_data_loader_with_workers_takes_it(path):
    from torch.utils.data import DataLoader

    pictures = open_archive(path)
    batches = [batch.numpy() for batch in DataLoader(pictures, batch_size=16, num_workers=2)]
    np.testing.assert_array_equal(np.concatenate(batches), DIGITS)
    assert not pictures._kept  # it is the workers that have decoded


def test_a_model_in_it_is_all_that_is_needed(path):
    program = f"import codec; print(int(codec.open_archive({str(path)!r})[7].sum()))"
    environment = {name: value for name, value in os.environ.items() if name != "ENGRAM_MODELS"}
    out = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, env=environment, text=True)
    assert int(out) == DIGITS[7].sum()


def test_without_the_model_it_says_which_is_missing_or_wrong():
    data = grey(embed=None, count=5)
    with pytest.raises(codec.ModelNotFound, match=GREY.id.hex()):
        Archive(data)[0]
    with pytest.raises(ModelMismatch, match=GREY.id.hex()):
        Archive(data, model=frozen_lossless_model())[0]
    np.testing.assert_array_equal(Archive(data, model=GREY)[4], DIGITS[4])


def test_a_model_that_is_not_the_one_of_the_header_is_refused(digits):
    with pytest.raises(CorruptStream, match="its header names"):
        Archive(sealed(digits, model=style_model(width=2)))


def test_names_numbers_and_entries():
    items = [Item("b.png", Image(samples("photo", (5, 4, 3)))), Item("a", Image(samples("photo", (5, 4, 3)), icc=b"x"))]
    opened = Archive(pack_archive(items, frozen_lossless_model()), model=frozen_lossless_model())
    look = Look(5, 4, 3, False, 8)
    assert [entry[:4] for entry in opened.entries()] == [("b.png", look, False, ""), ("a", look, True, "i")]
    assert [opened.number(name) for name in ("a", "b.png")] == [1, 0]
    check_same_picture(opened.image(1), items[1].image)
    array = Archive(grey(count=11))
    assert [array.name(number) for number in (0, 10, -1)] == ["00", "10", "10"]
    assert [array.number(name) for name in ("7", "07", "10")] == [7, 7, 10]
    for unknown in ("11", "-1", "x", "", "9" * 30, "²"):
        with pytest.raises(KeyError):
            array.number(unknown)
        with pytest.raises(KeyError):
            opened.number(unknown)


def test_codes_are_those_of_pictures_that_were_packed_with_loss():
    photo, general = conformance_model(), frozen_lossless_model()
    items = [Item(name, Image(samples("photo", (20, 30, 3), seed=seed))) for seed, name in enumerate("ab")]
    opened = Archive(pack_archive(items, photo, quality=60), model=photo)
    np.testing.assert_array_equal(pixels_of(opened.codes(-1), photo), opened[1])
    with pytest.raises(IndexError, match="picture 2 of 2"):
        opened.codes(2)
    exact = [*items, Item("c", Image(items[0].image.colour, icc=b"icc"))]
    opened = Archive(pack_archive(exact, general), model=general)
    for number, name in enumerate("abc"):
        with pytest.raises(UnsupportedInput, match=f"'{name}' is kept exactly.*engram pack -q"):
            opened.codes(number)


def test_a_model_in_it_is_read_when_a_picture_is_asked_for(digits, monkeypatch):
    read, original = [], module.unpack_model
    monkeypatch.setattr(module, "unpack_model", lambda *args: read.append(1) or original(*args))
    opened = Archive(digits)
    assert len(list(opened.entries())) == 50
    assert not read
    for number in (0, 30, 49):
        opened[number]
    assert len(read) == 1


def test_verify_reads_a_model_even_if_no_block_needs_it():
    items = [Item("flat", Image(np.zeros((9, 8, 1), np.uint8)))]
    good = pack_archive(items, GREY, embed=STYLE)
    Archive(good).verify()
    broken = STYLE[:-9] + bytes([STYLE[-9] ^ 1]) + STYLE[-8:]
    damaged = Archive(sealed(good, model=broken, model_id=model_id(broken)))
    with pytest.raises(CodecError):
        damaged.verify()


def test_verify_decodes_all_blocks_and_keeps_none(digits):
    told = []
    opened = Archive(digits)
    opened.verify(2, lambda *numbers: told.append(numbers))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert not opened._kept
    _, chunks = unpack(digits)
    blocks = [chunk.data for chunk in chunks if chunk.type == "B"]
    damaged = Archive(sealed(digits, blocks=[*blocks[:2], blocks[2][:-1] + b"\x55"]))
    with pytest.raises(Desync):
        damaged.verify()
    np.testing.assert_array_equal(damaged[0], DIGITS[0])  # the others are whole


def test_every_cut_is_refused_and_every_flipped_bit():
    data = grey(embed=None, count=3)

    def read(text: bytes) -> None:
        Archive(text, model=GREY).verify(1)

    read(data)
    for length in range(len(data)):
        check_refused(read, data[:length], f"cut to {length} bytes")
    for bit in range(0, 8 * len(data), 3):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        check_refused(read, bytes(damaged), f"bit {bit} flipped")


def test_blocks_of_another_order_or_archive_do_not_pass(digits):
    _, chunks = unpack(digits)
    blocks = [chunk.data for chunk in chunks if chunk.type == "B"]
    header, digest = unpack(digits)[0], unpack(digits)[0].digest
    for other in ([blocks[1], blocks[0], blocks[2]], blocks[:2], blocks + blocks[:1]):
        with pytest.raises(Desync, match="do not belong together"):
            Archive(sealed(digits, blocks=other, digest=digest))
    with pytest.raises(UnsupportedVersion, match="this is a clip"):
        Archive(pack(Header(Kind.VIDEO, 1, 1, 1, 8, 1, header.model_id, digest), [Chunk("x", b"")]))


HUGE = Look(1, 1, 1, False, 8)
INDEXES = {
    "other count": Catalogue((Block(16384, HUGE),) * 3, 0, 3, (), np.arange(3 * 16384)),
    "colour": Catalogue((Block(20, Look(9, 8, 3, False, 8)),) * 3, 0, 4, (), np.arange(60)),
    "alpha": Catalogue((Block(20, Look(9, 8, 1, True, 8)),) * 3, 0, 4, (), np.arange(60)),
    "deep": Catalogue((Block(20, Look(9, 8, 1, False, 16)),) * 3, 9, 3, (), np.arange(60)),
    "flat": Catalogue((Block(1, Look(1, 16384, 1, False, 1)),) * 3, 0, 3, (), np.arange(3)),
    "files": Catalogue((Block(1, None),) * 3, 0, 3, (), np.arange(3)),
    "fewer blocks": Catalogue((Block(20, Look(9, 8, 1, False, 8)),), 0, 3, (), np.arange(20)),
    "more blocks": Catalogue((Block(1, HUGE),) * 4, 0, 3, (), np.arange(4)),
}


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_an_index_that_does_not_tell_what_the_blocks_hold_is_refused(digits, index):
    with pytest.raises(CodecError):
        everything(sealed(digits, index=index, frames=len(index.order)))


def test_numbers_of_the_header_are_checked_before_anything_is_allocated(digits):
    tracemalloc.start()
    for frames, error in ((1 << 20, CorruptStream), (2**62, LimitExceeded)):
        with pytest.raises(error):
            Archive(sealed(digits, frames=frames))
    with pytest.raises(LimitExceeded):
        Archive(sealed(digits, width=2**40))
    index = Catalogue((Block(16384, HUGE),) * 64, 0, 3, (), np.arange(1 << 20))
    many = sealed(digits, index=index, blocks=[b"\2digs"] * 64, frames=1 << 20)  # 2^20 pictures in a few bytes
    tracemalloc.reset_peak()
    check_refused(lambda data: Archive(data)[77], many, "many")
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("inner", ["archive", "model", "cut", "nothing"])
def test_a_file_in_it_is_a_picture_and_nothing_else(digits, inner):
    data = {"archive": digits, "model": STYLE, "cut": digits[:30], "nothing": b""}[inner]
    index = Catalogue((Block(1, None),), 0, 0, ("a",), np.arange(1))
    check_only_codec_errors(everything, bad := sealed(digits, index=index, blocks=[data], frames=1), inner)
    with pytest.raises(CodecError):
        Archive(bad)[0]


@pytest.mark.parametrize("seed", range(4))
def test_damage_with_right_checksums_raises_codec_errors_only(digits, seed):
    rng = np.random.default_rng(seed)
    _, chunks = unpack(digits)
    for _ in range(6):
        parts = {"index": None, "blocks": None, "model": None}
        letters = {"index": "I", "blocks": "B", "model": "M"}
        texts = {name: [c.data for c in chunks if c.type == letter] for name, letter in letters.items()}
        part = rng.choice(list(parts))
        number = int(rng.integers(len(texts[part])))
        damaged = bytearray(texts[part][number])
        for at in rng.integers(len(damaged), size=2):
            damaged[at] = rng.integers(256)
        texts[part][number] = bytes(damaged)
        parts[part] = texts[part] if part == "blocks" else texts[part][0]
        identity = {"model_id": model_id(parts["model"])} if part == "model" else {}
        check_only_codec_errors(everything, sealed(digits, **parts, **identity), f"{part} {seed}")
