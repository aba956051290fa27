"""codec/transform.py: the lapped transform, and its exact inverse."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from codec import transform
from codec.intnet import pattern
from codec.transform import BLOCK, FRACTION, MATRIX_BITS, analysis, border_rotation, colour_axes, dct, synthesis
from tests.checks import ROOT
from tools.synthetic import picture

SIZES = [(1, 1), (1, 4), (3, 1), (5, 7)]


def reference(y: np.ndarray) -> np.ndarray:
    """`synthesis` in Python's integers, step by step as SPEC.md has it: lists of (16 h, 16 w, 3)."""
    rotation, basis, axes = (m.astype(int).astype(object) for m in transform._synthesis_matrices())
    h, w, _ = y.shape
    x = y.astype(object).reshape(h, w, 3, 16, 16).transpose(0, 3, 1, 4, 2).reshape(16 * h, 16 * w, 3)
    for axis, shift in ((0, 16), (1, 14)):
        x = np.moveaxis(x, axis, 0)
        blocks = [basis.dot(x[i : i + 16].reshape(16, -1)) for i in range(0, len(x), 16)]
        x = (np.concatenate(blocks) + (1 << shift >> 1) >> shift).reshape(x.shape)
        for i in range(8, len(x) - 8, 16):
            x[i : i + 16] = ((rotation.dot(x[i : i + 16].reshape(16, -1)) + (1 << 13)) >> 14).reshape(16, *x.shape[1:])
        x = np.moveaxis(x, 0, axis)
    return ((x.dot(axes) + (1 << 13)) >> 14) + 8160


def test_the_matrices_are_orthogonal():
    for matrix in (border_rotation(), dct(BLOCK), colour_axes()):
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-14)


@pytest.mark.parametrize("size", SIZES)
def test_squared_errors_keep_their_size(size):
    x = picture(16 * size[0], 16 * size[1])
    energy = ((x - 127.5) ** 2).sum()
    assert (analysis(x) ** 2).sum() == pytest.approx(energy, rel=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("noise", "most"), [(0.0, 0.06), (300.0, 0.12)])
def test_synthesis_undoes_analysis_within_hundredths_of_a_grey_level(size, noise, most):
    x = picture(16 * size[0], 16 * size[1], noise=noise)
    y = np.rint(analysis(x) * 256).astype(np.int64)
    assert np.abs(synthesis(y, size) / (1 << FRACTION) - x).max() < most


def test_basis_functions_overlap_by_half_a_block_and_no_further():
    y = np.zeros((3, 3, transform.COEFFICIENTS), np.int64)
    y[1, 1] = pattern((transform.COEFFICIENTS,), -5000, 5000)
    touched = (synthesis(y, (3, 3)) != (255 << FRACTION) // 2).any(axis=2)
    assert touched[8:40, 8:40].mean() > 0.99
    touched[8:40, 8:40] = False
    assert not touched.any()


def test_a_grey_picture_has_no_chroma_and_gives_grey():
    x = np.repeat(picture(32, 48, 1), 3, axis=2)
    y = analysis(x)
    assert np.abs(y[..., 256:]).max() < 1e-9
    grey = synthesis(np.rint(y * 256).astype(np.int64), (2, 3))
    assert np.ptp(grey, axis=2).max() == 0


@pytest.mark.parametrize("largest", [3, 1 << 15, 1 << 23, (1 << 31) - 1])
def test_synthesis_is_exact_up_to_the_largest_coefficients(largest):
    y = pattern((2, 3, transform.COEFFICIENTS), -largest, largest)
    assert np.array_equal(synthesis(y, (2, 3)), reference(y).astype(float))


def test_no_machine_can_round_the_matrices_otherwise():
    for matrix in (border_rotation(), dct(BLOCK), colour_axes()):
        fraction = np.abs(np.ldexp(matrix, MATRIX_BITS)) % 1
        assert np.abs(fraction - 0.5).min() > 1e-4  # a cosine's last bit is 1e-12 here


def test_matrices_and_pixels_are_frozen():
    rotation, basis, axes = transform._synthesis_matrices()
    matrices = b"".join(m.astype("<i4").tobytes() for m in (basis, rotation, axes.T))  # T, P, C of SPEC.md
    pixels = synthesis(pattern((3, 4, transform.COEFFICIENTS), -60000, 60000), (3, 4))
    found = [hashlib.sha256(data).hexdigest()[:16] for data in (matrices, pixels.astype("<i8").tobytes())]
    assert found == ["ef7db0b761970a72", "859e5a69bd24abbe"]
    assert found[0] in (ROOT / "codec" / "SPEC.md").read_text(encoding="utf-8")
