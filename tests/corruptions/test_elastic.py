"""The elastic distortion: SciPy's interpolation, and what an affine map does to three points."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from amoc.corruptions.elastic import elastic_transform, sample
from amoc.corruptions.pixels import to_unit
from tests.corruptions.conftest import is_cut_off

SETTINGS = ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))


@pytest.mark.parametrize(("repeat_edge", "mode"), [(True, "reflect"), (False, "mirror")])
def test_sampling_is_scipys(small, repeat_edge, mode):
    random = np.random.default_rng(1)
    y, x = random.uniform(-6, 13, (2, 3, 8, 8))
    ours = sample(to_unit(small), y, x, repeat_edge)
    for image in range(3):
        for channel in range(3):
            plane = to_unit(small[image, :, :, channel])
            theirs = map_coordinates(plane, (y[image], x[image]), order=1, mode=mode)
            assert np.allclose(ours[image, :, :, channel], theirs)


def test_sampling_at_the_pixels_changes_nothing(small):
    y, x = np.broadcast_to(np.mgrid[:8, :8][:, None], (2, 3, 8, 8)).astype(float)
    for repeat_edge in (True, False):
        assert np.array_equal(sample(to_unit(small), y, x, repeat_edge), to_unit(small))


@pytest.mark.parametrize("severity", range(1, 6))
def test_it_is_an_affine_map_and_then_a_smooth_displacement(small, streams, again, severity):
    stretch, smoothness, moved = (8 * setting for setting in SETTINGS[severity - 1])
    points = np.array([[6.0, 6.0], [6.0, 2.0], [2.0, 2.0]])  # x, y: the middle is 4, a third of the size is 2
    targets, fields = points + again.uniform(-moved, moved, 3, 2), again.uniform(-1, 1, 2, 8, 8)
    found = elastic_transform(small, severity, streams)
    for image in range(3):
        # forward matrix from two edges of the triangle, then inverted
        edges, moved_edges = ((p[1:] - p[0]).T for p in (points, targets[image]))
        inverse = np.linalg.inv(moved_edges @ np.linalg.inv(edges))
        shown = np.zeros((8, 8, 3))
        for y in range(8):
            for x in range(8):
                from_x, from_y = inverse @ (np.array([x, y]) - targets[image, 0]) + points[0]
                for c in range(3):
                    plane = to_unit(small[image, :, :, c])
                    shown[y, x, c] = map_coordinates(plane, [[from_y], [from_x]], order=1, mode="mirror")[0]
        right, down = (stretch * gaussian_filter(f, smoothness, mode="reflect", truncate=3) for f in fields[image])
        y, x = np.mgrid[:8, :8]
        expected = [map_coordinates(shown[..., c], (y + down, x + right), order=1, mode="reflect") for c in range(3)]
        assert is_cut_off(found[image], 255 * np.stack(expected, axis=-1))
