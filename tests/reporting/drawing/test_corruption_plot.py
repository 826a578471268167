"""The marks and numbers of a figure of corruptions."""

from __future__ import annotations

from itertools import combinations
from math import dist

import pytest

from amoc.reporting.drawing.corruption_plot import FAMILIES, Gap, Series, draw, lanes
from amoc.reporting.drawing.figures import INK, LOOKS, render, style
from amoc.reporting.evidence.corruption_names import CORRUPTIONS

ROWS = ("clean", "fog", "snow", "mean18")
ACL = Series("acl", "acl", "ACL", {"clean": 80.0, "fog": 50.0, "snow": None, "mean18": 60.0})
AMOC = Series("amoc", "amoc", "AMOC", {"clean": 79.0, "fog": 55.5, "snow": None, "mean18": 62.0}, hollow=True)


@pytest.fixture(scope="module")
def figure():
    with style():
        return draw("Title", "subtitle", ROWS, (ACL, AMOC), (Gap(("over", "ACL"), "amoc", "acl"),))


def texts(figure) -> dict[str, str]:
    return {text.get_text(): text.get_color() for axes in figure.axes for text in axes.texts}


def test_every_corruption_has_one_family():
    listed = [row for members in FAMILIES.values() for row in members]
    assert len(listed) == len(set(listed)) and set(CORRUPTIONS) <= set(listed)


def test_marks_stand_at_the_accuracies_in_the_methods_colours(figure):
    marks = [line for line in figure.axes[1].lines if line.get_marker() == "o"]
    assert sorted(line.get_xdata()[0] for line in marks) == [50.0, 55.5, 60.0, 62.0, 79.0, 80.0]
    assert {line.get_markeredgecolor() for line in marks} == {LOOKS["acl"].colour, LOOKS["amoc"].colour}
    hollow = {line.get_markeredgecolor() for line in marks if line.get_markerfacecolor() == "white"}
    assert hollow == {LOOKS["amoc"].colour}
    low, high = figure.axes[1].get_xlim()
    assert low < 50 and high > 80


def test_no_mark_covers_another(figure):
    """Of marks that are equal or near a part of each is seen; the others stay where they are."""
    equal = [Series(name, "acl", name, {"clean": 80.0, "fog": 20.0 + 60 * n}) for n, name in enumerate("abc")]
    near = Series("d", "amoc", "d", {"clean": 80.5, "fog": 50.0})
    with style():
        drawn = draw("Title", "subtitle", ("clean", "fog"), (*equal, near), ())
    marks = [line for line in drawn.axes[1].lines if line.get_marker() == "o"]
    places = [tuple(72 * each for each in drawn.dpi_scale_trans.inverted().transform(_pixels(line))) for line in marks]
    width = marks[0].get_markersize() + marks[0].get_markeredgewidth()
    distances = [dist(one, other) for one, other in combinations(places, 2)]
    assert len(marks) == 8 and min(distances) > width / 3
    assert len({y for _, y in places[4:]}) == 1  # of fog
    two = [line.get_ydata()[0] for line in figure.axes[1].lines if line.get_marker() == "o"]
    assert two[0] == two[1] or abs(two[0] - two[1]) * 72 > width / 2  # of clean: 80 and 79


def _pixels(line) -> tuple[float, float]:
    return line.axes.transData.transform((line.get_xdata()[0], line.get_ydata()[0]))


def test_marks_stand_one_below_the_other_in_their_order_only_where_they_are_near():
    assert lanes([1.0, 2.0, 3.0]) == [0, 0, 0]
    first, second, third = lanes([1.01, 2.0, 1.0])
    assert first < 0 == second < third == -first
    assert lanes([1.0]) == [0] and lanes([]) == []
    chain = lanes([1.0, 1.04, 1.08])  # the ends are not near each other, but both are near the middle
    assert chain == sorted(chain) and len(set(chain)) == 3


def test_gaps_are_told_and_those_below_zero_stand_back(figure):
    found = texts(figure)
    assert found["+5.5"] == found["+2.0"] == INK != found["\N{MINUS SIGN}1.0"]


def test_what_was_not_measured_is_said_and_families_without_a_row_are_left_out(figure):
    found = texts(figure)
    assert "not measured" in found and "Weather" in found
    assert "Noise" not in found and "In no mean" not in found


def test_without_any_number_it_can_be_drawn():
    empty = Series("acl", "acl", "ACL", dict.fromkeys(ROWS))
    assert render(lambda: draw("Title", "subtitle", ROWS, (empty,), ()))["png"].startswith(b"\x89PNG")
