"""ACL's three forms as values (Jiang et al., 2020, figure 1). No torch: the settings read this too."""

from __future__ import annotations

from amoc.pretraining.variants import Branch

Pair = tuple[Branch, Branch]  # the two views of an image: clean, or perturbed and through the adversarial norms

FORMS: dict[str, tuple[Pair, ...]] = {  # the loss is the mean over the pairs; the last one is attacked
    "ds": (("clean", "clean"), ("adv", "adv")),  # dual stream
    "a2s": (("clean", "adv"),),  # adversarial to standard
    "a2a": (("adv", "adv"),),  # adversarial to adversarial
}
