"""python -m stages.compare PROFILE DATASET NAME ...: encoders, or networks under attack, of any names side by side."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated

import typer

from amoc.layers import listed
from amoc.params import Params
from amoc.refusal import Refusal
from amoc.reporting import encoders, networks
from amoc.reporting.evidence import records
from amoc.reporting.reports import page
from amoc.reporting.tables import Row, Table, to_markdown
from stages import command

MEASURES = tuple(f"{probe}_{attack}" for probe in ("stdev", "adev", "robev") for attack in ("clean", "pgd20"))


def main(
    profile: command.ProfileArgument, dataset: command.DatasetArgument,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Keys of `runs`, or of `classifiers`.")],
) -> None:  # fmt: skip
    """Print clean accuracy and PGD20 of encoders under StdEv, AdEv and RobEv, and means over their seeds.

    Where one of the names is a whole network's: what each was attacked with, an encoder under its linear protocol. The
    seeds of a run are those named <run>_seed<n> that were evaluated with its settings. Only what was recorded is read.
    """
    params = Params.load()
    runs, whole = params.runs(dataset), params.networks(dataset)
    if unknown := ", ".join(name for name in names if name not in (*runs, *whole)):
        raise Refusal(
            f"{params.path}: runs.{dataset} has no {unknown}, it has {listed(runs)}; nor has classifiers.{dataset}, "
            f"which has {listed(whole)}"
        )
    attacked = any(name in whole for name in names)
    table, reading = (_networks if attacked else _encoders)(params, profile, dataset, names)
    print(page(to_markdown(replace(table, rows=tuple(map(_named, table.rows)))), reading))


def _encoders(params: Params, profile: str, dataset: str, runs: list[str]) -> tuple[Table, str]:
    known = params.runs(dataset)
    seeds = {run: _seeds(run, known, profile, dataset) for run in runs}
    asked = (name for run, named in seeds.items() for name in (run, *named))
    found = encoders.find(params, profile, dataset, asked, records.RESULTS)
    lines = tuple(
        encoders.Line(run, tuple(name for name in named if encoders.repeats(found[name], found[run])))
        for run, named in seeds.items()
    )
    listing = encoders.EncoderTable("compare", "", lines, dataset=dataset, measures=MEASURES)
    return encoders.tabulate(params, profile, listing, found), encoders.READING + encoders.SEEDS


def _seeds(run: str, known: list[str], profile: str, dataset: str) -> list[str]:
    """Those that were evaluated."""
    named = [name for name in known if re.fullmatch(rf"{re.escape(run)}_seed\d+", name)]
    return [name for name in named if records.path("evaluate", profile, dataset, name, records.RESULTS).exists()]


def _networks(params: Params, profile: str, dataset: str, names: list[str]) -> tuple[Table, str]:
    listing = networks.NetworkTable("compare", "", {name: name for name in names}, ("clean",), None, dataset)
    lines = networks.find(params, profile, listing, records.RESULTS)
    attacks = networks.used(lines)
    table = networks.tabulate(params, profile, replace(listing, columns=("clean", *attacks)), lines)
    both = {networks.PREPRINTS: "L2-PGDv1"} if "l2_pgd50" in attacks else {}  # else two columns have one name
    columns = tuple(replace(column, heading=both.get(column.key, column.heading)) for column in table.columns)
    return replace(table, columns=columns), networks.READING


def _named(row: Row) -> Row:
    """With its name before what its settings are called, if it is not one that belongs to the row above."""
    return row if row.label.startswith("- ") else replace(row, label=f"{row.key}: {row.label}")


if __name__ == "__main__":
    command.run(main)
