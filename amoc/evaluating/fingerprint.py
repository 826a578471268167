"""What each attack finds on inputs that anybody can rebuild (compare amoc.pretraining.fingerprint).

The model is linear, with images at all distances from its boundary: which of them an attack breaks says how strong it is, and
next to none is so close to the edge that another machine's rounding would decide.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from amoc.augment import to_float
from amoc.engine.formula import pixels
from amoc.evaluating.suite import run_suite
from amoc.params import AutoAttack, CarliniWagner, DeepFool, ProjectedGradient, Slide

IMAGES, CLASSES = 24, 10
SUITE = {
    "linf_pgd": ProjectedGradient(kind="pgd", norm="linf", epsilon=0.02, steps=5, relative_step=0.25),
    "l2_pgd": ProjectedGradient(kind="pgd", norm="l2", epsilon=0.2, steps=5, relative_step=0.25),
    "l1_pgd": ProjectedGradient(kind="pgd", norm="l1", epsilon=2.0, steps=5, relative_step=0.25),
    "l1_slide": Slide(kind="slide", norm="l1", epsilon=2.0, steps=5, relative_step=0.25),
    "linf_deepfool": DeepFool(kind="deepfool", norm="linf", epsilon=0.02, steps=10, overshoot=0.02),
    "l2_deepfool": DeepFool(kind="deepfool", norm="l2", epsilon=0.2, steps=10, overshoot=0.02),
    "l2_cw": CarliniWagner(kind="carlini_wagner", norm="l2", epsilon=0.2, steps=20, lr=0.05, binary_search_steps=3, initial_const=0.1, images=12),
    "linf_autoattack": AutoAttack(kind="autoattack", norm="linf", epsilon=0.02, square_queries=20, images=12),
    "l2_autoattack": AutoAttack(kind="autoattack", norm="l2", epsilon=0.2, square_queries=20, images=12),
}


def linear_model() -> nn.Module:
    """images (B, 3, 8, 8) -> logits (B, 10), weights by formula."""
    layer = nn.Linear(192, CLASSES)
    row, column = torch.meshgrid(torch.arange(CLASSES, dtype=torch.float32), torch.arange(192, dtype=torch.float32), indexing="ij")
    with torch.no_grad():
        layer.weight.copy_(torch.sin(1.7 * row + 0.31 * (1 + 0.2 * row) * column))
        layer.bias.zero_()
    return nn.Sequential(nn.Flatten(), layer).eval()


def fingerprint() -> dict[str, Any]:
    """Which images stand under each attack."""
    model, images = linear_model(), to_float(pixels(IMAGES)).contiguous()
    with torch.no_grad():
        labels = model(images).argmax(dim=1)
    labels[0] = (labels[0] + 1) % CLASSES  # one image that is wrong without attack
    outcomes = run_suite(model, images, labels, SUITE, batch_size=16, seed=1)
    return {name: outcome.correct.int().tolist() for name, outcome in outcomes.items()}
