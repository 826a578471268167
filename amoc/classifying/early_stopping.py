"""The early-stopped twin of a network: which images are held out for it, when they are looked at, and what is seen."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from amoc.augment import to_float
from amoc.engine.generators import generator
from amoc.models.classifier import Classifier
from amoc.models.folding import norms_folded
from amoc.models.norm import frozen, mode
from amoc.perturb import maximise
from amoc.refusal import Refusal
from amoc.settings import EarlyStopping

BATCH = 256  # images attacked at once in a look


def hold_out(count: int, early_stopping: EarlyStopping | None, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the images to train on and of those held out: the last ones of a permutation that the seed fixes.

    Raises:
        Refusal: none would be left to train on.
    """
    if early_stopping is None:
        return torch.arange(count), torch.arange(0)
    held_out = early_stopping.images
    if held_out >= count:
        raise Refusal(f"early_stopping.images is {held_out}, allowed is at most {count - 1} of {count} training images")
    order = torch.randperm(count, generator=generator(seed, "held out"))
    return order[:-held_out], order[-held_out:]


def looks(early_stopping: EarlyStopping, epochs: int) -> list[int]:
    """The epochs, counted from 0, after which the held-out images are looked at: every so many, and the last one."""
    return sorted({*range(early_stopping.every - 1, epochs, early_stopping.every), epochs - 1})


def look(
    classifier: Classifier, images: Tensor, labels: Tensor, early_stopping: EarlyStopping, epsilon: float, seed: int
) -> dict[str, float]:
    """Percent of the held-out images that are right, and that are still right after PGD on the cross-entropy.

    In eval mode and float32. Every look starts the attack from the same random points, so that epochs compare fairly.

    Args:
        images, labels: uint8 (N, H, W, 3) and int64 (N,), on the classifier's device.
        epsilon: Linf, pixel units.
    """
    start = generator(seed, "held out attack", device=images.device)
    counts = torch.zeros(2, dtype=torch.int64, device=images.device)
    with mode(classifier, False), frozen(classifier), norms_folded(classifier.branch, classifier.encoder):
        for pixels, truth in zip(images.split(BATCH), labels.split(BATCH), strict=True):
            counts += _right_and_robust(classifier, to_float(pixels), truth, early_stopping, epsilon, start)
    clean, pgd = (100 * counts / len(images)).tolist()
    return {"held_out_clean": clean, "held_out_pgd": pgd}


def _right_and_robust(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    early_stopping: EarlyStopping,
    epsilon: float,
    start: torch.Generator,
) -> Tensor:
    """(2,) int64: how many of a batch are right, and how many both before and after the attack."""

    def loss(perturbed: Tensor) -> Tensor:
        return F.cross_entropy(classifier(perturbed), labels, reduction="sum")

    step_size = early_stopping.relative_step * epsilon
    perturbed = maximise(
        loss, images, epsilon=epsilon, steps=early_stopping.steps, step_size=step_size, generator=start
    )
    with torch.no_grad():
        right = classifier(images).argmax(dim=1) == labels
        robust = right & (classifier(perturbed).argmax(dim=1) == labels)
    return torch.stack([right.sum(), robust.sum()])
