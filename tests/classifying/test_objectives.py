from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from amoc.classifying.objectives import alp, attack, divergence, outcome, pgd_at, standard, trades
from amoc.settings import Recipe, Shift, TrainingAttack

LABELS = torch.tensor([2, 0, 1, 2, 1])
BETA = {"standard": None, "pgd_at": None, "alp": 0.5, "trades": 6.0}


def recipe(objective: str, steps: int = 3, **changes) -> Recipe:
    attacked = TrainingAttack(steps=steps, relative_step=0.25, random_start=True)
    settings = {
        "objective": objective, "train": "all", "epochs": 1, "milestones": (), "batch_size": 5, "lr": 0.1,
        "momentum": 0.9, "weight_decay": 0.0, "shift": Shift(pad=0, flip=0.0), "beta": BETA[objective], "epsilon": 0.1,
        "attack": None if objective == "standard" else attacked, "pairing": "norm" if objective == "alp" else None,
    }  # fmt: skip
    return Recipe(**settings | changes)


class Linear:
    """A classifier of 2x2 images that keeps what it was asked: (images, whether a gradient was wanted)."""

    def __init__(self, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(12, 3, dtype=torch.float64, generator=random).requires_grad_()
        self.asked: list[tuple[torch.Tensor, bool]] = []

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.asked.append((images.detach().clone(), torch.is_grad_enabled()))
        return images.flatten(1) @ self.weight


def images(seed: int) -> torch.Tensor:
    return torch.rand(5, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_cross_entropy(logits: torch.Tensor) -> float:
    """Mean of -log softmax at the label, image by image."""
    rows = zip(logits.tolist(), LABELS.tolist(), strict=True)
    return sum(-math.log(softmax(row)[label]) for row, label in rows) / len(logits)


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(z) for z in row)
    return [math.exp(z) / total for z in row]


def slow_kl(clean: torch.Tensor, adversarial: torch.Tensor) -> float:
    """Sum over images of sum_c p_c log(p_c / q_c)."""
    total = 0.0
    for one, other in zip(clean.tolist(), adversarial.tolist(), strict=True):
        total += sum(p * math.log(p / q) for p, q in zip(softmax(one), softmax(other), strict=True))
    return total


def test_standard_is_the_cross_entropy_of_clean_images():
    classify, clean = Linear(101), images(102)
    result = standard(classify, clean, LABELS)
    assert result.loss.item() == pytest.approx(slow_cross_entropy(classify(clean)), rel=1e-12)
    assert torch.equal(result.clean, classify(clean))
    assert result.adversarial is None


def test_pgd_at_is_the_cross_entropy_of_adversarial_images_only():
    classify, perturbed = Linear(103), images(104)
    result = pgd_at(classify, perturbed, LABELS)
    assert result.loss.item() == pytest.approx(slow_cross_entropy(classify(perturbed)), rel=1e-12)
    assert torch.equal(result.adversarial, classify(perturbed))
    assert result.clean is None


@pytest.mark.parametrize("pairing", ["norm", "squared"])
def test_alp_is_both_cross_entropies_and_how_far_apart_the_logits_are(pairing):
    classify, clean, perturbed = Linear(105), images(106), images(107)
    one, other = classify(clean), classify(perturbed)
    squares = [
        sum((a - b) ** 2 for a, b in zip(*logits, strict=True))
        for logits in zip(one.tolist(), other.tolist(), strict=True)
    ]
    apart = {"norm": sum(map(math.sqrt, squares)) / 5, "squared": sum(squares) / 5 / 3}[pairing]
    expected = slow_cross_entropy(one) + slow_cross_entropy(other) + 0.7 * apart
    assert alp(classify, clean, perturbed, LABELS, 0.7, pairing).loss.item() == pytest.approx(expected, rel=1e-12)


def test_equal_logits_are_paired_without_a_gradient():
    """As at the start, where the linear layer is zero: the norm itself has none there."""
    logits = torch.zeros(5, 3, requires_grad=True)
    for pairing in ("norm", "squared"):
        paired, alone = (
            torch.autograd.grad(alp(lambda _: logits, images(1), images(2), LABELS, beta, pairing).loss, logits)[0]
            for beta in (0.7, 0.0)
        )
        assert torch.equal(paired, alone) and paired.isfinite().all()


def test_trades_is_the_clean_cross_entropy_and_beta_times_the_mean_kl():
    classify, clean, perturbed = Linear(108), images(109), images(110)
    one, other = classify(clean), classify(perturbed)
    expected = slow_cross_entropy(one) + 6 * slow_kl(one, other) / 5
    ours = trades(classify, clean, perturbed, LABELS, 6.0).loss
    assert ours.item() == pytest.approx(expected, rel=1e-12)
    apart = F.kl_div(F.log_softmax(other, 1), F.softmax(one, 1), reduction="sum") / 5
    oracle = F.cross_entropy(one, LABELS) + 6 * apart
    gradients = [torch.autograd.grad(loss, classify.weight)[0] for loss in (ours, oracle)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)  # through the clean side of the KL, too


def test_the_divergence_and_its_gradients_are_those_of_kl_div_on_probabilities():
    random = torch.Generator().manual_seed(111)
    clean, adversarial = torch.randn(2, 5, 3, dtype=torch.float64, generator=random).requires_grad_().unbind()
    ours = divergence(clean, adversarial)
    oracle = F.kl_div(F.log_softmax(adversarial, 1), F.softmax(clean, 1), reduction="sum")
    torch.testing.assert_close(ours, oracle, rtol=1e-12, atol=0)
    both = (clean, adversarial)  # both sides of the KL have a gradient
    gradients, expected = torch.autograd.grad(ours, both), torch.autograd.grad(oracle, both)
    torch.testing.assert_close(gradients, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_trades_is_finite_for_a_classifier_that_is_far_too_sure(scale):
    clean = torch.tensor([[scale, 0, -scale], [0, scale, 0]]).requires_grad_()
    adversarial = torch.tensor([[-scale, 0, scale], [0, scale, 0]]).requires_grad_()
    first, second = torch.zeros(2, 3, 1, 1), torch.ones(2, 3, 1, 1)
    result = trades(lambda given: clean if given is first else adversarial, first, second, torch.tensor([0, 1]), 6.0)
    # log p - log q is 2 scale for the first image, 0 for the second
    assert result.loss.item() == pytest.approx(6 * 2 * scale / 2, rel=1e-6)
    result.loss.backward()
    assert clean.grad.isfinite().all()
    assert adversarial.grad.isfinite().all()


@pytest.mark.parametrize(("objective", "seen"), [("standard", "c"), ("pgd_at", "a"), ("alp", "ca"), ("trades", "ca")])
def test_a_recipe_runs_its_objective_on_the_clean_images_first_in_passes_of_their_own(objective, seen):
    classify, given = Linear(112), {"c": images(113), "a": images(114)}
    result = outcome(recipe(objective), classify, given["c"], given["a"], LABELS)
    assert len(classify.asked) == len(seen)
    assert all(torch.equal(asked, given[letter]) for (asked, _), letter in zip(classify.asked, seen, strict=True))
    losses = {
        "standard": lambda: standard(classify, given["c"], LABELS),
        "pgd_at": lambda: pgd_at(classify, given["a"], LABELS),
        "alp": lambda: alp(classify, given["c"], given["a"], LABELS, 0.5, "norm"),
        "trades": lambda: trades(classify, given["c"], given["a"], LABELS, 6.0),
    }
    assert torch.equal(result.loss, losses[objective]().loss)


@pytest.mark.parametrize("objective", ["pgd_at", "alp", "trades"])
def test_the_attack_restated_step_by_step(objective):
    classify, clean, settings = Linear(115), images(116), recipe(objective)
    start = (torch.rand(clean.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(117)) * 2 - 1) * 0.1
    perturbed = (clean + start).clamp(0, 1)
    probabilities = F.softmax(classify(clean), dim=1).detach()
    for _ in range(3):
        perturbed.requires_grad_()
        logs = F.log_softmax(classify(perturbed), dim=1)
        loss = -(probabilities * logs).sum() if objective == "trades" else -logs[range(5), LABELS].sum()
        step = 0.025 * torch.autograd.grad(loss, perturbed)[0].sign()
        perturbed = torch.max(torch.min(perturbed.detach() + step, clean + 0.1), clean - 0.1).clamp(0, 1)
    ours = attack(settings, classify, clean, LABELS, torch.Generator().manual_seed(117))
    torch.testing.assert_close(ours, perturbed, rtol=0, atol=1e-12)
    assert classify.weight.grad is None


def test_the_attack_of_trades_asks_for_the_clean_logits_once_and_without_gradient():
    classify, clean = Linear(118), images(119)
    attack(recipe("trades", steps=4), classify, clean, LABELS, torch.Generator().manual_seed(120))
    assert [wanted for _, wanted in classify.asked] == [False, True, True, True, True]
    assert torch.equal(classify.asked[0][0], clean)


def test_the_attack_starts_at_the_images_where_no_random_start_is_wanted():
    classify, clean = Linear(121), images(122)
    settings = recipe("pgd_at", attack=TrainingAttack(steps=1, relative_step=1.0, random_start=False))
    attack(settings, classify, clean, LABELS, torch.Generator().manual_seed(123))
    assert torch.equal(classify.asked[0][0], clean)


def test_without_an_attack_the_images_come_back():
    classify, clean = Linear(124), images(125)
    assert attack(recipe("standard"), classify, clean, LABELS, torch.Generator()) is clean
    assert classify.asked == []
