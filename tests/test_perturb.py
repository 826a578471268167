"""The training attack against foolbox's LinfPGD, and what every attack must keep to."""

from __future__ import annotations

import eagerpy
import foolbox
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from amoc.perturb import maximise

EPSILON = 8 / 255


@pytest.fixture
def network(generator) -> nn.Sequential:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Conv2d(4, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(64, 5)
    ).double()
    for parameter in net.parameters():
        parameter.data.copy_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return net.eval()


@pytest.fixture
def images(generator) -> torch.Tensor:
    """(6, 3, 8, 8) in [0, 1]; a good part of the pixels lie on the bounds."""
    return (1.6 * torch.rand(6, 3, 8, 8, generator=generator, dtype=torch.float64) - 0.3).clamp(0, 1)


@pytest.fixture
def labels(generator) -> torch.Tensor:
    return torch.randint(5, (6,), generator=generator)


def cross_entropy(network: nn.Module, labels: torch.Tensor):
    return lambda images: F.cross_entropy(network(images), labels, reduction="sum")


class StartsAt(foolbox.attacks.LinfPGD):
    """foolbox's PGD from a given start instead of a random one."""

    def __init__(self, start: torch.Tensor, **options) -> None:
        super().__init__(**options, random_start=True)
        self.start = start

    def get_random_start(self, x0, epsilon):
        return eagerpy.astensor(self.start)


def by_foolbox(attack, network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    return attack.run(model, images, foolbox.criteria.Misclassification(labels), epsilon=EPSILON)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_equals_foolbox_without_random_start(network, images, labels, steps):
    attack = foolbox.attacks.LinfPGD(rel_stepsize=0.25, steps=steps, random_start=False)
    given = maximise(
        cross_entropy(network, labels), images, epsilon=EPSILON, steps=steps, step_size=EPSILON / 4, random_start=False
    )
    torch.testing.assert_close(given, by_foolbox(attack, network, images, labels), rtol=0, atol=1e-12)
    assert (given - images).abs().max() == pytest.approx(min(1.0, steps / 4) * EPSILON)


@pytest.mark.parametrize("steps", [1, 7])
def test_equals_foolbox_from_the_same_random_start(network, images, labels, steps, generator):
    state = generator.get_state()
    given = maximise(
        cross_entropy(network, labels), images, epsilon=EPSILON, steps=steps, step_size=EPSILON / 4, generator=generator
    )
    noise = torch.empty_like(images).uniform_(-EPSILON, EPSILON, generator=generator.set_state(state))
    attack = StartsAt(images + noise, rel_stepsize=0.25, steps=steps)
    torch.testing.assert_close(given, by_foolbox(attack, network, images, labels), rtol=0, atol=1e-12)


def test_random_start_is_uniform_in_the_ball(generator):
    grey = torch.full((40, 3, 8, 8), 0.5, dtype=torch.float64)
    noise = maximise(torch.sum, grey, epsilon=0.2, steps=0, step_size=0.1, generator=generator) - grey
    quantiles = torch.quantile(noise.flatten(), torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64))
    assert quantiles.tolist() == pytest.approx([-0.2, -0.1, 0.0, 0.1, 0.2], abs=0.01)


def test_fgsm_is_one_step_of_epsilon_along_the_sign(network, images, labels):
    loss, probe = cross_entropy(network, labels), images.clone().requires_grad_()
    loss(probe).backward()
    expected = (images + EPSILON * probe.grad.sign()).clamp(0, 1)
    network.zero_grad()
    given = maximise(loss, images, epsilon=EPSILON, steps=1, step_size=EPSILON, random_start=False)
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("random_start", [True, False])
def test_stays_in_the_ball_and_in_the_pixel_range_and_gains(network, images, labels, random_start, generator):
    loss = cross_entropy(network, labels)
    given = maximise(
        loss, images, epsilon=EPSILON, steps=5, step_size=EPSILON, random_start=random_start, generator=generator
    )
    assert (given - images).abs().max() <= EPSILON + 1e-15
    assert given.min() == 0  # some pixels lie on the bounds
    assert given.max() == 1
    assert loss(given) > loss(images)


def test_each_image_is_perturbed_on_its_own(network, images, labels):
    """The loss is a sum: what an image becomes does not depend on the others in the batch."""
    options = {"epsilon": EPSILON, "steps": 3, "step_size": EPSILON / 4, "random_start": False}
    together = maximise(cross_entropy(network, labels), images, **options)
    for index in range(len(images)):
        alone = maximise(cross_entropy(network, labels[index : index + 1]), images[index : index + 1], **options)
        torch.testing.assert_close(alone[0], together[index], rtol=0, atol=1e-12)


def test_leaves_no_gradient_behind_and_its_input_alone(network, images, labels):
    before = images.clone()
    given = maximise(
        cross_entropy(network, labels), images, epsilon=EPSILON, steps=2, step_size=EPSILON / 4, random_start=False
    )
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert torch.equal(images, before)
    assert not images.requires_grad
    assert not given.requires_grad
    assert given.is_leaf


class ConvolutionGradients(TorchDispatchMode):
    """Notes which gradients each convolution's backward is asked for: of its input, weight and bias."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[bool]] = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if operation is torch.ops.aten.convolution_backward.default:
            self.asked.append(list(args[-1]))
        return operation(*args, **(kwargs or {}))


def test_computes_no_parameter_gradients(network, images, labels):
    """They would cost a third of the attack."""
    with ConvolutionGradients() as gradients:
        maximise(
            cross_entropy(network, labels), images, epsilon=EPSILON, steps=2, step_size=EPSILON / 4, random_start=False
        )
    assert gradients.asked == 4 * [[True, False, False]]


def test_same_generator_same_images(network, images, labels):
    def attacked(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return maximise(
            cross_entropy(network, labels), images, epsilon=EPSILON, steps=2, step_size=EPSILON / 4, generator=generator
        )

    before = torch.get_rng_state()
    one = attacked(21)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, attacked(21))
    assert not torch.equal(one, attacked(22))
