"""A state is resumed where it was computed, and nowhere else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from amoc.engine.checkpoint import Checkpoint
from amoc.engine.clock import Clock
from amoc.engine.files import digest, read_json
from amoc.engine.interruption import Interrupted, Stop
from stages import evaluate, resumable

CPU, GPU = torch.device("cpu"), torch.device("cuda")
COMMANDS = [
    *("pretrain demo cifar10 amoc", "evaluate demo cifar10 amoc", "classify demo cifar10 standard"),
    *("classify demo cifar10 amoc_finetuned", "attack demo cifar10 standard", "corrupt demo cifar10 standard"),
]
_DATA, _ENCODER, _NETWORK = (
    f"{name}.safetensors" for name in ("data/demo/cifar10", "models/demo/cifar10/amoc", "models/demo/cifar10/standard")
)
READ = {  # files that change what is computed
    "pretrain demo cifar10 amoc": [_DATA],
    "evaluate demo cifar10 amoc": [_DATA, _ENCODER],
    "classify demo cifar10 standard": [_DATA],
    "classify demo cifar10 amoc_finetuned": [_DATA, _ENCODER],
    "attack demo cifar10 standard": [_DATA, _NETWORK, _NETWORK.replace(".", ".early_stopped.", 1)],
    "corrupt demo cifar10 standard": [_DATA, _NETWORK],
}


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


def test_the_state_of_attacks_never_outlives_that_of_the_training(finished, tmp_path, monkeypatch):
    """On a GPU what is trained anew would not be what was attacked."""
    ended, finish = [], Checkpoint.finish
    monkeypatch.setattr(Checkpoint, "finish", lambda each: ended.append(each.folder.name) or finish(each))
    monkeypatch.chdir(finished)
    evaluate.main("demo", "cifar10", "amoc", output=tmp_path)
    parts = [name.removeprefix("evaluate-demo-cifar10-amoc-").rpartition("-")[0] for name in ended]
    assert sorted(parts) == ["adev", "adev-attacked", "stdev", "stdev-attacked"]
    assert all(parts.index(f"{probe}-attacked") < parts.index(probe) for probe in ("adev", "stdev"))


class Entered(Exception):
    """A stage is about to look for its states, which are known by these."""


@pytest.fixture
def identities(finished, tmp_path, monkeypatch) -> Callable[..., list[dict[str, Any]]]:
    """What a command in a copy of the finished project knows its states by, in the order in which it asks for them."""
    copies = 0

    def ask(words: str, edit: Callable[[dict[str, Any]], object] = lambda raw: None, **options: Any) -> list:
        nonlocal copies
        copies += 1
        folder = shutil.copytree(finished, tmp_path / str(copies))
        monkeypatch.chdir(folder)
        raw = read_json(folder / "params.yaml")
        edit(raw)
        (folder / "params.yaml").write_text(json.dumps(raw))  # in its order: a recipe extends one above it
        name, *arguments = words.split()
        asked: list[dict[str, Any]] = []
        wanted = 2 * len(raw["probes"]) if name == "evaluate" else 1  # of each training, and of the attacks on it

        def enter(stage: str, identity: dict[str, Any]) -> AbstractContextManager:
            assert stage.startswith(words.replace(" ", "-"))
            asked.append(json.loads(json.dumps(identity)))
            if len(asked) == wanted:
                raise Entered
            return nullcontext()

        monkeypatch.setattr(resumable, "Checkpoint", enter)
        with pytest.raises(Entered):
            import_module(f"stages.{name}").main(*arguments, **options)
        return asked

    return ask


@pytest.mark.parametrize("words", COMMANDS)
def test_every_stage_knows_its_states_by_where_they_are_computed_and_by_all_that_it_reads(identities, words):
    for identity in identities(words):
        assert identity["computed_on"] == {"device": "cpu", "threads": 1}
        assert identity["fingerprints"]
        assert [file for file in READ[words] if digest(Path(file)) not in json.dumps(identity)] == []


@pytest.mark.parametrize(
    ("words", "path", "value", "changed"),
    [
        ("pretrain demo cifar10 amoc", "pretrain.amoc.temperature", 0.3, [True]),
        ("classify demo cifar10 standard", "recipes.standard.lr", 0.3, [True]),
        ("evaluate demo cifar10 amoc", "recipes.stdev.lr", 0.3, [True, True, False, False]),
        ("evaluate demo cifar10 amoc", "attacks.linf_pgd20.steps", 3, [False, True, False, True]),
        ("evaluate demo cifar10 amoc", "evaluate.seed", 7, [False, True, False, True]),
        ("attack demo cifar10 standard", "attacks.linf_pgd20.steps", 3, [True]),
        ("attack demo cifar10 standard", "evaluate.seed", 7, [True]),
        ("corrupt demo cifar10 standard", "evaluate.seed", 7, [True]),
    ],
)
def test_a_state_is_resumed_with_the_settings_that_it_was_made_with(identities, words, path, value, changed):
    """A state that does not depend on a setting outlives its change."""

    def edit(raw: dict[str, Any]) -> None:
        *sections, key = path.split(".")
        for section in sections:
            raw = raw[section]
        assert raw[key] != value
        raw[key] = value

    before, after = identities(words), identities(words, edit)
    assert [one != other for one, other in zip(before, after, strict=True)] == changed


def test_a_trial_has_a_state_of_its_own(identities, tmp_path):
    words, output = "pretrain demo cifar10 amoc", tmp_path / "elsewhere"
    whole, short = identities(words), identities(words, epochs=1, steps_per_epoch=1, output=output)
    assert whole != short != identities(words, epochs=1, steps_per_epoch=2, output=output)
