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
Seeds: by how much seeds alone would move the margin of this one check in at most one of twenty cases (Student's t, of a
range Tukey's, numbers of one run as if they moved together), and where a part fails, that of any of its checks
(Bonferroni); a part shows the closest of its checks, or the one that fails most, by more than that if any does. That is
known of encoders under the linear protocols from Figure 3, of networks from the second seed of Table 5 (Standard left
out, which has nothing to lose), and taken for the same in all runs of a method, for variants with a clean query
MoCo's. **Bold** where all checks hold by more than that, or one fails by more; of the others seeds may have made the
verdict. Where a table says that its runs had unlike machines, these are in its margins too, and so they are in what
seeds do where Figure 3 says it. Seeds do not vary the images: other ones may turn a bold verdict too, most of all where
few were attacked (AutoAttack and C&W: Table 5 says how many).
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
