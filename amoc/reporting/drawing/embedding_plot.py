"""Features in a plane: a panel per encoder, a dot per image in its class's colour, each class named at one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import dist
from typing import TYPE_CHECKING, Any

from amoc.reporting.drawing.figures import COLUMN, FAINT, HAIR, INK, SMALL, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Petroff's ten, made to be told apart with all kinds of colour vision (arXiv 2107.02270): classes, not methods
COLOURS = (
    *("#3F90DA", "#FFA90E", "#BD1F01", "#94A4A2", "#832DB6"),
    *("#A96B59", "#E76300", "#B9AC70", "#717581", "#92DADD"),
)

# inches; y counts from the top of the page
_ABOVE, _BELOW, _GAP = 0.5, 0.03, 0.1  # titles and key; the lower edge; between panels
_HEADING = 0.32  # above each panel: its name, its numbers
_CHARACTER, _HEIGHT, _SIGN = 0.05, 0.115, 0.075  # of a class's name: width of a character, height; before it, its dot
_MARGIN = 0.04  # of a panel: the share of its width that stays empty at each side
_TRIES = 400
_SHARE = 4  # of a class, one in so many of its images is near the one that is named
KEY = "a large dot is the image where its class is densest"

_DOT: dict[str, Any] = {"marker": "o", "markersize": 1.8, "markeredgewidth": 0, "linestyle": "none"}
_NAMED: dict[str, Any] = {"marker": "o", "markersize": 4.5, "markeredgewidth": 0.7, "markeredgecolor": "white"}


@dataclass(frozen=True)
class Panel:
    """One encoder: what it is called, its numbers in words, and its images; there may be none, and then it says why."""

    name: str
    note: str
    classes: tuple[str, ...]
    labels: tuple[int, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    missing: str = "not measured"


def draw(title: str, subtitle: str, panels: Sequence[Panel]) -> Figure:
    """Two panels beside each other, and so on. In each, x and y have one scale; it means nothing between panels."""
    side = (COLUMN - _GAP) / 2
    height = _ABOVE + -(-len(panels) // 2) * (side + _HEADING) + _BELOW
    figure, page = sheet(height, title, subtitle)
    page.text(0, 0.39, KEY, va="center_baseline", size=SMALL, color=FAINT)
    for number, panel in enumerate(panels):
        left, top = number % 2 * (side + _GAP), _ABOVE + number // 2 * (side + _HEADING) + _HEADING
        page.text(left, top - 0.19, panel.name, va="center_baseline")
        page.text(left, top - 0.07, panel.note, va="center_baseline", size=SMALL, color=FAINT)
        box = (left / COLUMN, 1 - (top + side) / height, side / COLUMN, side / height)
        axes = figure.add_axes(box, xlim=(0, side), ylim=(0, side), xticks=[], yticks=[])
        axes.spines[:].set_color(HAIR)
        if panel.labels:
            _images(axes, panel, side)
        else:
            axes.text(side / 2, side / 2, panel.missing, ha="center", va="center", size=SMALL, color=FAINT)
    return figure


def _images(axes: Axes, panel: Panel, side: float) -> None:
    from matplotlib.patheffects import withStroke

    x, y = _fitted(panel, side)
    dots: dict[int, list[int]] = {}
    for number, label in enumerate(panel.labels):
        dots.setdefault(label, []).append(number)
    named = sorted(dots)
    for label in named:
        own = dots[label]
        axes.plot([x[i] for i in own], [y[i] for i in own], color=_colour(label), rasterized=True, **_DOT)
    widths = [_SIGN + _CHARACTER * len(panel.classes[label]) for label in named]
    images = [densest([(x[i], y[i]) for i in dots[label]]) for label in named]
    centres = [(x + (width - _SIGN) / 2, y) for (x, y), width in zip(images, widths, strict=True)]
    for label, width, (centre, height) in zip(named, widths, apart(centres, widths, side), strict=True):
        left, halo = centre - width / 2, [withStroke(linewidth=1.8, foreground="white")]
        axes.plot(left + _SIGN / 2, height, color=_colour(label), zorder=3, **_NAMED)
        axes.text(left + _SIGN, height, panel.classes[label], va="center_baseline", size=SMALL, color=INK,
                  path_effects=halo, zorder=3)  # fmt: skip


def densest(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The one with a quarter of the others in the least circle around it: in a cluster, as a median may not be."""
    count = -(-(len(points) - 1) // _SHARE)
    return min(points, key=lambda point: sorted(dist(point, other) for other in points)[count])


def _colour(label: int) -> str:
    return COLOURS[label % len(COLOURS)]


def _fitted(panel: Panel, side: float) -> tuple[list[float], list[float]]:
    """Coordinates in inches of the panel: the longer extent fills it, the shorter one is in the middle."""
    low, high = (min(panel.x), min(panel.y)), (max(panel.x), max(panel.y))
    extent = max(high[0] - low[0], high[1] - low[1]) or 1.0
    scale = (1 - 2 * _MARGIN) * side / extent
    return tuple(
        [side / 2 + scale * (value - (low[axis] + high[axis]) / 2) for value in values]
        for axis, values in enumerate((panel.x, panel.y))
    )


def apart(middles: Sequence[tuple[float, float]], widths: Sequence[float], side: float) -> list[tuple[float, float]]:
    """The middles of names of these widths so that none covers another, near these ones and inside the panel; inches.

    Pairs that overlap are moved from each other, each by half, along the way that takes less; again until none does.
    """
    places = [list(middle) for middle in middles]
    for _ in range(_TRIES):
        moved = False
        for one in range(len(places)):
            for other in range(one):
                (x, y), (u, v) = places[one], places[other]
                wide, high = (widths[one] + widths[other]) / 2 - abs(x - u), _HEIGHT - abs(y - v)
                if wide > 1e-6 and high > 1e-6:
                    axis, much, sign = (0, wide, x - u) if wide < high else (1, high, y - v)
                    step = (much / 2 + 1e-4) * (1 if sign >= 0 else -1)
                    places[one][axis] += step
                    places[other][axis] -= step
                    moved = True
        for place, width in zip(places, widths, strict=True):
            for axis, half in enumerate((width / 2, _HEIGHT / 2)):
                place[axis] = min(max(place[axis], half), side - half)
        if not moved:
            break
    return [(x, y) for x, y in places]
