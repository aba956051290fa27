"""Information planes as one HTML file: a slider plays the training, and every point says what it is.

Nothing is loaded from elsewhere: numbers, script and styles are in the file. `templates/plane.js` draws; where scripts
do not run, the page shows the picture of `plane_plot` instead.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.plane_plot import RAMP, step_ticks
from tools.planes import Planes, Summary
from tools.results import machine, versions
from tools.species import SPECIES

__all__ = ["numbers", "render"]

KERNELS = {
    "gamma 2": "\N{GREEK SMALL LETTER GAMMA} = 2, as Lee and Jo",
    "normalised gamma 1": "one scale for all values, as Tapia and Est\N{LATIN SMALL LETTER E WITH ACUTE}vez",
}


def render(planes: Planes, picture: bytes) -> str:
    """The page as text; `picture` is a PNG that shows the same without scripts."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("tools"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    deep = {name: len(planes.of(name)[0].layers) > 1 for name in planes.species}
    rows = [planes.summary(name) for name in sorted(planes.species, key=deep.__getitem__)]  # panels fill rows better
    return environment.get_template("plane.html").render(
        planes=planes,
        rows=rows,
        headline=headline(rows),
        labels={name: SPECIES[name].label for name in planes.species},
        deep=deep,
        numbers=json.dumps(numbers(planes), separators=(",", ":")).replace("<", "\\u003c"),
        picture=base64.b64encode(picture).decode(),
        ramp=RAMP,
        steps=int(planes.trajectories[0].steps[-1]),
        seeds=len({run.seed for run in planes.trajectories}),
        samples=planes.trajectories[0].samples,
        date=datetime.now(UTC).strftime("%-d %B %Y"),
        machine=machine(),
        versions=versions(),
    )


def headline(rows: list[Summary]) -> str:
    """The result in a sentence: which species lose information after their peak."""
    simpler = [SPECIES[row.species].label.lower() for row in rows if row.simplifies]
    others = len(rows) - len(simpler)
    if not others:
        return "All of these autoencoders simplify in training"
    if not simpler:
        return "None of these autoencoders simplifies in training"
    said = f"{_listed(simpler)} simplif{'y' if len(simpler) > 1 else 'ies'} in training"
    return f"{said}, the other{f' {others} do' if others > 1 else ' does'} not".capitalize()


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def numbers(planes: Planes) -> dict[str, Any]:
    """What the script draws: bits as whole thousandths, losses as logarithms."""
    first = planes.trajectories[0]
    return {
        "ceiling": round(planes.ceiling, 4),
        "steps": first.steps.tolist(),
        "ticks": step_ticks(first.steps),
        "ramp": RAMP,
        "kernels": [
            KERNELS.get(name, name.replace("gamma", "\N{GREEK SMALL LETTER GAMMA} =")) for name in first.kernels
        ],
        "runs": [
            {
                "species": run.species,
                "label": SPECIES[run.species].label,
                "seed": run.seed,
                "layers": run.layers,
                "paper": paper.final if (paper := planes.summary(run.species).paper) else {},
                "unit": "nats per picture" if SPECIES[run.species].code == "gaussian" else "",
                "test": _thousandths(np.log10(run.test)),
                "train": _thousandths(np.log10(run.train)),
                "bits": [
                    [
                        [_thousandths(run.bits[:, kernel, layer, side]) for side in (0, 1)]
                        for layer in range(len(run.layers))
                    ]
                    for kernel in range(len(run.kernels))
                ],
            }
            for run in planes.trajectories
        ],
    }


def _thousandths(values: NDArray[np.float64]) -> list[int]:
    return [round(1000 * value) for value in values.tolist()]
