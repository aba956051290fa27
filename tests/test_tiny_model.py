"""tools/tiny_model.py: the model of the conformance pack can be made anew."""

from __future__ import annotations

from codec import decompress
from codec.image import encode, measure_psnr
from codec.model import unpack_model
from codec.pixels import Image
from tests.checks import conformance_model
from tools.synthetic import picture
from tools.tiny_model import tiny_model


def test_it_trains_and_has_the_shapes_of_the_frozen_one():
    model = unpack_model(tiny_model(steps=3))
    expected = conformance_model().tensors
    assert {name: t.shape for name, t in model.tensors.items()} == {name: t.shape for name, t in expected.items()}
    x = picture(40, 50)
    assert measure_psnr(x, decompress(encode(Image(x), model, quality=90), model=model).colour) > 25
