"""Within the scope an encoder computes the same with its norms folded; after it all is as before."""

from __future__ import annotations

import pytest
import torch
import torch._dynamo
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from amoc.models.encoder import Encoder
from amoc.models.folding import norms_folded
from amoc.models.norm import DualBatchNorm2d, branch, frozen


def encoder(architecture: str, width: int, generator: torch.Generator) -> Encoder:
    """With norms that have seen something, in each branch something else; in eval mode."""
    made = Encoder(architecture, width, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)).to(memory_format=torch.channels_last).eval()
    for norm in (module for module in made.modules() if isinstance(module, nn.BatchNorm2d)):
        for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return made


def features_and_gradient(network: Encoder, images: Tensor, name: str) -> tuple[Tensor, Tensor]:
    images = images.clone().requires_grad_()
    with branch(network, name):
        features = network(images)
    (gradient,) = torch.autograd.grad(features.square().sum(), images)
    return features.detach(), gradient


def state(network: nn.Module) -> list[tuple[int, tuple[Tensor, ...]]]:
    """Which objects the parameters are, and their bits."""
    return [(id(parameter), (parameter.clone(),)) for parameter in network.parameters()]


def assert_untouched(network: nn.Module, before: list[tuple[int, tuple[Tensor, ...]]]) -> None:
    after = state(network)
    assert [number for number, _ in after] == [number for number, _ in before]
    assert all(torch.equal(one[0], other[0]) for (_, one), (_, other) in zip(after, before, strict=True))
    assert all(norm.folded is None for norm in network.modules() if isinstance(norm, DualBatchNorm2d))
    assert all(convolution.bias is None for convolution in network.modules() if isinstance(convolution, nn.Conv2d))


@pytest.mark.parametrize("name", ["clean", "adv"])
@pytest.mark.parametrize(
    ("architecture", "width"), [("resnet10t", 8), ("resnet18", 8), ("resnet34", 4), ("resnet50", 4)]
)
def test_features_and_input_gradients_are_the_encoders(architecture, width, name, generator):
    network = encoder(architecture, width, generator).double()
    images = torch.rand(3, 3, 16, 16, generator=generator, dtype=torch.float64)
    expected, before, keys = features_and_gradient(network, images, name), state(network), list(network.state_dict())
    with frozen(network), norms_folded(name, network):
        assert list(network.state_dict()) != keys  # the convolutions have a bias
        given = features_and_gradient(network, images, name)
    for one, other in zip(given, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12 * other.abs().max().item())
    assert_untouched(network, before)
    assert list(network.state_dict()) == keys


def test_no_norm_is_computed_within_the_scope(generator):
    network = encoder("resnet18", 4, generator)
    computed = []
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.register_forward_hook(lambda *_: computed.append(1))
    images = torch.rand(2, 3, 8, 8, generator=generator)
    with norms_folded("adv", network):
        features_and_gradient(network, images, "adv")
    assert not computed
    features_and_gradient(network, images, "adv")
    assert len(computed) == 20


def test_norms_that_do_not_want_it_stay(generator):
    wants, does_not = encoder("resnet18", 4, generator), encoder("resnet18", 4, generator)
    for norm in (module for module in does_not.modules() if isinstance(module, DualBatchNorm2d)):
        norm.folds = False
    before = state(does_not)
    with norms_folded("adv", wants, does_not):
        assert_untouched(does_not, before)
        assert all(norm.folded == "adv" for norm in wants.modules() if isinstance(norm, DualBatchNorm2d))


def test_folded_weights_take_no_gradient_and_keep_their_layout(generator):
    network = encoder("resnet18", 8, generator)
    with norms_folded("adv", network):
        convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
        assert not any(parameter.requires_grad for each in convolutions for parameter in (each.weight, each.bias))
        assert all(each.weight.is_contiguous(memory_format=torch.channels_last) for each in convolutions)
    assert all(each.weight.requires_grad for each in convolutions)


def test_the_other_branch_is_refused_and_an_exception_ends_the_scope(generator):
    network = encoder("resnet18", 4, generator)
    before = state(network)
    refused = pytest.raises(RuntimeError, match="the adv norms are folded, so there is no clean branch")
    with refused, norms_folded("adv", network), branch(network, "clean"):
        network(torch.rand(2, 3, 8, 8, generator=generator))
    assert_untouched(network, before)


def test_what_is_folded_is_not_folded_again(generator):
    network = encoder("resnet18", 4, generator)
    before = state(network)
    for encoders in ((network,), (network, network)):
        refused = pytest.raises(ValueError, match="so already, or are not alone")
        with refused, norms_folded("adv", network), norms_folded("adv", *encoders):
            pass
    with pytest.raises(ValueError, match="so already, or are not alone"), norms_folded("adv", network, network):
        pass
    assert_untouched(network, before)


def test_a_norm_without_a_convolution_of_its_own_is_refused(generator):
    network = encoder("resnet18", 4, generator)
    network.backbone.act1 = DualBatchNorm2d(4).eval()
    with pytest.raises(ValueError, match="so already, or are not alone"), norms_folded("adv", network):
        pass


def test_several_encoders_are_folded_at_once(generator):
    networks = [encoder("resnet18", 4, generator) for _ in range(2)]
    with norms_folded("clean", *networks):
        norms = [norm for network in networks for norm in network.modules() if isinstance(norm, DualBatchNorm2d)]
        assert len(norms) == 40 and all(norm.folded == "clean" for norm in norms)


def test_in_train_mode_nothing_is_folded(generator):
    network = encoder("resnet18", 4, generator).train()
    with norms_folded("adv", network):
        assert all(norm.folded is None for norm in network.modules() if isinstance(norm, DualBatchNorm2d))


def test_a_compiled_encoder_is_compiled_for_it_once_whatever_the_weights(generator):
    torch._dynamo.reset()
    network, counter = encoder("resnet18", 4, generator).double(), CompileCounter()
    network.compile(backend=counter, fullgraph=True, dynamic=False)
    images = torch.rand(2, 3, 8, 8, generator=generator, dtype=torch.float64)
    for _ in range(3):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(1.1)
        with frozen(network):
            expected = features_and_gradient(network, images, "adv")
            with norms_folded("adv", network):
                given = features_and_gradient(network, images, "adv")
        for one, other in zip(given, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-12 * other.abs().max().item())
        assert counter.frame_count == 2
    torch._dynamo.reset()
