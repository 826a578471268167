"""What AMOC with a cheaper attack computes on inputs that anybody can rebuild, as `fingerprint.py` tells of AMOC."""

from __future__ import annotations

from typing import Any

from amoc.pretraining import fingerprint as plain
from amoc.settings import CheaperAMOCPretraining, TrainingAttack

FREE = {"replays": 3, "attack": TrainingAttack(steps=1, relative_step=1.0, random_start=True)}
SWITCHES: tuple[dict[str, Any], ...] = ({}, {"share": 0.5}, {"start": "last"}, FREE)


def settings(variant: str, **changes: Any) -> CheaperAMOCPretraining:
    """Those of AMOC's fingerprint, and nothing cheaper."""
    amoc = dict(plain.settings(variant))
    values = amoc | {"method": "amoc_cheaper", "share": 1.0, "start": "random", "replays": 1} | changes
    return CheaperAMOCPretraining(**values)


def fingerprint() -> dict[str, Any]:
    """Each way to be cheaper, for both variants; plain numbers."""
    return {name: [plain.train(settings(name, **change)) for change in SWITCHES] for name in ("aca", "acc")}
