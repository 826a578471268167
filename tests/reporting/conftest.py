"""Hand-made results: what a stage would have written, with the outcome of each image chosen."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from amoc.params import Params
from amoc.reporting.evidence import clocks
from amoc.reporting.evidence.corruption_records import NAMES
from tests import shipped

ATTACKS = {
    "linf_pgd20": {"kind": "pgd", "norm": "linf", "epsilon": 0.15, "images": None, "steps": 20, "relative_step": 0.1},
    "linf_autoattack": {"kind": "autoattack", "norm": "linf", "epsilon": 0.15, "images": 4, "square_queries": 5000},
}
RECIPE = {"objective": "trades", "train": "all", "epochs": 12, "milestones": [5, 7], "batch_size": 64, "beta": 6.0}
CLOCK = {
    "seconds": {"total": 900.0, "train": 800.0}, "counts": {"images": 4000}, "epochs": 4,
    "device": "a CPU", "threads": 2, "torch": "2.11.0", "python": "3.11.7",
}  # fmt: skip
MODEL = {"architecture": "resnet18", "width": 16}


def outcome(bits: str, attack: dict | None = None) -> dict:
    """'1101' -> right, right, wrong, right."""
    images = np.array([bit == "1" for bit in bits])
    packed = base64.b64encode(np.packbits(images).tobytes()).decode()
    return {"n": len(bits), "accuracy": round(100 * images.mean(), 2), "correct": packed, "attack": attack}


def measurement(clean: str, **attacks: str) -> dict:
    return {"clean": outcome(clean), **{name: outcome(bits, ATTACKS[name]) for name, bits in attacks.items()}}


def network(objective: str = "trades", encoder: str | None = None) -> dict:
    recipe = {**RECIPE, "objective": objective}
    return {"recipe_name": objective, "recipe": recipe, "encoder": encoder, "seed": 1, "model": MODEL}


def encoder() -> dict:
    return {"method": "amoc", "variant": "aca", "epochs": 60, "batch_size": 64, "seed": 1, "lambda": 0.5}


def result(name: str, kind: str, settings: dict, measurements: dict, **changes: object) -> dict:
    probe = {**RECIPE, "train": "head", "epochs": 10}
    recipes = {"stdev": probe, "adev": probe} if "method" in settings else {}
    return {
        "kind": kind,
        "profile": "demo",
        "dataset": "cifar10",
        "name": name,
        "source": "digits",
        "test_images": 8,
        "train_images": 100,
        "settings": settings,
        "engine": {"device": "auto", "precision": "float32", "compile": False, "threads": 1},
        "epoch": 12,
        **({"early_stopped_epoch": 9} if "early_stopped" in measurements else {}),
        "encoder": {"settings": encoder(), "engine": None, "epoch": 60} if settings.get("encoder") else None,
        "recipes": recipes,
        "evaluate": {"batch_size": 250, "seed": 1},
        "fingerprints": {"classify": "0" * 32},
        "status": "ok",
        "note": "",
        "measurements": measurements,
    } | changes


def percent(right: int) -> str:
    """So many right of 100 images: an accuracy that is a whole number."""
    return "1" * right + "0" * (100 - right)


def probed(name: str, numbers: tuple[int, int, int, int], **changes: object) -> dict:
    """An encoder with these four columns of Tables 3 and 8, in percent of 100 images; `changes` are of its settings."""
    clean, pgd20, adev_clean, adev_pgd20 = map(percent, numbers)
    measurements = {
        "stdev": measurement(clean, linf_pgd20=pgd20),
        "adev": measurement(adev_clean, linf_pgd20=adev_pgd20),
    }
    return result(name, "evaluate", encoder() | {"branch": "adv"} | changes, measurements, test_images=100)


@pytest.fixture
def made() -> SimpleNamespace:
    """The makers of results, for tests to call."""
    makers = (outcome, measurement, network, encoder, result, percent, probed)
    return SimpleNamespace(**{maker.__name__: maker for maker in makers}, attacks=ATTACKS)


@pytest.fixture
def save(tmp_path: Path) -> Callable[[dict], Path]:
    """Write a result where its stage would; results/ is in the test's own folder.

    Beside that of a fine-tuned network there is one of its encoder, which ended well unless it was written otherwise.
    """

    def write(content: dict) -> Path:
        folder = tmp_path / "results" / content["profile"] / content["dataset"]
        path = folder / content["kind"] / f"{content['name']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        if content["profile"] != "demo" and content["source"] == "digits":
            content = content | {"source": "cifar"}  # as every stage of these profiles would
        path.write_text(json.dumps(content))
        name = content["settings"].get("encoder")
        if name and not (folder / "evaluate" / f"{name}.json").exists():
            write(probed(name, (50,) * 4) | {"profile": content["profile"], "dataset": content["dataset"]})
        return path

    return write


@pytest.fixture
def timed(tmp_path: Path) -> Callable[..., Path]:
    """Write the clock of a pre-training where its stage would: timed("small", "amoc", device="a GPU")."""

    def write(profile: str, run: str, **changes: object) -> Path:
        path = clocks.path(profile, "cifar10", run, tmp_path / "results")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(CLOCK | changes))
        return path

    return write


@pytest.fixture
def counted() -> Callable[..., dict]:
    """Make what stages.corrupt counts of 100 images: 50 right of each corruption, unless it is said otherwise."""

    def make(name: str, settings: dict | None = None, images: str = "regenerated", **heads: dict) -> dict:
        settings = settings or encoder() | {"branch": "adv"}
        even = {"clean": [50]} | {corruption: [50] * 5 for corruption in NAMES[images]}
        right = {
            head: even | {key: number if isinstance(number, list) else [number] for key, number in changes.items()}
            for head, changes in (heads or {"stdev": {}}).items()
        }
        whole = result(name, "corrupt", settings, {}, test_images=100, images=images, right=right)
        del whole["measurements"]
        return whole | {"fingerprints": {"corrupt": "0" * 32}}

    return make


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: Callable[[dict], Path]) -> Callable[[dict], Path]:
    """As `save`, with the test's own folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return save


@pytest.fixture
def params() -> Params:
    """The project's settings, with what these tests count on held fast."""
    raw = shipped.settings()
    raw["runs"] = {"cifar10": {"amoc": {"method": "amoc"}, "moco": {"method": "amoc", "variant": "ccc"}}}
    raw["classifiers"] = {
        "cifar10": {
            "standard": {"recipe": "standard", "encoder": None, "seed": 1},
            "trades": {"recipe": "trades", "encoder": None, "seed": 1},
            "trades_seed2": {"recipe": "trades", "encoder": None, "seed": 2},
            "amoc_finetuned": {"recipe": "finetune", "encoder": "amoc", "seed": 1},
        },
        "cifar100": {"trades": {"recipe": "trades", "encoder": None, "seed": 1}},
    }
    raw["probes"], raw["attacked_probe"] = ["stdev", "adev"], "adev"
    raw["suites"]["table5"] = ["linf_pgd20", "linf_autoattack"]
    demo = raw["profiles"]["demo"]
    demo["data"] = {"source": "digits", "train": None, "test": None}
    demo["model"]["width"], demo["epsilon"]["linf"] = 16, 0.15
    demo["scale"]["short"] = 60
    return Params(raw)
