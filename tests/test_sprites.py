"""Groups of frames of moving things come back exactly, and hostile bytes end in a CodecError."""

from __future__ import annotations

import numpy as np
import pytest

from codec import sprites
from codec.errors import CodecError, CorruptStream, Desync, ModelError
from codec.model import unpack_model
from codec.sprites import decode_group, encode_group
from codec.tracks import Sprite, compose
from tests.checks import sprites_model, sprites_model_frozen


def clip(frames: int = 6, size: int = 4, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ways = [
        np.array([2, 3]) + np.arange(frames)[:, None] * [1, 2],
        np.array([20, 6]) - np.arange(frames)[:, None] * [2, 0],
    ]
    things = [Sprite(rng.integers(1, 256, (size + k, size)).astype(np.uint8), way) for k, way in enumerate(ways)]
    return compose(things, (frames, 40, 30))


@pytest.mark.parametrize(("frames", "size"), [(6, 4), (1, 4), (10, 2), (3, 13)])
def test_groups_come_back_exactly(frames, size):
    built, x = sprites_model_frozen(), clip(frames, size)
    data = encode_group(built, x)
    assert data is not None
    np.testing.assert_array_equal(decode_group(built, data, x.shape), x)


def test_what_is_no_moving_thing_is_left_to_others():
    built, rng = sprites_model_frozen(), np.random.default_rng(0)
    assert encode_group(built, rng.integers(0, 256, (3, 20, 20)).astype(np.uint8)) is None
    assert encode_group(built, np.zeros((3, 20, 20), np.uint8)) is None


def test_damaged_groups_end_in_a_codec_error():
    built, x = sprites_model_frozen(), clip()
    data = encode_group(built, x)
    assert data is not None
    for place in range(len(data)):
        try:  # bits behind the last symbol say nothing
            found = decode_group(built, data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :], x.shape)
        except CodecError:
            continue
        assert place >= len(data) - 2
        np.testing.assert_array_equal(found, x)
    with pytest.raises(CorruptStream):
        decode_group(built, data[:3], x.shape)
    with pytest.raises((Desync, CorruptStream)):
        decode_group(built, data, (x.shape[0], x.shape[1] + 1, x.shape[2]))


def test_noise_ends_in_a_codec_error():
    built, rng = sprites_model_frozen(), np.random.default_rng(1)
    for length in (4, 5, 30, 300):
        with pytest.raises(CodecError):
            decode_group(built, rng.bytes(length), (4, 16, 16))


def test_a_model_that_lacks_something_is_refused():
    model = unpack_model(sprites_model())
    tensors = dict(model.tensors)
    for name in ("side", "anchors", "hyper.1.bias", "00.0.bias"):
        with pytest.raises(ModelError):
            sprites.build({key: value for key, value in tensors.items() if key != name})
    with pytest.raises(ModelError, match="side"):
        sprites.build(tensors | {"side": np.array([0])})
