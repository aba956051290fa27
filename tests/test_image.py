"""codec/image.py: a picture goes in, a file comes out, and every machine gets the same pixels from it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from codec import entropy, image
from codec.codebook import SLICES
from codec.container import Chunk, Kind, pack, unpack
from codec.errors import CorruptStream, Desync, LimitExceeded, ModelMismatch, ModelNotFound, TargetUnreachable
from codec.image import Canvas, decode, digest, encode, encode_to_target, measure_psnr
from codec.intnet import pattern
from codec.limits import Limits
from codec.photo import photo
from codec.pixels import Image
from tests.checks import check_bit_flips, check_truncations, conformance_model
from tools.synthetic import picture

MODEL = conformance_model()
SIZES = [(1, 1), (1, 17), (17, 1), (16, 16), (15, 33), (300, 5), (3, 260), (70, 61)]


def coded(picture_: Image, quality: float = 50, **options: object) -> bytes:
    return encode(picture_, MODEL, quality=quality, **options)


def opened(data: bytes, **options: object) -> Image:
    return decode(data, model=MODEL, **options)


def flat(height: int, width: int, *levels: int) -> Image:
    return Image(np.full((height, width, len(levels)), levels, np.uint8))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_any_size_comes_back_and_close(size, channels):
    source = Image(picture(*size, channels))
    found = opened(coded(source, 100))
    assert found.colour.shape == source.colour.shape
    assert measure_psnr(source.colour, found.colour) > 28


@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_is_exact_and_metadata_is_carried(channels):
    alpha = np.random.default_rng(0).integers(0, 256, (20, 31), np.uint8)
    source = Image(picture(20, 31, channels), alpha, icc=bytes(range(256)), exif=b"II*\0rest")
    found = opened(coded(source))
    assert np.array_equal(found.alpha, alpha)
    assert (found.icc, found.exif) == (source.icc, source.exif)


def test_arrays_of_any_layout_are_encoded_alike():
    x = picture(40, 50)
    turned = np.asfortranarray(x), x[::-1][::-1], np.repeat(x, 2, axis=1)[:, ::2]
    assert {coded(Image(each)) for each in turned} == {coded(Image(x))}


@pytest.mark.parametrize("tile", [1, 2, 3])
def test_neither_threads_nor_the_order_of_work_show(monkeypatch, tile):
    monkeypatch.setattr(image, "TILE", tile)
    source = Image(picture(75, 90, 3, 1, 20.0))
    data = {coded(source, 70, threads=threads) for threads in (1, 2, 3)}
    assert len(data) == 1
    found = [opened(*data, threads=threads) for threads in (1, 2)]
    assert {digest(each) for each in found} == {unpack(*data)[0].digest}


def test_tiles_have_no_seams(monkeypatch):
    monkeypatch.setattr(image, "TILE", 2)
    y, x = np.mgrid[:96, :96]
    source = (x + y)[..., None] * np.ones(3) * 1.2 + 10
    source = Image(np.rint(source).astype(np.uint8))
    off = opened(coded(source, 60)).colour.astype(float) - source.colour
    steps = np.abs(np.diff(off, axis=1)).mean(axis=(0, 2))  # of the error, from column to column
    assert steps[31::32].max() < 2 * np.median(steps) + 1


@pytest.mark.parametrize("tile", [1, 2, 5, 64])
def test_pixels_do_not_depend_on_how_they_are_painted(monkeypatch, tile):
    built, (h, w) = photo(MODEL), (9, 7)
    y = pattern((h, w, SLICES[-1].stop), -2000, 2000)

    def painted(rows: int) -> np.ndarray:
        canvas = Canvas(built, 16 * h - 3, 16 * w - 5, 3)
        for top in range(0, h, rows):
            bottom = min(top + rows, h)
            for left in range(0, w, rows):
                right = min(left + rows, w)
                canvas.add((top, bottom, left, right), y[top:bottom, left:right], 20)
        return canvas.colour

    whole = painted(64)
    monkeypatch.setattr(image, "TILE", tile)
    assert np.array_equal(painted(tile), whole)


def test_files_are_hardly_longer_than_the_information(monkeypatch):
    total, encoded = 0.0, entropy.Encoder.encode

    def count(self, symbols, freqs):
        nonlocal total
        total += entropy.bits(symbols, freqs)
        encoded(self, symbols, freqs)

    monkeypatch.setattr(entropy.Encoder, "encode", count)
    for size, quality in (((1, 1), 50), ((64, 80), 20), ((160, 160), 95)):
        total = 0.0
        data = coded(Image(picture(*size, 3, 2, 10.0)), quality)
        assert len(data) <= 1.01 * total / 8 + 40


SMALL = Image(picture(20, 24, 3, 2), alpha=np.tile(np.arange(24, dtype=np.uint8), (20, 1)), icc=b"profile")


def test_every_truncation_is_refused():
    check_truncations(opened, coded(SMALL, 20))


def test_every_flipped_bit_is_refused():
    check_bit_flips(opened, coded(SMALL, 20))


def changed(data: bytes, **fields: object) -> bytes:
    header, chunks = unpack(data)
    return pack(replace(header, **fields), chunks)


def test_another_digest_is_a_desync():
    with pytest.raises(Desync, match="not those the encoder saw"):
        opened(changed(coded(SMALL), digest=b"1234"))


def test_tiles_have_to_be_as_many_as_the_size_says():
    header, chunks = unpack(coded(SMALL))
    for count in (0, 2, 9):
        with pytest.raises(CorruptStream, match=f"{count} tiles for 24 x 20 pixels, expected 1"):
            opened(pack(header, [*chunks[:1] * count, *chunks[1:]]))


def test_tiles_have_to_agree_on_the_quality(monkeypatch):
    monkeypatch.setattr(image, "TILE", 1)
    header, tiles = unpack(coded(Image(SMALL.colour), 50))
    tiles = [tiles[0], Chunk("T", bytes([tiles[1].data[0] + 1]) + tiles[1].data[1:]), *tiles[2:]]
    with pytest.raises(CorruptStream, match="the ones before it"):
        opened(pack(header, tiles))


def test_a_failing_tile_ends_the_work_of_all_threads(monkeypatch):
    monkeypatch.setattr(image, "TILE", 1)
    header, tiles = unpack(coded(Image(picture(64, 64)), 50))
    bad = [Chunk("T", b"\x50") if i == 5 else tile for i, tile in enumerate(tiles)]
    with pytest.raises(CorruptStream, match="step index is 80"):
        opened(pack(header, bad), threads=3)


def test_a_bomb_is_refused_before_anything_is_allocated():
    data = changed(coded(SMALL), width=1 << 18, height=1 << 18)
    with pytest.raises(LimitExceeded, match="max_pixels"):
        opened(data)
    with pytest.raises(CorruptStream, match="1 tiles for"):
        opened(data, limits=Limits(max_pixels=2**40))  # the canvas would be 200 gigabytes
    with pytest.raises(LimitExceeded):
        opened(coded(SMALL), limits=Limits(max_pixels=479))


def test_the_model_has_to_be_the_one_that_was_used():
    with pytest.raises(ModelMismatch, match=MODEL.id.hex()):
        opened(changed(coded(SMALL), model_id=bytes(8)))
    with pytest.raises(ModelNotFound, match="0000000000000000"):
        decode(changed(coded(SMALL), model_id=bytes(8)))


def test_what_is_no_photo_is_refused_before_its_model_is_looked_for():
    header, _ = unpack(coded(SMALL))
    for other in (replace(header, kind=Kind.ARCHIVE), replace(header, channels=2), replace(header, bit_depth=16)):
        with pytest.raises(image.UnsupportedVersion, match=r"archive|2 channels|16 bits"):
            decode(pack(replace(other, model_id=bytes(8)), [Chunk("z", b"")]))


def test_more_quality_is_more_bytes_and_more_decibels():
    sources = [Image(picture(64, 96, 3, seed, 8.0)) for seed in range(4)]
    sizes, decibels = [], []
    for quality in (0, 20, 40, 60, 80, 100):
        data = [coded(source, quality) for source in sources]
        sizes.append(sum(map(len, data)))
        pairs = ((source.colour, opened(d).colour) for source, d in zip(sources, data, strict=True))
        decibels.append(np.mean([measure_psnr(*pair) for pair in pairs]))
    assert sizes == sorted(sizes)
    assert decibels == sorted(decibels)


@pytest.mark.parametrize("effort", range(1, 10))
def test_every_effort_makes_files_that_decode(effort):
    source = Image(picture(48, 64, 3, 3, 10.0))
    assert measure_psnr(opened(coded(source, 80, effort=effort)).colour, source.colour) > 25


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_stays_grey(channels):
    source = Image(np.repeat(picture(40, 50, 1, 4), channels, axis=2))
    found = opened(coded(source, 90)).colour
    assert found.shape == source.colour.shape
    assert np.ptp(found.astype(int), axis=2).max() <= 12  # exactly grey with one channel
    assert np.ptp(found.astype(int), axis=2).mean() < 1


@pytest.mark.parametrize("bpp", [0.3, 1.0, 2.0])
def test_a_target_rate_is_kept_and_used(bpp):
    source = Image(picture(64, 96, 3, 1, 8.0))
    data = encode_to_target(source, MODEL, bpp=bpp)
    assert 8 * len(data) <= bpp * 64 * 96
    index = unpack(data)[1][0].data[0]
    better = coded(source, (index + 1) / 63 * 100) if index < 63 else None
    assert better is None or 8 * len(better) > bpp * 64 * 96


@pytest.mark.parametrize("psnr", [24.0, 28.0, 31.0])
def test_a_target_psnr_is_kept_and_no_more(psnr):
    source = Image(picture(64, 96, 3, 1, 4.0))
    data = encode_to_target(source, MODEL, psnr=psnr)
    assert measure_psnr(source.colour, opened(data).colour) >= psnr
    index = unpack(data)[1][0].data[0]
    worse = opened(coded(source, (index - 1) / 63 * 100)) if index else None
    assert worse is None or measure_psnr(source.colour, worse.colour) < psnr


def test_a_target_out_of_reach_is_an_error():
    source = Image(picture(32, 32))
    for target in ({"bpp": 0.001}, {"psnr": 99.0}):
        with pytest.raises(TargetUnreachable, match="nearest is"):
            encode_to_target(source, MODEL, **target)
    for wrong in ({}, {"bpp": 1.0, "psnr": 30.0}):
        with pytest.raises(ValueError, match="one of the two"):
            encode_to_target(source, MODEL, **wrong)


@pytest.mark.parametrize("wrong", [{"quality": -1}, {"quality": 100.5}, {"quality": math.nan}, {"effort": 0}])
def test_settings_have_ranges(wrong):
    with pytest.raises(ValueError, match=r"is 0 to 100|is 1 to 9"):
        encode(SMALL, MODEL, **({"quality": 50} | wrong))


def test_progress_counts_the_tiles(monkeypatch):
    monkeypatch.setattr(image, "TILE", 1)
    seen: list[tuple[int, int]] = []
    opened(coded(Image(picture(20, 40)), progress=lambda *at: seen.append(at)), progress=lambda *at: seen.append(at))
    assert seen == [(i, 6) for i in range(1, 7)] * 2


def test_psnr_is_what_its_formula_says():
    x = picture(50, 60)
    y = np.clip(x.astype(int) + 3, 0, 255).astype(np.uint8)
    mse = ((x.astype(float) - y) ** 2).mean()
    assert measure_psnr(x, y) == pytest.approx(10 * math.log10(255**2 / mse))
    assert measure_psnr(x, x) == math.inf


def test_the_digest_sees_shape_colour_and_alpha():
    x = flat(4, 6, 0, 0, 0)
    others = [flat(6, 4, 0, 0, 0), flat(4, 6, 0), flat(4, 6, 0, 0, 1), replace(x, alpha=np.zeros((4, 6), np.uint8))]
    assert len({digest(each) for each in (x, *others)}) == 5
