"""python -m benchmarks.cheaper: seconds of AMOC with the cheaper attacks of `reports/fast`, which counts their passes.

Prints a table and, as its last line, the numbers as JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import ceil
from typing import Annotated, Any

import typer

from amoc.engine.device import describe, device
from amoc.engine.progress import say
from amoc.params import Params
from amoc.pretraining.passes import passes
from amoc.reporting import fast
from amoc.settings import Engine, Precision, Pretraining
from benchmarks.columns import aligned
from benchmarks.step import (
    EPOCH,
    SIZE,
    STEPS,
    PrecisionOption,
    ProfileOption,
    asked_for,
    at_batch_size,
    engine_of,
    warm_up,
)
from benchmarks.timing import Spread, seconds_per_call, spread
from benchmarks.workload import Workload, random_images
from stages import command


@dataclass(frozen=True)
class Way:
    """One of the runs, as it was measured.

    Attributes:
        seconds: of an epoch of EPOCH images; all ways make as many updates in one, up to a batch.
        ratios: of neighbouring measurements, to the first run's.
        passes: of the encoder per image and update.
    """

    name: str
    seconds: Spread
    ratios: Spread
    passes: float


def measure(
    runs: dict[str, Pretraining], engine: Engine, precision: Precision, *, blocks: int, steps: int,
    images: int = 5000, size: int = SIZE,
) -> list[Way]:  # fmt: skip
    """A block of steps of each run in turn, so many times.

    Args:
        runs: by what the table calls them; the first is what the others are compared with.
        images, size: of the random data set: (images, size, size, 3).
    """
    chosen, pixels = device(engine), random_images(images, size)
    work = {name: Workload(settings, pixels, chosen, precision) for name, settings in runs.items()}
    for workload in work.values():
        warm_up(workload)
        if workload.compile(engine):
            warm_up(workload)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for block in range(blocks):
        say(f"block {block + 1} of {blocks} ...")
        for name, workload in work.items():
            steps_of_an_epoch = ceil(ceil(EPOCH / workload.method.updates) / runs[name].batch_size)
            seconds[name].append(seconds_per_call(workload, steps) * steps_of_an_epoch)
    first = next(iter(seconds.values()))
    return [
        Way(name, spread(own), spread([one / other for one, other in zip(own, first, strict=True)]), passes(runs[name]))
        for name, own in seconds.items()
    ]


def table(ways: list[Way]) -> str:
    """For a reader."""
    rows = [("", "passes", "share", f"seconds per {EPOCH:,} images (quartiles)", "share (quartiles)")]
    for way in ways:
        share = way.passes / ways[0].passes
        rows.append((way.name, f"{way.passes:.4g}", f"{share:.2f}", f"{way.seconds}", f"{way.ratios:.2f}"))
    return aligned(rows)


def plain(ways: list[Way], about: dict[str, Any], settings: Pretraining, precision: Precision) -> dict[str, Any]:
    """The last line."""
    return {
        **about, "dtype": precision, "width": settings.model.width, "batch_size": settings.batch_size,
        "runs": {
            way.name: {"passes": way.passes, "epoch_seconds_50k": way.seconds.median, "ratio": way.ratios.median}
            for way in ways
        },
    }  # fmt: skip


def main(
    profile: ProfileOption = "paper",
    batch_size: Annotated[int | None, typer.Option(min=2, help="Default: the profile's on a GPU, 64 on a CPU.")] = None,
    precision: PrecisionOption = "auto",
    blocks: Annotated[int, typer.Option(min=1, help="Measurements of each run, in turn.")] = 5,
    steps: Annotated[int | None, typer.Option(min=1, help="In a block. Default: 20 on a GPU, 1 on a CPU.")] = None,
) -> None:
    """Seconds of an epoch of AMOC and of each cheaper way, beside the passes that they are counted as."""
    params = Params.load()
    engine = engine_of(params, profile)
    chosen = device(engine)
    names = [line.run for line in fast.STUDY.known(params).lines]
    runs = {name: at_batch_size(params.pretraining(profile, "cifar10", name), batch_size, chosen) for name in names}
    found = asked_for(precision, chosen)
    ways = measure(runs, engine, found, blocks=blocks, steps=steps or STEPS[chosen.type])
    first = runs[names[0]]
    about = describe(chosen)
    print(f"{first.model.architecture} of width {first.model.width}, batch {first.batch_size}, {found}")
    print("{device}, {threads} CPU threads, PyTorch {torch}".format(**about))
    print(f"medians of {blocks} blocks, in turn\n\n{table(ways)}\n")
    print(json.dumps(plain(ways, about, first, found)))


if __name__ == "__main__":
    command.run(main)
