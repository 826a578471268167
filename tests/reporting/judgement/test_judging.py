"""Verdicts of small claims made for the purpose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from amoc.reporting.judgement.inequalities import Quantity, above, at_least, ratio, under
from amoc.reporting.judgement.judging import Claim, Part, judge, narrow

BEATS = Part("a beats b", above("t", "a", ["b"], ("x", "y")))
LOW = Part("c is low", under("u", ("c",), ("x",), 1))
CHEAP = Part("a costs like b", (ratio(Quantity("t", "a", "s"), Quantity("t", "b", "s"), 0.8, 1.25),), unit="ratio")


def verdict_of(*parts: Part, **tables: dict):
    (verdict,) = judge([Claim("claim1", "it is so", "a paper", parts)], tables)
    return verdict


def test_it_holds_with_the_smallest_margin_and_names_the_closest():
    verdict = verdict_of(BEATS, t={"a": {"x": 5.0, "y": 3.5}, "b": {"x": 1.0, "y": 3.0}})
    assert (verdict.verdict, verdict.margin, verdict.unit) == ("holds", 0.5, "points")
    assert verdict.detail == "closest is a over b, y: a y 3.5, b y 3"


def test_of_several_parts_that_hold_the_tightest_is_named():
    verdict = verdict_of(BEATS, LOW, t={"a": {"x": 5.0, "y": 5.0}, "b": {"x": 1.0, "y": 1.0}}, u={"c": {"x": 0.5}})
    assert (verdict.verdict, verdict.margin) == ("holds", 0.5)
    assert verdict.detail == "closest is c under 1, x: c x 0.5"


def test_one_check_that_fails_is_enough():
    verdict = verdict_of(BEATS, t={"a": {"x": 5.0, "y": 2.0}, "b": {"x": 1.0, "y": 3.0}})
    assert (verdict.verdict, verdict.margin) == ("does not hold", -1.0)


def test_equal_is_not_above_but_is_at_least():
    assert verdict_of(BEATS, t={"a": {"x": 5.0, "y": 3.0}, "b": {"x": 1.0, "y": 3.0}}).verdict == "does not hold"
    reached = Part("a reaches 90", (at_least(Quantity("t", "a", "x"), 90),))
    assert verdict_of(reached, t={"a": {"x": 90.0}}).verdict == "holds"
    assert verdict_of(reached, t={"a": {"x": 89.99}}).verdict == "does not hold"


def test_a_bound_that_is_just_met_holds_in_binary_too():
    part = Part("a is 0.1 above b", above("t", "a", ["b"], ("x",), by=0.1, equality=True))
    assert 0.3 - 0.2 < 0.1
    assert verdict_of(part, t={"a": {"x": 0.3}, "b": {"x": 0.2}}).verdict == "holds"


@pytest.mark.parametrize(
    "tables",
    [{}, {"t": {}}, {"t": {"a": {"x": 1.0, "y": 1.0}}}, {"t": {"a": {"x": 1.0, "y": None}, "b": {"x": 0.0, "y": 0.0}}}],
)
def test_a_missing_number_makes_it_not_measured(tables):
    verdict = verdict_of(BEATS, **tables)
    assert (verdict.verdict, verdict.margin) == ("not measured", None)
    assert verdict.detail.startswith("not given: ")


def test_a_check_that_fails_decides_whatever_number_is_missing_to_another():
    verdict = verdict_of(BEATS, t={"a": {"x": 1.0, "y": None}, "b": {"x": 3.0, "y": 0.0}})
    assert (verdict.verdict, verdict.margin) == ("does not hold", -2.0)
    assert verdict.detail == "fails most at a over b, x: a x 1, b x 3"


def test_with_too_few_behind_it_nothing_is_said():
    """Neither that a claim over five seeds holds on three, nor that it does not."""
    five = replace(LOW, enough=(at_least(Quantity("u", "c", "n"), 5),))
    assert [verdict_of(five, u={"c": {"x": x, "n": 5.0}}).verdict for x in (0.5, 2.0)] == ["holds", "does not hold"]
    for x in (0.5, 2.0):
        verdict = verdict_of(five, u={"c": {"x": x, "n": 3.0}})
        assert (verdict.verdict, verdict.detail) == ("not measured", "not to be judged on c n 3")
    told = "not to be judged on c n 3; not given: a, b in t"
    assert verdict_of(five, BEATS, u={"c": {"x": 0.5, "n": 3.0}}).detail == told
    assert verdict_of(five, u={"c": {"x": 2.0}}).detail == "not given: c in u"


def test_what_is_missing_is_named_once_by_table():
    assert verdict_of(BEATS, LOW).detail == "not given: a, b in t, c in u"


def test_a_part_that_fails_decides_whatever_else_is_missing():
    verdict = verdict_of(BEATS, LOW, u={"c": {"x": 2.0}})
    assert (verdict.verdict, verdict.margin) == ("does not hold", -1.0)
    assert [part.verdict for part in verdict.parts] == ["not measured", "does not hold"]
    assert verdict.detail == "0 of 1 measured parts hold, 1 not measured; fails most at c under 1, x: c x 2"


def test_a_part_that_holds_does_not_when_another_is_missing():
    verdict = verdict_of(BEATS, LOW, u={"c": {"x": 0.5}})
    assert (verdict.verdict, verdict.margin) == ("not measured", None)
    assert verdict.detail == "1 of 1 measured parts hold, 1 not measured; not given: a, b in t"


def test_what_was_conceded_may_be_better_than_claimed():
    """The claim holds all the same, by its other parts; but not if one of those fails or is open."""
    conceded = replace(LOW, conceded=True)
    higher = {"a": {"x": 5.0, "y": 5.0}, "b": {"x": 1.0, "y": 3.0}}
    lower = {"a": higher["b"], "b": higher["a"]}
    assert verdict_of(BEATS, conceded, t=higher, u={"c": {"x": 0.5}}).verdict == "holds"
    verdict = verdict_of(BEATS, conceded, t=higher, u={"c": {"x": 9.0}})
    assert (verdict.verdict, verdict.margin) == ("holds", 2.0)
    assert [(part.verdict, part.margin) for part in verdict.parts] == [("holds", 2.0), ("better than claimed", -8.0)]
    assert verdict.detail == (
        "1 of 2 parts hold, 1 better than claimed; closest is a over b, y: a y 5, b y 3; "
        "better than claimed: closest is c under 1, x: c x 9"
    )
    assert verdict_of(BEATS, conceded, t=lower, u={"c": {"x": 9.0}}).verdict == "does not hold"
    assert verdict_of(BEATS, conceded, t=higher).verdict == "not measured"
    verdict = verdict_of(BEATS, conceded, u={"c": {"x": 9.0}})
    assert verdict.verdict == "not measured"
    counted = "0 of 1 measured parts hold, 1 better than claimed, 1 not measured"
    assert verdict.detail.startswith(f"{counted}; not given: a, b in t; better")


def test_a_claim_that_is_better_than_claimed_in_all_it_says_holds_without_a_margin():
    verdict = verdict_of(replace(LOW, conceded=True), u={"c": {"x": 3.0}})
    assert (verdict.verdict, verdict.margin) == ("holds", None)
    assert verdict.detail == "better than claimed: closest is c under 1, x: c x 3"


def test_the_part_that_is_named_is_the_one_whose_margin_is_shown():
    """Not another one with the same number in another unit."""
    verdict = verdict_of(CHEAP, LOW, t={"a": {"s": 1.0}, "b": {"s": 1.0}}, u={"c": {"x": 0.8}})
    assert [part.margin for part in verdict.parts] == [0.2, 0.2] and verdict.unit == "points"
    assert verdict.detail == "closest is c under 1, x: c x 0.8"


def test_the_margin_is_in_points_if_any_part_is():
    numbers = {"a": {"x": 5.0, "y": 5.0, "s": 1.0}, "b": {"x": 1.0, "y": 1.0, "s": 1.0}}
    assert (verdict_of(CHEAP, BEATS, t=numbers).margin, verdict_of(CHEAP, BEATS, t=numbers).unit) == (4.0, "points")
    alone = verdict_of(CHEAP, t=numbers)
    assert (alone.margin, alone.unit) == (pytest.approx(0.2), "ratio")


def test_of_a_claim_that_does_not_hold_the_margin_is_of_a_part_that_fails():
    numbers = {"a": {"x": 5.0, "y": 5.0, "s": 3.0}, "b": {"x": 1.0, "y": 1.0, "s": 1.0}}
    verdict = verdict_of(CHEAP, BEATS, t=numbers)
    assert (verdict.verdict, verdict.margin, verdict.unit) == ("does not hold", pytest.approx(-1.75), "ratio")


def test_narrow_keeps_the_parts_that_the_tables_decide():
    claims = [Claim("claim1", "both", "", (BEATS, LOW)), Claim("claim2", "other", "", (LOW,))]
    (narrowed,) = narrow(claims, {"t"})
    assert (narrowed.key, narrowed.parts, narrowed.whole) == ("claim1", (BEATS,), False)
    assert narrow(claims, {"t", "u"}) == claims
    across = Part("a in t over c in u", (ratio(Quantity("t", "a", "x"), Quantity("u", "c", "x"), 0.8, 1.25),))
    assert narrow([Claim("claim3", "of two tables", "", (across,))], {"t"}) == []


def test_reads_lists_every_number_once():
    claim = Claim("claim1", "", "", (BEATS, BEATS, LOW))
    assert [f"{q.table} {q.row} {q.column}" for q in claim.reads] == ["t a x", "t b x", "t a y", "t b y", "u c x"]
