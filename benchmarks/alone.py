"""Our step in a process of its own: nothing else is in its memory."""

from __future__ import annotations

import multiprocessing
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch

from amoc.engine.device import device
from amoc.settings import Engine, Precision, Pretraining
from benchmarks.timing import Spread, seconds_per_call, spread
from benchmarks.workload import Workload, random_images

Given = ParamSpec("Given")
Result = TypeVar("Result")

WARM_UP = 2  # steps: the first allocates gradients and momentum, and compiles; from the second on all is as it stays


@dataclass(frozen=True)
class Measured:
    """Seconds of a step and peak memory in bytes."""

    seconds: Spread
    peak_memory: int


def peak_memory(chosen: torch.device) -> int:
    """Bytes at most used so far: allocated by PyTorch on a GPU, else resident in memory, of the whole process."""
    if chosen.type == "cuda":
        return torch.cuda.max_memory_allocated(chosen)
    status = Path("/proc/self/status")  # Linux; ru_maxrss there is at least what the parent had when it started us
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(
    settings: Pretraining, engine: Engine, precision: Precision, *, images: int, size: int, blocks: int, steps: int
) -> Measured:
    """Some blocks of steps in this process.

    Args:
        images, size: of the random data set: (images, size, size, 3).
        steps: in a block, which is timed as a whole.
    """
    chosen = device(engine)
    work = Workload(settings, random_images(images, size), chosen, precision)
    work.compile(engine)
    for _ in range(WARM_UP):
        work()
    seconds = [seconds_per_call(work, steps) for _ in range(blocks)]
    return Measured(spread(seconds), peak_memory(chosen))


def alone(work: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result:
    """What `work` returns in a fresh process. It is a function of a module; what it takes and gives can be pickled."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *given, **named).result()
