"""Which claims hold on our numbers. A claim is the conjunction of its parts, a part the conjunction of its checks.

The papers' claims themselves are in `paper_claims.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from amoc.reporting.judgement import between_seeds
from amoc.reporting.judgement.between_seeds import Reported
from amoc.reporting.judgement.inequalities import LEVEL, Check, Quantity

Answer = Literal["holds", "does not hold", "not measured"]
DOUBTFUL = "doubtful"  # column of metrics.json: 1 for a run that collapsed, or learned nothing under a protocol
BETTER = "better than claimed"  # of a part alone
_NAMED = 4  # rows or numbers that a detail names before it counts the rest


@dataclass(frozen=True)
class Part:
    """One thing that a claim says. Where a paper's words leave a bound open, the statement says which is taken."""

    statement: str
    checks: tuple[Check, ...]
    unit: str = "points"  # of the margins: points of accuracy, unless it says otherwise
    conceded: bool = False  # to the others: where ours is better than that, the claim does not fail
    enough: tuple[Check, ...] = ()  # what has to be so for the checks to mean what the paper's words do

    @property
    def reads(self) -> tuple[Quantity, ...]:
        """Every number that the verdict depends on."""
        return tuple(dict.fromkeys(quantity for check in (*self.checks, *self.enough) for quantity in check.reads))

    @property
    def tables(self) -> set[str]:
        return {quantity.table for quantity in self.reads}


@dataclass(frozen=True)
class Claim:
    """`key` names it in metrics.json; `source` is the paper's table, figure or section."""

    key: str
    statement: str
    source: str
    parts: tuple[Part, ...]
    whole: bool = True  # false once it was narrowed to some of its parts

    @property
    def reads(self) -> tuple[Quantity, ...]:
        """Every number that the verdict depends on."""
        return tuple(dict.fromkeys(quantity for part in self.parts for quantity in part.reads))


@dataclass(frozen=True)
class PartVerdict:
    """`margin` is the smallest of the part's checks, positive where it holds; None if it was not measured. Where some
    fail by more than seeds alone would do, it is the smallest of those.

    limit: how far seeds alone would move that margin, or of a part that fails any of its margins; None if nothing like
        it was repeated.
    beyond: whether the verdict is beyond what seeds alone would do: of a part that holds, each check holds by more than
        its limit; of one that fails, some check fails by more.
    doubtful: rows that it reads of runs that collapsed, or learned nothing.
    """

    part: Part
    verdict: Answer | Literal["better than claimed"]
    margin: float | None
    detail: str
    missing: tuple[Quantity, ...] = ()
    limit: float | None = None
    beyond: bool = False
    doubtful: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """`margin` is the smallest of the parts that decide: of those that fail, beyond seeds if any does so, else of all
    that are not better than claimed; among them of those in `unit`, points if any is. None if not measured. `limit` is
    of the same part; `beyond` is of all parts where the claim holds, else of any that fails."""

    claim: Claim
    verdict: Answer
    margin: float | None
    unit: str
    detail: str
    parts: tuple[PartVerdict, ...]
    limit: float | None = None
    beyond: bool = False


def judge(claims: Iterable[Claim], metrics: Reported) -> list[Verdict]:
    """The verdict of each claim.

    A claim does not hold if one of its parts does not, nor a part if one of its checks does not; if numbers are missing
    to another, it is not measured; otherwise it holds, and so it does where a part that was conceded turns out better
    than claimed.

    Args:
        metrics: table -> row key -> column -> number; None and what is absent were not measured.
    """
    return [_judge_claim(claim, metrics) for claim in claims]


def narrow(claims: Iterable[Claim], tables: set[str]) -> list[Claim]:
    """The claims with only those parts that these tables can decide; a claim without such parts is left out."""
    chosen = ((claim, tuple(part for part in claim.parts if part.tables <= tables)) for claim in claims)
    return [replace(claim, parts=parts, whole=parts == claim.parts) for claim, parts in chosen if parts]


def _judge_claim(claim: Claim, metrics: Reported) -> Verdict:
    parts = tuple(_judge_part(part, metrics) for part in claim.parts)
    answers = [part.verdict for part in parts]
    if "does not hold" in answers:
        verdict: Answer = "does not hold"
    else:
        verdict = "not measured" if "not measured" in answers else "holds"
    deciding = [part for part in parts if part.verdict == verdict]
    if verdict == "does not hold":
        deciding = [part for part in deciding if part.beyond] or deciding
    units = [part.part.unit for part in deciding]
    unit = "points" if "points" in units or not units else units[0]
    measured = [part for part in deciding if part.margin is not None and part.part.unit == unit]
    if verdict == "not measured" or not measured:
        return Verdict(claim, verdict, None, unit, _detail(parts, verdict, None), parts)
    tightest = min(measured, key=lambda part: part.margin)
    beyond = (all if verdict == "holds" else any)(part.beyond for part in deciding)
    detail = _detail(parts, verdict, tightest)
    return Verdict(claim, verdict, tightest.margin, unit, detail, parts, tightest.limit, beyond)


def _detail(parts: Sequence[PartVerdict], verdict: Answer, tightest: PartVerdict | None) -> str:
    """How many parts hold, unless all do; what decides: the tightest if the claim holds, each part that fails, or what
    is missing; and what is better than claimed."""
    if verdict == "holds":
        deciding = [tightest.detail] if tightest else []  # none if all parts are better than claimed
    elif verdict == "does not hold":
        deciding = [part.detail for part in parts if part.verdict == verdict]
    else:
        lacking = [quantity for part in parts for quantity in part.missing]
        few = [part.detail for part in parts if part.verdict == verdict and not part.missing]
        deciding = [*few, *([_missing(lacking)] if lacking else [])]
    better = [f"{BETTER}: {part.detail}" for part in parts if part.verdict == BETTER]
    return "; ".join([*_counted(Counter(part.verdict for part in parts)), *deciding, *better])


def _counted(answers: Counter[str]) -> list[str]:
    """'3 of 4 measured parts hold, 1 better than claimed, 2 not measured'; nothing if all hold, or none is measured."""
    unknown = answers["not measured"]
    measured = answers.total() - unknown
    if answers.total() == 1 or answers["holds"] == answers.total() or not measured:
        return []
    others = [f", {answers[answer]} {answer}" for answer in (BETTER, "not measured") if answers[answer]]
    return [f"{answers['holds']} of {measured} {'measured ' * bool(unknown)}parts hold{''.join(others)}"]


def _judge_part(part: Part, metrics: Reported) -> PartVerdict:
    """A check that fails decides, whatever numbers are missing to others."""
    numbers = {q: metrics.get(q.table, {}).get(q.row, {}).get(q.column) for q in part.reads}
    missing = tuple(quantity for quantity, number in numbers.items() if number is None)
    enough, margins = _margins(part.enough, numbers), _margins(part.checks, numbers)
    short = [check for check, margin in enough.items() if not _met(check, margin)]
    holds = all(_met(check, margin) for check, margin in margins.items())
    if short:
        return PartVerdict(part, "not measured", None, f"not to be judged on {_said(short[0], numbers)}")
    if missing and (holds or part.conceded or len(enough) < len(part.enough)):
        return PartVerdict(part, "not measured", None, _missing(missing), missing)
    verdict = "holds" if holds else BETTER if part.conceded else "does not hold"
    level = LEVEL if holds else LEVEL / max(1, len(margins))  # each check has to hold, but any may fail (Bonferroni)
    limits = {check: _limit(check, metrics, level) for check in margins}
    sure = {check for check, limit in limits.items() if limit is not None and abs(margins[check]) > limit}
    fails = {check for check in sure if not _met(check, margins[check])}
    shown = min(fails or margins, key=margins.__getitem__)
    beyond = sure == margins.keys() if holds else bool(fails)
    how = "closest is" if verdict != "does not hold" else "fails beyond seeds at" if fails else "fails most at"
    detail = f"{how} {shown.name}: {_said(shown, numbers)}"
    return PartVerdict(part, verdict, margins[shown], detail, (), limits[shown], beyond, _doubtful(part, metrics))


def _margins(checks: Iterable[Check], numbers: Mapping[Quantity, float | None]) -> dict[Check, float]:
    """Of those checks whose numbers are all there."""
    given = {check: tuple(numbers[quantity] for quantity in check.reads) for check in checks}
    # rounded: a difference of two decimals is not exact in binary, and a bound that is just met must hold
    return {check: round(check.margin(values), 9) for check, values in given.items() if None not in values}


def _limit(check: Check, metrics: Reported, level: float) -> float | None:
    spreads = [between_seeds.find(quantity, metrics) for quantity in check.reads]
    if check.limit is None or None in spreads:
        return None
    return check.limit([spread for spread in spreads if spread is not None], level)


def _doubtful(part: Part, metrics: Reported) -> tuple[str, ...]:
    rows = {(q.table, q.row): metrics[q.table].get(q.row, {}) for q in part.reads if q.table in metrics}
    return tuple(dict.fromkeys(f"{row} in {table}" for (table, row), own in rows.items() if own.get(DOUBTFUL)))


def _met(check: Check, margin: float) -> bool:
    return margin > 0 or (check.equality and margin == 0)


def _said(check: Check, numbers: Mapping[Quantity, float | None]) -> str:
    """'amoc clean 80.1, trades clean 82.2': what it read, or what it says itself."""
    if check.say is not None:
        return check.say(tuple(numbers[quantity] for quantity in check.reads))
    said = [f"{quantity.row} {quantity.column} {numbers[quantity]:.4g}" for quantity in check.reads[:_NAMED]]
    return f"{', '.join(said)}{_rest(check.reads)}"


def _missing(missing: Iterable[Quantity]) -> str:
    """'not given: acl_b64, acl in table3, amoc in table4': not measured, or not comparable, which those tables say."""
    tables: dict[str, list[str]] = {}
    for quantity in missing:
        tables.setdefault(quantity.table, []).append(quantity.row)
    texts = []
    for table, repeated in tables.items():
        names = list(dict.fromkeys(repeated))
        texts.append(f"{', '.join(names[:_NAMED])}{_rest(names)} in {table}")
    return f"not given: {', '.join(texts)}"


def _rest(listed: Sequence) -> str:
    return f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
