"""Figure 5: accuracy under PGD20 over the radius of the attack, on CIFAR-10 and CIFAR-100."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amoc.params import DATASETS, Params
from amoc.reporting import networks, words
from amoc.reporting.departures import departures_of
from amoc.reporting.drawing.figures import COLUMN, FAINT, HAIR, LOOKS, SMALL, axes_at, sheet
from amoc.reporting.evidence import records
from amoc.reporting.evidence.records import Record
from amoc.reporting.judgement import verdicts
from amoc.reporting.reports import Report, page
from amoc.reporting.tables import Cell, Column, Row, Table, metrics, to_csv, to_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "figure5"
MODELS = ("pgd_at", "alp", "trades", "amoc_finetuned")
ATTACKS = {"linf_pgd20": "", "linf_pgd20_peers": "_peers"}  # attack of the suite -> end of a column's key
SUITE = "radii"
MASKED = 5.0  # percent: what may be left at the largest radius before the attack is to be doubted
READING = f"""\
Percentage of the test images that are still classified correctly under PGD20 of growing radius. **Bold** and
_underscored_ mark the best and second best of each column. The columns are in eighths of the epsilon that the networks
were trained with; 0 is without attack. The picture has steps of 0.1 epsilon; the peers' steps of 0.25 epsilon have
tables of their own. A curve in the picture that does not come down to about 0 (here: to at most {MASKED:g} %) would
show that the attack fails, not that the network is robust; any such curve is named below. 8/8 is the attack of Tables 5
and 6, PGD20 or PGD20p, from another random start, because the starts depend on the attack's name: the numbers may
differ by a point or two.
"""
STARTS = "at the grey line: PGD20 of Tables 5 and 6, from another random start"

# inches; y counts from the top of the page
_HEIGHT, _LEFT, _GAP, _RIGHT = 2.34, 0.28, 0.24, 0.16  # before the panels, between them, after them
_ABOVE, _BELOW = 0.58, 0.52  # titles and headings; scale, its title and a note
_POINT: dict[str, Any] = {"markersize": 3.5, "markeredgewidth": 0, "linewidth": 1, "clip_on": False}


@dataclass(frozen=True)
class Curve:
    """One network: accuracy in percent by eighths of epsilon; empty if it was not measured."""

    model: str
    dataset: str
    title: str
    record: Record | None

    @property
    def key(self) -> str:
        """Of its row: amoc_finetuned, amoc_finetuned_cifar100."""
        return self.model if self.dataset == DATASETS[0] else f"{self.model}_{self.dataset}"

    def points(self, attack: str) -> dict[int, records.Outcome]:
        """Eighths of epsilon -> outcome of an attack; 0 is clean."""
        if self.record is None:
            return {}
        prefix = f"{attack}_eps_"
        outcomes = self.record.measurements.get(networks.LAST, {})
        found = {int(name.removeprefix(prefix)): o for name, o in outcomes.items() if name.startswith(prefix)}
        return {0: outcomes["clean"], **dict(sorted(found.items()))} if found else {}


def build(params: Params, profile: str, results: Path = records.RESULTS) -> Report:
    """Read results/<profile>/<dataset>/radii/<network>.json of the networks that params.yaml has.

    Raises:
        Refusal: a result is missing in the demo, is broken, or was attacked unlike the others of its data set.
    """
    curves = [
        Curve(
            model, dataset, networks.network(params, profile, dataset, model),
            records.find(params, "radii", profile, dataset, model, results),
        )
        for dataset in DATASETS
        for model in MODELS
        if model in params.networks(dataset)
    ]  # fmt: skip
    for dataset in DATASETS:
        records.compare_alike(curve.record for curve in curves if curve.dataset == dataset and curve.record)
    images = max((curve.record.test_images for curve in curves if curve.record), default=None)
    eighths = [0, *params.suite_radii(SUITE)]
    columns = {end: tuple(_column(count, end) for count in eighths if count or not end) for end in ATTACKS.values()}
    rows = tuple(_row(params, curve, f"{curve.title}, {words.DATASETS[curve.dataset]}") for curve in curves)
    table = Table("Network", tuple(chain(*columns.values())), rows, images)
    parts = []
    for dataset in DATASETS:
        own = tuple(_row(params, curve, curve.title) for curve in curves if curve.dataset == dataset)
        parts += [Table(words.DATASETS[dataset], columns[end], own, images) for end in columns]
    numbers = metrics(table)
    text = page(
        words.stands_in(params, profile, *DATASETS, networks=[curve.model for curve in curves]),
        "# Figure 5: accuracy (%) over the radius of the attack",
        f"![Accuracy under PGD20 over its radius, {profile} profile]({NAME}.svg)",
        *map(to_markdown, parts),
        READING + _doubt(curves),
        *verdicts.alone(NAME, numbers, "figure"),
    )
    epsilon = params.epsilon(profile).linf
    subtitle = f"{profile}: {_images(params, profile)}"
    return Report(NAME, profile, text, to_csv(table), numbers, partial(draw, subtitle, curves, epsilon))


def _images(params: Params, profile: str) -> str:
    """Of both data sets, short enough for one line above the panels."""
    data = params.data(profile)
    if data.source == "digits":
        return "scikit-learn digits for CIFAR-10, turned ones too for CIFAR-100"
    return f"{data.train or 'all'} training, {data.test or 'all'} test images of each data set"


def _column(eighths: int, end: str) -> Column:
    return Column(f"eps_{eighths}{end}", f"{eighths}/8{' (0.25)' if end else ''}", ranked=True, accuracy=True)


def _row(params: Params, curve: Curve, label: str) -> Row:
    cells: dict[str, Cell] = {}
    for attack, end in ATTACKS.items():
        for count, outcome in curve.points(attack).items():
            cells[f"eps_{count}{end if count else ''}"] = Cell(outcome.exact, outcome.n)
    if (record := curve.record) is None:
        return Row(curve.key, f"{label} (not measured)", {"eps_0": Cell()}, ranked=False)
    return Row(curve.key, label, cells, record.status == "ok", (record.caveat, departures_of(params, record)))


def _doubt(curves: Sequence[Curve]) -> str:
    """Which curves do not come down."""
    high = []
    for curve in curves:
        points = curve.points("linf_pgd20")
        if points and (last := list(points.values())[-1]).exact > MASKED:
            high.append(f"{curve.key} ({last.exact:.1f} %)")
    return f"\n**At the largest radius more than {MASKED:g} % are still correct: {', '.join(high)}.**\n" if high else ""


def draw(subtitle: str, curves: Sequence[Curve], epsilon: float) -> Figure:
    """A panel per data set, a line per network; the radius at which they were trained is marked."""
    figure, page = sheet(_HEIGHT, "Accuracy (%) under PGD20 over its radius", subtitle)
    page.text(0, _HEIGHT - 0.07, STARTS, va="center_baseline", size=SMALL, color=FAINT)
    width = (COLUMN - _LEFT - _RIGHT + _GAP) / len(DATASETS) - _GAP
    for place, dataset in enumerate(DATASETS):
        left = _LEFT + place * (width + _GAP)
        shown = [(curve, points) for curve in curves if (points := _percent(curve, dataset))]
        highest = max((accuracy for _, points in shown for accuracy in points.values()), default=100.0)
        axes = axes_at(page, left, _BELOW, width, _HEIGHT - _ABOVE - _BELOW, ylim=(0, 1.05 * highest))
        page.text(left, _ABOVE - 0.08, words.DATASETS[dataset])
        axes.axvline(8, color=HAIR, linewidth=2, zorder=0)
        for curve, points in shown:
            look = LOOKS[curve.model]
            axes.plot(list(points), list(points.values()), look.marker + "-", color=look.colour, **_POINT)
        ticks = [0, 8, 16, 32]
        axes.set_xticks(ticks, [words.radius(epsilon * tick / 8) if tick else "0" for tick in ticks])
        axes.tick_params(axis="y", labelsize=SMALL, labelcolor=FAINT, length=0)
        axes.set_xlabel("radius of the attack; grey: of training", size=SMALL, color=FAINT, labelpad=2)
        axes.grid(axis="y")
        _names(axes, [curve for curve, _ in sorted(shown, key=lambda item: -item[1].get(8, 0.0))])
    return figure


def _percent(curve: Curve, dataset: str) -> dict[int, float]:
    points = curve.points("linf_pgd20") if curve.dataset == dataset else {}
    return {count: outcome.exact for count, outcome in points.items()}


def _names(axes: Any, curves: Sequence[Curve]) -> None:
    """In the corner above the falling curves, in the order in which they lie at the radius of training."""
    for number, curve in enumerate(curves):
        place = {"transform": axes.transAxes, "ha": "right", "va": "top", "size": SMALL}
        axes.text(1.0, 0.98 - 0.1 * number, curve.title, color=LOOKS[curve.model].colour, **place)
    if not curves:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=FAINT, size=SMALL)
