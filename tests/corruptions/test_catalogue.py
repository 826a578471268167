"""What holds for every corruption, at both sizes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from amoc.corruptions.catalogue import OURS, PUBLISHED, SEVERITIES, corrupt
from amoc.corruptions.pixels import to_pixels, to_unit
from amoc.reporting.evidence.corruption_names import CORRUPTIONS
from tests.corruptions.conftest import smooth_images

every = pytest.mark.parametrize("name", OURS)

# By their published constants these are not farther from the clean image at each severity than at the one before.
# Glass: 4 has less blur than 3 and one round more. Elastic: the affine map, which moves most, gets smaller. Spatter:
# water up to 3, then mud. Saturate: grey up to 2, then colourful. Frost: the image is dimmed from 3 on, while the ice,
# which brightens it, grows little. Motion: 4 has the deviation of 3, and so the same blur for another angle.
UNEVEN = {"glass_blur", "elastic_transform", "spatter", "saturate", "frost_procedural", "motion_blur"}


def test_there_are_nineteen_in_the_published_order():
    assert PUBLISHED == CORRUPTIONS and len(PUBLISHED) == 19
    assert set(PUBLISHED) - set(OURS) == {"frost"} and set(OURS) - set(PUBLISHED) == {"frost_procedural"}


@every
@pytest.mark.parametrize("severity", SEVERITIES)
def test_shape_and_dtype_stay_and_the_given_images_too(images, name, severity):
    before = images.copy()
    found = corrupt(images, name, severity, range(6), 1)
    assert found.shape == images.shape and found.dtype == np.uint8
    assert np.array_equal(images, before)
    leaves = images.shape[1] == 8 and name == "zoom_blur" and severity == 1  # enlarged by less than half a pixel
    assert np.array_equal(found, images) == leaves


@every
def test_an_image_is_the_same_in_any_batch_and_order(images, name):
    for severity in SEVERITIES:
        whole = corrupt(images, name, severity, range(10, 16), 1)
        assert np.array_equal(corrupt(images, name, severity, range(10, 16), 1), whole)
        for order in ([4, 0, 5], [2]):
            numbers = [10 + place for place in order]
            assert np.array_equal(corrupt(images[order], name, severity, numbers, 1), whole[order])


@every
def test_random_ones_differ_by_seed_and_image_and_the_others_do_not(name):
    images = np.repeat(smooth_images(1, 32), 2, axis=0)
    one, other = corrupt(images, name, 5, [0, 1], 1)
    fixed = {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression", "gaussian_blur",
             "saturate"}  # fmt: skip
    assert np.array_equal(one, other) == (name in fixed)
    assert np.array_equal(one, corrupt(images[:1], name, 5, [0], 2)[0]) == (name in fixed)


def test_each_severity_has_random_numbers_of_its_own(monkeypatch):
    monkeypatch.setitem(OURS, "fog", lambda images, severity, streams: to_pixels(streams.uniform(0, 1, 8, 8, 3)))
    found = {corrupt(smooth_images(1, 8), "fog", severity, [0], 1).tobytes() for severity in SEVERITIES}
    assert len(found) == len(SEVERITIES)


def textured(count: int) -> np.ndarray:
    """Images with edges and fine structure, of which blur takes something at each severity."""
    noise = np.random.default_rng(8).standard_normal((count, 32, 32, 3))
    coarse, fine = (gaussian_filter(noise, (0, sigma, sigma, 0)) * sigma for sigma in (4.0, 1.0))
    return np.clip(128 + 90 * (coarse + fine), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", [name for name in OURS if name not in UNEVEN])
def test_each_severity_is_farther_from_the_clean_image_than_the_one_before(name):
    images = textured(60)
    distances = [np.abs(corrupt(images, name, severity, range(60), 1).astype(float) - images).mean()
                 for severity in SEVERITIES]  # fmt: skip
    assert all(before < after for before, after in pairwise(distances)), distances


def test_every_stored_level_survives_the_way_through_unit_numbers():
    """What is cut off would else be one level lower."""
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_pixels(to_unit(levels)), levels)
    assert to_pixels(np.array([-0.1, 1.1, 0.9999])).tolist() == [0, 255, 254]


@pytest.mark.parametrize(
    ("images", "severity"),
    [
        (np.zeros((1, 8, 8, 3)), 1),
        (np.zeros((1, 8, 9, 3), np.uint8), 1),
        (np.zeros((1, 3, 8, 8), np.uint8), 1),
        (np.zeros((1, 8, 8, 3), np.uint8), 0),
        (np.zeros((1, 8, 8, 3), np.uint8), 6),
    ],
)
def test_other_images_or_severities_are_an_error(images, severity):
    with pytest.raises(ValueError, match=r"images must be uint8|the severity is"):
        corrupt(images, "fog", severity, [0], 1)
