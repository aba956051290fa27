"""codec/codes.py: the codes of a file make its picture again, and mean what is said of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codec.codebook import SLICES, codebook
from codec.codes import COLUMNS, HYPER_SIZE, SIZES, Codes, codes_of, pixels_of
from codec.container import Chunk, pack, unpack
from codec.errors import CodecError, ModelMismatch, UnsupportedVersion
from codec.picture import Image
from codec.still import decode, encode
from codec.symbols import REACH
from tests.checks import check_only_codec_errors, conformance_model, frozen_lossless_model
from tools.synthetic import picture

MODEL = conformance_model()


def file(height: int, width: int, channels: int = 3, quality: float = 60) -> bytes:
    return encode(Image(picture(height, width, channels)), quality=quality, model=MODEL)


@pytest.mark.parametrize(("height", "width", "channels"), [(1, 1, 3), (16, 100, 1), (77, 50, 3), (30, 1050, 3)])
def test_codes_make_the_same_picture_again(height, width, channels):
    data = file(height, width, channels)
    found = codes_of(data, model=MODEL)
    h, w = -(-height // 16), -(-width // 16)
    assert (found.numbers.shape, found.numbers.dtype) == ((h, w, 768), np.int16)
    assert (found.hyper.shape, found.hyper.dtype) == ((-(-h // 4), -(-w // 4), 2), np.uint8)
    np.testing.assert_array_equal(pixels_of(found, MODEL), decode(data, model=MODEL).colour)


def test_other_codes_make_another_picture():
    found = codes_of(data := file(40, 50), model=MODEL)
    numbers = found.numbers.copy()
    numbers[1, 1, 0] += 5
    assert (pixels_of(replace(found, numbers=numbers), MODEL) != decode(data, model=MODEL).colour).any()


def test_a_better_quality_has_finer_steps_and_larger_numbers():
    low, high = (codes_of(file(64, 64, quality=quality), model=MODEL) for quality in (5, 100))
    assert (low.step_index, high.step_index) == (3, 63)
    assert np.abs(low.numbers).sum() < np.abs(high.numbers.astype(int)).sum()


def test_indices_name_codewords():
    found = codes_of(file(128, 160, quality=90), model=MODEL)
    indices = found.indices
    assert (indices.shape, indices.dtype) == ((8, 10, COLUMNS), np.int16)
    assert COLUMNS == len(SIZES) == 122
    assert indices.min() >= 0
    assert (indices.reshape(-1, COLUMNS).max(axis=0) < SIZES).all()
    assert found.hyper.max() < HYPER_SIZE
    column, kinds = 0, set()
    for part in SLICES:
        for group in range(part.groups):
            start = part.start + group * part.dim
            for index, vector in zip(
                indices[..., column].ravel(), found.numbers[..., start : start + part.dim].reshape(-1, part.dim),
                strict=True,
            ):  # fmt: skip
                if part.dim == 1:
                    assert index == np.clip(vector[0], -REACH, REACH) + REACH
                    continue
                words = codebook(part.dim).words
                if 0 < index <= len(words):
                    assert (words[index - 1] == vector).all()
                    kinds.add("word")
                elif index:
                    assert not (words == vector).all(axis=1).any()
                    kinds.add("split")
                else:
                    assert not vector.any()
                    kinds.add("zero")
            column += 1
    assert kinds == {"word", "split", "zero"}


def test_sizes_are_those_of_the_codebooks():
    assert sorted(set(SIZES.tolist())) == [50, 138, 146, 255]
    assert [int(n) for n in np.bincount(SIZES)[[255, 50, 138, 146]]] == [12, 10, 16, 84]


def test_files_that_hold_no_codes_are_refused():
    exact = encode(picture(9, 9), quality=0, max_error=0, model=frozen_lossless_model())
    with pytest.raises(UnsupportedVersion):
        codes_of(exact, model=MODEL)
    with pytest.raises(ModelMismatch):
        codes_of(file(9, 9), model=frozen_lossless_model())


def test_damage_raises_codec_errors_only():
    header, chunks = unpack(file(40, 60))
    rng = np.random.default_rng(0)
    for number in range(20):
        payload = rng.integers(0, 256, number, np.uint8).tobytes()
        data = pack(header, [Chunk("T", payload[:1] + chunks[0].data[1:] if number % 2 else payload)])
        check_only_codec_errors(lambda text: codes_of(text, model=MODEL), data, f"payload {number}")
    with pytest.raises(CodecError):
        codes_of(pack(header, [*chunks, *chunks]), model=MODEL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"numbers": np.zeros((2, 2, 768), np.int16)}, "numbers of shape"),
        ({"hyper": np.zeros((1, 2), np.uint8)}, "hyper of shape"),
        ({"hyper": np.full((1, 1, 2), 64, np.uint8)}, "outside"),
        ({"step_index": 64}, "outside"),
        ({"channels": 2}, "expected 1 or 3"),
    ],
)
def test_codes_of_no_picture_are_refused(change, message):
    good = Codes(np.zeros((3, 4, 768), np.int16), np.zeros((1, 1, 2), np.uint8), 30, 40, 50, 3)
    assert pixels_of(good, MODEL).shape == (40, 50, 3)
    with pytest.raises(ValueError, match=message):
        pixels_of(replace(good, **change), MODEL)
