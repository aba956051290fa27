"""codec/packing.py: pictures of all kinds come back from an archive, in their order; what does not fit is refused."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np
import pytest

from codec import packing
from codec.archive import Archive
from codec.catalogue import Look
from codec.container import unpack
from codec.errors import ModelMismatch, UnsupportedInput
from codec.model import unpack_model
from codec.packing import Item, pack_archive
from codec.picture import Image
from codec.still import encode
from tests.checks import check_same_picture, conformance_model, frozen_lossless_model, style_model
from tests.pictures import samples

GENERAL = frozen_lossless_model()
STYLE = style_model()
GREY = unpack_model(STYLE)
COLOUR = unpack_model(style_model(3))


def picture(height: int, width: int, bands: int = 3, depth: int = 8, **options) -> Image:
    x = samples("photo", (height, width, bands), depth, height)
    found = Image.of(x)
    return Image(found.colour, found.alpha, bit_depth=depth, **options)


MIXED = [
    Item("deep/grey", picture(9, 8, 1)), Item("rgb", picture(7, 5)), Item("deep/rgba", picture(9, 8, 4)),
    Item("12 bits", picture(9, 8, 3, 12)), Item("grey again", picture(9, 8, 1)), Item("16 bits", picture(6, 8, 2, 16)),
    Item("1 bit", picture(9, 8, 1, 1)), Item("profile", picture(4, 4, icc=b"icc")), Item("large", picture(130, 128, 1)),
    Item("exif", picture(4, 4, 1, exif=b"II*\0")), Item("one", picture(1, 1, 1)),
    Item("palette", Image(np.arange(6, dtype=np.uint8).reshape(2, 3, 1), palette=np.eye(6, 4, dtype=np.uint8) * 99)),
]  # fmt: skip


def same(found: Archive, expected: list[Item]) -> None:
    assert len(found) == len(expected)
    for number, item in enumerate(expected):
        check_same_picture(found.image(number), item.image)
        assert found.name(number) == item.name


def test_pictures_that_are_alike_share_a_block_and_come_back_by_a_style():
    data = pack_archive(MIXED, COLOUR, alone=GENERAL)
    opened = Archive(data, model=COLOUR)
    shared = [number for number, entry in enumerate(opened.entries()) if not entry.alone]
    assert [MIXED[number].name for number in range(len(MIXED)) if number not in shared] == [
        "profile", "large", "exif", "palette"
    ]  # fmt: skip
    assert len(opened.blocks) == 7 + 4  # two are alike
    for number in shared:
        check_same_picture(opened.image(number), MIXED[number].image)


def test_all_of_them_come_back_by_one_model():
    same(Archive(pack_archive(MIXED, GENERAL), model=GENERAL), MIXED)


def test_bytes_do_not_depend_on_threads_and_pictures_are_read_once():
    taken = []

    class Lazy(list):
        def __iter__(self):
            return iter(taken.append(each) or each for each in super().__iter__())

    assert pack_archive(Lazy(MIXED), GENERAL, threads=3) == pack_archive(MIXED, GENERAL, threads=1)
    assert len(taken) == len(MIXED)


def test_a_bound_is_kept_by_colour_and_alpha_is_exact():
    items = [Item("a", picture(9, 8, 4)), Item("b", picture(130, 128, 1)), MIXED[-1]]
    opened = Archive(pack_archive(items, GENERAL, max_error=3), model=GENERAL)
    for number, item in enumerate(items):
        image, found = item.image.expanded(), opened.image(number)
        assert 0 < np.abs(found.colour.astype(int) - image.colour).max() <= 3
        np.testing.assert_array_equal(found.alpha, image.alpha)
    with pytest.raises(UnsupportedInput, match="thin: samples of 1 bits cannot be 3 off"):
        pack_archive([Item("thin", picture(9, 8, 1, 1))], GENERAL, max_error=3)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 2), (5, 4, 3), (5, 4, 4)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_arrays_come_back_identical(shape, kind):
    x = np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, (7, *shape)).astype(kind)
    data = pack_archive([Item("", Image.of(each)) for each in x], GENERAL, dimensions=x.ndim)
    opened = Archive(data, model=GENERAL)
    found = np.stack([opened.image(i).pixels for i in range(7)]).reshape(x.shape)
    np.testing.assert_array_equal(found, x)
    assert found.dtype == x.dtype
    assert opened.catalogue.names == ()


def test_pictures_of_an_array_have_one_shape_and_type():
    for other in (picture(9, 8, 3), picture(8, 9, 1), picture(9, 8, 1, 16)):
        with pytest.raises(UnsupportedInput, match="one shape and type"):
            pack_archive([Item("", picture(9, 8, 1)), Item("", other)], GENERAL, dimensions=3)


def test_a_digit_costs_its_bits_and_no_header():
    x = np.zeros((100, 28, 28), np.uint8)
    x[:, 5:20, 9:17] = 255
    data = pack_archive([Item("", Image.of(each)) for each in x], GENERAL, dimensions=3)
    assert len(data) < 600  # 6 bytes a digit
    assert len(data) < len(encode(x[0], quality=0, max_error=0, model=GENERAL)) * 10


def test_a_model_for_grey_leaves_colour_to_the_general_one():
    items = [Item("g", picture(9, 8, 1)), Item("c", picture(9, 8, 3))]
    data = pack_archive(items, GREY, embed=STYLE, alone=GENERAL)
    entries = list(Archive(data).entries())
    assert [entry.alone for entry in entries] == [False, True]
    check_same_picture(Archive(data).image(0), items[0].image)


def test_pictures_of_another_codec_stand_on_their_own():
    photo = conformance_model()
    items = [Item("a", picture(20, 30)), Item("b", picture(20, 30))]
    data = pack_archive(items, photo, quality=50)
    opened = Archive(data, model=photo)
    assert [entry.alone for entry in opened.entries()] == [True, True]
    assert np.abs(opened[0].astype(int) - items[0].image.colour).mean() < 40
    assert unpack(data)[0].model_id == photo.id


def test_what_is_added_leaves_the_blocks_before_it_as_they_are():
    before = pack_archive(MIXED[:5], GENERAL)
    after = pack_archive(MIXED[5:], GENERAL, after=Archive(before, model=GENERAL))
    same(Archive(after, model=GENERAL), MIXED)
    old, new = ([chunk.data for chunk in unpack(data)[1] if chunk.type == "B"] for data in (before, after))
    assert new[: len(old)] == old
    array = pack_archive([Item("", picture(9, 8, 1))] * 3, GREY, embed=STYLE, dimensions=3)
    longer = pack_archive([Item("", picture(9, 8, 1))] * 2, GREY, dimensions=3, after=Archive(array))
    assert len(Archive(longer)) == 5
    check_same_picture(Archive(longer).image(4), picture(9, 8, 1))


def test_what_does_not_fit_is_not_added():
    named = Archive(pack_archive(MIXED[:1], GENERAL), model=GENERAL)
    array = Archive(pack_archive([Item("", picture(9, 8, 1))], GENERAL, dimensions=3), model=GENERAL)
    with pytest.raises(UnsupportedInput, match="two pictures are called 'deep/grey'"):
        pack_archive(MIXED[:1], GENERAL, after=named)
    with pytest.raises(UnsupportedInput, match="error of 0, not 1"):
        pack_archive(MIXED[1:2], GENERAL, after=named, max_error=1)
    with pytest.raises(UnsupportedInput, match=r"holds pictures with names, not an array \(N, H, W\)"):
        pack_archive(MIXED[1:2], GENERAL, after=named, dimensions=3)
    with pytest.raises(UnsupportedInput, match="one shape and type"):
        pack_archive([Item("", picture(8, 8, 1))], GENERAL, after=array, dimensions=3)
    with pytest.raises(ModelMismatch, match="made with model"):
        pack_archive(MIXED[1:2], GREY, after=named)


def test_nothing_and_too_much_are_refused(monkeypatch):
    with pytest.raises(UnsupportedInput, match="no pictures"):
        pack_archive([], GENERAL)
    with pytest.raises(UnsupportedInput, match=r"'\.\./a' is no name"):
        pack_archive([Item("../a", picture(2, 2))], GENERAL)
    monkeypatch.setattr(packing, "DEFAULT", packing.DEFAULT.__class__(max_chunks=4))
    with pytest.raises(UnsupportedInput, match="more than 2 blocks"):
        pack_archive(MIXED, GENERAL)


def test_pictures_are_let_go_as_soon_as_their_block_is_coded():
    alive = list[weakref.ref]()
    most = 0

    class Made(Sequence):
        def __len__(self):
            return 400

        def __getitem__(self, number):
            nonlocal most
            if number >= len(self):
                raise IndexError
            alive.append(weakref.ref(x := np.full((16, 32), number % 251, np.uint8)))
            most = max(most, sum(ref() is not None for ref in alive))
            return Item("", Image.of(x))

    data = pack_archive(Made(), GREY, dimensions=3, threads=1)
    assert most <= 3 * Archive(data).catalogue.layout[0].count < 200


def test_the_header_names_the_largest_picture():
    header, _ = unpack(pack_archive(MIXED, GENERAL))
    assert (header.width, header.height, header.channels, header.bit_depth, header.frames) == (128, 130, 1, 8, 12)
    assert Archive(pack_archive(MIXED[:1], GENERAL)).largest == Look(9, 8, 1, False, 8)
