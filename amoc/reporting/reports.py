"""A report: the page to read, the table to compute with, the numbers to compare, a picture if there is one; and where
they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amoc.engine.files import read_json, write_atomically, write_json
from amoc.refusal import Refusal
from amoc.reporting.drawing import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORTS = Path("reports")
Metrics = Mapping[str, Mapping[str, float | None]]  # row key -> column -> number, None if not measured


@dataclass(frozen=True)
class Report:
    name: str  # table5
    profile: str
    markdown: str
    csv: str
    metrics: Metrics
    draw: Callable[[], Figure] | None = None
    html: str | None = None  # the page for a browser, where it has one
    shown: str | None = None  # on the terminal, where the page is too long for that


def page(*sections: str | None) -> str:
    """Sections of Markdown, one blank line between them; None is left out."""
    return "\n\n".join(section.strip("\n") for section in sections if section is not None) + "\n"


def folder(name: str, profile: str, reports: Path = REPORTS) -> Path:
    return reports / name / profile


def write(report: Report, reports: Path = REPORTS) -> list[Path]:
    """Write the report into reports/<name>/<profile>/, and return its files.

    <name>.md, <name>.csv, metrics.json, of a page for a browser <name>.html, of a picture <name>.svg and <name>.png.
    """
    stem = folder(report.name, report.profile, reports) / report.name
    contents: dict[Path, str | bytes] = {stem.with_suffix(".md"): report.markdown, stem.with_suffix(".csv"): report.csv}
    if report.html is not None:
        contents[stem.with_suffix(".html")] = report.html
    if report.draw is not None:
        contents |= {stem.with_suffix(f".{kind}"): content for kind, content in figures.render(report.draw).items()}
    for path, content in contents.items():
        write_atomically(path, content)
    numbers = stem.with_name("metrics.json")
    write_json(numbers, report.metrics)
    return [*contents, numbers]


def read_metrics(name: str, profile: str, reports: Path = REPORTS) -> Metrics:
    """The metrics.json of a report; empty if it is not there in a profile other than the demo.

    Raises:
        Refusal: it is not there in the demo, or it does not hold numbers by row and column.
    """
    path = folder(name, profile, reports) / "metrics.json"
    if not path.exists():
        if profile != "demo":
            return {}
        raise Refusal(f"{path} is missing: `python -m stages.report {name} {profile}` makes it")
    metrics = read_json(path)
    if not (isinstance(metrics, dict) and all(_is_row(row) for row in metrics.values())):
        raise Refusal(f"{path} is broken: it should map rows to columns to numbers or null; remove it and report again")
    return metrics


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and all(number is None or isinstance(number, int | float) for number in row.values())
