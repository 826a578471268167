"""Drops on the lens. Severities as published for CIFAR-10-C (see catalogue.py); lengths are in pixels.

What the published code has OpenCV do to the drops of water is written here for a whole batch: edges (Canny), distance
from them, equalised histogram, small filters. It gives the same values, but for drops brighter than white: they stay
white, where the published code has them wrap round to black.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import correlate, label, uniform_filter

from amoc.corruptions.gaussian import smooth
from amoc.corruptions.pixels import to_pixels, to_unit
from amoc.corruptions.streams import Streams

_WATER, _MUD = np.array((175, 238, 238)) / 255, np.array((63, 42, 20)) / 255  # red, green, blue
_FARTHEST = 20  # pixels from an edge, beyond which no difference is made
_LIGHT = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])  # from the lower right
_LENGTHS = {(0, 1): 1.0, (1, 1): 1.4, (1, 2): 2.1969}  # of steps
_STEPS = [
    (down, right, _LENGTHS[kind])
    for down in range(-2, 3)
    for right in range(-2, 3)
    if (kind := tuple(sorted((abs(down), abs(right))))) in _LENGTHS
]
_WEAK, _STRONG = 50, 150  # gradients, of an edge that goes on and of one that begins


def spatter(images: np.ndarray, severity: int, streams: Streams) -> np.ndarray:
    """Water in the severities 1 to 3, which shines; mud in 4 and 5, which covers."""
    mean, deviation, blur, threshold, strength, mud = (
        (0.62, 0.1, 0.7, 0.70, 0.5, False),
        (0.65, 0.1, 0.8, 0.70, 0.5, False),
        (0.65, 0.3, 1.0, 0.69, 0.5, False),
        (0.65, 0.1, 0.7, 0.69, 0.6, True),
        (0.65, 0.1, 0.5, 0.68, 0.6, True),
    )[severity - 1]
    values = to_unit(images)
    liquid = smooth(mean + deviation * streams.normal(*images.shape[1:3]), blur)
    liquid[liquid < threshold] = 0
    if mud:
        cover = smooth((liquid > threshold).astype(np.float64), strength)
        cover[cover < 0.8] = 0
        return to_pixels(values * (1 - cover[..., None]) + _MUD * cover[..., None])
    drops = to_pixels(liquid)
    shine = drops * lit(drops).astype(np.float64)
    brightest = shine.max(axis=(1, 2), keepdims=True)
    shine = strength * shine / np.where(brightest > 0, brightest, 1)  # an image may have no drop
    return to_pixels(values + shine[..., None] * _WATER)


def lit(drops: np.ndarray) -> np.ndarray:
    """How much light drops reflect: their distance from an edge as a height, lit from one side. uint8 (N, H, W)."""
    rise = _mean_of_nine(distances(edges(drops)))
    height = equalised((rise + 1e-6).astype(np.uint8))  # cut off, but a whole number may have been rounded down
    relief = np.clip(correlate(height.astype(np.int64), _LIGHT[None], mode="mirror"), 0, 255)
    return np.rint(_mean_of_nine(relief.astype(np.float64))).astype(np.uint8)


def distances(targets: np.ndarray) -> np.ndarray:
    """From each pixel to the nearest target, at most _FARTHEST. bool (N, H, W) -> float64 (N, H, W).

    As OpenCV's, a path of steps to neighbours, diagonal ones and knight's moves, which is right to some percent.
    """
    reached = np.where(targets, 0.0, _FARTHEST)
    height, width = targets.shape[1:]
    while True:
        framed = np.pad(reached, ((0, 0), (2, 2), (2, 2)), constant_values=_FARTHEST)
        nearer = reached
        for down, right, length in _STEPS:
            beside = framed[:, 2 + down : 2 + down + height, 2 + right : 2 + right + width]
            nearer = np.minimum(nearer, beside + length)
        if np.array_equal(nearer, reached):
            return reached
        reached = nearer


def _mean_of_nine(values: np.ndarray) -> np.ndarray:
    return uniform_filter(values, (1, 3, 3), mode="mirror")


def equalised(values: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W) -> the same with each image's histogram spread over 0 ... 255; an image of one value stays."""
    count, pixels = len(values), values[0].size
    bins = values.reshape(count, -1).astype(np.int64) + 256 * np.arange(count)[:, None]
    histogram = np.bincount(bins.ravel(), minlength=256 * count).reshape(count, 256)
    below = histogram.cumsum(axis=1)
    first = np.take_along_axis(histogram, (histogram > 0).argmax(axis=1)[:, None], axis=1)
    flat = first == pixels
    spread = np.rint((below - first) * (255 / np.where(flat, 1, pixels - first)))
    table = np.where(flat, np.arange(256), np.maximum(spread, 0)).astype(np.uint8)
    return np.take_along_axis(table, values.reshape(count, -1).astype(np.int64), axis=1).reshape(values.shape)


def edges(values: np.ndarray) -> np.ndarray:
    """Canny's edges of uint8 (N, H, W), as OpenCV finds them: bool (N, H, W).

    A pixel is on an edge if its gradient (Sobel, |across| + |down|) is larger than those before and behind it in the
    direction of the gradient, in steps of 45 degrees, and if it, or one that it is connected to, is strong.
    """
    signed = np.pad(values.astype(np.int64), ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = signed[:, 2:] - signed[:, :-2]
    down = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
    across = signed[:, :, 2:] - signed[:, :, :-2]
    across = across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]
    size = np.abs(across) + np.abs(down)
    framed = np.pad(size, ((0, 0), (1, 1), (1, 1)))
    height, width = size.shape[1:]

    def beside(rows: int, columns: int) -> np.ndarray:
        return framed[:, 1 + rows : 1 + rows + height, 1 + columns : 1 + columns + width]

    flat = np.abs(down) < np.tan(np.pi / 8) * np.abs(across)
    steep = np.abs(down) > np.tan(3 * np.pi / 8) * np.abs(across)
    falling = (across < 0) == (down < 0)
    ridge = np.select(
        [flat, steep, falling],
        [
            (size > beside(0, -1)) & (size >= beside(0, 1)),
            (size > beside(-1, 0)) & (size >= beside(1, 0)),
            (size > beside(-1, -1)) & (size > beside(1, 1)),
        ],
        (size > beside(-1, 1)) & (size > beside(1, -1)),
    )
    candidates = ridge & (size > _WEAK)
    within_an_image = np.zeros((3, 3, 3), dtype=bool)
    within_an_image[1] = True
    parts, count = label(candidates, within_an_image)
    begins = np.zeros(count + 1, dtype=bool)
    begins[parts[candidates & (size > _STRONG)]] = True
    return begins[parts] & candidates
