"""The encoder: a timm ResNet with CIFAR stem and dual batch norm that takes pixels in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import timm
import torch
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from amoc.engine.generators import drawing_from
from amoc.models.norm import DualBatchNorm2d
from amoc.refusal import Refusal
from amoc.settings import Model


def resnet(architecture: str, width: int) -> nn.Module:
    """A timm ResNet for small images: 3x3 stride-1 stem, no max-pooling, dual norm everywhere, pooled features out.

    Args:
        architecture: a ResNet of timm, such as resnet18 or resnet50; resnet10t is the shortest, and its shortcuts
            average over the pixels that those of the others skip.
        width: channels of the first stage (64 in the paper), doubled at each further stage; even.

    Raises:
        Refusal: timm has no such ResNet.
    """
    channels = (width, 2 * width, 4 * width, 8 * width)
    try:
        # timm fixes a plain stem at 64 channels; a deep stem has twice stem_width, and it is replaced anyway.
        # zero_init_last is off in the official code, and timm would skip it silently for norms without a weight; who
        # wants it calls `zero_last_norms`.
        network = timm.create_model(
            architecture, num_classes=0, channels=channels, stem_type="deep", stem_width=width // 2,
            norm_layer=DualBatchNorm2d, zero_init_last=False,
        )  # fmt: skip
        stem = nn.Conv2d(3, width, kernel_size=3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
        network.conv1, network.maxpool = stem, nn.Identity()
    except (RuntimeError, TypeError, AttributeError) as error:
        raise Refusal(
            f"architecture {architecture!r} of width {width} cannot be built: "
            f"allowed are timm's plain ResNets, such as resnet18, resnet34, resnet50 ({error})"
        ) from None
    return network


class Encoder(nn.Module):
    """images (B, 3, H, W) in [0, 1] -> features (B, features). Normalises itself; `branch` sets the norm branch."""

    mean: Tensor
    std: Tensor

    def __init__(self, architecture: str, width: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.backbone = resnet(architecture, width)
        self.features: int = self.backbone.num_features
        self.architecture, self.width = architecture, width
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone((images - self.mean) / self.std)


def fresh_encoder(model: Model, mean: Sequence[float], std: Sequence[float], generator: torch.Generator) -> Encoder:
    """An encoder with weights drawn from the generator; the global generator stays as it was."""
    with drawing_from(generator):
        return Encoder(model.architecture, model.width, mean, std).to(memory_format=torch.channels_last)


@torch.no_grad()
def zero_last_norms(encoder: Encoder) -> None:
    """Start every residual block as its shortcut: the last norm's weights are 0, in both branches, and in place.

    Goyal et al. (2017), section 5.1; timm's own start of a ResNet, and not the official AMOC's.
    """
    for block in encoder.modules():
        if isinstance(block, BasicBlock | Bottleneck):
            last = block.bn3 if isinstance(block, Bottleneck) else block.bn2
            last.clean.weight.zero_()
            last.adv.weight.zero_()
