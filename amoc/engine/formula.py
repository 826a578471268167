"""Inputs by formula, and tensors as a few numbers: what fingerprints are made from."""

from __future__ import annotations

import torch
from torch import Tensor


def pixels(count: int, size: int = 8) -> Tensor:
    """uint8 images (N, size, size, 3): smooth, coloured, all different."""
    n, y, x, c = torch.meshgrid(*(torch.arange(k, dtype=torch.float64) for k in (count, size, size, 3)), indexing="ij")
    wave = torch.sin(0.7 * n + (0.3 + 0.05 * n) * x + (0.2 + 0.03 * c) * y + 1.3 * c)
    return (127.5 * (1 + wave)).round().to(torch.uint8)


def summary(values: Tensor) -> list[float]:
    """Norm, mean, and a sum with a weight for each place."""
    values = values.contiguous().flatten()
    weights = torch.linspace(-1, 1, values.numel(), dtype=torch.float64)
    return [values.norm().item(), values.mean().item(), (values * weights).sum().item()]
