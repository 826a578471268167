from __future__ import annotations

import pytest

from benchmarks import timing
from benchmarks.timing import seconds_per_call, spread


def test_spread_is_quartiles_around_the_median():
    assert spread([5.0, 1.0, 2.0, 4.0, 3.0]) == (2, 3, 4)
    assert spread([7.0]) == (7, 7, 7)


def test_a_spread_is_said_by_its_median():
    assert f"{spread([5.0, 1.0, 2.0, 4.0, 3.0])}" == "3 (2 .. 4)"
    assert f"{spread([0.5]):.2f}" == "0.50 (0.50 .. 0.50)"


def test_a_block_of_calls_is_timed_as_a_whole(monkeypatch):
    called, looks = [], iter([10.0, 16.0])
    monkeypatch.setattr(timing, "settled_now", lambda: next(looks))
    assert seconds_per_call(lambda: called.append(1), 3) == pytest.approx(2)
    assert len(called) == 3
