"""A state is resumed where it was computed, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
import torch

from amoc.engine.clock import Clock
from amoc.engine.interruption import Interrupted, Stop
from stages import resumable

CPU, GPU = torch.device("cpu"), torch.device("cuda")
COMMANDS = [
    *("pretrain demo cifar10 amoc", "evaluate demo cifar10 amoc", "classify demo cifar10 standard"),
    *("attack demo cifar10 standard", "corrupt demo cifar10 standard"),
]


@pytest.fixture
def threads() -> Iterator[None]:
    """As many as there were, when the test is done."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_state_belongs_to_a_device_and_on_a_cpu_to_a_number_of_threads(threads, monkeypatch):
    folders = []
    for device, count, name in ((CPU, 1, ""), (CPU, 2, ""), (GPU, 1, "NVIDIA A"), (GPU, 1, "NVIDIA B")):
        torch.set_num_threads(count)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        one, same, other = (resumable.checkpoint("a stage", {"seed": seed}, device).folder for seed in (1, 1, 2))
        assert one == same != other
        folders += [one, other]
    assert len(set(folders)) == 8
    assert {folder.name[:8] for folder in folders} == {"a-stage-"}


def test_on_a_gpu_threads_do_not_count(threads, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A")
    folders = set()
    for count in (1, 2):
        torch.set_num_threads(count)
        folders.add(resumable.checkpoint("a stage", {}, GPU).folder)
    assert len(folders) == 1


def test_what_was_reached_and_the_seconds_until_then_are_taken_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AMOC_CHECKPOINTS", raising=False)
    seconds, stop = 0.0, Stop()

    def begin(work: Callable[[Any, Callable[[Any], None]], None]) -> Clock:
        nonlocal seconds
        clock = Clock(now=lambda: seconds)
        with resumable.checkpoint("a stage", {}, CPU) as checkpoint, clock.phase("total"):
            seconds += 10  # in which what is measured is read and prepared
            work(*resumable.resumed(checkpoint, clock, stop))
        return clock

    def first(reached: Any, save: Callable[[Any], None]) -> None:
        nonlocal seconds
        assert reached is None
        seconds += 100
        save({"batches": 1})
        seconds += 100
        stop.signal = 15
        save({"batches": 2})

    def second(reached: Any, save: Callable[[Any], None]) -> None:
        nonlocal seconds
        assert reached == {"batches": 2}
        seconds += 1000

    with pytest.raises(Interrupted):
        begin(first)
    stop.signal = None
    seconds = 0.0
    # 10 of each run's own, 200 saved and 1000 after: what was under way when a state was looked for counts once
    assert begin(second).plain()["seconds"] == {"total": 10 + 210 + 1000}


def test_without_a_state_nothing_counts_twice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AMOC_CHECKPOINTS", raising=False)
    ticks = iter(range(100))
    clock = Clock(now=lambda: next(ticks))
    with resumable.checkpoint("a stage", {}, CPU) as checkpoint:
        with clock.phase("total"):
            resumable.resumed(checkpoint, clock, Stop())
        assert clock.plain()["seconds"] == {"total": 1}


class Entered(Exception):
    """A stage is about to look for its state."""


@pytest.mark.parametrize("words", COMMANDS)
def test_every_stage_knows_its_state_by_where_it_is_computed(finished, words, monkeypatch):
    def enter(stage: str, identity: dict[str, Any]) -> None:
        assert identity["computed_on"] == {"device": "cpu", "threads": 1}
        assert len(identity) > 4 and identity["fingerprints"]
        assert stage.startswith(words.replace(" ", "-"))
        raise Entered

    monkeypatch.chdir(finished)
    monkeypatch.setattr(resumable, "Checkpoint", enter)
    name, *arguments = words.split()
    with pytest.raises(Entered):
        import_module(f"stages.{name}").main(*arguments)
