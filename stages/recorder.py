"""What `dvc repro` does around a stage's command, through DVC's own objects, for stages that run beside each other."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from types import TracebackType

from dvc.dvcfile import LOCK_FILE, load_file
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.rwlock import rwlock
from dvc.stage import PipelineStage
from dvc.stage.cache import RunCacheNotFoundError
from dvc.stage.run import prepare_kwargs

from amoc.engine.files import write_atomically
from amoc.engine.progress import say
from stages.command import FULL
from stages.lockfile import recorded
from stages.pipeline import FILE


class Recorder:
    """Runs stages of dvc.yaml and records each as `dvc repro --single-item` does, without a process of DVC's for each.

    With the results of two profiles such a process took 4 seconds: to read the pipeline, and to write all of dvc.lock.
    Threads may share a recorder.
    """

    def __init__(self) -> None:
        self._repo = Repo(_wait_for_lock=True)
        self._stages = load_file(self._repo, str(Path(self._repo.root_dir, FILE))).stages
        self._lock = Path(self._repo.root_dir, LOCK_FILE)
        self._turn = Lock()  # DVC's own lock keeps other processes out, not other threads
        self._running: set[subprocess.Popen[str]] = set()
        self._ended: signal.Signals | None = None

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._repo.close()

    def reproduce(self, name: str, environment: Mapping[str, str]) -> int:
        """Run one stage, whose lines come out as they are written, or put back what DVC has of such a run.

        Nothing happens where nothing changed: what a stage before it wrote may be what it wrote before.

        Args:
            environment: for its command, beside what this process has.

        Returns:
            Its exit status; 1 if DVC refuses, such as while another process uses the files. Only where it is 0 the
            stage is recorded.

        Raises:
            Refusal: dvc.lock is none, such as one with a merge's conflict in its first lines.
        """
        try:
            with ExitStack() as reserved:
                with self._locked():
                    stage = self._stages[name]
                    if not stage.changed():
                        return 0
                    known = self._put_back(stage)
                    if not known:
                        reserved.enter_context(self._reservation(stage))
                status = 0 if known else self._execute(stage, environment)
                if status == 0:
                    with self._locked():
                        reserved.close()  # which DVC's own reservations would run into
                        # DVC's rule: where git keeps a result that is neither metric nor plot, no run cache
                        stored = all(out.use_cache or out.is_metric or out.is_plot for out in stage.outs)
                        stage.save(run_cache=stored)
                        stage.commit()
                        self._write(stage)
        except DvcException as error:
            say(f"{name}: DVC says: {error}")
            return 1
        except OSError as error:
            if error.errno in FULL:
                raise
            say(f"{name}: cannot be recorded: {error}")  # such as by DVC's cache
            return 1
        return status

    def end(self, number: signal.Signals) -> None:
        """Send a signal to all commands that are running; none begins any more."""
        self._ended = number
        for process in tuple(self._running):
            _send(process, number)

    def _execute(self, stage: PipelineStage, environment: Mapping[str, str]) -> int:
        say(f"Running stage '{stage.name}':")
        place = prepare_kwargs(stage, dict(environment))
        for command in stage.cmd if isinstance(stage.cmd, list) else stage.cmd.splitlines():
            say(f"> {command}")
            if status := self._run(command, place["cwd"], place["env"]):
                return status
        return 0

    def _run(self, command: str, folder: str, environment: Mapping[str, str]) -> int:
        if self._ended:
            return 128 + self._ended
        process = subprocess.Popen(
            command, cwd=folder, env=environment, shell=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            process_group=0,  # Ctrl-C comes to this process alone, which decides what becomes of its stages
        )  # fmt: skip
        self._running.add(process)
        if self._ended:  # meanwhile
            _send(process, self._ended)
        try:
            with process:
                for line in process.stdout or ():
                    with suppress(OSError):  # a reader of ours that Ctrl-C ended is no reason to lose a state
                        if line.strip():
                            say(line.rstrip())
        finally:
            self._running.discard(process)
        return process.returncode

    def _write(self, stage: PipelineStage) -> None:
        """Into dvc.lock, in one step: a kill leaves it as it was before or as it is after."""
        before = self._lock.read_text(encoding="utf-8") if self._lock.exists() else ""
        write_atomically(self._lock, recorded(before, stage))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._turn, self._repo.lock:
            yield

    def _put_back(self, stage: PipelineStage) -> bool:
        """Remove the outputs, and whether DVC then had them in its cache for these very inputs."""
        stage.remove_outs(ignore_remove=False, force=False)
        try:
            self._repo.stage_cache.restore(stage)
        except RunCacheNotFoundError:
            return False
        return True

    def _reservation(self, stage: PipelineStage) -> AbstractContextManager[None]:
        """While it lasts, no other process of DVC's writes what the stage reads, or touches what it writes."""
        reads, writes = ([file.fs_path for file in files] for files in (stage.deps, stage.outs))
        return rwlock(self._repo.tmp_dir, self._repo.fs, f"stages.parallel {stage.name}", reads, writes, False)


def _send(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """To its group: the shell may not pass it on."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
