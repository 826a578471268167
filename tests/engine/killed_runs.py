"""Started by test_checkpoint.py: forks runs that use a checkpoint, kills them, prints as JSON what they leave to load.

A process of its own, because forking is only safe where nothing else runs; one, because importing torch is slow.

    held      who is named while another run is inside, and what comes after its death
    lines     one run for each line of code between entering and leaving, killed at that line
    moments   ten runs that save without end, each killed after a random time
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable
from itertools import count
from types import FrameType

import torch

from amoc.engine.checkpoint import Checkpoint
from amoc.refusal import Refusal

IDENTITY = {"settings": "of the killed"}


def state(number: int) -> dict:
    return {"number": number, "values": torch.full((5_000,), number), "nested": [{"again": number}]}


def what_is_left() -> int | None:
    """The number of the state that a new run finds; it must be able to enter, and the state must be of one piece."""
    with Checkpoint("killed", IDENTITY) as checkpoint:
        loaded = checkpoint.load()
        litter = sorted(path.name for path in checkpoint.folder.iterdir() if path.name not in ("state.pt", "lock"))
        assert not litter, litter
    if loaded is None:
        return None
    number = loaded["number"]
    assert (loaded["values"] == number).all() and loaded["nested"] == [{"again": number}], "two states in one file"
    return number


def fork(child: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(0)
    return pid


def was_killed(pid: int) -> bool:
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        assert os.waitstatus_to_exitcode(status) == 0
        return False
    assert os.WTERMSIG(status) == signal.SIGKILL
    return True


def kill_at_line(number: int) -> None:
    """Kill this process at the line of that number, counting the lines as they run in checkpoint.py and files.py."""
    lines = count(1)

    def trace(frame: FrameType, event: str, argument: object) -> Callable | None:
        if not frame.f_code.co_filename.endswith(("engine/checkpoint.py", "engine/files.py")):
            return None
        if event == "line" and next(lines) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def held() -> dict:
    reading, writing = os.pipe()

    def stay_inside() -> None:
        with Checkpoint("killed", IDENTITY) as checkpoint:
            checkpoint.save(state(7))
            os.write(writing, b".")
            signal.pause()

    pid = fork(stay_inside)
    os.read(reading, 1)
    try:
        with Checkpoint("killed", IDENTITY):
            said = "nothing"
    except Refusal as refusal:
        said = str(refusal)
    with Checkpoint("killed", {"other": "settings"}), Checkpoint("another stage", IDENTITY):
        others = "free"
    os.kill(pid, signal.SIGKILL)
    assert was_killed(pid)
    holder = f"process {pid} on {socket.gethostname()}"
    return {"holder": holder, "said": said, "others": others, "left": what_is_left()}


def at_every_line() -> list[int | None]:
    left = []
    for number in count(1):
        with Checkpoint("killed", IDENTITY) as checkpoint:
            checkpoint.save(state(1))

        def use(number: int = number) -> None:
            kill_at_line(number)
            with Checkpoint("killed", IDENTITY) as checkpoint:
                checkpoint.load()
                checkpoint.save(state(2))
                checkpoint.finish()

        killed = was_killed(fork(use))
        left.append(what_is_left())
        if not killed:  # there was no such line any more
            return left


def at_random_moments() -> list[dict]:
    """For each child the last save that had returned, and what was left."""
    left = []
    for _ in range(10):
        reading, writing = os.pipe()

        def save_without_end(writing: int = writing) -> None:
            with Checkpoint("killed", IDENTITY) as checkpoint:
                for number in count(1):
                    checkpoint.save(state(number))
                    os.write(writing, b".")

        pid = fork(save_without_end)
        os.close(writing)
        returned = len(os.read(reading, 1))
        time.sleep(random.uniform(0.001, 0.05))
        os.kill(pid, signal.SIGKILL)
        assert was_killed(pid)
        while more := os.read(reading, 1000):
            returned += len(more)
        os.close(reading)
        left.append({"returned": returned, "left": what_is_left()})
    return left


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({"held": held(), "lines": at_every_line(), "moments": at_random_moments()}))
