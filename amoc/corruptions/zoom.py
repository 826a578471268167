"""The middle of an image, enlarged to its size, bilinearly."""

from __future__ import annotations

import math

import numpy as np
from scipy.sparse import csr_array, kron


def zoom(size: int, factor: float) -> csr_array:
    """The linear map of an image's size * size pixels that enlarges its middle.

    As in the published code: the middle ceil(size / factor) pixels are stretched, corner to corner, to so many as the
    factor makes of them, rounded, and of these the middle `size` are kept.
    """
    kept = math.ceil(size / factor)
    enlarged = round(kept * factor)
    first, trimmed = (size - kept) // 2, (enlarged - size) // 2
    place = (trimmed + np.arange(size)) * (max(kept - 1, 0) / max(enlarged - 1, 1))
    lower = np.minimum(np.floor(place).astype(np.int64), kept - 1)
    upper = np.minimum(lower + 1, kept - 1)
    rows, weight = np.arange(size), place - lower
    entries = (np.concatenate([1 - weight, weight]), (np.tile(rows, 2), first + np.concatenate([lower, upper])))
    axis = csr_array(entries, shape=(size, size))
    return csr_array(kron(axis, axis))


def apply(mapping: csr_array, values: np.ndarray) -> np.ndarray:
    """The map of the pixels of (N, H, W) or (N, H, W, channels), which is the same in each image and channel."""
    count, height, width = values.shape[:3]
    pixels = values.reshape(count, height * width, -1)
    flat = np.ascontiguousarray(pixels.transpose(1, 0, 2)).reshape(height * width, -1)
    return (mapping @ flat).reshape(height * width, count, -1).transpose(1, 0, 2).reshape(values.shape)
