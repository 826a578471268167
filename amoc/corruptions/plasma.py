"""Clouds: a fractal surface by the diamond-square algorithm."""

from __future__ import annotations

import numpy as np

from amoc.corruptions.streams import Streams


def plasma(streams: Streams, size: int, decay: float) -> np.ndarray:
    """Heights (N, size, size) in [0, 1], of a surface that repeats itself, as the published code makes it.

    A grid is refined until it has every point: each new point is the mean of the four around it and noise, whose
    amplitude falls by decay^2 with each refinement (the published code multiplies by the amplitude twice). The grid has
    the next power of two of points; a smaller size is its corner.
    """
    points = 1 << (size - 1).bit_length()
    noise = streams.uniform(-1, 1, points, points)  # each point is made once
    heights = np.zeros_like(noise)
    step, amplitude = points, 100.0
    while step >= 2:
        half = step // 2
        on, between = slice(0, None, step), slice(half, None, step)
        corners = heights[:, on, on]

        def fill(rows: slice, columns: slice, around: np.ndarray, scale: float) -> None:
            heights[:, rows, columns] = around / 4 + scale * noise[:, rows, columns]

        pairs = corners + np.roll(corners, -1, axis=1)
        fill(between, between, pairs + np.roll(pairs, -1, axis=2), amplitude**2)
        centres = heights[:, between, between]
        for axis, rows, columns in ((1, on, between), (2, between, on)):
            around = centres + np.roll(centres, 1, axis=axis) + corners + np.roll(corners, -1, axis=3 - axis)
            fill(rows, columns, around, amplitude**2)
        step, amplitude = half, amplitude / decay
    heights -= heights.min(axis=(1, 2), keepdims=True)
    return (heights / heights.max(axis=(1, 2), keepdims=True))[:, :size, :size]
