"""Bytes <-> header + chunks. The layout is drawn, and its rules are numbered, in SPEC.md.

    file = header, chunk, chunk, ..., last chunk          parts = length, bytes, length, bytes, ...

The checks come in the order of the bytes, and all of them before any entropy decoding: magic, version, checksum of the
header, legal ranges, limits, and for each chunk its length, its checksum and its type. Standard library only.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from codec.errors import ChecksumMismatch, CorruptStream, NotOurFormat, TruncatedStream, UnsupportedVersion
from codec.limits import DEFAULT, Limits

__all__ = [
    "MAGIC",
    "VERSION",
    "Chunk",
    "Header",
    "Kind",
    "check_kind",
    "is_kind",
    "join",
    "numbers",
    "pack",
    "spell",
    "split",
    "unpack",
]

MAGIC = b"\xceEGM"  # 0xCE is no ASCII and, before an 'E', no UTF-8: a channel for text gives itself away
VERSION = 1
VARINT_BYTES = 9  # longest varint: 63 bits
LAST = 0x80  # bit of the type byte of a file's last chunk; a file that is cut between two chunks misses it


class Kind(IntEnum):
    """What a file holds."""

    PHOTO = 1
    LOSSLESS = 2
    VIDEO = 3
    ARCHIVE = 4
    MODEL = 5


# The critical chunks of version 1; a kind without any is reserved. Ancillary chunks may stand in a file of every kind.
CRITICAL = {Kind.PHOTO: "TA", Kind.LOSSLESS: "PCT", Kind.VIDEO: "PG", Kind.ARCHIVE: "MIB", Kind.MODEL: "JN"}
USES = {  # what a file is, for those who give it to the wrong command
    Kind.PHOTO: "a picture; `engram decompress` or codec.decompress reads it",
    Kind.LOSSLESS: "a picture; `engram decompress` or codec.decompress reads it",
    Kind.VIDEO: "a clip; `engram decompress` reads it",
    Kind.ARCHIVE: "an archive of pictures; `engram unpack` or codec.open_archive reads it",
    Kind.MODEL: "a model; `engram info` says which one, and -m takes it",
}
ONCE = frozenset("ACIJMNPei")  # chunk types that a file holds at most once


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a file. A model file describes no pixels: everything after its kind is zero.

    Attributes
    ----------
    kind : Kind
    width, height : int
        Pixels, 1 .. 2^63 - 1.
    channels : int
        Channels of colour, alpha not counted: 1 .. 4.
    bit_depth : int
        Bits of a sample, 1 .. 16.
    frames : int
        1 for a still picture.
    model_id : bytes
        8 bytes: the first 8 bytes of BLAKE2b-512 over the model file that the stream needs.
    digest : bytes
        4 bytes: the first 4 bytes of BLAKE2b-512 over the decoded pixels, see SPEC.md.

    Raises
    ------
    ValueError
        A field is outside its legal range.
    """

    kind: Kind
    width: int = 0
    height: int = 0
    channels: int = 0
    bit_depth: int = 0
    frames: int = 0
    model_id: bytes = bytes(8)
    digest: bytes = bytes(4)

    def __post_init__(self) -> None:
        if len(self.model_id) != 8 or len(self.digest) != 4:
            raise ValueError(f"model id and digest are 8 and 4 bytes, got {len(self.model_id)} and {len(self.digest)}")
        sizes = {name: getattr(self, name) for name in ("width", "height", "channels", "bit_depth", "frames")}
        if self.kind == Kind.MODEL:
            if any(sizes.values()) or any(self.model_id) or any(self.digest):
                raise ValueError("a model file has zeros in its header after the kind")
            return
        most = {"channels": 4, "bit_depth": 16}
        if self.kind in (Kind.PHOTO, Kind.LOSSLESS):
            most["frames"] = 1
        for name, value in sizes.items():
            if not 1 <= value <= most.get(name, 2**63 - 1):
                raise ValueError(f"{name} must be 1 .. {most.get(name, '2^63 - 1')}, got {value}")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One typed piece of a file: `type` is an ASCII letter, uppercase if a decoder has to understand it."""

    type: str
    data: bytes

    def __post_init__(self) -> None:
        if not (len(self.type) == 1 and self.type.isascii() and self.type.isalpha()):
            raise ValueError(f"a chunk type is one ASCII letter, got {self.type!r}")


def check_kind(header: Header, expected: Kind) -> None:
    """UnsupportedVersion unless a file is of that kind; the message says what reads it."""
    if header.kind != expected:
        raise UnsupportedVersion(f"this is {USES[header.kind]}")


def pack(header: Header, chunks: Sequence[Chunk]) -> bytes:
    """Write a file.

    Raises
    ------
    ValueError
        No chunks, a critical chunk that this kind of file does not hold, or a second chunk of a type that comes once.
    """
    if not chunks:
        raise ValueError("a file has at least one chunk")
    head = b"".join(
        (
            MAGIC,
            bytes((VERSION, header.kind)),
            _varint(header.width),
            _varint(header.height),
            bytes((header.channels, header.bit_depth)),
            _varint(header.frames),
            header.model_id,
            header.digest,
        )
    )
    parts = [head, _crc(head)]
    seen: set[str] = set()
    for index, chunk in enumerate(chunks):
        if _foreign(header.kind, chunk.type) or chunk.type in ONCE & seen:
            raise ValueError(f"chunk {index}: type {chunk.type!r} is foreign to a {header.kind.name} file, or repeated")
        seen.add(chunk.type)
        last = LAST if index == len(chunks) - 1 else 0
        tag = bytes((ord(chunk.type) | last,)) + _varint(len(chunk.data))
        parts += [tag, chunk.data, _crc(tag, chunk.data)]
    return b"".join(parts)


def unpack(data: bytes, limits: Limits = DEFAULT) -> tuple[Header, tuple[Chunk, ...]]:
    """Read a file; the twin of `pack`. Unknown ancillary chunks are handed on, for the caller to pass over.

    Raises
    ------
    NotOurFormat, UnsupportedVersion, CorruptStream, LimitExceeded
        SPEC.md says which of them answers which fault.
    """
    cursor = _Cursor(data)
    header = _read_header(cursor)
    if header.kind in (Kind.ARCHIVE, Kind.VIDEO):  # whose pictures are decoded one by one
        limits.check("max_frames", header.frames, "frames" if header.kind == Kind.VIDEO else "pictures")
        limits.check_size(header.width, header.height)
    else:
        limits.check_size(header.width, header.height, header.frames)
    if header.kind == Kind.MODEL:
        limits.check("max_model_bytes", len(data), "bytes of the model file")
    chunks: list[Chunk] = []
    seen: set[str] = set()
    more = True
    while more:
        index, start = len(chunks), cursor.at
        limits.check("max_chunks", index + 1, "chunks")
        tag = cursor.byte(f"type of chunk {index}")
        length = cursor.need(cursor.varint(f"length of chunk {index}"), f"data of chunk {index}")
        more, letter = not tag & LAST, chr(tag & ~LAST)
        limits.check("max_chunk_bytes" if letter.isupper() else "max_metadata_bytes", length, f"bytes of chunk {index}")
        body = cursor.take(length, f"data of chunk {index}")
        cursor.checksum(start, f"chunk {index}")
        try:
            chunks.append(Chunk(letter, body))
        except ValueError as error:
            raise CorruptStream(f"chunk {index} at byte {start:,}: {error}") from None
        if _foreign(header.kind, letter):
            known = f"version {VERSION} has no such chunk in a {header.kind.name} file"
            raise UnsupportedVersion(f"chunk {index} of type {letter!r} has to be understood, but {known}")
        if letter in ONCE & seen:
            raise CorruptStream(f"chunk {index} at byte {start:,}: a second chunk of type {letter!r}; one is allowed")
        seen.add(letter)
    if cursor.at != len(data):
        raise CorruptStream(f"{len(data) - cursor.at:,} bytes follow the last chunk, which ends at byte {cursor.at:,}")
    return header, tuple(chunks)


def is_kind(data: bytes, kind: Kind) -> bool:
    """Whether a file says that it is of that kind; nothing is checked."""
    return data[len(MAGIC) + 1 : len(MAGIC) + 2] == bytes([kind])


def join(parts: Sequence[bytes]) -> bytes:
    """Byte strings in one: each after its length."""
    return b"".join(_varint(len(part)) + part for part in parts)


def split(data: bytes, count: int) -> list[bytes]:
    """The twin of `join`, for so many byte strings; CorruptStream if the bytes do not hold exactly those."""
    if count > len(data):  # each has a byte at least
        raise CorruptStream(f"{len(data):,} bytes for {count:,} parts")
    cursor = _Cursor(data)
    parts = [cursor.take(cursor.varint(f"length of part {i}"), f"part {i}") for i in range(count)]
    if cursor.at != len(data):
        raise CorruptStream(f"{len(data) - cursor.at:,} bytes follow the last of {count:,} parts")
    return parts


def spell(values: Sequence[int]) -> bytes:
    """Numbers as varints, one after the other."""
    return b"".join(map(_varint, values))


def numbers(data: bytes) -> list[int]:
    """The twin of `spell`; CorruptStream if the last one is cut."""
    cursor, values = _Cursor(data), list[int]()
    while cursor.at < len(data):
        values.append(cursor.varint(f"number {len(values)}"))
    return values


def _read_header(cursor: _Cursor) -> Header:
    found = cursor.data[: len(MAGIC)]
    if found != MAGIC:
        if found and MAGIC.startswith(found):
            raise TruncatedStream(f"the file ends inside its magic, after {len(found)} of {len(MAGIC)} bytes")
        shown = f"it begins with {found.hex(' ')}, not with {MAGIC.hex(' ')}" if found else "it is empty"
        raise NotOurFormat(f"not an Engram file: {shown}")
    cursor.take(len(MAGIC), "magic")
    if (version := cursor.byte("version")) != VERSION:
        raise UnsupportedVersion(f"version {version} of the format; this codec reads version {VERSION}")
    kind = cursor.byte("kind")
    width, height = cursor.varint("width"), cursor.varint("height")
    channels, bit_depth = cursor.byte("channels"), cursor.byte("bit depth")
    frames = cursor.varint("frames")
    model_id, digest = cursor.take(8, "model id"), cursor.take(4, "digest")
    cursor.checksum(0, "header")
    if kind not in list(Kind):
        raise UnsupportedVersion(f"a file of kind {kind}, which version {VERSION} of the format does not have")
    try:
        return Header(Kind(kind), width, height, channels, bit_depth, frames, model_id, digest)
    except ValueError as error:
        raise CorruptStream(f"header: {error}") from None


def _foreign(kind: Kind, letter: str) -> bool:
    """Whether a chunk type is critical, and not one that this kind of file holds."""
    return letter.isupper() and letter not in CRITICAL[kind]


def _crc(*parts: bytes | memoryview) -> bytes:
    """CRC-32 (zlib's) over the parts joined, 4 bytes, little endian."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc.to_bytes(4, "little")


def _varint(value: int) -> bytes:
    """Unsigned LEB128: 7 bits a byte, low bits first, the top bit says that more follow."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class _Cursor:
    """A place in the bytes that moves forward and notices their end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def need(self, length: int, what: str) -> int:
        """Return `length` if so many bytes are left."""
        if length > (left := len(self.data) - self.at):
            raise TruncatedStream(f"{what} at byte {self.at:,}: expected {length:,} bytes, the file has {left:,} more")
        return length

    def take(self, length: int, what: str) -> bytes:
        self.at += self.need(length, what)
        return self.data[self.at - length : self.at]

    def byte(self, what: str) -> int:
        return self.take(1, what)[0]

    def varint(self, what: str) -> int:
        """Read an unsigned LEB128 number. Only the shortest form is legal, so that a file has one spelling."""
        start, value = self.at, 0
        for index in range(VARINT_BYTES):
            byte = self.byte(what)
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                if byte == 0 and index > 0:
                    raise CorruptStream(f"{what} at byte {start:,}: a number that is longer than it has to be")
                return value
        raise CorruptStream(f"{what} at byte {start:,}: a number of more than {VARINT_BYTES} bytes")

    def checksum(self, start: int, what: str) -> None:
        """Compare the 4 bytes here with the CRC-32 of everything from `start` up to here."""
        expected = _crc(memoryview(self.data)[start : self.at])
        if (found := self.take(4, f"checksum of {what}")) != expected:
            raise ChecksumMismatch(f"{what} at byte {start:,}: expected checksum {expected.hex()}, got {found.hex()}")
