"""Verdicts as a table: a line per claim and per part, then what decided each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from textwrap import fill

from amoc.reporting.judgement import between_seeds
from amoc.reporting.judgement.judging import Claim, PartVerdict, Verdict, judge, narrow
from amoc.reporting.judgement.paper_claims import CLAIMS
from amoc.reporting.reports import Metrics
from amoc.reporting.tables import Cell, Column, Row, Table, to_csv, to_markdown

_VERDICT = Column("verdict", "Verdict")
_MARGIN = Column("margin", "Margin")
_SEEDS = Column("seeds", "Seeds")
_UNIT = Column("unit", "Unit")
_DETAIL = Column("detail", "Detail")
_READ = (_VERDICT, _MARGIN, _SEEDS, _UNIT)
_WIDTH = 140
_DIGITS = {"points": 2}


def markdown(verdicts: Sequence[Verdict], corner: str) -> str:
    """The table and, below it, the numbers that decided. A margin is positive where the inequality holds. The parts of
    a claim are listed once one of them is measured. What seeds alone would do has a column where it is known."""
    details = [
        fill(f"- {label(verdict)}: {verdict.detail}", _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        for verdict in verdicts
    ]
    repeated = any(part.limit is not None for verdict in verdicts for part in verdict.parts)
    table = _table(verdicts, corner, _READ if repeated else tuple(column for column in _READ if column != _SEEDS))
    unknown = {f"{v.claim.key}_{n}" for v in verdicts if not _begun(v) for n in range(1, len(v.parts) + 1)}
    shown = replace(table, rows=tuple(row for row in table.rows if row.key not in unknown))
    reading = between_seeds.READING + "\n" if repeated else ""
    return to_markdown(shown) + "\n" + reading + "\n".join(details) + "\n"


def alone(
    name: str, numbers: Metrics, what: str, first: str | None = None, *, claims: Iterable[Claim] = CLAIMS
) -> tuple[str | None, ...]:  # fmt: skip
    """Sections on what one report can check, from its metrics; nothing if that is nothing.

    Args:
        what: the report is, a table or a figure.
        first: what is to be said before the verdicts, if anything.
    """
    judged = judge(narrow(claims, {name}), {name: numbers})
    return (f"## What this {what} alone can check", first, markdown(judged, "Claim")) if judged else ()


def in_comparison(verdicts: Sequence[Verdict], others: Sequence[Verdict], titles: tuple[str, str]) -> str:
    """The parts whose margins differ between two sets of numbers: verdict and margin of the others, and of the first.

    Args:
        titles: of the two columns of margins, the others' first.
    """
    columns = (_VERDICT, Column("margin", titles[0]), Column("before", titles[1]), _UNIT)
    rows = []
    for verdict, other in zip(verdicts, others, strict=True):
        for number, (part, its) in enumerate(zip(verdict.parts, other.parts, strict=True), start=1):
            if part.margin != its.margin:
                cells = {**_cells(its, its.part.unit), "before": _cells(part, part.part.unit)["margin"]}
                key, claim = f"{verdict.claim.key}_{number}", verdict.claim.key.removeprefix("claim")
                rows.append(Row(key, f"{claim}. {part.part.statement}", cells))
    return to_markdown(Table("Part of a claim", columns, tuple(rows))) if rows else ""


def csv(verdicts: Sequence[Verdict]) -> str:
    return to_csv(_table(verdicts, "", (*_READ, _DETAIL)))


def metrics(verdicts: Sequence[Verdict]) -> dict[str, dict[str, float | None]]:
    """Claim -> holds (1, 0, None if not measured) and margin."""
    answers = {"holds": 1, "does not hold": 0, "not measured": None}
    return {
        v.claim.key: {"holds": answers[v.verdict], "margin": _rounded(v.margin), "seeds": _rounded(v.limit)}
        for v in verdicts
    }


def counts(verdicts: Sequence[Verdict]) -> dict[str, float | None]:
    """How many of each answer."""
    counted = Counter(verdict.verdict for verdict in verdicts)
    return {answer.replace(" ", "_"): counted[answer] for answer in ("holds", "does not hold", "not measured")}


def count(verdicts: Sequence[Verdict]) -> str:
    """'7 hold, 2 do not hold, 9 are not measured'."""
    holds, fails, unknown = counts(verdicts).values()
    return f"{holds} hold, {fails} {'does' if fails == 1 else 'do'} not hold, {unknown} not measured"


def beyond_seeds(verdicts: Sequence[Verdict]) -> str:
    """'For 20 parts it is known how far seeds ...; 9 have a verdict beyond that, in bold.'; nothing if of none."""
    known = [part for verdict in verdicts for part in verdict.parts if part.limit is not None]
    if not known:
        return ""
    beyond, parts = sum(part.beyond for part in known), f"{len(known)} part{'s' * (len(known) != 1)}"
    known_of = f"For {parts} it is known how far seeds alone would move the margin"
    return f"{known_of}; {beyond} {'has' if beyond == 1 else 'have'} a verdict beyond that, in bold.\n"


def label(verdict: Verdict) -> str:
    """'9. Fine-tuned AMOC beats ...' for a claim; a floor has no number."""
    number = verdict.claim.key.removeprefix("claim")
    return f"{number}. {verdict.claim.statement}" if number.isdigit() else verdict.claim.statement


def _begun(verdict: Verdict) -> bool:
    return any(part.verdict != "not measured" for part in verdict.parts)


def _table(verdicts: Sequence[Verdict], corner: str, columns: tuple[Column, ...]) -> Table:
    rows = []
    for verdict in verdicts:
        rows.append(Row(verdict.claim.key, f"{label(verdict)} ({verdict.claim.source})", _cells(verdict, verdict.unit)))
        for number, part in enumerate(verdict.parts, start=1):
            cells, notes = _cells(part, part.part.unit), _notes(part)
            rows.append(Row(f"{verdict.claim.key}_{number}", f"- {part.part.statement}", cells, notes=notes))
    return Table(corner, columns, tuple(rows))


def _cells(verdict: Verdict | PartVerdict, unit: str) -> dict[str, Cell]:
    margin = verdict.margin
    partly = isinstance(verdict, Verdict) and not verdict.claim.whole
    so_far = " so far" if partly and verdict.verdict == "holds" else ""
    digits = _DIGITS.get(unit, 3)
    mark = "**" if verdict.beyond else ""
    limit = verdict.limit
    return {
        "verdict": Cell(f"{verdict.verdict}{so_far}"),
        "margin": Cell(margin, missing="", shown=None if margin is None else f"{mark}{margin:+.{digits}f}{mark}"),
        "seeds": Cell(limit, missing="", shown=None if limit is None else f"±{limit:.{digits}f}"),
        "unit": Cell(unit if margin is not None else ""),
        "detail": Cell(verdict.detail),
    }


def _notes(part: PartVerdict) -> tuple[str, ...]:
    return (f"rests on {', '.join(part.doubtful)}, collapsed or at chance (see there)",) if part.doubtful else ()


def _rounded(margin: float | None) -> float | None:
    return None if margin is None else round(margin, 4)
