"""Margins of each kind of inequality, on numbers where they can be seen."""

from __future__ import annotations

import pytest

from amoc.reporting.judgement.inequalities import (
    Quantity,
    above,
    at_least,
    at_most,
    difference,
    flat,
    growing,
    mean_above,
    pronounced,
    ratio,
    under,
)

A, B = Quantity("t", "a", "x"), Quantity("t", "b", "x")


def test_difference():
    check = difference(A, B, by=2)
    assert (check.reads, check.margin((10.0, 7.0)), check.equality) == ((A, B), 1.0, False)


def test_above_pairs_the_upper_row_with_each_lower_row_in_each_column():
    checks = above("t", "a", ("b", "c"), ("x", "y"), by=1)
    assert [(c.reads[0].row, c.reads[1].row, c.reads[0].column, c.reads[1].column) for c in checks] == [
        ("a", "b", "x", "x"),
        ("a", "b", "y", "y"),
        ("a", "c", "x", "x"),
        ("a", "c", "y", "y"),
    ]
    assert all(check.margin((5.0, 3.0)) == 1.0 for check in checks)


def test_what_a_margin_is_made_of_is_said():
    """The ends of a range, means, gains: not the first of many numbers."""
    (even,) = flat("t", ("a", "b", "c"), ("x",), 2)
    assert even.say((10.0, 13.0, 11.0)) == "largest b 13, smallest a 10"
    assert mean_above("t", "a", "b", ("x", "y")).say((4.0, 6.0, 1.0, 5.0)) == "mean of a 5, of b 3"
    gain = pronounced("t", "a", "b", "y", ("x", "y", "z"))
    assert gain.say((11.0, 25.0, 33.0, 10.0, 20.0, 30.0)) == "a minus b +5, in the mean +3"
    assert difference(A, B).say is None


def test_growing_compares_neighbours():
    checks = growing("t", ("a", "b", "c"), ("x",))
    assert [(c.reads[0].row, c.reads[1].row) for c in checks] == [("b", "a"), ("c", "b")]


def test_flat_allows_its_span():
    (check,) = flat("t", ("a", "b", "c"), ("x",), 2)
    assert (check.margin((10.0, 12.0, 11.0)), check.equality) == (0.0, True)
    assert check.margin((10.0, 13.0, 11.0)) == -1.0


@pytest.mark.parametrize(
    ("check", "number", "margin", "equality"),
    [
        (under("t", ("a",), ("x",), 1)[0], 0.25, 0.75, False),
        (at_most(A, 10), 10.0, 0.0, True),
        (at_least(A, 40), 37.5, -2.5, True),
    ],
)
def test_limits(check, number, margin, equality):
    assert (check.margin((number,)), check.equality, check.reads) == (margin, equality, (A,))


@pytest.mark.parametrize(("upper", "margin"), [(1.0, 0.2), (0.8, 0.0), (1.25, 0.0), (0.7, -0.1), (1.5, -0.25)])
def test_ratio_is_bounded_on_both_sides(upper, margin):
    assert ratio(A, B, 0.8, 1.25).margin((upper * 200, 200.0)) == pytest.approx(margin, abs=1e-12)


def test_mean_above_weighs_columns_equally():
    check = mean_above("t", "a", "b", ("x", "y"), by=0.5)
    assert [(q.row, q.column) for q in check.reads] == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    assert check.margin((4.0, 6.0, 1.0, 5.0)) == 1.5


def test_pronounced_compares_one_advantage_with_the_mean_advantage():
    check = pronounced("t", "a", "b", "y", ("x", "y", "z"))
    # advantages 1, 5, 3: the mean is 3
    assert check.margin((11.0, 25.0, 33.0, 10.0, 20.0, 30.0)) == pytest.approx(2.0)
