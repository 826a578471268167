"""The result file of a measurement, as `amoc.reporting.records` reads it."""

from __future__ import annotations

from typing import Any

from amoc.datasets import Dataset
from amoc.evaluating.measurement import Measurement
from amoc.params import PROBES, Params

STATUSES = ("ok", "collapsed", "nan")  # the worst last


def record(
    kind: str, params: Params, profile: str, name: str, data: Dataset, *,
    about: dict[str, Any], recipes: dict[str, dict[str, Any]], measured: dict[str, Measurement],
    protocols: str = PROBES, source: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Everything reproducible about a measurement, and nothing else: no times, paths or hosts.

    Args:
        about: settings, fingerprints and status of what was measured, as its file of weights tells them.
        recipes: settings of the protocols that an encoder was measured under, by name.
        protocols: what the list of them is called in params.yaml.
        source: the data set that an encoder was pre-trained on, where it is another than `data`.
    """
    listed = {} if protocols == PROBES else {"protocols": protocols}
    transferred = {"pretrained_on": source} if source else {}
    statuses = [about["status"], *(measurement.status for measurement in measured.values())]
    return {
        "kind": kind, "profile": profile, "dataset": data.name, "name": name, "source": data.source,
        "train_images": len(data.train.labels), "test_images": len(data.test.labels),
        **listed, **transferred, "settings": about["settings"], "recipes": recipes, "evaluate": params.evaluate.plain(),
        "fingerprints": about["fingerprints"],
        "status": max(statuses, key=STATUSES.index), "note": "; ".join(doubts(measured)),
        "measurements": {key: measurement.outcomes for key, measurement in measured.items()},
    }  # fmt: skip


def doubts(measured: dict[str, Measurement]) -> list[str]:
    """What speaks against the numbers, each with the name of what was measured."""
    return [f"{name}: {doubt}" for name, measurement in measured.items() for doubt in measurement.doubts]
