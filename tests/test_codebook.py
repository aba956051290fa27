"""codec/codebook.py: codewords and their indices."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest

from codec.codebook import SLICES, codebook, lattice
from codec.transform import COEFFICIENTS

BOOKS = [(2, False), (4, False), (8, False), (4, True)]


def test_slices_cover_all_coefficients_and_dimensions_grow():
    assert [part.start for part in SLICES[1:]] == [part.stop for part in SLICES[:-1]]
    assert (SLICES[0].start, SLICES[-1].stop) == (0, COEFFICIENTS)
    dims = [part.dim for part in SLICES]
    assert dims == sorted(dims)
    assert set(dims) == {1, 2, 4, 8}


@pytest.mark.parametrize(("dim", "words"), [(2, 48), (4, 136), (8, 144)])
def test_a_lattice_holds_the_small_vectors_without_zero_by_norm(dim, words):
    found = lattice(dim)
    assert found.shape == (words, dim)
    assert len({tuple(word) for word in found.tolist()} | {(0,) * dim}) == words + 1
    norms = (found**2).sum(1)
    assert (np.diff(norms) >= 0).all()
    assert {tuple(-word) for word in found} == {tuple(word) for word in found}


def test_there_is_no_codebook_of_another_dimension():
    with pytest.raises(ValueError, match="not 3"):
        lattice(3)


@pytest.mark.parametrize(("dim", "zero"), BOOKS)
def test_indices_and_codewords_are_inverse(dim, zero):
    book = codebook(dim, zero)
    assert np.array_equal(book.index(book.words), np.arange(book.split))
    assert (book.dim, book.words[0].any()) == (dim, not zero)


@pytest.mark.parametrize(("dim", "zero"), BOOKS)
def test_every_other_vector_is_split(dim, zero):
    book = codebook(dim, zero)
    words = {tuple(word) for word in book.words.tolist()}
    near = list(itertools.product(range(-4, 5), repeat=dim)) if dim < 8 else []
    drawn = np.random.default_rng(0).integers(-3, 4, (2000, dim)).tolist()
    ends = [[value] + [0] * (dim - 1) for value in (5, -5, 127, 2**15, 2**40, -(2**63), 2**63 - 1)]
    vectors = [tuple(vector) for vector in [*near, *drawn, *ends]]
    split = book.index(np.array(vectors)) == book.split
    assert split.tolist() == [vector not in words for vector in vectors]


def test_the_order_of_codewords_is_frozen():
    words = b"".join(codebook(dim, zero).words.astype("i1").tobytes() for dim, zero in BOOKS)
    assert hashlib.sha256(words).hexdigest()[:16] == "8df79c5d030ad41a"
