"""What an attack leaves standing, image by image."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amoc.settings import Attack


@dataclass(frozen=True)
class Outcome:
    """Which images a model gets right, on clean images (`attack` None) or whatever one attack does to them.

    Attributes:
        correct: bool (n,), on the CPU; image i is the i-th test image.
        attack: the settings, epsilon included.
        warnings: reasons to distrust the number that the attack itself reported.
    """

    correct: Tensor
    attack: Attack | None
    warnings: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float:
        """Percent of the n images."""
        return 100 * self.correct.sum().item() / len(self.correct)

    def plain(self) -> dict[str, Any]:
        """As JSON: `correct` is the base64 of numpy.packbits, first image in the highest bit."""
        return {
            "n": len(self.correct),
            "accuracy": round(self.accuracy, 2),
            "correct": base64.b64encode(np.packbits(self.correct.numpy())).decode("ascii"),
            "attack": self.attack.plain() if self.attack else None,
        }


def union(outcomes: Mapping[str, Outcome]) -> Tensor:
    """The images that stand whichever of these attacks comes: bool (n,), of the images that every attack was given."""
    common = min(len(outcome.correct) for outcome in outcomes.values())
    return torch.stack([outcome.correct[:common] for outcome in outcomes.values()]).all(dim=0)
