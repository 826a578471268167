"""Blur. Severities as published for CIFAR-10-C (see catalogue.py); lengths are in pixels."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.ndimage import correlate
from scipy.sparse import csr_array, identity

from amoc.corruptions.gaussian import smooth
from amoc.corruptions.motion import smear
from amoc.corruptions.pixels import to_pixels, to_unit
from amoc.corruptions.streams import Streams
from amoc.corruptions.zoom import apply, zoom


def gaussian_blur(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """By a Gaussian."""
    sigma = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1]
    return to_pixels(smooth(to_unit(images), sigma))


def defocus_blur(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """By a disk, whose rim is softened."""
    radius, softening = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))[severity - 1]
    kernel = disk(radius, softening)[None, :, :, None]
    return to_pixels(correlate(to_unit(images), kernel, mode="mirror"))


def disk(radius: float, softening: float) -> np.ndarray:
    """Weights (5, 5) with the sum 1: the pixels within the radius, at most 1.5, under a Gaussian of three pixels."""
    place = np.arange(-2, 3)
    inside = (place[:, None] ** 2 + place**2 <= radius**2).astype(np.float64)
    bell = np.exp(-(np.arange(-1, 2) ** 2) / (2 * softening**2))
    return correlate(inside / inside.sum(), np.outer(bell, bell) / bell.sum() ** 2, mode="constant")


def glass_blur(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """Each pixel is replaced by itself or one of three neighbours, above, to the left or both, between two Gaussians.

    The published code means to swap two pixels, but copies one onto the other: its two sides are views of one array.
    What it takes has not been overwritten yet, because it goes from the last pixel to the first, so that a round is one
    lookup. The first two rows and columns stay.
    """
    sigma, rounds = ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))[severity - 1]
    count, height, width = images.shape[:3]
    shuffled = to_pixels(smooth(to_unit(images), sigma))
    image, row, column = (np.arange(length) for length in (count, height, width))
    moves = (row > 1)[:, None] & (column > 1)
    for _ in range(rounds):
        up, left = np.moveaxis(streams.integers(-1, 1, 2, height, width), 1, 0)  # 0 or -1
        shuffled = shuffled[image[:, None, None], row[:, None] + up * moves, column + left * moves]
    return to_pixels(smooth(to_unit(shuffled), sigma))


def motion_blur(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """Along a line, at most 45 degrees from the horizontal."""
    radius, sigma = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))[severity - 1]
    blurred = smear(images.astype(np.float64), radius, sigma, streams.uniform(-45, 45))
    return np.rint(blurred).astype(np.uint8)  # ImageMagick rounds


def zoom_blur(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """The mean of the image and its enlargements, in steps of 1 %.

    An enlargement is to a whole number of pixels: severity 1 leaves an image of 8x8 as it is.
    """
    largest = (1.06, 1.11, 1.16, 1.21, 1.26)[severity - 1]
    return to_pixels(apply(_zooms(images.shape[1], largest), to_unit(images)))


@cache
def _zooms(size: int, largest: float) -> csr_array:
    """The image itself, then each factor of the published range, of which rounding decides whether its end is in."""
    factors = np.arange(1, largest, 0.01)
    total = identity(size * size, format="csr")
    for factor in factors:
        total = total + zoom(size, factor)
    return csr_array(total / (len(factors) + 1))
