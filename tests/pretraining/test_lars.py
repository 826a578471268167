"""LARS against its formula over Python's numbers."""

from __future__ import annotations

from math import sqrt
from typing import Any

import pytest
import torch
from torch import nn

from amoc.models.norm import DualBatchNorm1d, branch
from amoc.pretraining.lars import lars
from amoc.settings import Lars


def options(**changes: Any) -> Lars:
    plain = Lars(
        lr=2.0, momentum=0.9, weight_decay=0.03, warmup_epochs=0, final_lr=0.0, trust=0.01, layerwise="weights",
        lr_scaling="none",
    )  # fmt: skip
    return plain.model_copy(update=changes)


def network(generator: torch.Generator) -> nn.Sequential:
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 4)).double()
    for parameter in model.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def norm(values: list[float]) -> float:
    return sqrt(sum(value * value for value in values))


class Written:
    """You et al., 2017, eq. 6 and PyTorch's order of momentum and rate, for one parameter."""

    def __init__(self, weights: list[float], adapts: bool, options: Lars) -> None:
        self.weights, self.adapts, self.options = weights, adapts, options
        self.velocity = [0.0] * len(weights)

    def step(self, gradient: list[float], lr: float) -> None:
        o, size, slope, ratio = self.options, norm(self.weights), norm(gradient), 1.0
        decay = o.weight_decay if self.adapts else 0.0
        if self.adapts and size > 0 and slope > 0:
            ratio = o.trust * size / (slope + decay * size)
        for i, weight in enumerate(self.weights):
            self.velocity[i] = o.momentum * self.velocity[i] + ratio * (gradient[i] + decay * weight)
            self.weights[i] = weight - lr * self.velocity[i]


@pytest.mark.parametrize("layerwise", ["weights", "all"])
@pytest.mark.parametrize("changes", [{}, {"momentum": 0.0}, {"weight_decay": 0.0}, {"weight_decay": 1e-6}])
def test_steps_equal_the_written_out_ones(layerwise, changes, generator):
    """Three of them, with a learning rate that moves in between. Without decay weights are scaled all the same."""
    chosen, model = options(layerwise=layerwise, **changes), network(generator)
    optimizer = lars(model, chosen)
    written = {
        name: Written(parameter.flatten().tolist(), layerwise == "all" or name in ("0.weight", "3.weight"), chosen)
        for name, parameter in model.named_parameters()
    }
    for lr in (2.0, 5.0, 0.5):
        for group in optimizer.param_groups:
            group["lr"] = lr
        for name, parameter in model.named_parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            written[name].step(parameter.grad.flatten().tolist(), lr)
        optimizer.step()
        for name, parameter in model.named_parameters():
            assert parameter.flatten().tolist() == pytest.approx(written[name].weights, rel=1e-9), name


def test_scaled_step_does_not_depend_on_the_size_of_the_gradient(generator):
    """Without decay and at first: lr * trust * |w| long, wherever it goes."""
    model = network(generator)
    optimizer, before = lars(model, options(weight_decay=0.0)), [p.detach().clone() for p in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = 1e3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    optimizer.step()
    for old, new in zip(before, model.parameters(), strict=True):
        if old.ndim > 1:
            assert (new - old).norm().item() == pytest.approx(2.0 * 0.01 * old.norm().item(), rel=1e-6)
        else:
            torch.testing.assert_close(new.detach(), old - 2.0 * new.grad)


@pytest.mark.parametrize("nothing", ["weights", "gradient"])
def test_what_is_zero_steps_as_sgd_does(nothing, generator):
    layer = nn.Linear(3, 2, bias=False).double()
    if nothing == "weights":
        layer.weight.data.zero_()
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.ones_like(layer.weight) if nothing == "weights" else torch.zeros_like(layer.weight)
    lars(layer, options()).step()
    torch.testing.assert_close(layer.weight.detach(), before - 2.0 * (layer.weight.grad + 0.03 * before))


def test_a_branch_that_was_not_used_stays_as_it_is(generator):
    model = nn.Sequential(nn.Linear(3, 4), DualBatchNorm1d(4))
    optimizer = lars(model, options())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with branch(model, "adv"):
        model(torch.randn(5, 3, generator=generator)).square().mul(torch.arange(4.0)).sum().backward()
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == (".clean." in name), name


def test_groups_hold_every_parameter_once(generator):
    model = network(generator)
    for layerwise, sizes in (("weights", [2, 4]), ("all", [6])):
        groups = lars(model, options(layerwise=layerwise)).param_groups
        assert [len(group["params"]) for group in groups] == sizes
        assert {id(p) for group in groups for p in group["params"]} == {id(p) for p in model.parameters()}
        assert {group["momentum"] for group in groups} == {0.9}
