"""What storing and sending does to an image. Severities as published for CIFAR-10-C (see catalogue.py)."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from amoc.corruptions.streams import Streams


def pixelate(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """Made smaller by the mean over boxes, and larger again by repeating pixels.

    The smaller size is a whole number of pixels: of an 8x8 image the severities 1 and 2, and 3 and 4, have the same.
    """
    share = (0.95, 0.9, 0.85, 0.75, 0.65)[severity - 1]
    size = images.shape[1]
    smaller = (int(size * share),) * 2
    return _each(images, lambda image: image.resize(smaller, Image.Resampling.BOX).resize((size, size), Image.BOX))


def jpeg_compression(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """Through a JPEG file of this quality."""
    quality = (80, 65, 58, 50, 40)[severity - 1]

    def through_file(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _each(images, through_file)


def _each(images: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(change(Image.fromarray(image))) for image in images])
