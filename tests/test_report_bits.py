"""What the report says of bits: tools/bits_map.py, photo_bits.py, lossless_bits.py, codebook_map.py, model_bill.py."""

from __future__ import annotations

import numpy as np
import pytest

from codec import image, lossless
from codec.codebook import SLICES, codebook
from codec.container import Kind
from codec.errors import ModelError, ModelMismatch
from codec.photo import photo
from codec.picture import Image
from codec.residual import Group, encode_planes, residual
from codec.transform import BLOCK, analysis
from tests.checks import ROOT, conformance_model, lossless_model
from tests.pictures import picture, samples
from tools import lossless_bits
from tools.bits_map import BitsMap, bits_map
from tools.codebook_map import LOUD, books, patch
from tools.model_bill import bill
from tools.photo_bits import HALVES, HYPER


def of_photo(x: np.ndarray, quality: float = 50) -> tuple[BitsMap, bytes]:
    data = image.encode(Image.of(x), conformance_model(), quality=quality)
    return bits_map("x", data, conformance_model()), data


def of_exact(picture_: Image, **options: int) -> tuple[BitsMap, bytes]:
    data = lossless.encode(picture_, lossless_model(), **options)
    return bits_map("x", data, lossless_model()), data


def check_bill_of_bits(found: BitsMap, data: bytes, loss: float = 0.01) -> None:
    """Cells and overhead are the whole file; tables and bars are the cells; the coder itself loses next to nothing."""
    total = 8 * len(data)
    cells = found.cells.sum()
    assert found.size == len(data)
    assert found.cells.shape == (-(-found.image.height // 16), -(-found.image.width // 16))
    assert cells + sum(bits for _, bits in found.overhead) == pytest.approx(total, abs=1e-3)
    assert sum(bits or 0 for _, row in found.table for bits in row) == pytest.approx(cells, abs=1e-3)
    for bars in found.bars:
        assert sum(bits for _, bits in bars.parts) == pytest.approx(cells, abs=1e-3)
    lost = dict(found.overhead).get("the range coder's rounding, and its end", 0.0)
    assert abs(lost) <= 32 + loss * total
    assert found.cells.min() >= 0


@pytest.mark.parametrize(("shape", "quality"), [((16, 16), 90), ((133, 87), 20), ((64, 200), 99), ((40, 1040), 50)])
def test_bits_of_a_photo_are_those_of_its_file(shape, quality):
    found, data = of_photo(picture(*shape), quality)
    assert found.kind == Kind.PHOTO
    check_bill_of_bits(found, data)


def test_grey_alpha_and_metadata_have_their_place_in_the_bill():
    x = picture(40, 50)
    data = image.encode(Image(x[..., :1], x[..., 1], b"icc", b"exif!"), conformance_model(), quality=60)
    found = bits_map("x", data, conformance_model())
    check_bill_of_bits(found, data)
    overhead = dict(found.overhead)
    assert (overhead["ICC profile"], overhead["EXIF"]) == (24, 40)
    assert overhead["alpha"] > 0


def test_bits_are_where_the_picture_is_busy():
    x = np.full((128, 128, 3), 128, np.uint8)
    x[:64, 64:] = samples("noise", (64, 64, 3))
    found = of_photo(x, 70)[0]
    assert found.cells[:4, 4:].sum() > 0.7 * found.cells.sum()


def test_decisions_are_booked_where_their_pixels_are():
    """Noise to the right of a flat half, in a plane of odd sides: with cells of half the height less at the bottom."""
    x = np.full((88, 95), 100)
    x[:, 48:] = samples("noise", (88, 47, 1))[..., 0]
    built, groups = residual(lossless_model()), (Group(1, 8),)
    data = encode_planes(built, groups, [x])
    found = lossless_bits.tile_bits(built, groups, x.shape, data)
    finest = found.maps[0]
    assert finest.shape == (6, 6)
    assert finest[:, :3].sum() < 0.2 * finest[:, 3:].sum()
    assert 1.5 < finest[:5, 3:].mean() / finest[5, 3:].mean() < 2.7
    assert sum(cells.sum() for cells in found.maps.values()) == pytest.approx(found.bits)
    assert sum(found.parts.values()) == pytest.approx(found.bits)
    assert -8 < 8 * len(data) - found.bits < 40


@pytest.mark.parametrize(("shape", "options"), [((70, 50, 3), {}), ((37, 1, 1), {}), ((150, 140, 3), {"max_error": 2})])
def test_bits_of_an_exact_picture_are_those_of_its_file(shape, options):
    found, data = of_exact(Image.of(samples("photo", shape)), **options)
    assert found.kind == Kind.LOSSLESS
    check_bill_of_bits(found, data)


def test_levels_planes_and_alpha_of_an_exact_picture_add_up():
    found, data = of_exact(Image.of(samples("photo", (80, 90, 4), depth=16)))
    check_bill_of_bits(found, data)
    assert found.columns == ("luma", "orange-blue", "green-magenta", "alpha")
    rows = dict(found.table)
    assert sum(rows["level 0: every pixel"]) > sum(rows["level 1: every 2nd"]) > sum(rows["level 2: every 4th"])


def test_tiles_that_no_network_coded_are_named():
    flat = np.zeros((96, 80, 3), np.uint8)
    flat[20:40, 30:50] = (255, 0, 0)
    found, data = of_exact(Image.of(flat))
    check_bill_of_bits(found, data)
    assert [label for label, _ in found.table] == ["tiles coded as graphics"]


def test_a_file_of_another_model_is_refused():
    data = image.encode(Image.of(picture(16, 16)), conformance_model(), quality=50)
    with pytest.raises(ModelMismatch):
        bits_map("x", data, lossless_model())


def test_usage_counts_every_codeword_and_perplexity_is_that_of_its_shares():
    built = photo(conformance_model())
    maps = [of_photo(picture(64, 96, seed), 60)[0] for seed in (0, 1)]
    found = {book.name: book for book in books(built, maps)}
    pairs = found["slice 2: 10 groups of 2"]
    assert pairs.taken + pairs.split == sum(int(each.words[2].sum()) for each in maps)
    assert len(pairs.counts) == len(codebook(2).words)
    assert pairs.dead == (pairs.counts == 0).sum()
    share = pairs.counts[pairs.counts > 0] / pairs.taken
    assert pairs.perplexity == pytest.approx(np.prod(share**-share))
    assert 1 <= pairs.perplexity <= len(pairs.counts) - pairs.dead
    assert 0 < pairs.coded < 1
    blocks = 2 * 4 * 6
    assert found["hyper-latent, group 0"].taken == 2 * 1 * 2
    assert sum(each.flags[2] for each in maps) == blocks * SLICES[2].groups
    eights = sum(int(each.words[i][:, -1].sum()) for each in maps for i in (4, 5, 6))
    assert sum(int(each.words[HALVES].sum()) for each in maps) == 2 * eights
    assert all(each.words[HYPER].shape == (2, 64) for each in maps)


def test_equal_use_has_the_perplexity_of_its_number():
    from tools.codebook_map import Book

    book = Book("b", np.array([5, 0, 5, 5, 5]), 0, None, 0.0, ("",) * 5, ())
    assert (book.perplexity, book.entropy, book.dead) == (4.0, 2.0, 1)


def test_a_patch_is_the_codeword_in_the_picture():
    """Analysis of the patch has the codeword at its coefficients, and next to nothing else."""
    built, word, group, number = photo(conformance_model()), (1, 0, -1, 0), 3, 3
    x = np.full((3 * BLOCK, 3 * BLOCK, 3), 128.0)
    x[8:-8, 8:-8] = patch(built, number, group, word)
    assert np.abs(x - 128).max() == pytest.approx(LOUD, abs=1)
    y = analysis(x - 0.5)[1, 1]
    at = built.order[SLICES[number].start + 4 * group :][:4]
    assert y[at] / y[at[0]] == pytest.approx(np.array(word), abs=0.01)
    assert np.abs(np.delete(y, at)).max() < 0.01 * y[at[0]]


def test_the_bill_of_a_model_is_its_file():
    data = (ROOT / "bitstreams" / "v1" / "conformance.egmm").read_bytes()
    found = bill(data)
    assert found.size == len(data)
    assert sum(bits for _, _, bits in found.groups) / 8 + found.rest == pytest.approx(len(data))
    assert 0 < found.rest < 0.05 * len(data)
    tensors = conformance_model().tensors.values()
    assert sum(numbers for _, numbers, _ in found.groups) == sum(tensor.size for tensor in tensors)
    assert found.per_item(100.0, 10) == len(data) / 10 + 100


def test_the_bill_of_a_picture_is_refused():
    with pytest.raises(ModelError):
        bill(of_photo(picture(16, 16))[1])
