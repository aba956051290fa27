"""Pictures of a study of moving digits: frames foretold beside true ones, and the filters that made them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tools.transitions import CELL, FAR, Hyper, Prediction, windows

__all__ = ["draw_filters", "draw_frames"]

SHOWN = 4  # filters: of the cells with the most ink
DPI = 110
ZOOM, EDGE = 2, 0.3  # of frames in a row: pixels for a pixel, and grey between frames
NAMES, NUMBERS = 1.8, 0.25  # inches beside and above them


def draw_frames(told: Mapping[str, NDArray[np.float64]], first: int = 1) -> bytes:
    """A row of as many frames (T, H, W) in [0, 1] for each name, as PNG; they are numbered from `first`."""
    plt, edge = _pyplot(), ((0, 0), (1, 1), (1, 1))
    mosaic = np.concatenate([np.hstack([*np.pad(each, edge, constant_values=EDGE)]) for each in told.values()])
    (height, width), count = mosaic.shape, len(next(iter(told.values())))
    sides = np.array([width, height]) * ZOOM / DPI
    size = sides + np.array([NAMES, NUMBERS])
    figure = plt.figure(figsize=tuple(size))
    axis = figure.add_axes((NAMES / size[0], 0, *(sides / size)))
    axis.imshow(mosaic, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    axis.set_yticks((np.arange(len(told)) + 0.5) * height / len(told), list(told), fontsize=8)
    axis.set_xticks((np.arange(count) + 0.5) * width / count, range(first, first + count), fontsize=8)
    axis.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axis.spines[:].set_visible(False)
    return _saved(figure)


def draw_filters(prediction: Prediction, clip: NDArray[np.uint8]) -> bytes:
    """What the hypernetwork sees, what it foretells, what is true, and filters at the brightest places, as PNG."""
    network = prediction.network
    if not isinstance(network, Hyper):
        raise TypeError(f"{type(network).__name__} makes no filters")
    plt = _pyplot()
    pairs, x = windows(clip[None])
    pair, truth = pairs[-1:], x[-1, 0] / 255
    with torch.no_grad():
        weights, foretold = network.filters(pair)[0], network(pair)[0, 0]
        ink = torch.nn.functional.avg_pool2d(pair[:, 1:], CELL)[0, 0]
    cells = np.argsort(-ink.numpy().ravel())[:: max(1, int((ink > 0).sum()) // SHOWN)][:SHOWN]
    panels: list[tuple[str, Any, Any]] = [
        ("frame t - 1", pair[0, 0], 1), ("frame t", pair[0, 1], 1), ("foretold", foretold, 1), ("true", truth, 1)
    ]  # fmt: skip
    for cell in cells:
        y, column = divmod(int(cell), weights.shape[2])
        taps = weights[:, y, column].view(2 * FAR + 1, 2 * FAR + 1)
        panels.append((f"filter at ({y}, {column})", taps, float(taps.max())))
    figure, axes = plt.subplots(1, len(panels), figsize=(1.5 * len(panels), 1.8))
    for axis, (name, picture, most) in zip(axes, panels, strict=True):
        axis.imshow(np.asarray(picture.numpy()), cmap="gray" if most == 1 else "magma", vmin=0, vmax=most)
        axis.set_title(name, fontsize=7)
        axis.set_axis_off()
    figure.tight_layout(pad=0.3)
    return _saved(figure)


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _saved(figure: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    _pyplot().close(figure)
    return file.getvalue()
