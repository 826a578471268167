"""python -m stages.report NAME PROFILE: a table, figure or claims -> reports/NAME/PROFILE/, and onto the terminal."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Literal

import typer

from amoc.params import Params
from amoc.refusal import Refusal
from amoc.reporting import reports
from amoc.reporting.reports import Report
from stages import command

Name = Literal[
    "table2", "table3", "table4", "table5", "table6", "table7", "table8", "figure2", "figure3", "figure4", "figure5",
    "figure6", "figure7", "v1_table2", "v1_table3", "v1_table4", "v1_table5", "v1_table6", "v1_figure2", "corruptions",
    "precision", "fast", "switches", "peers", "transfer", "claims", "all_claims", "index",
]  # fmt: skip
CLAIMS = ("claims", "all_claims")


def main(
    name: Annotated[Name, typer.Argument(help="The report.")],
    profile: command.ProfileArgument,
    given: Annotated[list[str] | None, typer.Argument(help="For claims: the reports whose numbers to judge.")] = None,
) -> None:
    """Make a report from small results: <name>.md, <name>.csv, metrics.json; if it has a picture, .svg and .png.

    `index` is made from the other reports of the profile, those that are there, and has <name>.html too.

    Needs no weights, no images and no GPU.
    """
    params = Params.load()
    if given and name not in CLAIMS:
        raise Refusal(f"{name} is given no reports, here {', '.join(given)}: only {' and '.join(CLAIMS)} are")
    report = _build(params, name, profile, given or [])
    written = reports.write(report)
    print(report.markdown if report.shown is None else report.shown)
    print(f"{written[0].parent}: {', '.join(path.name for path in written)}")


def _build(params: Params, name: Name, profile: str, given: list[str]) -> Report:
    """Each report imports only what it needs: a table of settings need not wait for numpy."""
    match name:
        case "table2" | "v1_table2":
            from amoc.reporting import table2

            return table2.build(params, profile, name)
        case "table3" | "table8" | "figure6" | "figure7" | "v1_table4" | "v1_table6":
            from amoc.reporting import encoders

            return encoders.build(params, profile, import_module(f"amoc.reporting.{name}").TABLE)
        case "table4":
            from amoc.reporting import table4

            return table4.build(params, profile)
        case "table5" | "table6" | "v1_table3":
            from amoc.reporting import networks

            return networks.build(params, profile, import_module(f"amoc.reporting.{name}").TABLE)
        case "v1_table5":
            from amoc.reporting import v1_table5

            return v1_table5.build(params, profile)
        case "figure5":
            from amoc.reporting import figure5

            return figure5.build(params, profile)
        case "table7":
            from amoc.reporting import table7

            return table7.build(params, profile)
        case "figure2":
            from amoc.reporting import figure2

            return figure2.build(params, profile)
        case "figure3":
            from amoc.reporting import figure3

            return figure3.build(params, profile)
        case "figure4" | "v1_figure2":
            from amoc.reporting import corrupted, figure4, v1_figure2

            return corrupted.build(params, profile, {"figure4": figure4, "v1_figure2": v1_figure2}[name].FIGURE)
        case "corruptions":
            from amoc.reporting import corruptions

            return corruptions.build(params, profile)
        case "precision":
            from amoc.reporting import precision

            return precision.build(params, profile)
        case "fast":
            from amoc.reporting import fast

            return fast.build(params, profile)
        case "switches":
            from amoc.reporting import switches

            return switches.build(params, profile)
        case "peers":
            from amoc.reporting import peers

            return peers.build(params, profile)
        case "transfer":
            from amoc.reporting import transfer

            return transfer.build(params, profile)
        case "claims" | "all_claims":
            from amoc.reporting import claims_report

            return claims_report.build(params, profile, given, name=name)
        case "index":
            from amoc.reporting import index

            return index.build(params, profile)


if __name__ == "__main__":
    command.run(main)
