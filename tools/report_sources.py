"""What a report is made of: folders of runs, results of measurements, and models, found and read.

    folder    metrics.jsonl of a training, results.json of a measurement (also one folder down), a model or checkpoints
    file      one of these

Everything is checked here, since it may come from elsewhere: what is damaged is named, and nothing half is shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from codec.errors import CodecError
from codec.files import read_bytes
from codec.model import SUFFIX, _files, load_model, unpack_model
from codec.photo import STRUCTURE, photo
from codec.residual import residual
from tools.curves import BDRate, Comparison, curve
from tools.metrics import METRICS
from tools.rate_distortion import MeasureError
from tools.results import load
from tools.rivals import Codec
from tools.run_history import METRICS as RECORDS
from tools.run_history import Leg, legs_of
from tools.study import Study

__all__ = ["Sources", "find"]

RESULTS = "results.json"
PLANES = {"ceiling": "plane.png", "ceilings": "vq_plane.png"}  # what tells the two kinds apart, and what each draws


@dataclass(slots=True)
class Sources:
    """What was found.

    Attributes
    ----------
    model : name and bytes of a model file
    rates : rate-distortion studies, by name
    exact, planes : figures of `measure lossless`, and of the information planes, by name
    pictures : information planes as they were drawn, PNG, by the same name
    notices : what was passed over, and why
    """

    legs: list[Leg] = field(default_factory=list)
    model: tuple[str, bytes] | None = None
    rates: dict[str, Study] = field(default_factory=dict)
    exact: dict[str, dict[str, Any]] = field(default_factory=dict)
    planes: dict[str, dict[str, Any]] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def find(paths: Sequence[str]) -> Sources:
    """Read files and folders; what is neither is the name of a model.

    Raises
    ------
    MeasureError
        Nothing to report in one of them, or something damaged.
    CodecError
        No such model.
    """
    found = Sources()
    for given in paths:
        path = Path(given)
        if path.is_dir():
            _read_folder(path, found)
        elif path.suffix == ".json":
            _read_results(path, found)
        elif path.suffix == ".jsonl":
            found.legs += legs_of(path)
        else:
            _read_model(given, found)
    return found


def _read_folder(folder: Path, found: Sources) -> None:
    results = [path for path in (folder / RESULTS, *sorted(folder.glob(f"*/{RESULTS}"))) if path.is_file()]
    checkpoints, models = sorted(folder.glob("*.npz")), sorted(folder.glob(f"*{SUFFIX}"))
    if not (results or checkpoints or models or (folder / RECORDS).exists()):
        wanted = f"{RECORDS}, {RESULTS}, a model or checkpoints"
        raise MeasureError(f"{folder} holds nothing to report; expected {wanted}")
    if (folder / RECORDS).exists():
        found.legs += legs_of(folder / RECORDS)
    for path in results:
        _read_results(path, found)
    if len(models) > 1:
        raise MeasureError(f"{folder} holds {len(models)} models; name the one that the report is about")
    if models and not any(path.stat().st_mtime > models[0].stat().st_mtime for path in checkpoints):
        data = read_bytes(models[0])
        try:
            _check(data)
        except CodecError as error:  # it may be older than this version of the codec, and its checkpoints need not be
            if not checkpoints:
                raise
            found.notices.append(f"{models[0]} is passed over for its checkpoints: {error}")
        else:
            _take_model(models[0].name, data, found)
            return
    if checkpoints:
        _export(folder, checkpoints, found)


def _check(data: bytes) -> None:
    """CodecError unless it is a model that this version of the codec can run."""
    model = unpack_model(data)
    run = photo if model.card.get("structure") == STRUCTURE else residual
    run(model)


def _export(folder: Path, checkpoints: Sequence[Path], found: Sources) -> None:
    """A model of the checkpoints as they are now, if they are all that it takes."""
    from training import checkpoint
    from training.config import Card
    from training.export import model_of

    try:
        parts = {path.stem: checkpoint.load(path) for path in checkpoints}
        _take_model(f"{folder.name}, as exported now", model_of(parts, folder.name or "run", Card()), found)
    except CodecError as error:
        found.notices.append(f"no model can be made of the checkpoints in {folder}: {error}")


def _read_model(given: str, found: Sources) -> None:
    path = next((path for path in _files() if path.stem == given), Path(given))
    if not path.is_file():
        load_model(given)  # says what there is; an id is found here
        raise MeasureError(f"give the model {given} by its name or path")
    _take_model(path.name, read_bytes(path), found)


def _take_model(name: str, data: bytes, found: Sources) -> None:
    if found.model:
        raise MeasureError(f"a report is about one model, and there are two: {found.model[0]} and {name}")
    found.model = name, data


def _read_results(path: Path, found: Sources) -> None:
    name = path.parent.name or path.stem
    try:
        document = json.loads(read_bytes(path))
        if not isinstance(document, dict):
            raise ValueError("no object")
        if document.get("kind") == "lossless":
            found.exact[name] = _exact(document)
        elif "kernels" in document and PLANES.keys() & document.keys():
            found.planes[name] = _plane(document)
            drawn = path.with_name(next(PLANES[key] for key in PLANES if key in document))
            if drawn.is_file():
                found.pictures[name] = read_bytes(drawn)
        elif "points" in document:
            found.rates[name] = _study(path, document)
        else:
            found.notices.append(f"{path} has results that the report does not show")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise MeasureError(f"{path} is damaged, or of another version: {error!r}") from error


def _study(path: Path, document: dict[str, Any]) -> Study:
    """Codecs, curves and BD-rates of the last measurement in a results.json of `measure rd`."""
    codecs = [
        Codec(
            _name(each["name"]),
            *(str(each[key]) for key in ("label", "settings", "version", "knob")),
            ladder=(0.0,),
            suffix="",
            encode=_recorded,
            decode=_recorded,
        )
        for each in document["codecs"]
    ]
    pairs = [(picture, codec) for picture in document["pictures"] for codec in document["codecs"]]
    keys = {f"{picture['hash']}/{codec['fingerprint']}": _name(codec["name"]) for picture, codec in pairs}
    points = [point for point in load(path) if point.key.rpartition("/")[0] in keys]
    if not points:
        raise ValueError("no points of the codecs and pictures that it names")
    metrics = [metric for name, metric in METRICS.items() if all(name in point.scores for point in points)]
    curves = {
        (metric.name, codec.name): curve([p for p in points if keys[p.key.rpartition("/")[0]] == codec.name], metric)
        for metric in metrics
        for codec in codecs
    }
    comparisons = tuple(
        Comparison(_name(each["codec"]), _name(each["anchor"]), str(each["metric"]), each["method"], _rate(each), {})
        for each in document["bd_rates"]
    )
    return Study(tuple(codecs), tuple(metrics), tuple(points), curves, comparisons, {})


def _rate(comparison: dict[str, Any]) -> BDRate | str:
    found = comparison["mean_curve"]
    return str(found["reason"]) if "reason" in found else BDRate(*(float(found[k]) for k in ("percent", "low", "high")))


def _exact(document: dict[str, Any]) -> dict[str, Any]:
    """Rows of the last summary of `measure lossless`; ValueError if it was not finished."""
    rows = [
        {"label": str(row["label"]), "pictures": int(row["pictures"])}
        | {"bpsp": row["bpsp"], "ratios": dict(row["ratios"])}
        for row in document.get("summary", ())
    ]
    if not rows:
        raise ValueError("no summary; finish the measurement first")
    if not all(isinstance(v, int | float | None) for row in rows for v in (row["bpsp"], *row["ratios"].values())):
        raise ValueError("a figure that is no number")
    return {"rows": rows, "anchors": list(rows[0]["ratios"])}


def _plane(document: dict[str, Any]) -> dict[str, Any]:
    """Figures of the species through the first kernel; of a codec's planes, those of the drawing only."""
    if "ceilings" in document:
        ceiling = float(document["ceilings"]["samples"])
        return {"images": "the codec", "samples": int(document["samples"]), "ceiling": ceiling, "rows": []}
    rows = [
        {"species": str(name), **{key: float(found[0][key]) for key in ("peak", "peak_step", "final", "log10_test")}}
        | {"simplifies": bool(found[0]["simplifies"])}
        for name, found in document["summary"].items()
    ]
    return {
        "images": str(document["images"]),
        "samples": int(document["samples"]),
        "ceiling": float(document["ceiling"]),
        "rows": rows,
    }


def _name(text: Any) -> str:
    """A name that can be a class in CSS."""
    return re.sub(r"[^A-Za-z0-9-]", "-", str(text))


def _recorded(*_: Any) -> NoReturn:
    raise NotImplementedError("a codec of recorded points does not code")
