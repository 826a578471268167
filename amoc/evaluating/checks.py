"""What must hold before a robust accuracy means anything. A violation raises; a doubt is returned as a sentence."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amoc.evaluating.outcome import Outcome
from amoc.settings import Attack

ORDER = {"linf": torch.inf, "l1": 1, "l2": 2}


class NotFinite(ArithmeticError):
    """The model's logits are NaN or infinite: it has no accuracy."""


class OutOfBounds(AssertionError):
    """An attack returned something that is not an image within its ball: its outcome would be void."""


def check_images(images: Tensor) -> None:
    """Images are float32 (n, 3, H, W) in [0, 1], at least one.

    Raises:
        ValueError: they are not.
    """
    if images.dtype != torch.float32 or images.ndim != 4 or images.shape[1] != 3 or len(images) == 0:
        raise ValueError(f"images must be float32 (n, 3, H, W), got {images.dtype} {tuple(images.shape)}")
    if not (images.min() >= 0 and images.max() <= 1):  # so written that NaN fails too
        raise ValueError(f"images must lie in [0, 1], got {images.min():g} to {images.max():g}")


def check_labels(labels: Tensor, images: Tensor, classes: int) -> None:
    """Labels are int64 in 0 ... classes - 1, one for each image.

    Raises:
        ValueError: they are not.
    """
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        raise ValueError(f"labels must be int64 ({len(images)},), got {labels.dtype} {tuple(labels.shape)}")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels must lie in 0 ... {classes - 1}, got {labels.min()} to {labels.max()}")


def check_eval(model: nn.Module) -> None:
    """No part of the model may be in training mode.

    Raises:
        ValueError: names the first that is.
    """
    for name, module in model.named_modules():
        if module.training:
            raise ValueError(f"{name or 'the model'} ({type(module).__name__}) is in training mode: call eval() first")


@torch.no_grad()
def check_model(model: nn.Module, images: Tensor) -> int:
    """The model is in eval mode, computes in float32, gives finite logits, and the same ones twice.

    Args:
        images: one batch (B, 3, H, W) in [0, 1], on the model's device.

    Returns:
        the number of classes.

    Raises:
        NotFinite: NaN or infinite logits.
        ValueError: anything else of the above.
    """
    check_eval(model)
    logits, again = model(images), model(images)
    if logits.dtype != torch.float32 or logits.ndim != 2 or len(logits) != len(images) or logits.shape[1] < 2:
        raise ValueError(f"logits must be float32 ({len(images)}, classes), got {logits.dtype} {tuple(logits.shape)}")
    check_finite(logits)
    if not torch.allclose(logits, again, rtol=1e-4, atol=1e-5):  # a GPU may choose another convolution the second time
        raise ValueError("the model is random: two passes of the same images give different logits")
    return logits.shape[1]


def check_finite(logits: Tensor) -> None:
    """Raises NotFinite."""
    if not logits.isfinite().all():
        raise NotFinite(f"{(~logits.isfinite()).any(dim=1).sum()} of {len(logits)} images have NaN or infinite logits")


def check_found(attack: Attack, images: Tensor, found: Tensor) -> None:
    """What an attack found lies in [0, 1] and within its ball around the images, up to float32 rounding.

    Raises:
        OutOfBounds: it does not.
    """
    if found.shape != images.shape or not found.isfinite().all():
        raise OutOfBounds(f"{attack.kind} returned {tuple(found.shape)} for {tuple(images.shape)}, or NaN")
    if found.min() < -1e-6 or found.max() > 1 + 1e-6:
        raise OutOfBounds(f"{attack.kind} returned pixels from {found.min():.7f} to {found.max():.7f}")
    sizes = (found.double() - images.double()).flatten(1).norm(p=ORDER[attack.norm], dim=1)
    if sizes.max() > attack.epsilon * (1 + 1e-5) + 1e-6:
        raise OutOfBounds(f"{attack.kind} went {sizes.max():.7f} far in {attack.norm}, epsilon is {attack.epsilon:.7f}")


def check_outcomes(outcomes: Mapping[str, Outcome]) -> None:
    """No image is right under an attack that is wrong without one.

    Raises:
        AssertionError: an outcome was not made by `run_suite`.
    """
    for name, outcome in outcomes.items():
        clean = outcomes["clean"].correct[: len(outcome.correct)]
        if (outcome.correct & ~clean).any():
            raise AssertionError(f"{name}: an image that is wrong without attack counts as right under it")


def void_attacks(outcomes: Mapping[str, Outcome]) -> list[str]:
    """For a network trained without any attack: the Linf and L2 attacks that leave more than half of what it got right.

    Nothing protects such a network, so an attack named here is mistuned, and void on every other network too. (L1
    attacks are weak at this radius, and are not named.)
    """
    void = []
    for name, outcome in outcomes.items():
        if outcome.attack and outcome.attack.norm in ("linf", "l2"):
            right = outcomes["clean"].correct[: len(outcome.correct)].sum()
            if 2 * outcome.correct.sum() > right:
                void.append(name)
    return void


def masked_gradients(model: nn.Module, images: Tensor, labels: Tensor) -> list[str]:
    """Sentences on images whose loss has no usable gradient: there attacks are blind (Athalye et al., 2018).

    Args:
        model: in eval mode, without parameter gradients.
        images: (B, 3, H, W) in [0, 1], on the model's device.
        labels: (B,).

    Returns:
        nothing where every gradient of the cross-entropy is finite and not zero.
    """
    images = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        loss = F.cross_entropy(model(images), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, images)
    sizes = gradient.flatten(1).abs().amax(dim=1)
    zero, broken = (sizes == 0).sum().item(), (~sizes.isfinite()).sum().item()
    doubts = []
    if zero:
        doubts.append(f"the gradient of the loss is zero at {zero} of {len(images)} images: gradients may be masked")
    if broken:
        doubts.append(f"the gradient of the loss is NaN or infinite at {broken} of {len(images)} images")
    return doubts
