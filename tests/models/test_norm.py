"""Dual batch norm against two ordinary norms, and the scopes that set branch, mode and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from amoc.models.norm import DualBatchNorm1d, DualBatchNorm2d, branch, frozen, mode, same


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 1), DualBatchNorm2d(4), nn.ReLU(), nn.Sequential(DualBatchNorm2d(4), nn.Dropout(0.5))
    )


def branches(model: nn.Module) -> list[str]:
    return [module.branch for module in model.modules() if isinstance(module, DualBatchNorm2d)]


def randomise(norm: nn.BatchNorm2d, generator: torch.Generator) -> None:
    """Weights, biases and running statistics that no fresh norm has."""
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
        tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype))


def test_equals_two_batch_norms_side_by_side(generator):
    dual = DualBatchNorm2d(3, eps=1e-3, momentum=0.3).double()
    plain = {
        "clean": nn.BatchNorm2d(3, eps=1e-3, momentum=0.3).double(),
        "adv": nn.BatchNorm2d(3, eps=1e-3, momentum=0.3).double(),
    }
    for name, norm in plain.items():
        randomise(norm, generator)
        getattr(dual, name).load_state_dict(norm.state_dict())
    for training in (True, False):
        dual.train(training)
        for name in ("clean", "adv", "adv", "clean", "adv"):
            features = 3 + 2 * torch.randn(4, 3, 2, 2, generator=generator, dtype=torch.float64)
            with branch(dual, name):
                given = dual(features)
            torch.testing.assert_close(given, plain[name].train(training)(features), rtol=0, atol=0)
            for other, norm in plain.items():  # what went through one norm left the statistics of the other alone
                assert same(getattr(dual, other).state_dict(), norm.state_dict())
    assert [plain[name].num_batches_tracked.item() for name in plain] == [2, 3]


@pytest.mark.parametrize("name", ["clean", "adv"])
def test_the_norm_of_features_goes_by_the_same_scope(name, generator):
    model = nn.Sequential(DualBatchNorm2d(2), nn.Flatten(), DualBatchNorm1d(8)).double()
    maps = torch.randn(4, 2, 2, 2, generator=generator, dtype=torch.float64)
    with branch(model, name):
        given = model(maps)
    flat = nn.BatchNorm2d(2).double()(maps).flatten(1)
    torch.testing.assert_close(given, nn.BatchNorm1d(8).double()(flat), rtol=0, atol=0)
    other = "adv" if name == "clean" else "clean"
    assert [getattr(model[2], branch).num_batches_tracked.item() for branch in (name, other)] == [1, 0]


def test_one_branch_gives_the_other_no_gradient(generator):
    dual = DualBatchNorm2d(3)
    with branch(dual, "adv"):
        dual(torch.randn(4, 3, 2, 2, generator=generator)).square().sum().backward()
    assert dual.adv.weight.grad is not None
    assert dual.clean.weight.grad is None


def test_branch_is_clean_at_first_and_set_for_the_scope_only():
    model = network()
    assert branches(model) == ["clean", "clean"]
    with branch(model, "adv"):
        assert branches(model) == ["adv", "adv"]
        with branch(model[3], "clean"):
            assert branches(model) == ["adv", "clean"]
        assert branches(model) == ["adv", "adv"]
    assert branches(model) == ["clean", "clean"]


def test_branch_is_restored_after_an_exception_each_norm_to_its_own():
    model = network()
    model[1].branch = "adv"
    with pytest.raises(ZeroDivisionError), branch(model, "adv"):
        1 / 0  # noqa: B018
    assert branches(model) == ["adv", "clean"]


@pytest.mark.parametrize("name", ["advesarial", "", "Clean", None])
def test_unknown_branch_is_refused_and_changes_nothing(name):
    model = network()
    with pytest.raises(ValueError, match="allowed are clean, adv"), branch(model, name):
        pytest.fail("the scope was entered")
    assert branches(model) == ["clean", "clean"]


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_restored_for_each_module_also_after_an_exception(training):
    model = network()
    model.train()
    model[3].eval()
    before = [module.training for module in model.modules()]
    with mode(model, training):
        assert {module.training for module in model.modules()} == {training}
    assert [module.training for module in model.modules()] == before
    with pytest.raises(ZeroDivisionError), mode(model, training):
        1 / 0  # noqa: B018
    assert [module.training for module in model.modules()] == before
    assert len(set(before)) == 2


def test_frozen_computes_gradients_of_the_input_alone(generator):
    model = network()
    images = torch.randn(4, 3, 2, 2, generator=generator, requires_grad=True)
    with frozen(model):
        model(images).square().sum().backward()
    assert images.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_frozen_restores_what_was_trainable_also_after_an_exception():
    model = network()
    model[0].weight.requires_grad_(False)
    before = [parameter.requires_grad for parameter in model.parameters()]
    with frozen(model):
        assert not any(parameter.requires_grad for parameter in model.parameters())
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    with pytest.raises(ZeroDivisionError), frozen(model):
        1 / 0  # noqa: B018
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    assert set(before) == {True, False}


def test_same_compares_keys_and_every_number():
    one = {"weight": torch.tensor([1.0, 2.0]), "count": torch.tensor(3)}
    assert same(one, {name: tensor.clone() for name, tensor in one.items()})
    assert not same(one, {**one, "weight": torch.tensor([1.0, 2.0000002])})
    assert not same(one, {**one, "count": torch.tensor(4)})
    assert not same(one, {"weight": one["weight"]})
    assert not same({"weight": one["weight"]}, one)
