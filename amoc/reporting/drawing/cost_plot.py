"""What each way costs, as a bar, beside what it reaches on each seed, as dots: a line per way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from amoc.reporting.drawing.figures import COLUMN, FAINT, FLUSH, HAIR, INK, LOOKS, SMALL, axes_at, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# inches; y counts from the top of the page
_NAMES, _BARS, _GAP, _RIGHT = 1.36, 0.58, 0.14, 0.1  # names, bars, between bars and dots, after the dots
_ABOVE, _BELOW, _LINE = 0.54, 0.36, 0.19  # title and headings; scale and key; a way

_DOT: dict[str, Any] = {"marker": "o", "markersize": 4, "markeredgewidth": 0, "linestyle": "none", "clip_on": False}
_TICK: dict[str, Any] = {"marker": "|", "markersize": 8, "markeredgewidth": 1.2, "linestyle": "none", "clip_on": False}
_COMPARED = 0.8  # width of the line through the first way's mean


@dataclass(frozen=True)
class Way:
    """One line: how it looks (a key of LOOKS), what it is called, its cost, and an accuracy (%) per seed."""

    method: str
    name: str
    cost: float
    accuracies: tuple[float, ...]


def draw(title: str, subtitle: str, ways: Sequence[Way]) -> Figure:
    """A tick is the mean over the seeds; the first way's mean goes through all lines, to compare with."""
    bottom = _ABOVE + _LINE * len(ways)
    height = bottom + _BELOW
    figure, page = sheet(height, title, subtitle)

    def headed(left: float, width: float, heading: str) -> Axes:
        axes = axes_at(page, left, _BELOW, width, bottom - _ABOVE, ylim=(bottom, _ABOVE), yticks=[])
        axes.patch.set_alpha(0)
        page.text(left, _ABOVE - 0.07, heading, color=FAINT, size=SMALL)
        return axes

    bars = headed(_NAMES, _BARS, "passes")
    bars.set_xlim(0, 1.55 * max(way.cost for way in ways))
    bars.set_xticks([])
    dots = headed(_NAMES + _BARS + _GAP, COLUMN - _NAMES - _BARS - _GAP - _RIGHT, "AdEv PGD20, %, by seed")
    everything = [accuracy for way in ways for accuracy in way.accuracies]
    low, high = (min(everything), max(everything)) if everything else (0.0, 100.0)
    margin = 0.08 * (high - low) or 1.0
    dots.set_xlim(low - margin, high + margin)
    dots.grid(axis="x")
    if ways and ways[0].accuracies:
        colour = LOOKS[ways[0].method].light.colour
        dots.axvline(fmean(ways[0].accuracies), color=colour, linewidth=_COMPARED, zorder=1)
        _key(page, ways[0])
    for number, way in enumerate(ways):
        y, colour = _ABOVE + _LINE * (number + 0.5), LOOKS[way.method].colour
        page.axhline(_ABOVE + _LINE * number, color=HAIR, linewidth=0.5)
        page.text(0, y, way.name, va="center_baseline", size=SMALL)
        bars.barh(y, way.cost, height=0.5 * _LINE, color=LOOKS[way.method].light.colour)
        bars.text(way.cost, y, f" {way.cost:g}", va="center_baseline", size=SMALL, color=INK)
        if way.accuracies:
            dots.plot([fmean(way.accuracies)], [y], color=colour, zorder=3, **_TICK)
            dots.plot(way.accuracies, [y] * len(way.accuracies), color=colour, alpha=0.8, zorder=2, **_DOT)
        else:
            dots.text(low, y, "not measured", va="center_baseline", size=SMALL, color=FAINT)
    return figure


def _key(page: Axes, first: Way) -> None:
    """What the marks mean, in the colour of the first way, with whose mean the others are compared."""
    look = LOOKS[first.method]
    handles = page.plot([], [], color=look.colour, label="a seed", **_DOT)
    handles += page.plot([], [], color=look.colour, label="mean of the seeds", **_TICK)
    line = _TICK | {"markeredgewidth": _COMPARED}
    handles += page.plot([], [], color=look.light.colour, label=f"mean of {first.name.partition(',')[0]}", **line)
    page.legend(handles=handles, ncols=3, fontsize=SMALL, handlelength=1, handletextpad=0.4, columnspacing=1.2, **FLUSH)
