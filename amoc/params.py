"""params.yaml -> validated settings. The one place that knows how a run's settings are merged; no torch here.

Order, the later wins: the paper's settings of the method, recipe or attack; the profile's; the run's own; then the profile's scale.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from amoc.pretraining.variants import VARIANTS
from amoc.refusal import Refusal

PATH = Path("params.yaml")
PROFILES = ("demo", "small", "paper")
Role = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]  # other characters break DVC's names


def _ratio(value: Any) -> Any:
    """'8/255' -> 0.03137...; anything else is left to the type check."""
    if isinstance(value, str):
        try:
            return float(Fraction(value.replace(" ", "")))
        except (ValueError, ZeroDivisionError):
            return value
    return value


Ratio = Annotated[float, BeforeValidator(_ratio)]
Positive = Annotated[Ratio, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[Ratio, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[Ratio, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Norm = Literal["linf", "l1", "l2"]
Branch = Literal["clean", "adv"]


class Settings(BaseModel):
    """Immutable, complete, strict: an unknown key is an error and 8.0 is not an integer."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    def plain(self) -> dict:
        """As JSON-ready values, with the names that params.yaml uses."""
        return self.model_dump(mode="json", by_alias=True)


def _increasing(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"the first of {list(pair)} must not exceed the second")
    return pair


Range = Annotated[tuple[Positive, Positive], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v), Field(strict=False)]


# ---------------------------------------------------------------- what the batch goes through


class Jitter(Settings):
    """ColorJitter: factors from U(1 - s, 1 + s), hue shift from U(-hue, hue), the four operations in random order."""

    probability: Share
    brightness: Share
    contrast: Share
    saturation: Share
    hue: Annotated[Ratio, Field(ge=0, le=0.5)]


class Blur(Settings):
    """Gaussian blur with sigma (pixels) from U(sigma)."""

    probability: Share
    sigma: Range


class Affine(Settings):
    """Rotation by U(-degrees, degrees), shift by U(-translate, translate) of the size, zoom by U(scale)."""

    degrees: Annotated[Ratio, Field(ge=0, le=180)]
    translate: Share
    scale: Range


class Views(Settings):
    """The random views of contrastive learning; None leaves an operation out."""

    crop_scale: Range | None
    interpolation: Literal["bilinear", "bicubic"]
    jitter: Jitter | None
    grayscale: Share
    blur: Blur | None
    flip: Share
    affine: Affine | None

    @model_validator(mode="after")
    def _check(self) -> Views:
        for pair in (self.crop_scale, self.blur and self.blur.sigma, self.affine and self.affine.scale):
            if pair:
                _increasing(pair)
        if self.crop_scale and self.crop_scale[1] > 1:
            raise ValueError(f"crop_scale {list(self.crop_scale)} is a share of the image's area: at most 1")
        return self


class Shift(Settings):
    """The classifier's augmentation: reflect-pad, random crop back to size, horizontal flip with this probability."""

    pad: Annotated[int, Field(ge=0)]
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

    architecture: Annotated[str, Field(pattern=r"^resnet\d+[a-z]*$")]
    width: Annotated[int, Field(ge=2, multiple_of=2)]


class Epsilon(Settings):
    """Radius of the ball for each norm, in pixel units: images lie in [0, 1]."""

    linf: Positive
    l1: Positive
    l2: Positive

    @model_validator(mode="after")
    def _check(self) -> Epsilon:
        if self.linf > 1:
            raise ValueError(f"linf is {self.linf:g}, but pixels lie in [0, 1]: allowed is 0 < linf <= 1, such as 8/255")
        return self


class Engine(Settings):
    """Where and how training runs. Evaluation always counts in float32."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["float32", "bfloat16"]
    compile: bool
    threads: Annotated[int, Field(ge=0)]  # 0: as many as there are
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
    momentum: Annotated[Ratio, Field(ge=0, lt=1)]
    weight_decay: NotNegative
    warmup_epochs: Annotated[int, Field(ge=0)]


class Projector(Settings):
    """Linear(features, hidden), ReLU, Linear(hidden, output)."""

    hidden: Count
    output: Count


class Pretraining(Settings):
    """Resolved settings of one encoder: every number is the one used."""

    method: Literal["amoc"]
    variant: Literal[tuple(VARIANTS)]
    branch: Branch
    epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    bank_length: Count
    temperature: Positive
    lambda_: Annotated[Share, Field(alias="lambda")]
    key_momentum: Annotated[Ratio, Field(ge=0, le=1)]
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
    epsilon: Annotated[Positive, Field(le=1)]  # Linf

    @model_validator(mode="after")
    def _check(self) -> Pretraining:
        if self.bank_length < self.batch_size:
            raise ValueError(f"bank_length {self.bank_length} is smaller than batch_size {self.batch_size}: a batch of keys must fit into the bank")
        if self.optimizer.warmup_epochs >= self.epochs:
            raise ValueError(f"optimizer.warmup_epochs {self.optimizer.warmup_epochs} must be smaller than epochs {self.epochs}")
        return self


# ---------------------------------------------------------------- classifying


class Recipe(Settings):
    """Resolved settings of one way to train a classifier."""

    objective: Literal["standard", "pgd_at", "alp", "trades"]
    train: Literal["head", "all"]
    epochs: Count
    milestones: Annotated[tuple[int, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)]
    batch_size: Annotated[int, Field(ge=2)]
    lr: Positive
    momentum: Annotated[Ratio, Field(ge=0, lt=1)]
    weight_decay: NotNegative
    shift: Shift
    beta: Positive | None
    attack: TrainingAttack | None
    epsilon: Annotated[Positive, Field(le=1)]  # Linf

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if (self.attack is None) != (self.objective == "standard"):
            raise ValueError(f"attack must be {'null' if self.objective == 'standard' else 'given'} for objective {self.objective}")
        if (self.beta is None) != (self.objective in ("standard", "pgd_at")):
            raise ValueError(f"beta must be {'null' if self.objective in ('standard', 'pgd_at') else 'given'} for objective {self.objective}")
        if any(a >= b for a, b in pairwise((0, *self.milestones, self.epochs + 1))):
            raise ValueError(f"milestones {list(self.milestones)} must grow from 1 to at most epochs {self.epochs}")
        return self


class EarlyStopping(Settings):
    """The twin is the epoch with the best PGD accuracy on `images` held-out training images, looked at `every` so many epochs."""

    images: Count
    every: Count
    steps: Count
    relative_step: Positive


class Classifying(Settings):
    """Resolved settings of one whole network: its recipe, the encoder run it starts from (None: from scratch) and its twin."""

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


Attack = Annotated[ProjectedGradient | Slide | DeepFool | CarliniWagner | AutoAttack, Field(discriminator="kind")]


class Evaluate(Settings):
    """How test images are evaluated: the batch size is part of the result, the seed fixes random starts."""

    batch_size: Count
    seed: Seed


# ---------------------------------------------------------------- the file

_SECTIONS = {"profile", "pretrain", "runs", "recipes", "probes", "classifiers", "early_stopping", "attacks", "suites", "evaluate", "attacked_probe", "profiles"}
_PROFILE_SECTIONS = {"data", "model", "epsilon", "engine", "scale", "pretrain", "recipes", "early_stopping", "attacks"}


def merge(*layers: dict) -> dict:
    """Nested dictionaries, the later wins key by key; a null or a list replaces as a whole."""
    merged: dict = {}
    for layer in layers:
        for key, value in layer.items():
            old = merged.get(key)
            merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _has(tree: Any, path: tuple) -> bool:
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return False
        tree = tree[key]
    return True


class Params:
    """The validated file. `Params.load()` resolves every run, recipe and attack of every profile once, so that a wrong
    value anywhere is refused before anything runs."""

    def __init__(self, raw: Any, path: Path = PATH) -> None:
        self.path = path
        self.raw = self._mapping(raw, "", _SECTIONS)
        for name, profile in self._mapping(self.raw["profiles"], "profiles", set(PROFILES)).items():
            self._mapping(profile, f"profiles.{name}", _PROFILE_SECTIONS)
        if self.profile not in PROFILES:
            raise self._refuse("profile", self.raw["profile"], f"one of {', '.join(PROFILES)}")

    @classmethod
    def load(cls, path: Path = PATH) -> Params:
        """Read and check the whole file. Raises Refusal with the key, its value and what is allowed."""
        try:
            raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Refusal(f"{path} is missing: run the command in the folder that holds it") from None
        except YAMLError as error:
            where = getattr(error, "problem_mark", None)
            raise Refusal(f"{path}{f' line {where.line + 1}' if where else ''} is not valid YAML: {getattr(error, 'problem', error)}") from None
        params = cls(raw, path)
        params.check()
        return params

    def check(self) -> None:
        """Resolve everything of every profile."""
        self.evaluate
        for profile in PROFILES:
            self.data(profile), self.model(profile), self.engine(profile), self.epsilon(profile), self.scale(profile), self.early_stopping(profile)
            unknown = self._section(f"profiles.{profile}.recipes").keys() - self._section("recipes").keys() - {"every"}
            unknown |= self._section(f"profiles.{profile}.attacks").keys() - self._section("attacks").keys()
            if unknown:
                raise Refusal(f"{self.path}: profiles.{profile} overrides {sorted(unknown)[0]!r}, which is neither in recipes nor in attacks")
            for dataset, runs in self._section("runs").items():
                for run in self._names(runs, f"runs.{dataset}"):
                    self.pretraining(profile, dataset, run)
            for name in self._names(self._section("recipes"), "recipes"):
                self.recipe(profile, name)
            for name in self._names(self._section("attacks"), "attacks"):
                self.attack(profile, name)
            for dataset in self._section("classifiers"):
                for name in self.networks(dataset):
                    self.classifying(profile, dataset, name)
        for probe in self.probes:
            self._probe(probe, "probes")
        for suite in self._section("suites"):
            self.suite("demo", suite)
        self.attacked_probe

    # ---- what is asked for

    @property
    def profile(self) -> str:
        return self.raw["profile"]

    @property
    def probes(self) -> list[str]:
        """Names of the linear protocols that every encoder gets."""
        return self._validate(TypeAdapter(list[str]), [("probes", self.raw["probes"])])

    @property
    def attacked_probe(self) -> str:
        """The linear protocol under which an encoder itself is attacked with the suite of Table 5."""
        name = self.raw["attacked_probe"]
        if name not in self.probes:
            raise self._refuse("attacked_probe", name, f"one of {', '.join(self.probes)}")
        return name

    @cached_property
    def evaluate(self) -> Evaluate:
        return self._settings(Evaluate, "evaluate")

    def data(self, profile: str) -> Data:
        return self._settings(Data, f"profiles.{profile}.data")

    def model(self, profile: str) -> Model:
        return self._settings(Model, f"profiles.{profile}.model")

    def engine(self, profile: str) -> Engine:
        return self._settings(Engine, f"profiles.{profile}.engine")

    def epsilon(self, profile: str) -> Epsilon:
        return self._settings(Epsilon, f"profiles.{profile}.epsilon")

    def scale(self, profile: str) -> Scale:
        return self._settings(Scale, f"profiles.{profile}.scale")

    def early_stopping(self, profile: str) -> EarlyStopping:
        return self._settings(EarlyStopping, "early_stopping", f"profiles.{profile}.early_stopping")

    def runs(self, dataset: str) -> list[str]:
        """Names of the encoders of a data set."""
        return self._names(self._section(f"runs.{dataset}"), f"runs.{dataset}")

    def networks(self, dataset: str) -> list[str]:
        """Names of the whole networks of a data set."""
        return self._names(self._section(f"classifiers.{dataset}"), f"classifiers.{dataset}")

    def pretraining(self, profile: str, dataset: str, run: str) -> Pretraining:
        """Settings of an encoder, in this order: method, profile, run, scale."""
        own = self._known(f"runs.{dataset}", run)
        method = own.get("method")
        if method not in self._section("pretrain"):
            raise self._refuse(f"runs.{dataset}.{run}.method", method, f"one of {', '.join(self._section('pretrain'))}")
        layers = [(f"pretrain.{method}", self._known("pretrain", method)),
                  (f"profiles.{profile}.pretrain", self._section(f"profiles.{profile}.pretrain")),
                  (f"runs.{dataset}.{run}", own)]  # fmt: skip
        for where, layer in layers[1:2]:
            for key in ("batch_size", "bank_length", "epochs"):
                if key in layer:
                    raise Refusal(f"{self.path}: {where}.{key} is not allowed: a profile changes it through profiles.{profile}.scale")
        merged = merge(*(layer for _, layer in layers))
        scale = self.scale(profile)
        derived: dict = {"model": self.model(profile).plain(), "epsilon": self.epsilon(profile).linf}
        if merged.get("epochs") in ("short", "long"):
            derived["epochs"] = getattr(scale, merged["epochs"])
        for key, factor in (("batch_size", scale.batch_size), ("bank_length", scale.bank_length)):
            if isinstance(merged.get(key), int):
                derived[key] = round(merged[key] * factor)
        if merged.get("branch") == "auto" and merged.get("variant") in VARIANTS:
            derived["branch"] = VARIANTS[merged["variant"]].branch
        return self._validate(Pretraining, [*layers, (f"profiles.{profile}", derived)])

    def recipe(self, profile: str, name: str) -> Recipe:
        """Settings of a recipe; a profile that changes its epochs moves its milestones in proportion."""
        paper = self._known("recipes", name)
        changes = self._section(f"profiles.{profile}.recipes")
        layers = [(f"recipes.{name}", paper), (f"profiles.{profile}.recipes.every", changes.get("every", {})),
                  (f"profiles.{profile}.recipes.{name}", changes.get(name, {}))]  # fmt: skip
        merged = merge(*(layer for _, layer in layers))
        derived: dict = {"epsilon": self.epsilon(profile).linf}
        numbers = isinstance(merged.get("epochs"), int) and isinstance(paper.get("epochs"), int) and isinstance(paper.get("milestones"), list)
        if numbers and "milestones" not in changes.get(name, {}) and merged["epochs"] != paper["epochs"]:
            moved = (round(m * merged["epochs"] / paper["epochs"]) for m in paper["milestones"])
            derived["milestones"] = sorted({m for m in moved if 1 <= m < merged["epochs"]})
        return self._validate(Recipe, [*layers, (f"profiles.{profile}", derived)])

    def classifying(self, profile: str, dataset: str, name: str) -> Classifying:
        """Settings of a whole network."""
        where = f"classifiers.{dataset}.{name}"
        own = self._mapping(self._known(f"classifiers.{dataset}", name), where, {"recipe", "encoder", "seed"})
        if own["encoder"] is not None:
            self._known(f"runs.{dataset}", own["encoder"])
        recipe = self.recipe(profile, own["recipe"])
        if recipe.train != "all":
            raise self._refuse(f"{where}.recipe", own["recipe"], "a recipe with train: all")
        shared = {"recipe": recipe, "model": self.model(profile), "early_stopping": self.early_stopping(profile)}
        return self._validate(Classifying, [(where, {"recipe_name": own["recipe"], "encoder": own["encoder"], "seed": own["seed"], **shared})])

    def attack(self, profile: str, name: str) -> Attack:
        """Settings of an attack on the test images."""
        layers = [(f"attacks.{name}", self._known("attacks", name)),
                  (f"profiles.{profile}.attacks.{name}", self._section(f"profiles.{profile}.attacks").get(name, {}))]  # fmt: skip
        norm = merge(*(layer for _, layer in layers)).get("norm")
        radius = self.epsilon(profile)
        derived = {"epsilon": getattr(radius, norm)} if norm in ("linf", "l1", "l2") else {}
        return self._validate(TypeAdapter(Attack), [*layers, (f"profiles.{profile}.epsilon", derived)])

    def suite(self, profile: str, name: str) -> dict[str, Attack]:
        """The attacks of a suite, by name, in order."""
        self._section("suites").get(name) or self._known("suites", name)
        names = self._validate(TypeAdapter(list[str]), [(f"suites.{name}", self._section("suites")[name])])
        for attack in names:
            if attack not in self._section("attacks"):
                raise self._refuse(f"suites.{name}", attack, f"one of {', '.join(self._section('attacks'))}")
        return {attack: self.attack(profile, attack) for attack in names}

    # ---- how it is read

    def _refuse(self, key: str, value: Any, allowed: str) -> Refusal:
        return Refusal(f"{self.path}: {key} is {value!r}, allowed is {allowed}")

    def _mapping(self, value: Any, where: str, keys: set[str]) -> dict:
        """A dictionary with exactly these keys."""
        if not isinstance(value, dict):
            raise self._refuse(where or "the file", value, f"a mapping with the keys {', '.join(sorted(keys))}")
        for key in value.keys() - keys:
            raise Refusal(f"{self.path}: unknown key {where + '.' if where else ''}{key}, allowed are {', '.join(sorted(keys))}")
        for key in keys - value.keys():
            raise Refusal(f"{self.path}: the key {where + '.' if where else ''}{key} is missing")
        return value

    def _section(self, path: str) -> dict:
        tree = self.raw
        for key in path.split("."):
            if not isinstance(tree, dict) or key not in tree:
                raise Refusal(f"{self.path}: the key {path} is missing")
            tree = tree[key]
        if not isinstance(tree, dict):
            raise self._refuse(path, tree, "a mapping")
        return tree

    def _known(self, path: str, name: str) -> dict:
        section = self._section(path)
        if name not in section:
            raise Refusal(f"{self.path}: {path} has no {name!r}, allowed are {', '.join(map(str, section))}")
        if path == "suites":
            return {}
        return self._section(f"{path}.{name}")

    def _names(self, mapping: Any, where: str) -> list[str]:
        try:
            return TypeAdapter(list[Role]).validate_python(list(mapping), strict=True)
        except ValidationError as error:
            raise self._refuse(where, error.errors()[0]["input"], "a name of a-z, 0-9 and _ that starts with a letter") from None

    def _probe(self, name: str, where: str) -> None:
        if name not in self._section("recipes") or self.recipe("demo", name).train != "head":
            heads = [recipe for recipe in self._section("recipes") if self.recipe("demo", recipe).train == "head"]
            raise self._refuse(where, name, f"one of {', '.join(heads)}")

    def _settings(self, kind: type[Settings], *paths: str) -> Any:
        return self._validate(kind, [(path, self._section(path)) for path in paths])

    def _validate(self, kind: Any, layers: list[tuple[str, Any]]) -> Any:
        """Merge the layers into `kind`. An error is blamed on the last layer that holds the key."""
        merged = merge(*(layer for _, layer in layers)) if isinstance(layers[0][1], dict) else layers[-1][1]
        try:
            return kind.validate_python(merged) if isinstance(kind, TypeAdapter) else kind.model_validate(merged)
        except ValidationError as failure:
            error = failure.errors()[0]
        path = tuple(key for key in error["loc"] if not (isinstance(key, str) and key in _KINDS and not _has(merged, (key,))))
        where = next((name for name, layer in reversed(layers) if _has(layer, path[:1])), layers[0][0])
        key = ".".join(map(str, (where, *path)))
        if error["type"] == "extra_forbidden":
            raise Refusal(f"{self.path}: unknown key {key}") from None
        if error["type"] == "missing":
            raise Refusal(f"{self.path}: the key {key} is missing") from None
        if error["type"] == "value_error":  # our own sentence says what is allowed
            raise Refusal(f"{self.path}: {key}: {error['ctx']['error']}") from None
        raise Refusal(f"{self.path}: {key} is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}") from None


_KINDS = {"pgd", "slide", "deepfool", "carlini_wagner", "autoattack"}  # discriminator tags that pydantic puts into an error's place
