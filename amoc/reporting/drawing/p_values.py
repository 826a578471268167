"""p-values of paired tests as marks on a logarithmic scale: a group per measure, a line per pair of methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amoc.reporting.drawing.figures import COLUMN, FAINT, FLUSH, HAIR, INK, LOOKS, SMALL, axes_at, sheet
from amoc.reporting.judgement.statistics import PairedComparison, least_wilcoxon_p

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVEL = 0.05  # the journal's

# inches; y counts from the top of the page
_LEFT, _RIGHT = 0.88, 0.84  # before the scale: pairs; after it: differences and effect sizes
_SECOND = 0.36  # from the right: where the differences end and the effect sizes begin
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
    bottom = _ABOVE + sum(_HEADING + _LINE * len(group.marks) + _GAP for group in groups)
    height = bottom + _BELOW
    figure, page = sheet(height, title, subtitle)
    _columns(page, _ABOVE - 0.09, "points", "d", FAINT)

    marks = [mark for group in groups for mark in group.marks]
    least = _least(marks)
    width = COLUMN - _LEFT - _RIGHT
    axes = axes_at(page, _LEFT, _BELOW, width, bottom - _ABOVE, xscale="log", xlim=(least, 1), ylim=(bottom, _ABOVE))
    _frame(axes, least, any(mark.compared is not None and mark.compared.t_p < least for mark in marks))
    y = _ABOVE
    for group in groups:
        page.axhline(y, color=HAIR, linewidth=0.5)
        page.text(0, y + 0.1, group.heading, va="center_baseline")
        y += _HEADING
        for mark in group.marks:
            pair = " \N{MINUS SIGN} ".join(mark.names)
            page.text(0.08, y + _LINE / 2, pair, va="center_baseline", size=SMALL)
            _effect(page, y + _LINE / 2, mark)
            _tests(axes, mark, y + _LINE / 2, least)
            y += _LINE
        y += _GAP
    _key(page, marks)
    return figure


def _least(marks: Sequence[Mark]) -> float:
    """A power of ten that is below all p-values, but not above 0.001 and not below _LEAST."""
    p = [mark.compared.t_p for mark in marks if mark.compared is not None and mark.compared.t_p > 0]
    return max(_LEAST, 10.0 ** math.floor(math.log10(min([1e-3, *p]))))


def _effect(page: Axes, y: float, mark: Mark) -> None:
    """The mean difference in points, and Cohen's d."""
    if mark.compared is None:
        _columns(page, y, "", "not measured", FAINT)
    else:
        numbers = (f"{mark.compared.difference:+.1f}", f"{mark.compared.effect_size:.1f}")
        _columns(page, y, *(number.replace("-", "\N{MINUS SIGN}") for number in numbers), INK)


def _columns(page: Axes, y: float, first: str, second: str, ink: str) -> None:
    style = {"ha": "right", "va": "center_baseline", "color": ink, "size": SMALL}
    page.text(COLUMN - _SECOND, y, first, **style)
    page.text(COLUMN, y, second, **style)


def _frame(axes: Axes, least: float, beyond: bool) -> None:
    """beyond: whether p-values below the scale are drawn at its end."""
    from matplotlib.ticker import NullLocator

    decades = [10.0**power for power in range(round(math.log10(least)), 1)]
    labels = [f"{p:g}" if p >= 1e-3 else f"$10^{{{math.log10(p):.0f}}}$" for p in decades]
    if beyond:
        labels[0] = rf"$\leq${labels[0]}"
    axes.set_xticks(decades, labels)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks([])
    axes.grid(axis="x")
    axes.patch.set_visible(False)
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


def _key(page: Axes, marks: Sequence[Mark]) -> None:
    """What the marks mean, and the least that the signed-rank test can give."""
    made = [mark.compared for mark in marks if mark.compared is not None]
    if not made:
        return
    one, other = (LOOKS[method].colour for method in marks[0].methods)
    half = {"fillstyle": "left", "markerfacecolor": one, "markerfacecoloralt": other, "markeredgecolor": "white"}
    handles = page.plot([], [], "o", label="paired t-test", **half, **_DOT)
    handles += page.plot([], [], "o", markerfacecolor="white", markeredgecolor=FAINT, label="Holm's correction", **_DOT)
    fewest = least_wilcoxon_p(max(comparison.seeds for comparison in made))
    handles += page.plot([], [], color=FAINT, label=f"Wilcoxon, at least {fewest:.3g}", **_TICK)
    page.legend(handles=handles, ncols=3, fontsize=SMALL, handlelength=1, handletextpad=0.3, columnspacing=1, **FLUSH)
