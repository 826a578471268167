"""The attack used inside training: projected gradient ascent on any loss in the Linf ball, input gradients only.

Evaluation uses foolbox and pyautoattack instead; a test holds this loop against foolbox's.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class Ball:
    """The images within epsilon of given ones (B, 3, H, W), and in [0, 1]; epsilon in pixel units, Linf."""

    def __init__(self, images: Tensor, epsilon: float) -> None:
        self.images, self.epsilon = images.detach(), epsilon
        self.low, self.high = (images - epsilon).clamp(min=0), (images + epsilon).clamp(max=1)

    def random(self, generator: torch.Generator | None) -> Tensor:
        """The images with uniform noise; the generator is on their device."""
        noise = torch.empty_like(self.images).uniform_(-self.epsilon, self.epsilon, generator=generator)
        return (self.images + noise).clamp(0, 1)

    def ascend(self, perturbed: Tensor, gradient: Tensor, step_size: float) -> Tensor:
        """A step along the gradient's sign, back into the ball."""
        moved = perturbed + step_size * gradient.sign()
        return torch.minimum(torch.maximum(moved, self.low), self.high)


def maximise(
    loss: Callable[[Tensor], Tensor], images: Tensor, *, epsilon: float, steps: int, step_size: float,
    random_start: bool = True, start: Tensor | None = None, generator: torch.Generator | None = None,
) -> Tensor:  # fmt: skip
    """PGD (Madry et al., 2018); one step of size epsilon is FGSM, with a random start if there is one.

    Args:
        loss: perturbed images (B, 3, H, W) -> a scalar to maximise, a sum over images: each then has its own gradient.
        images: (B, 3, H, W) in [0, 1].
        epsilon, step_size: pixel units.
        start: perturbations (B, 3, H, W) to start from, instead of a random start or none.
        generator: of the random start, on the images' device.

    Returns:
        images within epsilon of the given ones and in [0, 1], detached.
    """
    ball = Ball(images, epsilon)
    perturbed = ball.images
    if start is not None:
        perturbed = (perturbed + start).clamp(0, 1)
    elif random_start:
        perturbed = ball.random(generator)
    for _ in range(steps):
        perturbed.requires_grad_()
        (gradient,) = torch.autograd.grad(loss(perturbed), perturbed)  # no parameter gradients
        perturbed = ball.ascend(perturbed.detach(), gradient, step_size)
    return perturbed.detach()
