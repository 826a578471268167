"""What a suite costs, before it runs."""

from __future__ import annotations

from collections.abc import Mapping

from amoc.settings import Attack, AutoAttack, CarliniWagner, DeepFool, ProjectedGradient, Slide


def passes(suite: Mapping[str, Attack], images: int, classes: int) -> float:
    """Forward passes of one image that a suite takes at most; backward to the input counts as one more pass.

    That is what it takes if the model is right everywhere and no attack succeeds before its last step. A weak model
    costs much less: only images that are right are attacked, DeepFool stops when all of a batch are broken, C&W and
    APGD stop with each image that is, and each member of AutoAttack gets what the ones before left standing.
    """
    return images + sum(min(images, attack.images or images) * _steps(attack, classes) for attack in suite.values())


def _steps(attack: Attack, classes: int) -> float:
    """Passes for one image."""
    match attack:
        case ProjectedGradient() | Slide():
            return 2 * attack.steps
        case DeepFool():
            return 2 * attack.steps * (min(10, classes) - 1)  # one gradient for each candidate class
        case CarliniWagner():
            return 2 * attack.steps * attack.binary_search_steps
        case AutoAttack():
            targets = min(9, classes - 1)
            apgd, fab = 2 * 100, 3 * 100  # FAB looks again at the point that it went to
            return apgd + targets * apgd + targets * fab + attack.square_queries
    raise TypeError(f"no cost is known of {attack!r}")
