"""Started by test_kills.py: runs stage commands in forked children and stops them at a chosen moment.

A process of its own, because forking is only safe where nothing else runs; a single one, because torch loads slowly.
It answers each line of stdin, a request, with a line of stdout, both in JSON:

    {"folder": the project's, "command": ["pretrain", "demo", ...], "signal": 9, "at": [name, 2], or null for never,
     "cores": that the machine seems to have}
    {"status": exit status, or minus the signal that ended it, "said": on stderr, "moments": [name, ...], if it exited}

A moment is a call, once there is a checkpoint, of a function in amoc/ or stages/, or of one that makes a write last:
os.fsync or os.replace; processes that the stage shares its work with have none. (What comes before, two thirds of all
calls, resolves settings and writes nothing.) The signal comes at the second moment of that name, or of any name if it
is empty.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch

from amoc.classifying import loop as classifying
from amoc.engine import peak
from amoc.engine.checkpoint import Checkpoint
from amoc.engine.clock import STAGES_AT_ONCE
from amoc.params import Params
from amoc.pretraining import loop as pretraining
from stages import command
from tests.stages import tiny

OURS = (f"{tiny.ROOT}/amoc/", f"{tiny.ROOT}/stages/")
WRITES = (os.fsync, os.replace)
MAINS = {
    name: import_module(f"stages.{name}").main for name in ("pretrain", "evaluate", "classify", "attack", "corrupt")
}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as said:
        pid = os.fork()
        if pid == 0:
            run(request, said.fileno(), writing)
        os.close(writing)
        with open(reading, encoding="utf-8") as pipe:
            moments = pipe.read()
        _, status = os.waitpid(pid, 0)
        said.seek(0)
        spoken = said.read().decode()
    return {"status": os.waitstatus_to_exitcode(status), "said": spoken, "moments": json.loads(moments or "[]")}


def run(request: dict[str, Any], said: int, writing: int) -> NoReturn:
    """In the child: the stage as its command line runs it."""
    os.chdir(request["folder"])
    os.sched_getaffinity = lambda _: set(range(request["cores"]))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(said, 2)
    sys.argv = request["command"]
    name, left = request["at"] or ("never", 0)
    moments: list[str] = []
    process = os.getpid()

    def watch(frame: FrameType, event: str, argument: object) -> None:
        nonlocal left
        if os.getpid() != process:  # one that shares the stage's work
            return
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            moments.append(frame.f_code.co_qualname)
        elif event == "c_call" and argument in WRITES:
            moments.append(argument.__name__)
        else:
            return
        left -= name in ("", moments[-1])
        if left == 0 and name in ("", moments[-1]):
            os.kill(os.getpid(), request["signal"])

    enter = Checkpoint.__enter__

    def enter_and_watch(checkpoint: Checkpoint) -> Checkpoint:
        entered = enter(checkpoint)
        sys.setprofile(watch)
        return entered

    Params.load = lambda: Params(json.loads(Path("params.yaml").read_text()))  # as JSON, which is read at once
    Checkpoint.__enter__ = enter_and_watch
    try:
        command.run(MAINS[request["command"][0]])
    except SystemExit as ending:
        sys.setprofile(None)
        with open(writing, "w", encoding="utf-8") as pipe:
            json.dump(moments, pipe)
        os._exit(ending.code or 0)
    finally:
        os._exit(1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    tiny.shorten_autoattack()
    peak.SECONDS = 0.0  # one product of matrices
    for loop in (pretraining.pretrain, classifying.train_classifier):
        loop.__kwdefaults__["save_every"] = 0.0  # after each epoch
    for variable in ("DVC_ROOT", "AMOC_CHECKPOINTS", STAGES_AT_ONCE):
        os.environ.pop(variable, None)
    gc.freeze()  # children need not look through what was imported
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
