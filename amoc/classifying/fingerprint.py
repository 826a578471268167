"""What training a classifier computes on inputs that anybody can rebuild (compare amoc.pretraining.fingerprint)."""

from __future__ import annotations

from typing import Any, get_args

import torch

from amoc.augment import random_shift, to_float
from amoc.classifying.early_stopping import hold_out, look, looks
from amoc.classifying.loop import train_step
from amoc.classifying.schedule import multistep
from amoc.engine.batches import batches
from amoc.engine.formula import pixels, summary
from amoc.engine.generators import generator
from amoc.models.classifier import Classifier
from amoc.models.encoder import fresh_encoder
from amoc.models.heads import linear_head
from amoc.settings import EarlyStopping, Model, Recipe, Shift, TrainingAttack

MODEL = Model(architecture="resnet18", width=4)
ATTACK = TrainingAttack(steps=2, relative_step=0.25, random_start=True)
TWIN = EarlyStopping(images=6, every=2, steps=2, relative_step=0.25)
BETA = {"standard": None, "pgd_at": None, "alp": 0.5, "trades": 6.0}


def classifier(classes: int = 3) -> Classifier:
    """A tiny classifier with weights from a seed."""
    encoder = fresh_encoder(MODEL, (0.5, 0.45, 0.4), (0.25, 0.24, 0.26), generator(1, "weights"))
    return Classifier(encoder, linear_head(encoder.features, classes), "adv")


def train(objective: str, trained: str, steps: int = 3) -> dict[str, Any]:
    """A few steps in float64: loss and right answers of each, then what the weights have become."""
    recipe = Recipe(
        objective=objective, train=trained, epochs=3, milestones=(2,), batch_size=6, lr=0.1, momentum=0.9,
        weight_decay=0.001, shift=Shift(pad=1, flip=0.5), beta=BETA[objective],
        attack=None if objective == "standard" else ATTACK, epsilon=0.1,
    )  # fmt: skip
    network, labels = classifier().double().eval(), torch.arange(6) % 3
    part = network.head if trained == "head" else network
    optimizer = torch.optim.SGD(part.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    sums = []
    for step in range(steps):
        shifted = random_shift(to_float(pixels(6)).double(), recipe.shift, generator(1, "shift", step))
        taken = train_step(network, recipe, shifted, labels, optimizer, "float32", generator(1, "attack", step))
        sums.append([None if value != value else value for value in taken.tolist()])
    state = torch.cat([tensor.double().flatten() for tensor in network.state_dict().values()])
    return {"sums": sums, "state": summary(state)}


def fingerprint() -> dict[str, Any]:
    """Every objective for probes and whole networks, schedule, order and early stopping; plain numbers."""
    kept, held_out = hold_out(20, TWIN, seed=1)
    seen = look(classifier().eval(), pixels(6), torch.arange(6) % 3, TWIN, epsilon=0.1, seed=1)
    parts = get_args(Recipe.model_fields["train"].annotation)
    return {
        "steps": {trained: {objective: train(objective, trained) for objective in BETA} for trained in parts},
        "schedule": [multistep(epoch, (3, 5), 0.1) for epoch in range(7)],
        "order": [part.tolist() for part in batches(kept, 5)],
        "early_stopping": {"held_out": held_out.tolist(), "looks": sorted(looks(TWIN, 5)), "seen": seen},
    }  # fmt: skip
