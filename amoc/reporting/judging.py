"""Which claims hold on our numbers. A claim is the conjunction of its parts, a part the conjunction of its checks.

The papers' claims themselves are in `paper_claims.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from amoc.reporting.inequalities import Check, Quantity

Metrics = Mapping[str, Mapping[str, Mapping[str, float | None]]]  # table -> row -> column -> number
Answer = Literal["holds", "does not hold", "not measured"]
_NAMED = 4  # rows or numbers that a detail names before it counts the rest


@dataclass(frozen=True)
class Part:
    """One thing that a claim says. Where a paper's words leave a bound open, the statement says which is taken."""

    statement: str
    checks: tuple[Check, ...]
    unit: str = "points"  # of the margins: points of accuracy, unless it says otherwise

    @property
    def tables(self) -> set[str]:
        return {quantity.table for check in self.checks for quantity in check.reads}


@dataclass(frozen=True)
class Claim:
    """`key` names it in metrics.json; `source` is the paper's table, figure or section."""

    key: str
    statement: str
    source: str
    parts: tuple[Part, ...]

    @property
    def reads(self) -> tuple[Quantity, ...]:
        """Every number that the verdict depends on."""
        return tuple(dict.fromkeys(q for part in self.parts for check in part.checks for q in check.reads))


@dataclass(frozen=True)
class PartVerdict:
    """`margin` is the smallest of the part's checks, positive where it holds; None if a number is missing."""

    part: Part
    verdict: Answer
    margin: float | None
    detail: str
    missing: tuple[Quantity, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """`margin` is the smallest of the parts measured in `unit` (points, if any part is); None if not measured."""

    claim: Claim
    verdict: Answer
    margin: float | None
    unit: str
    detail: str
    parts: tuple[PartVerdict, ...]


def judge(claims: Iterable[Claim], metrics: Metrics) -> list[Verdict]:
    """The verdict of each claim.

    A claim does not hold if one of its parts does not; it holds if all do; otherwise numbers are missing and it is not
    measured.

    Args:
        metrics: table -> row key -> column -> number; None and what is absent were not measured.
    """
    return [_judge_claim(claim, metrics) for claim in claims]


def narrow(claims: Iterable[Claim], tables: set[str]) -> list[Claim]:
    """The claims with only those parts that these tables can decide; a claim without such parts is left out."""
    narrowed = (replace(claim, parts=tuple(part for part in claim.parts if part.tables <= tables)) for claim in claims)
    return [claim for claim in narrowed if claim.parts]


def _judge_claim(claim: Claim, metrics: Metrics) -> Verdict:
    parts = tuple(_judge_part(part, metrics) for part in claim.parts)
    answers = [part.verdict for part in parts]
    unit = "points" if any(part.part.unit == "points" for part in parts) else parts[0].part.unit
    if "does not hold" in answers:
        verdict: Answer = "does not hold"
    else:
        verdict = "not measured" if "not measured" in answers else "holds"
    margins = [part.margin for part in parts if part.margin is not None and part.part.unit == unit]
    margin = None if verdict == "not measured" else min(margins, default=None)
    return Verdict(claim, verdict, margin, unit, _detail(parts, verdict, margin), parts)


def _detail(parts: Sequence[PartVerdict], verdict: Answer, margin: float | None) -> str:
    """What decides: the tightest part if all hold, each that fails, or what is missing."""
    if verdict == "holds":
        return next(part.detail for part in parts if part.margin == margin)
    answers = [part.verdict for part in parts]
    partly = "holds" in answers or (verdict == "does not hold" and len(parts) > 1)
    there = len(parts) - answers.count("not measured")
    named = "parts" if there == len(parts) else "measured parts"
    counted = [f"{answers.count('holds')} of {there} {named} hold"] if partly else []
    if verdict == "not measured":
        return "; ".join([*counted, _missing([quantity for part in parts for quantity in part.missing])])
    return "; ".join([*counted, *(part.detail for part in parts if part.verdict == verdict)])


def _judge_part(part: Part, metrics: Metrics) -> PartVerdict:
    numbers = {q: metrics.get(q.table, {}).get(q.row, {}).get(q.column) for check in part.checks for q in check.reads}
    missing = tuple(quantity for quantity, number in numbers.items() if number is None)
    if missing:
        return PartVerdict(part, "not measured", None, _missing(missing), missing)
    # rounded: a difference of two decimals is not exact in binary, and a bound that is just met must hold
    margins = {check: round(check.margin(tuple(numbers[q] for q in check.reads)), 9) for check in part.checks}
    holds = all(margin > 0 or (check.equality and margin == 0) for check, margin in margins.items())
    closest = min(margins, key=margins.__getitem__)
    said = [f"{q.row} {q.column} {numbers[q]:.4g}" for q in closest.reads[:_NAMED]]
    detail = f"closest is {closest.name}: {', '.join(said)}{_rest(closest.reads)}"
    return PartVerdict(part, "holds" if holds else "does not hold", margins[closest], detail)


def _missing(missing: Iterable[Quantity]) -> str:
    """'missing: acl_b64, acl in table3, amoc in table4'."""
    tables: dict[str, list[str]] = {}
    for quantity in missing:
        tables.setdefault(quantity.table, []).append(quantity.row)
    texts = []
    for table, repeated in tables.items():
        names = list(dict.fromkeys(repeated))
        texts.append(f"{', '.join(names[:_NAMED])}{_rest(names)} in {table}")
    return f"missing: {', '.join(texts)}"


def _rest(listed: Sequence) -> str:
    return f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
