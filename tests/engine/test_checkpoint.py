from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import resource
import socket
import subprocess
import sys
import threading
from collections import OrderedDict
from pathlib import Path

import numpy
import pytest
import torch

from amoc.engine.checkpoint import Checkpoint
from amoc.refusal import Refusal

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("AMOC_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return tmp_path / "checkpoints"


@pytest.fixture(scope="module")
def killed_runs(tmp_path_factory) -> dict:
    """What killed_runs.py saw."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "AMOC_CHECKPOINTS": str(tmp_path_factory.mktemp("killed"))}
    command = [sys.executable, str(HERE / "killed_runs.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def a_dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def leave_a_lock(checkpoint: Checkpoint, text: str) -> Path:
    checkpoint.folder.mkdir(parents=True)
    lock = checkpoint.folder / "lock"
    lock.write_text(text)
    return lock


# ---------------------------------------------------------------- load, save, finish


def test_without_a_state_there_is_nothing_to_load_and_nothing_stays(root):
    with Checkpoint("stage", {}) as checkpoint:
        assert checkpoint.load() is None
    assert list(root.iterdir()) == []


def test_a_later_run_loads_exactly_what_was_saved():
    torch.manual_seed(611)
    generator = torch.Generator().manual_seed(612)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": generator.get_state(),
        "bank": torch.randn(5, 2, dtype=torch.bfloat16),
        "weight": model[0].weight,
        "epoch": 3,
        "loss": 0.1 + 0.2,
        "clock": {"seconds": {"train": 1.5}, "counts": {}},
        "rows": [["a", 1, None], (True, -1.0)],
    }
    drawn_next = torch.rand(4, generator=generator)
    with Checkpoint("stage", {"a": 1}) as checkpoint:
        checkpoint.save(state)
    with Checkpoint("stage", {"a": 1}) as checkpoint:
        loaded = checkpoint.load()

    assert loaded.keys() == state.keys()
    assert isinstance(loaded["model"], OrderedDict)
    for name, tensor in state["model"].items():
        assert torch.equal(loaded["model"][name], tensor) and loaded["model"][name].dtype == tensor.dtype
    assert torch.equal(loaded["bank"], state["bank"]) and loaded["bank"].dtype == torch.bfloat16
    assert torch.equal(loaded["weight"], state["weight"])
    for name in ("epoch", "loss", "clock", "rows"):
        assert loaded[name] == state[name] and type(loaded[name]) is type(state[name])
    momentum = [entry["momentum_buffer"] for entry in optimizer.state.values()]
    other = torch.optim.SGD(model.parameters(), lr=0.5)
    other.load_state_dict(loaded["optimizer"])
    assert other.param_groups[0]["lr"] == 0.1
    for entry, buffer in zip(other.state.values(), momentum, strict=True):
        assert torch.equal(entry["momentum_buffer"], buffer)
    resumed = torch.Generator()
    resumed.set_state(loaded["generator"])
    assert torch.equal(torch.rand(4, generator=resumed), drawn_next)


def test_the_last_save_counts_and_no_other_file_is_kept():
    with Checkpoint("stage", {}) as checkpoint:
        for number in range(3):
            checkpoint.save({"number": number})
            assert checkpoint.load() == {"number": number}
        assert sorted(path.name for path in checkpoint.folder.iterdir()) == ["lock", "state.pt"]
    assert [path.name for path in checkpoint.folder.iterdir()] == ["state.pt"]


def test_an_exception_keeps_the_state_and_lets_go():
    with pytest.raises(ZeroDivisionError), Checkpoint("stage", {}) as checkpoint:
        checkpoint.save({"number": 1})
        _ = 1 / 0
    with Checkpoint("stage", {}) as checkpoint:
        assert checkpoint.load() == {"number": 1}


def test_finish_removes_all_that_was_there(root):
    with Checkpoint("stage", {}) as checkpoint:
        checkpoint.save({"number": 1})
        checkpoint.finish()
        assert list(root.iterdir()) == []
    with Checkpoint("stage", {}) as checkpoint:
        assert checkpoint.load() is None


def test_leaving_after_finish_does_not_touch_the_next_run():
    with Checkpoint("stage", {}) as first:
        first.finish()
        second = Checkpoint("stage", {}).__enter__()
        second.save({"number": 2})
    assert (second.folder / "lock").exists()
    with pytest.raises(Refusal), Checkpoint("stage", {}):
        raise AssertionError
    second.finish()


def test_outside_of_its_with_block_it_does_nothing():
    checkpoint = Checkpoint("stage", {})
    for use in (checkpoint.load, lambda: checkpoint.save({}), checkpoint.finish):
        with pytest.raises(RuntimeError, match="with block"):
            use()
    with checkpoint:
        checkpoint.finish()
        with pytest.raises(RuntimeError, match="with block"):
            checkpoint.save({})


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"loss": numpy.float64(1.0)}, "state['loss'] is a float64"),
        ({"rows": [1, numpy.zeros(2)]}, "state['rows'][1] is a ndarray"),
        ({"a": {"b": Path("x")}}, "state['a']['b'] is a PosixPath"),
        ({"a": {(1, Path("x")): 1}}, "a key of state['a'][1] is a PosixPath"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(value, name):
    with Checkpoint("stage", {}) as checkpoint:
        checkpoint.save({"number": 1})
        with pytest.raises(TypeError, match=re.escape(name)):
            checkpoint.save(value)
        assert checkpoint.load() == {"number": 1}


# ---------------------------------------------------------------- where it lies


def test_folder_is_named_by_stage_and_hash_of_the_identity(root):
    identity = {"b": [1, 2.5], "a": {"nested": None}}
    expected = hashlib.sha256(b'{"a": {"nested": null}, "b": [1, 2.5]}').hexdigest()[:16]
    assert Checkpoint("stage", identity).folder == root / f"stage-{expected}"
    assert Checkpoint("stage", dict(reversed(identity.items()))).folder == root / f"stage-{expected}"
    assert Checkpoint("stage", identity | {"b": [1, 2.6]}).folder != root / f"stage-{expected}"
    assert Checkpoint("other", identity).folder.name == f"other-{expected}"


def test_root_is_the_variable_then_dvc_then_here(monkeypatch):
    monkeypatch.setenv("AMOC_CHECKPOINTS", "/a")
    monkeypatch.setenv("DVC_ROOT", "/b")
    assert Checkpoint("stage", {}).folder.parent == Path("/a")
    monkeypatch.delenv("AMOC_CHECKPOINTS")
    assert Checkpoint("stage", {}).folder.parent == Path("/b/.checkpoints")
    monkeypatch.delenv("DVC_ROOT")
    assert Checkpoint("stage", {}).folder.parent == Path(".checkpoints")


def test_a_root_that_cannot_be_used_is_refused(root):
    root.write_text("a file, not a folder")
    with pytest.raises(Refusal, match=rf"{root}.*set AMOC_CHECKPOINTS"), Checkpoint("stage", {}):
        raise AssertionError


# ---------------------------------------------------------------- damage, other settings, full disk


def test_a_state_of_other_settings_is_refused():
    with Checkpoint("stage", {"epochs": 1}) as other:
        other.save({"number": 1})
    with Checkpoint("stage", {"epochs": 2}) as checkpoint:
        checkpoint.path.write_bytes(other.path.read_bytes())
        with pytest.raises(Refusal, match=f"{checkpoint.path} was saved with other settings"):
            checkpoint.load()


def test_every_truncation_is_refused():
    with Checkpoint("stage", {}) as checkpoint:
        checkpoint.save({"values": torch.arange(10)})
        whole = checkpoint.path.read_bytes()
        for length in (*range(0, len(whole), 20), len(whole) - 1):
            checkpoint.path.write_bytes(whole[:length])
            with pytest.raises(Refusal, match=f"{checkpoint.path} is damaged .*; remove it"):
                checkpoint.load()


def test_no_flipped_bit_changes_what_is_loaded():
    refused = 0
    with Checkpoint("stage", {}) as checkpoint:
        checkpoint.save({"values": torch.arange(40)})
        whole = checkpoint.path.read_bytes()
        positions = range(0, len(whole), 7)
        for position in positions:
            damaged = bytearray(whole)
            damaged[position] ^= 1 << position % 8
            checkpoint.path.write_bytes(damaged)
            try:
                loaded = checkpoint.load()  # padding and dates of the zip archive carry nothing
            except Refusal:
                refused += 1
            else:
                assert loaded.keys() == {"values"} and torch.equal(loaded["values"], torch.arange(40))
        values = whole.index(torch.arange(40).numpy().tobytes())
        for position in range(values, values + 320, 3):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << position % 8
            checkpoint.path.write_bytes(damaged)
            with pytest.raises(Refusal, match="damaged"):
                checkpoint.load()
    assert refused > len(positions) / 4


FULL = {
    "numpy": MemoryError(),
    "CPU": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    "GPU": torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
}


@pytest.mark.parametrize("full", FULL.values(), ids=FULL)
def test_a_state_is_not_called_damaged_where_memory_is_full(monkeypatch, full):
    """Whoever was told to remove it would lose hours."""

    def load(*arguments: object, **options: object) -> None:
        raise full

    with Checkpoint("stage", {}) as checkpoint:
        checkpoint.save({"number": 1})
        with monkeypatch.context() as patch, pytest.raises(type(full)):
            patch.setattr(torch, "load", load)
            checkpoint.load()
        assert checkpoint.load() == {"number": 1}


def test_a_file_that_runs_code_is_refused_without_running_it(tmp_path):
    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "pwned"),)

    with Checkpoint("stage", {}) as checkpoint:
        torch.save({"identity": "{}", "state": Malicious()}, checkpoint.path)
        with pytest.raises(Refusal, match="damaged"):
            checkpoint.load()
    assert not (tmp_path / "pwned").exists()


def test_a_full_disk_keeps_the_old_state(monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Checkpoint("stage", {}) as checkpoint:
        checkpoint.save({"number": 1})
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(Refusal, match=f"{checkpoint.path}: No space left on device"):
                checkpoint.save({"number": 2})
        assert checkpoint.load() == {"number": 1}
        assert sorted(path.name for path in checkpoint.folder.iterdir()) == ["lock", "state.pt"]


def test_a_disk_that_fills_while_writing_keeps_the_old_state():
    with Checkpoint("stage", {}) as checkpoint:
        checkpoint.save({"number": 1})
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # the kernel writes a part, then refuses
        try:
            with pytest.raises(Refusal, match=f"{checkpoint.path}: File too large"):
                checkpoint.save({"values": torch.zeros(100_000)})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert checkpoint.load() == {"number": 1}
        assert sorted(path.name for path in checkpoint.folder.iterdir()) == ["lock", "state.pt"]


# ---------------------------------------------------------------- who may run


def test_two_at_once_are_refused_and_the_holder_is_named(killed_runs):
    held = killed_runs["held"]
    assert f"{held['holder']} holds" in held["said"]
    assert held["others"] == "free"
    assert held["left"] == 7  # once it was killed


@pytest.mark.parametrize("whose", ["dead", "reused", "longer", "nobody", "half", "nonsense"])
def test_the_lock_of_a_killed_run_is_taken_over(whose):
    pid = {"dead": a_dead_process(), "reused": os.getppid()}.get(whose, 1)
    text = json.dumps({"pid": pid, "host": socket.gethostname()})
    longer = json.dumps({"pid": 1, "host": socket.gethostname(), "more": "x" * 100})
    text = {"nobody": "", "half": text[:9], "nonsense": "[1]", "longer": longer}.get(whose, text)
    checkpoint = Checkpoint("stage", {})
    lock = leave_a_lock(checkpoint, text)
    (checkpoint.folder / ".state.pt.1.tmp").write_bytes(b"half a state")
    with checkpoint:
        assert json.loads(lock.read_text()) == {"pid": os.getpid(), "host": socket.gethostname()}
        assert [path.name for path in checkpoint.folder.iterdir()] == ["lock"]
    assert not lock.exists()


def test_a_run_killed_on_another_machine_goes_on_here():
    """A container that starts again has another name, and so may the node of a requeued job."""
    checkpoint = Checkpoint("stage", {})
    with checkpoint:
        checkpoint.save({"step": 3})
    (lock := checkpoint.folder / "lock").write_text('{"pid": 123, "host": "elsewhere"}')
    with checkpoint:
        assert checkpoint.load() == {"step": 3}
        assert json.loads(lock.read_text())["host"] == socket.gethostname()


def test_of_many_that_rush_in_one_is_inside(tmp_path):
    """Each adds one to a number that only the one inside may read and write; half of them remove the folder as well."""
    number = tmp_path / "number"
    number.write_text("0")
    inside, most_inside, problems = 0, 0, []

    def rush(finishes: bool) -> None:
        nonlocal inside, most_inside
        entered = 0
        while entered < 25 and not problems:
            try:
                with Checkpoint("stage", {}) as checkpoint:
                    inside += 1
                    most_inside = max(most_inside, inside)
                    number.write_text(str(int(number.read_text()) + 1))
                    inside -= 1
                    if finishes:
                        checkpoint.finish()
                    entered += 1
            except Refusal as refusal:
                if "running already" not in str(refusal):
                    problems.append(refusal)
            except BaseException as problem:
                problems.append(problem)

    threads = [threading.Thread(target=rush, args=(position % 2 == 0,)) for position in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert most_inside == 1
    assert number.read_text() == "100"


# ---------------------------------------------------------------- killed at any moment


def test_killed_at_any_line_it_leaves_the_old_state_or_the_new_or_is_done(killed_runs):
    order = {1: 0, 2: 1, None: 2}  # the old, the new, finished
    positions = [order[number] for number in killed_runs["lines"]]
    assert positions == sorted(positions)
    assert set(positions) == {0, 1, 2}
    assert len(positions) > 60  # every line was a moment to be killed at


def test_killed_at_a_random_moment_it_leaves_the_last_state_saved(killed_runs):
    assert len(killed_runs["moments"]) == 10
    for run in killed_runs["moments"]:
        assert run["left"] in (run["returned"], run["returned"] + 1)
