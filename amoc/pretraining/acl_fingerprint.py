"""What ACL's pre-training computes on inputs that anybody can rebuild, as `fingerprint.py` tells it of AMOC's."""

from __future__ import annotations

from typing import Any

import torch

from amoc.augment import to_float
from amoc.engine.formula import pixels, summary
from amoc.pretraining.fingerprint import DIGITS, MODEL, PAPER, diagnostics, order, pretrained, seen
from amoc.pretraining.forms import FORMS
from amoc.pretraining.schedule import learning_rate
from amoc.settings import ACLPretraining, Lars, NormedProjector, TrainingAttack

VIEWS = PAPER.model_copy(update={"crop_scale": (0.1, 1.0), "interpolation": "bicubic", "blur": None})
OPTIMIZER = Lars(
    lr=5.0, momentum=0.9, weight_decay=1e-6, warmup_epochs=1, final_lr=1e-6, trust=0.001, layerwise="weights",
    lr_scaling="linear",
)  # fmt: skip
SWITCHES: tuple[dict[str, Any], ...] = (
    {"normalisation": "dataset"},
    {"optimizer": OPTIMIZER.model_copy(update={"layerwise": "all", "weight_decay": 0.1})},
    {"projector": NormedProjector(layers=2, hidden=16, output=6)},
    {"attack": TrainingAttack(steps=1, relative_step=1.0, random_start=False)},
)


def settings(form: str, **changes: Any) -> ACLPretraining:
    """Paper-like settings of a tiny run."""
    plain = ACLPretraining(
        method="acl", form=form, branch="adv", epochs=3, batch_size=4, temperature=0.5, normalisation="imagenet",
        seed=3, attack=TrainingAttack(steps=2, relative_step=0.25, random_start=True), optimizer=OPTIMIZER,
        projector=NormedProjector(layers=3, hidden=16, output=6), views=VIEWS, model=MODEL, epsilon=0.1,
    )  # fmt: skip
    return plain.model_copy(update=changes)


def train(run: ACLPretraining) -> dict[str, Any]:
    """What the curve says, then what the weights and statistics have become."""
    method, curve = pretrained(run)
    state = torch.cat([tensor.double().flatten() for tensor in method.state_dict().values()])
    return {"curve": curve, "state": summary(state)}


def fingerprint() -> dict[str, Any]:
    """Views, every form, every switch, schedule, order and diagnostics; plain numbers."""
    images = to_float(pixels(6)).double()
    rates = [learning_rate(OPTIMIZER, 4, epoch, step, 3) for epoch in range(4) for step in range(3)]
    return {
        "views": seen({"paper": VIEWS, "digits": DIGITS.model_copy(update={"interpolation": "bicubic"})}, images),
        "forms": {form: train(settings(form)) for form in FORMS},
        "switches": [train(settings("ds", **change)) for change in SWITCHES],
        "schedule": rates,
        "order": order(),
        "diagnostics": diagnostics(),
    }
