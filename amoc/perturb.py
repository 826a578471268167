"""The attack used inside training: projected gradient ascent on any loss in the Linf ball, input gradients only.

Evaluation uses foolbox and pyautoattack instead; a test holds this loop against foolbox's.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def maximise(
    loss: Callable[[Tensor], Tensor], images: Tensor, *, epsilon: float, steps: int, step_size: float,
    random_start: bool = True, generator: torch.Generator | None = None,
) -> Tensor:  # fmt: skip
    """PGD (Madry et al., 2018); with one step of size epsilon it is FGSM with random start.

    Args:
        loss: perturbed images (B, 3, H, W) -> a scalar to maximise, a sum over images: each then has its own gradient.
        images: (B, 3, H, W) in [0, 1].
        epsilon, step_size: pixel units.
        generator: of the random start, on the images' device.

    Returns:
        images within epsilon of the given ones and in [0, 1], detached.
    """
    low, high = (images - epsilon).clamp(min=0), (images + epsilon).clamp(max=1)
    perturbed = images.detach()
    if random_start:
        noise = torch.empty_like(images).uniform_(-epsilon, epsilon, generator=generator)
        perturbed = (perturbed + noise).clamp(0, 1)
    for _ in range(steps):
        perturbed.requires_grad_()
        (gradient,) = torch.autograd.grad(loss(perturbed), perturbed)  # no parameter gradients
        perturbed = perturbed.detach() + step_size * gradient.sign()
        perturbed = torch.minimum(torch.maximum(perturbed, low), high)
    return perturbed.detach()
