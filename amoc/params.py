"""params.yaml -> validated settings. The one place that knows how a run's settings are merged; no torch here.

Order, the later wins: the paper's settings of the method, recipe or attack; the profile's; the run's own; then the
profile's scale. A method or recipe that extends another comes after it, in the paper's part and in the profile's.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any, get_args

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from amoc.layers import Layer, joined, listed, merge, origin, refused, resolve
from amoc.pretraining.variants import VARIANTS
from amoc.refusal import Refusal
from amoc.settings import (
    ATTACKS,
    METHODS,
    SOURCES,
    Attack,
    Classifying,
    Data,
    EarlyStopping,
    Embedding,
    Engine,
    Epsilon,
    Evaluate,
    Model,
    Pretraining,
    Recipe,
    Scale,
    lineage,
)

PATH = Path("params.yaml")
PROFILES = ("demo", "small", "paper")
DATASETS = ("cifar10", "cifar100")

_SECTIONS = (
    "profile", "pretrain", "runs", "recipes", "probes", "protocols", "classifiers", "early_stopping", "attacks",
    "suites", "evaluate", "attacked_probe", "embedding", "profiles",
)  # fmt: skip
_PROFILE_SECTIONS = ("data", "model", "epsilon", "engine", "scale", "pretrain", "recipes", "early_stopping", "attacks")
_SUITES = ("probe", "table5", "early_stopped")  # that stages ask for; there may be more
PROBES = "probes"  # what the linear protocols that every encoder gets are called where others can be asked for


class Params:
    """The file, each part validated when it is asked for; `load` asks for every part of every profile."""

    def __init__(self, raw: Any, path: Path = PATH) -> None:
        """Of a file that is read already: its parts are not looked at yet, only that they are there."""
        self.path = path
        self._recipes: dict[tuple[str, str], Recipe] = {}  # by profile and name, once they are resolved
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
        for dataset in self._section("classifiers"):
            for name in self.networks(dataset):
                if dataset in self._section("runs") and name in self.runs(dataset):  # models/<p>/<d>/<name>.safetensors
                    raise self._refusal(f"a name in classifiers.{dataset}", name, f"none that runs.{dataset} has")
        for profile in reversed(PROFILES):  # paper first: what is wrong in its own settings shows there at once
            for settings in (self.data, self.model, self.engine, self.epsilon, self.scale, self.early_stopping):
                settings(profile)
            self._check_sizes(profile)
            known = {"pretrain": ("every", *METHODS), "recipes": ("every", *recipes), "attacks": attacks}
            for section, names in known.items():
                self._known_keys(self._section("profiles", profile, section), names, f"profiles.{profile}.{section}")
            for recipe in recipes:
                self.recipe(profile, recipe)
            for attack in attacks:
                self.attack(profile, attack)
            for dataset in self._section("runs"):
                for run in self.runs(dataset):
                    self.pretraining(profile, dataset, run)
                    self.engine(profile, dataset, run)
            for dataset in self._section("classifiers"):
                for name in self.networks(dataset):
                    self.classifying(profile, dataset, name)
            for suite in {**dict.fromkeys(_SUITES), **self._section("suites")}:
                self.suite(profile, suite)
            for name in self.protocol_lists:
                if name == PROBES:
                    raise self._refusal("a name in protocols", name, "any but this: the key probes has those")
                self.protocols(profile, name)
        for name in (*_SUITES, *self._section("protocols")):  # of which none may be over radii
            self._list(self._at("suites", name), attacks, f"suites.{name}")
        _ = self.evaluate, self.attacked_probe

    def _check_sizes(self, profile: str) -> None:
        """That the profile has the images that are asked for: a stage would find out once it has them."""
        data, embedding = self.data(profile), self.embedding
        whole = SOURCES[data.source]
        for part in ("train", "test"):
            if (asked := getattr(data, part)) is not None and asked > (there := getattr(whole, part)):
                allowed = f"at most {there}, all that {data.source} has, or null"
                raise self._refusal(f"profiles.{profile}.data.{part}", asked, allowed)
        train, test = data.train or whole.train, data.test or whole.test
        if (images := self.early_stopping(profile).images) >= train:
            layers = self._layer("early_stopping"), self._layer("profiles", profile, "early_stopping")
            allowed = f"at most {train - 1} of {train} training images in profile {profile}"
            raise self._refusal(f"{origin(layers, ('images',))}.images", images, allowed)
        if embedding.neighbours > train:
            allowed = f"at most {train}, the training images of profile {profile}"
            raise self._refusal("embedding.neighbours", embedding.neighbours, allowed)
        if embedding.perplexity >= (drawn := min(embedding.images, test)):
            allowed = f"less than the {drawn} images drawn in profile {profile}"
            raise self._refusal("embedding.perplexity", self._at("embedding", "perplexity"), allowed)

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

    @property
    def suites(self) -> list[str]:
        """Names of the suites of attacks."""
        return self._names("suites")

    @property
    def protocol_lists(self) -> list[str]:
        """Names of the lists of protocols besides the probes."""
        return self._names("protocols")

    def protocols(self, profile: str, name: str) -> tuple[dict[str, Recipe], dict[str, Attack]]:
        """Ways to judge an encoder, by name, in order, and what attacks the networks that they give.

        name: "probes", attacked with the suite `probe`, or a list of `protocols`, attacked with the suite of its name.
        """
        if name == PROBES:
            recipes, suite = self.probes, "probe"
        else:
            recipes = self._list(self._at("protocols", name), self._names("recipes"), f"protocols.{name}")
            suite = name
        return {recipe: self.recipe(profile, recipe) for recipe in recipes}, self.suite(profile, suite)

    @cached_property
    def evaluate(self) -> Evaluate:
        return resolve(self.path, Evaluate, self._layer("evaluate"))

    @cached_property
    def embedding(self) -> Embedding:
        return resolve(self.path, Embedding, self._layer("embedding"))

    def data(self, profile: str) -> Data:
        return resolve(self.path, Data, self._layer("profiles", profile, "data"))

    def model(self, profile: str) -> Model:
        return resolve(self.path, Model, self._layer("profiles", profile, "model"))

    def engine(self, profile: str, dataset: str | None = None, run: str | None = None) -> Engine:
        """Where and how the profile computes; an encoder may say something else of its own (reports/precision)."""
        layers = [self._layer("profiles", profile, "engine")]
        if run is not None and run in self.runs(dataset):
            layers.append(self._layer("runs", dataset, run, "engine", optional=True))
        return resolve(self.path, Engine, *layers)

    def epsilon(self, profile: str) -> Epsilon:
        return resolve(self.path, Epsilon, self._layer("profiles", profile, "epsilon"))

    def scale(self, profile: str) -> Scale:
        return resolve(self.path, Scale, self._layer("profiles", profile, "scale"))

    def early_stopping(self, profile: str) -> EarlyStopping:
        changes = self._layer("profiles", profile, "early_stopping")
        return resolve(self.path, EarlyStopping, self._layer("early_stopping"), changes)

    def runs(self, dataset: str) -> list[str]:
        """Names of the encoders of a data set."""
        return self._names("runs", dataset)

    def networks(self, dataset: str) -> list[str]:
        """Names of the whole networks of a data set."""
        return self._names("classifiers", dataset)

    def pretraining(self, profile: str, dataset: str, run: str, of: Collection[str] | None = None) -> Pretraining:
        """Settings of an encoder, in this order: method, profile (every method, this method), run, scale.

        A method that extends another comes after it, in the paper's part and in the profile's. Where the method says
        so, its learning rate, or the profile's in its place, is for its batch size, and changes with that.

        Args:
            of: which keys of what the run itself says are to count; None for all of them.
        """
        own = self._layer("runs", dataset, run).without("engine")
        if of is not None:
            own = Layer(own.where, {key: value for key, value in own.values.items() if key in of})
        if "method" not in own.values:
            raise Refusal(f"{self.path}: the key {own.where}.method is missing, allowed is {listed(METHODS)}")
        method = self._one_of(own.values["method"], METHODS, f"{own.where}.method")
        bases = [self._layer("pretrain", name) for name in lineage(method)]
        changes = self._changes(profile, "pretrain", *lineage(method))
        if layer := next((layer for layer in (*bases, *changes) if "method" in layer.values), None):
            raise Refusal(f"{self.path}: {layer.where}.method is not allowed: each of runs says its own")
        for layer in changes:
            for key in ("epochs", "batch_size", "bank_length"):
                if key in layer.values:
                    where = f"{layer.where}.{key}"
                    raise Refusal(f"{self.path}: {where} is not allowed: profiles.{profile}.scale changes it")
        layers = (*bases, *changes, own)
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
        if {"batch_size", "bank_length"} <= derived.keys() and scale.bank_length < 1:  # Figure 6's shortest, scaled
            derived["bank_length"] = max(derived["bank_length"], ceil(1.5 * derived["batch_size"]))
        if merged.get("branch") == "auto" and merged.get("variant") in tuple(VARIANTS):
            derived["branch"] = VARIANTS[merged["variant"]].branch
        shared = {"model": self.model(profile), "epsilon": self.epsilon(profile).linf}
        settings = resolve(self.path, METHODS[method], *layers, derived=derived, shared=shared, what=what)
        if getattr(settings.optimizer, "lr_scaling", "none") == "none" or own.has(("optimizer", "lr")):
            return settings
        meant_for = merge(*(base.values for base in bases)).get("batch_size")
        if type(meant_for) is not int or meant_for < 2:
            raise self._refusal(f"{bases[0].where}.batch_size", meant_for, "a whole number from 2 up")
        derived["optimizer"] = {"lr": settings.optimizer.lr * settings.batch_size / meant_for}
        return resolve(self.path, METHODS[method], *layers, derived=derived, shared=shared, what=what)

    def recipe(self, profile: str, name: str) -> Recipe:
        """Settings of a recipe; a profile that changes its epochs moves its milestones in proportion.

        A recipe that extends another comes after it, in the paper's part and in the profile's.
        """
        if (profile, name) not in self._recipes:  # every network and protocol asks
            self._recipes[profile, name] = self._resolved_recipe(profile, name)
        return self._recipes[profile, name]

    def _resolved_recipe(self, profile: str, name: str) -> Recipe:
        names, shared = self._extended(name), {"epsilon": self.epsilon(profile).linf}
        papers = [self._layer("recipes", each).without("extends") for each in names]
        base = resolve(self.path, Recipe, *papers, shared=shared, what=papers[-1].where)  # complete by itself
        layers = self._changes(profile, "recipes", *names)
        changes, derived = merge(*(layer.values for layer in layers)), {}
        if type(epochs := changes.get("epochs")) is int and epochs != base.epochs and "milestones" not in changes:
            milestones, end = [], epochs
            for milestone in reversed(base.milestones):  # two that round to the same epoch are still two decays
                end = min(round(milestone * epochs / base.epochs), end - 1)
                milestones.append(end)
            derived["milestones"] = [milestone for milestone in reversed(milestones) if milestone > 0]
        what = f"{papers[-1].where} in profile {profile}"
        return resolve(self.path, Recipe, *papers, *layers, derived=derived, shared=shared, what=what)

    def _extended(self, name: str) -> list[str]:
        """The recipe, after those that it extends, which come before it in the file: no circle can be written."""
        own = self._layer("recipes", name).values
        if "extends" not in own:
            return [name]
        earlier = self._names("recipes")
        earlier = earlier[: earlier.index(name)]
        return [*self._extended(self._one_of(own["extends"], earlier, f"recipes.{name}.extends")), name]

    def classifying(self, profile: str, dataset: str, name: str) -> Classifying:
        """Settings of a whole network."""
        where, own = self._layer("classifiers", dataset, name)
        self._mapping(own, where, ("recipe", "encoder", "seed"))
        whole = [recipe for recipe in self._names("recipes") if self.recipe(profile, recipe).train == "all"]
        recipe = self._one_of(own["recipe"], whole, f"{where}.recipe")
        if own["encoder"] is not None:
            self._one_of(own["encoder"], self.runs(dataset), f"{where}.encoder")
        layer = Layer(where, {"encoder": own["encoder"], "seed": own["seed"]})
        shared = {"recipe_name": recipe, "recipe": self.recipe(profile, recipe), "model": self.model(profile),
                  "early_stopping": self.early_stopping(profile)}  # fmt: skip
        return resolve(self.path, Classifying, layer, shared=shared)

    def attack(self, profile: str, name: str) -> Attack:
        """Settings of an attack on the test images."""
        layers = (self._layer("attacks", name), self._layer("profiles", profile, "attacks", name, optional=True))
        merged, radius = merge(*(layer.values for layer in layers)), self.epsilon(profile)
        kind = self._one_of(merged.get("kind"), ATTACKS, f"attacks.{name}.kind")
        norms = get_args(ATTACKS[kind].model_fields["norm"].annotation)
        norm = self._one_of(merged.get("norm"), norms, f"attacks.{name}.norm")
        return resolve(self.path, ATTACKS[kind], *layers, shared={"epsilon": getattr(radius, norm)})

    def suite(self, profile: str, name: str) -> dict[str, Attack]:
        """The attacks of a suite, by name, in order; of one over radii, each at each radius: linf_pgd20_eps_2, ..."""
        where, known = f"suites.{name}", self._names("attacks")
        if not self.over_radii(name):
            chosen = self._list(self._at("suites", name), known, where)
            return {attack: self.attack(profile, attack) for attack in chosen}
        value = self._mapping(self._at("suites", name), where, ("attacks", "eighths"))
        eighths = value["eighths"]
        if not (isinstance(eighths, list) and eighths and all(type(count) is int and count > 0 for count in eighths)):
            raise self._refusal(f"{where}.eighths", eighths, "a list of whole numbers from 1 up")
        if len(set(eighths)) < len(eighths):
            raise self._refusal(f"{where}.eighths", eighths, "each number once")
        suite = {}
        for attack in self._list(value["attacks"], known, f"{where}.attacks"):
            settings = self.attack(profile, attack)
            for count in eighths:
                suite[f"{attack}_eps_{count}"] = settings.model_copy(update={"epsilon": settings.epsilon * count / 8})
        return suite

    def twin_suite(self, profile: str, name: str) -> dict[str, Attack]:
        """What an early-stopped twin gets of a suite: the attacks that early_stopped has too, in its order."""
        attacks = self.suite(profile, name)
        return {attack: own for attack, own in self.suite(profile, "early_stopped").items() if attack in attacks}

    def suite_radii(self, name: str) -> list[int]:
        """The eighths of epsilon of a suite over radii."""
        return list(self._at("suites", name, "eighths"))

    def over_radii(self, name: str) -> bool:
        """Whether a suite is a mapping: attacks at so many eighths of the profile's epsilon, for Figure 5."""
        return isinstance(self._at("suites", name), dict)

    # ---- how it is read

    def _at(self, *path: str) -> Any:
        """The value at a path of keys."""
        tree = self.raw
        for depth, key in enumerate(path):
            if not isinstance(tree, dict):
                raise self._refusal(".".join(path[:depth]), tree, "a mapping")
            if key not in tree:
                raise Refusal(f"{self.path}: {'.'.join(path[:depth])} has no {key}, it has {listed(tree)}")
            tree = tree[key]
        return tree

    def _section(self, *path: str) -> dict:
        section = self._at(*path)
        if not isinstance(section, dict):
            raise self._refusal(".".join(path), section, "a mapping")
        return section

    def _layer(self, *path: str, optional: bool = False) -> Layer:
        absent = optional and path[-1] not in self._section(*path[:-1])
        return Layer(".".join(path), {} if absent else self._section(*path))

    def _changes(self, profile: str, section: str, *names: str) -> tuple[Layer, ...]:
        """What a profile changes about every recipe or method, and about these."""
        return tuple(self._layer("profiles", profile, section, key, optional=True) for key in ("every", *names))

    def _names(self, *path: str) -> list[str]:
        """The keys of a section, which become names of files and stages."""
        section, where = self._section(*path), ".".join(path)
        for name in section:
            if not (isinstance(name, str) and re.fullmatch("[a-z][a-z0-9_]*", name)):  # DVC breaks on others
                raise self._refusal(f"a name in {where}", name, "a letter a-z, then any of a-z, 0-9 and _")
        return list(section)

    def _list(self, value: Any, allowed: Collection[str], where: str) -> list[str]:
        if not (isinstance(value, list) and value):
            raise self._refusal(where, value, f"a list of some of {listed(allowed)}")
        names = [self._one_of(name, allowed, f"{where}[{index}]") for index, name in enumerate(value)]
        if len(set(names)) < len(names):
            raise self._refusal(where, names, "each name once")
        return names

    def _one_of(self, value: Any, allowed: Collection[str], where: str) -> str:
        if value not in list(allowed):
            raise self._refusal(where, value, listed(allowed))
        return value

    def _mapping(self, value: Any, where: str, keys: Collection[str]) -> dict:
        """A dictionary with exactly these keys."""
        if not isinstance(value, dict):
            raise self._refusal(where or "the file", value, f"a mapping with the keys {listed(keys)}")
        self._known_keys(value, keys, where)
        for key in keys:
            if key not in value:
                raise Refusal(f"{self.path}: the key {joined(where, key)} is missing")
        return value

    def _known_keys(self, value: dict, keys: Collection[str], where: str) -> None:
        for key in value:
            if key not in keys:
                raise Refusal(f"{self.path}: unknown key {joined(where, key)}, allowed are {listed(keys)}")

    def _refusal(self, where: str, value: Any, allowed: str) -> Refusal:
        return refused(self.path, where, value, allowed)
