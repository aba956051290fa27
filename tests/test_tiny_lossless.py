"""tools/tiny_lossless.py: a lossless model that takes no training."""

from __future__ import annotations

import numpy as np
import torch

from codec import residual
from codec.lossless import decode, encode
from codec.model import unpack_model
from codec.picture import Image
from tools.synthetic import picture
from tools.tiny_lossless import tiny_lossless


def test_it_is_a_small_model_that_makes_small_files():
    data = tiny_lossless()
    model = unpack_model(data)
    assert len(data) < 20_000
    assert model.card["structure"] == residual.STRUCTURE
    x = picture(40, 50)
    coded = encode(Image(x), model)
    assert len(coded) < 0.8 * x.nbytes
    np.testing.assert_array_equal(decode(coded, model=model).colour, x)


def test_making_it_leaves_random_numbers_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    tiny_lossless()
    assert torch.equal(torch.random.get_rng_state(), before)
