"""Whatever page shows an encoder, or what was made of it, says what it has otherwise than its method in params.yaml."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from amoc.reporting.departures import departures
from tests import shipped

ROOT = Path(__file__).resolve().parents[2]
SAID = "unlike its method in `params.yaml`: "
PAGES = {  # report -> results that it reads of AMOC's encoder, and how it says it
    "table3": ("cifar10/evaluate/amoc_long", "] {}"),
    "table5": ("cifar10/attack/amoc", "] {}"),
    "table6": ("cifar100/attack/amoc_finetuned", "] its encoder is {}"),
    "v1_table5": ("cifar10/attack/acc_finetuned_v1", "] its encoder is {}"),
    "figure2": ("cifar10/embed/amoc", "] {}"),
    "figure4": ("cifar10/corrupt/amoc", " AMOC (20 ep, b64): {}"),
    "figure5": ("cifar100/radii/amoc_finetuned", "] its encoder is {}"),
    "v1_figure2": (
        "cifar10/corrupt/aca_frozen_long_finetuned_v1",
        " AMOC-ACA frozen bank fine-tuned (40 + 20 ep PGD-AT): its encoder is {}",
    ),
    "transfer": ("cifar100/evaluate/amoc.from_cifar10", "] {}"),
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The committed results of `small`, by links that a test may replace."""
    for path in (ROOT / "results/small").rglob("*.json"):
        link = tmp_path / path.relative_to(ROOT / "results")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    return tmp_path


def edit(path: Path, change: Callable[[dict], None]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content["encoder"]["settings"] if content.get("encoder") else content["settings"])
    path.unlink()
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("report", PAGES)
def test_a_page_says_what_an_encoder_has_otherwise(results, report):
    build = import_module(f"amoc.reporting.{report}").build
    assert SAID not in build(shipped.params(), "small", results).markdown
    result, sentence = PAGES[report]
    edit(results / f"small/{result}.json", lambda settings: settings.update(temperature=0.9))
    unwrapped = " ".join(build(shipped.params(), "small", results).markdown.split())
    assert sentence.format(f"{SAID}temperature 0.9 instead of 0.2") in unwrapped


def test_times_are_of_what_params_yaml_says(results):
    params = shipped.params()
    build = import_module("amoc.reporting.table4").build
    assert SAID not in build(params, "small", results).markdown
    params.raw["runs"]["cifar10"]["acl"]["attack"] = {"steps": 10, "relative_step": 0.25, "random_start": True}
    assert f"{SAID}attack.steps 10 instead of 5\n" in build(params, "small", results).markdown


@pytest.mark.parametrize(
    ("change", "told", "expected"),
    [
        ({}, "", ""),
        ({"epochs": 3, "batch_size": 2, "variant": "acc", "seed": 9}, "", ""),
        ({"optimizer": {"lr": 0.3}, "lambda": 0.7}, "lambda", f"{SAID}optimizer.lr 0.3 instead of 0.1"),
        ({"temperature": 1, "lambda": 0.7}, "", f"{SAID}temperature 1 instead of 0.2, lambda 0.7 instead of 0.5"),
        ({"lambda": 0.7}, "lambda", ""),
        ({"older": 1}, "", f"{SAID}older 1 instead of None"),
    ],
)  # fmt: skip
def test_what_is_said(change: dict[str, Any], told: str, expected: str):
    """Nothing of what the name of a row tells, or what the table is about."""
    params = shipped.params()
    settings = params.pretraining("small", "cifar10", "amoc").plain()
    used = settings | change
    used["optimizer"] = settings["optimizer"] | change.get("optimizer", {})
    assert departures(params, "small", "cifar10", "amoc", used, told) == expected
