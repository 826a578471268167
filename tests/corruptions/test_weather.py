"""Snow, fog and frost; and the surface that clouds are made of."""

from __future__ import annotations

import math

import numpy as np
import pytest

from amoc.corruptions import weather
from amoc.corruptions.plasma import plasma
from amoc.corruptions.streams import Streams
from tests.corruptions.conftest import is_cut_off


def slow_plasma(noise: np.ndarray, decay: float) -> np.ndarray:
    """One image, point by point, on a torus."""
    size = len(noise)
    heights, step, amplitude = np.zeros((size, size)), size, 100.0
    while step >= 2:
        half = step // 2
        new = [(y, x) for y in range(half, size, step) for x in range(half, size, step)]
        diagonal = [(-half, -half), (-half, half), (half, -half), (half, half)]
        straight = [(-half, 0), (half, 0), (0, -half), (0, half)]
        squares = [(y, x) for y in range(0, size, half) for x in range(0, size, half) if (y // half + x // half) % 2]
        for places, around in ((new, diagonal), (squares, straight)):
            for y, x in places:
                mean = sum(heights[(y + down) % size, (x + right) % size] for down, right in around) / 4
                heights[y, x] = mean + amplitude * (amplitude * noise[y, x])
        step, amplitude = half, amplitude / decay
    heights -= heights.min()
    return heights / heights.max()


@pytest.mark.parametrize("decay", [3, 1.75])
def test_plasma_is_the_diamond_square_algorithm(decay):
    ours = plasma(Streams(5, "plasma", numbers=range(3)), 8, decay)
    noise = Streams(5, "plasma", numbers=range(3)).uniform(-1, 1, 8, 8)
    assert np.allclose(ours, [slow_plasma(one, decay) for one in noise])
    assert np.allclose(ours.min(axis=(1, 2)), 0) and np.allclose(ours.max(axis=(1, 2)), 1)


def test_plasma_of_another_size_is_a_corner_of_the_next_power_of_two():
    five, eight = (plasma(Streams(5, numbers=[0]), size, 2) for size in (5, 8))
    assert np.array_equal(five, eight[:, :5, :5])


@pytest.mark.parametrize("severity", range(1, 6))
def test_fog_keeps_the_largest_value_out_of_reach(small, streams, again, severity):
    thickness, decay = ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))[severity - 1]
    clouds = plasma(again, 8, decay)
    fogged, expected = weather.fog(small, severity, streams), np.zeros(small.shape)
    for image in range(3):
        largest = small[image].max() / 255
        for y in range(8):
            for x in range(8):
                value = (small[image, y, x] / 255 + thickness * clouds[image, y, x]) * largest
                expected[image, y, x] = 255 * value / (largest + thickness)
    assert is_cut_off(fogged, expected)
    assert (fogged.max(axis=(1, 2, 3)) <= small.max(axis=(1, 2, 3))).all()


@pytest.mark.parametrize("severity", range(1, 6))
def test_snow_is_white_and_lies_alike_turned_by_half_a_circle(severity):
    """On black the whitening is grey and even, so what is left is the flakes."""
    black = np.zeros((8, 32, 32, 3), np.uint8)
    snowed = weather.snow(black, severity, Streams(2, "snow", numbers=range(8)))
    kept = (0.95, 0.9, 0.9, 0.85, 0.8)[severity - 1]
    assert snowed.min() == math.floor(255 * (1 - kept) * 0.5 + 1e-9)
    assert np.array_equal(snowed, snowed[:, ::-1, ::-1])
    assert np.array_equal(snowed[..., 0], snowed[..., 2])
    assert snowed.max() > snowed.min() + 20


def test_snow_falls_as_far_as_published(monkeypatch, streams):
    """Radius and sigma of the motion blur, for each severity."""
    asked, smear = [], weather.smear

    def watched(flakes, radius, sigma, angles):
        asked.append((radius, sigma))
        return smear(flakes, radius, sigma, angles)

    monkeypatch.setattr(weather, "smear", watched)
    for severity in range(1, 6):
        weather.snow(np.zeros((3, 8, 8, 3), np.uint8), severity, streams)
    assert asked == [(8, 3), (10, 4), (10, 4), (12, 6), (14, 12)]


def test_snow_brightens_by_luminance(streams):
    """Far from the flakes: the share 1 - kept of what is larger, the pixel or 1.5 times its luminance and a half."""
    image = np.zeros((3, 8, 8, 3), np.uint8)
    image[..., 0] = 200
    least = weather.snow(image, 1, streams).reshape(-1, 3).min(axis=0) / 255
    white = 1.5 * 0.299 * 200 / 255 + 0.5
    expected = [0.95 * 200 / 255 + 0.05 * max(200 / 255, white), 0.05 * white, 0.05 * white]
    assert np.allclose(least, expected, atol=1 / 255)


@pytest.mark.parametrize("severity", range(1, 6))
def test_frost_mixes_with_the_published_weights(severity):
    """Of images that are black and white, with the same numbers, the difference is what is kept of the image."""
    dimmed, weight = ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))[severity - 1]
    grey = np.full((4, 32, 32, 3), 100, np.uint8)
    ice, mixed = (
        weather.frost_procedural(images, severity, Streams(2, "frost", numbers=range(4)))
        for images in (np.zeros_like(grey), grey)
    )
    assert np.abs(mixed.astype(float) - ice - 100 * dimmed)[mixed < 255].max() <= 1
    assert 255 * weight * 0.9 < ice[..., 2].max() <= 255 * weight
    assert (ice[..., 0].mean(axis=(1, 2)) < ice[..., 2].mean(axis=(1, 2))).all()  # blue
