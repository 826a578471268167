"""p-values of paired tests as marks on a logarithmic scale: a group per measure, a line per pair of methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amoc.reporting.figures import COLUMN, FAINT, HAIR, INK, LOOKS, SMALL
from amoc.reporting.statistics import PairedComparison, least_wilcoxon_p

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVEL = 0.05  # the journal's

# inches; y counts from the top of the page
_LEFT, _RIGHT = 0.88, 0.80  # before the scale: pairs; after it: differences and effect sizes
_ABOVE, _BELOW = 0.52, 0.46  # title and heading; scale and key
_HEADING, _LINE, _GAP = 0.17, 0.145, 0.06  # of a group: its name, each pair, the space below
_LEAST = 1e-6  # the scale ends here at the latest; a smaller p is drawn at its end

_DOT: dict[str, Any] = {"markersize": 5, "markeredgewidth": 0.5, "clip_on": False, "linestyle": "none"}
_TICK: dict[str, Any] = {"marker": "|", "markersize": 6, "markeredgewidth": 1, "clip_on": False, "linestyle": "none"}


@dataclass(frozen=True)
class Mark:
    """The tests of two methods in one measure; None where they could not be made."""

    methods: tuple[str, ...]  # keys of LOOKS: the first minus the second
    names: tuple[str, ...]
    compared: PairedComparison | None
    holm: float | None


@dataclass(frozen=True)
class Group:
    """One measure."""

    heading: str
    marks: tuple[Mark, ...]


def draw(title: str, subtitle: str, groups: Sequence[Group]) -> Figure:
    """A dot in the colours of both methods is the p of the paired t-test, a hollow one that of Holm's correction, a
    tick that of the signed-rank test; what lies to the right of the line at 0.05 is not significant."""
    from matplotlib.figure import Figure

    bottom = _ABOVE + sum(_HEADING + _LINE * len(group.marks) + _GAP for group in groups)
    height = bottom + _BELOW
    figure = Figure(figsize=(COLUMN, height))
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, COLUMN), ylim=(height, 0))
    page.set_axis_off()
    page.text(0, 0.11, title, weight="bold")
    page.text(0, 0.25, subtitle)
    page.text(COLUMN, _ABOVE - 0.06, "difference, d", ha="right", color=FAINT, size=SMALL)

    marks = [mark for group in groups for mark in group.marks]
    least = _least(marks)
    box = (_LEFT / COLUMN, _BELOW / height, (COLUMN - _LEFT - _RIGHT) / COLUMN, (bottom - _ABOVE) / height)
    axes = figure.add_axes(box, xscale="log", xlim=(least, 1), ylim=(bottom, _ABOVE))
    _frame(axes, least)
    y = _ABOVE
    for group in groups:
        page.axhline(y, color=HAIR, linewidth=0.5)
        page.text(0, y + 0.1, group.heading, va="center_baseline")
        y += _HEADING
        for mark in group.marks:
            page.text(0.08, y + _LINE / 2, " - ".join(mark.names).replace(" - ", " \N{MINUS SIGN} "),
                      va="center_baseline", size=SMALL)  # fmt: skip
            page.text(COLUMN, y + _LINE / 2, _effect(mark), ha="right", va="center_baseline", size=SMALL,
                      color=FAINT if mark.compared is None else INK)  # fmt: skip
            _tests(axes, mark, y + _LINE / 2, least)
            y += _LINE
        y += _GAP
    _key(page, axes, marks, least)
    return figure


def _least(marks: Sequence[Mark]) -> float:
    """The power of ten below all p-values, at least 0.001's and at most _LEAST's."""
    p = [mark.compared.t_p for mark in marks if mark.compared is not None and mark.compared.t_p > 0]
    return max(_LEAST, 10.0 ** math.floor(math.log10(min([1e-3, *p]))))


def _effect(mark: Mark) -> str:
    """'+12.3, 4.1'."""
    if mark.compared is None:
        return "not measured"
    return f"{mark.compared.difference:+.1f}, {mark.compared.effect_size:.1f}".replace("-", "\N{MINUS SIGN}")


def _frame(axes: Axes, least: float) -> None:
    from matplotlib.ticker import NullLocator

    decades = [10.0**power for power in range(round(math.log10(least)), 1)]
    axes.set_xticks(decades, [f"{decade:g}" if decade >= 1e-3 else f"$10^{{{math.log10(decade):.0f}}}$"
                              for decade in decades])  # fmt: skip
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks([])
    axes.grid(axis="x")
    axes.patch.set_visible(False)
    axes.spines[:].set_visible(False)
    axes.axvline(LEVEL, color=INK, linewidth=0.7)
    top = axes.get_ylim()[1]
    axes.text(LEVEL, top - 0.06, "0.05", ha="center", color=INK, size=SMALL)


def _tests(axes: Axes, mark: Mark, y: float, least: float) -> None:
    if mark.compared is None or mark.holm is None:
        return
    first, second = (LOOKS[method].colour for method in mark.methods)
    p, holm, wilcoxon = (max(least, value) for value in (mark.compared.t_p, mark.holm, mark.compared.wilcoxon_p))
    axes.plot([p, holm], [y, y], color=FAINT, linewidth=0.7, zorder=1)
    axes.plot(wilcoxon, y, color=FAINT, zorder=1.5, **_TICK)
    axes.plot(holm, y, "o", markerfacecolor="white", markeredgecolor=FAINT, **_DOT)
    axes.plot(p, y, "o", fillstyle="left", markerfacecolor=first, markerfacecoloralt=second, markeredgecolor="white",
              zorder=3, **_DOT)  # fmt: skip


def _key(page: Axes, axes: Axes, marks: Sequence[Mark], least: float) -> None:
    """What the marks mean; and, where it says something, the least that the signed-rank test can give."""
    made = [mark.compared for mark in marks if mark.compared is not None]
    if not made:
        return
    one, other = (LOOKS[method].colour for method in marks[0].methods)
    half = {"fillstyle": "left", "markerfacecolor": one, "markerfacecoloralt": other, "markeredgecolor": "white"}
    handles = page.plot([], [], "o", label="paired t-test", **half, **_DOT)
    handles += page.plot([], [], "o", markerfacecolor="white", markeredgecolor=FAINT, label="Holm's", **_DOT)
    fewest = least_wilcoxon_p(max(comparison.seeds for comparison in made))
    handles += page.plot([], [], color=FAINT, label=f"Wilcoxon, at least {fewest:.2g}", **_TICK)
    flush = {"loc": "lower left", "frameon": False, "borderpad": 0, "borderaxespad": 0}
    page.legend(handles=handles, ncols=3, fontsize=SMALL, handlelength=1, handletextpad=0.3, columnspacing=1, **flush)
