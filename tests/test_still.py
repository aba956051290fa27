"""codec/still.py: pictures of every kind find their main path."""

from __future__ import annotations

import numpy as np
import pytest

from codec import still
from codec.container import Kind, unpack
from codec.errors import ModelError, UnsupportedInput
from codec.lossless import Crop
from codec.picture import Image
from tests.checks import check_only_codec_errors, check_refused, check_same_picture, conformance_model, lossless_model
from tests.pictures import samples

EXACT, LOSSY = lossless_model(), conformance_model()
SOURCE = Image.of(samples("photo", (40, 50, 4)))


def exact() -> bytes:
    return still.encode(SOURCE, quality=50, max_error=0, model=EXACT)


def lossy() -> bytes:
    return still.encode(SOURCE, quality=50, model=LOSSY)


def test_a_bound_on_the_error_makes_a_lossless_file_and_none_a_photo():
    for data, kind in ((exact(), Kind.LOSSLESS), (lossy(), Kind.PHOTO)):
        assert unpack(data)[0].kind == kind
    check_same_picture(still.decode(exact(), model=EXACT), SOURCE)
    found = still.decode(lossy(), model=LOSSY)
    np.testing.assert_array_equal(found.alpha, SOURCE.alpha)
    assert not np.array_equal(found.colour, SOURCE.colour)
    near = still.decode(still.encode(SOURCE, quality=50, max_error=2, model=EXACT), model=EXACT)
    assert np.abs(near.colour.astype(int) - SOURCE.colour).max() == 2


def test_arrays_are_taken_as_they_are():
    for shape in ((20, 30), (20, 30, 1), (20, 30, 2), (20, 30, 3), (20, 30, 4)):
        for depth in (8, 16):
            x = samples("photo", (*shape, 1)[:3], depth).reshape(shape)
            found = still.decode(still.encode(x, quality=50, max_error=0, model=EXACT), model=EXACT)
            np.testing.assert_array_equal(found.pixels.reshape(shape), x)


def test_targets_reach_the_lossy_path():
    source = Image(SOURCE.colour)
    data = still.encode(source, quality=50, bpp=1.5, model=LOSSY)
    assert 8 * len(data) <= 1.5 * 40 * 50
    with pytest.raises(ValueError, match="one of the two"):
        still.encode(source, quality=50, bpp=1.0, psnr=30.0, model=LOSSY)


def test_the_model_is_found_by_its_name_or_by_the_kind(monkeypatch):
    asked = []
    monkeypatch.setattr(still, "load_model", lambda name: asked.append(name) or {"photo": LOSSY}.get(name, EXACT))
    still.encode(SOURCE, quality=50)
    still.encode(SOURCE, quality=50, max_error=0)
    still.encode(SOURCE, quality=50, max_error=0, model="mine")
    assert asked == ["photo", "lossless", "mine"]


def test_a_model_of_the_other_kind_is_refused():
    with pytest.raises(ModelError):
        still.encode(SOURCE, quality=50, model=EXACT)
    with pytest.raises(ModelError):
        still.encode(SOURCE, quality=50, max_error=0, model=LOSSY)


@pytest.mark.parametrize("make", [exact, lossy])
def test_a_crop_is_a_part_of_the_whole(make):
    model = EXACT if make is exact else LOSSY
    whole = still.decode(make(), model=model)
    part = still.decode(make(), model=model, crop=Crop(7, 11, 13, 17))
    np.testing.assert_array_equal(part.colour, whole.colour[11:28, 7:20])
    np.testing.assert_array_equal(part.alpha, whole.alpha[11:28, 7:20])
    with pytest.raises(ValueError, match="is not inside a picture of 50 x 40"):
        still.decode(make(), model=model, crop=Crop(40, 0, 11, 1))


def test_only_a_lossless_file_has_a_preview():
    preview = still.decode(exact(), model=EXACT, preview=True)
    np.testing.assert_array_equal(preview.colour, SOURCE.colour[::8, ::8])
    with pytest.raises(UnsupportedInput, match="only a lossless file holds a preview"):
        still.decode(lossy(), model=LOSSY, preview=True)


def test_what_is_no_picture_is_refused():
    for data in (b"", b"\xce", b"\xceEGM\1", b"\xceEGM\1\2", exact()[:20], lossy()[:20], bytes(100)):
        check_refused(still.decode, data, f"{data[:8]!r}")


def test_pictures_of_16_bits_are_bounded_or_refused_by_the_lossy_path():
    deep = Image.of(samples("photo", (20, 30, 3), 16))
    found = still.decode(still.encode(deep, quality=50, max_error=300, model=EXACT), model=EXACT)
    assert np.abs(found.colour.astype(int) - deep.colour).max() <= 300
    check_only_codec_errors(lambda _: still.encode(deep, quality=80, model=LOSSY), b"", "16 bits, lossy")
