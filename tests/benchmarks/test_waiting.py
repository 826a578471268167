"""How a step's threads wait: that each policy reaches its process. What it costs is the machine's business."""

from __future__ import annotations

import json
import multiprocessing
import os
import time

import psutil
import pytest

from amoc.params import Params
from benchmarks import waiting
from benchmarks.alone import Measured, alone
from benchmarks.timing import Spread
from benchmarks.waiting import POLICIES, environment, table, used_by
from stages import SPINS
from tests.benchmarks.conftest import ROOT

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def test_processes_within_have_a_policys_variables_and_no_others(monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    with environment({"OMP_WAIT_POLICY": "PASSIVE"}):
        assert alone(os.getenv, "OMP_WAIT_POLICY") == "PASSIVE"
        assert [os.getenv(name) for name in NAMES] == [None, "PASSIVE"]
    assert [os.getenv(name) for name in NAMES] == ["7", None]
    with pytest.raises(KeyError), environment({"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "8"}):
        raise KeyError
    assert [os.getenv(name) for name in NAMES] == ["7", None]


def test_others_use_the_machine_within_and_no_longer():
    before = set(multiprocessing.active_children())
    with used_by(2):
        others = set(multiprocessing.active_children()) - before
        assert len(others) == 2
        for other in others:
            spent = psutil.Process(other.pid).cpu_times
            first = spent().user
            assert any(spent().user > first + 0.2 for _ in range(3000) if not time.sleep(0.01))  # it never waits
    assert not any(other.is_alive() for other in others)


@pytest.fixture
def asked(monkeypatch) -> list[tuple[int, dict[str, str]]]:
    """Threads and variables of each measurement asked for; the n-th is n seconds."""
    asked = []

    def alone(work, settings, engine, precision, **options):
        asked.append((engine.threads, {name: os.environ[name] for name in NAMES if name in os.environ}))
        return Measured(Spread(0.0, float(len(asked)), 99.0), 0)

    monkeypatch.setattr(waiting, "alone", alone)
    return asked


def test_every_policy_is_measured_with_its_threads_on_an_idle_and_a_busy_machine(asked, small, engine):
    two = engine.model_copy(update={"threads": 2})
    seconds = waiting.waiting(small(), two, "float32", blocks=2, steps=1, busy=1)
    assert asked == 4 * [
        (1, {}), (2, {"GOMP_SPINCOUNT": SPINS}), (2, {"OMP_WAIT_POLICY": "PASSIVE"}), (2, {"GOMP_SPINCOUNT": "300000"}),
    ]  # fmt: skip
    assert [each.median for each in seconds["idle"].values()] == [3, 4, 5, 6]  # of 1 and 5, 2 and 6 ...
    assert seconds["busy"]["one thread"] == Spread(10.0, 11.0, 12.0)


def test_table():
    seconds = {"idle": dict.fromkeys(POLICIES, Spread(1, 2, 3)), "busy": dict.fromkeys(POLICIES, Spread(4, 5, 6))}
    lines = table(seconds).splitlines()
    assert lines[1].split() == ["one", "thread", "2", "(1", "..", "3)", "5", "(4", "..", "6)"]
    assert [line.split("  ")[0] for line in lines[1:]] == list(POLICIES)


def test_command_ends_with_a_line_of_json(asked, monkeypatch, capsys):
    params = Params.load(ROOT / "params.yaml")
    monkeypatch.setattr(Params, "load", lambda: params)
    monkeypatch.setattr(waiting, "cores", lambda: 3)
    waiting.main(profile="small", precision="float32", batch_size=None, blocks=1, steps=1, busy=1)
    *_, last = capsys.readouterr().out.splitlines()
    told = json.loads(last)
    assert (told["threads"], told["busy"], told["batch_size"], told["dtype"]) == (3, 1, 64, "float32")
    assert told["step_seconds"] == {
        "idle": dict(zip(POLICIES, (1, 2, 3, 4), strict=True)), "busy": dict(zip(POLICIES, (5, 6, 7, 8), strict=True))
    }  # fmt: skip
    assert [threads for threads, _ in asked] == 2 * [1, 3, 3, 3]
