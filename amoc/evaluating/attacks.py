"""Attack settings -> foolbox: what each setting means there (journal, Table 2)."""

from __future__ import annotations

import eagerpy
import foolbox
import torch
from eagerpy import Tensor as AnyTensor
from foolbox import attacks
from torch import Tensor, nn

from amoc.settings import CarliniWagner, DeepFool, ProjectedGradient, Slide

FoolboxSettings = ProjectedGradient | Slide | DeepFool | CarliniWagner

PGD = {"linf": attacks.LinfPGD, "l1": attacks.L1PGD, "l2": attacks.L2PGD}
DEEPFOOL = {"linf": attacks.LinfDeepFoolAttack, "l2": attacks.L2DeepFoolAttack}


class ImagewiseSlide(attacks.SparseL1DescentAttack):
    """SLIDE (Tramèr and Boneh, 2019) as foolbox runs it on one image at a time, for a whole batch.

    As soon as one image of a batch has left the ball, foolbox projects all of them with a formula that is not for
    perturbations still inside: it inflates those. (Of others it leaves up to 2 in 1000 too much, which it clips in the
    end.)
    """

    def project(self, x: AnyTensor, x0: AnyTensor, epsilon: float) -> AnyTensor:
        norms = (x - x0).flatten(start=1).norms.l1(axis=-1)
        inside = (norms <= epsilon).reshape((len(x), 1, 1, 1))
        return eagerpy.where(inside, x, super().project(x, x0, epsilon))


def build(settings: FoolboxSettings) -> attacks.Attack:
    """The foolbox attack that the settings describe; the rest is foolbox's default, except abort_early."""
    match settings:
        case ProjectedGradient():
            kind = PGD[settings.norm]
            return kind(rel_stepsize=settings.relative_step, steps=settings.steps, random_start=True)
        case Slide():
            return ImagewiseSlide(quantile=0.99, rel_stepsize=settings.relative_step, steps=settings.steps)
        case DeepFool():
            return DEEPFOOL[settings.norm](steps=settings.steps, overshoot=settings.overshoot)
        case CarliniWagner():
            # abort_early would stop all images of a batch when the sum of their losses stands still, and one image
            # that no constant breaks dominates that sum
            return attacks.L2CarliniWagnerAttack(
                binary_search_steps=settings.binary_search_steps, steps=settings.steps, stepsize=settings.lr,
                initial_const=settings.initial_const, abort_early=False,
            )  # fmt: skip
    raise TypeError(f"foolbox has no attack for {settings!r}")


def search(
    settings: FoolboxSettings, model: nn.Module, images: Tensor, labels: Tensor, *, seed: int
) -> tuple[Tensor, dict[str, str]]:
    """What the attack makes of the images, clipped to its ball.

    So an attack that looks for the smallest perturbation succeeds if the clipped image still fools: foolbox's rule,
    which the papers' numbers follow. Asking for a distance of at most epsilon would break fewer images.

    Args:
        model: images in [0, 1] -> logits (B, classes), in eval mode, without parameter gradients.
        images: (B, 3, H, W) in [0, 1], on the model's device.
        labels: (B,).
        seed: of the random start; torch's global generators are left as they were.

    Returns:
        images (B, 3, H, W), whether or not they fool, and no warnings: foolbox checks nothing.
    """
    subject = foolbox.PyTorchModel(model, bounds=(0, 1), device=images.device)
    with torch.random.fork_rng([images.device] if images.device.type == "cuda" else []):
        torch.manual_seed(seed)
        _, clipped, _ = build(settings)(subject, images, labels, epsilons=settings.epsilon)
    return clipped, {}
