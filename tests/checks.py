"""Checkers that the tests share. Each raises AssertionError, and says what it expected."""

from __future__ import annotations

import ast
import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import strategies as st

from codec import alike, predictor, sprites
from codec.errors import CodecError, CorruptStream, LimitExceeded, NotOurFormat, UnsupportedVersion
from codec.intnet import Conv, Unit
from codec.mixture import OUTPUTS, code_samples
from codec.model import Model, pack_model, unpack_model
from codec.picture import Image

ROOT = Path(__file__).parents[1]
REFUSAL = (NotOurFormat, UnsupportedVersion, CorruptStream, LimitExceeded)  # answers to bytes that are no whole file


def check_refused(read: Callable[[bytes], object], data: bytes, what: str) -> None:
    """`read` answers `data` with one of the errors of a bad stream, which says something."""
    try:
        read(data)
    except BaseException as error:
        if not isinstance(error, REFUSAL) or len(str(error)) < 10:
            pytest.fail(f"{what}: expected a refusal that says why, got {error!r}")
    else:
        pytest.fail(f"{what}: accepted")


def check_truncations(read: Callable[[bytes], object], data: bytes) -> None:
    """`read` refuses every proper prefix of `data`, and `data` with something after it."""
    read(data)
    for length in range(len(data)):
        check_refused(read, data[:length], f"cut to {length} of {len(data)} bytes")
    for tail in (b"\x00", b"\xff", data):
        check_refused(read, data + tail, f"followed by {len(tail)} bytes")


def check_bit_flips(read: Callable[[bytes], object], data: bytes) -> None:
    """`read` refuses `data` with any one bit flipped."""
    read(data)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        check_refused(read, bytes(damaged), f"bit {bit % 8} of byte {bit // 8} flipped")


def imports(path: Path) -> Iterator[str]:
    """Names of all modules that a source file imports, at its top or inside of functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


def naive_unit(unit: Unit, *maps: np.ndarray, extra: np.ndarray | int = 0) -> np.ndarray:
    """The equation of a unit, as loops over int64: (H', W', O)."""
    outputs = []
    for conv, x in zip(unit.convs, maps, strict=True):
        o, kh, kw, _ = conv.weight.shape
        height, width, _ = x.shape
        y = np.zeros((-(-height // conv.stride), -(-width // conv.stride), o), np.int64)
        for row, column in np.ndindex(y.shape[:2]):
            for dy, dx in np.ndindex(kh, kw):
                source = row * conv.stride + dy - kh // 2, column * conv.stride + dx - kw // 2
                if 0 <= source[0] < height and 0 <= source[1] < width:
                    y[row, column] += conv.weight[:, dy, dx].astype(np.int64) @ x[source].astype(np.int64)
        outputs.append(y)
    total = sum(outputs) + np.asarray(unit.bias, np.int64) + extra
    return np.clip((total + (1 << unit.shift.astype(np.int64) >> 1)) >> unit.shift, unit.lo, unit.hi)


@st.composite
def units(draw: st.DrawFn, widest: int = 40) -> tuple[Unit, list[np.ndarray], np.ndarray]:
    """A unit, maps for it and an extra vector: anything from tiny to the very edge of float64."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    o, height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    stride, extra = draw(st.sampled_from([1, 1, 2, 3])), draw(st.sampled_from([0, 5, 10**6]))
    magnitude = draw(st.integers(1, widest))  # bits of a product
    convs, maps = [], []
    for _ in range(draw(st.integers(1, 3))):
        k, i, split = draw(st.sampled_from([1, 3, 5])), draw(st.integers(1, 9)), draw(st.integers(0, magnitude))
        w, x = 2 ** min(split, 30), 2 ** min(magnitude - split, 30)
        low, high = -int(rng.integers(0, x + 1)), int(rng.integers(0, x + 1))
        ends = draw(st.booleans())
        weight = rng.choice([-w, w], (o, k, k, i)) if ends else rng.integers(-w, w + 1, (o, k, k, i))
        convs.append(Conv(weight, low, high, stride))
        shape = height, width, i
        maps.append(rng.choice([low, high], shape) if ends else rng.integers(low, high + 1, shape))
    bias = rng.integers(-(2**magnitude), 2**magnitude + 1, o)
    shift = rng.integers(0, magnitude + 1, o)
    lo, hi = sorted(int(v) for v in rng.integers(-(2**12), 2**12, 2))
    unit = Unit("drawn", tuple(convs), bias, shift, lo, hi, extra)
    return unit, [x.astype(unit.dtype) for x in maps], rng.integers(-extra, extra + 1, o)


@functools.cache
def conformance_model() -> Model:
    """The tiny photo model of the conformance pack: quick, and frozen."""
    return unpack_model((ROOT / "bitstreams" / "v1" / "conformance.egmm").read_bytes())


@functools.cache
def lossless_model() -> Model:
    """A tiny lossless model, untrained."""
    from tools.tiny_lossless import tiny_lossless  # brings torch, which few tests need

    return unpack_model(tiny_lossless())


def check_only_codec_errors(read: Callable[[bytes], object], data: bytes, what: str) -> None:
    """`read` takes `data`, or answers with an error of the codec that says something."""
    try:
        read(data)
    except BaseException as error:
        if not isinstance(error, CodecError) or len(str(error)) < 10:
            pytest.fail(f"{what}: expected a CodecError that says why, got {error!r}")


def replayed(samples: np.ndarray, *arguments: object) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """What `code_samples(*arguments)` decodes from the decisions that it spells `samples` in.

    Returns also the decisions and their probabilities in 1/2^16, call by call; both sides have to ask for the same.
    """
    decisions, asked, replay = [], [], iter(range(10**6))

    def write(ones: np.ndarray, taken: np.ndarray) -> np.ndarray:
        decisions.append(np.asarray(taken, np.int32))
        asked.append(ones.copy())
        return taken

    def read(ones: np.ndarray, nothing: None) -> np.ndarray:
        number = next(replay)
        assert nothing is None
        np.testing.assert_array_equal(ones, asked[number])
        return decisions[number]

    code_samples(*arguments, write, samples)
    found = code_samples(*arguments, read)
    assert next(replay) == len(asked)
    return found, decisions, asked


def check_same_picture(found: Image, expected: Image) -> None:
    """All that a picture is, except for notices and source."""
    for name in ("bit_depth", "icc", "exif"):
        assert getattr(found, name) == getattr(expected, name), name
    for name in ("colour", "alpha", "palette"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert (ours is None) == (theirs is None), name
        if ours is not None:
            assert ours.dtype == theirs.dtype, name
            np.testing.assert_array_equal(ours, theirs, name)


@functools.cache
def frozen_lossless_model() -> Model:
    """The tiny lossless model of the conformance pack: no torch is needed for it."""
    return unpack_model((ROOT / "bitstreams" / "v1" / "conformance-lossless.egmm").read_bytes())


@functools.cache
def style_model(planes: int = 1, anchors: int = 2, width: int = 3) -> bytes:
    """The file of a tiny model of random weights, to which its anchors are likely: 0 and 99 in the first plane."""
    rng, tensors = np.random.default_rng(planes), {"anchors": np.arange(planes * anchors) * 99 % 256}
    for plane, kind in np.ndindex(planes, 2):
        sizes = alike.columns(plane), width, OUTPUTS + anchors
        for number, (size, outputs) in enumerate(itertools.pairwise(sizes)):
            unit = f"{plane}{kind}.{number}"
            tensors[f"{unit}.weight.0"] = rng.integers(-20, 21, (outputs, 1, 1, size))
            tensors[f"{unit}.bias"] = rng.integers(-500, 501, outputs)
            tensors[f"{unit}.shift"] = np.full(outputs, (9, 5)[number])
        tensors[f"{unit}.bias"][OUTPUTS:] += 200 << 5
    digest = alike.self_test(alike.build(tensors))
    return pack_model({"structure": alike.STRUCTURE, "self_test": digest, "name": "style"}, tensors)


@functools.cache
def sprites_model(width: int = 3) -> bytes:
    """The file of a tiny model of moving things, of random weights."""
    rng, tensors = np.random.default_rng(7), {"anchors": np.array([0, 255]), "side": np.array([8])}
    sizes = {name: (alike.columns(0), width, OUTPUTS + 2) for name in ("00", "01")}
    sizes["hyper"] = (predictor.FEATURES, width, width, predictor.TAPS + 1)
    for name, layers in sizes.items():
        for number, (size, outputs) in enumerate(itertools.pairwise(layers)):
            tensors[f"{name}.{number}.weight.0"] = rng.integers(-20, 21, (outputs, 1, 1, size))
            tensors[f"{name}.{number}.bias"] = rng.integers(-500, 501, outputs)
            tensors[f"{name}.{number}.shift"] = np.full(outputs, 5)
    digest = sprites.self_test(sprites.build(tensors))
    return pack_model({"structure": sprites.STRUCTURE, "self_test": digest, "name": "sprites"}, tensors)


@functools.cache
def sprites_model_frozen() -> sprites.Sprites:
    return sprites.sprites(unpack_model(sprites_model()))


def engram(*arguments: object, code: int = 0) -> Result:
    """The command `engram` in this process: it ends with that exit code, and without a traceback."""
    from codec.cli import cli

    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@functools.cache
def conformance_video() -> Model:
    """The tiny model of video of the conformance pack, with its photo model."""
    model = unpack_model((ROOT / "bitstreams" / "v1" / "conformance-video.egmm").read_bytes())
    return replace(model, intra=conformance_model())
