"""Each image's own random numbers."""

from __future__ import annotations

import numpy as np
import pytest

from amoc.corruptions.streams import Streams


def test_an_image_draws_the_same_in_any_batch_and_order():
    drawn = Streams(1, "fog", 3, numbers=range(5)).normal(4, 2)
    assert drawn.shape == (5, 4, 2)
    assert np.array_equal(Streams(1, "fog", 3, numbers=[3, 1]).normal(4, 2), drawn[[3, 1]])


@pytest.mark.parametrize("other", [(2, "fog", 3), (1, "snow", 3), (1, "fog", 4), (1, "fog", "3")])
def test_another_seed_or_purpose_draws_something_else(other):
    mine, theirs = (Streams(*purpose, numbers=[0]).uniform(0, 1, 8) for purpose in ((1, "fog", 3), other))
    assert not np.intersect1d(mine, theirs).size


def test_images_do_not_share_numbers_however_many_they_draw():
    drawn = Streams(1, "noise", numbers=[0, 1, 9999]).uniform(0, 1, 10_000)
    assert len(np.unique(drawn)) == drawn.size


def test_draws_have_their_distribution():
    streams = Streams(1, "moments", numbers=range(20))
    normal, uniform = streams.normal(5000), streams.uniform(-2, 4, 5000)
    assert normal.mean() == pytest.approx(0, abs=0.015) and normal.std() == pytest.approx(1, abs=0.01)
    assert -2 <= uniform.min() < -1.99 and 3.99 < uniform.max() < 4 and uniform.mean() == pytest.approx(1, abs=0.03)
    assert set(np.unique(streams.integers(-1, 1, 100))) == {-1, 0}
    counts = streams.poisson(np.full((20, 5000), 7.0))
    assert counts.mean() == pytest.approx(7, abs=0.05) and counts.var() == pytest.approx(7, abs=0.15)
