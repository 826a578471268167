"""Noise: its variance, and where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from amoc.corruptions.catalogue import corrupt
from amoc.corruptions.pixels import to_pixels
from amoc.corruptions.streams import Streams

GREY = np.full((40, 32, 32, 3), 128, np.uint8)
EACH = tuple(enumerate(range(1, 6)))


def values(name: str, severity: int) -> np.ndarray:
    return (corrupt(GREY, name, severity, range(40), 1) + 0.5) / 255  # they were cut off, half a level on average


@pytest.mark.parametrize(("at", "severity"), EACH)
def test_the_deviation_is_the_published_one(at, severity):
    grey, rate = 128 / 255, (500, 250, 100, 75, 50)[at]
    expected = {
        "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10)[at],
        "speckle_noise": grey * (0.06, 0.10, 0.12, 0.16, 0.20)[at],
        "shot_noise": (grey / rate) ** 0.5,  # a Poisson variable's variance is its mean
    }
    for name, deviation in expected.items():
        found = values(name, severity)
        if name == "shot_noise":  # counts are whole numbers: cutting off is not half a level on average
            found = Streams(1, name, severity, numbers=range(40)).poisson(GREY / 255 * rate) / rate
            assert np.array_equal(to_pixels(found), corrupt(GREY, name, severity, range(40), 1))
        assert found.std() == pytest.approx(deviation, rel=0.01), name
        assert found.mean() == pytest.approx(grey, abs=0.002), name


@pytest.mark.parametrize(("at", "severity"), EACH)
def test_impulses_hit_their_share_of_the_values_half_of_them_white(at, severity):
    found = corrupt(GREY, "impulse_noise", severity, range(40), 1)
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[at]
    assert set(np.unique(found)) == {0, 128, 255}
    assert np.mean(found != 128) == pytest.approx(share, rel=0.05)
    assert np.mean(found[found != 128] == 255) == pytest.approx(0.5, abs=0.03)


def test_channels_and_pixels_have_noise_of_their_own():
    found = values("gaussian_noise", 5)
    for one, other in ((found[..., 0], found[..., 1]), (found[:, 1:], found[:, :-1]), (found[1:], found[:-1])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("name", ["shot_noise", "speckle_noise"])
def test_black_stays_black(name):
    assert not corrupt(np.zeros_like(GREY), name, 5, range(40), 1).any()
