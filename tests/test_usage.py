"""training/usage.py: how codewords are used."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.usage import Usage, perplexity, revive, usage_counts


def test_counts_are_those_of_the_codes():
    codes = torch.tensor([[0, 2, 2, 2], [1, 1, 0, 0]])
    assert usage_counts(codes, 4).tolist() == [[1, 0, 3, 0], [2, 2, 0, 0]]


def test_perplexity_counts_the_codewords_that_are_used_evenly():
    counts = torch.tensor([[5, 5, 5, 5], [9, 0, 0, 0], [3, 3, 0, 0], [0, 0, 0, 0]])
    assert perplexity(counts).tolist() == pytest.approx([4, 1, 2, 1])


def test_usage_is_a_moving_average():
    usage = Usage(1, 2, decay=0.75)
    usage.watch(torch.tensor([[0, 0, 0, 0]]))
    assert usage.hits.tolist() == [[4.0, 0.0]]
    usage.watch(torch.tensor([[1, 1, 1, 1]]))
    assert usage.hits.tolist() == [[3.0, 1.0]]


def test_dead_codewords_are_put_where_data_is_and_the_others_stay():
    codebook = torch.tensor([[[0.0], [50.0], [60.0]], [[0.0], [1.0], [2.0]]])
    hits = torch.tensor([[9.0, 0.1, 0.0], [3.0, 3.0, 3.0]])
    z = torch.tensor([[[7.0], [8.0]], [[7.0], [8.0]]])
    assert revive(codebook, hits, z, np.random.default_rng(0), 1.0) == 2
    assert codebook[0, 0].item() == 0.0
    assert set(codebook[0, 1:, 0].tolist()) <= {7.0, 8.0}
    assert codebook[1].flatten().tolist() == [0.0, 1.0, 2.0]
    assert hits.tolist() == [[9.0, 1.0, 1.0], [3.0, 3.0, 3.0]]


def test_revival_repeats_with_its_generator():
    z = torch.arange(20.0).reshape(1, 20, 1)
    books = [torch.zeros(1, 8, 1) for _ in range(2)]
    for book in books:
        revive(book, torch.zeros(1, 8), z, np.random.default_rng(3), 1.0)
    assert torch.equal(*books)
    assert len(books[0].unique()) > 1
