"""Brightness, contrast and saturation, by the standard library's HSV."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
import pytest

from amoc.corruptions import tone
from tests.corruptions.conftest import is_cut_off

Hsv = tuple[float, float, float]
COLOURS = [(0, 0, 0), (255, 255, 255), (90, 90, 90), (255, 0, 0), (10, 200, 30), (60, 61, 200), (1, 0, 0), (9, 9, 8)]


@pytest.fixture
def colours(small: np.ndarray) -> np.ndarray:
    small[1, 0, :, :] = COLOURS
    return small


def by_hsv(images: np.ndarray, change: Callable[[Hsv], Hsv]) -> np.ndarray:
    pixels = [colorsys.hsv_to_rgb(*change(colorsys.rgb_to_hsv(*pixel / 255))) for pixel in images.reshape(-1, 3)]
    return 255 * np.array(pixels).reshape(images.shape)


@pytest.mark.parametrize("severity", range(1, 6))
def test_brightness_adds_to_the_value(colours, streams, severity):
    more = (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]
    expected = by_hsv(colours, lambda hsv: (hsv[0], hsv[1], min(1.0, hsv[2] + more)))
    assert is_cut_off(tone.brightness(colours, severity, streams), expected)


@pytest.mark.parametrize("severity", range(1, 6))
def test_saturate_changes_the_saturation(colours, streams, severity):
    factor, offset = ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))[severity - 1]
    expected = by_hsv(colours, lambda hsv: (hsv[0], min(1.0, hsv[1] * factor + offset), hsv[2]))
    found = tone.saturate(colours, severity, streams)
    assert is_cut_off(found, expected)
    reddish = found[1, 0, 2]
    assert tuple(reddish) == (90, *[int(90 * (1 - offset) + 1e-9)] * 2)


@pytest.mark.parametrize("severity", range(1, 6))
def test_contrast_keeps_the_mean_and_scales_the_deviation(images, severity):
    """Of each channel of each image."""
    kept = (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1]
    found = tone.contrast(images, severity, None) + 0.5  # cut off: half a level on average
    assert np.allclose(found.mean(axis=(1, 2)), images.mean(axis=(1, 2)), atol=0.6)
    assert np.allclose(found.std(axis=(1, 2)), kept * images.std(axis=(1, 2)), atol=0.6)
