"""codec/tile.py: a tile comes back from the shortest of its codings, or within its bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import alike, residual, tile
from codec.errors import CorruptStream, Desync, ModelError
from codec.model import unpack_model
from codec.tile import Mode, Plan, decode_tile, encode_tile, largest_error
from tests.checks import check_only_codec_errors, conformance_model, lossless_model, style_model
from tests.pictures import KINDS, samples


def networks() -> residual.Residual:
    return residual.residual(lossless_model())  # no argument of a drawn test: it has too long a repr


@pytest.fixture
def built() -> residual.Residual:
    return networks()


def plan(channels: int = 3, alpha: bool = False, depth: int = 8, error: int = 0) -> Plan:
    return Plan(channels, alpha, depth, error, 9)


def coded(built: residual.Residual, chosen: Plan, x: np.ndarray, effort: int = 5) -> bytes:
    """The payload of samples (h, w, channels and alpha)."""
    return encode_tile(built, chosen, x[..., : chosen.channels], x[..., -1] if chosen.alpha else None, effort)


@settings(max_examples=60)
@given(st.integers(1, 16), st.data())
def test_integers_stand_for_samples_within_the_bound(depth, data):
    error = data.draw(st.integers(0, largest_error(depth)))
    chosen, white = plan(depth=depth, error=error), (1 << depth) - 1
    x = np.unique(np.concatenate([np.arange(min(white, 999) + 1), np.arange(max(0, white - 999), white + 1)]))
    x = x.astype(chosen.kind)
    integers = chosen.reduce(x)
    assert integers.dtype == x.dtype
    assert integers.max() < 1 << chosen.coded_depth
    assert integers.max() >= 1 << chosen.coded_depth >> 1  # no bit more than it takes
    restored = chosen.restore(integers)
    assert restored.dtype == x.dtype
    assert restored.max() <= white
    assert np.abs(restored.astype(int) - x).max() <= error


@settings(max_examples=30)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 16), st.sampled_from([1, 3]), st.booleans(),
       st.sampled_from(KINDS), st.sampled_from([0, 0, 1, 2, 1000]), st.sampled_from([1, 5, 7]))  # fmt: skip
def test_a_tile_comes_back_within_the_bound_and_is_never_much_longer_than_its_samples(
    height, width, depth, channels, alpha, kind, error, effort
):
    built = networks()
    chosen = plan(channels, alpha, depth, min(error, largest_error(depth)))
    x = samples(kind, (height, width, channels + alpha), depth)
    payload = coded(built, chosen, x, effort)
    found = decode_tile(built, chosen, payload, (height, width))
    assert found.dtype == x.dtype
    apart = np.abs(found.astype(int) - x)
    assert apart[..., :channels].max() <= chosen.error
    assert apart[..., channels:].max(initial=0) == 0
    assert len(payload) <= -(-x.size * depth // 8) + 5


@pytest.mark.parametrize("effort", [5, 9])
def test_the_shortest_coding_is_taken(built, effort, monkeypatch):
    x = samples("photo", (64, 64, 3))
    lengths = {}
    for mode, name in ((Mode.GRAPHICS, "pack_graphics"), (Mode.STORED, "_stored")):
        with monkeypatch.context() as patch:
            patch.setattr(tile, "looks_like_graphics", lambda _: True)
            patch.setattr(tile, name, lambda *_: b"\0")
            assert coded(built, plan(), x, effort)[0] == mode
            assert len(coded(built, plan(), x, effort)) == 6
    monkeypatch.setattr(tile, "looks_like_graphics", lambda _: False)
    monkeypatch.setattr(tile, "pack_graphics", lambda x, depth: bytes(x.nbytes))
    for mode, kind in ((Mode.STORED, "noise"), (Mode.RESIDUAL, "photo")):
        payload = coded(built, plan(), samples(kind, (64, 64, 3)), effort)
        assert payload[0] == mode
        lengths[mode] = len(payload)
    assert lengths[Mode.STORED] == x.nbytes + 5
    assert lengths[Mode.RESIDUAL] < 0.8 * x.nbytes


def test_a_model_has_the_networks_of_its_structure():
    assert isinstance(tile.networks(lossless_model()), residual.Residual)
    assert isinstance(tile.networks(unpack_model(style_model())), alike.Alike)
    with pytest.raises(ModelError, match="structure"):
        tile.networks(conformance_model())


@pytest.mark.parametrize("error", [0, 2])
@pytest.mark.parametrize("size", [(9, 17), (3, 9, 10)])
def test_tiles_of_pictures_that_are_alike_come_back_and_so_do_their_previews(size, error):
    styled, chosen = tile.networks(unpack_model(style_model(3))), plan(alpha=True, error=error)
    x = np.resize(samples("noise", (60, 60, 1)), (*size, 1)) // 128 * np.uint8(99)
    x = np.repeat(x, 4, axis=-1)  # grey, of two levels
    payload = coded(styled, chosen, x)
    assert payload[0] == Mode.RESIDUAL
    whole, preview = (decode_tile(styled, chosen, payload, size, skip) for skip in (0, 3))
    assert np.abs(whole.astype(int) - x).max() <= error
    np.testing.assert_array_equal(preview, whole[..., ::8, ::8, :])


@pytest.mark.parametrize("depth", range(1, 17))
def test_stored_samples_take_their_bits(built, depth):
    chosen = plan(1, depth=depth)
    x = samples("noise", (7, 9, 1), depth)
    data = tile._stored(x, chosen)
    assert len(data) == -(-x.size * depth // 8)
    whole = "".join(f"{sample:0{depth}b}" for sample in x.ravel())
    if depth not in (8, 16):
        assert "".join(f"{byte:08b}" for byte in data)[: len(whole)] == whole
    np.testing.assert_array_equal(tile._unstored(data, x.shape, chosen), x)
    for wrong in (data[:-1], data + b"\0", b""):
        with pytest.raises(CorruptStream, match="stored tile"):
            tile._unstored(wrong, x.shape, chosen)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("error", [0, 2])
@pytest.mark.parametrize("size", [(37, 50), (3, 2), (8, 9)])
def test_a_preview_is_every_eighth_row_and_column_of_the_tile(built, monkeypatch, mode, alpha, error, size):
    chosen, x = plan(alpha=alpha, error=error), samples("photo", (*size, 3 + alpha))
    monkeypatch.setattr(tile, "looks_like_graphics", lambda _: mode == Mode.GRAPHICS)
    monkeypatch.setattr(tile, "_stored", tile._stored if mode == Mode.STORED else lambda *_: bytes(10**5))
    if mode == Mode.STORED:
        monkeypatch.setattr(residual, "encode_planes", lambda *_: bytes(10**5))
    elif mode == Mode.GRAPHICS:
        monkeypatch.setattr(residual, "encode_planes", lambda *_: bytes(10**6))
    payload = coded(built, chosen, x)
    assert payload[0] == mode
    whole, preview = (decode_tile(built, chosen, payload, size, skip) for skip in (0, 3))
    np.testing.assert_array_equal(preview, whole[::8, ::8])


def test_payloads_that_are_none_are_refused(built):
    for payload in (b"", b"\0", b"\0" * 4, b"\3" + bytes(20), b"\xff" + bytes(20)):
        with pytest.raises(CorruptStream, match="a tile of"):
            decode_tile(built, plan(), payload, (8, 8))
    for length in (191, 193):
        with pytest.raises(CorruptStream, match="expected 192"):
            decode_tile(built, plan(), bytes(5 + length), (8, 8))


@pytest.mark.parametrize("kind", ["noise", "photo", "constant"])
def test_another_digest_is_a_desync(built, kind):
    x = samples(kind, (30, 30, 3))
    payload = coded(built, plan(), x)
    for place in range(1, 5):
        bad = bytearray(payload)
        bad[place] ^= 1
        with pytest.raises(Desync, match="not those the encoder saw"):
            decode_tile(built, plan(), bytes(bad), (30, 30))


def test_pictures_coded_side_by_side_come_back(built):
    chosen, x = plan(3, True), np.stack([samples("photo", (10, 13, 4), 8, seed) for seed in range(3)])
    for effort in (5, 7):
        payload = coded(built, chosen, x, effort)
        np.testing.assert_array_equal(decode_tile(built, chosen, payload, (3, 10, 13)), x)
        np.testing.assert_array_equal(decode_tile(built, chosen, payload, (3, 10, 13), 3), x[:, ::8, ::8])


def test_graphics_that_are_too_large_are_refused(built):
    with pytest.raises(CorruptStream, match="4096 at most"):
        decode_tile(built, plan(1), bytes([Mode.GRAPHICS]) + bytes(20), (700, 6, 2))


def test_samples_beyond_the_bit_depth_are_refused(built):
    chosen = plan(1, depth=5)
    x = np.full((4, 4, 1), 32, np.uint8)
    payload = bytes([Mode.GRAPHICS]) + tile._digest(x) + tile.pack_graphics(x)
    with pytest.raises(CorruptStream):
        decode_tile(built, chosen, payload, (4, 4))


@settings(max_examples=60)
@given(st.sampled_from(Mode), st.binary(max_size=80), st.integers(1, 16), st.booleans(), st.sampled_from([0, 1]),
       st.sampled_from([0, 3]), st.booleans())  # fmt: skip
def test_any_bytes_give_a_tile_or_an_error_of_the_codec(mode, data, depth, alpha, error, skip, general):
    built = networks() if general else tile.networks(unpack_model(style_model(3)))
    chosen = plan(3, alpha, depth, min(error, largest_error(depth)))
    payload = bytes([mode]) + data.ljust(4, b"\0")

    def read(payload: bytes) -> None:
        found = decode_tile(built, chosen, payload, (9, 10), skip)
        assert found.shape == (-(-9 >> skip), -(-10 >> skip), 3 + alpha)
        assert found.max() >> depth == 0

    check_only_codec_errors(read, payload, f"mode {mode}")
