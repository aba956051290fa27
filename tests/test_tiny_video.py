"""tools/tiny_video.py: the model of video of the conformance pack can be made anew."""

from __future__ import annotations

from codec.model import unpack_model
from tests.checks import conformance_model, conformance_video
from tools.tiny_video import tiny_video


def test_it_trains_and_has_the_shapes_of_the_frozen_one():
    model = unpack_model(tiny_video(conformance_model(), clips=1, steps=2))
    expected = conformance_video().tensors
    assert {name: t.shape for name, t in model.tensors.items()} == {name: t.shape for name, t in expected.items()}
    assert model.card["intra"] == conformance_model().id.hex()
