"""Checkpoints as other repositories write them, from numbers by formula, and what their networks compute.

Written from the repositories' definitions, without a look at `amoc.models.layouts`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR10 = ((0.4914, 0.4824, 0.4467), (0.2471, 0.2435, 0.2617))


@dataclass(frozen=True)
class Scheme:
    """How a repository names the parts of a ResNet-18, and what else its file has."""

    norms: dict[str, str]  # branch -> what follows the name of a norm
    shortcut: tuple[str, str] = ("downsample.0", "downsample.1")
    prefix: str = ""
    head: str = "none"
    normalises: bool = False  # by itself, with buffers
    second: str = ""  # prefix of a second encoder


BOTH = {"clean": ".bn_list.0", "adv": ".bn_list.1"}
PARTS = ("downsample.conv", "downsample.bn")
ONE = {"clean": "", "adv": ""}
SCHEMES = {
    "amoc": Scheme({"clean": ".bn_clean", "adv": ".bn_adv"}),
    "amoc_classifier": Scheme({"clean": ".bn_clean", "adv": ".bn_adv"}, prefix="arch.", head="wrapped"),
    "acl": Scheme(BOTH, PARTS, head="projector", normalises=True),
    "acl, two layers": Scheme(BOTH, PARTS, head="short projector", normalises=True),
    "acl, classifier": Scheme(BOTH, PARTS, head="linear", normalises=True),
    "dynacl": Scheme(BOTH, PARTS, "encoder_k.", "projector", True, second="encoder_q."),
    "dynacl, two layers": Scheme(BOTH, PARTS, "encoder_k.", "short projector", True, second="encoder_q."),
    "acl_single": Scheme(ONE, head="linear", normalises=True),
    "plain": Scheme(ONE),
    "plain, classifier": Scheme(ONE, head="linear"),
}


def norm(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def blocks(width: int) -> Iterator[tuple[str, int, int, int]]:
    """Each block's name, channels in and out, and stride."""
    inside = width
    for stage in range(4):
        for block in range(2):
            outside = width * 2**stage
            yield f"layer{stage + 1}.{block}", inside, outside, 2 if stage and not block else 1
            inside = outside


def encoder(scheme: Scheme, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    def norms(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        for suffix in dict.fromkeys(scheme.norms.values()):
            yield from norm(name + suffix, channels)

    yield "conv1.weight", (width, 3, 3, 3)
    yield from norms("bn1", width)
    for name, inside, outside, stride in blocks(width):
        yield f"{name}.conv1.weight", (outside, inside, 3, 3)
        yield from norms(f"{name}.bn1", outside)
        yield f"{name}.conv2.weight", (outside, outside, 3, 3)
        yield from norms(f"{name}.bn2", outside)
        if stride == 2:
            convolution, last = scheme.shortcut
            yield f"{name}.{convolution}.weight", (outside, inside, 1, 1)
            yield from norms(f"{name}.{last}", outside)


def head(kind: str, features: int, classes: int = 10) -> Iterator[tuple[str, tuple[int, ...]]]:
    if kind in ("linear", "wrapped"):
        name = {"linear": "fc", "wrapped": "fc.fc"}[kind]
        yield f"{name}.weight", (classes, features)
        yield f"{name}.bias", (classes,)
    elif kind != "none":
        for layer in range(1, 4 if kind == "projector" else 3):
            yield f"fc.fc{layer}.weight", (features, features)
            if layer == 1:
                yield "fc.fc1.bias", (features,)
            for number in range(2):
                yield from norm(f"fc.bn{layer}.bn_list.{number}", features)


def shapes(scheme: Scheme, width: int) -> Shapes:
    """Every key of the file."""
    found: Shapes = {}
    for prefix in filter(None, (scheme.prefix or " ", scheme.second)):
        start = prefix.strip()
        found |= {start + key: shape for key, shape in encoder(scheme, width)}
        found |= {start * (scheme.head != "wrapped") + key: shape for key, shape in head(scheme.head, 8 * width)}
        if scheme.normalises:
            found |= {f"{start}normalize.mean": (3,), f"{start}normalize.std": (3,)}
    return found


def numbers(key: str, shape: tuple[int, ...]) -> Tensor:
    """By formula, from the key; a trained network's scale, so that features are of order one."""
    drawn = torch.from_numpy(np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)).float()
    if key.endswith("num_batches_tracked"):
        return torch.tensor(390)
    if key.endswith(("normalize.mean", "normalize.std")):
        return torch.tensor(IMAGENET[key.endswith("std")])
    if key.endswith("running_var"):
        return 1 + 0.1 * drawn.abs()
    if len(shape) == 4:  # in float16, which encoder files keep of it
        return (drawn * (2 / (shape[0] * shape[2] * shape[3])) ** 0.5).half().float()
    return 1 + 0.1 * drawn if key.endswith("weight") and len(shape) == 1 else 0.1 * drawn


def state(name: str, width: int) -> dict[str, Tensor]:
    """The state dictionary of a scheme."""
    return {key: numbers(key, shape) for key, shape in shapes(SCHEMES[name], width).items()}


def features(
    tensors: dict[str, Tensor], name: str, branch: str, images: Tensor,
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] = CIFAR10,
) -> Tensor:  # fmt: skip
    """images (B, 3, H, W) in [0, 1] -> (B, 8 * width): the network in eval mode, in the operations of its definition.

    normalisation: mean and standard deviation, for a scheme that does not normalise by itself.
    """
    scheme = SCHEMES[name]

    def weight(key: str) -> Tensor:
        return tensors[f"{scheme.prefix}{key}"]

    def normed(inputs: Tensor, key: str) -> Tensor:
        name = key + scheme.norms[branch]
        parts = (weight(f"{name}.{part}") for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(inputs, *parts, False, 0.0, 1e-5)

    if scheme.normalises:
        mean, std = weight("normalize.mean"), weight("normalize.std")
    else:
        mean, std = (torch.tensor(values) for values in normalisation)
    flow = (images - mean[None, :, None, None]) / std[None, :, None, None]
    flow = F.relu(normed(F.conv2d(flow, weight("conv1.weight"), padding=1), "bn1"))
    width = len(weight("conv1.weight"))
    for block, _, _, stride in blocks(width):
        straight = flow
        flow = F.relu(normed(F.conv2d(flow, weight(f"{block}.conv1.weight"), stride=stride, padding=1), f"{block}.bn1"))
        flow = normed(F.conv2d(flow, weight(f"{block}.conv2.weight"), padding=1), f"{block}.bn2")
        if stride == 2:
            convolution, last = scheme.shortcut
            straight = F.conv2d(straight, weight(f"{block}.{convolution}.weight"), stride=2)
            straight = normed(straight, f"{block}.{last}")
        flow = F.relu(flow + straight)
    return flow.mean(dim=(2, 3))
