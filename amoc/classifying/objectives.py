"""The four objectives, and the attack that each trains against.

Pure: nothing here knows of a model, a mode or a device. `classify` is any function images (B, 3, H, W) -> logits
(B, classes); `labels` are (B,).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from amoc.perturb import maximise
from amoc.settings import Pairing, Recipe

Classify = Callable[[Tensor], Tensor]


class Outcome(NamedTuple):
    """A batch's loss, a mean over its images, and the logits (B, classes) behind it; None: there is no such pass."""

    loss: Tensor
    clean: Tensor | None
    adversarial: Tensor | None


def divergence(clean: Tensor, adversarial: Tensor) -> Tensor:
    """KL(p || q) = sum_c p_c (log p_c - log q_c), a sum over images; p, q: the softmax of clean and adversarial logits.

    In log space: never NaN for finite logits, however sure of itself the classifier is.
    """
    return F.kl_div(F.log_softmax(adversarial, dim=1), F.log_softmax(clean, dim=1), reduction="sum", log_target=True)


# Where an objective looks at clean and adversarial images, they go through the classifier one after the other, the
# clean ones first, as in the official code: in train mode batch norm then normalises each as a batch of its own.


def standard(classify: Classify, images: Tensor, labels: Tensor) -> Outcome:
    """CE(clean)."""
    clean = classify(images)
    return Outcome(F.cross_entropy(clean, labels), clean, None)


def pgd_at(classify: Classify, perturbed: Tensor, labels: Tensor) -> Outcome:
    """CE(adversarial) (Madry et al., 2018)."""
    adversarial = classify(perturbed)
    return Outcome(F.cross_entropy(adversarial, labels), None, adversarial)


def alp(
    classify: Classify, images: Tensor, perturbed: Tensor, labels: Tensor, beta: float, pairing: Pairing
) -> Outcome:  # fmt: skip
    """CE(clean) + CE(adversarial) + beta d(clean, adversarial): adversarial logit pairing (Kannan et al., 2018).

    d is the mean over images of the Euclidean norm ||clean - adversarial||, as in the code behind the journal's
    numbers, or the mean over images and classes of the squared difference, as in Kannan et al.'s.
    """
    clean, adversarial = classify(images), classify(perturbed)
    difference = (clean - adversarial).to(torch.promote_types(clean.dtype, torch.float32))
    apart = torch.linalg.vector_norm(difference, dim=1) if pairing == "norm" else difference.square()
    loss = F.cross_entropy(clean, labels) + F.cross_entropy(adversarial, labels) + beta * apart.mean()
    return Outcome(loss, clean, adversarial)


def trades(classify: Classify, images: Tensor, perturbed: Tensor, labels: Tensor, beta: float) -> Outcome:
    """CE(clean) + beta KL(clean || adversarial) (Zhang et al., 2019); gradients flow through both sides of the KL."""
    clean, adversarial = classify(images), classify(perturbed)
    loss = F.cross_entropy(clean, labels) + beta * divergence(clean, adversarial) / len(images)
    return Outcome(loss, clean, adversarial)


def outcome(recipe: Recipe, classify: Classify, images: Tensor, perturbed: Tensor, labels: Tensor) -> Outcome:
    """The objective of a recipe; one that does not look at perturbed images ignores them."""
    match recipe.objective:
        case "standard":
            return standard(classify, images, labels)
        case "pgd_at":
            return pgd_at(classify, perturbed, labels)
        case "alp":
            return alp(classify, images, perturbed, labels, recipe.beta, recipe.pairing)
        case "trades":
            return trades(classify, images, perturbed, labels, recipe.beta)


def attack(recipe: Recipe, classify: Classify, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """The perturbed images that a recipe trains on: PGD on the KL for TRADES, on the cross-entropy for the others.

    Args:
        recipe: its attack makes steps of `relative_step * epsilon` in the Linf ball of radius `epsilon`.
        classify: the classifier in eval mode.
        generator: of the random start, on the images' device.

    Returns:
        images within epsilon of the given ones and in [0, 1]; without an attack the given ones.
    """
    if recipe.attack is None:
        return images
    if recipe.objective == "trades":
        with torch.no_grad():
            clean = classify(images)  # fixed during the attack

        def loss(perturbed: Tensor) -> Tensor:
            return divergence(clean, classify(perturbed))
    else:

        def loss(perturbed: Tensor) -> Tensor:
            return F.cross_entropy(classify(perturbed), labels, reduction="sum")

    return maximise(
        loss,
        images,
        epsilon=recipe.epsilon,
        steps=recipe.attack.steps,
        step_size=recipe.attack.relative_step * recipe.epsilon,
        random_start=recipe.attack.random_start,
        generator=generator,
    )
