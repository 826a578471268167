"""A Gaussian over the two axes of an image."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter


def smooth(
    values: np.ndarray, sigma: float, border: Literal["nearest", "reflect"] = "nearest", truncate: float = 4.0
) -> np.ndarray:
    """Blur (N, H, W) or (N, H, W, channels) over H and W; a sigma of 0 changes nothing.

    Args:
        sigma: in pixels.
        border: what lies beyond: the last pixel again, or the image mirrored at its edge.
        truncate: where the kernel ends, in sigmas. Four and "nearest" are scikit-image's, which made the published
            images.
    """
    return gaussian_filter(values, sigma, axes=(1, 2), mode=border, truncate=truncate)
