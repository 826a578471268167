"""Blur along a line, as ImageMagick's motion blur, which made the published images."""

from __future__ import annotations

import numpy as np


def smear(values: np.ndarray, radius: int, sigma: float, degrees: np.ndarray) -> np.ndarray:
    """Each pixel becomes a mean of those behind it on a line: half a Gaussian, of 2 * radius + 1 pixels.

    Beyond the border the last pixel goes on. Pixels of the line are the nearest ones, not interpolated.

    Args:
        values: (N, H, W, channels).
        sigma: in pixels.
        degrees: (N,), of the line, 0 to the right, 90 down.
    """
    count, height, width = values.shape[:3]
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    angles = np.deg2rad(degrees)[:, None]
    down, right = (np.ceil(steps * part - 0.5).astype(np.int64) for part in (np.sin(angles), np.cos(angles)))
    rows = np.clip(np.arange(height) + down[:, :, None], 0, height - 1)  # (N, steps, H)
    columns = np.clip(np.arange(width) + right[:, :, None], 0, width - 1)
    image = np.arange(count)[:, None, None]
    blurred = np.zeros(values.shape)
    for step, weight in enumerate(weights):
        blurred += weight * values[image, rows[:, step, :, None], columns[:, step, None, :]]
    return blurred
