"""Inequalities over measured numbers: what a claim is made of, and how far seeds alone would move them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from amoc.reporting.judgement.statistics import Spread, limit_of_range, limit_of_sum

Numbers = tuple[float, ...]
LEVEL = 0.05  # of what seeds alone would do


@dataclass(frozen=True)
class Quantity:
    """One number of a report's metrics.json."""

    table: str
    row: str
    column: str


@dataclass(frozen=True)
class Check:
    """One inequality: it holds where margin(the numbers read) > 0, or >= 0 if equality will do.

    limit: how far seeds alone would move the margin with a probability, once in twenty times unless it is given, from
        the spread of each number read; None where that is not known.
    say: what the margin is made of, in words; None for the numbers themselves.
    """

    name: str
    reads: tuple[Quantity, ...]
    margin: Callable[[Numbers], float]
    equality: bool = False
    limit: Callable[..., float] | None = None  # (spreads, level)
    say: Callable[[Numbers], str] | None = None


def linear(
    name: str, reads: tuple[Quantity, ...], weights: Sequence[float], bound: float, equality: bool = False,
    say: Callable[[Numbers], str] | None = None,
) -> Check:  # fmt: skip
    """sum of weight * number > bound; >= with equality."""

    def margin(numbers: Numbers) -> float:
        return sum(weight * number for weight, number in zip(weights, numbers, strict=True)) - bound

    def limit(spreads: Sequence[Spread], level: float = LEVEL) -> float:
        # numbers of one run move together, in the worst case all by their deviation at once; runs are independent
        runs: dict[tuple[str, str], list[tuple[float, Spread]]] = {}
        for quantity, weight, spread in zip(reads, weights, spreads, strict=True):
            runs.setdefault((quantity.table, quantity.row), []).append((abs(weight), spread))
        terms = (
            Spread(own[0][1].of, sum(weight * spread.deviation for weight, spread in own), own[0][1].freedom)
            for own in runs.values()
        )
        return limit_of_sum(terms, level)

    return Check(name, reads, margin, equality, limit, say)


def difference(upper: Quantity, lower: Quantity, by: float = 0.0, equality: bool = False) -> Check:
    """upper > lower + by; >= with equality."""
    name = f"{upper.row} over {lower.row}, {upper.column}"
    return linear(name, (upper, lower), (1, -1), by, equality)


def above(
    table: str, upper: str, lower: Sequence[str], columns: Iterable[str], by: float = 0.0, equality: bool = False
) -> tuple[Check, ...]:
    """In each column, for each of the lower rows: upper > lower + by; >= with equality."""
    return tuple(
        difference(Quantity(table, upper, column), Quantity(table, row, column), by, equality)
        for row in lower
        for column in columns
    )


def growing(table: str, rows: Sequence[str], columns: Sequence[str]) -> tuple[Check, ...]:
    """In each column: each row > the one before it."""
    return tuple(check for small, large in pairwise(rows) for check in above(table, large, [small], columns))


def flat(table: str, rows: Sequence[str], columns: Iterable[str], span: float) -> tuple[Check, ...]:
    """In each column: largest - smallest <= span. All rows are of one method: they are taken to have its spread."""

    def limit(spreads: Sequence[Spread], level: float = LEVEL) -> float:
        return limit_of_range(max(spreads, key=lambda each: each.deviation), len(rows), level)

    def say(numbers: Numbers) -> str:
        ends = (max, "largest"), (min, "smallest")
        return ", ".join(f"{word} {rows[numbers.index(end(numbers))]} {end(numbers):.4g}" for end, word in ends)

    return tuple(
        Check(
            f"range of {rows[0]} to {rows[-1]}, {column}",
            tuple(Quantity(table, row, column) for row in rows),
            lambda n: span - (max(n) - min(n)),
            equality=True,
            limit=limit,
            say=say,
        )
        for column in columns
    )


def under(table: str, rows: Iterable[str], columns: Sequence[str], limit: float) -> tuple[Check, ...]:
    """In each row and column: number < limit."""
    return tuple(
        linear(f"{row} under {limit:g}, {column}", (Quantity(table, row, column),), (-1,), -limit)
        for row in rows
        for column in columns
    )


def at_most(quantity: Quantity, limit: float) -> Check:
    """number <= limit."""
    name = f"{quantity.row} at most {limit:g}, {quantity.column}"
    return linear(name, (quantity,), (-1,), -limit, equality=True)


def at_least(quantity: Quantity, limit: float) -> Check:
    """number >= limit."""
    name = f"{quantity.row} at least {limit:g}, {quantity.column}"
    return linear(name, (quantity,), (1,), limit, equality=True)


def ratio(upper: Quantity, lower: Quantity, low: float, high: float) -> Check:
    """low <= upper / lower <= high, for lower > 0."""
    name = f"{upper.row} / {lower.row}, {upper.column}"
    return Check(name, (upper, lower), lambda n: min(n[0] / n[1] - low, high - n[0] / n[1]), equality=True)


def mean_above(table: str, upper: str, lower: str, columns: Sequence[str], by: float = 0.0) -> Check:
    """mean over the columns of (upper - lower) > by."""
    reads, size = _both(table, upper, lower, columns), len(columns)
    weights = [1 / size] * size + [-1 / size] * size

    def say(n: Numbers) -> str:
        return f"mean of {upper} {fmean(n[:size]):.4g}, of {lower} {fmean(n[size:]):.4g}"

    return linear(f"{upper} over {lower}, mean", reads, weights, by, say=say)


def pronounced(table: str, upper: str, lower: str, column: str, columns: Sequence[str]) -> Check:
    """(upper - lower) in this column > mean over the columns of (upper - lower)."""
    reads, size = _both(table, upper, lower, columns), len(columns)
    own = [(name == column) - 1 / size for name in columns]

    def say(n: Numbers) -> str:
        gains = [above - below for above, below in zip(n[:size], n[size:], strict=True)]
        return f"{upper} minus {lower} {gains[columns.index(column)]:+.4g}, in the mean {fmean(gains):+.4g}"

    name = f"{upper} over {lower}, {column} against the mean"
    return linear(name, reads, [*own, *(-weight for weight in own)], 0.0, say=say)


def _both(table: str, upper: str, lower: str, columns: Sequence[str]) -> tuple[Quantity, ...]:
    """All columns of the one row, then of the other."""
    return tuple(Quantity(table, row, column) for row in (upper, lower) for column in columns)
