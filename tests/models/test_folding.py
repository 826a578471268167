"""A folded network is the same function as the network, and its norms are gone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from amoc.models.classifier import Classifier
from amoc.models.encoder import Encoder
from amoc.models.folding import folded
from amoc.models.heads import linear_head
from amoc.models.norm import DualBatchNorm2d, branch, same


def classifier(architecture: str, width: int, name: str, generator: torch.Generator) -> Classifier:
    """With norms that have seen something, in each branch something else."""
    encoder = Encoder(architecture, width, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    model = Classifier(encoder, linear_head(encoder.features, 10), name)
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    for weight in (module.weight for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)):
        noise = torch.randn(weight.shape, generator=generator)
        weight.data = noise * (2 / weight[0].numel()) ** 0.5
    return model.eval().requires_grad_(False)


def logits_and_gradient(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    images = images.clone().requires_grad_()
    logits = model(images)
    (gradient,) = torch.autograd.grad(logits.logsumexp(dim=1).sum() - logits[:, 3].sum(), images)
    return logits.detach(), gradient


def without_kinks(model: nn.Module) -> nn.Module:
    """Every ReLU smooth: where one is at 0 within rounding, gradients of the same function differ by more."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.ReLU):
            model.set_submodule(name, nn.Softplus())
    return model


@pytest.mark.parametrize("name", ["clean", "adv"])
@pytest.mark.parametrize(
    ("architecture", "width", "size"),
    [("resnet18", 16, 8), ("resnet18", 16, 32), ("resnet10t", 16, 8), ("resnet50", 4, 16), ("resnet18", 64, 16)],
)
def test_logits_and_gradients_are_the_networks(architecture, width, size, name, generator):
    model = without_kinks(classifier(architecture, width, name, generator))
    images = torch.rand(3, 3, size, size, generator=generator)
    expected = logits_and_gradient(model, images)
    exact = logits_and_gradient(model.double(), images.double())
    model.float()
    for given, plain, true in zip(logits_and_gradient(folded(model, images[:1]), images), expected, exact, strict=True):
        scale = true.abs().max()
        error, rounding = (given - true).abs().max() / scale, (plain - true).abs().max() / scale
        assert error < 5 * rounding + 1e-6 < 1e-3


@pytest.mark.parametrize("name", ["clean", "adv"])
def test_in_float64_equality_is_to_fifteen_digits_with_kinks(name, generator):
    model = classifier("resnet18", 8, name, generator).double()
    images = torch.rand(3, 3, 16, 16, generator=generator, dtype=torch.float64)
    for given, expected in zip(
        logits_and_gradient(folded(model, images), images), logits_and_gradient(model, images), strict=True
    ):
        torch.testing.assert_close(given, expected, rtol=0, atol=1e-12 * expected.abs().max().item())


@pytest.mark.parametrize(("architecture", "norms"), [("resnet10t", 12), ("resnet18", 20), ("resnet50", 53)])
def test_all_norms_of_the_branch_are_gone_and_the_model_is_as_it_was(architecture, norms, generator):
    model = classifier(architecture, 4, "adv", generator)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    copy = folded(model, torch.rand(1, 3, 8, 8, generator=generator))
    dual = [module for module in copy.modules() if isinstance(module, DualBatchNorm2d)]
    assert len(dual) == norms and all(isinstance(norm.adv, nn.Identity) for norm in dual)
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    assert same(model.state_dict(), before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_memory_layout_is_kept(generator):
    model = classifier("resnet18", 8, "clean", generator).to(memory_format=torch.channels_last)
    copy = folded(model, torch.rand(1, 3, 8, 8, generator=generator))
    weights = [module.weight for module in copy.modules() if isinstance(module, nn.Conv2d)]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)


def test_an_encoder_is_folded_for_the_branch_of_the_scope(generator):
    encoder = classifier("resnet18", 4, "clean", generator).encoder
    images = torch.rand(2, 3, 8, 8, generator=generator)
    with branch(encoder, "adv"):
        torch.testing.assert_close(folded(encoder, images)(images), encoder(images), rtol=1e-4, atol=1e-4)


def test_what_has_no_norms_is_returned_itself(generator):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten()).eval()
    assert folded(model, torch.rand(1, 3, 2, 2, generator=generator)) is model


class Twice(nn.Module):
    """One convolution and one norm, for the image and for what comes of it: two pairs that cannot be one."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        return self.convolution(self.norm(self.convolution(images))).flatten(1)


class Tapped(nn.Module):
    """What the convolution gives goes around the norm too."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.norm.running_mean.fill_(2.0)

    def forward(self, images: Tensor) -> Tensor:
        given = self.convolution(images)
        return (given + 3 * self.norm(given)).flatten(1)


def test_a_convolution_that_is_used_twice_is_left_as_it_is(generator):
    model = Twice().eval()
    assert folded(model, torch.rand(1, 3, 2, 2, generator=generator)) is model


def test_another_function_is_refused(generator):
    with pytest.raises(ValueError, match="something else"):
        folded(Tapped().eval(), torch.rand(1, 3, 2, 2, generator=generator))
