"""A dot plot, read back: what stands where, and that nothing stands on something else."""

from __future__ import annotations

import itertools

import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from scipy import stats

from amoc.reporting import dot_plot
from amoc.reporting.dot_plot import Entry, Panel
from amoc.reporting.figures import LOOKS, SMALL, render
from amoc.reporting.tables import Cell, Row

PANELS = (Panel("clean", "Clean"), Panel("pgd", "PGD20"), Panel("aa", "AutoAttack"))


def row(*cells: Cell) -> Row:
    return Row("", "", dict(zip(("clean", "pgd", "aa"), cells, strict=True)))


def accuracies(*values: float, n: int = 100) -> Row:
    return row(*(Cell(value, n) for value in values))


ENTRIES = (
    Entry("standard", "Standard", (), accuracies(99.0, 7.0, 0.0), accuracies(98.0, 9.0, 0.0)),
    Entry("trades", "TRADES", (), row(Cell(81.0, 100, published=81.11), Cell(52.0, 100), Cell(published=47.07))),
    Entry("amoc", "AMOC", ("AdEv probe",), row(Cell(74.0, 100), Cell(), Cell(missing="collapsed")), row(*3 * [Cell()])),
)


def drawn(*entries: Entry) -> Figure:
    """In the project's style, and laid out."""
    figures = []

    def draw() -> Figure:
        figures.append(dot_plot.draw("Accuracy (%)", "demo: digits", PANELS, entries))
        return figures[0]

    render(draw)
    FigureCanvasAgg(figures[0]).draw()
    return figures[0]


def panels(figure: Figure) -> list[Axes]:
    """Those with a scale."""
    return [axes for axes in figure.axes if axes.axison]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text()]


def marks(axes: Axes, *markers: str) -> list[Line2D]:
    return [line for line in axes.lines if line.get_marker() in markers]


@pytest.fixture(scope="module")
def figure() -> Figure:
    return drawn(*ENTRIES)


def test_each_number_is_written_or_why_there_is_none(figure):
    assert [texts(axes) for axes in panels(figure)] == [
        ["Clean", "n = 100", "99.0", "98.0", "81.0", "74.0"],
        ["PGD20", "n = 100", "7.0", "9.0", "52.0", "n/m"],
        ["AutoAttack", "n = 100", "0.0", "0.0", "47.1", "collapsed"],
    ]


def test_dots_are_where_the_numbers_say_in_the_methods_colours(figure):
    dots = marks(panels(figure)[0], "o")
    assert [dot.get_xdata()[0] for dot in dots] == [99.0, 98.0, 81.0, 74.0]
    looks = [LOOKS["standard"], LOOKS["standard"].light, LOOKS["trades"], LOOKS["amoc"]]
    assert [to_hex(dot.get_color()).upper() for dot in dots] == [look.colour for look in looks]
    heights = [dot.get_ydata()[0] for dot in dots]
    assert heights == sorted(heights)  # downwards: the scale of y is inverted
    assert panels(figure)[0].yaxis_inverted()


def test_an_interval_is_wilsons(figure):
    intervals = [tuple(line.get_xdata()) for line in panels(figure)[1].lines if len(line.get_xdata()) == 2]
    expected = [stats.binomtest(right, 100).proportion_ci(method="wilson") for right in (7, 9, 52)]
    assert intervals == [pytest.approx((100 * e.low, 100 * e.high)) for e in expected]


def test_what_was_published_is_a_hollow_diamond_in_the_methods_colour(figure):
    diamonds = [mark for axes in panels(figure) for mark in marks(axes, "D")]
    assert [diamond.get_xdata()[0] for diamond in diamonds] == [81.11, 47.07]
    assert {diamond.get_fillstyle() for diamond in diamonds} == {"none"}
    assert {to_hex(diamond.get_color()).upper() for diamond in diamonds} == {LOOKS["trades"].colour}


def test_names_and_notes_are_left_of_the_panels(figure):
    page = figure.axes[0]
    assert texts(page) == ["Accuracy (%)", "demo: digits", "Standard", "TRADES", "AMOC", "AdEv probe"]


def key(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_the_key_tells_what_is_there(figure):
    last, twin, published = "last epoch, 95 % interval", "early-stopped twin", "published"
    assert key(figure) == [last, twin, published]
    assert key(drawn(Entry("alp", "ALP", (), accuracies(1, 2, 3)))) == [last]
    assert key(drawn(Entry("alp", "ALP", (), row(*3 * [Cell(published=5.0)])))) == [published]
    assert key(drawn(Entry("alp", "ALP", (), row(*3 * [Cell()])))) == []


def test_all_panels_have_one_scale(figure):
    assert len({(axes.get_xlim(), axes.get_ylim(), round(axes.get_position().width, 9)) for axes in panels(figure)}) == 1
    assert all(low < 0 and high > 100 for low, high in (axes.get_xlim() for axes in panels(figure)))


def test_a_plot_without_methods_is_an_empty_one():
    assert [texts(axes) for axes in panels(drawn())] == [["Clean"], ["PGD20"], ["AutoAttack"]]


# ---------------------------------------------------------------- readable

VALUES = (0.0, 3.0, 50.0, 100.0)


def crowd(published: bool) -> list[Entry]:
    """Numbers of every size, twins, and published numbers near and far."""
    entries = []
    for clean, pgd in itertools.product(VALUES, repeat=2):
        cells = [Cell(value, 100, published=other if published else None) for value, other in ((clean, pgd), (pgd, clean))]
        twin = accuracies(pgd, clean, 100.0)
        entries.append(Entry("trades", "TRADES", ("StdEv probe", "not measured"), row(*cells, Cell(12.3, 1000)), twin))
    return entries


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("alone", [False, True])
def test_no_text_leaves_the_page_or_covers_a_mark_or_another_text(published, alone):
    entries = crowd(published)
    for figure in [drawn(entry) for entry in entries[::5]] if alone else [drawn(*entries)]:
        written = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
        boxes = [text.get_window_extent() for text in written]
        for text, box in zip(written, boxes, strict=True):
            assert figure.bbox.x0 - 1 <= box.x0 and box.x1 <= figure.bbox.x1 + 1, text
            assert figure.bbox.y0 - 1 <= box.y0 and box.y1 <= figure.bbox.y1 + 1, text
        points = [(axes, line) for axes in panels(figure) for line in axes.lines if line.get_marker() in ("o", "D")]
        for axes, line in points:
            (x, y), half = axes.transData.transform((line.get_xdata()[0], line.get_ydata()[0])), line.get_markersize() / 2
            half *= figure.dpi / 72
            for text, box in zip(written, boxes, strict=True):
                beside = box.x1 <= x - half or x + half <= box.x0
                assert beside or box.y1 <= y - half or y + half <= box.y0, (text, line.get_xdata())
        for (one, first), (other, second) in itertools.combinations(zip(written, boxes, strict=True), 2):
            assert not first.shrunk(0.9, 0.7).overlaps(second.shrunk(0.9, 0.7)), (one, other)


def test_no_text_is_smaller_than_print_can_bear(figure):
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= SMALL == 7


def test_numbers_of_a_panel_stand_on_one_side_if_they_can():
    right = drawn(*(Entry("alp", "ALP", (), accuracies(value, value, value)) for value in (10, 40, 50)))
    left = drawn(*(Entry("alp", "ALP", (), accuracies(value, value, value)) for value in (50, 60, 90)))
    for figure, side in ((right, "left"), (left, "right")):  # a text that stands on the right is aligned to its left
        for axes in panels(figure):
            assert {text.get_ha() for text in axes.texts if text.get_text()[0].isdigit()} == {side}
