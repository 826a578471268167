from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from amoc.engine.clock import Clock, settled_now


class Time:
    """A time that passes only when told."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


def test_phases_add_up():
    now = Time(100.0)
    clock = Clock(now)
    for seconds in (1.0, 2.5):
        with clock.phase("train"):
            now.seconds += seconds
        now.seconds += 50  # between phases nobody counts
    with clock.phase("look"):
        now.seconds += 4
    assert clock.state() == {"seconds": {"train": 3.5, "look": 4.0}, "counts": {}}


def test_a_phase_inside_another_counts_for_both():
    now = Time(0.0)
    clock = Clock(now)
    with clock.phase("train"):
        now.seconds += 1
        with clock.phase("attack"):
            now.seconds += 2
        now.seconds += 4
    assert clock.plain()["seconds"] == {"attack": 2.0, "train": 7.0}


def test_a_phase_inside_itself_is_an_error():
    clock = Clock(Time(0.0))
    with clock.phase("train"), pytest.raises(ValueError, match="'train' has begun already"), clock.phase("train"):
        raise AssertionError


def test_an_exception_ends_the_phase():
    now = Time(0.0)
    clock = Clock(now)
    with pytest.raises(KeyError), clock.phase("train"):
        now.seconds += 3
        raise KeyError
    now.seconds += 5
    assert clock.plain()["seconds"] == {"train": 3.0}
    with clock.phase("train"):
        now.seconds += 1
    assert clock.plain()["seconds"] == {"train": 4.0}


def test_counts():
    clock = Clock(Time(0.0))
    clock.count("images", 128)
    clock.count("images", 72)
    clock.count("epochs", 1)
    assert clock.plain() == {"seconds": {}, "counts": {"epochs": 1, "images": 200}}


def test_a_resumed_run_keeps_its_seconds_and_loses_what_came_after_the_checkpoint():
    now = Time(1000.0)
    first = Clock(now)
    with first.phase("views"):
        now.seconds += 2
    with first.phase("train"):
        now.seconds += 10
        first.count("images", 64)
        saved = json.loads(json.dumps(first.state()))  # in the middle of a phase
        now.seconds += 7
        first.count("images", 64)
    assert saved == {"seconds": {"views": 2.0, "train": 10.0}, "counts": {"images": 64}}

    now = Time(3.0)  # another process, another zero
    second = Clock(now)
    with second.phase("views"):
        now.seconds += 2  # done again: counted once
    with second.phase("train"):
        now.seconds += 1  # to load the checkpoint
        second.restore(saved)
        now.seconds += 20
        second.count("images", 36)
        assert second.state() == {"seconds": {"views": 2.0, "train": 31.0}, "counts": {"images": 100}}
    assert second.state() == {"seconds": {"views": 2.0, "train": 31.0}, "counts": {"images": 100}}
    assert saved == {"seconds": {"views": 2.0, "train": 10.0}, "counts": {"images": 64}}


def test_state_does_not_stop_the_phase_or_change_later():
    now = Time(0.0)
    clock = Clock(now)
    with clock.phase("train"):
        now.seconds += 1
        early = clock.state()
        now.seconds += 1
        assert clock.state()["seconds"] == {"train": 2.0}
    assert early["seconds"] == {"train": 1.0}
    assert clock.state()["seconds"] == {"train": 2.0}


def test_plain_is_sorted_rounded_and_ready_for_json():
    now = Time(0.0)
    clock = Clock(now)
    for name, seconds in (("b", 1.23456), ("a", 0.0004)):
        with clock.phase(name):
            now.seconds += seconds
    clock.count("z", 1)
    clock.count("y", 2)
    assert json.dumps(clock.plain()) == '{"seconds": {"a": 0.0, "b": 1.235}, "counts": {"y": 2, "z": 1}}'


@pytest.mark.parametrize(("in_use", "expected"), [(True, ["synchronize", "read"]), (False, ["read"])])
def test_time_is_read_after_a_gpu_has_done_its_work(monkeypatch, in_use, expected):
    calls = []
    cuda = SimpleNamespace(is_initialized=lambda: in_use, synchronize=lambda: calls.append("synchronize"))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    monkeypatch.setattr("time.perf_counter", lambda: calls.append("read") or 5.0)
    assert settled_now() == 5.0
    assert calls == expected


def test_time_is_read_without_torch(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr("time.perf_counter", lambda: 5.0)
    assert settled_now() == 5.0
    assert "torch" not in sys.modules


def test_a_clock_takes_over_seconds_and_counts_of_others():
    one, other = Clock(), Clock()
    one.add({"seconds": {"train": 1.5, "total": 2.0}, "counts": {"images": 4}})
    other.add({"seconds": {"train": 1.0}, "counts": {"images": 3, "steps": 1}})
    one.add(other.state())
    assert one.state() == {"seconds": {"train": 2.5, "total": 2.0}, "counts": {"images": 7, "steps": 1}}
