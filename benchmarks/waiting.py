"""python -m benchmarks.waiting: a step on a CPU, by how OpenMP's threads wait, which stages/__init__.py sets.

Prints a table and, as its last line, the numbers as JSON.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import torch
import typer

from amoc.engine.device import describe
from amoc.engine.progress import say
from amoc.params import Params
from amoc.settings import Engine, Precision, Pretraining
from benchmarks.alone import alone, measure
from benchmarks.columns import aligned
from benchmarks.step import SIZE, PrecisionOption, ProfileOption, asked_for, cores, engine_of
from benchmarks.timing import Spread, spread
from stages import SPINS, command

POLICIES = {  # of GNU's OpenMP
    "one thread": {},  # waits for nobody
    "spin, then sleep": {"GOMP_SPINCOUNT": SPINS},  # the stages'
    "sleep at once": {"OMP_WAIT_POLICY": "PASSIVE"},
    "spin long": {"GOMP_SPINCOUNT": "300000"},  # its default
}
Seconds = dict[str, dict[str, Spread]]  # of a step: by "idle" or "busy", then by policy


def waiting(
    settings: Pretraining, engine: Engine, precision: Precision, *, blocks: int, steps: int, busy: int, size: int = SIZE
) -> Seconds:
    """Each policy in turn, so many times, each time in a process of its own.

    Args:
        engine: a CPU with the threads that are to wait.
        busy: processes that use the machine meanwhile, in the second half of the measurements.
        size: of the images.
    """
    seconds: Seconds = {}
    for machine, others in (("idle", 0), ("busy", busy)):
        found: dict[str, list[float]] = {policy: [] for policy in POLICIES}
        with used_by(others):
            for block, (policy, variables) in itertools.product(range(blocks), POLICIES.items()):
                say(f"{machine} machine, block {block + 1} of {blocks}: {policy} ...")
                threads = engine.model_copy(update={"threads": 1}) if policy == "one thread" else engine
                with environment(variables):
                    measured = alone(
                        measure, settings, threads, precision, images=settings.batch_size, size=size,
                        blocks=steps, steps=1,
                    )  # fmt: skip
                found[policy].append(measured.seconds.median)
        seconds[machine] = {policy: spread(values) for policy, values in found.items()}
    return seconds


@contextmanager
def used_by(processes: int) -> Iterator[None]:
    """Other processes that never wait, within the scope."""
    zeros = iter(int, 1)  # without end; unlike itertools' it can be sent to a process in every Python
    others = []
    try:
        for _ in range(processes):
            other = multiprocessing.get_context("spawn").Process(target=deque, args=(zeros, 0), daemon=True)
            other.start()
            others.append(other)
        yield
    finally:
        for other in others:
            other.kill()
            other.join()


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """What processes that are begun within the scope have of OpenMP's variables for waiting: these and no others."""
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    before = {name: os.environ.pop(name, None) for name in names}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def table(seconds: Seconds) -> str:
    """For a reader."""
    rows = [("seconds per step (quartiles)", *(f"{machine} machine" for machine in seconds))]
    rows += [(policy, *(f"{found[policy]:.3g}" for found in seconds.values())) for policy in POLICIES]
    return aligned(rows)


def main(
    profile: ProfileOption = "small",
    precision: PrecisionOption = "auto",
    batch_size: Annotated[int | None, typer.Option(min=2, help="Default: the profile's.")] = None,
    blocks: Annotated[int, typer.Option(min=1, help="Measurements of each policy, in turn.")] = 5,
    steps: Annotated[int, typer.Option(min=1, help="In a measurement, which is their median.")] = 5,
    busy: Annotated[int | None, typer.Option(min=1, help="Processes beside. Default: one per core.")] = None,
) -> None:
    """Seconds of a training step by how its threads wait, on a machine that is idle and on one that is busy."""
    params = Params.load()
    settings = params.pretraining(profile, "cifar10", "amoc")
    if batch_size is not None:
        settings = settings.model_copy(update={"batch_size": batch_size})
    engine = engine_of(params, profile).model_copy(update={"device": "cpu", "threads": cores(), "compile": False})
    found = asked_for(precision, torch.device("cpu"))
    others = cores() if busy is None else busy
    seconds = waiting(settings, engine, found, blocks=blocks, steps=steps, busy=others)
    about = {**describe(torch.device("cpu")), "threads": engine.threads, "busy": others}
    print(f"{settings.model.architecture} of width {settings.model.width}, batch {settings.batch_size}, {found}")
    print("{device}, {threads} threads, {busy} other processes where it is busy, PyTorch {torch}".format(**about))
    print(f"medians of {blocks} blocks, in turn\n\n{table(seconds)}\n")
    of = {"profile": profile, "dtype": found, "width": settings.model.width, "batch_size": settings.batch_size}
    medians = {machine: {policy: each.median for policy, each in own.items()} for machine, own in seconds.items()}
    print(json.dumps({**about, **of, "blocks": blocks, "steps": steps, "step_seconds": medians}))


if __name__ == "__main__":
    command.run(main)
