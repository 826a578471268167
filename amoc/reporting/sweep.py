"""AMOC over one of its settings, as a table and as lines: what Figures 6 and 7 share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING, Any

from amoc.reporting import encoders, words
from amoc.reporting.drawing.figures import COLUMN, FAINT, FLUSH, INK, LOOKS, SMALL, axes_at, sheet
from amoc.reporting.encoders import EncoderTable, Found, Line
from amoc.reporting.evidence.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# inches; y counts from the top of the page
_HEIGHT, _LEFT, _GAP, _RIGHT = 2.34, 0.28, 0.44, 0.38  # before the panels, between them, after them
_ABOVE, _BELOW = 0.58, 0.52  # titles and headings; scale, its title and the key
SEEDS = """\
In the picture, a dash is the default with another seed, one of those in the mean above. Figure 3 has these two seeds
and more: it shows how far seeds move the numbers, as does the page of claims beside each margin."""
_ROOM = 0.15  # of the scale, for the name of a tick

_ATTACKS = {"clean": "clean", "pgd20": "PGD20"}  # of a measure: what its line is called
_POINT: dict[str, Any] = {"marker": "o", "markersize": 3.5, "markeredgewidth": 0, "linewidth": 1, "clip_on": False}
_DASH: dict[str, Any] = {"marker": "_", "markersize": 8, "markeredgewidth": 0.8, "linestyle": "none", "clip_on": False}


@dataclass(frozen=True)
class Axis:
    """The setting that changes from line to line of a table, and how its values are laid out."""

    setting: str  # key of an encoder's settings
    symbol: str  # in the name of a row: K
    title: str
    logarithmic: bool = False

    def call(self, settings: Mapping[str, Any]) -> str:
        """'AMOC, K = 1024': the value that was used."""
        return f"{words.encoder(settings)}, {self.symbol} = {settings[self.setting]:g}"


def sweep(name: str, title: str, lines: tuple[Line, ...], axis: Axis, above: str, caption: str) -> EncoderTable:
    """The table of such encoders, with its picture; `above` is the picture's title."""
    told, draw = f"{caption}\n{SEEDS}\n", Curves(above, axis, lines)
    return EncoderTable(name, title, lines, caption=told, call=axis.call, draw=draw, clocked=True, about=axis.setting)


@dataclass(frozen=True)
class Curves:
    """Draws the lines of a table that were measured: a panel per recipe, in it clean and PGD20 accuracy."""

    title: str
    axis: Axis
    lines: tuple[Line, ...]
    recipes: tuple[str, ...] = ("stdev", "adev")

    def __call__(self, subtitle: str, found: Found) -> Figure:
        figure, page = sheet(_HEIGHT, self.title, subtitle)
        records = [record for line in self.lines if (record := found.get(line.run)) is not None]
        numbers = [encoders.number(r, f"{recipe}_{a}") for r in records for recipe in self.recipes for a in _ATTACKS]
        highest = max((number for number in numbers if number is not None), default=100.0)
        width = (COLUMN - _LEFT - _RIGHT + _GAP) / len(self.recipes) - _GAP
        for place, recipe in enumerate(self.recipes):
            left = _LEFT + place * (width + _GAP)
            axes = axes_at(page, left, _BELOW, width, _HEIGHT - _ABOVE - _BELOW, ylim=(0, 1.05 * highest))
            page.text(left, _ABOVE - 0.08, f"{words.RECIPES[recipe]}, %")
            self._frame(axes, records, FAINT if place == 0 else "none")
            for attack, name in _ATTACKS.items():
                self._line(axes, f"{recipe}_{attack}", name, found)
        if any(len(encoders.seeds(found, line)) > 1 for line in self.lines):
            _key(page)
        return figure

    def value(self, record: Record) -> float:
        """Where a record stands on the axis."""
        return float(record.settings.model_dump()[self.axis.setting])

    def _frame(self, axes: Axes, records: Sequence[Record], scale: str) -> None:
        """scale: colour of the numbers beside it."""
        values = sorted({self.value(record) for record in records})
        if self.axis.logarithmic:
            axes.set_xscale("log", base=2)
        axes.set_xticks(values, self._names(values))
        axes.set_xticks([], minor=True)
        axes.tick_params(axis="y", labelsize=SMALL, labelcolor=scale, length=0)
        axes.set_xlabel(self.axis.title, size=SMALL, color=FAINT, labelpad=2)
        axes.grid(axis="y")
        if not records:
            axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=FAINT, size=SMALL)

    def _names(self, values: Sequence[float]) -> list[str]:
        """Of the ticks: 2048 is 2k; one that would touch the name before it is left out."""
        names, last = [], -1.0
        for value in values:
            name = f"{value / 1024:g}k" if value >= 1024 and value % 1024 == 0 else f"{value:g}"
            low, here, high = (log2(v) if self.axis.logarithmic else v for v in (values[0], value, values[-1]))
            place = (here - low) / (high - low) if high > low else 0.0
            names.append(name if last < 0 or place - last > _ROOM else "")
            last = place if names[-1] else last
        return names

    def _line(self, axes: Axes, measure: str, name: str, found: Found) -> None:
        """One accuracy over the setting, all of one seed; a dash for each other seed, wider than a point to be seen."""
        look = LOOKS["amoc"].light if measure.endswith("clean") else LOOKS["amoc"]
        points = []
        for line in self.lines:
            record = found.get(line.run)
            number = encoders.number(record, measure) if record is not None else None
            if record is None or number is None:
                continue
            points.append((self.value(record), number))
            repeats = [repeat for repeat in encoders.seeds(found, line).values() if repeat is not record]
            others = [other for repeat in repeats if (other := encoders.number(repeat, measure)) is not None]
            axes.plot([self.value(record)] * len(others), others, color=INK, zorder=3, **_DASH)
        if points:
            points.sort()
            axes.plot(*zip(*points, strict=True), color=look.colour, **_POINT)
            beside = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "size": SMALL}
            axes.annotate(name, points[-1], color=INK, annotation_clip=False, **beside)


def _key(page: Axes) -> None:
    """What a dash means."""
    handles = page.plot([], [], color=INK, label="the default with another seed", **_DASH)
    page.legend(handles=handles, fontsize=SMALL, handlelength=1, handletextpad=0.4, **FLUSH)
