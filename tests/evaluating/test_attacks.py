from __future__ import annotations

import foolbox
import pytest
import torch
from torch import nn

from amoc.evaluating import attacks
from amoc.settings import AutoAttack, CarliniWagner, DeepFool, ProjectedGradient, Slide

PIXELS = 3 * 8 * 8
DUAL = {"linf": 1, "l1": torch.inf, "l2": 2}  # distance to a hyperplane in a norm = margin / dual norm of its normal


def pgd(norm: str, epsilon: float, steps: int = 40, relative_step: float = 0.1) -> ProjectedGradient:
    return ProjectedGradient(kind="pgd", norm=norm, epsilon=epsilon, steps=steps, relative_step=relative_step)


def slide(epsilon: float) -> Slide:
    return Slide(kind="slide", norm="l1", epsilon=epsilon, steps=25, relative_step=0.1)


def deepfool(norm: str, epsilon: float) -> DeepFool:
    return DeepFool(kind="deepfool", norm=norm, epsilon=epsilon, steps=50, overshoot=0.02)


def carlini_wagner(epsilon: float, **changes) -> CarliniWagner:
    reduced = {"steps": 100, "lr": 0.05, "binary_search_steps": 5, "initial_const": 0.1}
    return CarliniWagner(**{"kind": "carlini_wagner", "norm": "l2", "epsilon": epsilon} | reduced | changes)


def two_classes(generator: torch.Generator) -> tuple[nn.Module, torch.Tensor]:
    """A hyperplane through mid-gray, logits = (w (x - 1/2), -w (x - 1/2)); and w."""
    normal = torch.randn(PIXELS, generator=generator)
    layer = nn.Linear(PIXELS, 2)
    layer.weight.data = torch.stack([normal, -normal])
    layer.bias.data = -0.5 * layer.weight.data.sum(dim=1)
    return nn.Sequential(nn.Flatten(), layer).eval().requires_grad_(False), normal


def at_distance(distances: torch.Tensor, normal: torch.Tensor, norm: str, generator: torch.Generator):
    """Images about mid-gray, far from 0 and 1, exactly so far (in the norm) from the hyperplane, on either side."""
    offsets = 0.1 * torch.rand(len(distances), PIXELS, generator=generator) - 0.05
    labels = torch.arange(len(distances)) % 2  # class 0 is the positive side
    margins = distances * normal.norm(p=DUAL[norm]) * (1 - 2 * labels)
    offsets += ((margins - offsets @ normal) / normal.square().sum())[:, None] * normal
    assert offsets.abs().max() < 0.3
    return (0.5 + offsets).view(-1, 3, 8, 8), labels


def standing(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> list[bool]:
    return (model(images).argmax(dim=1) == labels).tolist()


def convolutions(generator: torch.Generator) -> nn.Module:
    """A random network that finds each of its five classes in random images."""
    model = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(96, 5))
    model.requires_grad_(False)
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
    model[-1].bias -= model(torch.rand(100, 3, 8, 8, generator=generator)).mean(dim=0)
    return model.eval()


@pytest.mark.parametrize(
    "attack",
    [
        pgd("linf", 0.02), deepfool("linf", 0.02), pgd("l2", 0.3), deepfool("l2", 0.3), carlini_wagner(0.3),
    ],
    ids=lambda attack: f"{attack.norm}_{attack.kind}",
)  # fmt: skip
def test_linear_classifier_falls_where_the_closed_form_says(attack, generator):
    """In Linf the gradient's sign is optimal, in L2 the gradient: a hyperplane is reached exactly up to epsilon."""
    model, normal = two_classes(generator)
    shares = torch.tensor([0.2, 0.5, 0.7, 0.9, 0.95, 1.02, 1.05, 1.2, 1.5, 3.0])
    images, labels = at_distance(shares * attack.epsilon, normal, attack.norm, generator)
    assert all(standing(model, images, labels))
    found, _ = attacks.search(attack, model, images, labels, seed=5)
    assert standing(model, found, labels) == (shares > 1).tolist()


@pytest.mark.parametrize("attack", [pgd("l1", 0.4), slide(0.4)], ids=lambda attack: attack.kind)
def test_no_l1_attack_crosses_more_than_the_largest_weight_allows(attack, generator):
    model, normal = two_classes(generator)
    shares = torch.tensor([0.05, 0.1, 1.01, 1.05, 1.2, 2.0])
    images, labels = at_distance(shares * attack.epsilon, normal, "l1", generator)
    found, _ = attacks.search(attack, model, images, labels, seed=6)
    assert standing(model, found, labels) == [False, False, True, True, True, True]


def test_slide_changes_the_top_percent_of_pixels_and_l1_pgd_all(generator):
    model, normal = two_classes(generator)
    images, labels = at_distance(torch.tensor([0.4]), normal, "l1", generator)
    sparse, _ = attacks.search(slide(0.2), model, images, labels, seed=7)
    dense, _ = attacks.search(pgd("l1", 0.2), model, images, labels, seed=7)
    assert (sparse != images).sum() == 2  # one percent of 192
    assert set((sparse - images).flatten().nonzero().flatten().tolist()) == set(normal.abs().topk(2).indices.tolist())
    assert (dense != images).sum() > PIXELS / 2


@pytest.mark.parametrize(("norm", "kind"), [("linf", "LinfPGD"), ("l1", "L1PGD"), ("l2", "L2PGD")])
def test_pgd_is_foolbox_with_that_random_start(norm, kind, generator):
    model = convolutions(generator)
    images = torch.rand(7, 3, 8, 8, generator=generator)
    labels = model(images).argmax(dim=1)
    found, warnings = attacks.search(pgd(norm, 0.3, steps=6, relative_step=0.2), model, images, labels, seed=31)
    torch.manual_seed(31)
    direct = getattr(foolbox.attacks, kind)(rel_stepsize=0.2, steps=6, random_start=True)
    _, expected, _ = direct(foolbox.PyTorchModel(model, (0, 1), device="cpu"), images, labels, epsilons=0.3)
    assert torch.equal(found, expected) and warnings == {}
    other, _ = attacks.search(pgd(norm, 0.3, steps=6, relative_step=0.2), model, images, labels, seed=32)
    assert not torch.equal(found, other)


def test_settings_reach_foolbox():
    built = attacks.build(carlini_wagner(0.4, steps=7, lr=0.03, binary_search_steps=3, initial_const=0.2))
    assert (built.steps, built.stepsize, built.binary_search_steps, built.initial_const) == (7, 0.03, 3, 0.2)
    assert (built.confidence, built.abort_early) == (0, False)
    built = attacks.build(slide(4.0))
    assert (built.quantile, built.rel_stepsize, built.steps, built.random_start) == (0.99, 0.1, 25, False)
    built = attacks.build(deepfool("l2", 0.4))
    assert (built.steps, built.overshoot, built.candidates, built.loss) == (50, 0.02, 10, "logits")
    assert isinstance(built, foolbox.attacks.L2DeepFoolAttack)
    assert isinstance(attacks.build(deepfool("linf", 0.4)), foolbox.attacks.LinfDeepFoolAttack)


def test_what_foolbox_does_not_have_is_refused():
    autoattack = AutoAttack(kind="autoattack", norm="linf", epsilon=0.1, square_queries=10)
    with pytest.raises(TypeError, match="autoattack"):
        attacks.build(autoattack)


def test_global_random_numbers_are_left_alone(generator):
    model, normal = two_classes(generator)
    images, labels = at_distance(torch.ones(2), normal, "l2", generator)
    before = torch.get_rng_state()
    attacks.search(pgd("l2", 0.1), model, images, labels, seed=8)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "attack",
    [
        slide(0.5), deepfool("linf", 0.01), deepfool("l2", 0.1), carlini_wagner(0.1, steps=15, binary_search_steps=3),
        pgd("linf", 0.01, steps=10), pgd("l1", 1.0, steps=10), pgd("l2", 0.1, steps=10),
    ],
    ids=lambda attack: f"{attack.norm}_{attack.kind}",
)  # fmt: skip
def test_without_random_start_batch_neighbours_do_not_matter(attack, generator, monkeypatch):
    model = convolutions(generator)
    images = torch.rand(12, 3, 8, 8, generator=generator)
    labels = model(images).argmax(dim=1)
    built = attacks.build(attack)
    built.random_start = False
    monkeypatch.setattr(attacks, "build", lambda settings: built)
    together, _ = attacks.search(attack, model, images, labels, seed=9)
    pairs = zip(images.split(1), labels.split(1), strict=True)
    alone = torch.cat([attacks.search(attack, model, image, label, seed=9)[0] for image, label in pairs])
    assert standing(model, together, labels) == standing(model, alone, labels)
    assert 0 < sum(standing(model, together, labels)) < 12
    torch.testing.assert_close(together, alone, rtol=0, atol=2e-3)


def test_slide_is_foolbox_on_one_image_at_a_time(generator):
    """And foolbox on a batch is not: the reason for a projection of our own."""
    model, _ = two_classes(generator)
    images = torch.rand(6, 3, 8, 8, generator=generator)
    labels = model(images).argmax(dim=1)
    theirs = foolbox.attacks.SparseL1DescentAttack(quantile=0.99, rel_stepsize=0.1, steps=25)
    subject = foolbox.PyTorchModel(model, (0, 1), device="cpu")
    pairs = zip(images.split(1), labels.split(1), strict=True)
    alone = torch.cat([theirs(subject, image, label, epsilons=10.0)[1] for image, label in pairs])
    together = theirs(subject, images, labels, epsilons=10.0)[1]
    ours, _ = attacks.search(slide(10.0), model, images, labels, seed=10)
    torch.testing.assert_close(ours, alone, rtol=0, atol=1e-5)
    assert (together - alone).abs().max() > 0.1


class HalfStuck(nn.Module):
    """Two classes by a hyperplane, but images whose first pixel is bright are class 0 whatever else they show."""

    def __init__(self, normal: torch.Tensor) -> None:
        super().__init__()
        self.normal = normal

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        flat = images.flatten(1)
        score = torch.where(flat[:, 0] > 0.9, 1e5, (flat - 0.5) @ self.normal)
        return torch.stack([score, -score], dim=1)


def test_an_image_that_cannot_be_broken_does_not_save_its_neighbours_from_carlini_and_wagner(generator):
    """And with foolbox's abort_early it does: the reason to leave that off."""
    model, normal = two_classes(generator)
    model = HalfStuck(normal).eval()
    images, labels = at_distance(torch.full((6,), 0.4), normal, "l2", generator)
    images, labels = images[::2].clone(), labels[::2].clone()  # all of class 0
    images[-1, 0, 0, 0] = 1.0
    attack = carlini_wagner(0.41)
    found, _ = attacks.search(attack, model, images, labels, seed=11)
    assert standing(model, found, labels) == [False, False, True]
    theirs = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=5, steps=100, stepsize=0.05, initial_const=0.1)
    _, _, fooled = theirs(foolbox.PyTorchModel(model, (0, 1), device="cpu"), images, labels, epsilons=0.41)
    assert fooled.tolist() == [False, False, False]


def test_carlini_and_wagner_with_one_constant_and_little_time_is_void(generator):
    model, normal = two_classes(generator)
    images, labels = at_distance(torch.linspace(0.1, 0.39, 8), normal, "l2", generator)
    tuned, _ = attacks.search(carlini_wagner(0.4), model, images, labels, seed=12)
    void = carlini_wagner(0.4, steps=100, lr=0.01, binary_search_steps=1, initial_const=0.001)
    mistuned, _ = attacks.search(void, model, images, labels, seed=12)
    assert not any(standing(model, tuned, labels))
    assert all(standing(model, mistuned, labels))


@pytest.mark.slow
def test_reduced_carlini_and_wagner_breaks_what_the_full_one_breaks(generator):
    model = convolutions(generator)
    images = torch.rand(30, 3, 8, 8, generator=generator)
    labels = model(images).argmax(dim=1)
    subject = foolbox.PyTorchModel(model, (0, 1), device="cpu")
    full = carlini_wagner(1.0, steps=1000, lr=0.01, binary_search_steps=9, initial_const=0.001)
    left = [
        (~attacks.build(settings)(subject, images, labels, epsilons=[0.05, 0.1, 0.2])[2]).sum(dim=1)
        for settings in (full, carlini_wagner(1.0))
    ]
    assert (left[0] - left[1]).abs().max() <= 1
    assert 0 < left[0][1] < 30
