from __future__ import annotations

import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec import container
from codec.container import Chunk, Header, Kind, pack, unpack
from codec.errors import (
    ChecksumMismatch,
    CodecError,
    CorruptStream,
    LimitExceeded,
    NotOurFormat,
    TruncatedStream,
    UnsupportedVersion,
)
from codec.limits import Limits
from tests.checks import REFUSAL, ROOT, check_bit_flips, check_truncations

PHOTO = Header(Kind.PHOTO, 768, 512, 3, 8, 1, b"model id", b"dgst")
EVERYTHING = Limits(max_pixels=2**200, max_side=2**63, max_frames=2**63)
big = st.integers(1, 2**63 - 1) | st.integers(1, 300)


@st.composite
def files(draw):
    kind = draw(st.sampled_from(Kind))
    if kind == Kind.MODEL:
        header = Header(kind)
    else:
        frames = 1 if kind in (Kind.PHOTO, Kind.LOSSLESS) else draw(big)
        sizes = draw(big), draw(big), draw(st.integers(1, 4)), draw(st.integers(1, 16)), frames
        header = Header(kind, *sizes, draw(st.binary(min_size=8, max_size=8)), draw(st.binary(min_size=4, max_size=4)))
    many = [letter for letter in container.CRITICAL[kind] if letter not in container.ONCE] + ["x"]
    once = [letter for letter in container.ONCE if letter.islower() or letter in container.CRITICAL[kind]]
    letters = draw(st.lists(st.sampled_from(many), min_size=1, max_size=4))
    letters += draw(st.lists(st.sampled_from(once), unique=True))
    return header, tuple(Chunk(letter, draw(st.binary(max_size=300))) for letter in draw(st.permutations(letters)))


@given(files())
def test_unpack_undoes_pack(file):
    assert unpack(pack(*file), EVERYTHING) == file


@given(files())
def test_a_file_has_one_spelling(file):
    data = pack(*file)
    assert pack(*unpack(data, EVERYTHING)) == data


SMALL = {
    "photo": pack(PHOTO, [Chunk("T", b"tile"), Chunk("e", b"exif")]),
    "empty chunks": pack(PHOTO, [Chunk("i", b""), Chunk("T", b""), Chunk("T", b"")]),
    "wide": pack(Header(Kind.PHOTO, 2**18, 1, 1, 8, 1, bytes(8), bytes(4)), [Chunk("T", bytes(200))]),
    "video": pack(Header(Kind.VIDEO, 64, 64, 1, 8, 300, b"model id", b"dgst"), [Chunk("x", b"data")]),
    "archive": pack(
        Header(Kind.ARCHIVE, 64, 64, 1, 8, 300, b"model id", b"dgst"),
        [Chunk("I", b"index"), *[Chunk("B", b"block")] * 2],
    ),
    "model": pack(Header(Kind.MODEL), [Chunk("J", b"{}"), Chunk("N", b"tensors")]),
}


@pytest.mark.parametrize("name", SMALL)
def test_every_truncation_is_noticed(name):
    check_truncations(unpack, SMALL[name])


@pytest.mark.parametrize("name", SMALL)
def test_every_flipped_bit_is_noticed(name):
    check_bit_flips(unpack, SMALL[name])


@given(file=files(), cut=st.integers(0, 10**6), bit=st.integers(0, 10**6))
def test_damage_to_any_file_is_noticed(file, cut, bit):
    data = pack(*file)
    with pytest.raises(REFUSAL):
        unpack(data[: cut % len(data)], EVERYTHING)
    damaged = bytearray(data)
    damaged[bit // 8 % len(data)] ^= 1 << bit % 8
    with pytest.raises(REFUSAL):
        unpack(bytes(damaged), EVERYTHING)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(container.MAGIC.__add__))
def test_arbitrary_bytes_raise_nothing_but_refusals(data):
    with pytest.raises(REFUSAL):
        unpack(data)


@given(st.binary(max_size=60))
def test_arbitrary_fields_with_a_good_checksum_raise_nothing_but_refusals(fields):
    head = container.MAGIC + b"\x01" + fields
    data = head + zlib.crc32(head).to_bytes(4, "little")
    with pytest.raises(REFUSAL):
        unpack(data)


@given(st.binary(max_size=60))
def test_arbitrary_chunks_with_good_checksums_give_chunks_or_refusals(body):
    data = _head(PHOTO) + body + zlib.crc32(body).to_bytes(4, "little")
    try:
        _, chunks = unpack(data)
    except REFUSAL:
        return
    assert pack(PHOTO, chunks) == data


def test_truncation_has_its_own_error():
    data = SMALL["photo"]
    assert {type(_error(data[:length])) for length in range(1, len(data))} == {TruncatedStream}
    assert isinstance(_error(b""), NotOurFormat)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(20), b"EGM", b"\xceEGN" + bytes(40)])
def test_other_formats_are_not_ours(data):
    assert isinstance(_error(data), NotOurFormat)


def test_a_later_version_is_unsupported_whatever_follows():
    assert isinstance(_error(container.MAGIC + b"\x02"), UnsupportedVersion)


@pytest.mark.parametrize("kind", [0, 6, 255])
def test_an_unknown_kind_is_unsupported(kind):
    assert isinstance(_error(_reseal(PHOTO, 5, kind)), UnsupportedVersion)


@pytest.mark.parametrize(("offset", "byte"), [(7, 0), (10, 0), (10, 5), (11, 0), (11, 17), (12, 0), (12, 2), (6, 0)])
def test_illegal_header_fields_are_corrupt(offset, byte):
    assert isinstance(_error(_reseal(PHOTO, offset, byte)), CorruptStream)


def test_sizes_of_a_model_must_be_zero():
    assert isinstance(_error(_reseal(Header(Kind.MODEL), 6, 1)), CorruptStream)


def test_an_unknown_critical_chunk_is_unsupported_and_an_unknown_ancillary_one_is_not():
    assert isinstance(_error(_head(PHOTO) + _chunk("Q", last=True)), UnsupportedVersion)
    assert isinstance(_error(_head(PHOTO) + _chunk("N", last=True)), UnsupportedVersion)
    assert unpack(_head(PHOTO) + _chunk("q", last=True))[1] == (Chunk("q", b"data"),)


@pytest.mark.parametrize("letter", ["1", "\x00", "@", "[", "{", "\x7f"])
def test_a_chunk_type_must_be_a_letter(letter):
    assert isinstance(_error(_head(PHOTO) + _chunk(letter, last=True)), CorruptStream)


@pytest.mark.parametrize("letter", ["i", "e"])
def test_metadata_come_once(letter):
    assert isinstance(_error(_head(PHOTO) + _chunk(letter) + _chunk(letter, last=True)), CorruptStream)


def test_an_overlong_number_is_corrupt():
    body = b"\xf8\x80\x00"  # x, last, of length 0 in two bytes
    data = _head(PHOTO) + body + zlib.crc32(body).to_bytes(4, "little")
    assert re.search("longer than it has to be", str(_error(data)))
    assert re.search("more than 9 bytes", str(_error(_head(PHOTO) + b"x" + b"\x80" * 9 + b"\x01" + bytes(99))))


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Limits(max_pixels=768 * 512 - 1), "photo"),
        (Limits(max_side=767), "photo"),
        (Limits(max_chunks=1), "photo"),
        (Limits(max_chunk_bytes=3), "photo"),
        (Limits(max_metadata_bytes=3), "photo"),
        (Limits(max_frames=299), "video"),
        (Limits(max_model_bytes=len(SMALL["model"]) - 1), "model"),
    ],
)
def test_limits_are_kept(limits, name):
    with pytest.raises(LimitExceeded):
        unpack(SMALL[name], limits)


def test_a_bomb_of_a_few_bytes_is_refused():
    bomb = pack(Header(Kind.VIDEO, 2**63 - 1, 2**63 - 1, 4, 16, 2**63 - 1, bytes(8), bytes(4)), [Chunk("x", b"")])
    with pytest.raises(LimitExceeded):
        unpack(bomb)


def test_a_claimed_length_costs_nothing():
    assert isinstance(_error(_head(PHOTO) + b"T" + b"\xff" * 8 + b"\x7f" + b"some data"), TruncatedStream)


def test_a_wrong_checksum_is_told_as_such():
    data = bytearray(SMALL["photo"])
    data[-1] ^= 1
    assert isinstance(_error(bytes(data)), ChecksumMismatch)
    data[15] ^= 1
    assert re.match("header at byte 0: expected checksum .* got .*", str(_error(bytes(data))))


def test_framing_of_a_small_photo_is_at_most_36_bytes():
    header = Header(Kind.PHOTO, 16_000, 16_000, 3, 8, 1, bytes(8), bytes(4))
    assert len(pack(header, [Chunk("T", bytes(16_000))])) <= 16_000 + 36


@pytest.mark.parametrize(
    "fields",
    [
        {"width": 0},
        {"height": 2**63},
        {"channels": 5},
        {"bit_depth": 0},
        {"frames": 2},
        {"model_id": b"short"},
        {"digest": b"too long"},
        {"kind": Kind.MODEL},
    ],
)
def test_an_illegal_header_cannot_be_made(fields):
    legal = {name: getattr(PHOTO, name) for name in Header.__slots__}
    with pytest.raises(ValueError, match=r"must be|are 8 and 4|has zeros"):
        Header(**legal | fields)


@pytest.mark.parametrize(
    "chunks", [[], [Chunk("N", b"")], [Chunk("Z", b"")], [Chunk("i", b""), Chunk("T", b""), Chunk("i", b"")]]
)
def test_an_illegal_file_cannot_be_packed(chunks):
    with pytest.raises(ValueError, match="chunk"):
        pack(PHOTO, chunks)


@pytest.mark.parametrize("letter", ["", "TT", "1", "é", "\xff"])
def test_a_chunk_of_an_illegal_type_cannot_be_made(letter):
    with pytest.raises(ValueError, match="ASCII letter"):
        Chunk(letter, b"")


def test_the_specification_has_the_numbers_of_the_code():
    spec = (ROOT / "codec" / "SPEC.md").read_text(encoding="utf-8")
    assert container.MAGIC.hex(" ").upper() in spec
    assert f"version {container.VERSION}" in spec.splitlines()[0]
    assert all(f"{kind.value} {kind.name.lower()}" in spec for kind in Kind)
    rows = re.findall(r"^\| `(\w)` \| ([\w, ]+) \| ([^|]+) \|", spec, re.MULTILINE)
    kinds = {letter: set(named.split(", ")) for letter, named, _ in rows if letter.isupper()}
    letters = set("".join(container.CRITICAL.values()))
    assert kinds == {letter: {k.name.lower() for k in Kind if letter in container.CRITICAL[k]} for letter in letters}
    once = {letter for letter, _, count in rows if count in ("1", "at most 1")}
    assert once == container.ONCE


def _error(data: bytes) -> CodecError:
    with pytest.raises(CodecError) as caught:
        unpack(data)
    return caught.value


def _head(header: Header) -> bytes:
    """The bytes of a header, checksum included."""
    packed = pack(header, [Chunk("x", b"")])
    return packed[: -len(_chunk("x", b""))]


def _reseal(header: Header, offset: int, byte: int) -> bytes:
    """A file with one byte of its header replaced, and the checksum made good again."""
    head = bytearray(_head(header)[:-4])
    head[offset] = byte
    return bytes(head) + zlib.crc32(head).to_bytes(4, "little") + _chunk("x", last=True)


def _chunk(letter: str, data: bytes = b"data", last: bool = False) -> bytes:
    """A chunk as it stands in a file, whatever its type; at most 127 bytes."""
    body = bytes((ord(letter) | 0x80 * last, len(data))) + data
    return body + zlib.crc32(body).to_bytes(4, "little")


@pytest.mark.parametrize(("kind", "letter"), [(Kind.ARCHIVE, "I"), (Kind.VIDEO, "P")])
def test_pictures_of_an_archive_and_frames_are_limited_one_by_one(kind, letter):
    data = pack(Header(kind, 1000, 1000, 3, 8, 2**20, bytes(8), bytes(4)), [Chunk(letter, b"")])
    assert unpack(data)[0].frames == 2**20  # 10^12 pixels together
    for limits in (Limits(max_pixels=999_999), Limits(max_side=999), Limits(max_frames=2**20 - 1)):
        with pytest.raises(LimitExceeded):
            unpack(data, limits)


@pytest.mark.parametrize("letters", ["II", "MIM", "IT", "IP", "IJ"])
def test_an_archive_has_one_model_and_one_index_and_blocks(letters):
    with pytest.raises(ValueError, match="foreign to a ARCHIVE file, or repeated"):
        pack(Header(Kind.ARCHIVE, 1, 1, 1, 8, 1), [Chunk(letter, b"") for letter in letters])


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_parts_come_back_and_nothing_else_passes(parts):
    data = container.join(parts)
    assert container.split(data, len(parts)) == parts
    for damaged, count in ((data + b"\0", len(parts)), (data[:-1], len(parts)), (data, len(parts) + 1), (data, 10**9)):
        if damaged != data or count != len(parts):
            with pytest.raises(CorruptStream):
                container.split(damaged, count)


@given(st.lists(st.integers(0, 2**63 - 1), max_size=5))
def test_numbers_come_back_and_cut_ones_are_refused(values):
    data = container.spell(values)
    assert container.numbers(data) == values
    with pytest.raises(CorruptStream):
        container.numbers(data + b"\x80")


def test_a_kind_is_seen_without_a_check():
    assert container.is_kind(SMALL["video"][:6], Kind.VIDEO)
    assert not container.is_kind(SMALL["video"][:5], Kind.VIDEO)
    assert not container.is_kind(SMALL["photo"], Kind.VIDEO)


def test_a_file_of_another_kind_is_told_what_reads_it():
    assert set(container.USES) == set(Kind)
    for kind in Kind:
        container.check_kind(header := Header(kind) if kind == Kind.MODEL else Header(kind, 1, 1, 1, 8, 1), kind)
        other = Kind.PHOTO if kind != Kind.PHOTO else Kind.ARCHIVE
        with pytest.raises(UnsupportedVersion, match=f"this is {container.USES[kind][:9]}"):
            container.check_kind(header, other)
