"""Snow, fog and frost. Severities as published for CIFAR-10-C (see catalogue.py)."""

from __future__ import annotations

import numpy as np

from amoc.corruptions.motion import smear
from amoc.corruptions.pixels import to_pixels, to_unit
from amoc.corruptions.plasma import plasma
from amoc.corruptions.streams import Streams
from amoc.corruptions.zoom import apply, zoom

_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue
_ICE = (0.80, 0.92, 1.0)


def snow(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """Flakes that fall in one direction, and again turned by half a circle, over an image that is whitened."""
    mean, deviation, enlarged, threshold, radius, sigma, kept = (
        (0.10, 0.2, 1.00, 0.60, 8, 3, 0.95),
        (0.10, 0.2, 1.00, 0.50, 10, 4, 0.90),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.90),
        (0.25, 0.3, 2.25, 0.60, 12, 6, 0.85),
        (0.30, 0.3, 1.25, 0.65, 14, 12, 0.80),
    )[severity - 1]
    size = images.shape[1]
    flakes = apply(zoom(size, enlarged), mean + deviation * streams.normal(size, size))
    flakes[flakes < threshold] = 0
    falling = smear(to_pixels(flakes)[..., None].astype(np.float64), radius, sigma, streams.uniform(-135, -45))
    layer = np.rint(falling) / 255  # ImageMagick rounds
    values = to_unit(images)
    white = (values @ np.array(_LUMA))[..., None] * 1.5 + 0.5
    values = kept * values + (1 - kept) * np.maximum(values, white)
    return to_pixels(values + layer + layer[:, ::-1, ::-1])


def fog(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """Clouds are added, and the sum is scaled back to the image's own largest value."""
    thickness, decay = ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))[severity - 1]
    values = to_unit(images)
    largest = values.max(axis=(1, 2, 3), keepdims=True)
    clouds = plasma(streams, images.shape[1], decay)[..., None]
    return to_pixels((values + thickness * clouds) * largest / (largest + thickness))


def frost_procedural(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """Ice is laid over the image with the published weights; but its texture is ours.

    The published one is cut from five photographs, which do not come with the data set. This one is the ridges of
    clouds, in the colour of ice: another corruption than the published frost, which is why it has another name and is
    in no mean.
    """
    dimmed, weight = ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))[severity - 1]
    ridges = (1 - np.abs(2 * plasma(streams, images.shape[1], 2) - 1)) ** 3
    texture = (0.1 + 0.9 * ridges)[..., None] * np.array(_ICE)
    return to_pixels(dimmed * to_unit(images) + weight * texture)
