"""What the corruptions make of images that anybody can rebuild, and what is counted on them.

Long stages depend on these numbers instead of on code files (see README, "What reruns when").
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from amoc.corruptions.catalogue import OURS, SEVERITIES, corrupt
from amoc.corruptions.counting import count
from amoc.corruptions.source import Regenerated
from amoc.engine.formula import pixels
from amoc.engine.rounding import rounded

CLASSES = 4
DIGITS = 4  # of a mean over pixels that were cut off to whole numbers: rounding may take some across


def fingerprint() -> dict[str, Any]:
    """How far each corruption moves images of two sizes, and where; and what two heads get right of them."""
    found = {
        f"{size}x{size}": {
            name: [summary(images, corrupt(images, name, severity, range(5, 9), seed=3)) for severity in SEVERITIES]
            for name in OURS
        }
        for size, images in ((size, pixels(4, size).numpy()) for size in (32, 8))
    }
    images = pixels(20).numpy()
    labels = np.arange(20) % CLASSES
    heads = {"one": head(0.0), "other": head(1.0)}
    right = count(
        features, heads, images, labels, Regenerated(images, seed=3), batch_size=6, device=torch.device("cpu")
    )
    return {"moved": rounded(found, DIGITS), "right": right}


def summary(images: np.ndarray, corrupted: np.ndarray) -> list[float]:
    """Mean distance from the clean image, mean, and mean with a weight for each place."""
    values = corrupted.astype(np.float64)
    weights = np.linspace(0, 1, values.size).reshape(values.shape)
    return [float(np.abs(values - images).mean()), float(values.mean()), float((values * weights).mean())]


def features(images: Tensor) -> Tensor:
    """(B, 3, 8, 8) -> (B, 12): means over quarters of the image."""
    return nn.functional.avg_pool2d(images, 4).flatten(1)


def head(phase: float) -> nn.Linear:
    """Weights by formula."""
    linear = nn.Linear(12, CLASSES)
    weights = torch.sin(phase + 1.7 * torch.arange(12 * CLASSES, dtype=torch.float32))
    linear.weight.data, linear.bias.data = weights.view(CLASSES, 12), torch.zeros(CLASSES)
    return linear
