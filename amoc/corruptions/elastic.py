"""Elastic distortion. Severities as published for CIFAR-10-C (see catalogue.py), in shares of the image's size."""

from __future__ import annotations

import numpy as np

from amoc.corruptions.gaussian import smooth
from amoc.corruptions.pixels import to_pixels, to_unit
from amoc.corruptions.streams import Streams


def elastic_transform(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """A random affine map, then a smooth random displacement of each pixel.

    The affine map moves three points around the middle. (OpenCV, which made the published images, rounds its places to
    1/32 of a pixel; here they are exact.)
    """
    stretch, smoothness, moved = (
        (0.00, 0.00, 0.08), (0.05, 0.20, 0.07), (0.08, 0.06, 0.06), (0.10, 0.04, 0.05), (0.10, 0.03, 0.03)
    )[severity - 1]  # fmt: skip
    size = images.shape[1]
    y, x = np.mgrid[:size, :size].astype(np.float64)
    middle, apart = size // 2, size // 3
    points = np.array([[middle + apart, middle + apart], [middle + apart, middle - apart], [middle - apart] * 2])
    moved_points = points + streams.uniform(-moved * size, moved * size, 3, 2)  # (N, points, x and y)
    homogeneous = np.concatenate([moved_points, np.ones_like(moved_points[..., :1])], axis=2)
    back = np.linalg.solve(homogeneous, np.broadcast_to(points, moved_points.shape).astype(np.float64))[..., None, None]
    from_x, from_y = (back[:, 0, k] * x + back[:, 1, k] * y + back[:, 2, k] for k in (0, 1))
    values = sample(to_unit(images), from_y, from_x, repeat_edge=False)

    displacement = np.moveaxis(streams.uniform(-1, 1, 2, size, size), 1, 0)
    right, down = (stretch * size * smooth(one, smoothness * size, "reflect", 3.0) for one in displacement)
    return to_pixels(sample(values, y + down, x + right, repeat_edge=True))


def sample(values: np.ndarray, y: np.ndarray, x: np.ndarray, repeat_edge: bool) -> np.ndarray:
    """Bilinear, (N, H, W, channels) at the places y, x (N, H, W) in pixels; beyond the border the image is mirrored.

    repeat_edge: the mirror stands behind the last pixel, which therefore comes twice; else it stands in it.
    """
    image = np.arange(len(values))[:, None, None]
    sampled = np.zeros(values.shape)
    for row, row_weight in _neighbours(y, values.shape[1], repeat_edge):
        for column, column_weight in _neighbours(x, values.shape[2], repeat_edge):
            sampled += (row_weight * column_weight)[..., None] * values[image, row, column]
    return sampled


def _neighbours(place: np.ndarray, size: int, repeat_edge: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two pixels between which a place lies, folded back into the image, each with its weight."""
    lower = np.floor(place)
    weight = place - lower
    return [(_fold(lower.astype(np.int64), size, repeat_edge), 1 - weight),
            (_fold(lower.astype(np.int64) + 1, size, repeat_edge), weight)]  # fmt: skip


def _fold(place: np.ndarray, size: int, repeat_edge: bool) -> np.ndarray:
    if repeat_edge:
        place = place % (2 * size)
        return np.minimum(place, 2 * size - 1 - place)
    place = place % (2 * size - 2)
    return np.minimum(place, 2 * size - 2 - place)
