"""Several processes that train as one: each computes on its share of a batch, and they add up what they found.

    L = mean_r L_r,   dL/dw = mean_r dL_r/dw          r: processes, whose shares of the batch are of one size

(Synchronous data-parallel training; Li et al. 2020, arXiv 2006.15704.) All processes draw the same batch from the same
generator, take the same step and so keep the same weights; what a loss counts besides is added up, too. A process that
is alone gets back what it gave: nothing here costs it anything.

Lightning Fabric starts the processes and connects them, by gloo.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from training.errors import TrainingError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["average", "count", "gathered", "launch", "mean", "most", "share", "spread", "total"]


def launch(processes: int = 1) -> Fabric:
    """Start the other processes, which run this very command from its beginning; returns in each of them.

    Raises
    ------
    TrainingError
        Lightning Fabric is not installed.
    """
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError as error:
        need = f"training needs the module {error.name!r}, which is not installed"
        raise TrainingError(f"{need}: pip install 'engram-codec[train]'") from error
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it would say who it is
    fabric = Fabric(accelerator="cpu", devices=processes, strategy="ddp" if processes > 1 else "auto")
    fabric.launch()
    return fabric


def count() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this one: 0 is the first, which writes files and speaks."""
    return dist.get_rank() if count() > 1 else 0


def share(batch: int) -> slice:
    """Which samples of a batch are this process's own; see `Recipe.check_shares`."""
    size = batch // count()
    return slice(rank() * size, (rank() + 1) * size)


@torch.no_grad()
def gathered(x: Tensor, dim: int = 0) -> Tensor:
    """The tensors of all processes, of one shape, side by side in their order; without a gradient."""
    if count() == 1:
        return x.detach()
    size = x.shape[dim]
    whole = x.new_zeros([*x.shape[:dim], size * count(), *x.shape[dim + 1 :]])
    whole.narrow(dim, rank() * size, size).copy_(x)
    return _reduced(whole)


def total(x: Tensor) -> Tensor:
    """Sum over the processes, with its gradient."""
    if count() == 1:
        return x
    summed: Tensor = _Total.apply(x)  # type: ignore[no-untyped-call]
    return summed


def mean(value: float) -> float:
    """Mean over the processes."""
    return value if count() == 1 else float(_reduced(torch.tensor(value, dtype=torch.float64))) / count()


def most(*values: float) -> list[float]:
    """Of each value the largest that a process has, so that all go the same way."""
    if count() == 1:
        return list(values)
    found: list[float] = _reduced(torch.tensor(values, dtype=torch.float64), dist.ReduceOp.MAX).tolist()
    return found


@torch.no_grad()
def spread(tensors: Iterable[Tensor]) -> None:
    """Give all processes the values of the first one, in place."""
    if count() == 1:
        return
    for tensor in tensors:
        own = tensor.contiguous().clone() if rank() == 0 else torch.zeros_like(tensor).contiguous()
        tensor.copy_(_reduced(own))


@torch.no_grad()
def average(parameters: Sequence[nn.Parameter], loss: Tensor) -> float:
    """Average the gradients over the processes, in place; returns the mean loss.

    A parameter without a gradient counts as zeros, and stays without one if it has none anywhere. A loss or gradient
    that is no number in one process becomes so in all.
    """
    if count() == 1:
        return loss.item()
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    there = torch.tensor([float(p.grad is not None) for p in parameters])
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), there, loss.detach().reshape(1)])
    sizes = [*(p.numel() for p in parameters), len(there), 1]
    *parts, there, loss = torch.split(_reduced(flat) / count(), sizes)
    for parameter, gradient, part, known in zip(parameters, gradients, parts, there.tolist(), strict=True):
        parameter.grad = gradient.copy_(part.view(gradient.shape)) if known else None
    return loss.item()


class _Total(torch.autograd.Function):
    """y = sum over processes of x; the gradient of each x is the sum of all gradients of y."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _reduced(x.detach().clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _reduced(gradients[0].contiguous().clone())


def _reduced(x: Tensor, operation: Any = None) -> Tensor:
    """Sum over the processes, or another operation, in place."""
    try:
        dist.all_reduce(x, dist.ReduceOp.SUM if operation is None else operation)
    except RuntimeError as error:  # gloo has no type of its own for this
        raise TrainingError("another process of this training has ended; --resume goes on") from error
    return x
