"""C&W (Carlini and Wagner, 2017) on what is asked of it here: whether an image can be broken within epsilon."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from amoc.evaluating import attacks
from amoc.evaluating.sparing import AllSettled, Sparing
from amoc.settings import CarliniWagner


def search(
    settings: CarliniWagner, model: nn.Module, images: Tensor, labels: Tensor, *, seed: int
) -> tuple[Tensor, dict[str, str]]:
    """As `attacks.search`, and breaks the same images, but stops with each as soon as it is broken within epsilon.

    foolbox goes on to the smallest perturbation that it can find. That is no larger than the first one within epsilon,
    so it lies in the ball too, where clipping leaves it as it is: the image would be broken in the end as well. Images
    do not influence each other, so the others take the way that they would have taken.

    Args and returns are those of `attacks.search`; of an image that is broken, the first version that was.
    """

    def broken(versions: Tensor, logits: Tensor, rows: Tensor) -> Tensor:
        distances = (versions - images[rows]).flatten(1).norm(dim=1)
        return (logits.argmax(dim=1) != labels[rows]) & (distances <= settings.epsilon)

    sparing = Sparing(model, images, broken)
    try:
        found, _ = attacks.search(settings, sparing, images, labels, seed=seed)
    except AllSettled:
        found = images
    return torch.where(sparing.settled.view(-1, 1, 1, 1), sparing.found, found), {}
