"""The result file of a measurement, as `amoc.reporting.records` reads it."""

from __future__ import annotations

from typing import Any

from amoc.datasets import Dataset
from amoc.params import Params


def record(
    kind: str, params: Params, profile: str, name: str, data: Dataset, *, settings: dict[str, Any], recipes: dict[str, Any],
    fingerprints: dict[str, str], status: str, note: str, measurements: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Everything reproducible about a measurement, and nothing else: no times, paths or hosts."""
    return {
        "kind": kind, "profile": profile, "dataset": data.name, "name": name, "source": data.source,
        "train_images": len(data.train.labels), "test_images": len(data.test.labels), "settings": settings, "recipes": recipes,
        "evaluate": params.evaluate.plain(), "fingerprints": fingerprints, "status": status, "note": note, "measurements": measurements,
    }  # fmt: skip
