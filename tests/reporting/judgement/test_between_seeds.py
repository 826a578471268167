"""How far seeds alone put two numbers apart: from which runs it is taken, and what it makes of a margin."""

from __future__ import annotations

from math import sqrt
from statistics import stdev

import numpy as np
import pytest
from scipy import stats

from amoc.reporting.judgement import between_seeds
from amoc.reporting.judgement.inequalities import Quantity, above, flat, mean_above, pronounced, ratio, under
from amoc.reporting.judgement.judging import DOUBTFUL, Claim, Part, judge
from amoc.reporting.judgement.statistics import Spread, limit_of_range, limit_of_sum
from amoc.reporting.judgement.verdicts import beyond_seeds, markdown

FIGURE3 = {
    "moco_mean": {"seeds": 3, "stdev_clean": 50.0, "stdev_clean_std": 1.0},
    "acl_mean": {"seeds": 5, "stdev_clean": 60.0, "stdev_clean_std": 2.0, "adev_clean_std": 4.0},
    "amoc_mean": {"seeds": 4, "stdev_clean": 70.0, "stdev_clean_std": 3.0, "adev_clean_std": 1.0},
}
REPEATED = {"figure3": FIGURE3}


def spread(table: str, row: str, column: str, metrics: dict) -> Spread | None:
    return between_seeds.find(Quantity(table, row, column), metrics)


# ---------------------------------------------------------------- whose spread


@pytest.mark.parametrize(
    ("table", "row", "expected"),
    [
        ("table3", "moco_long", Spread("moco", 1.0, 2)),
        ("table8", "ccc", Spread("moco", 1.0, 2)),  # the letters of MoCo
        ("table8", "caa", Spread("moco", 1.0, 2)),  # whose query is clean too
        ("table8", "aac", Spread("amoc", 3.0, 3)),
        ("table3", "acl_b64", Spread("acl", 2.0, 4)),
        ("table8", "aca_frozen", Spread("amoc", 3.0, 3)),
        ("figure6", "amoc_k1024", Spread("amoc", 3.0, 3)),
        ("figure7", "amoc_lambda01", Spread("amoc", 3.0, 3)),
        ("figure4", "amoc", None),  # of which nothing was repeated
    ],
)
def test_an_encoder_has_the_spread_of_its_method(table, row, expected):
    assert spread(table, row, "stdev_clean", REPEATED) == expected


def test_what_was_not_repeated_has_none():
    assert spread("table3", "moco", "adev_clean", REPEATED) is None
    assert spread("table3", "moco", "stdev_clean", {}) is None
    assert spread("table5", "trades", "clean", {"table5": {"trades": {"clean": 50.0}}}) is None


def test_networks_share_what_their_second_seeds_tell():
    """The variance of two numbers is half of the square of their difference; its mean over the networks."""
    first = {"trades": {"clean": 50.0}, "pgd_at": {"clean": 40.0}, "alp": {"clean": 30.0}, "standard": {"clean": 90.0}}
    second = {"trades": {"clean": 53.0}, "pgd_at": {"clean": 41.0}, "standard": {"clean": 10.0}}
    second["trades_early_stopped"] = first["trades_early_stopped"] = {"clean": 0.0}
    found = spread("table5", "alp", "clean", {"table5": first, "table5_seed2": second})
    assert found.freedom == 2
    assert found.deviation == pytest.approx(sqrt((stdev([50, 53]) ** 2 + stdev([40, 41]) ** 2) / 2))


# ---------------------------------------------------------------- what it does to a margin


def test_the_limit_of_a_difference_is_welchs():
    """What t has to exceed in a Welch test of single numbers with known spread; of one estimate, Student's."""
    acl, amoc = Spread("acl", 2.0, 4), Spread("amoc", 3.0, 3)
    freedom = (4 + 9) ** 2 / (4**2 / 4 + 9**2 / 3)
    assert limit_of_sum([acl, amoc], 0.05) == pytest.approx(stats.t.isf(0.025, freedom) * sqrt(13))
    assert limit_of_sum([amoc, amoc], 0.05) == pytest.approx(stats.t.isf(0.025, 3) * sqrt(18))
    assert limit_of_sum([Spread("amoc", 0.0, 3)] * 2, 0.05) == 0.0


def test_seeds_alone_exceed_the_limits_once_in_twenty_times():
    """Drawn, with the spread estimated anew each time from five seeds: a difference, and a range of four."""
    random, times = np.random.default_rng(1), 4000
    runs, seeds = random.normal(size=(times, 4)), random.normal(size=(times, 5)).std(axis=1, ddof=1)
    one = limit_of_sum([Spread("amoc", 1.0, 4)] * 2, 0.05)
    assert np.mean(np.abs(runs[:, 0] - runs[:, 1]) > one * seeds) == pytest.approx(0.05, abs=0.012)
    widest = limit_of_range(Spread("amoc", 1.0, 4), 4, 0.05)
    assert np.mean(np.ptp(runs, axis=1) > widest * seeds) == pytest.approx(0.05, abs=0.012)


def test_limits_of_inequalities():
    a, b = Spread("a", 2.0, 4), Spread("b", 3.0, 3)
    (difference,), (low,) = above("t", "x", ["y"], ("c",)), under("t", ("x",), ("c",), 1)
    assert difference.limit((a, b)) == limit_of_sum([a, b], 0.05)
    assert low.limit((a,)) == limit_of_sum([a], 0.05)
    (even,) = flat("t", ("x", "y", "z"), ("c",), 2)
    assert even.limit((a, a, a)) == limit_of_range(a, 3, 0.05)
    # the columns of a run may move together: then its mean has the mean of their deviations
    wide = Spread("a", 4.0, 4)
    means = mean_above("t", "x", "y", ("c", "d"))
    assert means.limit((a, wide, b, b)) == pytest.approx(limit_of_sum([Spread("a", 3.0, 4), b], 0.05))
    gain = pronounced("t", "x", "y", "c", ("c", "d", "e", "f"))
    # of one run: 3/4 and three times 1/4 of it
    assert gain.limit((a,) * 4 + (b,) * 4) == pytest.approx(
        limit_of_sum([Spread("a", 1.5 * 2, 4), Spread("b", 1.5 * 3, 3)], 0.05)
    )
    assert ratio(Quantity("t", "x", "c"), Quantity("t", "y", "c"), 0.8, 1.25).limit is None


# ---------------------------------------------------------------- on the page

PART = Part("AMOC over ACL", above("table3", "amoc", ["acl"], ("stdev_clean",)))
LIMIT, LIMIT_OF_EITHER = (limit_of_sum([Spread("amoc", 3.0, 3), Spread("acl", 2.0, 4)], p) for p in (0.05, 0.05 / 2))


def judged(amoc: float, *parts: Part, **tables: dict):
    numbers = {"table3": {"amoc": {"stdev_clean": amoc}, "acl": {"stdev_clean": 60.0}}} | tables
    return judge([Claim("claim1", "it is so", "a paper", parts or (PART,))], numbers)


@pytest.mark.parametrize(
    ("amoc", "shown"), [(75.0, "**+15.00**"), (61.0, "+1.00"), (59.0, "-1.00"), (45.0, "**-15.00**")]
)
def test_a_margin_beyond_what_seeds_do_is_bold(amoc, shown):
    verdicts = judged(amoc, **REPEATED)
    text = markdown(verdicts, "Claim")
    assert verdicts[0].limit == verdicts[0].parts[0].limit == LIMIT
    assert all(f" {shown} | ±{LIMIT:.2f} |" in line for line in text.splitlines() if line.startswith(("| 1", "| - A")))
    assert between_seeds.READING in text
    beyond = "1 has" if "**" in shown else "0 have"
    assert beyond_seeds(verdicts).startswith("For 1 part it is known") and f"; {beyond}" in beyond_seeds(verdicts)


@pytest.mark.parametrize(("first", "second", "bold"), [(75.0, 80.0, True), (75.0, 61.0, False), (59.0, 40.0, True)])
def test_a_claim_of_several_parts_is_beyond_seeds_by_all_or_by_one_that_fails(first, second, bold):
    parts = [Part(column, above("table3", "amoc", ["acl"], (column,))) for column in ("stdev_clean", "adev_clean")]
    table = {"amoc": {"stdev_clean": first, "adev_clean": second}, "acl": {"stdev_clean": 60.0, "adev_clean": 60.0}}
    same = {row: own | {"adev_clean_std": own["stdev_clean_std"]} for row, own in FIGURE3.items()}
    (verdict,) = judged(0.0, *parts, table3=table, figure3=same)
    assert verdict.beyond == bold


@pytest.mark.parametrize(
    ("first", "second", "margin", "bold"),
    [
        (75.0, 80.0, "+15.00", True),  # both hold by more than seeds would do
        (75.0, 61.0, "+1.00", False),
        (45.0, 59.0, "-15.00", True),  # one that fails by more is enough
        (59.0, 59.5, "-1.00", False),
        (59.0, 80.0, "-1.00", False),  # what holds does not make a failure sure
    ],
)
def test_a_part_of_several_checks_is_beyond_seeds_by_all_or_by_one_that_fails(first, second, margin, bold):
    wide = Part("two", above("table3", "amoc", ["acl"], ("stdev_clean", "adev_clean")))
    table = {"amoc": {"stdev_clean": first, "adev_clean": second}, "acl": {"stdev_clean": 60.0, "adev_clean": 60.0}}
    same = {row: own | {"adev_clean_std": own["stdev_clean_std"]} for row, own in FIGURE3.items()}
    (verdict,) = judged(0.0, wide, table3=table, figure3=same)
    assert verdict.beyond == verdict.parts[0].beyond == bold
    assert (f"**{margin}**" if bold else f" {margin} |") in markdown([verdict], "Claim")


@pytest.mark.parametrize(
    ("lower", "limit", "bold"),
    [
        (49.0, LIMIT, True),  # holds by 10: each of its checks has to, and none is chosen for being the furthest
        (69.0, LIMIT_OF_EITHER, False),  # fails by 10: of two checks one is sooner beyond what seeds do
        (71.5, LIMIT_OF_EITHER, True),
    ],
)
def test_of_a_part_that_fails_the_limit_is_of_any_of_its_checks(lower, limit, bold):
    """Bonferroni: each has its share of the one case in twenty."""
    part = Part("two", above("table3", "amoc", ["acl"], ("stdev_clean", "adev_clean")))
    table = {"amoc": {"stdev_clean": 59.0, "adev_clean": 59.0}, "acl": {"stdev_clean": lower, "adev_clean": lower}}
    same = {row: own | {"adev_clean_std": own["stdev_clean_std"]} for row, own in FIGURE3.items()}
    (verdict,) = judged(0.0, part, table3=table, figure3=same)
    assert (verdict.limit, verdict.beyond) == (limit, bold)
    assert LIMIT < 10.0 < LIMIT_OF_EITHER < 12.5


def test_what_fails_by_more_than_seeds_do_is_shown_before_what_fails_by_more_points():
    """Of a part's checks, and of a claim's parts: else a bold margin could stand beside a wider limit."""
    one, other = (Part(name, above("table3", "amoc", ["acl"], (name,))) for name in ("stdev_clean", "adev_clean"))
    table = {"amoc": {"stdev_clean": 45.0, "adev_clean": 30.0}, "acl": {"stdev_clean": 60.0, "adev_clean": 60.0}}
    wide = {row: own | {"adev_clean_std": 10 * own["stdev_clean_std"]} for row, own in FIGURE3.items()}
    both = Part("both", one.checks + other.checks)
    (verdict,) = judged(0.0, both, table3=table, figure3=wide)
    assert (verdict.margin, verdict.limit, verdict.beyond) == (-15.0, LIMIT_OF_EITHER, True)
    assert verdict.parts[0].detail.startswith("fails beyond seeds at amoc over acl, stdev_clean")
    (verdict,) = judged(0.0, one, other, table3=table, figure3=wide)
    assert (verdict.margin, verdict.limit, verdict.beyond) == (-15.0, LIMIT, True)
    assert [part.margin for part in verdict.parts] == [-15.0, -30.0]


def test_without_repeats_there_is_no_such_column():
    text = markdown(judged(75.0), "Claim")
    assert "Seeds" not in text and "| +15.00 |" in text and beyond_seeds(judged(75.0)) == ""


def test_a_part_that_rests_on_a_run_which_learned_nothing_says_so():
    lost = {"amoc": {"stdev_clean": 75.0}, "acl": {"stdev_clean": 10.0, DOUBTFUL: 1}}
    (verdict,) = judged(75.0, table3=lost)
    assert verdict.parts[0].doubtful == ("acl in table3",)
    text = markdown([verdict], "Claim")
    assert "| - AMOC over ACL [1] " in text
    assert "- [1] rests on acl in table3, collapsed or at chance (see there)\n" in text
    assert judged(75.0)[0].parts[0].doubtful == ()


# ---------------------------------------------------------------- means in place of single runs


def test_only_runs_that_were_repeated_are_averaged():
    tables = {
        "figure3": FIGURE3,
        "table3": {
            "amoc": {"stdev_clean": 66.0, "adev_clean": 50.0, DOUBTFUL: 0},
            "amoc_b64": {"stdev_clean": 60.0},
            "acl": {"stdev_clean": None},
        },
        "table8": {"aca": {"stdev_clean": 66.0}, "ccc": {"stdev_clean": 51.0}, "acc": {"stdev_clean": 1.0}},
        "figure7": {"amoc": {"stdev_clean": 66.0}},
        "figure4": {"amoc": {"stdev_clean": 66.0}},  # on corrupted images, which Figure 3 has not
    }
    averaged = between_seeds.averaged(tables)
    assert averaged["table3"] == {
        "amoc": {"stdev_clean": 70.0, "adev_clean": 50.0, DOUBTFUL: 0, "runs": 4},
        "amoc_b64": {"stdev_clean": 60.0},
        "acl": {"stdev_clean": 60.0, "runs": 5},
    }
    assert averaged["table8"] == {
        "aca": {"stdev_clean": 70.0, "runs": 4},
        "ccc": {"stdev_clean": 50.0, "runs": 3},
        "acc": {"stdev_clean": 1.0},
    }
    assert averaged["figure7"] == {"amoc": {"stdev_clean": 70.0, "runs": 4}}
    assert averaged["figure4"] == tables["figure4"] and averaged["figure3"] == FIGURE3
    assert tables["table3"]["amoc"]["stdev_clean"] == 66.0


def test_a_mean_is_as_much_surer_as_its_seeds_are_many():
    """Of four seeds half the deviation; the other number of the difference is of one run, with its own."""
    tables = {"figure3": FIGURE3, "table3": {"amoc": {"stdev_clean": 66.0}, "amoc_b64": {"stdev_clean": 60.0}}}
    (check,) = above("table3", "amoc", ["amoc_b64"], ["stdev_clean"])
    (flatness,) = flat("table3", ["amoc", "amoc_b64"], ["stdev_clean"], 2.0)
    for metrics, deviation in ((tables, 3.0), (between_seeds.averaged(tables), 3.0 / 2)):
        spreads = [between_seeds.find(quantity, metrics) for quantity in check.reads]
        assert spreads == [Spread("amoc", deviation, 3), Spread("amoc", 3.0, 3)]
        limit = stats.t.ppf(0.975, 3) * sqrt(deviation**2 + 3.0**2)
        assert check.limit(spreads) == pytest.approx(limit, rel=1e-12)
        # of a range that of the number which varies most
        assert flatness.limit(spreads) == pytest.approx(stats.studentized_range.ppf(0.95, 2, 3) * 3.0, rel=1e-9)


def test_without_repeats_nothing_is_averaged():
    tables = {"table3": {"amoc": {"stdev_clean": 66.0}}}
    assert between_seeds.averaged(tables) == tables
