"""The momentum pair: a key network that starts as a copy and follows, parameters only."""

from __future__ import annotations

import pytest
import torch

from amoc.models.encoder import Encoder
from amoc.models.heads import projector
from amoc.models.norm import branch, same
from amoc.pretraining.momentum import MomentumPair


@pytest.fixture
def pair(generator) -> MomentumPair:
    encoder = Encoder("resnet18", 4, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return MomentumPair(encoder, projector(encoder.features, 7, 6, generator)).double()


def test_key_starts_as_a_copy_that_needs_no_gradient(pair):
    assert same(pair.query.state_dict(), pair.key.state_dict())
    assert all(parameter.requires_grad for parameter in pair.query.parameters())
    assert not any(parameter.requires_grad for parameter in pair.key.parameters())
    shared = {parameter.data_ptr() for parameter in pair.query.parameters()} & {
        parameter.data_ptr() for parameter in pair.key.parameters()
    }
    assert not shared


def test_forward_is_the_projection_of_the_features(pair, generator):
    images = torch.rand(2, 3, 8, 8, generator=generator, dtype=torch.float64)
    pair.eval()
    with branch(pair, "adv"):
        assert torch.equal(pair.query(images), pair.query.projector(pair.query.encoder(images)))
    assert pair.query(images).shape == (2, 6)


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.999, 1.0])
def test_parameters_follow_by_the_formula_and_buffers_stay(pair, momentum, generator):
    for network in (pair.query, pair.key):
        for tensor in network.state_dict().values():
            tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=torch.float64))  # num_batches_tracked too
    query, key = (
        {name: tensor.clone() for name, tensor in network.state_dict().items()} for network in (pair.query, pair.key)
    )
    parameters = {name for name, _ in pair.key.named_parameters()}
    pair.follow(momentum)
    assert same(pair.query.state_dict(), query)
    for name, tensor in pair.key.state_dict().items():
        if name in parameters:
            torch.testing.assert_close(
                tensor, momentum * key[name] + (1 - momentum) * query[name], rtol=1e-12, atol=1e-12
            )
        else:
            assert torch.equal(tensor, key[name])
    assert {name.rpartition(".")[2] for name in key.keys() - parameters} == {
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }


def test_many_steps_are_a_geometric_series(pair):
    """key_n = momentum^n key_0 + (1 - momentum^n) query, while the query stands still."""
    for parameter in pair.query.parameters():
        parameter.data.fill_(1.0)
    for parameter in pair.key.parameters():
        parameter.data.zero_()
    for _ in range(5):
        pair.follow(0.9)
    for parameter in pair.key.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, 1 - 0.9**5), rtol=1e-12, atol=0)
        assert not parameter.requires_grad
