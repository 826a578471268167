"""What AMOC's pre-training computes on inputs that anybody can rebuild: its behaviour, whatever its code looks like.

Long stages depend on these numbers instead of on code files (see README, "What reruns when").
"""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import torch
from torch import Generator, Tensor

from amoc.augment import RandomViews, random_shift, to_float
from amoc.engine.batches import batches
from amoc.engine.clock import Clock
from amoc.engine.formula import pixels, summary
from amoc.engine.generators import generator
from amoc.engine.interruption import Stop
from amoc.models.encoder import fresh_encoder
from amoc.pretraining.amoc import AMOC
from amoc.pretraining.diagnostics import effective_rank, neighbour_accuracy, spread
from amoc.pretraining.loop import Method, build_method, features_of, pretrain
from amoc.pretraining.schedule import warmup_cosine
from amoc.pretraining.variants import VARIANTS
from amoc.settings import (
    Affine,
    AMOCPretraining,
    Blur,
    Jitter,
    Model,
    Optimizer,
    Pretraining,
    Projector,
    Shift,
    TrainingAttack,
    Views,
)

MODEL = Model(architecture="resnet18", width=4)
MEAN, STD = (0.5, 0.45, 0.4), (0.25, 0.24, 0.26)
JITTER = Jitter(probability=0.8, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
PAPER = Views(
    crop_scale=(0.2, 1.0), interpolation="bilinear", jitter=JITTER, grayscale=0.2,
    blur=Blur(probability=0.5, sigma=(0.1, 2.0)), flip=0.5, affine=None,
)  # fmt: skip
DIGITS = PAPER.model_copy(
    update={"crop_scale": None, "blur": None, "affine": Affine(degrees=15.0, translate=0.1, scale=(0.8, 1.2))}
)
SWITCHES: tuple[dict[str, Any], ...] = (
    {"bank_adv": "frozen"}, {"enqueue": "before"}, {"attack_key": "noisy"}, {"attack_mode": "train"},
    {"attack": TrainingAttack(steps=1, relative_step=1.0, random_start=False)},
)  # fmt: skip


def settings(variant: str, **changes: Any) -> AMOCPretraining:
    """Paper-like settings of a tiny run."""
    plain = AMOCPretraining(
        method="amoc", variant=variant, branch=VARIANTS[variant].branch, epochs=3, batch_size=4, bank_length=10,
        temperature=0.2, lambda_=0.4, key_momentum=0.9, bank_adv="moving", enqueue="after", attack_key="clean",
        attack_mode="eval", seed=3,
        attack=TrainingAttack(steps=2, relative_step=0.25, random_start=True),
        optimizer=Optimizer(lr=0.1, momentum=0.9, weight_decay=0.0005, warmup_epochs=1),
        projector=Projector(hidden=8, output=6), views=PAPER, model=MODEL, epsilon=0.1,
    )  # fmt: skip
    return plain.model_copy(update=changes)


class Exact(RandomViews):
    """Random views in float64."""

    def __call__(self, images: Tensor, random: Generator) -> Tensor:
        return super().__call__(images.double(), random)


def pretrained(run: Pretraining) -> tuple[Method, list[dict[str, Any]]]:
    """A method that the loop has pre-trained in float64, and its curve: three batches an epoch, the last not full."""
    method = build_method(run, MEAN, STD).double()
    # at 8x8 the norms of the last stage see so few values that rounding decides what comes out
    images = pixels(method.updates * (2 * run.batch_size + 3), size=16)
    with redirect_stdout(StringIO()):  # a line an epoch
        ended = pretrain(
            method, run, images, torch.arange(len(images)) % 3, device=torch.device("cpu"), precision="float32",
            checkpoint=None, stop=Stop(), clock=Clock(), title="", views=Exact(run.views, images.shape[1]),
        )  # fmt: skip
    return method, ended.curve


def train(run: AMOCPretraining) -> dict[str, Any]:
    """What the curve says, then what the weights, statistics and banks have become."""
    method, curve = pretrained(run)
    return {"curve": curve, "state": state(method)}


def state(method: AMOC) -> dict[str, list[float]]:
    """The query, the key and each bank, summarised."""
    banks = {f"bank_{name}": bank for name, bank in method.banks.items()}
    parts = {"query": method.pair.query, "key": method.pair.key, **banks}
    tensors = {
        name: [tensor.double().flatten() for tensor in part.state_dict().values()] for name, part in parts.items()
    }
    return {name: summary(torch.cat(tensors[name])) for name in tensors}


def order() -> list[list[int]]:
    """Images of an epoch, by batch."""
    return [part.tolist() for part in batches(torch.randperm(9, generator=generator(1, "order", 0)), 4)]


def seen(views: dict[str, Views], images: Tensor) -> dict[str, list[float]]:
    """What random views make of the images, by name."""
    return {name: summary(RandomViews(views[name], 8)(images, generator(1, name))) for name in views}


def diagnostics() -> list[float]:
    """Of the features of a fresh encoder."""
    encoder = fresh_encoder(MODEL, MEAN, STD, generator(1, "weights"))
    looked = features_of(encoder, pixels(30), "clean", 8)
    return [spread(looked), effective_rank(looked), neighbour_accuracy(looked, torch.arange(30) % 3, 5)]


def fingerprint() -> dict[str, Any]:
    """Views, every variant, every switch, schedule, order and diagnostics; plain numbers."""
    images = to_float(pixels(6)).double()
    bicubic = PAPER.model_copy(update={"interpolation": "bicubic"})
    return {
        "views": seen({"paper": PAPER, "digits": DIGITS, "bicubic": bicubic}, images),
        "shift": summary(random_shift(images, Shift(pad=2, flip=0.5), generator(1, "shift"))),
        "variants": {name: train(settings(name)) for name in VARIANTS},
        "switches": [train(settings("aca", **change)) for change in SWITCHES],
        "schedule": [warmup_cosine(epoch, 20, 0.1, 10) for epoch in range(20)] + [warmup_cosine(3, 20, 0.1, 0)],
        "order": order(),
        "diagnostics": diagnostics(),
    }  # fmt: skip
