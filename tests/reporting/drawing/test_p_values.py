"""The marks of paired tests: where they stand, in whose colours."""

from __future__ import annotations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from amoc.reporting.drawing.figures import COLUMN, LOOKS, render, style
from amoc.reporting.drawing.p_values import Group, Mark, draw
from amoc.reporting.judgement.statistics import PairedComparison


def mark(p: float, holm: float, wilcoxon: float = 0.0625, methods=("amoc", "acl"), d: float = 2.0) -> Mark:
    compared = PairedComparison(5, -1.25, 1.16, 3.0, p, wilcoxon, d)
    return Mark(methods, tuple(method.upper() for method in methods), compared, holm)


GROUPS = (
    Group("Clean", (mark(0.002, 0.02), mark(0.5, 1.0, 0.4, ("amoc", "moco")))),
    Group("PGD20", (mark(1e-9, 3e-8, methods=("moco", "acl")), Mark(("amoc", "acl"), ("AMOC", "ACL"), None, None))),
)


@pytest.fixture
def axes():
    return draw("Title", "subtitle", GROUPS).axes


def test_each_mark_stands_at_its_p_values(axes):
    _, panel = axes
    dots = [line for line in panel.lines if line.get_marker() == "o"]
    solid = [line for line in dots if line.get_fillstyle() == "left"]
    hollow = [line for line in dots if line.get_fillstyle() != "left"]
    assert [line.get_xdata()[0] for line in solid] == [0.002, 0.5, 1e-6]  # the last is below the scale's end
    assert [line.get_xdata()[0] for line in hollow] == [0.02, 1.0, 1e-6]
    assert [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "|"] == [0.0625, 0.4, 0.0625]
    heights = [line.get_ydata()[0] for line in solid]
    assert heights == sorted(heights) and len(set(heights)) == 3
    assert [line.get_ydata()[0] for line in hollow] == heights


def test_a_dot_has_the_colours_of_its_methods_the_first_one_left(axes):
    _, panel = axes
    colours = [(line.get_markerfacecolor(), line.get_markerfacecoloralt())
               for line in panel.lines if line.get_fillstyle() == "left"]  # fmt: skip
    pairs = (("amoc", "acl"), ("amoc", "moco"), ("moco", "acl"))
    assert colours == [tuple(LOOKS[method].colour for method in pair) for pair in pairs]


def test_the_level_is_a_line_and_the_scale_ends_with_a_sign_where_it_hides_something(axes):
    _, panel = axes
    assert [0.05, 0.05] in [list(line.get_xdata()) for line in panel.lines]
    assert panel.get_xlim() == (1e-6, 1)
    assert panel.get_xticklabels()[0].get_text() == r"$\leq$$10^{-6}$"
    _, wide = draw("Title", "", (Group("Clean", (mark(0.002, 0.02),)),)).axes
    assert wide.get_xlim() == (1e-3, 1)
    assert wide.get_xticklabels()[0].get_text() == "0.001"


def test_differences_and_effect_sizes_are_written_out_and_what_was_not_measured_is_said(axes):
    page, _ = axes
    texts = [text.get_text() for text in page.texts]
    assert texts.count("\N{MINUS SIGN}1.2") == 3 and texts.count("2.0") == 3
    assert texts.count("not measured") == 1
    labels = [text.get_text() for text in page.get_legend().get_texts()]
    assert labels == ["paired t-test", "Holm's correction", "Wilcoxon, at least 0.0625"]


def test_it_fits_a_column_and_nothing_is_written_outside_or_over_the_scale():
    with style():
        figure = draw("Title", "subtitle", GROUPS)
        renderer = FigureCanvasAgg(figure).get_renderer()
        assert figure.get_size_inches()[0] == COLUMN
        page, panel = figure.axes
        scale = panel.get_window_extent(renderer)
        for text in (text for text in page.texts if text.get_text()):
            box = text.get_window_extent(renderer)
            assert box.x0 >= -1 and box.x1 <= figure.bbox.width + 1, text.get_text()
            if scale.y0 < box.y0 and box.y1 < scale.y1:
                assert box.x1 < scale.x0 or box.x0 > scale.x1, text.get_text()


def test_the_same_numbers_give_the_same_bytes():
    assert render(lambda: draw("Title", "", GROUPS)) == render(lambda: draw("Title", "", GROUPS))
