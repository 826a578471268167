"""Pixelation by boxes, and Pillow's own JPEG."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from amoc.corruptions.digital import jpeg_compression, pixelate


@pytest.mark.parametrize("severity", range(1, 6))
def test_jpeg_is_pillows_at_the_published_quality(images, severity):
    for image, found in zip(images, jpeg_compression(images, severity, None), strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=(80, 65, 58, 50, 40)[severity - 1])
        assert np.array_equal(found, np.asarray(Image.open(file)))


def overlap(box: int, pixel: int, boxes: int, pixels: int) -> float:
    """How much of a box a pixel covers, where so many boxes share the length of so many pixels."""
    low, high = box * pixels / boxes, (box + 1) * pixels / boxes
    return max(0.0, min(high, pixel + 1) - max(low, pixel)) / (high - low)


@pytest.mark.parametrize("severity", range(1, 6))
def test_pixelate_repeats_means_over_boxes(images, severity):
    """Up to what Pillow rounds, twice on the way down. (It takes whole pixels into a box whose middle is near.)"""
    size = images.shape[1]
    boxes = int(size * (0.95, 0.9, 0.85, 0.75, 0.65)[severity - 1])
    found = pixelate(images, severity, None)
    columns = [min(boxes - 1, int((x + 0.5) * boxes / size)) for x in range(size)]
    for one, other in ((0, 1), (size - 2, size - 1)):
        if columns[one] == columns[other]:
            assert np.array_equal(found[:, :, one], found[:, :, other])
    assert len(np.unique(found[0, 0, :, 0])) <= boxes
    for image, pixelated in zip(images, found, strict=True):
        smaller = Image.fromarray(image).resize((boxes, boxes), Image.Resampling.BOX)
        assert np.array_equal(pixelated, np.asarray(smaller)[np.ix_(columns, columns)])


def test_pixelate_of_the_smallest_size_is_a_mean(images):
    """Half the pixels, where boxes and pixels agree, stand for Pillow's filter."""
    size = images.shape[1]
    halved = np.asarray(Image.fromarray(images[0]).resize((size // 2,) * 2, Image.Resampling.BOX))
    weights = np.array([[overlap(box, x, size // 2, size) for x in range(size)] for box in range(size // 2)])
    expected = np.einsum("ay,bx,yxc->abc", weights, weights, images[0])
    assert np.abs(halved - expected).max() <= 1
