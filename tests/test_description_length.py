"""tools/description_length.py: lengths are those of files; coarser weights make smaller models."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codec.catalogue import BLOCK_PIXELS
from codec.model import unpack_model
from codec.packing import Item, pack_archive
from codec.picture import Image
from tests.checks import frozen_lossless_model
from tests.pictures import samples
from tools import description_length as module
from tools.description_length import Archives, Pictures, counts_up_to, precisions, rissanen, state_of, weights_of
from tools.rate_distortion import MeasureError
from training.residual_export import lossless_model
from training.style import Style

EACH = BLOCK_PIXELS // 64**2  # pictures in a block


def pictures(count: int, bands: int = 1, size: int = 64) -> list[Image]:
    return [Image.of(samples("photo", (size, size, bands), seed=seed)) for seed in range(count)]


def networks(width: int) -> dict[str, np.ndarray]:
    """The state of untrained networks for grey pictures."""
    torch.manual_seed(0)
    return {name: value.numpy() for name, value in Style([[0, 255]], width).state_dict().items()}


@pytest.mark.parametrize(("bands", "own"), [(1, True), (3, False)])
def test_lengths_are_those_of_archives(bands, own):
    images = pictures(EACH + 2, bands)
    file = lossless_model(networks(3)) if own else None
    model = unpack_model(file) if file else frozen_lossless_model()
    archives = Archives(Pictures.of(images), model, file)
    for count in (EACH + 2, EACH, 1, EACH + 1):
        packed = pack_archive(
            [Item("", image) for image in images[:count]], model, embed=file, dimensions=3 if bands == 1 else 4
        )
        assert archives.bits(count) == 8 * len(packed)
    assert archives.borders == [EACH, EACH + 2]
    rest = archives.bits(EACH + 2) - archives.data - 8 * len(file or b"")
    assert 0 < rest < 1200  # header and index


def test_what_archives_share_is_coded_once(monkeypatch):
    coded = []
    monkeypatch.setattr(module, "encode_tile", lambda built, plan, x, alpha: coded.append(len(x)) or b"x")
    told, every = [], Pictures.of(pictures(2 * EACH + 1))
    archives = Archives(every, frozen_lossless_model(), progress=lambda *numbers: told.append(numbers))
    for count in (2 * EACH + 1, 2 * EACH, EACH, EACH + 1, EACH + 1):
        archives.bits(count)
    assert coded == [EACH, EACH, 1, 1]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_pictures_of_the_most_frequent_look_are_taken():
    plain, others = pictures(3, 1, 8), [Image(np.zeros((9, 8, 1), np.uint8)), Image(np.zeros((300, 300, 1), np.uint8))]
    clear = Image(plain[1].colour, np.zeros((8, 8), np.uint8))
    found = Pictures.of([others[0], plain[0], clear, others[1], plain[2]])
    np.testing.assert_array_equal(found.samples, [plain[i].colour for i in range(3)])
    assert (found.left_out, found.without_alpha) == (2, True)
    assert found.spread(2).samples.shape == (2, 8, 8, 1)
    assert len(found.spread(5)) == 3
    with pytest.raises(MeasureError, match="without palette"):
        Pictures.of([others[1]])


def test_coarser_weights_make_smaller_models_of_the_same_networks():
    state = networks(6)
    every = Pictures.of(pictures(6, size=16))
    told = []
    found = precisions(state, every, 3, (0, 4, 8), progress=lambda *numbers: told.append(numbers))
    assert [each.coarser for each in found] == [0, 4, 8]
    assert [each.model for each in found] == sorted((8 * len(each.file) for each in found), reverse=True)
    assert found[0].model > found[1].model + 3 * weights_of(state)
    archives = Archives(every.spread(3), unpack_model(found[1].file))
    assert found[1].data == 2 * archives.data
    assert found[1].total == found[1].model + found[1].data
    assert told == [(1, 3), (2, 3), (3, 3)]
    again = state_of(unpack_model(found[0].file))
    assert weights_of(again) == weights_of(state) == sum(value.size for value in state.values()) - 2
    np.testing.assert_allclose(again["nets.00.0.weight"], state["nets.00.0.weight"], atol=1e-3)


def test_numbers():
    assert rissanen(10, 1024) == 50
    assert list(counts_up_to(1)) == [1]
    assert list(counts_up_to(20)) == [1, 2, 5, 10, 20]
    assert list(counts_up_to(130)) == [1, 2, 5, 10, 20, 50, 100, 130]
