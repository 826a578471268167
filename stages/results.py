"""The result file of a measurement, as `amoc.reporting.evidence.records` reads it."""

from __future__ import annotations

from typing import Any

from amoc.datasets import Dataset
from amoc.evaluating.measurement import Measurement
from amoc.params import PROBES, Params

STATUSES = ("ok", "collapsed", "nan")  # the worst last


def preamble(
    kind: str, params: Params, profile: str, name: str, data: Dataset, about: dict[str, Any]
) -> dict[str, Any]:  # fmt: skip
    """What every result tells of the images, of what was measured on them, and of how that was made.

    Args:
        about: of what was measured, as its file of weights tells it; of an encoder also `recipes`, the settings of the
            protocols that it was measured under, by name. Of an adopted encoder the engine is unknown.
    """
    encoder = about.get("encoder")  # that a network was fine-tuned from
    return {
        "kind": kind, "profile": profile, "dataset": data.name, "name": name, "source": data.source,
        "train_images": len(data.train.labels), "test_images": len(data.test.labels), **_made(about),
        "encoder": encoder and _made(encoder), "recipes": about.get("recipes", {}),
        "evaluate": params.evaluate.plain(), "fingerprints": about["fingerprints"],
    }  # fmt: skip


def _made(about: dict[str, Any]) -> dict[str, Any]:
    """By which settings, where the computing was done, and after how many finished epochs."""
    return {"settings": about["settings"], "engine": about.get("engine"), "epoch": about["epoch"]}


def record(
    preamble: dict[str, Any], status: str, measured: dict[str, Measurement], *, protocols: str = PROBES,
    pretrained_on: str | None = None, twin: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Everything reproducible about a measurement, and nothing else: no times, paths or hosts.

    Args:
        status: of what was measured, before it was.
        protocols: what the list of an encoder's protocols is called in params.yaml.
        pretrained_on: the data set of an encoder's pre-training, where it is measured on another one.
        twin: the epoch of a network's early-stopped twin.
    """
    listed = {} if protocols == PROBES else {"protocols": protocols}
    listed |= {} if pretrained_on is None else {"pretrained_on": pretrained_on}
    listed |= {} if twin is None else {"early_stopped_epoch": twin}
    return {
        **preamble, **listed, "status": worst(status, *(measurement.status for measurement in measured.values())),
        "note": "; ".join(doubts(measured)),
        "measurements": {key: measurement.outcomes for key, measurement in measured.items()},
    }  # fmt: skip


def worst(*statuses: str) -> str:
    return max(statuses, key=STATUSES.index)


def doubts(measured: dict[str, Measurement]) -> list[str]:
    """What speaks against the numbers, each with the name of what was measured."""
    return [f"{name}: {doubt}" for name, measurement in measured.items() for doubt in measurement.doubts]
