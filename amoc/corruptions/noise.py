"""Noise in each channel of each pixel. Severities as published for CIFAR-10-C (see catalogue.py)."""

from __future__ import annotations

import numpy as np

from amoc.corruptions.pixels import to_pixels, to_unit
from amoc.corruptions.streams import Streams


def gaussian_noise(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """x + deviation * normal."""
    deviation = (0.04, 0.06, 0.08, 0.09, 0.10)[severity - 1]
    return to_pixels(to_unit(images) + deviation * streams.normal(*images.shape[1:]))


def shot_noise(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """Photons counted, where full brightness is so many on average: the fewer, the noisier."""
    photons = (500, 250, 100, 75, 50)[severity - 1]
    return to_pixels(streams.poisson(to_unit(images) * photons) / photons)


def impulse_noise(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """Salt and pepper: this share of the values becomes 0 or 255, each as often."""
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[severity - 1]
    hit, salt = streams.uniform(0, 1, *images.shape[1:]) < share, streams.uniform(0, 1, *images.shape[1:]) < 0.5
    return np.where(hit, np.where(salt, 255, 0), images).astype(np.uint8)


def speckle_noise(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """x + x * deviation * normal: what is dark has little."""
    deviation = (0.06, 0.10, 0.12, 0.16, 0.20)[severity - 1]
    values = to_unit(images)
    return to_pixels(values + values * deviation * streams.normal(*images.shape[1:]))
