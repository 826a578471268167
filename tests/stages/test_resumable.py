"""A state is resumed where it was computed, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import torch

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
