"""Stored pixels and numbers in [0, 1]."""

from __future__ import annotations

import numpy as np


def to_unit(images: np.ndarray) -> np.ndarray:
    """uint8 -> float64 in [0, 1], of the same shape."""
    return images / 255.0


def to_pixels(values: np.ndarray) -> np.ndarray:
    """Numbers, clipped to [0, 1] -> uint8, cut off and not rounded, as the published images were."""
    return (np.clip(values, 0, 1) * 255).astype(np.uint8)
