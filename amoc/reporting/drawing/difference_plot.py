"""What each change does, as dots to both sides of zero: a line per change, a panel per measure, a dot per seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean
from typing import TYPE_CHECKING, Any

from amoc.reporting.drawing.figures import COLUMN, FAINT, HAIR, INK, LOOKS, PLATE, SMALL, axes_at, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# inches; y counts from the top of the page
_NAMES, _GAP, _RIGHT = 0.88, 0.16, 0.06  # names, between panels, after them
_ABOVE, _BELOW, _LINE = 0.66, 0.5, 0.19  # titles and headings; scale and key; a change
_BAND = 0.72  # of a line: how high the band of the seeds is

BAND = "grey band: the mean by seeds alone, 19 times of 20; a tick is the mean, a dot a seed"

_DOT: dict[str, Any] = {"marker": "o", "markersize": 3, "markeredgewidth": 0, "linestyle": "none", "clip_on": False}
_TICK: dict[str, Any] = {"marker": "|", "markersize": 9, "markeredgewidth": 1.3, "linestyle": "none", "clip_on": False}


@dataclass(frozen=True)
class Change:
    """One measure: its differences by seed, in points, how far seeds alone go, and whether the mean is beyond that."""

    differences: tuple[float, ...]
    limit: float | None
    beyond: bool


@dataclass(frozen=True)
class Effect:
    """One line: what it is called, and its measures by their headings, the same in each line."""

    name: str
    changes: Mapping[str, Change]


def draw(title: str, subtitle: str, effects: Sequence[Effect]) -> Figure:
    """A dot is a seed's difference, a tick their mean; both are faint where the mean is within the band of the seeds.
    All panels have one scale, for the changes that have a band; of one that leaves it the mean is written at its end.
    """
    bottom = _ABOVE + _LINE * len(effects)
    height = bottom + _BELOW
    figure, page = sheet(height, title, subtitle)
    headings = list(effects[0].changes) if effects else []
    for number, effect in enumerate(effects):
        page.axhline(_ABOVE + _LINE * number, color=HAIR, linewidth=0.5)
        page.text(0, _ABOVE + _LINE * (number + 0.5), effect.name, va="center_baseline", size=SMALL)
    reach = _reach([change for effect in effects for change in effect.changes.values()])
    width = (COLUMN - _NAMES - _RIGHT + _GAP) / max(1, len(headings)) - _GAP
    for place, heading in enumerate(headings):
        left = _NAMES + place * (width + _GAP)
        axes = axes_at(page, left, _BELOW, width, bottom - _ABOVE, xlim=(-reach, reach), ylim=(bottom, _ABOVE))
        recipe, _, attack = heading.partition(" ")
        page.text(left + width / 2, _ABOVE - 0.17, recipe, ha="center", size=SMALL)
        page.text(left + width / 2, _ABOVE - 0.06, attack, ha="center", size=SMALL)
        _panel(axes, [effect.changes[heading] for effect in effects], reach)
    _key(page, height, any(change.beyond for effect in effects for change in effect.changes.values()))
    return figure


def _reach(changes: Sequence[Change]) -> float:
    """From zero to either end of the scale, a whole number of points."""
    judged = [change for change in changes if change.limit is not None] or changes
    everything = [abs(x) for change in judged for x in (*change.differences, change.limit or 0.0)]
    return float(ceil(1.05 * max([1.0, *everything])))


def _panel(axes: Axes, changes: Sequence[Change], reach: float) -> None:
    axes.patch.set_alpha(0)
    tick = max(step for step in (1, 2, 5, 10, 20, 50, 100) if step <= reach)
    axes.set(yticks=[], xticks=[-tick, 0, tick])
    axes.set_xticklabels([f"\N{MINUS SIGN}{tick}", "0", f"{tick}"])
    axes.axvline(0, color=FAINT, linewidth=0.6, zorder=1)
    look = LOOKS["amoc"]
    for number, change in enumerate(changes):
        y = _ABOVE + _LINE * (number + 0.5)
        if change.limit is not None:
            axes.barh(y, 2 * change.limit, left=-change.limit, height=_BAND * _LINE, color=HAIR, zorder=0)
        if not change.differences:
            axes.text(0, y, "n/m", ha="center", va="center_baseline", size=SMALL, color=FAINT)
            continue
        colour = look.colour if change.beyond else FAINT
        if max(map(abs, change.differences)) > reach:
            mean = fmean(change.differences)
            arrow, end = ("\N{LEFTWARDS ARROW}", "left") if mean < 0 else ("\N{RIGHTWARDS ARROW}", "right")
            shown = f"{round(mean, 6):+.1f}".replace("-", "\N{MINUS SIGN}")
            text = f"{arrow} {shown}" if end == "left" else f"{shown} {arrow}"
            place = {"ha": end, "va": "center_baseline", "size": SMALL, "bbox": PLATE}
            axes.text(reach if mean > 0 else -reach, y, text, color=colour, **place)
            continue
        axes.plot([fmean(change.differences)], [y], color=colour, zorder=3, **_TICK)
        axes.plot(change.differences, [y] * len(change.differences), color=colour, zorder=2, **_DOT)


def _key(page: Axes, height: float, beyond: bool) -> None:
    """What the marks mean; beyond: whether any mean is outside its band."""
    for place, text in ((0.25, "orange: the mean is outside the band" if beyond else ""), (0.09, BAND)):
        page.text(0, height - place, text, va="center_baseline", size=SMALL, color=INK)
    page.text(COLUMN - _RIGHT, height - 0.25, "points", ha="right", va="center_baseline", size=SMALL, color=FAINT)
