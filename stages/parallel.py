"""python -m stages.parallel [TARGET ...]: `dvc repro`, but with several stages at a time."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from amoc.engine.clock import STAGES_AT_ONCE
from amoc.engine.interruption import Interrupted, interruptible
from amoc.params import Params
from amoc.refusal import Refusal
from stages import command
from stages.pipeline import Pending, Targets, pending
from stages.recorder import Recorder
from stages.settings import foreseen

POLL_SECONDS = 1.0  # between two looks at whether a signal has come


def main(
    targets: Targets = None,
    jobs: Annotated[int, typer.Option(min=1, help="Stages at a time: as many as there are cores for them.")] = 2,
) -> None:
    """Run what `dvc repro` would run, each stage as soon as what it needs is there.

    For stages of one thread, as the demo's are: two of them share two cores better than two threads of one.
    """
    profile, before = Params.load().profile, None
    while stages := _stale(targets or (), profile):  # again: what a stage writes may make others run, and so may edits
        names = [stage.name for stage in stages]
        if names == before:
            raise Refusal(f"DVC has run {', '.join(names)} and still finds them out of date: see `dvc status`")
        run(stages, jobs)
        before = names


def _stale(targets: Collection[str], profile: str) -> list[Pending]:
    return pending(targets, profile, foreseen(Params.load(), profile), restore=True)


def run(stages: Collection[Pending], jobs: int) -> None:
    """Run stages, each after those that it waits for.

    Raises:
        Refusal: one of them failed. Those that were running have come to their end, no other was begun.
        Interrupted: by a signal. Those that were running have saved their state, if they have one.
    """
    waiting, done, failed = {stage.name: stage for stage in stages}, set[str](), list[str]()
    running: dict[Future[int], str] = {}
    errors: list[BaseException] = []  # of ours, not of a stage's command
    environment, told = _environment(min(jobs, len(stages))), False
    with interruptible() as stop, Recorder() as recorder, ThreadPoolExecutor(jobs) as pool, _killing(recorder):
        while waiting or running:
            ready = [name for name, stage in waiting.items() if stage.after <= done]
            for name in ready[: jobs - len(running)] if not (failed or stop.requested) else ():
                del waiting[name]
                running[pool.submit(recorder.reproduce, name, environment)] = name
            if not running:
                break
            if stop.requested and not told:
                recorder.end(signal.SIGTERM)
                told = True
            for future in wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                if error := future.exception():
                    errors.append(error)
                (done.add if not error and future.result() == 0 else failed.append)(name)
    if errors:
        raise errors[0]
    if stop.signal is not None:
        raise Interrupted(stop.signal)
    if failed:
        raise Refusal(f"{', '.join(failed)} failed: see above")


@contextmanager
def _killing(recorder: Recorder) -> Iterator[None]:
    """A second Ctrl-C ends the stages at once."""
    try:
        yield
    except KeyboardInterrupt:
        recorder.end(signal.SIGKILL)
        raise


def _environment(jobs: int) -> dict[str, str]:
    """For the commands of stages of which so many may run beside each other: their clocks say so."""
    own = str(Path(sys.executable).parent)  # stages call `python`: this one, whatever the shell finds first
    return {"PATH": os.pathsep.join((own, os.environ.get("PATH", ""))), STAGES_AT_ONCE: str(jobs)}


if __name__ == "__main__":
    command.run(main)
