"""Blur, restated pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from amoc.corruptions import blur
from amoc.corruptions.pixels import to_pixels, to_unit
from amoc.corruptions.streams import Streams
from tests.corruptions.conftest import is_cut_off, smooth_images

SEVERITIES = range(1, 6)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_gaussian_blur_is_a_sum_over_a_bell(small, streams, severity):
    sigma = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1]
    reach = int(4 * sigma + 0.5)
    bell = {k: math.exp(-(k**2) / (2 * sigma**2)) for k in range(-reach, reach + 1)}
    total, expected = sum(bell.values()) ** 2, np.zeros(small.shape)
    for y in range(8):
        for x in range(8):
            for down, one in bell.items():
                for right, other in bell.items():
                    place = min(max(y + down, 0), 7), min(max(x + right, 0), 7)
                    expected[:, y, x] += one * other / total * small[:, place[0], place[1]]
    assert is_cut_off(blur.gaussian_blur(small, severity, streams), expected)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_defocus_blur_is_a_sum_over_a_soft_disk(small, streams, severity):
    radius, softening = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))[severity - 1]
    inside = {(y, x) for y in range(-2, 3) for x in range(-2, 3) if y * y + x * x <= radius**2}
    assert len(inside) == (1, 1, 1, 5, 9)[severity - 1]
    bell = {k: math.exp(-(k**2) / (2 * softening**2)) for k in (-1, 0, 1)}
    total, expected = sum(bell.values()) ** 2 * len(inside), np.zeros(small.shape)

    def mirrored(place: int) -> int:
        return 14 - abs(place) if abs(place) > 7 else abs(place)

    for y in range(8):
        for x in range(8):
            for down, right in inside:
                for i, one in bell.items():
                    for j, other in bell.items():
                        at = mirrored(y + down + i), mirrored(x + right + j)
                        expected[:, y, x] += one * other / total * small[:, at[0], at[1]]
    assert is_cut_off(blur.defocus_blur(small, severity, streams), expected)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_glass_blur_is_the_published_loop(small, streams, again, severity):
    """With its swap that copies: both sides are views of the pixels."""
    sigma, rounds = ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))[severity - 1]
    shuffled = np.stack([gaussian_filter(to_unit(image), (sigma, sigma, 0), mode="nearest") for image in small])
    shuffled = to_pixels(shuffled)
    for _ in range(rounds):
        moves = again.integers(-1, 1, 2, 8, 8)
        for image, move in zip(shuffled, moves, strict=True):
            for y in range(7, 1, -1):
                for x in range(7, 1, -1):
                    other = y + move[0, y, x], x + move[1, y, x]
                    image[y, x], image[other] = image[other], image[y, x]
    expected = np.stack([gaussian_filter(to_unit(image), (sigma, sigma, 0), mode="nearest") for image in shuffled])
    assert is_cut_off(blur.glass_blur(small, severity, streams), 255 * expected)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_motion_blur_goes_along_a_line(small, streams, again, severity):
    radius, sigma = ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))[severity - 1]
    angles = again.uniform(-45, 45)
    weights = [math.exp(-(k**2) / (2 * sigma**2)) for k in range(2 * radius + 1)]
    expected = np.zeros(small.shape)
    for image, degrees in enumerate(angles):
        for k, weight in enumerate(weights):
            down = math.ceil(k * math.sin(math.radians(degrees)) - 0.5)
            right = math.ceil(k * math.cos(math.radians(degrees)) - 0.5)
            for y in range(8):
                for x in range(8):
                    place = min(max(y + down, 0), 7), min(max(x + right, 0), 7)
                    expected[image, y, x] += weight / sum(weights) * small[image, place[0], place[1]]
    assert is_cut_off(blur.motion_blur(small, severity, streams), expected + 0.5)


def test_motion_blur_keeps_what_is_along_the_line():
    """Rows of one brightness each, and an angle of zero."""
    from amoc.corruptions.motion import smear

    rows = np.arange(8.0)[None, :, None, None] * np.ones((1, 8, 8, 1))
    assert np.allclose(smear(rows, 6, 2.0, np.zeros(1)), rows)
    down = smear(rows, 6, 2.0, np.full(1, 90.0))
    assert (down[0, :-1] > rows[0, :-1]).all() and np.allclose(down[0, -1], 7)


@pytest.mark.parametrize("size", [32, 8])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_zoom_blur_is_the_mean_of_enlargements(severity, size):
    from scipy.ndimage import zoom

    image = smooth_images(2, size)[1]
    factors = np.arange(1, (1.06, 1.11, 1.16, 1.21, 1.26)[severity - 1], 0.01)
    total = to_unit(image)
    for factor in factors:
        kept = math.ceil(size / factor)
        top = (size - kept) // 2
        larger = zoom(to_unit(image)[top : top + kept, top : top + kept], (factor, factor, 1), order=1)
        trim = (len(larger) - size) // 2
        total = total + larger[trim : trim + size, trim : trim + size]
    ours = blur.zoom_blur(image[None], severity, Streams(1, numbers=[0]))[0]
    assert is_cut_off(ours, 255 * total / (len(factors) + 1))
