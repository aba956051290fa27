"""Vector quantisers for training, read as Hopfield networks.

    E_k(z)  = |z - c_k|^2 / 2 + mu bits_k                      energy of codeword k; mu > 0 is entropy-constrained VQ
    p_k(z)  = softmax_k(-beta E_k)                             association with the stored patterns
    T(z)    = sum_k p_k c_k                                    one step of retrieval; dT/dz = beta Cov_p(c)
    F(z)    = -(1/beta) log sum_k exp(-beta E_k)               free energy; F(T(z)) <= F(z), grad_z F = z - T(z)
    F <= min_k E_k <= F + log(K) / beta                        so beta -> infinity is the nearest codeword

T is the update of a modern Hopfield network (Ramsauer et al. 2020, arXiv 2008.02217) whose patterns carry a bias; the
bias holds the norms of the codewords and the price of their codes (Chou, Lookabaugh and Gray, "Entropy-constrained
vector quantization", 1989). A decoder only sees codes, so when it is evaluated every quantiser takes the codeword of
least energy; they differ in what training sees.

Shapes: G codebooks side by side, N vectors each. z (G, N, D), codebook (G, K, D), bits (G, K).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from training import processes

__all__ = [
    "AnnealedHopfield",
    "HopfieldStraightThrough",
    "MovingAverage",
    "Quantised",
    "Quantizer",
    "RotationTrick",
    "association",
    "energies",
    "free_energy",
    "make_quantizer",
    "retrieve",
]


@dataclass(frozen=True, slots=True)
class Quantised:
    """What a quantiser made of the vectors `z`.

    Attributes
    ----------
    codes : (G, N) int64, the codewords of least energy: what a decoder would be sent
    values : (G, N, D), what the decoder would see, carrying the method's gradient
    rate : (G, N) bits of each code, with a gradient to `bits` and, where the method has one, to z
    energy : scalar, the mean energy to minimise; it moves the codewords, the vectors, or both
    z : (G, N, D), the vectors, detached
    """

    codes: Tensor
    values: Tensor
    rate: Tensor
    energy: Tensor
    z: Tensor


# --- the identities of a Hopfield codebook


def energies(z: Tensor, codebook: Tensor, bits: Tensor | None = None, mu: float = 0.0) -> Tensor:
    """E (G, N, K). The price is a constant of the moment: no gradient of E reaches `bits`."""
    half_distance = 0.5 * (z[:, :, None] - codebook[:, None]).square().sum(-1)  # (G, N, K)
    return half_distance if bits is None else half_distance + mu * bits.detach()[:, None]


def association(energy: Tensor, beta: float) -> Tensor:
    """p (G, N, K): how strongly each vector is associated with each codeword."""
    return torch.softmax(-beta * energy, -1)


def retrieve(p: Tensor, codebook: Tensor) -> Tensor:
    """T(z) (G, N, D): one step of retrieval."""
    return torch.bmm(p, codebook)


def free_energy(energy: Tensor, beta: float) -> Tensor:
    """F (G, N)."""
    return -torch.logsumexp(-beta * energy, -1) / beta


# --- the methods


class Quantizer(nn.Module):
    """The interface: `quantizer(z, codebook, bits)` gives a `Quantised`, `anneal(progress)` follows the training."""

    def anneal(self, progress: float) -> None:
        """Told before each step what share of the training is over, 0..1."""

    def forward(self, z: Tensor, codebook: Tensor, bits: Tensor) -> Quantised:
        raise NotImplementedError


class HopfieldStraightThrough(Quantizer):
    """Forward the codeword of least energy, backward through the Hopfield update.

        values = c_k*,  k* = argmin_k E_k          d values / dz := beta Cov_p(c),  d values_d / dc_kd := p_k

    There is no gap between training and decoding, and unlike the identity Jacobian of van den Oord et al. 2017 the
    gradient vanishes where the decision is certain and is largest where it is open. Compare soft-to-hard annealing
    (Agustsson et al. 2017, arXiv 1704.00648).
    """

    def __init__(self, beta: float = 4.0, mu: float = 0.005) -> None:
        super().__init__()
        self.beta, self.mu = beta, mu

    def forward(self, z: Tensor, codebook: Tensor, bits: Tensor) -> Quantised:
        energy = energies(z, codebook, bits, self.mu)
        codes, hard = nearest(energy, codebook)
        p = association(energy, self.beta)
        rate = bits.gather(1, codes)
        distortion = 0.5 * (z - hard).square().sum(-1).mean()
        if not self.training:
            return Quantised(codes, hard, rate, distortion, z.detach())
        soft = retrieve(p, codebook)
        rate = through(rate, expected(p, bits), keep=True)
        return Quantised(codes, through(hard, soft), rate, distortion, z.detach())


class AnnealedHopfield(Quantizer):
    """Train on the relaxed retrieval T(z) while beta grows, decode with beta = infinity.

        values = T(z),  energy = F(z)          beta(progress) = beta_first (beta_last / beta_first)^progress

    F replaces codebook and commitment loss and needs no straight-through (Vivet 2024 reads VQ-VAE this way; annealing
    is Rose's: "Deterministic annealing for clustering", 1998). Start near 1 / lambda_max(Cov of the codewords), where
    they part; end where the association is one-hot, or the decoder was trained on values that it will not get.
    """

    def __init__(self, beta: float = 1.0, beta_last: float = 64.0, mu: float = 0.005) -> None:
        super().__init__()
        self.beta_first, self.beta_last, self.beta, self.mu = beta, beta_last, beta, mu

    def anneal(self, progress: float) -> None:
        self.beta = self.beta_first * (self.beta_last / self.beta_first) ** min(max(progress, 0.0), 1.0)

    def forward(self, z: Tensor, codebook: Tensor, bits: Tensor) -> Quantised:
        energy = energies(z, codebook, bits, self.mu)
        codes, hard = nearest(energy, codebook)
        p = association(energy, self.beta)
        rate = bits.gather(1, codes)
        relaxed = free_energy(energy, self.beta).mean()
        if not self.training:
            return Quantised(codes, hard, rate, relaxed, z.detach())
        soft = retrieve(p, codebook)
        rate = through(rate, expected(p, bits), keep=True)
        return Quantised(codes, soft, rate, relaxed, z.detach())


class MovingAverage(Quantizer):
    """The baseline: identity Jacobian, codewords as moving averages of the vectors they take.

        values = z + sg(c_k* - z)          n_k <- g n_k + (1-g) hits_k,   c_k <- (g n_k c_k + (1-g) sum z) / n_k

    van den Oord et al. 2017 (arXiv 1711.00937, appendix A.1), written without its second buffer, m_k = n_k c_k, and
    without smoothing: a codeword that is not taken stays where it is. The codebook gets no gradient, it is moved.
    """

    counts: Tensor

    def __init__(self, groups: int, size: int, decay: float = 0.99, mu: float = 0.0) -> None:
        super().__init__()
        self.decay, self.mu = decay, mu
        self.register_buffer("counts", torch.ones(groups, size))

    def forward(self, z: Tensor, codebook: Tensor, bits: Tensor) -> Quantised:
        codebook = codebook.detach()
        codes, hard = nearest(energies(z, codebook, bits, self.mu), codebook)
        commitment = 0.5 * (z - hard).square().sum(-1).mean()
        if self.training:
            self._move(z.detach(), codebook, codes)
        values = through(hard, z) if self.training else hard
        return Quantised(codes, values, bits.gather(1, codes), commitment, z.detach())

    @torch.no_grad()
    def _move(self, z: Tensor, codebook: Tensor, codes: Tensor) -> None:
        hits = nn.functional.one_hot(codes, codebook.shape[1]).to(z.dtype)  # (G, N, K)
        count, sums = processes.total(hits.sum(1)), processes.total(hits.transpose(1, 2) @ z)
        kept = self.decay * self.counts  # (G, K)
        self.counts.copy_(kept + (1 - self.decay) * count)
        moved = kept[..., None] * codebook + (1 - self.decay) * sums
        taken = (count > 0)[..., None]
        codebook.copy_(torch.where(taken, moved / self.counts[..., None], codebook))


class RotationTrick(Quantizer):
    """Forward the codeword, backward the rotation and scaling that take the vector to its codeword.

        values = lambda R z = c_k*,  lambda = |c| / |z|,  R = I - 2 w w^T + 2 c^ z^^T,  w = (z^ + c^) / |z^ + c^|

    with lambda and R held constant (Fifty et al. 2024, arXiv 2410.06424): the angle between gradient and codeword
    becomes the angle between gradient and vector. The codewords learn from the energy.
    """

    def __init__(self, mu: float = 0.0) -> None:
        super().__init__()
        self.mu = mu

    def forward(self, z: Tensor, codebook: Tensor, bits: Tensor) -> Quantised:
        codes, hard = nearest(energies(z, codebook, bits, self.mu), codebook)
        energy = 0.5 * (z - hard).square().sum(-1).mean()
        rotated: Tensor = _Rotate.apply(z, hard.detach())  # type: ignore[no-untyped-call]
        values = rotated if self.training else hard
        return Quantised(codes, values, bits.gather(1, codes), energy, z.detach())


class _Rotate(torch.autograd.Function):
    """(z, c) -> c exactly; the gradient of z is lambda R^T g, that of c is none."""

    TINY = 1e-6  # below it a direction, or the plane of the rotation, is noise: the gradient passes unchanged

    @staticmethod
    def forward(ctx: Any, z: Tensor, c: Tensor) -> Tensor:
        ctx.save_for_backward(z, c)
        return c.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (z, c), (g,), tiny = ctx.saved_tensors, gradients, _Rotate.TINY
        length_z, length_c = z.norm(dim=-1, keepdim=True), c.norm(dim=-1, keepdim=True)
        unit_z, unit_c = z / length_z.clamp(min=tiny), c / length_c.clamp(min=tiny)
        length_w = (unit_z + unit_c).norm(dim=-1, keepdim=True)
        w = (unit_z + unit_c) / length_w.clamp(min=tiny)
        turned = g - 2 * w * (w * g).sum(-1, keepdim=True) + 2 * unit_z * (unit_c * g).sum(-1, keepdim=True)
        sound = (length_z > tiny) & (length_c > tiny) & (length_w > tiny)
        return torch.where(sound, turned * length_c / length_z.clamp(min=tiny), g), None


def make_quantizer(
    method: str,
    *,
    groups: int,
    size: int,
    beta: float = 4.0,
    beta_last: float = 64.0,
    mu: float = 0.005,
    decay: float = 0.99,
) -> Quantizer:
    """The quantiser of a recipe, for `groups` codebooks of `size` codewords."""
    if method == "hopfield":
        return HopfieldStraightThrough(beta, mu)
    if method == "annealed":
        return AnnealedHopfield(beta, beta_last, mu)
    if method == "moving-average":
        return MovingAverage(groups, size, decay, mu)
    if method == "rotation":
        return RotationTrick(mu)
    raise ValueError(f"there is no quantiser {method!r}")


# --- shared steps


def nearest(energy: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    """Codes of least energy (G, N) int64 and their codewords (G, N, D)."""
    codes = energy.argmin(-1)
    return codes, codebook.gather(1, codes[..., None].expand(-1, -1, codebook.shape[-1]))


def expected(p: Tensor, bits: Tensor) -> Tensor:
    """Expected price (G, N) under the association. Its gradient moves vectors and codewords, never the price itself."""
    return (p * bits.detach()[:, None]).sum(-1)


def through(value: Tensor, carrier: Tensor, *, keep: bool = False) -> Tensor:
    """`value` with the gradient of `carrier`, instead of its own or (`keep`) besides it."""
    return (value if keep else value.detach()) + carrier - carrier.detach()
