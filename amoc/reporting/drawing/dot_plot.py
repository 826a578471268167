"""Accuracies as dots: a band per method, a panel per attack, every panel on the same scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from amoc.reporting.drawing.figures import COLUMN, FAINT, HAIR, INK, LOOKS, PLATE, SMALL, Look, axes_at, sheet
from amoc.reporting.tables import Cell, Row, decimals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# inches; y counts from the top of the page
_LEFT, _GAP, _RIGHT = 0.74, 0.12, 0.04  # before the panels, between them, after them
_ABOVE, _BELOW, _KEY = 0.60, 0.25, 0.14  # titles and headings; scale; a line of the key
_EDGE, _LINE = 0.125, 0.13  # of a band: from a rule to the nearest line of text, from line to line
_CHARACTER, _CLEAR = 0.046, 0.035  # of a number: the width of a character, the space to its marks

_TOPS = (20, 30, 40, 60, 100)  # percent, where a scale may end
_BEYOND = 0.06  # of it, at each end: a dot at 0 or at 100 stays inside
_DOT: dict[str, Any] = {"markersize": 4, "markeredgewidth": 0, "clip_on": False}
_DIAMOND: dict[str, Any] = {"markersize": 5, "markeredgewidth": 0.7, "fillstyle": "none", "clip_on": False}
INTERVAL = "line: Wilson's 95 % interval over the test images, not over seeds"
_RADIUS, _TIP = 4 / 2 / 72, 5 / 2**0.5 / 72  # inches from the centre of a dot, and of a diamond


@dataclass(frozen=True)
class Panel:
    """One attack: its column of the table, and what it is called here."""

    column: str
    heading: str


@dataclass(frozen=True)
class Entry:
    """One method: its row of the table and, if there is one, that of its early-stopped twin."""

    method: str  # key of LOOKS
    name: str
    notes: tuple[str, ...]  # below the name, each on a line of its own, or two
    row: Row
    twin: Row | None = None


@dataclass(frozen=True)
class _Band:
    """Where an entry stands; a twin of which nothing was measured is gone."""

    top: float
    entry: Entry
    twin: Row | None

    def line(self, number: int) -> float:
        """y of a line; 0 is the method's own."""
        return self.top + _EDGE + number * _LINE

    @property
    def bottom(self) -> float:
        return self.line(max(len(self.notes), 1 if self.twin else 0)) + _EDGE

    @property
    def notes(self) -> list[str]:
        """As lines that have room before the panels."""
        return [line for note in self.entry.notes for line in wrap(note, round(_LEFT / _CHARACTER))]

    def marks(self, column: str) -> list[_Mark]:
        look = LOOKS[self.entry.method]
        marks = [_Mark(self.line(0), self.entry.row.cells[column], look, INK)]
        return marks + ([_Mark(self.line(1), self.twin.cells[column], look.light, FAINT)] if self.twin else [])


@dataclass(frozen=True)
class _Mark:
    """One accuracy of a panel: ours, the published one, or why there is none."""

    y: float
    cell: Cell
    look: Look
    ink: str

    @property
    def number(self) -> float | None:
        """What is written beside it: ours, else the published one."""
        return self.cell.published if self.cell.number is None else self.cell.number

    @property
    def text(self) -> str:
        digits = min(1, decimals(self.cell.n or 1000))
        return self.cell.missing if self.number is None else f"{self.number:.{digits}f}"

    def spans(self, per_inch: float) -> list[tuple[float, float]]:
        """From where to where dot and interval go, and the diamond, if they are there.

        In percent, of which so many make an inch.
        """
        spans = []
        if self.cell.number is not None:
            low, high = self.cell.interval
            radius = _RADIUS * per_inch
            spans.append((min(low, self.cell.number - radius), max(high, self.cell.number + radius)))
        if self.cell.published is not None:
            spans.append((self.cell.published - _TIP * per_inch, self.cell.published + _TIP * per_inch))
        return spans


def draw(title: str, subtitle: str, panels: Sequence[Panel], entries: Sequence[Entry]) -> Figure:
    """Each accuracy (%) with its number and its Wilson 95 % interval; as a hollow diamond, what was published.

    A twin stands below its method, lighter; it is left out if nothing of it was measured in these panels.
    """
    bands = _bands(entries, [panel.column for panel in panels])
    bottom = bands[-1].bottom if bands else _ABOVE + 2 * _EDGE
    every = [mark for band in bands for panel in panels for mark in band.marks(panel.column)]
    key, top = _key(every, entries), _top(every)
    below = _BELOW + _KEY * len(key)
    height, width = bottom + below, (COLUMN - _LEFT - _RIGHT + _GAP) / len(panels) - _GAP
    figure, page = sheet(height, title, subtitle)
    for band in bands:
        page.axhline(band.top, color=HAIR, linewidth=0.5)
        page.text(0, band.line(0), band.entry.name, va="center_baseline")
        for number, note in enumerate(band.notes, start=1):
            page.text(0, band.line(number), note, va="center_baseline", color=FAINT, size=SMALL)
    for place, panel in enumerate(panels):
        left = _LEFT + place * (width + _GAP)
        marks = [mark for band in bands for mark in band.marks(panel.column)]
        scale = (-_BEYOND * top, (1 + _BEYOND) * top)
        axes = axes_at(page, left, below, width, bottom - _ABOVE, xlim=scale, ylim=(bottom, _ABOVE))
        axes.set(xticks=[0, top // 2, top], yticks=[])
        _frame(axes, panel.heading, marks)
        _dots(axes, marks)
        _numbers(axes, marks, scale, (scale[1] - scale[0]) / width)
    for number, line in enumerate(key):
        _explain(page, bottom + _BELOW + _KEY * (number + 0.5), line)
    return figure


def _bands(entries: Sequence[Entry], columns: Sequence[str]) -> list[_Band]:
    bands: list[_Band] = []
    for entry in entries:
        measured = entry.twin is not None and any(entry.twin.cells[column].number is not None for column in columns)
        bands.append(_Band(bands[-1].bottom if bands else _ABOVE, entry, entry.twin if measured else None))
    return bands


def _top(marks: Sequence[_Mark]) -> int:
    """Where the scale ends, in percent: as early as what is shown allows."""
    shown = [cell.interval[1] for mark in marks if (cell := mark.cell).number is not None]
    shown += [mark.cell.published for mark in marks if mark.cell.published is not None]
    return next(top for top in _TOPS if top >= max(shown, default=_TOPS[-1]))


def _frame(axes: Axes, heading: str, marks: Sequence[_Mark]) -> None:
    """What is above and below a panel."""
    counts = sorted({mark.cell.n for mark in marks if mark.cell.n is not None})
    axes.text(0, _ABOVE - 0.15, heading)
    axes.text(0, _ABOVE - 0.04, f"n = {'/'.join(map(str, counts))}" if counts else "", color=FAINT, size=SMALL)
    axes.grid(axis="x")
    axes.patch.set_visible(False)


def _dots(axes: Axes, marks: Sequence[_Mark]) -> None:
    for mark in marks:
        cell, colour = mark.cell, mark.look.colour
        if cell.published is not None:
            axes.plot(cell.published, mark.y, "D", color=colour, **_DIAMOND)
        if cell.number is not None:
            axes.plot(cell.interval, [mark.y, mark.y], color=colour, linewidth=1, clip_on=False)
            axes.plot(cell.number, mark.y, mark.look.marker, color=colour, **_DOT)


def _numbers(axes: Axes, marks: Sequence[_Mark], scale: tuple[float, float], per_inch: float) -> None:
    """The number of each mark beside it; where there is none, the reason."""
    places = _places([mark for mark in marks if mark.number is not None], scale, per_inch)
    for mark in marks:
        x, side = places.get(mark, (0.0, "left"))
        ink = FAINT if mark.cell.number is None else mark.ink
        axes.text(x, mark.y, mark.text, ha=side, va="center_baseline", color=ink, size=SMALL, bbox=PLATE, zorder=1)


def _places(
    marks: Sequence[_Mark], scale: tuple[float, float], per_inch: float
) -> dict[_Mark, tuple[float, str]]:  # fmt: skip
    """x of each number and the side from which it starts there: right of the marks if all numbers of the panel have
    room there, else left of them where there is room."""
    clear = _CLEAR * per_inch
    right, left, between = {}, {}, {}
    for mark in marks:
        spans, room = mark.spans(per_inch), len(mark.text) * _CHARACTER * per_inch
        start, end = min(low for low, _ in spans) - clear, max(high for _, high in spans) + clear
        if end + room <= scale[1]:
            right[mark] = (end, "left")
        if start - room >= scale[0]:
            left[mark] = (start, "right")
        # if neither: dot and diamond are at opposite ends
        dot, diamond = spans[0], spans[-1]
        between[mark] = (dot[1] + clear, "left") if dot < diamond else (dot[0] - clear, "right")
    return between | left | right if len(right) == len(marks) else between | right | left


def _key(marks: Sequence[_Mark], entries: Sequence[Entry]) -> list[dict[str, dict[str, Any]]]:
    """What the marks mean, of those that there are: in each line words, and how the mark before them looks."""
    look, dot = LOOKS["standard"], {"marker": "o", "linewidth": 1, **_DOT}
    measured = {mark.ink for mark in marks if mark.cell.number is not None}
    first: dict[str, dict[str, Any]] = {}
    if INK in measured:
        first["last epoch"] = dot | {"color": look.colour}
    if FAINT in measured:
        first["early-stopped twin"] = dot | {"color": look.light.colour}
    if any(mark.cell.published is not None for mark in marks):
        first["published"] = {"marker": "D", "linestyle": "none", "color": look.colour, **_DIAMOND}
    looks = {entry.name: LOOKS[entry.method] for entry in entries}
    others = {name: dot | {"marker": o.marker, "color": o.colour} for name, o in looks.items() if o.marker != "o"}
    return [line for line in (first, others, {INTERVAL: {}} if measured else {}) if line]


def _explain(page: Axes, y: float, line: dict[str, dict[str, Any]]) -> None:
    """A line of the key, y being its middle. (An Axes keeps one legend of its own, the last.)"""
    from matplotlib.legend import Legend

    if INTERVAL in line:
        page.text(0, y, INTERVAL, va="center_baseline", size=SMALL)
        return
    handles = [page.plot([], [], **look)[0] for look in line.values()]
    placed = {"loc": "center left", "bbox_to_anchor": (0, y), "bbox_transform": page.transData, "frameon": False}
    spaced = {"borderpad": 0, "borderaxespad": 0, "handlelength": 1.5, "handletextpad": 0.4, "columnspacing": 1.2}
    page.add_artist(Legend(page, handles, list(line), ncols=len(handles), fontsize=SMALL, **placed, **spaced))
