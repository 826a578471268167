"""How far apart seeds put the numbers of the tables, from those runs that were repeated with other seeds.

A table has one run per row. What another seed would make of it shows in Figure 3, for encoders under the linear
protocols, and in the second run of Table 5, for networks; it is taken for the same in all runs of a method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt
from statistics import fmean

from amoc.reporting.judgement.inequalities import Quantity
from amoc.reporting.judgement.statistics import Spread
from amoc.reporting.reports import Metrics

Reported = Mapping[str, Metrics]  # by the name of the report

ENCODERS, NETWORKS = "figure3", "table5_seed2"  # the reports with the repeats
LINEAR = ("table3", "table8", "figure6", "figure7")  # tables of encoders under the linear protocols
# rows of those tables whose run is the first of a method's seeds
REPEATED = {
    "table3": {"amoc": "amoc", "acl": "acl", "moco": "moco"},
    "table8": {"aca": "amoc", "ccc": "moco"},
    "figure6": {"amoc": "amoc"},
    "figure7": {"amoc": "amoc"},
}
CLEAN_QUERY = ("ccc", "cca", "cac", "caa")
RUNS = "runs"  # of how many a row has the means, once averaged
READING = """\
Seeds: in at most one of twenty cases would seeds alone move the margin of this one check by more than this (Student's
t; Tukey's for a range; numbers of one run are assumed to move together) or, where a part fails, the margin of any of
its checks (Bonferroni). A part that holds shows its closest check; one that fails shows the check that fails most,
among those that fail by more than seeds explain if there are any. How far seeds go is known from Figure 3 for encoders
under the linear protocols, and from the second seed of Table 5 for networks (without Standard, which has no robustness
to lose). It is assumed to be the same for all runs of a method; variants with a clean query are assumed to vary as MoCo
does. **Bold**: all checks hold by more than this, or one fails by more; any other verdict may be due to seeds. Where a
table says that its runs used different kinds of machine, their effect is part of its margins too, and where Figure 3
says so, also of what seeds do. Seeds do not vary the images: other images may overturn even a bold verdict, above all
where few were attacked (AutoAttack and C&W: Table 5 says how many).
"""


def find(quantity: Quantity, metrics: Reported) -> Spread | None:
    """The spread of a number between seeds; None where nothing like it was repeated.

    A mean over n seeds has that of one run divided by sqrt(n).
    """
    if quantity.table in LINEAR:
        spread = _of_method(_method(quantity.row), quantity.column, metrics)
        runs = metrics.get(quantity.table, {}).get(quantity.row, {}).get(RUNS, 1)
        return spread and replace(spread, deviation=spread.deviation / sqrt(runs))
    return _of_networks(quantity.column, metrics) if quantity.table == "table5" else None


def averaged(metrics: Reported) -> Reported:
    """The same numbers, but of runs that were repeated the means over their seeds, where Figure 3 has them."""
    changed = {table: dict(rows) for table, rows in metrics.items()}
    for table, repeated in REPEATED.items():
        for row, method in repeated.items():
            if row in changed.get(table, {}):
                mean = metrics.get(ENCODERS, {}).get(f"{method}_mean", {})
                changed[table][row] = {key: mean.get(key, number) for key, number in changed[table][row].items()}
                if "seeds" in mean:
                    changed[table][row][RUNS] = mean["seeds"]
    return changed


def _method(row: str) -> str:
    """As Figure 3 calls it. AMOC's variants are taken for AMOC, but for those with a clean query: CCC is MoCo."""
    return {"acl": "acl", "moco": "moco", **dict.fromkeys(CLEAN_QUERY, "moco")}.get(row.partition("_")[0], "amoc")


def _of_method(method: str, measure: str, metrics: Reported) -> Spread | None:
    """Between all of a method's seeds."""
    mean = metrics.get(ENCODERS, {}).get(f"{method}_mean", {})
    deviation, seeds = mean.get(f"{measure}_std"), mean.get("seeds")
    return None if deviation is None or seeds is None else Spread(method, deviation, int(seeds) - 1)


def _of_networks(attack: str, metrics: Reported) -> Spread | None:
    """Pooled over the defended networks that have two seeds: half of the mean square of what these differ by."""
    first, second = metrics.get("table5", {}), metrics.get(NETWORKS, {})
    networks = [key for key in first.keys() & second.keys() if not key.startswith("standard") and "stopped" not in key]
    pairs = [(first[key].get(attack), second[key].get(attack)) for key in sorted(networks)]
    squares = [(one - other) ** 2 / 2 for one, other in pairs if one is not None and other is not None]
    return Spread("networks", sqrt(fmean(squares)), len(squares)) if squares else None
