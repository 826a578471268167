"""A dot plot, read back: what stands where, and that nothing stands on something else."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text
from scipy import stats

from amoc.reporting.drawing import dot_plot
from amoc.reporting.drawing.dot_plot import Entry, Panel
from amoc.reporting.drawing.figures import LOOKS, SMALL, style
from amoc.reporting.tables import Cell, Row

LONG = ("frozen bank fine-tuned",)
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
    with style():
        figure = dot_plot.draw("Accuracy (%)", "demo: digits", PANELS, entries)
        FigureCanvasAgg(figure).draw()
    return figure


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
        ["Clean", "n = 100", "99", "98", "81", "74"],  # as in the table: no digit that 100 images do not tell
        ["PGD20", "n = 100", "7", "9", "52", "n/m"],
        ["AutoAttack", "n = 100", "0", "0", "47.1", "collapsed"],  # what was published
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
    names = ["Accuracy (%)", "demo: digits", "Standard", "TRADES", "AMOC", "AdEv probe"]
    assert texts(page) == [*names, dot_plot.INTERVAL]


def test_a_long_note_is_broken_before_the_panels():
    with_note, without = (drawn(Entry("alp", "ALP", notes, accuracies(1, 2, 3))) for notes in (LONG, LONG[:0]))
    notes = [text for text in with_note.axes[0].texts if text.get_text() in ("frozen bank", "fine-tuned")]
    assert len(notes) == 2
    assert all(text.get_window_extent().x1 < panels(with_note)[0].bbox.x0 for text in notes)
    assert with_note.get_figheight() > without.get_figheight()


def keys(figure: Figure) -> list[list[str]]:
    """The words of the key, line by line."""
    return [[text.get_text() for text in legend.get_texts()] for legend in figure.axes[0].findobj(Legend)]


def test_the_key_tells_what_is_there(figure):
    last, twin, published = "last epoch", "early-stopped twin", "published"
    assert keys(figure) == [[last, twin, published]]
    assert keys(drawn(Entry("alp", "ALP", (), accuracies(1, 2, 3)))) == [[last]]
    assert keys(drawn(Entry("alp", "ALP", (), row(*3 * [Cell(published=5.0)])))) == [[published]]
    assert keys(drawn(Entry("alp", "ALP", (), row(*3 * [Cell()])))) == []


def test_the_key_tells_marks_that_are_no_dots():
    """In the colour in which they are drawn."""
    names = ("alp", "acc_finetuned", "aca_frozen_finetuned")
    entries = [Entry(name, name.upper(), (), accuracies(1, 2, 3)) for name in names]
    figure = drawn(*entries)
    assert keys(figure) == [["last epoch"], ["ACC_FINETUNED", "ACA_FROZEN_FINETUNED"]]
    squares, crosses = figure.axes[0].findobj(Legend)[1].get_lines()
    for mark, name in ((squares, "acc_finetuned"), (crosses, "aca_frozen_finetuned")):
        assert (mark.get_marker(), mark.get_color()) == (LOOKS[name].marker, LOOKS[name].colour)


def test_an_interval_is_said_to_be_of_images_and_not_of_seeds(figure):
    assert "Wilson" in dot_plot.INTERVAL and "not over seeds" in dot_plot.INTERVAL
    assert dot_plot.INTERVAL in texts(figure.axes[0])
    assert dot_plot.INTERVAL not in texts(drawn(Entry("alp", "ALP", (), row(*3 * [Cell(published=5.0)]))).axes[0])


def test_all_panels_have_one_scale(figure):
    scales = {(axes.get_xlim(), axes.get_ylim(), round(axes.get_position().width, 9)) for axes in panels(figure)}
    ((low, high), _, _) = scales.pop()
    assert not scales and low < 0 and high > 100


def test_a_plot_without_methods_is_an_empty_one():
    assert [texts(axes) for axes in panels(drawn())] == [["Clean"], ["PGD20"], ["AutoAttack"]]


# ---------------------------------------------------------------- readable

VALUES = (0.0, 3.0, 76.0, 100.0)


def crowd(published: bool) -> list[Entry]:
    """Numbers of every size, twins, and published numbers near and far."""
    entries = []
    for clean, pgd in itertools.product(VALUES, repeat=2):
        first = Cell(clean, 100, published=pgd if published else None)
        second = Cell(pgd, 100, published=clean if published else None)
        measured, twin = row(first, second, Cell(12.3, 1000)), accuracies(pgd, clean, 100.0)
        entries.append(Entry("trades", "TRADES", ("StdEv probe", "not measured"), measured, twin))
    return entries


def apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Of boxes (left, bottom, right, top)."""
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def written(figure: Figure) -> dict[Text, tuple[float, ...]]:
    """The box of the ink of each text: without the ascent and descent that digits do not use."""
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    boxes = {text: text.get_window_extent() for text in texts}
    return {text: (b.x0, b.y0 + 0.15 * b.height, b.x1, b.y1 - 0.15 * b.height) for text, b in boxes.items()}


def pointed(figure: Figure) -> list[tuple[float, ...]]:
    """The box of each dot and diamond."""
    boxes = []
    for axes in panels(figure):
        for mark in marks(axes, "o", "D"):
            x, y = axes.transData.transform((mark.get_xdata()[0], mark.get_ydata()[0]))
            half = mark.get_markersize() / 2 * figure.dpi / 72
            boxes.append((x - half, y - half, x + half, y + half))
    return boxes


SQUARES = [replace(entry, method="acc_finetuned", name="AMOC-ACC") for entry in crowd(published=True)[:4]]
CROWDS = {
    "measured": crowd(published=False), "published": crowd(published=True), "alone": crowd(published=True)[3:4],
    "squares": [*SQUARES, *crowd(published=True)[:4]],
}  # fmt: skip


@pytest.mark.parametrize("entries", CROWDS.values(), ids=CROWDS)
def test_no_text_leaves_its_place_or_covers_a_mark_or_another_text(entries):
    figure = drawn(*entries)
    texts, points = written(figure), pointed(figure)
    for text, box in texts.items():
        assert box[0] > -1 and box[1] > -1 and box[2] < figure.bbox.x1 + 1 and box[3] < figure.bbox.y1 + 1, text
        assert all(apart(box, mark) for mark in points), text
    for axes in panels(figure):
        inside = [texts[text] for text in axes.texts if text.get_text()]
        assert all(axes.bbox.x0 <= box[0] and box[2] <= axes.bbox.x1 for box in inside)
    for (one, first), (other, second) in itertools.combinations(texts.items(), 2):
        assert apart(first, second), (one, other)


def test_no_text_is_smaller_than_print_can_bear(figure):
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= SMALL == 7


def test_numbers_of_a_panel_stand_on_one_side_if_they_can():
    right = drawn(*(Entry("alp", "ALP", (), accuracies(value, value, value)) for value in (10, 40, 58)))
    left = drawn(*(Entry("alp", "ALP", (), accuracies(value, value, value)) for value in (50, 60, 90)))
    for figure, side in ((right, "left"), (left, "right")):  # a text that stands on the right is aligned to its left
        for axes in panels(figure):
            assert {text.get_ha() for text in axes.texts if text.get_text()[0].isdigit()} == {side}


@pytest.mark.parametrize(
    ("largest", "published", "end"), [(10, None, 20), (22, None, 40), (22, 50, 60), (90, None, 100)]
)
def test_the_scale_ends_as_early_as_intervals_and_published_numbers_allow(largest, published, end):
    """Wilson's interval of 10 of 100 ends at 17.4, that of 22 at 31.1."""
    shown = row(Cell(largest, 100, published=published), Cell(1.0, 100), Cell())
    for axes in panels(drawn(Entry("alp", "ALP", (), shown))):
        assert list(axes.get_xticks()) == [0, end / 2, end]
        assert axes.get_xlim() == pytest.approx((-0.06 * end, 1.06 * end))


@pytest.mark.parametrize(("ours", "published"), [(3.0, 95.0), (95.0, 3.0)])
def test_a_number_with_no_room_outside_stands_between_dot_and_diamond(ours, published):
    axes = panels(drawn(Entry("alp", "ALP", (), row(*3 * [Cell(ours, 100, published=published)]))))[0]
    box = axes.texts[-1].get_window_extent()
    ends = [axes.transData.transform((x, 0))[0] for x in sorted((ours, published))]
    assert ends[0] < box.x0 < box.x1 < ends[1]
