"""codec/alike.py: planes come back exactly along wavefronts, from any bytes something does, and both engines agree."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import alike
from codec.alike import Alike, build, decode_planes, encode_planes
from codec.errors import CorruptStream, ModelError
from codec.fronts import PLACES, SLOPE, fronts
from codec.lossless import decode, encode
from codec.model import Model, pack_model, unpack_model
from codec.picture import Image
from codec.planes import reversible
from codec.residual import Group
from tests.checks import frozen_lossless_model, style_model
from tests.pictures import KINDS, samples
from training import engine

HOSTILE = (0, 0, 700, -300, 1, 65535, 0, -65535, 0)  # three anchors for each plane: twice there, or out of range


@functools.cache
def model(planes: int = 3) -> Model:
    return unpack_model(style_model(planes))


def networks(planes: int = 3) -> Alike:
    return alike.alike(model(planes))  # no argument of a drawn test: it has too long a repr


@functools.cache
def hostile() -> Alike:
    """Networks with anchors that make no sense."""
    tensors = dict(unpack_model(style_model(3, 3)).tensors)
    return build(tensors | {"anchors": np.array(HOSTILE, np.int32)})


def planes_of(x: np.ndarray) -> list[np.ndarray]:
    """Planes of pictures (..., 1) or (..., 3)."""
    return [*reversible(x)] if x.shape[-1] == 3 else [x[..., 0]]


def flat(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Pictures (n, h, w) that are dark, with a few strokes."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random((count, height, width)) < 0.1, rng.choice([99, 30, 255], (count, height, width)), 0)


@settings(max_examples=15)
@given(st.integers(1, 11), st.integers(1, 11), st.integers(1, 16), st.sampled_from([(1,), (3,), (1, 1), (3, 1)]),
       st.sampled_from(KINDS), st.sampled_from([(), (1,), (3,)]), st.sampled_from([networks, hostile]))  # fmt: skip
def test_planes_of_any_groups_and_stacks_come_back(height, width, depth, sizes, kind, stack, make: Callable):
    groups = [Group(size, max(1, depth - 3 * number)) for number, size in enumerate(sizes)]
    planes = []
    for group in groups:
        pictures = [samples(kind, (height, width, group.planes), group.depth, n) for n in range(math.prod(stack))]
        planes += planes_of(np.stack(pictures).reshape(*stack, height, width, group.planes))
    data = encode_planes(make(), groups, planes)
    found = decode_planes(make(), groups, (*stack, height, width), data)
    assert len(found) == len(planes)
    for ours, theirs in zip(found, planes, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("depth", [1, 5, 9, 16])
@pytest.mark.parametrize("error", [0, 1])
def test_files_come_back_within_their_bound(depth, error):
    x = samples("photo", (9, 13, 4), depth)
    image, error = Image(x[..., :3], x[..., 3], bit_depth=depth), min(error, (1 << depth) // 2 - 1)
    found = decode(encode(image, model(), max_error=error), model=model())
    assert np.abs(found.colour.astype(int) - image.colour).max() <= error
    np.testing.assert_array_equal(found.alpha, image.alpha)


@pytest.mark.parametrize("plane", range(3))
def test_a_pixel_sees_nothing_of_its_plane_that_is_not_known_yet(plane):
    rng, stack = np.random.default_rng(plane), (2, 9, 10)
    planes = [rng.integers(0, 256, stack) for _ in range(plane + 1)]
    y, x = np.mgrid[:9, :10]
    frames = [alike.framed(each, 8) for each in planes]
    for front in filter(lambda front: len(front.pixels), fronts(*stack)):
        _, row, column = np.unravel_index(front.pixels[0], stack)
        unknown = x + SLOPE * y >= column + SLOPE * row
        other = np.where(unknown, rng.integers(0, 256, stack), planes[-1])
        found = alike.features([*frames[:-1], alike.framed(other, 8)], front)
        np.testing.assert_array_equal(found, alike.features(frames, front))


def by_the_book(planes: list[np.ndarray], depth: int, y: int, x: int) -> list[int]:
    """Features of a pixel of the last of planes (h, w), in Python integers."""
    height, width = planes[0].shape

    def at(plane: np.ndarray, dy: int, dx: int) -> int:
        inside = 0 <= y + dy < height and 0 <= x + dx < width
        return max((int(plane[y + dy, x + dx]) << 8) >> depth, -255) if inside else 0

    offsets = sorted((v * v + u * u, v, u) for v in range(-8, 9) for u in range(-8, 9))
    before = [(v, u) for _, v, u in offsets if (v == 0 and u < 0) or (v < 0 and u < -2 * v)][:64]
    seen = [at(planes[-1], *offset) for offset in before]
    seen += [at(plane, v, u) for plane in planes[:-1] for _, v, u in offsets[:13]]
    rows, columns = [0] * 32, [0] * 32
    rows[32 * y // height] = columns[32 * x // width] = 255
    return seen + rows + columns


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 8, 9, 16]), st.integers(0, 2), st.integers(0, 99))
def test_features_are_their_definition_in_python_integers(height, width, depth, plane, seed):
    rng = np.random.default_rng(seed)
    ranges = [Group(3, depth).range(number) for number in range(plane + 1)]
    planes = [rng.integers(low, high + 1, (height, width)) for low, high in ranges]
    planes = [np.where(rng.random(each.shape) < 0.3, low, each) for each, (low, _) in zip(planes, ranges, strict=True)]
    found = alike.features([alike.framed(each[None], depth) for each in planes], alike.every(1, height, width))
    assert found.shape == (height * width, alike.columns(plane))
    assert np.abs(found).max() <= alike.TOP
    for pixel in rng.integers(height * width, size=3):
        expected = by_the_book(planes, depth, *divmod(int(pixel), width))
        np.testing.assert_array_equal(found[pixel], expected)
        assert alike.quiet(found[pixel : pixel + 1]) == (len(set(expected[:24])) == 1)


def test_pictures_side_by_side_do_not_see_each_other():
    x = flat(3, 7, 8)
    whole = alike.features([alike.framed(x, 8)], alike.every(3, 7, 8))
    each = [alike.features([alike.framed(one[None], 8)], alike.every(1, 7, 8)) for one in x]
    np.testing.assert_array_equal(whole, np.concatenate(each))


def test_bytes_do_not_depend_on_what_is_kept_or_worked_on_at_a_time(monkeypatch):
    planes = planes_of(np.stack([samples("photo", (6, 9, 3), 8, seed) for seed in range(4)]))
    expected = encode_planes(networks(), [Group(3, 8)], planes)
    monkeypatch.setattr("codec.fronts.KEPT", 0)
    monkeypatch.setattr("codec.mixture._BLOCK", 700)
    for pixels in (1, 30, 1 << 20):
        monkeypatch.setattr(alike, "BATCH", pixels)
        assert encode_planes(networks(), [Group(3, 8)], planes) == expected


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int64])
def test_planes_may_be_of_any_integer_type_and_lie_as_they_like(kind):
    plane = flat(1, 9, 8)[0].astype(kind)
    expected = encode_planes(networks(1), [Group(1, 8)], [plane.astype(np.int32)])
    for same in (plane, np.asfortranarray(plane), np.repeat(plane, 2, axis=1)[:, ::2]):
        assert encode_planes(networks(1), [Group(1, 8)], [same]) == expected


def one_hot(places: np.ndarray) -> np.ndarray:
    return np.eye(PLACES, dtype=np.float32)[places] * alike.TOP


def test_torch_makes_and_reads_the_same_bytes(monkeypatch):
    planes, calls = planes_of(np.stack([samples("photo", (8, 9, 3), 8, seed) for seed in range(2)])), []
    expected = encode_planes(networks(), [Group(3, 8)], planes)

    def through(units, x, rows, columns):
        calls.append(len(x))
        z = np.concatenate([x, one_hot(rows), one_hot(columns)], axis=1)
        return functools.reduce(lambda y, unit: engine.run(unit, y), units, z)

    monkeypatch.setattr(alike, "perceptron", lambda units, *_: functools.partial(through, units))
    assert encode_planes(networks(), [Group(3, 8)], planes) == expected
    assert all(map(np.array_equal, decode_planes(networks(), [Group(3, 8)], planes[0].shape, expected), planes))
    assert calls


def test_quiet_pixels_have_a_network_of_their_own(monkeypatch):
    used, perceptron, built = {}, alike.perceptron, networks(1)

    def made(units, *rest):
        return lambda x, *at: used.setdefault(id(units), []).append(x) or perceptron(units, *rest)(x, *at)

    monkeypatch.setattr(alike, "perceptron", made)
    encode_planes(built, [Group(1, 8)], [flat(2, 12, 12)])
    for net, calm in zip(built.nets[0], (False, True), strict=True):
        seen = np.concatenate(used[id(net)])
        assert (alike.quiet(seen) == calm).all()


def test_anchors_that_are_likely_cost_little_and_the_others_are_paid_for():
    dark = flat(20, 12, 12)
    data = encode_planes(networks(1), [Group(1, 8)], [dark])
    assert len(data) < 0.4 * dark.size  # bytes a pixel: a tenth of them are none
    other = encode_planes(networks(1), [Group(1, 8)], [np.where(dark == 0, 50, dark)])
    assert len(other) > 1.5 * len(data)


@pytest.mark.parametrize("make", [networks, hostile])
@pytest.mark.parametrize("depth", [3, 8])
def test_corners_of_the_first_anchor_are_left_out(make, depth, monkeypatch):
    built, coded, seen = make(), [], alike.seen
    first = [int(np.clip(built.anchors[plane][0], *Group(3, depth).range(plane))) for plane in range(3)]
    planes = [np.full((2, 12, 14), value) for value in first]
    for plane in planes:
        plane[0, 5, 6] = plane[1, 6, 2] = 1  # x + 2 y is 16 and 14, of 36 fronts
    monkeypatch.setattr(alike, "seen", lambda frames, front: coded.append(len(front.pixels)) or seen(frames, front))
    data = encode_planes(built, [Group(3, depth)], planes)
    assert len(coded) == 3  # all three fronts of a plane at once
    assert all(map(np.array_equal, decode_planes(built, [Group(3, depth)], (2, 12, 14), data), planes))
    assert len(coded) == 3 + 3 * 3  # and one by one


def test_planes_of_one_value_cost_next_to_nothing():
    planes = [np.full((2, 30, 40), value, np.int32) for value in (255, -255, 0)]
    data = encode_planes(networks(), [Group(3, 8)], planes)
    assert len(data) <= 5
    found = decode_planes(networks(), [Group(3, 8)], (2, 30, 40), data)
    assert [np.unique(plane).tolist() for plane in found] == [[255], [-255], [0]]


@settings(max_examples=40)
@given(st.binary(max_size=60), st.integers(1, 16), st.sampled_from([(1, 1), (1, 9), (9, 1), (5, 6), (3, 1, 1)]),
       st.sampled_from([networks, hostile]))  # fmt: skip
def test_any_bytes_decode_to_planes_in_range_or_are_refused(data, depth, shape, make: Callable):
    groups = [Group(3, depth), Group(1, 1)]
    try:
        planes = decode_planes(make(), groups, shape, data)
    except CorruptStream:
        return
    ranges = [group.range(plane) for group in groups for plane in range(group.planes)]
    for plane, (low, high) in zip(planes, ranges, strict=True):
        assert plane.shape == shape
        assert low <= plane.min() <= plane.max() <= high


def test_the_self_test_is_that_of_both_engines_and_of_the_card():
    built = networks()
    assert alike.self_test(built) == alike.self_test(built, engine) == model().card["self_test"]
    assert len(list(built.units())) == 3 * 2 * 2


def test_a_model_of_one_plane_codes_no_colour():
    planes = planes_of(samples("photo", (4, 5, 3)))
    with pytest.raises(ModelError, match=r"codes 1 plane\(s\), and these pictures are in colour"):
        encode_planes(networks(1), [Group(3, 8)], planes)
    with pytest.raises(ModelError, match="in colour"):
        decode_planes(networks(1), [Group(3, 8)], (4, 5), b"anything")
    data = encode_planes(networks(1), [Group(1, 8)] * 2, planes[:1] * 2)  # alpha is a group of its own
    np.testing.assert_array_equal(decode_planes(networks(1), [Group(1, 8)] * 2, (4, 5), data), planes[:1] * 2)


def test_other_models_are_refused():
    with pytest.raises(ModelError, match=r"not for pictures that are alike: its structure is 'interlaced-logistics-1'"):
        alike.alike(frozen_lossless_model())
    wrong = replace(model(), card={**model().card, "self_test": "0" * 16}, id=b"selftest")
    with pytest.raises(ModelError, match="self-test gives"):
        alike.alike(wrong)


def test_tensors_that_do_not_fit_are_refused():
    tensors = dict(model().tensors)
    grey = {name: tensor for name, tensor in tensors.items() if name[0] in "0a"} | {"anchors": tensors["anchors"][:2]}
    assert len(build(grey).nets) == 1
    less = {name: tensor for name, tensor in tensors.items() if name != "anchors"}
    changed = [
        (less, "no tensor anchors"),
        (tensors | {"anchors": tensors["anchors"][:5]}, "anchors has 5 numbers, expected 1 to 1024 times 3"),
        (tensors | {"anchors": tensors["anchors"].reshape(2, 3)}, "expected integers"),
        (tensors | {"anchors": tensors["anchors"] + 65536}, "anchors has numbers"),
        (tensors | {"anchors": tensors["anchors"][:3]}, "expected integers"),  # heads for two anchors
        (grey | {"20.0.bias": tensors["20.0.bias"]}, "no layer takes"),
        (tensors | {"02.0.bias": tensors["00.0.bias"]}, "no layer takes"),
        ({name: tensor for name, tensor in tensors.items() if name != "21.1.shift"}, "no tensor 21.1.shift"),
        (tensors | {"00.0.weight.0": tensors["00.0.weight.0"][..., 1:]}, "expected integers"),
    ]
    for bad, message in changed:
        with pytest.raises(ModelError, match=message):
            build(bad)


def test_sums_that_need_float64_are_exact_too():
    tensors = dict(model(1).tensors)
    finer = {f"00.0.{part}": tensors[f"00.0.{part}"].astype(np.int64) << 20 for part in ("weight.0", "bias")}
    built = build(tensors | finer | {"00.0.shift": tensors["00.0.shift"] + 20})
    assert built.nets[0][0][0].dtype == np.float64
    found = encode_planes(built, [Group(1, 8)], [flat(2, 9, 8)])
    assert found == encode_planes(networks(1), [Group(1, 8)], [flat(2, 9, 8)])


def test_anchors_may_be_as_many_as_there_are_values():
    tensors = dict(unpack_model(style_model(1, 256)).tensors) | {"anchors": np.arange(256, dtype=np.int32)}
    facts = {"structure": alike.STRUCTURE, "self_test": alike.self_test(build(tensors))}
    built = alike.alike(unpack_model(pack_model(facts, tensors)))
    x = samples("noise", (9, 10, 1))[..., 0]
    data = encode_planes(built, [Group(1, 8)], [x])
    np.testing.assert_array_equal(decode_planes(built, [Group(1, 8)], (9, 10), data)[0], x)
    decode_planes(built, [Group(1, 8)], (9, 10), b"\0" * 50)  # none of them: a table of no mass
