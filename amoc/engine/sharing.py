"""Tasks that do not need one another, shared out among processes: for work on a CPU that one thread does best."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import Synchronized
from typing import TypeVar

import torch

from amoc.engine.clock import STAGES_AT_ONCE
from amoc.engine.interruption import Interrupted, Stop
from amoc.refusal import Refusal

Item = TypeVar("Item")

POLL_SECONDS = 1.0  # between two looks at whether a stop was requested


def processes(device: torch.device) -> int:
    """How many processes a stage may use: one per core that other stages leave it, if each computes with one thread.

    1 on a GPU, where the threads of one process have the cores, and where a process cannot be forked. Asked for once
    the number of threads is set.
    """
    if device.type != "cpu" or torch.get_num_threads() > 1 or "fork" not in multiprocessing.get_all_start_methods():
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get(STAGES_AT_ONCE, 1)))


def in_parallel(
    tasks: Mapping[str, Iterator[Item]], processes: int, stop: Stop | None = None
) -> Iterator[tuple[str, Item]]:
    """What each task yields, with its name, as it comes.

    In one process that is one task after the other. In several, each process takes the first task that none has taken
    yet; what a task changes besides files is lost with its process, but for what it yields. Where the caller stops
    asking, or a task raises, all processes are ended; so are they if this one is killed.

    Args:
        tasks: by name, in the order in which they are begun; what they yield can be pickled.
        processes: at most; one of them may itself use no more than one thread.
        stop: passed on to processes when it is requested, for tasks that look at it and raise Interrupted. All of them
            come to their ends first.

    Raises:
        Refusal: a process was killed.
        What a task raises.
    """
    if min(processes, len(tasks)) < 2:
        for name, items in tasks.items():
            for item in items:
                yield name, item
        return
    forking = multiprocessing.get_context("fork")  # a fresh interpreter would import torch for seconds
    taken = forking.Value("i", 0)
    alive, held = os.pipe()  # the second end is this process's alone: when it dies, the first one tells
    workers: dict[Connection, multiprocessing.process.BaseProcess] = {}
    interrupted, told = None, False
    try:
        for _ in range(min(processes, len(tasks))):
            receiver, sender = forking.Pipe(duplex=False)
            worker = forking.Process(target=_work, args=(tasks, taken, sender, alive, held), daemon=True)
            with warnings.catch_warnings():  # from Python 3.12 on, of threads: tqdm's, which holds nothing of ours
                warnings.simplefilter("ignore", DeprecationWarning)
                worker.start()
            sender.close()
            workers[receiver] = worker
        while workers:
            if stop is not None and stop.requested and not told:
                for worker in workers.values():
                    with suppress(ProcessLookupError):
                        os.kill(worker.pid, signal.SIGTERM)
                told = True
            for receiver in wait(list(workers), POLL_SECONDS):
                try:
                    name, item, error = pickle.loads(receiver.recv_bytes())
                except EOFError:
                    _leave(receiver, workers.pop(receiver))
                    continue
                if isinstance(error, Interrupted):
                    interrupted = error
                elif error is not None:
                    raise error
                else:
                    yield name, item
        if interrupted is not None:
            raise interrupted
    finally:
        for receiver, worker in workers.items():
            worker.kill()
            worker.join()
            receiver.close()
        os.close(alive)
        os.close(held)


def _leave(receiver: Connection, worker: multiprocessing.process.BaseProcess) -> None:
    worker.join()
    receiver.close()
    if worker.exitcode:
        raise Refusal(f"a process of this stage ended with status {worker.exitcode}: is there too little memory?")


def _work(tasks: Mapping[str, Iterator], taken: Synchronized, sender: Connection, alive: int, held: int) -> None:
    os.close(held)
    threading.Thread(target=_follow, args=(alive,), daemon=True).start()
    names = list(tasks)
    try:
        while (name := _next(names, taken)) is not None:
            for item in tasks[name]:
                sender.send_bytes(pickle.dumps((name, item, None)))
    except Exception as error:
        sender.send_bytes(_pickled(error))


def _next(names: list[str], taken: Synchronized) -> str | None:
    with taken.get_lock():
        number = taken.value
        taken.value += 1
    return names[number] if number < len(names) else None


def _follow(alive: int) -> None:
    """End with the process that shares out the tasks: it would not hear of them any more, and they hold its locks."""
    os.read(alive, 1)
    os._exit(1)


def _pickled(error: Exception) -> bytes:
    """An error as a message, with the place where it was raised, which pickle leaves out."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        content = pickle.dumps((None, None, error))
        pickle.loads(content)
    except Exception:  # it takes other arguments than its message, or holds what cannot be pickled
        content = pickle.dumps((None, None, RuntimeError("".join(traceback.format_exception(error)))))
    return content
