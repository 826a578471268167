"""What an update costs per image, in forward passes of the encoder. No torch: reports count with it too.

A forward pass costs 1; going back costs 1 more for the gradient of the images, 2 for that of the weights or of both.
"""

from __future__ import annotations

from amoc.pretraining.forms import FORMS
from amoc.pretraining.variants import VARIANTS
from amoc.settings import ACLPretraining, AMOCPretraining, CheaperAMOCPretraining, Pretraining

TRAINED, ASCENDED = 3, 2  # forward and back to the weights; forward and back to the images


def passes(settings: Pretraining) -> float:
    """Of one update of the weights, for each image of its batch: 19 for AMOC as in the paper, 4 for MoCo."""
    match settings:
        case CheaperAMOCPretraining():
            return _cheaper(settings)
        case AMOCPretraining():
            return _amoc(settings)
        case ACLPretraining():
            return _acl(settings)
    raise TypeError(f"no method is known by {settings!r}")


def _amoc(settings: AMOCPretraining) -> float:
    sides, variant = settings.perturbs_query + settings.perturbs_key, VARIANTS[settings.variant]
    attack = settings.attack.steps * ASCENDED * sides + (sides == 1)  # the side that stays is encoded once
    keys = len({"clean", variant.key}) + settings.fills_by_query
    return attack + TRAINED * len({"clean", variant.query}) + keys


def _cheaper(settings: CheaperAMOCPretraining) -> float:
    keys = 1 + settings.fills_by_query
    if settings.replays > 1:
        return TRAINED * 2 + keys  # the perturbed query's way back is the attack's too
    perturbed = settings.attack.steps * ASCENDED + 1 + TRAINED + settings.fills_by_query
    return _amoc(settings) - (1 - settings.share) * perturbed


def _acl(settings: ACLPretraining) -> float:
    pairs = FORMS[settings.form]
    perturbed = pairs[-1].count("adv")
    return settings.attack.steps * ASCENDED * perturbed + (perturbed == 1) + TRAINED * 2 * len(pairs)
