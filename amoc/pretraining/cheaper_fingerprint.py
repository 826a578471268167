"""What AMOC with a cheaper attack computes on inputs that anybody can rebuild, as `fingerprint.py` tells of AMOC."""

from __future__ import annotations

from typing import Any

import torch

from amoc.augment import RandomViews, to_float
from amoc.engine.formula import pixels
from amoc.engine.generators import generator
from amoc.pretraining import fingerprint as plain
from amoc.pretraining.loop import build_method, build_optimizer
from amoc.settings import CheaperAMOCPretraining, TrainingAttack

FREE = {"replays": 3, "attack": TrainingAttack(steps=1, relative_step=1.0, random_start=True)}
SWITCHES: tuple[dict[str, Any], ...] = ({}, {"share": 0.5}, {"start": "last"}, FREE)


def settings(variant: str, **changes: Any) -> CheaperAMOCPretraining:
    """Those of AMOC's fingerprint, and nothing cheaper."""
    amoc = dict(plain.settings(variant))
    values = amoc | {"method": "amoc_cheaper", "share": 1.0, "start": "random", "replays": 1} | changes
    return CheaperAMOCPretraining(**values)


def train(run: CheaperAMOCPretraining, steps: int = 3) -> dict[str, Any]:
    """Losses of a few steps in float64 on the same four images, then what the weights, statistics and banks are."""
    method = build_method(run, plain.MEAN, plain.STD).double().train()
    optimizer = build_optimizer(method.trained, run.optimizer)
    seen = pixels(run.batch_size)
    method.remember(seen, generator(run.seed, "first perturbations"))
    which, views, losses = torch.arange(run.batch_size), RandomViews(run.views, seen.shape[1]), []
    for step in range(steps):
        random = generator(run.seed, "views and attack", 0, step)
        images = to_float(seen).double()
        terms = method.step(views(images, random), views(images, random), optimizer, random, which)
        losses.append([term.item() for term in terms])
    return {"losses": losses, "state": plain.state(method)}


def fingerprint() -> dict[str, Any]:
    """Each way to be cheaper, for both variants; plain numbers."""
    return {name: [train(settings(name, **change)) for change in SWITCHES] for name in ("aca", "acc")}
