"""tools/exact.py: every rival gives back what it took, or says why it does not take it."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

from codec.picture import Image
from tests.pictures import picture
from tools import exact
from tools.exact import RIVALS
from tools.lossless import colours, compare

NAMES = [name for name in RIVALS if name != "flif"]
X = picture(24, 20, 5)
ALPHA = picture(24, 20, 6)[..., 0]
PALETTE = np.array([[9, 8, 7], [255, 0, 3], [20, 20, 20], [0, 99, 0]], np.uint8)


def deep(x: np.ndarray, bits: int) -> np.ndarray:
    """Samples of so many bits, all of them in use."""
    return x.astype(np.uint16) * 257 + np.arange(x.size, dtype=np.uint16).reshape(x.shape) % 251 >> 16 - bits


KINDS = {
    "rgb": Image(X),
    "grey": Image(X[..., :1]),
    "grey with alpha": Image(X[..., :1], ALPHA),
    "colours under what is transparent": Image(X, ALPHA * (ALPHA > 128)),
    "opaque": Image(X, np.full_like(ALPHA, 255)),
    "one pixel": Image(X[:1, :1]),
    "a row": Image(X[:1]),
    "1 bit": Image(X[..., :1] >> 7, bit_depth=1),
    "3 bits": Image(X >> 5, bit_depth=3),
    "palette": Image(X[..., :1] >> 6, palette=PALETTE),
    "palette with alpha": Image(
        X[..., :1] >> 6, palette=np.column_stack([PALETTE, [255, 0, 70, 255]]).astype(np.uint8)
    ),
    "10 bits": Image(deep(X, 10), bit_depth=10),
    "16 bits": Image(deep(X, 16)),
    "16 bits with alpha": Image(deep(X, 16), deep(ALPHA, 16)),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_comes_back(name):
    codec, taken = RIVALS[name](), 0
    for kind, image in KINDS.items():
        if codec.unfit(image):
            continue
        given = image if codec.palettes == "kept" else image.expanded()
        found = compare(image.expanded().pixels, colours(codec.decode(codec.encode(given))), 255)
        assert found == (0, None), kind
        taken += 1
    assert taken >= len(KINDS) - 5


@pytest.mark.parametrize("name", NAMES)
def test_what_a_codec_cannot_hold_is_told_apart(name):
    codec = RIVALS[name]()
    assert bool(codec.unfit(KINDS["16 bits"])) == (name in ("webp", "webp-fast", "avif"))
    assert bool(codec.unfit(KINDS["palette"])) == (name in ("jpegls", "jpeg2000", "avif"))
    assert not codec.unfit(KINDS["grey with alpha"])


def test_png_and_xz_keep_a_palette():
    for codec in (exact.png(), exact.xz()):
        decoded = codec.decode(codec.encode(KINDS["palette"]))
        np.testing.assert_array_equal(decoded.palette[: len(PALETTE)], PALETTE)


def test_png_packs_what_is_not_eight_bits():
    """Noise of 1 bit takes an eighth of a byte a sample, apart from rows' filters and chunks."""
    noise = np.random.default_rng(0).integers(0, 2, (64, 64, 1), np.uint8)
    assert len(exact.png().encode(Image(noise, bit_depth=1))) < 64 * 64 / 8 + 64 + 120


def test_another_version_is_another_measurement():
    codec = exact.xz()
    assert codec.fingerprint == exact.xz().fingerprint
    assert codec.fingerprint != dataclasses.replace(codec, version="another").fingerprint


def test_flif_is_measured_where_its_program_is(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "flif" not in exact.default()
    program = tmp_path / "flif"  # stands in for it: takes its options, checks them, and copies
    program.write_text(
        f"""#!{sys.executable}
import sys
if sys.argv[1:] == ["--version"]:
    print(" ____\\n (__    FLIF (Free Lossless Image Format) 0.4 [21 Nov 2021]")
elif sys.argv[1:-2] in (["-e", "-E100", "-N", "-K"], ["-d"]):
    open(sys.argv[-1], "xb").write(open(sys.argv[-2], "rb").read())
else:
    sys.exit(1)
"""
    )
    program.chmod(0o755)
    assert "flif" in exact.default()
    codec = exact.flif()
    assert codec.version == "0.4 [21 Nov 2021]"
    np.testing.assert_array_equal(codec.decode(codec.encode(Image(X))), X)
