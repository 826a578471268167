"""C&W that stops at success breaks what foolbox's breaks, image by image."""

from __future__ import annotations

import foolbox
import pytest
import torch

from amoc.evaluating import attacks, carlini_wagner
from amoc.evaluating.fingerprint import images_and_labels, network
from amoc.models.norm import frozen
from amoc.settings import CarliniWagner

STEPS = 40


def settings(epsilon: float) -> CarliniWagner:
    return CarliniWagner(
        kind="carlini_wagner", norm="l2", epsilon=epsilon, steps=STEPS, lr=0.05, binary_search_steps=5,
        initial_const=0.1,
    )  # fmt: skip


def foolboxs(attack: CarliniWagner, model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> list[bool]:
    """Which images foolbox's own attack breaks."""
    theirs = foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=5, steps=STEPS, stepsize=0.05, initial_const=0.1, abort_early=False
    )
    _, _, fooled = theirs(foolbox.PyTorchModel(model, (0, 1), device="cpu"), images, labels, epsilons=attack.epsilon)
    return fooled.tolist()


@pytest.mark.parametrize(
    ("epsilon", "dtype"),
    [*((epsilon, torch.float64) for epsilon in (0.03, 0.1, 0.2, 0.3, 0.45, 2.0)),
     *((epsilon, torch.float32) for epsilon in (0.1, 0.3)),
     *(pytest.param(epsilon, torch.float32, marks=pytest.mark.slow) for epsilon in (0.03, 0.2, 0.45, 2.0))],
)  # fmt: skip
def test_images_broken_are_foolboxs(epsilon, dtype):
    model = network()
    images, labels = images_and_labels(model, count=40)
    right = model(images).argmax(dim=1) == labels
    model, images, labels = model.to(dtype), images[right].to(dtype), labels[right]
    with frozen(model):
        found, warnings = carlini_wagner.search(settings(epsilon), model, images, labels, seed=1)
        expected = foolboxs(settings(epsilon), model, images, labels)
    assert (model(found).argmax(dim=1) != labels).tolist() == expected and warnings == {}
    assert (found - images).flatten(1).norm(dim=1).max() <= epsilon * (1 + 1e-5) + 1e-6
    assert any(expected) and (all(expected) or epsilon < 2.0)


def test_what_stands_is_left_where_foolbox_leaves_it():
    """The others of the batch do not notice that an image is no longer attacked."""
    model = network()
    images, labels = images_and_labels(model)
    attack = settings(0.15)
    with frozen(model):
        found, _ = carlini_wagner.search(attack, model, images, labels, seed=1)
        whole, _ = attacks.search(attack, model, images, labels, seed=1)
        stands = model(whole).argmax(dim=1) == labels
    assert 0 < stands.sum() < len(images)
    torch.testing.assert_close(found[stands], whole[stands], rtol=0, atol=1e-9)


def test_passes_end_with_success():
    model, asked = network(), []
    images, labels = images_and_labels(model)
    model.register_forward_pre_hook(lambda _, given: asked.append(len(given[0])))
    with frozen(model):
        carlini_wagner.search(settings(10.0), model, images, labels, seed=1)
    assert sum(asked) < 0.25 * 5 * STEPS * len(images)
