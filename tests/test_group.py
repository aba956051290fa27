"""codec/group.py: groups decode by themselves, and scene cuts begin new ones."""

from __future__ import annotations

import numpy as np
import pytest

from codec.errors import CorruptStream, Desync, ModelError
from codec.group import LossyGroup, Way, decode_group, encode_exact, way_of
from codec.photo import photo
from codec.tile import networks
from tests.checks import conformance_model, lossless_model
from tests.clips import moving

MODEL = conformance_model()
SHAPE = (40, 56, 3)


def clip(frames: int, shape: tuple[int, int, int] = SHAPE) -> list[np.ndarray]:
    return [frame.reshape(shape) for frame in moving(frames, *shape)]


def lossy(frames: list[np.ndarray]) -> LossyGroup:
    group = LossyGroup(photo(MODEL), 45, 5, 1)
    assert all(group.add(frame) for frame in frames)
    return group


def test_a_lossy_group_decodes_with_its_digest_and_not_with_another():
    data = lossy(clip(4)).getvalue()
    assert way_of(data) == Way.LOSSY
    assert len(list(decode_group(MODEL, data, 4, SHAPE, 1))) == 4
    frames = decode_group(MODEL, data[:1] + bytes(4) + data[5:], 4, SHAPE, 1)
    for _ in range(4):
        next(frames)
    with pytest.raises(Desync, match="not those"):
        next(frames)


def test_another_scene_begins_another_group():
    group, rng = lossy(clip(3)), np.random.default_rng(0)
    other = np.repeat(np.repeat(rng.integers(0, 256, (5, 7, 3)), 8, axis=0), 8, axis=1).astype(np.uint8)
    assert not group.add(other)
    assert len(group) == 3
    assert group.add(clip(4)[3])  # and what follows is coded as if it had not been there
    assert len(list(decode_group(MODEL, group.getvalue(), 4, SHAPE, 1))) == 4


def test_exact_groups_come_back():
    frames = clip(3, (20, 30, 1))
    data = encode_exact(networks(lossless_model()), frames, 5, 1)
    assert way_of(data) == Way.EXACT
    found = list(decode_group(lossless_model(), data, 3, (20, 30, 1)))
    assert all(np.array_equal(one, other) for one, other in zip(frames, found, strict=True))


@pytest.mark.parametrize("data", [b"", b"\x00\x01\x02\x03", b"\x03" + bytes(9), b"\xff" * 20])
def test_what_is_no_group_is_refused(data):
    with pytest.raises(CorruptStream, match="a group of"):
        list(decode_group(MODEL, data, 1, SHAPE))


def test_groups_of_another_number_of_frames_are_refused():
    data = lossy(clip(2)).getvalue()
    for count in (1, 3, 10**6):
        with pytest.raises(CorruptStream):
            list(decode_group(MODEL, data, count, SHAPE))


def test_a_model_of_another_kind_is_refused():
    with pytest.raises(ModelError):
        list(decode_group(lossless_model(), lossy(clip(1)).getvalue(), 1, SHAPE))
    for way in (Way.EXACT, Way.SPRITES):
        with pytest.raises((ModelError, CorruptStream)):
            list(decode_group(MODEL, bytes([way]) + bytes(20), 1, (40, 56, 1)))
