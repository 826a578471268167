"""A project so small that each stage takes about a second: few images, a narrow network, short attacks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from amoc import datasets
from amoc.settings import Data
from stages import fingerprint, paths
from tests import shipped

ROOT = Path(__file__).resolve().parents[2]

Raw = dict[str, Any]


def settings() -> Raw:
    """The project's params.yaml with six encoders, two whole networks and a tiny profile `demo`."""
    raw = shipped.settings()
    runs, networks = raw["runs"]["cifar10"], raw["classifiers"]["cifar10"]
    raw["runs"]["cifar10"] = {name: runs[name] for name in ("amoc", "moco", "acl", "amoc_half", "amoc_float32")}
    runs["amoc_half"]["engine"] = {"threads": 1}
    raw["classifiers"] = {"cifar10": {name: networks[name] for name in ("standard", "amoc_finetuned")}, "cifar100": {}}
    raw["probes"], raw["attacked_probe"] = ["stdev", "adev"], "adev"
    for method in raw["pretrain"].values():
        method.get("attack", {})["steps"] = 1
    for recipe in raw["recipes"].values():
        if recipe.get("attack"):
            recipe["attack"]["steps"] = 1
    for attack in raw["attacks"].values():
        if "steps" in attack:
            attack["steps"] = 2
    raw["evaluate"]["batch_size"] = 5
    raw["embedding"]["perplexity"] = 5.0

    demo = raw["profiles"]["demo"]
    demo["data"] = {"source": "digits", "train": 64, "test": 24}
    demo["model"] = {"architecture": "resnet10t", "width": 2}
    demo["engine"] |= {"device": "cpu", "precision": "float32", "threads": 1}
    # AMOC: batches of 16, a bank of 64; ACL: batches of 32
    demo["scale"] = {"short": 2, "long": 3, "batch_size": 1 / 16, "bank_length": 1 / 512}
    demo["pretrain"]["every"]["optimizer"] = {"warmup_epochs": 1}
    demo["recipes"] = {name: {"epochs": 2} for name in raw["recipes"]}
    demo["recipes"]["every"] = {"batch_size": 16, "shift": {"pad": 1, "flip": 0.0}}
    demo["early_stopping"] = {"images": 16, "steps": 1}
    autoattack = {"images": 8, "square_queries": 20}
    demo["attacks"] = {
        "linf_autoattack": autoattack,
        "l2_autoattack": autoattack,
        "l2_cw": {"images": 8, "steps": 5, "binary_search_steps": 2},
    }
    return raw


def project(folder: Path, edit: Callable[[Raw], object] = lambda raw: None) -> Path:
    """A folder with params.yaml, its images, and stand-ins for the fingerprints, of which only the md5 counts."""
    raw = settings()
    edit(raw)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(json.dumps(raw))  # JSON is YAML
    images = datasets.build("cifar10", Data(**raw["profiles"]["demo"]["data"]), None, folder)
    datasets.write(images, folder / paths.data("demo", "cifar10"))
    for name in fingerprint.BEHAVIOURS:
        path = folder / paths.fingerprint(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'"{name}"\n')
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder that exists, by its path there."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def reproducible(folder: Path) -> dict[str, bytes]:
    """The same for what stages write, without clock files, which hold times."""
    return {
        name: content
        for name, content in contents(folder).items()
        if name.startswith(("models/", "results/")) and not name.endswith(".clock.json")
    }


def leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The places of all that is not a mapping; an empty one counts as a leaf."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    else:
        yield path


OTHERS: dict[str, tuple[Any, ...]] = {  # values to try in the place of words and nulls
    "affine": ({"degrees": 1.0, "translate": 0.1, "scale": [0.9, 1.1]},),
    "architecture": ("resnet18", "resnet34"),
    "attack_key": ("noisy",),
    "attack_mode": ("train",),
    "attacked_probe": ("stdev",),
    "bank_adv": ("frozen",),
    "blur": ({"probability": 0.5, "sigma": [0.1, 1.0]},),
    "branch": ("clean",),
    "crop_scale": ([0.5, 1.0],),
    "device": ("auto", "cuda"),
    "encoder": ("amoc", None),
    "enqueue": ("before",),
    "epochs": (3,),
    "extends": ("trades", "adev"),
    "form": ("a2s",),
    "images": (7,),
    "interpolation": ("bicubic",),
    "layerwise": ("all",),
    "linf": ("1/255",),
    "lr_scaling": ("none",),
    "norm": ("l2", "linf"),
    "normalisation": ("dataset",),
    "objective": ("trades", "alp"),
    "precision": ("bfloat16", "float32"),
    "probe": (["linf_one_step"],),
    "recipe": ("trades",),
    "single": (["linf_pgd20"],),
    "source": ("cifar", "digits"),
    "test": (5,),
    "train": ("head", 5),
    "variant": ("acc",),
}


def others(leaf: tuple[str, ...], raw: Raw) -> Iterator[Any]:
    """Values to try in the place of a leaf's own; which of them is legal the settings say."""
    value = raw
    for key in leaf:
        value = value[key]
    match value:
        case bool():
            yield not value
        case int():
            yield from (value + 1, value + 2, value - 1)
        case float():
            yield from (0.9 * value, 1.1 * value)
        case [float(), float()]:
            yield [value[0], 0.9 * value[1]]
        case list():  # of names, or of epochs
            yield from (value[:-1], value[1:], *OTHERS.get(leaf[-1], ()))
        case _:
            yield from (other for other in OTHERS.get(leaf[-1], ()) if other != value)


def changed(raw: Raw, leaf: tuple[str, ...], value: Any) -> Raw:
    """The settings with another value in one place; the rest is shared."""
    key, *rest = leaf
    return raw | {key: changed(raw[key], tuple(rest), value) if rest else value}


def values(tree: Any) -> Iterator[Any]:
    """All that is neither mapping nor list in what a JSON file holds."""
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else None
    if children is None:
        yield tree
    else:
        for child in children:
            yield from values(child)


def shorten_autoattack() -> Callable[[], None]:
    """Three iterations instead of a hundred, which no setting reaches. Returns what puts it back."""
    from amoc.evaluating import autoattack

    whole = autoattack.Adversary

    class Short(whole):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            for member in (self.apgd, self.apgd_targeted, self.fab):
                member.n_iter = 3

    autoattack.Adversary = Short
    return lambda: setattr(autoattack, "Adversary", whole)
