"""codec/residual.py: planes come back exactly, from any bytes something does, and both engines agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import intnet, residual
from codec.errors import CorruptStream, ModelError
from codec.lattice import PHASES
from codec.mixture import OUTPUTS
from codec.model import Model, unpack_model
from codec.planes import reversible
from codec.residual import ACTIVATION, FARTHEST, HIGHEST, PLANES, Group, build, decode_planes, encode_planes, outputs
from tests.checks import conformance_model, lossless_model, style_model
from tests.pictures import KINDS, samples
from training import engine


def networks() -> residual.Residual:
    return residual.residual(lossless_model())  # no argument of a drawn test: it has too long a repr


@pytest.fixture(scope="module")
def model() -> Model:
    return lossless_model()


@pytest.fixture(scope="module")
def built() -> residual.Residual:
    return networks()


def photo_planes(height: int, width: int, seed: int = 0) -> list[np.ndarray]:
    return list(reversible(samples("photo", (height, width, 3), 8, seed)))


RGB = (Group(3, 8),)


@settings(max_examples=20)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 16), st.sampled_from([(1,), (3,), (1, 1), (3, 1)]),
       st.sampled_from(KINDS), st.integers(0, 99))  # fmt: skip
def test_planes_of_any_groups_come_back(height, width, depth, sizes, kind, seed):
    built = networks()
    groups = [Group(size, max(1, depth - 3 * number)) for number, size in enumerate(sizes)]
    planes = []
    for group in groups:
        x = samples(kind, (height, width, group.planes), group.depth, seed)
        planes += [*reversible(x)] if group.planes == 3 else [x[..., 0]]
    data = encode_planes(built, groups, planes)
    found = decode_planes(built, groups, (height, width), data)
    assert len(found) == len(planes)
    for ours, theirs in zip(found, planes, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (9, 8), (20, 33), (1, 70), (140, 3)])
@pytest.mark.parametrize("skip", [1, 3, 9])
def test_coarse_levels_are_every_so_many_rows_and_columns(built, size, skip):
    planes = photo_planes(*size)
    data = encode_planes(built, RGB, planes)
    for ours, theirs in zip(decode_planes(built, RGB, size, data, skip), planes, strict=True):
        np.testing.assert_array_equal(ours, theirs[:: 1 << skip, :: 1 << skip])


def test_coarse_levels_are_read_from_the_beginning_of_the_bytes_alone(built):
    planes = photo_planes(64, 80)
    data = encode_planes(built, RGB, planes)
    few = decode_planes(built, RGB, (64, 80), data[: len(data) // 8], 3)
    for ours, theirs in zip(few, planes, strict=True):
        np.testing.assert_array_equal(ours, theirs[::8, ::8])


def test_planes_of_one_value_cost_next_to_nothing(built):
    planes = [np.full((100, 90), value, np.int32) for value in (255, -255, 0)]
    data = encode_planes(built, RGB, planes)
    assert len(data) <= 5
    assert [np.unique(plane).tolist() for plane in decode_planes(built, RGB, (100, 90), data)] == [[255], [-255], [0]]


@settings(max_examples=30)
@given(st.binary(max_size=60), st.integers(1, 16), st.integers(1, 14), st.integers(1, 14))
def test_any_bytes_decode_to_planes_in_range_or_are_refused(data, depth, height, width):
    built = networks()
    group = Group(3, depth)
    try:
        planes = decode_planes(built, [group, Group(1, 1)], (height, width), data)
    except CorruptStream:
        return
    for number, plane in enumerate(planes[:3]):
        low, high = group.range(number)
        assert plane.shape == (height, width)
        assert low <= plane.min() <= plane.max() <= high


def test_bytes_do_not_depend_on_how_many_pixels_a_network_takes_at_a_time(built, monkeypatch):
    planes = photo_planes(50, 60)
    expected = encode_planes(built, RGB, planes)
    for block in (7, 100, 1 << 20):
        monkeypatch.setattr(residual, "BLOCK", block)
        assert encode_planes(built, RGB, planes) == expected


def test_outputs_are_those_of_the_units_one_after_the_other(built, monkeypatch):
    monkeypatch.setattr(residual, "BLOCK", 7)
    net = built.nets[1][2]
    z = intnet.pattern((25, net[0].convs[0].weight.shape[3]), -192, 192).astype(np.float32)
    np.testing.assert_array_equal(outputs(net, z), intnet.chain(net, z))


def test_strips_come_back_too(built, monkeypatch):
    monkeypatch.setattr(residual, "STRIP", 50)
    planes = photo_planes(30, 21)
    found = decode_planes(built, RGB, (30, 21), encode_planes(built, RGB, planes))
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found, planes, strict=True))


def test_torch_makes_and_reads_the_same_bytes(built, monkeypatch):
    planes = photo_planes(40, 50)
    expected = encode_planes(built, RGB, planes)
    calls = []
    monkeypatch.setattr(intnet, "run", lambda *arguments: calls.append(1) or engine.run(*arguments))
    assert encode_planes(built, RGB, planes) == expected
    assert all(map(np.array_equal, decode_planes(built, RGB, (40, 50), expected), planes))
    assert calls


def test_photos_cost_less_than_their_samples(built):
    x = samples("photo", (90, 100, 3))
    assert len(encode_planes(built, RGB, [*reversible(x)])) < 0.8 * x.nbytes


def test_groups_do_not_see_each_other(built):
    # Whether a plane is coded beside a copy of itself or beside another one, it costs the same.
    one, two = (samples("photo", (33, 33, 1), 8, seed)[..., 0] for seed in (1, 2))
    groups = [Group(1, 8), Group(1, 8)]
    lengths = [
        len(encode_planes(built, groups, [first, two])) - len(encode_planes(built, groups[:1], [first]))
        for first in (one, two)
    ]
    assert abs(lengths[0] - lengths[1]) <= 2


def test_the_self_test_is_that_of_both_engines_and_of_the_card(model, built):
    assert residual.self_test(built) == residual.self_test(built, engine) == model.card["self_test"]


def test_layers_feed_each_other_within_their_bounds(built):
    assert len(built.nets) == PLANES
    assert all(len(plane) == len(PHASES) for plane in built.nets)
    for net in (net for plane in built.nets for net in plane):
        assert [(unit.lo, unit.hi) for unit in net[:-1]] == [(0, HIGHEST)] * (len(net) - 1)
        assert (net[-1].lo, net[-1].hi, len(net[-1].bias)) == (-FARTHEST, FARTHEST, OUTPUTS)
        assert all(unit.dtype == np.float32 for unit in net)
    assert HIGHEST >= 31.9 * ACTIVATION


def test_other_models_are_refused(model):
    for other in (conformance_model(), unpack_model(style_model())):
        with pytest.raises(ModelError, match=r"not lossless: its structure is .*, expected 'interlaced"):
            residual.residual(other)
    wrong = replace(model, card={**model.card, "self_test": "0" * 16}, id=b"selftest")
    with pytest.raises(ModelError, match="self-test gives"):
        residual.residual(wrong)


def test_tensors_that_do_not_fit_are_refused(model):
    tensors = dict(model.tensors)
    without = {name: tensor for name, tensor in tensors.items() if name != "11.1.shift"}
    changed = [
        (without, "no tensor 11.1.shift"),
        (tensors | {"33.0.bias": np.zeros(3, np.int32)}, "no layer takes"),
        (tensors | {"00.0.weight.0": tensors["00.0.weight.0"][..., 1:]}, "expected integers"),
        (tensors | {"22.2.bias": tensors["22.2.bias"][1:]}, "expected integers"),
        (tensors | {f"00.{i}.bias": tensors["00.1.bias"] for i in range(3, 40)}, "tensor"),
        ({}, "no tensor"),
    ]
    for bad, message in changed:
        with pytest.raises(ModelError, match=message):
            build(bad)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int64])
def test_planes_may_be_of_any_integer_type_and_lie_as_they_like(built, kind):
    plane = samples("photo", (20, 30, 1))[..., 0].astype(kind)
    expected = encode_planes(built, [Group(1, 8)], [plane.astype(np.int32)])
    for same in (plane, np.asfortranarray(plane), np.repeat(plane, 2, axis=1)[:, ::2]):
        assert encode_planes(built, [Group(1, 8)], [same]) == expected
