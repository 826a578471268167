"""params.yaml -> validated settings. The one place that knows how a run's settings are merged; no torch here.

Order, the later wins: the paper's settings of the method, recipe or attack; the profile's; the run's own; then the
profile's scale.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WrapValidator,
    model_validator,
)  # fmt: skip
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from amoc.pretraining.variants import VARIANTS, Branch
from amoc.refusal import Refusal

PATH = Path("params.yaml")
PROFILES = ("demo", "small", "paper")
DATASETS = ("cifar10", "cifar100")
METHODS = ("amoc",)

# ---------------------------------------------------------------- numbers


def _allowed(sentence: str) -> WrapValidator:
    """Whatever is wrong with a value, the error says what is allowed."""

    def check(value: Any, validate: Callable[[Any], Any]) -> Any:
        try:
            return validate(value)
        except ValidationError:
            raise ValueError(sentence) from None

    return WrapValidator(check)


def _ratio(value: Any) -> Any:
    """'8/255' -> 0.03137...; anything else is left to the type check."""
    if isinstance(value, str):
        try:
            return float(Fraction(value.replace(" ", "")))
        except (ValueError, ArithmeticError):
            return value
    return value


def _tuple(value: Any) -> Any:
    """YAML has lists."""
    return tuple(value) if isinstance(value, list) else value


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError
    return pair


def _at_most_1(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[1] > 1:
        raise ValueError
    return pair


Ratio = Annotated[float, BeforeValidator(_ratio)]
Positive = Annotated[Ratio, Field(gt=0, allow_inf_nan=False), _allowed("a number above 0")]
NotNegative = Annotated[Ratio, Field(ge=0, allow_inf_nan=False), _allowed("a number from 0 up")]
Share = Annotated[Ratio, Field(ge=0, le=1), _allowed("a number from 0 to 1")]
Momentum = Annotated[Ratio, Field(ge=0, lt=1), _allowed("a number from 0 to below 1")]
Radius = Annotated[Ratio, Field(gt=0, le=1), _allowed("a number above 0 and up to 1, such as 8/255, in pixel units")]
Whole = Annotated[int, Field(ge=0), _allowed("a whole number from 0 up")]
Count = Annotated[int, Field(ge=1), _allowed("a whole number from 1 up")]
Batch = Annotated[int, Field(ge=2), _allowed("a whole number from 2 up")]
Seed = Annotated[int, Field(ge=0, lt=2**31), _allowed("a whole number from 0 to 2147483647")]
Range = Annotated[
    tuple[Positive, Positive], AfterValidator(_ordered), BeforeValidator(_tuple),
    _allowed("two numbers above 0, the smaller one first"),
]  # fmt: skip
AreaRange = Annotated[
    Range, AfterValidator(_at_most_1), _allowed("two shares of the area, above 0 and up to 1, the smaller one first")
]
Norm = Literal["linf", "l1", "l2"]


class Settings(BaseModel):
    """Immutable, complete, strict: an unknown key is an error and 8.0 is not an integer."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    def plain(self) -> dict:
        """As JSON-ready values, with the names that params.yaml uses."""
        return self.model_dump(mode="json", by_alias=True)


# ---------------------------------------------------------------- what the batch goes through


class Jitter(Settings):
    """ColorJitter: factors from U(1 - s, 1 + s), hue shift from U(-hue, hue), the four operations in random order."""

    probability: Share
    brightness: Share
    contrast: Share
    saturation: Share
    hue: Annotated[Ratio, Field(ge=0, le=0.5), _allowed("a number from 0 to 0.5")]


class Blur(Settings):
    """Gaussian blur with sigma (pixels) from U(sigma)."""

    probability: Share
    sigma: Range


class Affine(Settings):
    """Rotation by U(-degrees, degrees), shift by U(-translate, translate) of the size, zoom by U(scale)."""

    degrees: Annotated[Ratio, Field(ge=0, le=180), _allowed("a number from 0 to 180")]
    translate: Share
    scale: Range


class Views(Settings):
    """The random views of contrastive learning; None leaves an operation out."""

    crop_scale: AreaRange | None
    interpolation: Literal["bilinear", "bicubic"]
    jitter: Jitter | None
    grayscale: Share
    blur: Blur | None
    flip: Share
    affine: Affine | None


class Shift(Settings):
    """The classifier's augmentation: reflect-pad, random crop back to size, horizontal flip with this probability."""

    pad: Whole
    flip: Share


class TrainingAttack(Settings):
    """PGD inside training, Linf: steps of relative_step * epsilon. steps = 1 with relative_step 1 is FGSM."""

    steps: Count
    relative_step: Positive
    random_start: bool


# ---------------------------------------------------------------- what the profile sets


class Data(Settings):
    """Which images: scikit-learn's digits or CIFAR; the first `train` and `test` of them, None for all."""

    source: Literal["digits", "cifar"]
    train: Count | None
    test: Count | None


class Model(Settings):
    """A timm ResNet with CIFAR stem; `width` channels in the first stage, doubled at each further stage."""

    architecture: Annotated[str, Field(pattern=r"^resnet\d+[a-z]*$"), _allowed("a ResNet of timm, such as resnet18")]
    width: Annotated[int, Field(ge=2, multiple_of=2), _allowed("an even number from 2 up")]


class Epsilon(Settings):
    """Radius of the ball for each norm, in pixel units: images lie in [0, 1]."""

    linf: Radius
    l1: Positive
    l2: Positive


class Engine(Settings):
    """Where and how training runs. Evaluation always counts in float32."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["float32", "bfloat16"]
    compile: bool
    threads: Whole  # 0: as many as there are
    longest_hours_on_cpu: Positive  # a stage estimated to take longer is refused on a CPU


class Scale(Settings):
    """What short and long mean in epochs, and what batch sizes and bank lengths of the paper are multiplied by."""

    short: Count
    long: Count
    batch_size: Positive
    bank_length: Positive


# ---------------------------------------------------------------- pre-training


class Optimizer(Settings):
    """SGD without Nesterov; the schedule warms up linearly for warmup_epochs, then a cosine to 0."""

    lr: Positive
    momentum: Momentum
    weight_decay: NotNegative
    warmup_epochs: Whole


class Projector(Settings):
    """Linear(features, hidden), ReLU, Linear(hidden, output)."""

    hidden: Count
    output: Count


class Pretraining(Settings):
    """Resolved settings of one encoder: every number is the one used."""

    method: Literal[METHODS]
    variant: Literal[tuple(VARIANTS)]
    branch: Annotated[Branch, _allowed("auto, clean or adv")]
    epochs: Annotated[int, Field(ge=1), _allowed("short, long or a whole number from 1 up")]
    batch_size: Batch
    bank_length: Count
    temperature: Positive
    lambda_: Annotated[Share, Field(alias="lambda")]
    key_momentum: Share
    bank_adv: Literal["moving", "frozen"]
    enqueue: Literal["after", "before"]
    attack_key: Literal["clean", "noisy"]
    attack_mode: Literal["eval", "train"]
    seed: Seed
    attack: TrainingAttack
    optimizer: Optimizer
    projector: Projector
    views: Views
    model: Model
    epsilon: Radius  # Linf

    @model_validator(mode="after")
    def _check(self) -> Pretraining:
        if self.bank_length <= self.batch_size:  # a last image alone joins a batch
            raise ValueError(f"bank_length {self.bank_length} must be larger than batch_size {self.batch_size}")
        if self.optimizer.warmup_epochs >= self.epochs:
            warmup = self.optimizer.warmup_epochs
            raise ValueError(f"optimizer.warmup_epochs {warmup} must be smaller than epochs {self.epochs}")
        return self


# ---------------------------------------------------------------- classifying


class Recipe(Settings):
    """Resolved settings of one way to train a classifier."""

    objective: Literal["standard", "pgd_at", "alp", "trades"]
    train: Literal["head", "all"]
    epochs: Count
    milestones: Annotated[tuple[int, ...], BeforeValidator(_tuple), _allowed("a list of whole numbers")]
    batch_size: Batch
    lr: Positive
    momentum: Momentum
    weight_decay: NotNegative
    shift: Shift
    beta: Positive | None
    attack: TrainingAttack | None
    epsilon: Radius  # Linf

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        for key, without in (("attack", ("standard",)), ("beta", ("standard", "pgd_at"))):
            if (getattr(self, key) is None) != (self.objective in without):
                needed = "be null" if self.objective in without else "be given, not null,"
                raise ValueError(f"{key} must {needed} for the objective {self.objective}")
        if any(a >= b for a, b in pairwise((0, *self.milestones, self.epochs + 1))):
            raise ValueError(f"milestones {list(self.milestones)} must grow from 1 to at most epochs {self.epochs}")
        return self


class EarlyStopping(Settings):
    """The twin is the epoch with the best PGD accuracy on `images` held-out training images.

    It is looked at `every` so many epochs.
    """

    images: Count
    every: Count
    steps: Count
    relative_step: Positive


class Classifying(Settings):
    """Resolved settings of one whole network: recipe, encoder run that it starts from (None: from scratch), twin."""

    recipe_name: str
    recipe: Recipe
    encoder: str | None
    seed: Seed
    model: Model
    early_stopping: EarlyStopping


# ---------------------------------------------------------------- evaluating


class _Attack(Settings):
    norm: Norm
    epsilon: Positive
    images: Count | None = None  # the first so many test images; None for all


class ProjectedGradient(_Attack):
    """foolbox LinfPGD, L1PGD, L2PGD with random start."""

    kind: Literal["pgd"]
    steps: Count
    relative_step: Positive


class Slide(_Attack):
    """foolbox SparseL1DescentAttack (SLIDE): the top 1 % of the gradient."""

    kind: Literal["slide"]
    norm: Literal["l1"]
    steps: Count
    relative_step: Positive


class DeepFool(_Attack):
    """foolbox LinfDeepFoolAttack / L2DeepFoolAttack."""

    kind: Literal["deepfool"]
    norm: Literal["linf", "l2"]
    steps: Count
    overshoot: Positive


class CarliniWagner(_Attack):
    """foolbox L2CarliniWagnerAttack."""

    kind: Literal["carlini_wagner"]
    norm: Literal["l2"]
    steps: Count
    lr: Positive
    binary_search_steps: Count
    initial_const: Positive


class AutoAttack(_Attack):
    """pyautoattack, version standard: APGD-CE, APGD-T, FAB-T, Square with so many queries."""

    kind: Literal["autoattack"]
    norm: Literal["linf", "l2"]
    square_queries: Count


Attack = ProjectedGradient | Slide | DeepFool | CarliniWagner | AutoAttack
_ATTACKS: dict[str, type[Attack]] = {
    "pgd": ProjectedGradient, "slide": Slide, "deepfool": DeepFool, "carlini_wagner": CarliniWagner,
    "autoattack": AutoAttack,
}  # fmt: skip


class Evaluate(Settings):
    """How test images are evaluated: the batch size is part of the result, the seed fixes random starts."""

    batch_size: Count
    seed: Seed


# ---------------------------------------------------------------- the file

_SECTIONS = (
    "profile", "pretrain", "runs", "recipes", "probes", "classifiers", "early_stopping", "attacks", "suites",
    "evaluate", "attacked_probe", "profiles",
)  # fmt: skip
_PROFILE_SECTIONS = ("data", "model", "epsilon", "engine", "scale", "pretrain", "recipes", "early_stopping", "attacks")
_SUITES = ("probe", "table5", "early_stopped")  # that stages ask for; there may be more

Kind = TypeVar("Kind", bound=Settings)


class _Layer(NamedTuple):
    """A part of some settings and where in the file it stands."""

    where: str
    values: dict


def merge(*layers: dict) -> dict:
    """Nested dictionaries, the later wins key by key; a null or a list replaces as a whole."""
    merged: dict = {}
    for layer in layers:
        for key, value in layer.items():
            old = merged.get(key)
            merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


class Params:
    """The file, each part validated when it is asked for; `load` asks for every part of every profile."""

    def __init__(self, raw: Any, path: Path = PATH) -> None:
        """Of a file that is read already: its parts are not looked at yet, only that they are there."""
        self.path = path
        self.raw = self._mapping(raw, "", _SECTIONS)
        for name, profile in self._mapping(self.raw["profiles"], "profiles", PROFILES).items():
            self._mapping(profile, f"profiles.{name}", _PROFILE_SECTIONS)
        self._one_of(self.raw["profile"], PROFILES, "profile")

    @classmethod
    def load(cls, path: Path = PATH) -> Params:
        """Read and check the whole file, so that a wrong value anywhere is refused before anything runs.

        Raises:
            Refusal: one sentence with the key, its value and what is allowed.
        """
        try:
            raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Refusal(f"{path} is missing: run the command in the folder that holds it") from None
        except (OSError, UnicodeDecodeError) as error:
            raise Refusal(f"{path} cannot be read: {error}") from None
        except YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f" line {mark.line + 1}" if mark else ""
            problem = str(getattr(error, "problem", None) or error).partition("\n")[0]
            raise Refusal(f"{path}{line} is not valid YAML: {problem}") from None
        params = cls(raw, path)
        params.check()
        return params

    def check(self) -> None:
        """Resolve everything of every profile."""
        self._mapping(self.raw["pretrain"], "pretrain", METHODS)
        recipes, attacks = self._names("recipes"), self._names("attacks")
        for section in ("runs", "classifiers"):
            self._known_keys(self._section(section), DATASETS, section)
        for profile in reversed(PROFILES):  # paper first: what is wrong in its own settings shows there at once
            for settings in (self.data, self.model, self.engine, self.epsilon, self.scale, self.early_stopping):
                settings(profile)
            for section, names in (("recipes", ("every", *recipes)), ("attacks", attacks)):
                self._known_keys(self._section("profiles", profile, section), names, f"profiles.{profile}.{section}")
            for recipe in recipes:
                self.recipe(profile, recipe)
            for attack in attacks:
                self.attack(profile, attack)
            for dataset in self._section("runs"):
                for run in self.runs(dataset):
                    self.pretraining(profile, dataset, run)
            for dataset in self._section("classifiers"):
                for name in self.networks(dataset):
                    self.classifying(profile, dataset, name)
            for suite in {**dict.fromkeys(_SUITES), **self._section("suites")}:
                self.suite(profile, suite)
        _ = self.evaluate, self.attacked_probe

    # ---- what is asked for

    @property
    def profile(self) -> str:
        return self.raw["profile"]

    @property
    def probes(self) -> list[str]:
        """Names of the linear protocols that every encoder gets."""
        heads = [name for name in self._names("recipes") if self.recipe(self.profile, name).train == "head"]
        return self._list(self.raw["probes"], heads, "probes")

    @property
    def attacked_probe(self) -> str:
        """The linear protocol under which an encoder itself is attacked with the suite of Table 5."""
        return self._one_of(self.raw["attacked_probe"], self.probes, "attacked_probe")

    @cached_property
    def evaluate(self) -> Evaluate:
        return self._resolve(Evaluate, self._layer("evaluate"))

    def data(self, profile: str) -> Data:
        return self._resolve(Data, self._layer("profiles", profile, "data"))

    def model(self, profile: str) -> Model:
        return self._resolve(Model, self._layer("profiles", profile, "model"))

    def engine(self, profile: str) -> Engine:
        return self._resolve(Engine, self._layer("profiles", profile, "engine"))

    def epsilon(self, profile: str) -> Epsilon:
        return self._resolve(Epsilon, self._layer("profiles", profile, "epsilon"))

    def scale(self, profile: str) -> Scale:
        return self._resolve(Scale, self._layer("profiles", profile, "scale"))

    def early_stopping(self, profile: str) -> EarlyStopping:
        changes = self._layer("profiles", profile, "early_stopping")
        return self._resolve(EarlyStopping, self._layer("early_stopping"), changes)

    def runs(self, dataset: str) -> list[str]:
        """Names of the encoders of a data set."""
        return self._names("runs", dataset)

    def networks(self, dataset: str) -> list[str]:
        """Names of the whole networks of a data set."""
        return self._names("classifiers", dataset)

    def pretraining(self, profile: str, dataset: str, run: str) -> Pretraining:
        """Settings of an encoder, in this order: method, profile, run, scale."""
        own, changes = self._layer("runs", dataset, run), self._layer("profiles", profile, "pretrain")
        method = self._one_of(own.values.get("method"), METHODS, f"{own.where}.method")
        for key in ("epochs", "batch_size", "bank_length"):
            if key in changes.values:
                raise Refusal(f"{self.path}: {changes.where}.{key} is not allowed: profiles.{profile}.scale changes it")
        layers = (self._layer("pretrain", method), changes, own)
        merged, scale = merge(*(layer.values for layer in layers)), self.scale(profile)
        derived, what = {}, f"{own.where} in profile {profile}"
        if merged.get("epochs") in ("short", "long"):
            derived["epochs"] = getattr(scale, merged["epochs"])
        for key, factor in (("batch_size", scale.batch_size), ("bank_length", scale.bank_length)):
            if type(number := merged.get(key)) is int and number > 0:
                derived[key] = round(number * factor)
                if derived[key] < 2:
                    product = f"{key} {number} times scale.{key} {factor:g} is {derived[key]}"
                    raise Refusal(f"{self.path}: {what}: {product}, allowed is a whole number from 2 up")
        if merged.get("branch") == "auto" and merged.get("variant") in tuple(VARIANTS):
            derived["branch"] = VARIANTS[merged["variant"]].branch
        shared = {"model": self.model(profile), "epsilon": self.epsilon(profile).linf}
        return self._resolve(Pretraining, *layers, derived=derived, shared=shared, what=what)

    def recipe(self, profile: str, name: str) -> Recipe:
        """Settings of a recipe; a profile that changes its epochs moves its milestones in proportion."""
        paper, shared = self._layer("recipes", name), {"epsilon": self.epsilon(profile).linf}
        base = self._resolve(Recipe, paper, shared=shared)  # complete by itself
        layers = (self._layer("profiles", profile, "recipes", "every", optional=True),
                  self._layer("profiles", profile, "recipes", name, optional=True))  # fmt: skip
        changes, derived = merge(*(layer.values for layer in layers)), {}
        if type(epochs := changes.get("epochs")) is int and epochs != base.epochs and "milestones" not in changes:
            moved = {round(milestone * epochs / base.epochs) for milestone in base.milestones}
            derived["milestones"] = sorted({min(milestone, epochs - 1) for milestone in moved} - {0})
        what = f"{paper.where} in profile {profile}"
        return self._resolve(Recipe, paper, *layers, derived=derived, shared=shared, what=what)

    def classifying(self, profile: str, dataset: str, name: str) -> Classifying:
        """Settings of a whole network."""
        where, own = self._layer("classifiers", dataset, name)
        self._mapping(own, where, ("recipe", "encoder", "seed"))
        whole = [recipe for recipe in self._names("recipes") if self.recipe(profile, recipe).train == "all"]
        recipe = self._one_of(own["recipe"], whole, f"{where}.recipe")
        if own["encoder"] is not None:
            self._one_of(own["encoder"], self.runs(dataset), f"{where}.encoder")
        layer = _Layer(where, {"encoder": own["encoder"], "seed": own["seed"]})
        shared = {"recipe_name": recipe, "recipe": self.recipe(profile, recipe), "model": self.model(profile),
                  "early_stopping": self.early_stopping(profile)}  # fmt: skip
        return self._resolve(Classifying, layer, shared=shared)

    def attack(self, profile: str, name: str) -> Attack:
        """Settings of an attack on the test images."""
        layers = (self._layer("attacks", name), self._layer("profiles", profile, "attacks", name, optional=True))
        merged, radius = merge(*(layer.values for layer in layers)), self.epsilon(profile)
        kind = self._one_of(merged.get("kind"), _ATTACKS, f"attacks.{name}.kind")
        norms = get_args(_ATTACKS[kind].model_fields["norm"].annotation)
        norm = self._one_of(merged.get("norm"), norms, f"attacks.{name}.norm")
        return self._resolve(_ATTACKS[kind], *layers, shared={"epsilon": getattr(radius, norm)})

    def suite(self, profile: str, name: str) -> dict[str, Attack]:
        """The attacks of a suite, by name, in order."""
        chosen = self._list(self._at("suites", name), self._names("attacks"), f"suites.{name}")
        return {attack: self.attack(profile, attack) for attack in chosen}

    # ---- how it is read

    def _at(self, *path: str) -> Any:
        """The value at a path of keys."""
        tree = self.raw
        for depth, key in enumerate(path):
            if not isinstance(tree, dict):
                raise self._refusal(".".join(path[:depth]), tree, "a mapping")
            if key not in tree:
                raise Refusal(f"{self.path}: {'.'.join(path[:depth])} has no {key}, it has {_listed(tree)}")
            tree = tree[key]
        return tree

    def _section(self, *path: str) -> dict:
        section = self._at(*path)
        if not isinstance(section, dict):
            raise self._refusal(".".join(path), section, "a mapping")
        return section

    def _layer(self, *path: str, optional: bool = False) -> _Layer:
        absent = optional and path[-1] not in self._section(*path[:-1])
        return _Layer(".".join(path), {} if absent else self._section(*path))

    def _names(self, *path: str) -> list[str]:
        """The keys of a section, which become names of files and stages."""
        section, where = self._section(*path), ".".join(path)
        for name in section:
            if not (isinstance(name, str) and re.fullmatch("[a-z][a-z0-9_]*", name)):  # DVC breaks on others
                raise self._refusal(f"a name in {where}", name, "a letter a-z, then any of a-z, 0-9 and _")
        return list(section)

    def _list(self, value: Any, allowed: Collection[str], where: str) -> list[str]:
        if not isinstance(value, list):
            raise self._refusal(where, value, f"a list of some of {_listed(allowed)}")
        return [self._one_of(name, allowed, f"{where}[{index}]") for index, name in enumerate(value)]

    def _one_of(self, value: Any, allowed: Collection[str], where: str) -> str:
        if value not in list(allowed):
            raise self._refusal(where, value, _listed(allowed))
        return value

    def _mapping(self, value: Any, where: str, keys: Collection[str]) -> dict:
        """A dictionary with exactly these keys."""
        if not isinstance(value, dict):
            raise self._refusal(where or "the file", value, f"a mapping with the keys {_listed(keys)}")
        self._known_keys(value, keys, where)
        for key in keys:
            if key not in value:
                raise Refusal(f"{self.path}: the key {_joined(where, key)} is missing")
        return value

    def _known_keys(self, value: dict, keys: Collection[str], where: str) -> None:
        for key in value:
            if key not in keys:
                raise Refusal(f"{self.path}: unknown key {_joined(where, key)}, allowed are {_listed(keys)}")

    def _refusal(self, where: str, value: Any, allowed: str) -> Refusal:
        return Refusal(f"{self.path}: {where} is {_shown(value)}, allowed is {allowed}")

    def _resolve(
        self, kind: type[Kind], *layers: _Layer,
        derived: dict | None = None, shared: dict | None = None, what: str | None = None,
    ) -> Kind:  # fmt: skip
        """The layers merged and validated.

        Args:
            derived: what has been worked out from the layers; it replaces their own values.
            shared: what the profile has for all settings of this kind; the layers must not hold it.
            what: is being resolved, for sentences about several of its values.

        Raises:
            Refusal: with the key as written in the file, in the last layer that holds it.
        """
        shared = shared or {}
        for layer in layers:
            for key in shared.keys() & layer.values.keys():
                raise Refusal(f"{self.path}: {layer.where}.{key} is not allowed: profiles.<profile>.{key} sets it")
        values = merge(*(layer.values for layer in layers), derived or {}, shared)
        try:
            return kind.model_validate(values, by_alias=True, by_name=False)
        except ValidationError as failure:
            error = min(failure.errors(), key=_is_about_a_known_key)  # an unknown key explains a missing one
        path = error["loc"]
        if not path:  # a sentence about several values
            raise Refusal(f"{self.path}: {what or layers[0].where}: {error['ctx']['error']}")
        key = _joined(_origin(layers, path), *path)
        if not _is_about_a_known_key(error):
            allowed = [name for name in _keys(_annotation(kind, path[:-1])) if len(path) > 1 or name not in shared]
            raise Refusal(f"{self.path}: unknown key {key}, allowed are {_listed(allowed)}")
        if error["type"] == "missing":
            raise Refusal(f"{self.path}: the key {key} is missing")
        raise self._refusal(key, error["input"], _what_is_allowed(error, _annotation(kind, path)))


# ---------------------------------------------------------------- pydantic's errors in our words

_Path = tuple[int | str, ...]  # keys of nested settings


def _is_about_a_known_key(error: Any) -> bool:
    return error["type"] not in ("extra_forbidden", "invalid_key")


def _origin(layers: Sequence[_Layer], path: _Path) -> str:
    """Where the value at a path was written: in the last layer that has it, or most of the way to it."""
    for depth in range(len(path), 0, -1):
        for layer in reversed(layers):
            if _has(layer.values, path[:depth]):
                return layer.where
    return layers[0].where


def _has(tree: Any, path: _Path) -> bool:
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return False
        tree = tree[key]
    return True


def _annotation(kind: type[Settings], path: _Path) -> Any:
    """The type of the value at a path of keys in nested settings."""
    for key in path:
        fields = {field.alias or name: field for name, field in _settings(kind).model_fields.items()}
        kind = fields[key].annotation
    return kind


def _settings(annotation: Any) -> type[Settings] | None:
    """The class of settings in a type, which may be that or None."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Settings)), None)


def _keys(annotation: Any) -> list[str]:
    return [field.alias or name for name, field in _settings(annotation).model_fields.items()]


def _what_is_allowed(error: Any, annotation: Any) -> str:
    match error["type"]:
        case "value_error":  # our own words, see _allowed
            allowed = str(error["ctx"]["error"])
        case "literal_error":
            allowed = error["ctx"]["expected"].replace("'", "")
        case "bool_type":
            allowed = "true or false"
        case _:
            allowed = f"a mapping with the keys {_listed(_keys(annotation))}"
    return f"{allowed}, or null" if type(None) in get_args(annotation) else allowed


def _joined(where: str, *path: Any) -> str:
    return ".".join(str(key) for key in (where, *path) if key != "")


def _listed(names: Collection[str]) -> str:
    return ", ".join(map(str, names))


def _shown(value: Any) -> str:
    """As in the file, cut short."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
