"""The paper's settings, made small; and where foolbox is imported, the warning of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amoc.settings import Engine, Pretraining
from tests import shipped

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def small() -> Callable[..., Pretraining]:
    """small(batch_size=8): AMOC as in the paper profile, of width 4, with a short bank and 2 attack steps."""
    paper = shipped.params().pretraining("paper", "cifar10", "amoc")
    plain = paper.model_copy(
        update={
            "model": paper.model.model_copy(update={"width": 4}),
            "projector": paper.projector.model_copy(update={"hidden": 16, "output": 8}),
            "attack": paper.attack.model_copy(update={"steps": 2}),
            "batch_size": 4,
            "bank_length": 40,
        }
    )

    def settings(**changes: Any) -> Pretraining:
        return plain.model_copy(update=changes)

    return settings


@pytest.fixture
def engine() -> Engine:
    """The CPU with one thread; `compile` as in the paper profile."""
    return Engine(device="cpu", precision="float32", compile=True, threads=1)
