"""python -m benchmarks.startup: seconds of stages that have hardly anything to do, from their start to their end.

Prints a table and, as its last line, the numbers as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import torch
import typer

from amoc.engine.clock import settled_now
from amoc.engine.device import describe
from amoc.engine.progress import say
from amoc.refusal import Refusal
from amoc.reporting.titles import TITLES
from benchmarks.columns import aligned
from benchmarks.timing import Spread, spread
from stages import command

PROFILE, DATASET = "demo", "cifar10"
TRAINS = f"pretrain {PROFILE} {DATASET} amoc --epochs 1 --steps-per-epoch 1 --output trial"  # a model, and a step


def startup(stages: Sequence[str], project: Path, *, blocks: int) -> dict[str, Spread]:
    """Seconds of each stage's command, by turns, in copies of the project's results and settings.

    Raises:
        Refusal: a command fails; its last line tells why.
    """
    found: dict[str, list[float]] = {stage: [] for stage in stages}
    with copy(project) as folder:
        execute(f"data {PROFILE} {DATASET}", project, folder)
        for block in range(blocks):
            say(f"block {block + 1} of {blocks} ...")
            for stage in stages:
                found[stage].append(execute(stage, project, folder))
    return {stage: spread(values) for stage, values in found.items()}


@contextmanager
def copy(project: Path) -> Iterator[Path]:
    """A folder, within the scope, that has what stages of the profile read, without images and weights."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(project / "params.yaml", folder)
        for part in (Path("results/fingerprints"), Path("results", PROFILE), *_made(project)):
            shutil.copytree(project / part, folder / part)
        yield folder


def _made(project: Path) -> list[Path]:
    """The profile's reports, below the project; the claims before what they are made of, the page of all last."""
    return [part for name in (*TITLES, "index") if (project / (part := Path("reports", name, PROFILE))).is_dir()]


def execute(stage: str, project: Path, folder: Path) -> float:
    """Seconds of `python -m stages.<stage>`, with the project's code in the folder."""
    begun = settled_now()
    ended = subprocess.run(
        [sys.executable, "-m", *f"stages.{stage}".split()], cwd=folder, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(project)},
    )  # fmt: skip
    seconds = settled_now() - begun
    if ended.returncode:
        *_, said = ("no reason given", *ended.stderr.splitlines())
        raise Refusal(f"python -m stages.{stage} failed: {said}")
    return seconds


def table(seconds: dict[str, Spread]) -> str:
    """For a reader."""
    return aligned([("stage", "seconds (quartiles)"), *((stage, f"{each:.3g}") for stage, each in seconds.items())])


def main(blocks: Annotated[int, typer.Option(min=1, help="Starts of each stage, in turn.")] = 3) -> None:
    """Seconds that a stage which trains for one step takes, and each report of the demo."""
    project = Path.cwd()
    reports = (f"report {part.parent.name} {PROFILE}" for part in _made(project))
    seconds = startup((TRAINS, *reports), project, blocks=blocks)
    about = describe(torch.device("cpu"))
    print("{device}, PyTorch {torch}, Python {python}".format(**about))
    print(f"medians of {blocks} blocks, in turn\n\n{table(seconds)}\n")
    medians = {stage: each.median for stage, each in seconds.items()}
    trains = medians.pop(TRAINS)
    print(json.dumps({**about, "blocks": blocks, "train_seconds": trains, "report_seconds": medians}))


if __name__ == "__main__":
    command.run(main)
