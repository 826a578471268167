"""python -m stages.compare PROFILE DATASET RUN ...: encoders side by side under the linear protocols, of any names."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated

import typer

from amoc.layers import listed
from amoc.params import Params
from amoc.refusal import Refusal
from amoc.reporting import encoders
from amoc.reporting.evidence import records
from amoc.reporting.reports import page
from amoc.reporting.tables import Row, to_markdown
from stages import command

MEASURES = tuple(f"{probe}_{attack}" for probe in ("stdev", "adev", "robev") for attack in ("clean", "pgd20"))


def main(
    profile: command.ProfileArgument, dataset: command.DatasetArgument,
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Keys of `runs` in params.yaml.")],
) -> None:  # fmt: skip
    """Print clean accuracy and PGD20 of encoders under StdEv, AdEv and RobEv, and means over their seeds.

    The seeds of a run are those named <run>_seed<n> that were evaluated with its settings. Only what was recorded is
    read.
    """
    params = Params.load()
    known = params.runs(dataset)
    if unknown := [run for run in runs if run not in known]:
        raise Refusal(f"{params.path}: runs.{dataset} has no {', '.join(unknown)}, it has {listed(known)}")
    seeds = {run: _seeds(run, known, profile, dataset) for run in runs}
    asked = (name for run, named in seeds.items() for name in (run, *named))
    found = encoders.find(params, profile, dataset, asked, records.RESULTS)
    lines = tuple(
        encoders.Line(run, tuple(name for name in named if encoders.repeats(found[name], found[run])))
        for run, named in seeds.items()
    )
    listing = encoders.Listing("compare", "", lines, dataset=dataset, measures=MEASURES)
    table = encoders.tabulate(params, profile, listing, found)
    print(page(to_markdown(replace(table, rows=tuple(map(_named, table.rows)))), encoders.READING + encoders.SEEDS))


def _seeds(run: str, known: list[str], profile: str, dataset: str) -> list[str]:
    """Those that were evaluated."""
    named = [name for name in known if re.fullmatch(rf"{re.escape(run)}_seed\d+", name)]
    return [name for name in named if records.path("evaluate", profile, dataset, name, records.RESULTS).exists()]


def _named(row: Row) -> Row:
    """With the run's name before what its settings are called."""
    return row if row.key.endswith(encoders.MEAN) else replace(row, label=f"{row.key}: {row.label}")


if __name__ == "__main__":
    command.run(main)
