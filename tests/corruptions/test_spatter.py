"""Drops: what OpenCV makes of some layers of them, kept in opencv.json, and what they do to an image.

opencv.json has been made with OpenCV 5.0 by the calls of the published code: Canny(drops, 50, 150), distanceTransform
(DIST_L2, 5), cut at 20, blur 3x3, equalizeHist, filter2D, blur 3x3.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from amoc.corruptions import spatter
from amoc.corruptions.catalogue import SEVERITIES, corrupt
from amoc.corruptions.gaussian import smooth
from amoc.corruptions.pixels import to_pixels
from amoc.corruptions.streams import Streams
from tests.corruptions.conftest import is_cut_off, smooth_images

LAYERS = json.loads((Path(__file__).parent / "opencv.json").read_text())


@pytest.mark.parametrize("layer", LAYERS)
def test_edges_and_light_are_opencvs(layer):
    drops = np.array(layer["drops"], np.uint8)[None]
    assert np.array_equal(spatter.edges(drops)[0], np.array(layer["edges"], bool))
    assert np.array_equal(spatter.lit(drops)[0], np.array(layer["lit"], np.uint8))


def test_layers_do_not_touch_each_other():
    drops = np.array([layer["drops"] for layer in LAYERS], np.uint8)
    together = spatter.lit(drops)
    assert all(np.array_equal(spatter.lit(drops[[n]])[0], together[n]) for n in range(len(drops)))


def test_distances_are_the_shortest_paths_of_three_kinds_of_steps():
    target = np.zeros((1, 30, 30), bool)
    target[0, 4, 3] = True
    found = spatter.distances(target)[0]
    lengths = {(0, 0): 0, (0, 1): 1, (1, 1): 1.4, (2, 1): 2.1969, (3, 1): 3.1969, (4, 2): 4.3938, (2, 2): 2.8,
               (3, 3): 4.2, (5, 2): 5.3938, (0, 15): 15, (20, 20): 20}  # fmt: skip
    for (down, right), expected in lengths.items():
        assert found[4 + down, 3 + right] == pytest.approx(expected)
    assert (spatter.distances(np.zeros((2, 5, 5), bool)) == 20).all()


def test_equalised_histograms_are_even():
    values = np.array([[[0, 0, 5, 5], [7, 7, 9, 9]], [[3] * 4] * 2], np.uint8)
    found = spatter.equalised(values)
    assert found[0].tolist() == [[0, 0, 85, 85], [170, 170, 255, 255]]  # thirds of the values above the least
    assert (found[1] == 3).all()


@pytest.mark.parametrize("severity", [1, 2, 3])
def test_water_adds_at_most_its_strength_of_turquoise(severity):
    dark = np.full((20, 32, 32, 3), 20, np.uint8)
    found = corrupt(dark, "spatter", severity, range(20), 1).astype(float) - 20
    assert found.min() == 0
    wet = found[found.sum(axis=-1) > 30]
    assert np.abs(wet[:, 0] - wet[:, 1] * 175 / 238).max() <= 1 and np.array_equal(wet[:, 1], wet[:, 2])
    assert found[..., 1].max() == pytest.approx(0.5 * 238, abs=1)


@pytest.mark.parametrize("severity", [4, 5])
def test_mud_covers_with_brown(severity):
    white = np.full((20, 32, 32, 3), 255, np.uint8)
    covered = corrupt(white, "spatter", severity, range(20), 1)
    cover = (255 - covered[..., 0]) / (255 - 63)
    assert 0 < np.mean(cover > 0) < 0.5 and cover[cover > 0.01].min() > 0.79
    assert np.allclose(covered[..., 2], 255 - cover * (255 - 20), atol=2)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_drops_are_as_large_and_many_as_published(severity):
    mean, deviation, blur, threshold, strength = (
        (0.62, 0.1, 0.7, 0.7, 0.5), (0.65, 0.1, 0.8, 0.7, 0.5), (0.65, 0.3, 1, 0.69, 0.5),
        (0.65, 0.1, 0.7, 0.69, 0.6), (0.65, 0.1, 0.5, 0.68, 0.6),
    )[severity - 1]  # fmt: skip
    images, streams = smooth_images(4, 32), Streams(1, "spatter", severity, numbers=range(4))
    liquid = smooth(mean + deviation * streams.normal(32, 32), blur)
    liquid = np.where(liquid < threshold, 0, liquid)
    if severity > 3:
        cover = smooth((liquid > threshold).astype(float), strength)
        cover = np.where(cover < 0.8, 0, cover)[..., None]
        expected = images * (1 - cover) + np.array((63, 42, 20)) * cover
    else:
        drops = to_pixels(liquid)
        shine = drops * spatter.lit(drops).astype(float)
        shine *= strength / shine.max(axis=(1, 2), keepdims=True)
        expected = images + shine[..., None] * np.array((175, 238, 238))
    assert is_cut_off(corrupt(images, "spatter", severity, range(4), 1), expected.clip(0, 255))


def test_an_image_without_a_drop_stays_as_it_is():
    """Some of the first severity have none."""
    images = np.full((200, 8, 8, 3), 77, np.uint8)
    liquid = smooth(0.62 + 0.1 * Streams(1, "spatter", 1, numbers=range(200)).normal(8, 8), 0.7)
    dry = liquid.max(axis=(1, 2)) < 0.7
    assert 0 < dry.sum() < 200
    assert (corrupt(images, "spatter", 1, range(200), 1)[dry] == 77).all()
