"""Everything that was reported of a profile on one page: in Markdown, and as a file that is all that a browser needs.

What is there is shown, whatever it is; a report that was not made is listed with the command that makes it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from amoc.params import DATASETS, Params
from amoc.refusal import Refusal
from amoc.reporting import reports, words
from amoc.reporting.judgement.paper_claims import CLAIMS, floors
from amoc.reporting.markup import inline, to_html
from amoc.reporting.reports import Report, page
from amoc.reporting.tables import Cell, Column, Row, Table, to_csv, to_markdown
from amoc.reporting.titles import GROUPS, TITLES
from amoc.reporting.web_page import Section, web_page

NAME = "index"
SUMMARY, CONTENTS, NOT_MADE = "Summary", "Contents", "Not made"
LARGEST_SVG = 180_000  # bytes: of a larger one the pixels are shown, so that a page with every figure is below 4 MB
_DEEPER = 2  # levels: above a report's headings are the page's own and its group's
_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
_ANSWERS = {1: "hold", 0: "do_not_hold", None: "not_measured"}  # in the metrics.json of a page of claims

ASKED = {"claims": lambda _: CLAIMS, "floors": floors}  # the pages of verdicts: profile -> what each judges

Answers = Mapping[str, float | None]  # key of a claim or floor -> 1: it holds, 0: it does not, None: not measured


@dataclass(frozen=True)
class Made:
    """A report as its file has it, in Markdown: its first heading, what stands above that, and what below."""

    name: str
    title: str
    first: str
    body: str


def build(params: Params, profile: str, written: Path = reports.REPORTS) -> Report:
    """Read the pages and pictures of the profile's reports, those that are there.

    Raises:
        Refusal: one of them is broken, or lacks its picture.
    """
    made = {name: found for name in TITLES if (found := read(name, profile, written)) is not None}
    judged = {name: answers(name, profile, written) for name in ASKED if name in made}
    first, title = words.stands_in(params, profile, *DATASETS), f"AMOC: all results of the profile {profile}"
    groups = {group: [made[name] for name in names if name in made] for group, names in GROUPS.items()}
    groups = {group: there for group, there in groups.items() if there}
    summary, absent = _summary(profile, made, judged), _absent(profile, made)
    contents = _contents(groups, bool(absent))

    parts = [first, f"# {title}", f"## {SUMMARY}", summary, f"## {CONTENTS}", contents]
    sections = []
    for group, there in groups.items():
        parts += [f"## {group}", *(_markdown(report, profile) for report in there)]
        sections += [Section(inline(group), 2), *(_section(report, profile, written) for report in there)]
    if absent:
        parts += [f"## {NOT_MADE}", absent]
        sections += [_own(NOT_MADE, absent)]
    html = web_page(title, _html(first, title), _own(SUMMARY, summary), _html(contents, CONTENTS), sections)
    rows = tuple(Row(name, told, {"made": Cell(name in made)}) for name, told in TITLES.items())
    listed = Table("Report", (Column("made", "Made"),), rows)
    shown = page(first, f"# {title}", summary)
    return Report(NAME, profile, page(*parts), to_csv(listed), _metrics(made, judged), html=html, shown=shown)


def read(name: str, profile: str, written: Path = reports.REPORTS) -> Made | None:
    """A report; None if it was not made.

    Raises:
        Refusal: it cannot be read, or has no heading.
    """
    path = reports.folder(name, profile, written) / f"{name}.md"
    try:
        first, heading, body = re.split(r"(?m)^# (.+)$", path.read_text(encoding="utf-8"), maxsplit=1)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise Refusal(f"{path} is no page of a report: `{_command(name, profile)}` makes it again") from None
    return Made(name, heading, first.strip("\n"), body.strip("\n"))


def answers(name: str, profile: str, written: Path = reports.REPORTS) -> Answers:
    """What the page of claims or of floors says of each.

    Raises:
        Refusal: the file is missing or broken.
    """
    numbers = reports.read_metrics(name, profile, written)
    return {each.key: numbers.get(each.key, {}).get("holds") for each in ASKED[name](profile)}


# ---------------------------------------------------------------- what the page says itself


def _summary(profile: str, made: Mapping[str, Made], judged: Mapping[str, Answers]) -> str:
    """How many reports there are, how many claims and floors hold, and which claims of those that were measured."""
    there = f"Reports made in this profile: {len(made)} of {len(TITLES)}."
    counted = [f"- {made[name].title}" for name in judged]  # which says how many hold
    if "claims" not in judged:
        unknown = f"No claim has been judged yet: run `{_command('claims', profile)}`."
        return page(f"{there} {unknown}", "\n".join(counted)).strip()
    listed = [
        f"  - Claim {claim.key.removeprefix('claim')} {'holds' if answer else 'does not hold'}: {claim.statement}"
        for claim in CLAIMS
        if (answer := judged["claims"][claim.key]) is not None
    ]
    unknown = [key.removeprefix("claim") for key, answer in judged["claims"].items() if answer is None]
    if unknown:
        listed.append(f"  - Not measured: claim{'s' * (len(unknown) > 1)} {', '.join(unknown)}")
    read = (
        "A claim holds if all of its parts do. [The page of claims](#claims) says which do, and by how much; a part in "
        "which a paper concedes a weakness may turn out better than claimed."
    )
    return page(there, "\n".join((counted[0], *listed, *counted[1:])), read).strip()


def _contents(groups: Mapping[str, list[Made]], absent: bool) -> str:
    """Links to everything on the page."""
    lines = [f"- [{SUMMARY}](#{_anchor(SUMMARY)})"]
    for group, there in groups.items():
        lines += [f"- {group}", *(f"  - [{report.title}](#{report.name})" for report in there)]
    return "\n".join(lines + [f"- [{NOT_MADE}](#{_anchor(NOT_MADE)})"] * absent)


def _absent(profile: str, made: Collection[str]) -> str:
    """The reports that are not there, each with the command that makes it; nothing if all are."""
    rows = tuple(
        Row(name, title, {"command": Cell(f"`{_command(name, profile)}`")})
        for name, title in TITLES.items()
        if name not in made
    )
    if not rows:
        return ""
    how = "makes what it needs first" if profile == "demo" else "shows what was measured, and n/m for the rest"
    return page(f"Each command {how}.", to_markdown(Table("Report", (Column("command", "Command"),), rows))).strip()


def _command(name: str, profile: str) -> str:
    """What makes a report. The demo's has to have all its numbers; those of the others may lack some."""
    if profile == "demo":
        return f"dvc repro reports/{name}"
    return f"python -m stages.report {name} {profile}"


def _metrics(made: Collection[str], judged: Mapping[str, Answers]) -> dict[str, dict[str, float | None]]:
    numbers: dict[str, dict[str, float | None]] = {"reports": {"made": len(made), "not_made": len(TITLES) - len(made)}}
    for name, each in judged.items():
        numbers[name] = {key: sum(value == answer for value in each.values()) for answer, key in _ANSWERS.items()}
    return numbers


def _anchor(heading: str) -> str:
    """As repository hosts make one of a heading."""
    return heading.lower().replace(" ", "-")


# ---------------------------------------------------------------- a report, in either form


def _markdown(report: Made, profile: str) -> str:
    """Its headings two levels down, its pictures and files where they are from here."""
    folder = f"../../{report.name}/{profile}"
    body = re.sub(r"(?m)^(#+ )", "#" * _DEEPER + r"\1", report.body)
    body = re.sub(r"(!\[[^\]]*\]\()", rf"\1{folder}/", body)
    files = f"[page]({folder}/{report.name}.md), [numbers]({folder}/{report.name}.csv)"
    heading = f"{'#' * (_DEEPER + 1)} {report.title}"
    return page(f'<a id="{report.name}"></a>', heading, report.first, f"On its own: {files}", body).strip()


def _section(report: Made, profile: str, written: Path) -> Section:
    """With its pictures inside."""
    folder = reports.folder(report.name, profile, written)
    html = _html(page(report.first, report.body), report.title, folder)
    return Section(inline(report.title), _DEEPER + 1, html, report.name)


def _own(heading: str, markdown: str) -> Section:
    return Section(heading, _DEEPER, _html(markdown, heading), _anchor(heading))


def _html(markdown: str, title: str, folder: Path = reports.REPORTS) -> str:
    return to_html(markdown, title, _DEEPER, lambda link: _picture(folder / link))


def _picture(path: Path) -> str:
    """The file as a link that holds it; the pixels of a drawing that has too many lines.

    Raises Refusal: it is not there, or is no picture.
    """
    if path.suffix not in _TYPES:
        raise Refusal(f"{path} is shown by a report, but only {' and '.join(_TYPES)} can be")
    try:
        content = path.read_bytes()
        if path.suffix == ".svg" and len(content) > LARGEST_SVG:
            path = path.with_suffix(".png")
            content = path.read_bytes()
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({error.strerror}): make the report again that shows it") from None
    return f"data:{_TYPES[path.suffix]};base64,{base64.b64encode(content).decode('ascii')}"
