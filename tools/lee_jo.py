"""What Lee and Jo found, for comparison: figures of "Information flows of diverse autoencoders" (Entropy, 2021).

Read off the plots that stand beside their code: bits to about 0.1, logarithms of losses to about 0.02. Losses are those
of `species.loss` on the test set. The sets of pictures are known by the digest of `image_sets`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PAPER", "SETS", "Published"]

SETS = {"2d93df71cdd69428": "MNIST", "e1df463bf468efc3": "Fashion-MNIST"}


@dataclass(frozen=True, slots=True)
class Published:
    """One species: the largest I(X;Z), the I(X;T) that layers end at, both in bits, and log10 of the last test loss."""

    peak: float
    final: dict[str, float]
    loss: float


PAPER = {
    "MNIST": {
        "shallow": Published(5.2, {"Z": 3.65}, -2.24),
        "deep": Published(4.4, {"E1": 6.5, "E2": 5.0, "Z": 2.8, "D1": 4.05, "D2": 6.27}, -2.22),
        "overfit": Published(5.2, {"E1": 6.6, "E2": 6.3, "Z": 5.2, "D1": 6.3, "D2": 6.6}, -1.56),
        "sparse": Published(4.8, {"Z": 0.75}, -2.07),
        "tied": Published(6.4, {"Z": 6.4}, -1.79),
        "variational": Published(6.64, {"E1": 6.57, "E2": 2.8, "Z": 6.64}, 2.147),
        "label": Published(1.3, {"E1": 6.6, "E2": 5.55, "Z": 1.2, "D1": 3.5, "D2": 5.85}, -1.70),
    },
    "Fashion-MNIST": {
        "shallow": Published(5.05, {"Z": 3.55}, -1.99),
        "deep": Published(4.2, {"E1": 6.4, "E2": 5.3, "Z": 3.7, "D1": 4.35, "D2": 5.05}, -1.96),
        "overfit": Published(4.9, {"Z": 4.9}, -1.66),
        "sparse": Published(3.95, {"Z": 0.85}, -1.96),
        "tied": Published(5.9, {"Z": 5.9}, -1.75),
        "variational": Published(6.64, {"E2": 3.0, "Z": 6.64}, 2.39),
        "label": Published(1.2, {"E2": 5.6, "Z": 1.2}, -1.67),
    },
}
