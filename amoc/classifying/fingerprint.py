"""What training a classifier computes on inputs that anybody can rebuild (compare amoc.pretraining.fingerprint)."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from typing import Any, get_args

import torch
from torch import Tensor

from amoc.classifying.early_stopping import hold_out, look, looks
from amoc.classifying.loop import train_classifier
from amoc.classifying.schedule import multistep
from amoc.engine.batches import batches
from amoc.engine.clock import Clock
from amoc.engine.formula import pixels, summary
from amoc.engine.generators import generator
from amoc.engine.interruption import Stop
from amoc.models.classifier import Classifier
from amoc.models.encoder import fresh_encoder
from amoc.models.heads import linear_head
from amoc.settings import EarlyStopping, Model, Pairing, Recipe, Shift, TrainingAttack

MODEL = Model(architecture="resnet18", width=4)
ATTACK = TrainingAttack(steps=2, relative_step=0.25, random_start=True)
TWIN = EarlyStopping(images=6, every=2, steps=2, relative_step=0.25)
BETA = {"standard": None, "pgd_at": None, "alp": 0.5, "trades": 6.0}


def classifier(classes: int = 3) -> Classifier:
    """A tiny classifier with weights from a seed."""
    encoder = fresh_encoder(MODEL, (0.5, 0.45, 0.4), (0.25, 0.24, 0.26), generator(1, "weights"))
    return Classifier(encoder, linear_head(encoder.features, classes), "adv")


def train(objective: str, trained: str, pairing: Pairing | None = None) -> dict[str, Any]:
    """What the loop makes of a few images in float64: curve, best epoch, then what the weights have become."""
    recipe = Recipe(
        objective=objective, train=trained, epochs=3, milestones=(2,), batch_size=6, lr=0.1, momentum=0.9,
        weight_decay=0.001, shift=Shift(pad=1, flip=0.5), beta=BETA[objective],
        attack=None if objective == "standard" else ATTACK, epsilon=0.1, pairing=pairing,
    )  # fmt: skip
    network, images = classifier().double(), pixels(21, size=16)
    with redirect_stdout(StringIO()):  # a line an epoch
        ended = train_classifier(
            network, recipe, images, torch.arange(len(images)) % 3, seed=1, device=torch.device("cpu"),
            precision="float32", early_stopping=TWIN if trained == "all" else None, checkpoint=None, stop=Stop(),
            clock=Clock(), title="",
        )  # fmt: skip
    return {"curve": ended.curve, "best_epoch": ended.best_epoch, "state": state(network.state_dict())} | (
        {"best_state": state(ended.best_state)} if ended.best_state else {}
    )


def state(tensors: dict[str, Tensor]) -> list[float]:
    """Weights and statistics, summarised."""
    return summary(torch.cat([tensor.double().flatten() for tensor in tensors.values()]))


def fingerprint() -> dict[str, Any]:
    """Every objective for probes and whole networks, schedule, order and early stopping; plain numbers."""
    kept, held_out = hold_out(20, TWIN, seed=1)
    seen = look(classifier().eval(), pixels(6), torch.arange(6) % 3, TWIN, epsilon=0.1, seed=1)
    parts = get_args(Recipe.model_fields["train"].annotation)
    return {
        "runs": {
            trained: {
                objective: train(objective, trained, "squared" if objective == "alp" else None) for objective in BETA
            }
            for trained in parts
        },
        "pairing by norm": {trained: train("alp", trained, "norm") for trained in parts},
        "schedule": [multistep(epoch, (3, 5), 0.1) for epoch in range(7)],
        "order": [part.tolist() for part in batches(kept, 5)],
        "early_stopping": {"held_out": held_out.tolist(), "looks": sorted(looks(TWIN, 5)), "seen": seen},
    }  # fmt: skip
