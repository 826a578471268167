"""Accuracies on corrupted images: a line per corruption, by family, a mark per network, and gaps between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amoc.reporting.drawing.figures import COLUMN, FAINT, HAIR, INK, LOOKS, PLATE, SMALL, axes_at, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAMILIES = {
    "": ("clean",),
    "Noise": ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
    "Blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "gaussian_blur"),
    "Weather": ("snow", "frost", "fog", "brightness", "spatter"),
    "Digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression", "saturate"),
    "Mean": ("mean19", "mean18", "mean15", "mean14"),
    "In no mean": ("frost_procedural",),
}
NAMES = {
    "elastic_transform": "elastic", "jpeg_compression": "JPEG", "mean19": "of all 19", "mean15": "of the common 15",
    "mean18": "of 18, no frost", "mean14": "of 14, no frost", "frost_procedural": "procedural frost",
    "gaussian_noise": "Gaussian", "shot_noise": "shot", "impulse_noise": "impulse", "speckle_noise": "speckle",
    "defocus_blur": "defocus", "glass_blur": "glass", "motion_blur": "motion", "zoom_blur": "zoom",
    "gaussian_blur": "Gaussian",
}  # fmt: skip

# inches; y counts from the top of the page
_FAMILY, _NAMES, _RIGHT, _GAP = 0.5, 0.78, 0.04, 0.44  # family, corruption, after the last column, a column of gaps
_TITLE, _KEY, _HEADING = 0.36, 0.13, 0.3  # titles; a line of the key; headings of the gaps
_LINE, _BETWEEN, _BELOW = 0.14, 0.05, 0.2  # a corruption, between families, scale
_NEAR = 0.045  # marks that are nearer to each other would cover one another: they stand at heights of their own
_SPREAD = 0.076  # of a line: from the highest of them to the lowest

_MARK: dict[str, Any] = {"marker": "o", "markersize": 3.8, "markeredgewidth": 1, "linestyle": "none", "clip_on": False}


@dataclass(frozen=True)
class Series:
    """One network: how it looks (a key of LOOKS), what it is called, and percent by row, None if not measured."""

    key: str
    method: str
    name: str
    values: Mapping[str, float | None]
    hollow: bool = False


@dataclass(frozen=True)
class Gap:
    """A column of numbers: how far one series is above another, by their keys."""

    heading: tuple[str, str]  # two lines
    upper: str
    lower: str


def draw(title: str, subtitle: str, rows: Sequence[str], series: Sequence[Series], gaps: Sequence[Gap]) -> Figure:
    """The rows that are shown, in the order of FAMILIES; a gap below zero stands back."""
    families = {name: [row for row in members if row in rows] for name, members in FAMILIES.items()}
    families = {name: members for name, members in families.items() if members}
    top = _TITLE + _KEY * len(series) + _HEADING
    bottom = top + sum(_LINE * len(members) + _BETWEEN for members in families.values())
    height, left, right = bottom + _BELOW, _FAMILY + _NAMES, COLUMN - _RIGHT - _GAP * len(gaps)
    figure, page = sheet(height, title, subtitle)
    for number, one in enumerate(series):
        y = _TITLE + _KEY * (number + 0.5)
        page.plot(_FAMILY + 0.04, y, **_look(one))
        page.text(_FAMILY + 0.13, y, one.name, va="center_baseline", size=SMALL)
    for place, gap in enumerate(gaps, start=1):
        for line, words in enumerate(reversed(gap.heading)):
            y = top - 0.06 - 0.11 * line
            page.text(right + _GAP * place, y, words, ha="right", color=FAINT, size=SMALL)

    low, high = _range(rows, series)
    axes = axes_at(page, left, _BELOW, right - left, bottom - top, ylim=(bottom, top), xlim=(low, high))
    axes.set_yticks([])
    axes.grid(axis="x")
    axes.patch.set_visible(False)
    y = top
    for family, members in families.items():
        page.axhline(y, color=HAIR, linewidth=0.5)
        page.text(0, y + _BETWEEN / 2 + _LINE / 2, family, va="center_baseline", color=FAINT, size=SMALL)
        for number, row in enumerate(members):
            middle = y + _BETWEEN / 2 + _LINE * (number + 0.5)
            page.text(_FAMILY, middle, NAMES.get(row, row.replace("_", " ")), va="center_baseline", size=SMALL)
            _row(axes, row, middle, series, low, (high - low) / (right - left))
            for place, gap in enumerate(gaps, start=1):
                text, ink = _difference(gap, row, series)
                style = {"ha": "right", "va": "center_baseline", "color": ink, "size": SMALL}
                page.text(right + _GAP * place, middle, text, **style)
        y += _LINE * len(members) + _BETWEEN
    return figure


def _look(one: Series) -> dict[str, Any]:
    colour = LOOKS[one.method].colour
    return {**_MARK, "markeredgecolor": colour, "markerfacecolor": "white" if one.hollow else colour}


def _range(rows: Sequence[str], series: Sequence[Series]) -> tuple[float, float]:
    """Percent, of all marks with a little room: from the tick below the lowest one on."""
    values = [one.values.get(row) for one in series for row in rows]
    there = [value for value in values if value is not None] or [0.0, 100.0]
    room = 0.04 * (max(there) - min(there)) or 1.0
    return 10 * math.floor((min(there) - room) / 10), max(there) + room


def _row(axes: Axes, row: str, y: float, series: Sequence[Series], low: float, per_inch: float) -> None:
    """The marks of a row, or that there are none; low: where the scale begins, in percent, of which so many an inch."""
    values = [one.values[row] for one in series if one.values.get(row) is not None]
    if not values:
        axes.text(low, y, "not measured", va="center_baseline", color=FAINT, size=SMALL, bbox=PLATE)
        return
    axes.plot([min(values), max(values)], [y, y], color=HAIR, linewidth=1.5, zorder=1)
    measured = [one for one in series if one.values.get(row) is not None]
    heights = lanes([one.values[row] / per_inch for one in measured])
    for one, height in zip(measured, heights, strict=True):
        axes.plot(one.values[row], y + height, zorder=2, **_look(one))


def lanes(places: Sequence[float]) -> list[float]:
    """How far each mark of a row moves down, in inches as its place: not at all, unless it is near another one.

    Marks that are near, each to the next, stand one below the other in the order in which they are given.
    """
    heights, groups = [0.0] * len(places), []
    for number in sorted(range(len(places)), key=lambda number: places[number]):
        if groups and places[number] - places[groups[-1][-1]] < _NEAR:
            groups[-1].append(number)
        else:
            groups.append([number])
    for group in groups:
        step = min(_SPREAD / 2, _SPREAD / max(1, len(group) - 1))
        for at, number in enumerate(sorted(group)):
            heights[number] = step * (at - (len(group) - 1) / 2)
    return heights


def _difference(gap: Gap, row: str, series: Sequence[Series]) -> tuple[str, str]:
    found = {one.key: one.values.get(row) for one in series}
    upper, lower = found.get(gap.upper), found.get(gap.lower)
    if upper is None or lower is None:
        return "", FAINT
    text = f"{upper - lower:+.1f}".replace("-", "\N{MINUS SIGN}")
    return text, INK if upper > lower else FAINT
