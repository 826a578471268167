"""What the attacks find on inputs that anybody can rebuild: their behaviour, whatever their code looks like.

Long stages depend on these numbers instead of on code files (see README, "What reruns when").
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from amoc.engine.formula import summary
from amoc.evaluating import attacks
from amoc.evaluating.outcome import union
from amoc.evaluating.reduced import Reduced
from amoc.evaluating.suite import run_suite
from amoc.models.norm import frozen
from amoc.settings import Attack, AutoAttack, CarliniWagner, DeepFool, ProjectedGradient, Slide

CLASSES = 4  # the fewest that AutoAttack takes
SUITE: dict[str, Attack] = {
    "linf_pgd": ProjectedGradient(kind="pgd", norm="linf", epsilon=0.03, steps=5, relative_step=0.25),
    "l1_pgd": ProjectedGradient(kind="pgd", norm="l1", epsilon=2.5, steps=5, relative_step=0.25),
    "l2_pgd": ProjectedGradient(kind="pgd", norm="l2", epsilon=0.32, steps=5, relative_step=0.25),
    "l1_slide": Slide(kind="slide", norm="l1", epsilon=1.6, steps=25, relative_step=0.1),
    "linf_deepfool": DeepFool(kind="deepfool", norm="linf", epsilon=0.03, steps=10, overshoot=0.02),
    "l2_deepfool": DeepFool(kind="deepfool", norm="l2", epsilon=0.32, steps=10, overshoot=0.02),
    "l2_cw": CarliniWagner(
        kind="carlini_wagner", norm="l2", epsilon=0.32, steps=20, lr=0.05, binary_search_steps=4, initial_const=0.1
    ),
    "linf_autoattack": AutoAttack(kind="autoattack", norm="linf", epsilon=0.03, square_queries=50, images=6),
    "l2_autoattack": AutoAttack(kind="autoattack", norm="l2", epsilon=0.32, square_queries=50, images=6),
    "linf_autoattack_bfloat16": AutoAttack(
        kind="autoattack", norm="linf", epsilon=0.03, square_queries=50, images=6, search_precision="bfloat16"
    ),
}  # fmt: skip


def by_formula(*shape: int, scale: float, phase: float) -> Tensor:
    """float64 numbers in [-scale, scale] that look like noise and are the same everywhere."""
    places = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (scale * torch.sin(phase + 1.7 * places + 0.013 * places**2)).view(shape)


def network() -> nn.Module:
    """A smooth classifier of 8x8 images into CLASSES, in float64, with a norm to be folded."""
    convolution, norm = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4)
    model = nn.Sequential(convolution, norm, nn.Tanh(), nn.Flatten(), nn.Linear(64, CLASSES)).double()
    for number, parameter in enumerate(model.parameters()):
        parameter.data = by_formula(*parameter.shape, scale=0.5, phase=float(number))
    norm.weight.data = 1 + norm.weight.data
    norm.running_mean, norm.running_var = by_formula(4, scale=0.5, phase=8.0), 1 + by_formula(4, scale=0.5, phase=9.0)
    return model.eval()


def images_and_labels(model: nn.Module, count: int = 12) -> tuple[Tensor, Tensor]:
    """Images (n, 3, 8, 8) in [0, 1], some pixels at the bounds, and what the model says they are, but for the third."""
    images = (0.5 + by_formula(count, 3, 8, 8, scale=0.55, phase=0.3)).clamp(0, 1)
    with torch.no_grad():
        labels = model(images).argmax(dim=1)
    labels[2] = (labels[2] + 1) % CLASSES
    return images, labels


class Told(nn.Module):
    """Images (B, 1, 1, CLASSES) are logits; keeps how many it was asked about, and in which precision."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(CLASSES, CLASSES, bias=False)
        self.linear.weight.data = torch.eye(CLASSES)
        self.asked: list[list[Any]] = []

    def forward(self, images: Tensor) -> Tensor:
        logits = self.linear(images.flatten(1))
        self.asked.append([len(images), str(logits.dtype)])
        return logits


def asked_again() -> list[list[Any]]:
    """What a search in reduced precision asks about images whose first class leads by less and less, and one NaN."""
    leads = [0.5, 0.1, 0.06, 0.04, 0.01, torch.nan]
    told = Told()
    with torch.no_grad():
        Reduced(told)(torch.tensor([[1.0, 1.0 - lead, 0.0, -0.5] for lead in leads]).view(-1, 1, 1, CLASSES))
    return told.asked


def fingerprint() -> dict[str, Any]:
    """What each foolbox attack finds, in float64, and which images stand after each attack of a suite.

    Then how often a norm was computed for that: only where it counts, and not while an attack searches.
    """
    model = network()
    images, labels = images_and_labels(model)
    with frozen(model):
        found = {
            name: summary(attacks.search(attack, model, images, labels, seed=5)[0] - images)
            for name, attack in SUITE.items()
            if not isinstance(attack, AutoAttack)
        }
    computed: list[nn.Module] = []
    model[1].register_forward_hook(lambda norm, *_: computed.append(norm))
    outcomes = run_suite(model.float(), images.float(), labels, SUITE, batch_size=5, seed=3)
    standing = {name: outcome.correct.int().tolist() for name, outcome in outcomes.items()}
    return {
        "found": found, "standing": standing | {"union": union(outcomes).int().tolist()},
        "norms_computed": len(computed), "asked_in_bfloat16": asked_again(),
    }  # fmt: skip
