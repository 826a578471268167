"""python -m stages.report NAME PROFILE: a table, figure or claims -> reports/NAME/PROFILE/, and onto the terminal."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Literal

import typer

from amoc.params import Params
from amoc.reporting import reports
from amoc.reporting.titles import TITLES
from stages import command

Name = Literal["index", *TITLES]


def main(name: Annotated[Name, typer.Argument(help="The report.")], profile: command.ProfileArgument) -> None:
    """Make a report from small results: <name>.md, <name>.csv, metrics.json; if it has a picture, .svg and .png.

    `claims` is made from the numbers of other reports of the profile, `index` from the reports themselves, those that
    are there; it has <name>.html too.

    Needs no weights, no images and no GPU.
    """
    # only the report's own module: a table of settings need not wait for numpy
    report = import_module(f"amoc.reporting.{name}").build(Params.load(), profile)
    written = reports.write(report)
    print(report.markdown if report.shown is None else report.shown)
    print(f"{written[0].parent}: {', '.join(path.name for path in written)}")


if __name__ == "__main__":
    command.run(main)
