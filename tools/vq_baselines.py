"""Quantisers of others as `training.quantizers.Quantizer`, from the package vector-quantize-pytorch:

    ste              identity Jacobian, codewords by gradient (van den Oord et al. 2017, arXiv 1711.00937)
    ema              identity Jacobian, codewords as moving averages (its appendix A.1), with Laplace smoothing
    rotation-trick   the gradient rotated and scaled with its vector (Fifty et al. 2024, arXiv 2410.06424)
    simvq            frozen random codewords under a learned linear map for each group, with the rotation trick, as the
                     package has it (Zhu et al. 2024, arXiv 2411.02038)
    fsq              no codebook: a few numbers of each vector are bounded and rounded (Mentzer et al. 2023, arXiv
                     2309.15505), with linear maps from the vector and back that all groups share

They keep their codebooks themselves; the `codebook` and `bits` that they are called with say where the first three
start, and nothing else. Their losses are theirs: `energy` is scaled so that the weight that `tools.vq_autoencoder`
puts on it gives vectors the same commitment as in the other methods.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from training.quantizers import Quantised, Quantizer

__all__ = ["BASELINES", "Baseline", "fsq_levels", "make_baseline"]

BASELINES = ("ste", "ema", "rotation-trick", "simvq", "fsq")
FEWEST_LEVELS = 3  # of a number; the paper advises 5 where the budget allows it
LEVELS = {64: (8, 8), 256: (8, 6, 5), 1024: (8, 5, 5, 5)}  # the paper's table 1, and 64


class Baseline(Quantizer):
    """What the quantisers of the package have in common.

    Parameters
    ----------
    scale : what their loss is multiplied with to be an energy
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def start(self, codebook: Tensor) -> None:
        """Put the codewords at (G, K, D), where a method has any that can be put."""

    def quantise(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(G, N, D) -> codes (G, N), values (G, N, D), and the loss of the package."""
        raise NotImplementedError

    def forward(self, z: Tensor, codebook: Tensor, bits: Tensor) -> Quantised:
        codes, values, loss = self.quantise(z)
        codes = codes.long()
        return Quantised(codes, values, bits.gather(1, codes), self.scale * loss, z.detach())


class Codewords(Baseline):
    """A codebook for each group: ste, ema and rotation-trick."""

    def __init__(self, method: str, groups: int, size: int, dim: int, decay: float) -> None:
        super().__init__(dim / 2)  # its commitment is the mean over elements, an energy half the sum
        from vector_quantize_pytorch import VectorQuantize

        moving = method == "ema"
        self.inner = VectorQuantize(
            dim=groups * dim,
            codebook_dim=dim,
            heads=groups,
            separate_codebook_per_head=groups > 1,
            codebook_size=size,
            decay=decay,
            ema_update=moving,
            learnable_codebook=not moving,
            rotation_trick=method == "rotation-trick",
        )

    @torch.no_grad()
    def start(self, codebook: Tensor) -> None:
        """Averages start with one vector each, that of the codeword."""
        self.inner._codebook.embed.copy_(codebook)
        self.inner._codebook.embed_avg.copy_(codebook)

    def quantise(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        groups, count, dim = z.shape
        values, codes, loss = self.inner(z.transpose(0, 1).reshape(count, groups * dim))
        return codes.view(count, groups).T, values.view(count, groups, dim).transpose(0, 1), loss.squeeze()


class LinearCodewords(Baseline):
    """simvq: each group its own.

    Its loss moves codewords with weight 1 and vectors with `COMMITMENT` inside of it, which is taken out here.
    """

    COMMITMENT = 0.25

    def __init__(self, groups: int, size: int, dim: int, rotate: bool = True) -> None:
        super().__init__(dim / 2 / self.COMMITMENT / groups)
        from vector_quantize_pytorch import SimVQ

        options = {"rotation_trick": rotate, "input_to_quantize_commit_loss_weight": self.COMMITMENT}
        self.inner = nn.ModuleList(SimVQ(dim, size, **options) for _ in range(groups))

    def quantise(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values, codes, losses = zip(*(one(each[None]) for one, each in zip(self.inner, z, strict=True)), strict=True)
        if not self.training:  # theirs carry the rounding of a rotation
            values = tuple(one.indices_to_codes(each) for one, each in zip(self.inner, codes, strict=True))
        return torch.cat(codes), torch.cat(values), torch.stack(losses).sum()


class FiniteScalars(Baseline):
    """fsq."""

    def __init__(self, levels: tuple[int, ...], dim: int) -> None:
        super().__init__(0.0)
        from vector_quantize_pytorch import FSQ

        self.inner = FSQ(list(levels), dim=dim)

    def quantise(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values, codes = self.inner(z)
        return codes, values, z.new_zeros(())


def fsq_levels(size: int, numbers: int | None = None) -> tuple[int, ...]:
    """Levels whose product is `size`, or as little below as it gets.

    Parameters
    ----------
    numbers : how many; without it, those of the paper, or about one for two bits
    """
    if numbers is None and size in LEVELS:
        return LEVELS[size]
    numbers = numbers or max(1, int(math.log2(size) / 2))
    if size < FEWEST_LEVELS**numbers:
        raise ValueError(f"{size} codes are too few for {numbers} numbers of at least {FEWEST_LEVELS} levels")

    def best(room: int, left: int, most: int) -> tuple[int, ...]:
        """The `left` levels, falling and at most `most`, of the largest product within `room`."""
        if left == 1:
            return (min(room, most),)
        found = [
            (first, *best(room // first, left - 1, first))
            for first in range(min(most, room // FEWEST_LEVELS ** (left - 1)), FEWEST_LEVELS - 1, -1)
        ]
        return max(found, key=lambda levels: (math.prod(levels), -levels[0]))

    return best(size, numbers, size)


def make_baseline(
    method: str,
    *,
    groups: int,
    size: int,
    dim: int,
    decay: float = 0.99,
    levels: int | None = None,
    rotate: bool = True,
) -> Baseline:
    """A method of BASELINES for `groups` codebooks of `size` codewords of `dim` numbers.

    Parameters
    ----------
    decay : of ema
    levels : of fsq, how many numbers are rounded, see `fsq_levels`
    rotate : of simvq, whether its gradient is rotated
    """
    if method in ("ste", "ema", "rotation-trick"):
        return Codewords(method, groups, size, dim, decay)
    if method == "simvq":
        return LinearCodewords(groups, size, dim, rotate)
    if method == "fsq":
        return FiniteScalars(fsq_levels(size, levels), dim)
    raise ValueError(f"there is no baseline {method!r}")
