"""A stage that is killed at any moment goes on where its state was saved, and writes what it would have written."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from amoc import datasets
from amoc.params import Params
from stages import paths
from stages.command import USER_ERROR
from tests.stages import tiny

HERE = Path(__file__).resolve().parent

COMMANDS = {
    "pretrain": ["pretrain", "demo", "cifar10", "amoc"],
    "evaluate": ["evaluate", "demo", "cifar10", "amoc"],
    "peers": ["evaluate", "demo", "cifar10", "amoc", "--protocols", "peers"],
    "transfer": ["evaluate", "demo", "cifar10", "amoc", "--on", "cifar100"],
    "classify": ["classify", "demo", "cifar10", "standard"],
    "attack": ["attack", "demo", "cifar10", "standard"],
    "corrupt": ["corrupt", "demo", "cifar10", "standard"],
}
STEP = {
    "pretrain": "AMOC.update", "evaluate": "train_step", "peers": "_attack", "transfer": "train_step",
    "classify": "train_step", "attack": "_attack", "corrupt": "count.<locals>.counted",
}  # fmt: skip
LAST_WRITE = {
    "pretrain": "write_curve", "evaluate": "record", "peers": "record", "transfer": "record",
    "classify": "write_curve", "attack": "write_json", "corrupt": "write_json",
}  # fmt: skip

Answer = dict[str, Any]  # of killed_stages.py
Ask = Callable[..., Answer]
every_stage = pytest.mark.parametrize("stage", COMMANDS)


@dataclass(frozen=True)
class Rehearsed:
    """A stage that nobody stopped: the project before it, what it wrote, and the moments that it went through."""

    before: dict[str, bytes]
    after: dict[str, bytes]
    moments: list[str]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Run a stage of a project in a process of its own, in which `at` some moment a signal comes."""
    environment = {**os.environ, "PYTHONPATH": str(tiny.ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, HERE / "killed_stages.py"], env=environment, text=True, **pipes) as server:

        def ask(
            folder: Path, stage: str, at: tuple[str, int] | None = None, number: int = signal.SIGKILL, cores: int = 1
        ) -> Answer:
            command = COMMANDS[stage]
            request = {"folder": str(folder), "command": command, "at": at, "signal": number, "cores": cores}
            print(json.dumps(request), file=server.stdin, flush=True)
            return json.loads(server.stdout.readline())

        yield ask
        server.kill()


def _attack_briefly(raw: tiny.Raw) -> None:
    """AutoAttack once, on a network that it does not break at once; others get what is cheap. Three batches."""
    raw["evaluate"]["batch_size"] = 8
    cheap = {"early_stopped": ["linf_pgd20"], "peers": ["linf_pgd20_peers", "linf_pgd20"]}
    raw["suites"] |= {"table5": ["linf_autoattack", "linf_pgd20"], **cheap}
    raw["profiles"]["demo"]["attacks"]["linf_autoattack"]["images"] = 24
    raw["profiles"]["demo"]["epsilon"]["linf"] = 0.01


@pytest.fixture(scope="module")
def rehearsed(ask: Ask, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rehearsed]:
    folder = tiny.project(tmp_path_factory.mktemp("rehearsal"), _attack_briefly)
    images = datasets.build("cifar100", Params.load(folder / "params.yaml").data("demo"), None, folder)
    datasets.write(images, folder / paths.data("demo", "cifar100"))
    stages = {}
    for stage in COMMANDS:
        before = tiny.contents(folder)
        ended = ask(folder, stage)
        assert (ended["status"], ended["said"]) == (0, "")
        stages[stage] = Rehearsed(before, tiny.reproducible(folder), ended["moments"])
    return stages


@pytest.fixture
def project(rehearsed: dict[str, Rehearsed], stage: str, tmp_path: Path) -> Path:
    """The project as it was before the stage."""
    return restored(rehearsed[stage], tmp_path / "project")


def restored(rehearsal: Rehearsed, folder: Path) -> Path:
    for name, content in rehearsal.before.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def assert_as_rehearsed(folder: Path, rehearsal: Rehearsed) -> None:
    """The same bytes, and no state left to resume."""
    written = {name: content for name, content in tiny.reproducible(folder).items() if not name.endswith(".tmp")}
    assert written.keys() == rehearsal.after.keys()
    assert [name for name in written if written[name] != rehearsal.after[name]] == []
    assert tiny.contents(folder / ".checkpoints") == {}


@pytest.mark.parametrize(
    "stage", [pytest.param(stage, marks=[pytest.mark.slow] if stage == "evaluate" else []) for stage in COMMANDS]
)
def test_killed_within_writes_and_elsewhere(ask, rehearsed, project, stage):
    moments = rehearsed[stage].moments
    somewhere = random.Random(stage).randrange(1, len(moments) // 4)
    chain = [("fsync", 1), ("replace", 2), ("", somewhere), (LAST_WRITE[stage], 1), ("Checkpoint.finish", 1)]
    for moment in chain:
        assert ask(project, stage, at=moment)["status"] == -signal.SIGKILL, moment
    ended = ask(project, stage)
    assert ended["status"] == 0
    assert ended["moments"].count(STEP[stage]) < moments.count(STEP[stage])
    assert_as_rehearsed(project, rehearsed[stage])


@pytest.mark.slow
@every_stage
def test_killed_at_ten_random_moments(ask, rehearsed, stage, tmp_path):
    """Again and again until it is done; then another one from the beginning, until ten kills have come."""
    moments = random.Random(f"ten of {stage}")
    kills, number = 0, 0
    while kills < 10:
        number += 1
        folder, status = restored(rehearsed[stage], tmp_path / str(number)), -signal.SIGKILL
        while status == -signal.SIGKILL:
            status = ask(folder, stage, at=("", moments.randrange(1, len(rehearsed[stage].moments))))["status"]
            kills += status == -signal.SIGKILL
        assert status == 0
        assert_as_rehearsed(folder, rehearsed[stage])


@pytest.mark.slow
@every_stage
def test_killed_at_every_step_of_every_write(ask, rehearsed, stage, tmp_path):
    for call in ("fsync", "replace"):
        writes = rehearsed[stage].moments.count(call)
        assert writes >= 5
        for number in range(1, writes + 1):
            folder = restored(rehearsed[stage], tmp_path / f"{call}{number}")
            assert ask(folder, stage, at=(call, number))["status"] == -signal.SIGKILL
            assert ask(folder, stage)["status"] == 0
            assert_as_rehearsed(folder, rehearsed[stage])


@pytest.mark.parametrize(
    ("stage", "number", "status"),
    [("pretrain", signal.SIGTERM, 143), ("classify", signal.SIGINT, 130), ("attack", signal.SIGTERM, 143),
     ("peers", signal.SIGTERM, 143),
     ("corrupt", signal.SIGINT, 130),
     pytest.param("evaluate", signal.SIGINT, 130, marks=pytest.mark.slow)],
)  # fmt: skip
def test_asked_to_stop_it_saves_where_it_is(ask, rehearsed, project, stage, number, status):
    steps = rehearsed[stage].moments.count(STEP[stage])
    asked = ask(project, stage, at=(STEP[stage], 2), number=number)
    assert asked["status"] == status
    said = f"{COMMANDS[stage][0]}: interrupted; the same command goes on from what is saved"
    assert asked["said"].splitlines()[-1] == said
    assert tiny.reproducible(project) == {name: rehearsed[stage].before[name] for name in tiny.reproducible(project)}
    assert any(name.endswith("/state.pt") for name in tiny.contents(project / ".checkpoints"))
    again = ask(project, stage)
    assert again["status"] == 0
    assert again["moments"].count(STEP[stage]) == steps - 2
    assert_as_rehearsed(project, rehearsed[stage])


def patiently(ask: Ask, *arguments: Any, **options: Any) -> Answer:
    """Processes whose parent was killed end at once, but until then they hold the locks that it held."""
    for _ in range(100):
        answer = ask(*arguments, **options)
        if answer["status"] != USER_ERROR or "is running already" not in answer["said"]:
            break
        time.sleep(0.05)
    return answer


@pytest.mark.parametrize("stage", ["attack", "peers"])
def test_killed_while_several_processes_share_it(ask, rehearsed, project, stage):
    """And one alone finishes what they left."""
    for moment in (("in_parallel", 2), ("in_parallel", 3), ("_leave", 1), (LAST_WRITE[stage], 1)):
        assert patiently(ask, project, stage, at=moment, cores=3)["status"] == -signal.SIGKILL, moment
    assert patiently(ask, project, stage)["status"] == 0
    assert_as_rehearsed(project, rehearsed[stage])


@pytest.mark.parametrize("stage", ["attack", "peers"])
def test_asked_to_stop_while_several_processes_share_it(ask, rehearsed, project, stage):
    """By a signal to one process alone, as DVC sends it."""
    asked = ask(project, stage, at=("in_parallel", 2), number=signal.SIGTERM, cores=3)
    assert asked["status"] == 143
    assert asked["said"].count("stopping as soon as the state is saved") == 1
    assert any(name.endswith("/state.pt") for name in tiny.contents(project / ".checkpoints"))
    again = ask(project, stage, cores=2)
    assert (again["status"], again["said"]) == (0, "")
    assert_as_rehearsed(project, rehearsed[stage])
