"""Inequalities over measured numbers: what a claim is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Quantity:
    """One number of a report's metrics.json."""

    table: str
    row: str
    column: str


@dataclass(frozen=True)
class Check:
    """One inequality: it holds where margin(the numbers read) > 0, or >= 0 if equality will do."""

    name: str
    reads: tuple[Quantity, ...]
    margin: Callable[[Numbers], float]
    equality: bool = False


def difference(upper: Quantity, lower: Quantity, by: float = 0.0, equality: bool = False) -> Check:
    """upper > lower + by; >= with equality."""
    name = f"{upper.row} over {lower.row}, {upper.column}"
    return Check(name, (upper, lower), lambda n: n[0] - n[1] - by, equality)


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
    """In each column: largest - smallest <= span."""
    return tuple(
        Check(
            f"range of {rows[0]} to {rows[-1]}, {column}",
            tuple(Quantity(table, row, column) for row in rows),
            lambda n: span - (max(n) - min(n)),
            equality=True,
        )
        for column in columns
    )


def under(table: str, rows: Iterable[str], columns: Sequence[str], limit: float) -> tuple[Check, ...]:
    """In each row and column: number < limit."""
    return tuple(
        Check(f"{row} under {limit:g}, {column}", (Quantity(table, row, column),), lambda n: limit - n[0])
        for row in rows
        for column in columns
    )


def at_most(quantity: Quantity, limit: float) -> Check:
    """number <= limit."""
    name = f"{quantity.row} at most {limit:g}, {quantity.column}"
    return Check(name, (quantity,), lambda n: limit - n[0], equality=True)


def at_least(quantity: Quantity, limit: float) -> Check:
    """number >= limit."""
    name = f"{quantity.row} at least {limit:g}, {quantity.column}"
    return Check(name, (quantity,), lambda n: n[0] - limit, equality=True)


def ratio(upper: Quantity, lower: Quantity, low: float, high: float) -> Check:
    """low <= upper / lower <= high, for lower > 0."""
    name = f"{upper.row} / {lower.row}, {upper.column}"
    return Check(name, (upper, lower), lambda n: min(n[0] / n[1] - low, high - n[0] / n[1]), equality=True)


def mean_above(table: str, upper: str, lower: str, columns: Sequence[str], by: float = 0.0) -> Check:
    """mean over the columns of (upper - lower) > by."""
    reads = tuple(Quantity(table, row, column) for row in (upper, lower) for column in columns)
    size = len(columns)
    return Check(f"{upper} over {lower}, mean", reads, lambda n: fmean(n[:size]) - fmean(n[size:]) - by)


def pronounced(table: str, upper: str, lower: str, column: str, columns: Sequence[str]) -> Check:
    """(upper - lower) in this column > mean over the columns of (upper - lower)."""
    place, size = columns.index(column), len(columns)
    reads = tuple(Quantity(table, row, name) for row in (upper, lower) for name in columns)
    name = f"{upper} over {lower}, {column} against the mean"
    return Check(name, reads, lambda n: n[place] - n[size + place] - (fmean(n[:size]) - fmean(n[size:])))
