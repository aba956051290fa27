"""A recipe: all choices of a training, read from a TOML file. An unknown key is an error, a missing one its default."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from codec.lattice import MARGIN
from codec.transform import BLOCK
from training.errors import DataError, RecipeError

__all__ = [
    "KINDS",
    "METHODS",
    "Card",
    "Data",
    "PriorStage",
    "QuantizerChoice",
    "Recipe",
    "ResidualStage",
    "Schedule",
    "Stage",
    "StyleStage",
    "SynthesisStage",
    "WaysStage",
    "find_data",
    "find_recipe",
    "kind_of",
    "parse_recipe",
]

KINDS = {  # of models: their stages
    "lossless": ("residual",),
    "photo": ("prior", "synthesis"),
    "digits": ("style", "ways"),
    "video": ("inter",),
}

HYPER_SIDE = 4 * BLOCK  # pixels that share a vector of the hyper-latent
METHODS = ("hopfield", "annealed", "moving-average", "rotation")  # see quantizers.py


def _require(true: bool, what: str) -> None:
    if not true:
        raise RecipeError(what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a model says of itself, besides its name."""

    version: int = 1
    description: str = ""
    licence: str = ""
    trained_on: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Folders of pictures, or files of digits. They are looked for beside the recipe first, then where one is."""

    train: str
    validation: str | None = None  # of digits: if there is none, some are held back
    validation_pictures: int = 8
    order_pictures: int = 320  # how many determine the order of the coefficients


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast a stage learns: a linear warm-up, then half a cosine down to `last` of its rate."""

    steps: int | None = None  # exactly one of the two; with steps, a run is reproducible
    minutes: float | None = None
    batch: int = 6
    crop: int = 240  # pixels
    learning_rate: float = 1.2e-3
    warmup: int = 200  # steps
    last: float = 0.02
    clip: float = 1.0  # norm of the gradient

    def __post_init__(self) -> None:
        _require((self.steps is None) != (self.minutes is None), "a schedule has either steps or minutes")
        _require((self.steps or self.minutes or 0) > 0, "steps or minutes must be above 0")
        _require(self.crop % BLOCK == 0 and self.crop > 0, f"crop is a multiple of {BLOCK}, not {self.crop}")
        _require(self.batch > 0 and self.warmup >= 0, "batch must be above 0, warmup not below")
        _require(self.learning_rate > 0 and self.clip > 0, "learning_rate and clip must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizerChoice:
    """Quantiser of the hyper-latent; see quantizers.py."""

    method: str = "hopfield"
    beta: float = 4.0  # inverse temperature: `hopfield`, and where `annealed` starts
    beta_last: float = 64.0  # where `annealed` ends
    mu: float = 0.005  # price of a bit, in units of half a squared distance
    decay: float = 0.99  # of `moving-average`
    revive_below: float = 0.0  # codewords with fewer hits a batch are put where data is; 0: never
    revive_every: int = 100  # steps

    def __post_init__(self) -> None:
        _require(self.method in METHODS, f"the quantizer's method is one of {', '.join(METHODS)}, not {self.method!r}")
        _require(self.beta > 0 and self.beta_last > 0, "beta and beta_last must be above 0")
        _require(self.mu >= 0 and 0 < self.decay < 1, "mu must not be below 0, decay must be between 0 and 1")
        _require(self.revive_below >= 0 and self.revive_every > 0, "revive_below, revive_every must not be below 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorStage:
    """Training of the prior on codes of the fixed transform."""

    schedule: Schedule
    width: int = 128
    hidden: int = 128
    scalar: bool = False  # the control: groups are coded as numbers; no model can be made of it
    threshold: float = 0.47  # for numbers coded one by one: 0.5 is plain rounding
    threshold_spread: float = 0.02  # its standard deviation over batches
    weights: tuple[float, float] = (6.0, 11.0)  # bits that a squared step is worth, for groups: drawn for each batch
    rate_exponent: float = 0.7  # a quality that costs r bits per pixel on average has weight r^-rate_exponent
    auxiliary: float = 0.1
    linear_rate: float = 0.1  # learning rate of the linear predictions, relative
    grey: float = 0.03  # share of the batches that hold a grey picture
    hyper_norm: bool = False  # standardise the hyper-latent over the batch, which keeps its codebook in use
    quantizer: QuantizerChoice = field(default_factory=QuantizerChoice)

    def __post_init__(self) -> None:
        several = self.schedule.batch > 1 or self.schedule.crop > HYPER_SIDE
        _require(several or not self.hyper_norm, f"hyper_norm needs a batch above 1, or a crop above {HYPER_SIDE}")
        _require(min(self.width, self.hidden) > 0, "width and hidden must be above 0")
        _require(0 < self.threshold <= 0.5, "threshold must be in (0, 0.5]")
        _require(len(self.weights) == 2 and 0 < self.weights[0] <= self.weights[-1], "weights are two numbers above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisStage:
    """Training of the filter on pictures that were degraded as the codec degrades them, without the prior."""

    schedule: Schedule
    width: int = 96
    blocks: int = 3
    threshold: float = 0.40  # of groups: what is below 1 - 0.40 steps becomes 0
    threshold_single: float = 0.46  # of coefficients coded one by one
    threshold_spread: float = 0.03  # of `threshold`, over pictures
    lone: float = 0.78  # what a coefficient that is alone in its group must have, in steps, not to become 0
    lone_spread: float = 0.05

    def __post_init__(self) -> None:
        _require(min(self.width, self.blocks) > 0, "width and blocks must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualStage:
    """Training of the lossless networks: density estimation of pixels, given those that are known before them."""

    schedule: Schedule
    width: int = 64
    layers: int = 2  # hidden ones
    coarse: float = 0.15  # share of the batches that are quantised, as near-lossless coding sees them
    coarsest: int = 7  # largest error of those

    def __post_init__(self) -> None:
        _require(self.schedule.crop > 2 * MARGIN, f"crop must be above {2 * MARGIN}")
        _require(self.width > 0 and self.layers > 0, "width and layers must be above 0")
        _require(0 <= self.coarse <= 1 and self.coarsest > 0, "coarse is 0 to 1, coarsest above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleStage:
    """Training of what small pictures look like that are alike: density estimation of their pixels; batches of them."""

    schedule: Schedule
    width: int = 112

    def __post_init__(self) -> None:
        _require(self.width > 0, "width must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaysStage:
    """Training of the hypernetwork that foresees where things go, on simulated clips; batches of them."""

    schedule: Schedule
    width: int = 64

    def __post_init__(self) -> None:
        _require(self.width > 0, "width must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class InterStage:
    """Training of the prior of inter frames, on frames that the encoder records from clips; batches of them."""

    schedule: Schedule
    width: int = 128
    hidden: int = 128
    threshold: float = 0.47  # the next five as for the prior of photos
    threshold_spread: float = 0.02
    weights: tuple[float, float] = (6.0, 11.0)
    rate_exponent: float = 0.7
    auxiliary: float = 0.1
    linear_rate: float = 0.1
    told_rate: float = 6.0  # learning rate of what sees the prediction and the frame before, relative

    def __post_init__(self) -> None:
        _require(min(self.width, self.hidden) > 0, "width and hidden must be above 0")
        _require(min(self.linear_rate, self.told_rate) > 0, "linear_rate and told_rate must be above 0")
        _require(0 < self.threshold <= 0.5, "threshold must be in (0, 0.5]")
        _require(len(self.weights) == 2 and 0 < self.weights[0] <= self.weights[-1], "weights are two numbers above 0")


Stage = PriorStage | SynthesisStage | ResidualStage | StyleStage | WaysStage | InterStage


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What makes a model. A stage that is left out is not trained."""

    name: str
    data: Data
    card: Card = field(default_factory=Card)
    seed: int = 0
    log_steps: int = 100
    evaluate_steps: int = 1200
    checkpoint_minutes: float = 5.0
    prior: PriorStage | None = None
    synthesis: SynthesisStage | None = None
    residual: ResidualStage | None = None
    style: StyleStage | None = None
    ways: WaysStage | None = None
    inter: InterStage | None = None

    def __post_init__(self) -> None:
        one = self.stages and set(self.stages) <= set(KINDS[kind_of(self.stages)])
        stages = "[prior], [synthesis] or both, or else [residual], or else [style], [ways] or both, or else [inter]"
        _require(bool(one), f"a recipe has {stages}")
        _require(min(self.log_steps, self.evaluate_steps) > 0, "log_steps and evaluate_steps must be above 0")
        _require(self.seed >= 0, "seed must not be below 0")
        _require(Path(self.name).name == self.name, f"the name becomes that of a file, {self.name!r} cannot")

    @property
    def stages(self) -> dict[str, Stage]:
        """The stages that are there, by name, in their order."""
        return {name: stage for kind in KINDS.values() for name in kind if (stage := getattr(self, name))}

    def check_shares(self, processes: int) -> None:
        """RecipeError if so many processes cannot share the batches evenly."""
        for name, stage in self.stages.items():
            batch = stage.schedule.batch
            _require(batch % processes == 0, f"{name}: {processes} processes cannot share a batch of {batch} evenly")

    def lasting(self, minutes: float) -> Recipe:
        """The same recipe in another time; the stages share it as they share their own minutes, or else evenly."""
        stages = self.stages
        own = [stage.schedule.minutes or 0.0 for stage in stages.values()]
        shares = own if all(own) else [1.0] * len(own)
        changed: dict[str, Any] = {}
        for (name, stage), share in zip(stages.items(), shares, strict=True):
            time = minutes * share / sum(shares)
            schedule = dataclasses.replace(stage.schedule, steps=None, minutes=time)
            changed[name] = dataclasses.replace(stage, schedule=schedule)
        return dataclasses.replace(self, **changed)


def kind_of(stages: Iterable[str]) -> str:
    """The kind of model that stages are of, which is also the name of its bundled recipe; of none: photo."""
    there = set(stages)
    return next((kind for kind, own in KINDS.items() if there & set(own)), "photo")


def find_recipe(name: str) -> Path:
    """The path of a recipe: a file, or the name of one that comes with the package."""
    path = Path(name)
    if path.is_file():
        return path
    folder = Path(str(resources.files("training") / "recipes"))
    if (bundled := folder / f"{name}.toml").is_file():
        return bundled
    names = ", ".join(sorted(file.stem for file in folder.glob("*.toml")))
    raise RecipeError(f"there is no recipe {name}; expected a TOML file, or one of the bundled: {names}")


def parse_recipe(text: str, where: str = "recipe") -> Recipe:
    """TOML -> recipe.

    Raises
    ------
    RecipeError
        The text is not TOML, a key is unknown or missing, or a value has the wrong type or makes no sense.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where} is not TOML: {error}") from error
    recipe: Recipe = _build(Recipe, table, where)
    return recipe


def find_data(named: str, recipe: Path) -> Path:
    """A folder or file of data that a recipe names."""
    candidates = [recipe.parent / named, Path(named)]
    for path in candidates:
        if path.exists():
            return path
    where = f"neither beside {recipe.name} nor in the current directory"
    raise DataError(f"the recipe's data {named} is {where}; --data and --validation name others")


def _build(kind: Any, table: dict[str, Any], where: str) -> Any:
    """A table -> the dataclass `kind`, its own tables included."""
    hints, fields = typing.get_type_hints(kind), dataclasses.fields(kind)
    names = [f.name for f in fields]
    for key in table:
        _require(key in names, f"{where}: unknown key {key!r}; known are {', '.join(names)}")
    for f in fields:
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        _require(f.name in table or not required, f"{where}: the key {f.name!r} is missing")
    values = {key: _convert(hints[key], value, f"{where}: {key}") for key, value in table.items()}
    try:
        return kind(**values)
    except RecipeError as error:
        raise error if where in str(error) else RecipeError(f"{where}: {error}") from None


def _convert(hint: Any, value: Any, where: str) -> Any:
    """A TOML value as the field wants it: ints may stand for floats, nothing else is converted."""
    if isinstance(hint, types.UnionType):
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if dataclasses.is_dataclass(hint):
        _require(isinstance(value, dict), f"{where} is a table, not {value!r}")
        return _build(hint, value, where)
    if typing.get_origin(hint) is tuple:
        _require(isinstance(value, list), f"{where} is a list, not {value!r}")
        return tuple(_convert(typing.get_args(hint)[0], item, where) for item in value)
    if hint is float and type(value) is int:
        return float(value)
    _require(type(value) is hint, f"{where} is of type {hint.__name__}, not {value!r}")
    return value
