"""Images by formula, smooth and coloured, and random ones."""

from __future__ import annotations

import numpy as np
import pytest

from amoc.corruptions.streams import Streams


def smooth_images(count: int, size: int) -> np.ndarray:
    """uint8 (count, size, size, 3), all different, with every level of brightness."""
    n, y, x, c = np.meshgrid(*(np.arange(k) for k in (count, size, size, 3)), indexing="ij")
    wave = np.sin(0.7 * n + (0.25 + 0.03 * n) * x + (0.2 + 0.05 * c) * y + 1.3 * c)
    return np.rint(127.5 * (1 + wave)).astype(np.uint8)


def is_cut_off(found: np.ndarray, exact: np.ndarray) -> bool:
    """Whether uint8 values are these, 0 ... 255, cut off; a whole number may have been rounded down before."""
    return bool(((found == np.floor(exact + 1e-6)) | (found == np.floor(exact - 1e-6))).all())


@pytest.fixture(params=[32, 8], ids=["32x32", "8x8"])
def images(request: pytest.FixtureRequest) -> np.ndarray:
    return smooth_images(6, request.param)


@pytest.fixture
def small() -> np.ndarray:
    """Small enough for loops: (3, 8, 8, 3), of which the last is random."""
    images = smooth_images(3, 8)
    images[2] = np.random.default_rng(4).integers(0, 256, images[2].shape)
    return images


@pytest.fixture
def streams() -> Streams:
    """For the three images of `small`."""
    return Streams(3, "test", numbers=range(3))


@pytest.fixture
def again() -> Streams:
    """The same from the beginning."""
    return Streams(3, "test", numbers=range(3))
