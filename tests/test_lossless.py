"""codec/lossless.py: exact pictures, or pictures within a bound; nothing but errors of the codec from hostile files."""

from __future__ import annotations

import functools
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import intnet, lossless, residual
from codec.container import Chunk, Header, Kind, pack, unpack
from codec.digest import digest
from codec.errors import (
    CodecError,
    CorruptStream,
    Desync,
    LimitExceeded,
    ModelError,
    ModelMismatch,
    ModelNotFound,
    UnsupportedInput,
    UnsupportedVersion,
)
from codec.limits import Limits
from codec.lossless import Crop
from codec.picture import Image
from codec.tile import Mode, largest_error
from tests.checks import (
    check_bit_flips,
    check_only_codec_errors,
    check_same_picture,
    check_truncations,
    conformance_model,
    lossless_model,
)
from tests.pictures import KINDS, images, samples
from training import engine

PREVIEW = 8


@pytest.fixture(scope="module")
def model():
    return lossless_model()


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of at most 64 pixels a side, so that small pictures have several."""
    monkeypatch.setattr(lossless, "PHOTO_SIDE", 6)
    monkeypatch.setattr(lossless, "GRAPHICS_SIDE", 6)


def coded(source: Image, **options) -> bytes:
    return lossless.encode(source, lossless_model(), **{"threads": 1} | options)


def opened(data: bytes, **options) -> Image:
    return lossless.decode(data, **{"threads": 1, "model": lossless_model()} | options)


def photo(height: int, width: int, bands: int = 3, depth: int = 8) -> Image:
    return replace(Image.of(samples("photo", (height, width, bands), depth)), bit_depth=depth)


def raw_bits(source: Image) -> int:
    return source.pixels.size * source.bit_depth


def check_comes_back(source: Image, max_error: int = 0, **options) -> None:
    """Within the bound, alpha exact, with all that is carried, in a file that is not much longer than the samples."""
    data = coded(source, max_error=max_error, **options)
    found = opened(data)
    check_same_picture(replace(found, colour=source.colour), source)
    assert found.colour.dtype == source.colour.dtype
    assert np.abs(found.colour.astype(int) - source.colour).max() <= max_error
    tiles = sum(chunk.type == "T" for chunk in unpack(data)[1])
    carried = [source.icc or b"", source.exif or b"", b"" if source.palette is None else bytes(source.palette)]
    extra = sum(len(each) + 12 for each in carried if each)
    assert len(data) <= -(-raw_bits(source) // 8) + extra + 64 + 16 * tiles


@settings(max_examples=10)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 4), st.sampled_from([8, 16]), st.sampled_from(KINDS))
def test_any_shape_comes_back(height, width, bands, depth, kind):
    if height * width > 10_000:  # what is large both ways has its place below
        height = -(-height // 16)
    check_comes_back(Image.of(samples(kind, (height, width, bands), depth)))


@settings(max_examples=20)
@given(images(longest=12), st.integers(1, 9))
def test_any_kind_of_picture_comes_back(source, effort):
    check_comes_back(source, effort=effort)


NASTY = [(1, 1), (1, 2), (2, 1), (2, 2), (1, 300), (300, 1), (2, 129), (7, 8), (8, 9), (9, 7), (63, 65), (64, 64),
         (65, 63), (511, 3), (2, 512), (513, 4), (128, 16), (129, 17)]  # fmt: skip


@pytest.mark.parametrize("size", NASTY)
def test_nasty_shapes_come_back(size):
    check_comes_back(photo(*size, 2))


def test_a_large_picture_comes_back():
    check_comes_back(photo(300, 291, 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [8, 16])
def test_kinds_of_content_come_back(kind, depth):
    for bands in (1, 2, 3, 4):
        check_comes_back(Image.of(samples(kind, (9, 13, bands), depth)))


@settings(max_examples=15)
@given(st.integers(1, 14), st.integers(1, 14), st.integers(1, 4), st.integers(1, 16), st.sampled_from(KINDS), st.data())
def test_no_sample_is_further_off_than_the_bound_and_alpha_is_exact(height, width, bands, depth, kind, data):
    source = replace(Image.of(samples(kind, (height, width, bands), depth)), bit_depth=depth)
    check_comes_back(source, max_error=data.draw(st.integers(0, largest_error(depth))))


def test_a_larger_bound_makes_a_smaller_file():
    lengths = [len(coded(photo(40, 48, 1), max_error=error)) for error in (0, 1, 2, 20)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[2] < 0.75 * lengths[0]


def test_icc_and_exif_are_kept():
    source = replace(photo(5, 6), icc=bytes(range(256)), exif=b"II*\0rest")
    found = opened(coded(source))
    assert (found.icc, found.exif) == (source.icc, source.exif)


def test_a_palette_and_its_indices_are_kept():
    rng = np.random.default_rng(0)
    for depth, columns in ((1, 3), (2, 4), (4, 3), (8, 4)):
        palette = rng.integers(0, 256, ((1 << depth) - (depth > 1), columns), np.uint8)
        indices = rng.integers(0, len(palette), (14, 15, 1), np.uint8)
        source = Image(indices, palette=palette, bit_depth=depth)
        check_comes_back(source)
        check_same_picture(opened(coded(source), crop=Crop(3, 4, 5, 6)), replace(source, colour=indices[4:10, 3:8]))


def test_the_bytes_do_not_depend_on_threads_and_repeat(small_tiles):
    for source in (photo(3, 190, 2), photo(66, 65, 1)):
        data = {coded(source, threads=threads) for threads in (1, 2, 16, 1)}
        assert len(data) == 1
        for threads in (1, 2, 16):
            check_same_picture(opened(*data, threads=threads), source)


def test_arrays_of_any_layout_are_encoded_alike():
    x = photo(12, 17).colour
    turned = np.asfortranarray(x), x[::-1].copy()[::-1], np.repeat(x, 2, axis=1)[:, ::2]
    assert {coded(Image(each)) for each in turned} == {coded(Image(x))}


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (20, 33), (66, 70)])
@pytest.mark.parametrize("max_error", [0, 3])
def test_a_preview_is_every_eighth_row_and_column(small_tiles, size, max_error):
    for source in (photo(*size, 2 if max(size) > 64 else 4), Image.of(samples("constant", (*size, 2)))):
        data = coded(source, max_error=max_error)
        whole, preview = opened(data), opened(data, preview=True)
        check_same_picture(
            preview,
            replace(
                whole,
                colour=whole.colour[::PREVIEW, ::PREVIEW],
                alpha=None if whole.alpha is None else whole.alpha[::PREVIEW, ::PREVIEW],
            ),
        )


def test_a_preview_decodes_the_coarse_levels_alone(monkeypatch):
    data, pixels = coded(photo(128, 128, 1)), []
    code_samples = residual.code_samples
    monkeypatch.setattr(residual, "code_samples", lambda mix, *rest: pixels.append(mix.shape[1]) or
                        code_samples(mix, *rest))  # fmt: skip
    opened(data, preview=True)
    few = sum(pixels)
    opened(data)
    assert 50 * few < sum(pixels) - few


def cut(source: Image, crop: Crop) -> Image:
    window = (slice(crop.y, crop.y + crop.height), slice(crop.x, crop.x + crop.width))
    alpha = None if source.alpha is None else source.alpha[window]
    return replace(source, colour=source.colour[window], alpha=alpha)


@functools.cache
def tiled_picture() -> tuple[Image, bytes]:
    """A picture of 3 x 4 tiles of noise, which is quick, and its file."""
    source = Image.of(samples("noise", (150, 200, 2)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lossless, "PHOTO_SIDE", 6)
        return source, coded(source)


@pytest.fixture
def tiled():
    return tiled_picture()


@settings(max_examples=40)
@given(st.data())
def test_a_crop_is_a_part_of_the_picture_and_decodes_only_the_tiles_that_it_touches(data):
    source, stream = tiled_picture()
    x, y = data.draw(st.integers(0, 199)), data.draw(st.integers(0, 149))
    crop = Crop(x, y, data.draw(st.integers(1, 200 - x)), data.draw(st.integers(1, 150 - y)))
    boxes = lossless._boxes(150, 200, 6)
    touched = [
        (box.bottom - box.top, box.right - box.left)
        for box in boxes
        if set(range(box.top, box.bottom)) & set(range(y, y + crop.height))
        and set(range(box.left, box.right)) & set(range(x, x + crop.width))
    ]
    calls, decode_tile = [], lossless.decode_tile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lossless, "decode_tile", lambda *rest: calls.append(rest[3]) or decode_tile(*rest))
        check_same_picture(opened(stream, crop=crop), cut(source, crop))
    assert calls == touched
    assert len(boxes) == 12


def test_a_damaged_tile_outside_a_crop_does_not_matter(tiled):
    source, stream = tiled
    header, chunks = unpack(stream)
    tiles = [number for number, chunk in enumerate(chunks) if chunk.type == "T"]
    spoilt = [Chunk("T", b"\x09") if number == tiles[-1] else chunk for number, chunk in enumerate(chunks)]
    bad = pack(header, spoilt)
    check_same_picture(opened(bad, crop=Crop(0, 0, 64, 64)), cut(source, Crop(0, 0, 64, 64)))
    with pytest.raises(CorruptStream):
        opened(bad)


@pytest.mark.parametrize("crop", [(-1, 0, 2, 2), (0, 0, 0, 1), (0, 0, 201, 1), (199, 149, 1, 2), (0, -3, 5, 5)])
def test_a_crop_has_to_be_inside_the_picture(tiled, crop):
    with pytest.raises(ValueError, match="is not inside a picture of 200 x 150"):
        opened(tiled[1], crop=Crop(*crop))


def test_a_preview_of_a_crop_is_a_part_of_the_preview(tiled):
    source, stream = tiled
    found = opened(stream, crop=Crop(64, 16, 72, 100), preview=True)
    check_same_picture(found, replace(source, colour=source.colour[16:116:8, 64:136:8],
                                      alpha=source.alpha[16:116:8, 64:136:8]))  # fmt: skip


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from(lossless.SIDES))
def test_tiles_cover_the_picture_once_and_begin_where_previews_fit(height, width, side):
    boxes = lossless._boxes(height, width, side)
    assert sum((box.bottom - box.top) * (box.right - box.left) for box in boxes) == height * width
    assert len(set(boxes)) == len(boxes)
    for box in boxes:
        assert box.top % 64 == box.left % 64 == 0
        assert 0 <= box.top < box.bottom <= height
        assert 0 <= box.left < box.right <= width
        assert max(box.bottom - box.top, box.right - box.left) <= 1 << side


def test_both_engines_make_and_read_the_same_file(monkeypatch):
    monkeypatch.setattr("codec.tile.looks_like_graphics", lambda x: False)
    source = photo(20, 60, 4)
    expected = coded(source)
    assert unpack(expected)[0].model_id == lossless_model().id
    monkeypatch.setattr(intnet, "run", engine.run)
    assert coded(source) == expected
    check_same_picture(opened(expected), source)


def test_a_file_without_networks_needs_no_model(monkeypatch):
    data = coded(Image.of(samples("noise", (30, 40, 3))))
    assert unpack(data)[0].model_id == bytes(8)
    assert opened(data, model=None).width == 40
    monkeypatch.setattr("codec.tile.looks_like_graphics", lambda x: False)
    with pytest.raises(ModelNotFound, match=lossless_model().id.hex()):
        opened(coded(photo(40, 40)), model=None)


def test_progress_counts_tiles(small_tiles):
    seen = []
    data = coded(photo(70, 130, 1), progress=lambda *at: seen.append(at))
    assert seen == [(number, 6) for number in range(1, 7)]
    opened(data, progress=lambda *at: seen.append(at), crop=Crop(0, 0, 1, 1))
    assert seen[6:] == [(1, 1)]


def test_settings_have_ranges(model):
    for effort in (0, 10):
        with pytest.raises(ValueError, match="effort is 1 to 9"):
            coded(photo(4, 4), effort=effort)
    for source, error in ((photo(4, 4), 128), (photo(4, 4), -1), (photo(4, 4, 1, 1), 1), (photo(4, 4, 3, 16), 32768)):
        with pytest.raises(UnsupportedInput, match=f"an error of {error} for samples"):
            coded(source, max_error=error)
    drawing = Image(np.zeros((4, 4, 1), np.uint8), palette=np.zeros((1, 3), np.uint8))
    with pytest.raises(UnsupportedInput, match="expand the picture to RGB"):
        coded(drawing, max_error=1)
    with pytest.raises(ModelError, match="is not lossless"):
        lossless.encode(photo(4, 4), conformance_model())


SMALL = Image.of(samples("photo", (9, 10, 2)))


def test_every_truncation_is_refused():
    check_truncations(opened, coded(SMALL))


def test_every_flipped_bit_is_refused():
    check_bit_flips(opened, coded(Image.of(samples("photo", (5, 6, 1)))))


def changed(data: bytes, **fields: object) -> bytes:
    header, chunks = unpack(data)
    return pack(replace(header, **fields), chunks)


def with_chunk(data: bytes, letter: str, *bodies: bytes) -> bytes:
    """The file with other chunks of a type, in front."""
    header, chunks = unpack(data)
    return pack(header, [Chunk(letter, body) for body in bodies] + [each for each in chunks if each.type != letter])


def test_another_digest_is_a_desync_and_another_model_a_mismatch():
    data = coded(photo(20, 20))
    with pytest.raises(Desync, match="not those the encoder saw"):
        opened(changed(data, digest=b"1234"))
    with pytest.raises(ModelMismatch, match=lossless_model().id.hex()):
        opened(changed(data, model_id=bytes(8)))


@pytest.mark.parametrize(
    ("flags", "side", "error"), [(2, 9, 0), (255, 9, 0), (0, 5, 0), (0, 13, 0), (0, 255, 0), (0, 9, 128), (0, 9, 65535)]
)
def test_a_plan_that_makes_no_sense_is_refused(flags, side, error):
    with pytest.raises(CorruptStream, match="make no sense"):
        opened(with_chunk(coded(photo(4, 4)), "P", struct.pack("<BBH", flags, side, error)))


def test_a_plan_of_another_length_or_none_is_refused():
    for bodies in ([], [b""], [bytes(3)], [bytes(5)]):
        with pytest.raises(CorruptStream, match="chunk P"):
            opened(with_chunk(coded(photo(4, 4)), "P", *bodies))


def test_a_palette_that_makes_no_sense_is_refused():
    drawing = Image(np.array([[[0], [1], [2]]], np.uint8), palette=np.eye(3, dtype=np.uint8), bit_depth=2)
    data = coded(drawing)
    for body in (b"", b"\3", b"\2ab", b"\3ab", b"\5abcde", b"\3" + bytes(15), b"\4abc"):
        with pytest.raises(CorruptStream, match="a palette of"):
            opened(with_chunk(data, "C", body))
    with pytest.raises(CorruptStream, match="an index of 2 into a palette of 2 colours"):
        opened(with_chunk(data, "C", b"\3" + bytes(6)))
    for other in (photo(4, 4), photo(4, 4, 2), photo(4, 4, 1, 16), photo(4, 4, 1, 3)):
        with pytest.raises(CorruptStream, match=r"no palette picture has|a palette of"):
            opened(with_chunk(coded(other), "C", b"\3" + bytes(6)))


def test_tiles_have_to_be_as_many_as_the_size_says():
    header, chunks = unpack(coded(SMALL))
    for count in (0, 2, 9):
        with pytest.raises(CorruptStream, match=f"{count} tiles for 10 x 9 pixels, expected 1"):
            opened(pack(header, [chunks[0], *[chunks[1]] * count]))


def test_other_kinds_and_channels_are_refused():
    data = coded(SMALL)
    with pytest.raises(UnsupportedVersion, match="2 channels"):
        opened(changed(data, channels=2))
    with pytest.raises(UnsupportedVersion, match="kind PHOTO"):
        opened(pack(Header(Kind.PHOTO, 4, 4, 3, 8, 1), [Chunk("T", b"")]))


def test_a_bomb_is_refused_before_anything_is_allocated(monkeypatch):
    data = coded(SMALL)
    with pytest.raises(LimitExceeded, match="max_pixels"):
        opened(changed(data, width=1 << 18, height=1 << 18))
    with pytest.raises(LimitExceeded):
        opened(data, limits=Limits(max_pixels=89))
    monkeypatch.setattr(np, "empty", lambda *_: pytest.fail("allocated"))
    with pytest.raises(CorruptStream, match="1 tiles for"):
        opened(changed(data, width=1 << 18, height=1 << 18), limits=Limits(max_pixels=2**40))


def test_a_failing_tile_ends_the_work_of_all_threads(tiled):
    header, chunks = unpack(tiled[1])
    spoilt = [Chunk("T", b"\x50") if number == 5 else chunk for number, chunk in enumerate(chunks)]
    with pytest.raises(CorruptStream, match="a tile of 1 bytes and mode 50"):
        opened(pack(header, spoilt), threads=3)


def mutated(rng: np.random.Generator, data: bytes) -> bytes:
    """Another body of the same chunk: bytes changed, cut, put in, or none left."""
    body = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        place, what = int(rng.integers(len(body) + 1)), int(rng.integers(5))
        if what == 0:
            del body[place:]
        elif what == 1:
            body[place:place] = rng.bytes(int(rng.integers(1, 9)))
        elif place < len(body):
            body[place] = int(rng.integers(256)) if what == 2 else body[place] ^ 1 << int(rng.integers(8))
    return bytes(body)


@pytest.mark.parametrize("which", ["photo", "alpha", "noise", "palette", "deep"])
def test_mutated_files_with_right_checksums_end_in_errors_of_the_codec(which):
    rng = np.random.default_rng(len(which))
    palette = rng.integers(0, 256, (7, 4), np.uint8)
    source = {
        "photo": photo(5, 7),
        "alpha": photo(5, 8, 2),
        "noise": Image.of(samples("noise", (6, 5, 4))),
        "palette": Image(np.resize(np.arange(7, dtype=np.uint8), (8, 9, 1)), palette=palette, bit_depth=4),
        "deep": photo(4, 4, 4, 13),
    }[which]
    header, chunks = unpack(coded(source, max_error=which == "alpha"))
    model_id = lossless_model().id
    for number in range(50):
        fields = {
            "width": int(rng.choice([header.width, 1, header.width + 1, 1000])),
            "channels": int(rng.choice([header.channels, 1, 3])),
            "bit_depth": int(rng.choice([header.bit_depth, 1, 7, 8, 16])),
            "model_id": (model_id, bytes(8))[number % 2],
        }
        kept = rng.random() < 0.7
        other = header if kept else replace(header, **fields)
        at = int(rng.integers(len(chunks)))
        bodies = [Chunk(each.type, mutated(rng, each.data) if i == at else each.data) for i, each in enumerate(chunks)]
        data = pack(other, bodies)
        check_only_codec_errors(opened, data, f"mutation {number}")
        if number % 5 == 0:
            check_only_codec_errors(lambda data: opened(data, preview=True), data, f"mutation {number}, preview")


def test_no_mutation_of_a_tile_passes_for_the_picture():
    source = photo(4, 5, 1)
    header, chunks = unpack(coded(source))
    rng = np.random.default_rng(5)
    for _ in range(30):
        bodies = [Chunk(each.type, mutated(rng, each.data) if each.type == "T" else each.data) for each in chunks]
        try:
            found = opened(pack(header, bodies))
        except CodecError:
            continue
        assert digest(found) == header.digest  # other bytes may spell the same pixels, but no others


def test_tiles_of_every_mode_stand_in_one_file(small_tiles):
    x = samples("photo", (30, 192, 3))
    x[:, 64:128] = samples("noise", (30, 64, 3))
    x[:, 128:] = 7
    data = coded(Image(x))
    modes = [chunk.data[0] for chunk in unpack(data)[1] if chunk.type == "T"]
    assert modes[:2] == [Mode.RESIDUAL, Mode.STORED]
    np.testing.assert_array_equal(opened(data).colour, x)
