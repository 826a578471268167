"""A tiny run: its settings, and a network of two layers in place of the ResNet where method and loop are tested."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from amoc.models.norm import DualBatchNorm2d
from amoc.settings import (
    ACLPretraining,
    Affine,
    AMOCPretraining,
    Jitter,
    Lars,
    Model,
    NormedProjector,
    Optimizer,
    Projector,
    TrainingAttack,
    Views,
)

VIEWS = Views(
    crop_scale=(0.5, 1.0), interpolation="bilinear", grayscale=0.2, blur=None, flip=0.5,
    jitter=Jitter(probability=0.8, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
    affine=Affine(degrees=15.0, translate=0.1, scale=(0.8, 1.2)),
)  # fmt: skip


@pytest.fixture
def tiny() -> Callable[..., AMOCPretraining]:
    """tiny("aca", epochs=2): settings of a variant of AMOC on 8x8 images, with changes."""

    def settings(variant: str, **changes: Any) -> AMOCPretraining:
        plain = AMOCPretraining(
            method="amoc", variant=variant, branch="adv" if variant.startswith("a") else "clean", epochs=3,
            batch_size=4, bank_length=10, temperature=0.3, lambda_=0.4, key_momentum=0.9, bank_adv="moving",
            enqueue="after", attack_key="clean", attack_mode="eval", seed=5,
            attack=TrainingAttack(steps=2, relative_step=0.4, random_start=False),
            optimizer=Optimizer(lr=0.1, momentum=0.8, weight_decay=0.01, warmup_epochs=1),
            projector=Projector(hidden=7, output=6),
            views=VIEWS, model=Model(architecture="resnet18", width=4), epsilon=0.1,
        )  # fmt: skip
        return plain.model_copy(update=changes)

    return settings


@pytest.fixture
def tiny_acl() -> Callable[..., ACLPretraining]:
    """tiny_acl("ds", epochs=2): settings of a form of ACL on 8x8 images, with changes."""

    def settings(form: str, **changes: Any) -> ACLPretraining:
        plain = ACLPretraining(
            method="acl", form=form, branch="adv", epochs=3, batch_size=4, temperature=0.5, normalisation="imagenet",
            seed=5, attack=TrainingAttack(steps=2, relative_step=0.4, random_start=False),
            optimizer=Lars(lr=2.0, momentum=0.8, weight_decay=0.01, warmup_epochs=1, final_lr=0.1, trust=0.02,
                           layerwise="weights", lr_scaling="none"),
            projector=NormedProjector(layers=3, hidden=7, output=6), views=VIEWS,
            model=Model(architecture="resnet18", width=4), epsilon=0.1,
        )  # fmt: skip
        return plain.model_copy(update=changes)

    return settings


class SmallResNet(nn.Module):
    """A stem and one residual block with dual norm: (B, 3, H, W) -> (B, 2 * width), 20 times as fast as a ResNet-18."""

    def __init__(self, architecture: str, width: int) -> None:
        super().__init__()
        self.num_features = 2 * width
        self.conv1, self.bn1 = nn.Conv2d(3, 2 * width, 3, stride=2, bias=False), DualBatchNorm2d(2 * width)
        self.conv2, self.bn2 = nn.Conv2d(2 * width, 2 * width, 3, padding=1, bias=False), DualBatchNorm2d(2 * width)

    def forward(self, images: Tensor) -> Tensor:
        features = torch.relu(self.bn1(self.conv1(images)))
        return torch.relu(features + self.bn2(self.conv2(features))).mean(dim=(2, 3))


@pytest.fixture
def small_resnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every encoder that the test builds is small. The real one is held against torchvision's and the official one."""
    monkeypatch.setattr("amoc.models.encoder.resnet", SmallResNet)
