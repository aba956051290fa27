"""How the codewords of a codebook are used, and new life for those that are not.

G codebooks side by side, of K codewords of dimension D, and N vectors for each.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from training import processes

__all__ = ["Usage", "perplexity", "revive", "usage_counts"]


def usage_counts(codes: Tensor, size: int) -> Tensor:
    """How often each codeword was taken: codes (G, N) -> (G, size) int64."""
    groups = codes.shape[0]
    return torch.stack([torch.bincount(codes[g].flatten(), minlength=size) for g in range(groups)])


def perplexity(counts: Tensor) -> Tensor:
    """exp(entropy) of the usage, (G,): the number of codewords that equal use would need, 1..K."""
    share = counts.double() / counts.sum(-1, keepdim=True).clamp(min=1)
    return torch.exp(-torch.xlogy(share, share).sum(-1))


class Usage(nn.Module):
    """A moving average of how often each codeword is taken, `hits` (G, K) per batch; part of a checkpoint."""

    hits: Tensor

    def __init__(self, groups: int, size: int, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("hits", torch.full((groups, size), float("nan")))  # nan: nothing seen yet

    @torch.no_grad()
    def watch(self, codes: Tensor) -> None:
        counts = processes.total(usage_counts(codes, self.hits.shape[1])).to(self.hits.dtype)
        self.hits.copy_(torch.where(self.hits.isnan(), counts, self.hits.lerp(counts, 1 - self.decay)))


@torch.no_grad()
def revive(codebook: Tensor, hits: Tensor, z: Tensor, rng: np.random.Generator, minimum: float) -> int:
    """Put each codeword that is taken less than `minimum` times per batch where a random vector of the batch is.

    Parameters
    ----------
    codebook, hits : (G, K, D), (G, K)
        Changed in place. A revived codeword is given `minimum` hits, so that it has time to find its vectors.
    z : (G, N, D)
        Vectors of the last batch.

    Returns
    -------
    int
        How many were revived.
    """
    dead = hits < minimum  # (G, K)
    for group in range(len(codebook)):
        where = dead[group].nonzero()[:, 0]
        codebook[group, where] = z[group, torch.from_numpy(rng.integers(z.shape[1], size=len(where)))]
        hits[group, where] = minimum
    return int(dead.sum())
