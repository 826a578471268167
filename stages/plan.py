"""python -m stages.plan [TARGET ...]: what `dvc repro` would run, and what that costs on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
import typer

from amoc.engine.cost import LONGEST_HOURS_ON_CPU, duration, seconds_per_pass
from amoc.engine.device import autocast, device
from amoc.engine.generators import generator
from amoc.models.encoder import fresh_encoder
from amoc.params import PROFILES, Params
from amoc.reporting.reports import page
from amoc.reporting.tables import Cell, Column, Row, Table, to_markdown
from amoc.settings import Precision
from stages import command
from stages.estimate import Work, ours, size, sizes, work
from stages.pipeline import CODE, Pending, Targets, pending
from stages.settings import foreseen

BATCH = {"cpu": 64, "cuda": 256}  # images in the passes that are timed: enough to keep the device busy
MEGABYTE = 10**6
SECONDS = "seconds"  # what neither trains nor attacks takes: images, fingerprints, reports


def main(
    targets: Targets = None,
    profile: Annotated[Literal[PROFILES] | None, typer.Option(help="In place of params.yaml's.")] = None,
) -> None:
    """List the stages that are not up to date, in the order in which they would run, with time and disk. Runs none."""
    params = Params.load()
    profile = profile or params.profile
    stages = pending(targets or (), profile, foreseen(params, profile))
    what = f"{' '.join(targets or ['everything'])} in the profile {profile}"
    if not stages:
        print(f"{what}: nothing would run")
        return
    works = {stage.name: work(params, stage.command) for stage in stages}
    chosen = device(params.engine(profile))
    seconds = _measured(params, profile, {each.precision for each in works.values() if each}, chosen)
    table = to_markdown(_table(params, stages, works, seconds, chosen))
    print(page(f"# {what}", table, _meaning(stages, works, seconds, chosen)))


def _measured(
    params: Params, profile: str, precisions: set[Precision], chosen: torch.device
) -> dict[Precision, float]:  # fmt: skip
    """Seconds of a forward pass of one image, here and now, in each precision that a stage has."""
    encoder = fresh_encoder(params.model(profile), (0.5,) * 3, (0.5,) * 3, generator(1, "weights")).to(chosen)
    side = sizes(params, profile, "cifar10").side
    images = torch.rand(BATCH[chosen.type], 3, side, side, device=chosen)
    found = {}
    for precision in sorted(precisions):
        with autocast(chosen, precision):
            found[precision] = seconds_per_pass(encoder, images)
    return found


def _table(
    params: Params, stages: list[Pending], works: Mapping[str, Work | None], seconds: Mapping[Precision, float],
    chosen: torch.device,
) -> Table:  # fmt: skip
    """A row per stage and their sums."""
    columns = (
        Column("why", "Why"), Column("passes", "Passes"), Column("time", f"Time on {chosen.type}"),
        Column("disk", "MB", digits=1),
    )  # fmt: skip
    rows, disks = [], 0
    for stage in stages:
        each, disk = works[stage.name], sum(size(params, stage.command, output) for output in stage.outputs)
        time = duration(each.passes * seconds[each.precision]) if each else SECONDS if ours(stage.command) else "-"
        cells = {"why": Cell(", ".join(stage.why)), "passes": _passes(each and each.passes), "time": Cell(time)}
        rows.append(Row(stage.name, stage.name, cells | {"disk": Cell(disk / MEGABYTE if disk else None, missing="")}))
        disks += disk
    counted = [each for each in works.values() if each]
    total = {
        "why": Cell(""), "passes": _passes(sum(each.passes for each in counted)),
        "time": Cell(duration(_seconds(works, seconds))), "disk": Cell(disks / MEGABYTE),
    }  # fmt: skip
    label = f"**{len(stages)} stage{'s' * (len(stages) > 1)}**"
    return Table("Stage", columns, (*rows, Row("total", label, total)))


def _passes(number: float | None) -> Cell:
    """To two digits: an estimate has no more."""
    return Cell(number, shown=f"{float(f'{number:.2g}'):,.0f}" if number is not None else None, missing="-")


def _seconds(works: Mapping[str, Work | None], seconds: Mapping[Precision, float]) -> float:
    return sum(each.passes * seconds[each.precision] for each in works.values() if each)


def _meaning(
    stages: list[Pending], works: Mapping[str, Work | None], seconds: Mapping[Precision, float], chosen: torch.device
) -> str:  # fmt: skip
    """What the columns count, and what would make it something else."""
    timed = " and ".join(f"{1e3 * value:.2g} ms in {precision}" for precision, value in seconds.items())
    said = [
        "- Why: what is not as `dvc.lock` has it (outputs: nor in DVC's cache); follows: a stage before it runs, and "
        "if that writes what it wrote, this one does not run",
        "- Passes: of one image through the encoder, forward; back to images counts as 1 more, to weights as 2 more. "
        "Attacks need fewer: they leave out what is wrong or broken",
        "- MB: images and weights; DVC's cache takes as much again where the file system cannot share files",
    ]
    if timed:
        said.append(f"- Time: one stage after the other; a pass took {timed} just now, not compiled")
    if any(stage.why == (CODE,) for stage in stages):
        said.append("- Where only code changed, a stage is taken to write what it wrote; if it does not, more will run")
    longest = max((each.passes * seconds[each.precision] for each in works.values() if each), default=0.0)
    if chosen.type == "cpu" and longest > 3600 * LONGEST_HOURS_ON_CPU:
        said.append(f"- A stage of more than {LONGEST_HOURS_ON_CPU} h begins on a CPU only with AMOC_ANYWAY=1")
    return "\n".join(said)


if __name__ == "__main__":
    command.run(main)
