"""The projector and the linear head."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from amoc.models.heads import linear_head, normed_projector, projector
from amoc.models.norm import branch


def test_projector_is_two_linear_layers_with_a_relu_between(generator):
    head = projector(5, 4, 3, torch.Generator().manual_seed(11)).double()
    assert set(head.state_dict()) == {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}
    features = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    for row, projection in zip(features.tolist(), head(features).tolist(), strict=True):
        first = [
            sum(w * f for w, f in zip(weights, row, strict=True)) + b
            for weights, b in zip(head.fc1.weight.tolist(), head.fc1.bias.tolist(), strict=True)
        ]
        hidden = [max(0.0, value) for value in first]
        expected = [
            sum(w * h for w, h in zip(weights, hidden, strict=True)) + b
            for weights, b in zip(head.fc2.weight.tolist(), head.fc2.bias.tolist(), strict=True)
        ]
        torch.testing.assert_close(torch.tensor(projection), torch.tensor(expected))


def test_projector_depends_on_the_generators_seed_alone():
    before = torch.get_rng_state()
    one = projector(5, 4, 3, torch.Generator().manual_seed(12))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)  # moves the global generator
    again, other = (
        projector(5, 4, 3, torch.Generator().manual_seed(12)),
        projector(5, 4, 3, torch.Generator().manual_seed(13)),
    )
    assert torch.equal(one.fc2.weight, again.fc2.weight)
    assert not torch.equal(one.fc2.weight, other.fc2.weight)


@pytest.mark.parametrize("name", ["clean", "adv"])
def test_normed_projector_is_linear_layers_with_a_norm_each_and_a_relu_between(name, generator):
    head = normed_projector(5, 4, 3, 3, torch.Generator().manual_seed(11)).double()
    features = torch.randn(6, 5, generator=generator, dtype=torch.float64)
    with branch(head, name):
        given = head(features)
    expected = features
    for number in (1, 2, 3):
        expected = expected @ head.get_submodule(f"fc{number}").weight.T
        variance, mean = torch.var_mean(expected, dim=0, correction=0)
        expected = (expected - mean) / (variance + 1e-5).sqrt()
        used = getattr(head.get_submodule(f"norm{number}"), name)
        torch.testing.assert_close(used.running_mean, 0.1 * mean)
        if number < 3:
            expected = expected.clamp(min=0)
    torch.testing.assert_close(given, expected)
    assert given.shape == (6, 3)


@pytest.mark.parametrize(("layers", "shapes"), [(2, [(4, 5), (3, 4)]), (3, [(4, 5), (4, 4), (3, 4)])])
def test_normed_projector_has_as_many_layers_as_asked_for(layers, shapes):
    head = normed_projector(5, 4, 3, layers, torch.Generator().manual_seed(14))
    assert [tuple(module.weight.shape) for module in head if isinstance(module, nn.Linear)] == shapes
    assert sum(isinstance(module, nn.ReLU) for module in head) == layers - 1


def test_normed_projector_depends_on_the_generators_seed_alone():
    before = torch.get_rng_state()
    one = normed_projector(5, 4, 3, 2, torch.Generator().manual_seed(15))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)  # moves the global generator
    again, other = (normed_projector(5, 4, 3, 2, torch.Generator().manual_seed(seed)) for seed in (15, 16))
    assert torch.equal(one.fc2.weight, again.fc2.weight)
    assert not torch.equal(one.fc2.weight, other.fc2.weight)


def test_linear_head_starts_at_zero():
    head = linear_head(6, 4)
    assert isinstance(head, nn.Linear)
    assert head.weight.shape == (4, 6)
    assert head.weight.requires_grad
    assert head.bias.requires_grad
    assert torch.equal(head(torch.ones(2, 6)), torch.zeros(2, 4))
