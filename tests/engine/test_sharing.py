"""Tasks in several processes: what comes back, what is raised, and that nothing outlives who shares them out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from amoc.engine import sharing
from amoc.engine.interruption import Interrupted, Stop, interruptible
from amoc.engine.sharing import in_parallel, processes
from amoc.refusal import Refusal

CPU = torch.device("cpu")
PATIENCE = 60  # seconds


def counting(name: str, upto: int) -> Iterator[str]:
    for number in range(upto):
        yield f"{name}{number}"


def failing(error: Exception) -> Iterator[int]:
    yield 1
    raise error


def waiting(stop: Stop, told: Path) -> Iterator[int]:
    """A task that works until it is asked to stop, then writes that it has saved."""
    yield os.getpid()
    for _ in range(100 * PATIENCE):
        if stop.requested:
            told.write_text("saved")
            raise Interrupted(stop.signal)
        time.sleep(0.01)


def gone(process: int) -> bool:
    """Whether it ends soon; dead but not yet buried, as where nobody waits for orphans, is gone too."""
    state = Path(f"/proc/{process}/stat")  # Linux: "pid (name) state ..."
    for _ in range(100 * PATIENCE):
        try:
            os.kill(process, 0)
            if state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("number", [1, 2, 3, 9])
def test_everything_comes_each_task_in_its_order(number):
    got = list(in_parallel({"a": counting("a", 3), "b": counting("b", 0), "c": counting("c", 20)}, number))
    assert sorted(got) == sorted([*(("a", f"a{n}") for n in range(3)), *(("c", f"c{n}") for n in range(20))])
    assert [item for name, item in got if name == "c"] == [f"c{n}" for n in range(20)]


def test_one_process_is_this_one_and_several_are_others():
    def whose() -> Iterator[int]:
        yield os.getpid()
        time.sleep(0.05)  # or the first would take all of them

    tasks = ("a", "b", "c", "d")
    assert {item for _, item in in_parallel({name: whose() for name in tasks}, 1)} == {os.getpid()}
    others = {item for _, item in in_parallel({name: whose() for name in tasks}, 2)}
    assert len(others) == 2
    assert os.getpid() not in others
    assert all(gone(other) for other in others)


def test_one_task_needs_no_other_process():
    assert list(in_parallel({"a": (os.getpid() for _ in range(1))}, 4)) == [("a", os.getpid())]


def test_gradients_and_tensors_of_another_process_are_those_of_this_one():
    weights = torch.linspace(-1, 1, 12).reshape(3, 4).requires_grad_()
    weights.square().sum().backward()  # as a stage that has computed before it shares out

    def gradient(scale: float) -> Iterator[torch.Tensor]:
        yield torch.autograd.grad((scale * weights).sin().sum(), weights)[0]

    here = dict(in_parallel({str(n): gradient(n) for n in (1, 2, 3)}, 1))
    there = dict(in_parallel({str(n): gradient(n) for n in (1, 2, 3)}, 2))
    assert all(torch.equal(here[name], there[name]) for name in here)


def test_what_a_task_raises_is_raised_with_its_place_and_ends_the_others(tmp_path):
    tasks = {"slow": waiting(Stop(), tmp_path / "told"), "bad": failing(Refusal("params.yaml: no"))}
    pids = []
    with pytest.raises(Refusal) as raised:
        for name, item in in_parallel(tasks, 2):
            if name == "slow":
                pids.append(item)
    assert str(raised.value) == "params.yaml: no"
    assert "in failing" in raised.value.__notes__[0]
    assert all(gone(pid) for pid in pids)
    assert not (tmp_path / "told").exists()


class Peculiar(Exception):
    def __init__(self, one: int, other: int) -> None:
        super().__init__("peculiar")


def test_an_error_that_cannot_be_passed_on_is_told():
    with pytest.raises(RuntimeError, match="Peculiar: peculiar"):
        list(in_parallel({"a": counting("a", 1), "b": failing(Peculiar(1, 2))}, 2))


def test_a_process_that_is_killed_is_one_sentence():
    def dying() -> Iterator[int]:
        yield 1
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(Refusal, match="ended with status -9: is there too little memory"):
        list(in_parallel({"a": counting("a", 1), "b": dying()}, 2))


def test_dropped_before_its_end_it_leaves_no_process(tmp_path):
    shared = in_parallel({name: waiting(Stop(), tmp_path / name) for name in "ab"}, 2)
    pids = [next(shared)[1], next(shared)[1]]
    shared.close()
    assert all(gone(pid) for pid in pids)


def test_a_request_to_stop_is_passed_on_and_all_save(tmp_path, capfd):
    """Also where a signal reached this process alone, as DVC's does; it is told once."""
    with interruptible() as stop:
        tasks = {name: waiting(stop, tmp_path / name) for name in "ab"}
        with pytest.raises(Interrupted) as raised:
            for asked, _ in enumerate(in_parallel(tasks, 2, stop), start=1):
                if asked == 2:
                    os.kill(os.getpid(), signal.SIGTERM)
    assert raised.value.signal == signal.SIGTERM
    assert str(raised.value) == "stopped by SIGTERM"
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}
    assert capfd.readouterr().err.count("stopping as soon as the state is saved") == 1


def test_killed_it_leaves_no_process(tmp_path):
    """SIGKILL leaves no time to end others: they notice by themselves, or they would hold the checkpoints' locks."""
    program = (
        "import os, time\n"
        "from amoc.engine.sharing import in_parallel\n"
        "def task():\n"
        "    yield os.getpid()\n"
        f"    time.sleep({PATIENCE})\n"
        "for _, pid in in_parallel({'a': task(), 'b': task()}, 2):\n"
        "    print(pid, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
        parent.stdout.close()
    assert all(gone(pid) for pid in pids)


@pytest.mark.parametrize(
    ("cores", "threads", "at_once", "device", "expected"),
    [
        (2, 1, None, "cpu", 2), (8, 1, None, "cpu", 8), (8, 1, "2", "cpu", 4), (2, 1, "2", "cpu", 1),
        (2, 1, "3", "cpu", 1), (8, 2, None, "cpu", 1), (8, 1, None, "cuda", 1),
    ],
)  # fmt: skip
def test_processes(cores, threads, at_once, device, expected, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    if at_once is None:
        monkeypatch.delenv("AMOC_STAGES_AT_ONCE", raising=False)
    else:
        monkeypatch.setenv("AMOC_STAGES_AT_ONCE", at_once)
    assert processes(torch.device(device)) == expected


def test_where_nothing_can_be_forked_there_is_one_process(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(sharing.multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    assert processes(CPU) == 1
