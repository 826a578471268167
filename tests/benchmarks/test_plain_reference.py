"""The reference computes what we compute, with code of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from amoc.params import Params
from amoc.pretraining.amoc import AMOC
from amoc.pretraining.loop import build_method, build_optimizer
from amoc.settings import Pretraining
from benchmarks.reference import Trainer, loader
from tests.pretraining.networks import take_step

MEAN, STD = (0.5, 0.4375, 0.375), (0.25, 0.28125, 0.3125)  # the same in float32 and in float64
CPU = torch.device("cpu")

Small = Callable[..., Pretraining]


def their_name(name: str) -> str:
    """Of a parameter or buffer: the reference's, from ours."""
    return name.replace("backbone.", "").replace("fc1", "0").replace("fc2", "2")


def twins(settings: Pretraining, generator: torch.Generator) -> tuple[AMOC, Trainer]:
    """Ours and the reference with the same weights, statistics and banks; the key network's are not the query's."""
    ours, theirs = build_method(settings, MEAN, STD), Trainer(settings, MEAN, STD, CPU, settings.optimizer.lr)
    for name, tensor in ours.pair.state_dict().items():
        if name.endswith("running_var") or (name.startswith("key") and tensor.is_floating_point()):
            tensor += 0.05 * torch.rand(tensor.shape, generator=generator)
    for own, other in ((ours.pair.query, theirs.model.query), (ours.pair.key, theirs.model.key)):
        other.load_state_dict({their_name(name): tensor for name, tensor in own.state_dict().items()})
    for name, bank in ours.banks.items():
        getattr(theirs.model, f"bank_{name}").copy_(bank.keys)
    ours.train()
    theirs.model.train()
    return ours, theirs


def views(settings: Pretraining, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and perturbed query."""
    shape = (settings.batch_size, 3, 32, 32)
    query, key = (torch.rand(shape, generator=generator) for _ in range(2))
    noise = torch.empty(shape).uniform_(-settings.epsilon, settings.epsilon, generator=generator)
    return query, key, (query + noise).clamp(0, 1)


Gradients = dict[str, Tensor]


def assert_close(theirs: Tensor, ours: Tensor, tolerance: float, name: str) -> None:
    """As a part of the largest entry."""
    scale = ours.abs().max().item()
    torch.testing.assert_close(
        theirs, ours, rtol=tolerance, atol=tolerance * scale, msg=lambda said: f"{name}: {said}"
    )


def gradients(
    settings: Pretraining, generator: torch.Generator, dtype: torch.dtype, tolerance: float
) -> tuple[Gradients, Gradients]:
    """Ours and the reference's, of a loss and of new keys that are the same."""
    ours, theirs = twins(settings, generator)
    ours.to(dtype)
    theirs.model.to(dtype)
    query, key, perturbed = (view.to(dtype) for view in views(settings, generator))
    terms, new = ours.losses({"clean": query, "adv": perturbed}, {"clean": key})
    loss, *keys = theirs.model.loss(query, key, perturbed)
    assert loss.item() == pytest.approx(terms.total.item(), rel=tolerance)
    for name, other in zip(("clean", "adv"), keys, strict=True):
        assert_close(other, new[name], tolerance, name)

    terms.total.backward()
    loss.backward()
    own = {their_name(name): parameter.grad for name, parameter in ours.pair.query.named_parameters()}
    other = {name: parameter.grad for name, parameter in theirs.model.query.named_parameters()}
    assert own.keys() == other.keys()
    return own, other


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_loss_and_gradients_are_ours(
    small: Small, generator: torch.Generator, dtype: torch.dtype, tolerance: float
) -> None:
    own, other = gradients(small(), generator, dtype, tolerance)
    for name, gradient in own.items():
        assert gradient.abs().max() > 0
        assert_close(other[name], gradient, tolerance, name)


def in_full_width() -> Pretraining:
    paper = Params.load(Path(__file__).parents[2] / "params.yaml").pretraining("paper", "cifar10", "amoc")
    return paper.model_copy(update={"batch_size": 16})


@pytest.mark.slow
def test_loss_and_gradients_are_ours_in_full_width(generator: torch.Generator) -> None:
    own, other = gradients(in_full_width(), generator, torch.float64, 1e-10)
    for name, gradient in own.items():
        assert_close(other[name], gradient, 1e-10, name)


@pytest.mark.slow
@pytest.mark.parametrize("kink", [False, True])
def test_loss_and_gradients_are_ours_in_full_width_and_float32(
    generator: torch.Generator, monkeypatch: pytest.MonkeyPatch, kink: bool
) -> None:
    """Entry by entry, with an activation that has no kink; with ReLU as a whole.

    Of a million activations a few are so close to 0 that float32 rounds them to one side here and to the other there,
    and a ReLU makes all the difference of that to single entries. In a trial the reference in float32 differed from
    itself in float64 by 1e-4 to 3e-4 of the norm, and in single entries by 5 % of the largest.
    """
    if not kink:  # nn.ReLU, which is ours, calls it too
        monkeypatch.setattr(F, "relu", lambda x, inplace=False: F.softplus(x, beta=4))
    own, other = gradients(in_full_width(), generator, torch.float32, 1e-4)
    if not kink:
        for name, gradient in own.items():
            assert_close(other[name], gradient, 1e-4, name)
    one, another = (torch.cat([side[name].flatten() for name in own]) for side in (own, other))
    assert (one - another).norm() < (5e-3 if kink else 1e-5) * one.norm()


def test_perturbation_is_ours(small: Small, generator: torch.Generator) -> None:
    """But where a gradient is so small that its sign is rounding."""
    settings = small(attack=small().attack.model_copy(update={"random_start": False}))
    ours, theirs = twins(settings, generator)
    query, key, _ = views(settings, generator)
    perturbed = theirs.perturb(query, key)
    expected = ours.attack(query, key, generator)[0]["adv"]
    assert theirs.model.training
    assert 0 < (perturbed - query).abs().max() <= settings.epsilon + 1e-6
    assert ((perturbed - expected).abs() < 1e-6).double().mean() > 0.999


def test_steps_are_ours(small: Small, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, statistics and banks after three steps, which wrap the banks around, with given perturbations.

    In float64: steps enlarge what rounding does to the first of them.
    """
    settings = small(bank_length=10)
    ours, theirs = twins(settings, generator)
    ours.double()
    theirs.model.double()
    optimizer = build_optimizer(ours.trained, settings.optimizer)
    for _ in range(3):
        query, key, perturbed = (view.double() for view in views(settings, generator))
        attacked = ({"clean": query, "adv": perturbed}, {"clean": key})
        monkeypatch.setattr(ours, "attack", lambda *given, attacked=attacked: attacked)
        monkeypatch.setattr(theirs, "perturb", lambda *given, perturbed=perturbed: perturbed)
        terms = take_step(ours, query, key, optimizer, generator)
        assert theirs.step(query, key) == pytest.approx(terms.total.item(), rel=1e-9)
    for own, other in ((ours.pair.query, theirs.model.query), (ours.pair.key, theirs.model.key)):
        state = other.state_dict()
        for name, tensor in own.state_dict().items():
            torch.testing.assert_close(state[their_name(name)], tensor, rtol=1e-7, atol=1e-9)
    for name, bank in ours.banks.items():
        torch.testing.assert_close(getattr(theirs.model, f"bank_{name}"), bank.keys, rtol=1e-7, atol=1e-9)


def test_a_step_attacks_and_learns(small: Small, generator: torch.Generator) -> None:
    settings = small()
    _, theirs = twins(settings, generator)
    before = {name: tensor.clone() for name, tensor in theirs.model.state_dict().items()}
    query, key, _ = views(settings, generator)
    assert np.isfinite(theirs.step(query, key))
    after = theirs.model.state_dict()
    assert all(not torch.equal(before[name], tensor) for name, tensor in after.items())
    assert (before["bank_adv"] != after["bank_adv"]).any(dim=1).sum() == settings.batch_size


def test_loader_gives_two_views_of_each_image(small: Small) -> None:
    pixels = np.full((9, 32, 32, 3), 77, dtype=np.uint8)
    pixels[:, :16] = 200
    torch.manual_seed(29)
    batches = list(loader(pixels, small(), workers=0, pin_memory=False))
    assert len(batches) == 2  # full ones
    for query, key in batches:
        assert query.shape == key.shape == (4, 3, 32, 32)
        assert query.dtype == torch.float32
        assert query.min() >= 0 and query.max() <= 1
        assert not torch.equal(query, key)
