"""Brightness, contrast and saturation. Severities as published for CIFAR-10-C (see catalogue.py)."""

from __future__ import annotations

import numpy as np

from amoc.corruptions.pixels import to_pixels, to_unit
from amoc.corruptions.streams import Streams


def brightness(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """HSV's value, the largest channel, plus so much; the others keep their ratio to it, and black becomes grey."""
    more = (0.05, 0.10, 0.15, 0.20, 0.30)[severity - 1]
    values = to_unit(images)
    value = values.max(axis=3, keepdims=True)
    brighter = np.minimum(value + more, 1)
    return to_pixels(np.where(value > 0, values * (brighter / np.where(value > 0, value, 1)), brighter))


def contrast(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """Towards the mean of each channel."""
    kept = (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1]
    values = to_unit(images)
    mean = values.mean(axis=(1, 2), keepdims=True)
    return to_pixels((values - mean) * kept + mean)


def saturate(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """HSV's saturation times a factor, plus an offset: less colour in the first two severities, more in the others.

    At one hue and value, the distance of each channel from the largest is in proportion to the saturation. Grey has no
    hue; it is taken for red, as by scikit-image, and so becomes reddish where there is an offset.
    """
    factor, offset = ((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2))[severity - 1]
    values = to_unit(images)
    value, least = values.max(axis=3, keepdims=True), values.min(axis=3, keepdims=True)
    grey = value == least
    saturation = np.where(grey, 0, (value - least) / np.where(value > 0, value, 1))
    wanted = np.clip(saturation * factor + offset, 0, 1)
    coloured = value - (value - values) * (wanted / np.where(grey, 1, saturation))
    reddish = value * np.concatenate([np.ones_like(wanted), 1 - wanted, 1 - wanted], axis=3)
    return to_pixels(np.where(grey, reddish, coloured))
