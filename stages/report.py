"""python -m stages.report NAME PROFILE: a table or the claims -> reports/NAME/PROFILE/, and onto the terminal."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from amoc.params import Params
from amoc.refusal import Refusal
from amoc.reporting import claims_report, reports, table2, table5, table7
from stages import command

Name = Literal["table2", "table5", "table7", "claims"]


def main(
    name: Annotated[Name, typer.Argument(help="The report.")],
    profile: command.ProfileArgument,
    given: Annotated[list[str] | None, typer.Argument(help="For claims: the reports whose numbers to judge.")] = None,
) -> None:
    """Make a report from small results: <name>.md, <name>.csv and metrics.json.

    Needs no weights, no images and no GPU.
    """
    params = Params.load()
    if given and name != "claims":
        raise Refusal(f"{name} reads results, not the reports {', '.join(given)}: only claims takes reports")
    match name:
        case "table2":
            report = table2.build(params, profile)
        case "table5":
            report = table5.build(params, profile)
        case "table7":
            report = table7.build(params, profile)
        case "claims":
            report = claims_report.build(params, profile, given or [])
    folder = reports.write(report)
    print(report.markdown)
    print(f"{folder}: {name}.md, {name}.csv, metrics.json")


if __name__ == "__main__":
    command.run(main)
