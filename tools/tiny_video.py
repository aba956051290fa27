"""A model of video of a few channels, trained for a minute on pictures that slide: that of the conformance pack.

It goes with a photo model, and its sizes are unlike those of the photo model wherever it may choose.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from codec.model import Model
from codec.photo import photo
from codec.transform import BLOCK
from tools.synthetic import picture
from training.export import video_model
from training.inter import coded
from training.networks import InterPrior
from training.retrieval import Choice
from training.surprises import Surprises, record

__all__ = ["clip", "tiny_video"]

WIDTH, HIDDEN = 12, 14
SIDE, LENGTH, BATCH = 96, 4, 1
RATE, LAST = 4e-3, 0.05  # learning rate, and what is left of it at the end
CONTEXT_RATE = 0.03  # of the networks with a hundred inputs for each hidden unit, which die of larger steps
STEP_INDICES = (3, 63)


def tiny_video(intra: Model, clips: int = 5, steps: int = 150, seed: int = 0) -> bytes:
    """Record, train, and export to a model file; the bytes depend on the machine."""
    built, rng = photo(intra), np.random.default_rng(seed)
    frames = Surprises.of(
        [frame for _ in range(clips) for frame in record(built, clip(rng), int(rng.integers(*STEP_INDICES)))]
    )
    torch.manual_seed(seed)
    prior = InterPrior(WIDTH, HIDDEN)
    prior.slices[2].linear_partial.requires_grad_(False)  # stays zero: a sixth of the file
    trained = [(name, p) for name, p in prior.named_parameters() if p.requires_grad]
    groups = [{"params": [p], "factor": CONTEXT_RATE if name.startswith("context.") else 1.0} for name, p in trained]
    optimizer = torch.optim.Adam(groups, RATE)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * group["factor"] * (LAST + (1 - LAST) * (1 + math.cos(math.pi * step / steps)) / 2)
        loss = torch.zeros(())
        for number in rng.integers(len(frames), size=BATCH).tolist():
            coding = coded(prior, frames, number, Choice())
            bits = coding.bits.sum() / frames.live[number].sum() / BLOCK**2
            loss = loss + (bits * bits.detach() ** -0.7 + 0.1 * coding.auxiliary) / BATCH
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(prior.parameters(), 1.0)
        optimizer.step()
    return video_model(
        {name: value.detach().numpy() for name, value in prior.state_dict().items()},
        intra=intra.id,
        name="conformance-video",
        version=1,
        description="tiny, for conformance tests; trained on synthetic pictures that slide",
        licence="CC0-1.0",
    )


def clip(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture that slides under a piece of another one that slides elsewhere: (LENGTH, SIDE, SIDE, 3)."""
    under, over = (picture(2 * SIDE, 2 * SIDE, 3, int(rng.integers(1 << 30)), 0.0) for _ in range(2))
    ways, corner = rng.integers(-7, 8, (2, 2)), rng.integers(0, SIDE // 2, 2)
    noise = rng.choice([0.0, 3.0])
    made = np.empty((LENGTH, SIDE, SIDE, 3), np.uint8)
    for t, frame in enumerate(made):
        (y, x), (v, u) = SIDE // 2 + t * ways
        frame[:] = under[y : y + SIDE, x : x + SIDE]
        a, b = (slice(c, c + SIDE // 3) for c in corner)
        frame[a, b] = over[v : v + SIDE, u : u + SIDE][a, b]
        frame[:] = np.clip(np.rint(frame + rng.normal(0, noise, frame.shape)), 0, 255)
    return made
