"""The encoder against torchvision's ResNet-18 with the same weights, its start, and its normalisation."""

from __future__ import annotations

import re

import pytest
import timm
import torch
import torchvision
from torch import nn

from amoc.models.encoder import Encoder, fresh_encoder, resnet, zero_last_norms
from amoc.models.norm import DualBatchNorm2d, branch, same
from amoc.refusal import Refusal
from amoc.settings import PLAIN_RESNETS, Model

MEAN, STD = (0.4914, 0.4824, 0.4467), (0.2471, 0.2435, 0.2617)


def plain_resnet18() -> nn.Module:
    """torchvision's, with the stem of small images and features out."""
    network = torchvision.models.resnet18()
    network.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    network.maxpool, network.fc = nn.Identity(), nn.Identity()
    return network.double()


def fill(network: nn.Module, generator: torch.Generator) -> None:
    """Random weights and statistics, of sizes that keep the features away from 0 and from infinity."""
    for key, tensor in network.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
        if tensor.ndim == 4:
            tensor.copy_(noise * (2 / tensor[0].numel()) ** 0.5)
        else:
            tensor.copy_(0.1 * noise + (1.0 if key.endswith(("weight", "running_var")) else 0.0))


def name_in_branch(key: str, name: str) -> str:
    """The key of a norm's tensor in a plain ResNet -> where the dual one keeps it."""
    return re.sub(r"(\bbn\d|downsample\.1)\.", rf"\1.{name}.", key)


def test_equals_the_plain_resnet_on_each_branch(generator):
    encoder = Encoder("resnet18", 64, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)).double()
    plain = {"clean": plain_resnet18(), "adv": plain_resnet18()}
    for network in plain.values():
        fill(network, generator)
    norms = [key for key in plain["adv"].state_dict() if name_in_branch(key, "adv") != key]
    plain["adv"].load_state_dict(
        {key: tensor for key, tensor in plain["clean"].state_dict().items() if key not in norms}, strict=False
    )
    encoder.backbone.load_state_dict(
        {
            name_in_branch(key, name): tensor
            for name, network in plain.items()
            for key, tensor in network.state_dict().items()
        }
    )

    images = torch.rand(2, 3, 16, 16, generator=generator, dtype=torch.float64)
    given = {}
    for training in (False, True):
        for name, network in plain.items():
            with branch(encoder, name), torch.no_grad():
                given[training, name] = encoder.train(training)(images)
                expected = network.train(training)(images)
            torch.testing.assert_close(given[training, name], expected, rtol=1e-10, atol=1e-12)
    assert given[False, "clean"].shape == (2, 512)
    assert (given[False, "clean"] - given[False, "adv"]).abs().max() > 1e-3


def test_names_are_the_plain_ones_with_two_branches():
    keys = set(resnet("resnet18", 4).state_dict())
    plain = [key for key in plain_resnet18().state_dict() if not key.startswith("fc")]
    assert keys == {name_in_branch(key, name) for key in plain for name in ("clean", "adv")}
    assert {"conv1.weight", "bn1.clean.weight", "bn1.adv.running_var", "layer4.0.downsample.1.adv.bias"} <= keys


@pytest.mark.parametrize(
    ("architecture", "width", "features"),
    [("resnet18", 64, 512), ("resnet18", 4, 32), ("resnet10t", 16, 128), ("resnet34", 2, 16), ("resnet50", 4, 128)],
)
def test_stem_and_widths(architecture, width, features):
    encoder = Encoder(architecture, width, MEAN, STD)
    stem = encoder.backbone.conv1
    assert (stem.weight.shape, stem.stride, stem.padding, stem.bias) == ((width, 3, 3, 3), (1, 1), (1, 1), None)
    assert isinstance(encoder.backbone.maxpool, nn.Identity)
    assert encoder.features == features
    assert encoder.eval()(torch.full((1, 3, 8, 8), 0.5)).shape == (1, features)
    assert not any(isinstance(module, (nn.BatchNorm2d, nn.Linear)) and "clean" not in name and "adv" not in name
                   for name, module in encoder.named_modules())  # fmt: skip


def test_no_norm_starts_at_zero():
    norms = [module for module in resnet("resnet18", 4).modules() if isinstance(module, DualBatchNorm2d)]
    assert len(norms) == 20  # stem, 2 in each of 8 blocks, 3 downsamplings
    for norm in norms:
        for one in (norm.clean, norm.adv):
            assert torch.equal(one.weight, torch.ones_like(one.weight))
            assert torch.equal(one.bias, torch.zeros_like(one.bias))


@pytest.mark.parametrize(("architecture", "last"), [("resnet10t", "bn2"), ("resnet18", "bn2"), ("resnet50", "bn3")])
def test_blocks_can_start_as_their_shortcuts(architecture, last, generator):
    """Only the last norm of a block loses its weights, and what the block computes is then its shortcut, rectified."""
    encoder = Encoder(architecture, 4, MEAN, STD).eval()
    before = {key: tensor.clone() for key, tensor in encoder.state_dict().items()}
    zero_last_norms(encoder)
    changed = {key for key, tensor in encoder.state_dict().items() if not torch.equal(tensor, before[key])}
    assert changed == {key for key in before if re.search(rf"layer\d\.\d\.{last}\.(clean|adv)\.weight$", key)}
    assert not any(encoder.state_dict()[key].any() for key in changed)
    block = encoder.backbone.layer2[0]
    inputs = torch.randn(2, block.conv1.in_channels, 8, 8, generator=generator)
    for name in ("clean", "adv"):
        with branch(encoder, name), torch.no_grad():
            assert torch.equal(block(inputs), torch.relu(block.downsample(inputs)))


def test_stem_starts_as_the_other_convolutions(generator):
    """Kaiming normal over the fan out: standard deviation sqrt(2 / (9 * width))."""
    stem = fresh_encoder(Model(architecture="resnet18", width=64), MEAN, STD, generator).backbone.conv1.weight
    assert stem.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)


def test_settings_accept_what_can_be_built_of_timms_resnets_and_no_other():
    """Else a run would be refused only when DVC has removed its last results."""
    for name in (name for name in timm.list_models("resnet*") if re.fullmatch(r"resnet\d+[a-z]*", name)):
        try:
            resnet(name, 2)
        except Refusal:
            assert not re.fullmatch(PLAIN_RESNETS, name), name
        else:
            assert re.fullmatch(PLAIN_RESNETS, name), name


@pytest.mark.parametrize(
    "architecture", ["resnet17", "resnt18", "vit_tiny_patch16_224", "vgg11", "densenet121", "resnetv2_50"]
)
def test_other_architectures_are_refused(architecture):
    with pytest.raises(Refusal, match=rf"'{architecture}'.*allowed are .*resnet18") as refusal:
        resnet(architecture, 4)
    assert "\n" not in str(refusal.value)


def test_encoder_normalises_its_input(generator):
    encoder = Encoder("resnet18", 4, MEAN, STD).double().eval()
    images = torch.rand(2, 3, 8, 8, generator=generator, dtype=torch.float64)
    normalised = images.clone()
    for channel in range(3):
        mean, std = (torch.tensor(value[channel]).item() for value in (MEAN, STD))  # as float32 has them
        normalised[:, channel] = (normalised[:, channel] - mean) / std
    torch.testing.assert_close(encoder(images), encoder.backbone(normalised), rtol=1e-12, atol=1e-12)


def test_mean_and_std_are_no_weights():
    assert not any("mean" in key and "running" not in key for key in Encoder("resnet18", 4, MEAN, STD).state_dict())


def test_fresh_weights_depend_on_the_generators_seed_alone():
    model = Model(architecture="resnet18", width=4)

    def weights(seed: int) -> dict[str, torch.Tensor]:
        return fresh_encoder(model, MEAN, STD, torch.Generator().manual_seed(seed)).state_dict()

    before = torch.get_rng_state()
    first = weights(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)  # moves the global generator
    assert same(first, weights(3))
    assert not torch.equal(first["backbone.conv1.weight"], weights(4)["backbone.conv1.weight"])
