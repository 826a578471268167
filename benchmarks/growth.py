"""python -m benchmarks.growth FOLDER: how time and memory of a step grow with what can be made larger.

One size is varied at a time, the others are the paper profile's; each measurement is a process of its own. Writes
growth.csv, growth.svg, growth.png and growth.json, and prints a table. Nothing should grow faster than in proportion.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amoc.engine.device import describe, device
from amoc.engine.files import write_atomically, write_json
from amoc.engine.progress import say
from amoc.params import Params
from amoc.reporting.drawing.figures import COLUMN, LOOKS, render
from amoc.settings import Engine, Precision, Pretraining
from benchmarks.alone import WARM_UP, Measured, alone, measure
from benchmarks.step import EPOCH, SIZE, STEPS, PrecisionOption, ProfileOption, asked_for, at_batch_size, engine_of
from benchmarks.timing import Spread, seconds_per_call, spread
from benchmarks.workload import Workload, random_images
from stages import command

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AXES = {
    "batch size": (16, 32, 64, 128),
    "bank length": (4096, 16384, 32768, 65536),
    "attack steps": (1, 2, 5, 10),
    "images": (2_000, 10_000, 50_000, 200_000),
}
LONGER, SHORTER = 65536, 4096  # the banks whose cost is compared


@dataclass(frozen=True)
class Point:
    """A size, by the axis that it lies on, and what a step costs there."""

    axis: str
    value: int
    measured: Measured


def sized(settings: Pretraining, images: int, axis: str, value: int) -> tuple[Pretraining, int]:
    """The settings and the number of images with one size changed."""
    match axis:
        case "batch size":
            return settings.model_copy(update={"batch_size": value}), images
        case "bank length":
            return settings.model_copy(update={"bank_length": value}), images
        case "attack steps":
            return settings.model_copy(update={"attack": settings.attack.model_copy(update={"steps": value})}), images
        case "images":
            return settings, value
    raise ValueError(f"unknown axis {axis!r}, allowed are {', '.join(AXES)}")


def grow(
    settings: Pretraining, engine: Engine, precision: Precision, *, axes: dict[str, Sequence[int]], blocks: int,
    steps: int, images: int = EPOCH, size: int = SIZE,
) -> list[Point]:  # fmt: skip
    """A step at each size.

    Args:
        axes: the values of each, the others staying as the settings and `images` say.
        blocks, steps, size: see `benchmarks.alone.measure`.
    """
    points = []
    for axis, values in axes.items():
        for value in values:
            changed, count = sized(settings, images, axis, value)
            options = {"images": count, "size": size, "blocks": blocks, "steps": steps}
            points.append(Point(axis, value, alone(measure, changed, engine, precision, **options)))
            say(line(points[-1]))
    return points


# ---------------------------------------------------------------- what comes of it


def power(points: Sequence[Point], axis: str) -> tuple[float, float]:
    """p of time and of memory proportional to size^p, between the last two sizes, where what is fixed counts least."""
    smaller, larger = [point for point in points if point.axis == axis][-2:]
    wider = math.log(larger.value / smaller.value)
    seconds = math.log(larger.measured.seconds.median / smaller.measured.seconds.median)
    memory = math.log(larger.measured.peak_memory / smaller.measured.peak_memory)
    return seconds / wider, memory / wider


def line(point: Point) -> str:
    seconds, memory = point.measured.seconds, point.measured.peak_memory
    return f"{point.axis:12} {point.value:>8,}  {seconds} s  {memory / 2**20:,.0f} MiB"


def longer_bank(
    settings: Pretraining, engine: Engine, precision: Precision, *, images: int, size: int, blocks: int, steps: int
) -> Spread:
    """A step with the longer bank, as a multiple of one with the shorter.

    Both in this process and in turn, because two processes alike differ by more than the banks do.
    """
    chosen, pixels = device(engine), random_images(images, size)
    works = []
    for length in (SHORTER, LONGER):
        works.append(Workload(settings.model_copy(update={"bank_length": length}), pixels, chosen, precision))
        works[-1].compile(engine)
        for _ in range(WARM_UP):
            works[-1]()
    shorter, longer = works
    return spread([1 / seconds_per_call(shorter, steps) * seconds_per_call(longer, steps) for _ in range(blocks)])


def conclusions(points: Sequence[Point], ratio: Spread | None) -> str:
    """The powers that time and memory grow with, and what the longer bank costs; ratio: of `longer_bank`."""
    axes = dict.fromkeys(point.axis for point in points)
    lines = []
    for axis in axes:
        time, memory = power(points, axis)
        lines.append(f"with {axis}, at its largest: time to the power {time:.2f}, memory {memory:.2f}")
    banks = {point.value: point.measured for point in points if point.axis == "bank length"}
    if banks.keys() >= {LONGER, SHORTER}:
        longer, shorter = banks[LONGER], banks[SHORTER]
        memory = (longer.peak_memory - shorter.peak_memory) / 2**20
        lines.append(f"bank of {LONGER} against {SHORTER}: {memory:+,.0f} MiB")
    if ratio is not None:
        lines.append(
            f"and in turn in one process: {ratio.median - 1:+.1%} time per step "
            f"({ratio.low - 1:+.1%} .. {ratio.high - 1:+.1%})"
        )
    return "\n".join(lines)


def as_csv(points: Sequence[Point]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["axis", "value", "step_seconds", "low", "high", "peak_memory_bytes"])
    for point in points:
        low, median, high = point.measured.seconds
        rows.writerow([point.axis, point.value, median, low, high, point.measured.peak_memory])
    return text.getvalue()


def draw(points: Sequence[Point]) -> Figure:
    """Seconds above, memory below, a column per axis; every scale starts at 0, so that a proportion is a straight line
    through the corner."""
    from matplotlib.figure import Figure

    axes = list(dict.fromkeys(point.axis for point in points))
    figure = Figure(figsize=(2 * COLUMN, COLUMN), layout="constrained")
    panels = figure.subplots(2, len(axes), sharex="col", sharey="row", squeeze=False)
    colour = LOOKS["amoc"].colour
    look = {"color": colour, "marker": "o", "markersize": 3, "linewidth": 1}
    for (above, below), axis in zip(panels.T, axes, strict=True):
        above.plot(0, 0)  # the corner, so that the margin beyond the largest is of the whole scale
        below.plot(0, 0)
        here = [point for point in points if point.axis == axis]
        values = [point.value for point in here]
        seconds = [point.measured.seconds for point in here]
        above.fill_between(values, [s.low for s in seconds], [s.high for s in seconds], color=colour, alpha=0.3, lw=0)
        above.plot(values, [s.median for s in seconds], **look)
        below.plot(values, [p.measured.peak_memory / 2**30 for p in here], **look)
        below.set_xlabel(axis)
        below.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}")
    for panel in panels.flat:
        panel.set_xlim(left=0)
        panel.set_ylim(bottom=0)
        panel.grid()
        panel.spines[["top", "right"]].set_visible(False)
        panel.locator_params(nbins=5)
    panels[0, 0].set_ylabel("seconds per step")
    panels[1, 0].set_ylabel("peak memory (GiB)")
    return figure


def write(folder: Path, points: Sequence[Point]) -> None:
    """growth.csv, growth.svg and growth.png."""
    write_atomically(folder / "growth.csv", as_csv(points))
    for suffix, content in render(lambda: draw(points)).items():
        write_atomically(folder / f"growth.{suffix}", content)


def write_ratio(folder: Path, about: dict[str, Any], ratio: Spread) -> None:
    """growth.json: what was measured, and what the longer bank costs; ratio: of `longer_bank`."""
    longer = {"lengths": [SHORTER, LONGER], "low": ratio.low, "ratio": ratio.median, "high": ratio.high}
    write_json(folder / "growth.json", about | {"longer_bank": longer})


# ---------------------------------------------------------------- the command


def main(
    output: Annotated[Path, typer.Argument(help="Folder for growth.csv, growth.svg, growth.png and growth.json.")],
    profile: ProfileOption = "paper",
    precision: PrecisionOption = "auto",
    blocks: Annotated[int, typer.Option(min=1, help="Measurements at each size.")] = 3,
) -> None:
    """Time and memory of a step against batch size, bank length, attack steps and number of images."""
    params = Params.load()
    engine = engine_of(params, profile)
    chosen = device(engine)
    settings = at_batch_size(params.pretraining(profile, "cifar10", "amoc"), None, chosen)
    used, steps = asked_for(precision, chosen), STEPS[chosen.type]
    about = {**describe(chosen), "dtype": used, "width": settings.model.width, "batch_size": settings.batch_size}
    fixed = f"batch {settings.batch_size}, bank {settings.bank_length}, PGD-{settings.attack.steps}, {EPOCH} images"
    say("{device}, {threads} CPU threads, PyTorch {torch}; where not varied: ".format(**about) + fixed)
    points = grow(settings, engine, used, axes=AXES, blocks=blocks, steps=steps)
    write(output, points)  # before what may yet be interrupted
    ratio = alone(longer_bank, settings, engine, used, images=EPOCH, size=SIZE, blocks=3 * blocks, steps=steps)
    write_ratio(output, about, ratio)
    print(conclusions(points, ratio))


if __name__ == "__main__":
    command.run(main)
