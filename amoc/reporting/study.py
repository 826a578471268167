"""A study: encoders that differ in one thing, each with a few seeds, beside a baseline and its spread between seeds.

What `reports/fast`, `reports/precision` and `reports/switches` share. Which encoders it has is a value, a `Study`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev, variance

from amoc.params import Params
from amoc.refusal import Refusal
from amoc.reporting import encoders, words
from amoc.reporting.encoders import Line
from amoc.reporting.evidence.records import Record
from amoc.reporting.judgement.paper_claims import MEASURES
from amoc.reporting.tables import Cell, Column, Row, Table

DATASET = "cifar10"
READING = """\
Percentage of the test images that are classified correctly, ± the standard deviation over the seeds where there are
several. **Bold** and _underscored_ mark the best and second best mean of each column, among AMOC's runs that ended
well.
"""
SEEDS = Column("seeds", "Seeds", digits=0)
SPREAD = "spread"  # row of the differences that says how far seeds lie apart


@dataclass(frozen=True)
class Study:
    """The first line is the baseline; `call` names a run's row: (params, profile, run) -> words."""

    name: str
    title: str
    lines: tuple[Line, ...]
    call: Callable[[Params, str, str], str]

    @property
    def runs(self) -> tuple[str, ...]:
        """Every encoder that the study reads."""
        return tuple(run for line in self.lines for run in line.runs)

    def known(self, params: Params) -> Study:
        """Without the lines whose run params.yaml does not have. Raises Refusal if the baseline is one."""
        runs = params.runs(DATASET)
        if self.lines[0].run not in runs:
            raise Refusal(f"params.yaml: runs.{DATASET} has no {self.lines[0].run}, the baseline of {self.name}")
        return replace(self, lines=tuple(line for line in self.lines if line.run in runs))


Seeds = Mapping[int, Record]  # seed -> record, of one line


def find(params: Params, profile: str, study: Study, results: Path) -> dict[str, Seeds]:
    """Key of a line -> its records by seed.

    Raises:
        Refusal: a result is missing in the demo, is broken, was measured unlike the others, or is
            no repeat of the run that it should repeat.
    """
    found = encoders.find(params, profile, DATASET, study.runs, results)
    return {line.key: encoders.seeds(found, line) for line in study.lines}


def machines(profile: str, found: Mapping[str, Seeds], results: Path) -> str | None:
    """On what the encoders of a study were pre-trained: see `encoders.machines`."""
    each = (record for seeds in found.values() for record in seeds.values())
    return encoders.machines(profile, DATASET, each, results)


def accuracies(params: Params, profile: str, study: Study, found: Mapping[str, Seeds]) -> Table:
    """A row per line: mean and standard deviation over its seeds."""
    rows = []
    for line in study.lines:
        seeds = found[line.key]
        bad = tuple(f"seed {seed}: {r.caveat}" for seed, r in seeds.items() if r.status != "ok")
        cells = {SEEDS.key: Cell(len(seeds))}
        cells |= {measure: mean(numbers(seeds, measure).values(), len(seeds)) for measure in MEASURES}
        rows.append(Row(line.key, study.call(params, profile, line.run), cells, not bad, bad))
    counted = [record for seeds in found.values() for record in seeds.values()]
    images = max((record.test_images for record in counted), default=None)
    columns = tuple(encoders.column(measure, counted) for measure in MEASURES)
    return Table("Encoder", (SEEDS, *columns), tuple(rows), images)


def differences(params: Params, profile: str, study: Study, found: Mapping[str, Seeds]) -> Table:
    """Each line minus the baseline, seed by seed; below it the standard deviation between seeds (`deviation`)."""
    baseline, *others = study.lines
    named = study.call(params, profile, baseline.run)
    rows = []
    for line in others:
        both = sorted(found[line.key].keys() & found[baseline.key].keys())
        cells = {measure: _difference(found[line.key], found[baseline.key], measure, both) for measure in MEASURES}
        label = study.call(params, profile, line.run)
        rows.append(Row(line.key, label, {SEEDS.key: Cell(len(both))} | cells, ranked=False))
    between = {measure: Cell(deviation(found, measure)) for measure in MEASURES}
    rows.append(Row(SPREAD, "Standard deviation between seeds", {SEEDS.key: Cell(missing="-")} | between, ranked=False))
    columns = tuple(Column(measure, words.measure(measure)) for measure in MEASURES)
    return Table(f"Minus {named}", (SEEDS, *columns), tuple(rows))


def numbers(seeds: Seeds, measure: str) -> dict[int, float]:
    """Seed -> percent, of the seeds that have the measure."""
    values = {seed: encoders.number(record, measure) for seed, record in seeds.items()}
    return {seed: value for seed, value in values.items() if value is not None}


def well(seeds: Seeds) -> bool:
    """Whether all ended well: those of a collapsed encoder say nothing of how far the others lie apart."""
    return all(record.status == "ok" for record in seeds.values())


def mean(values: Iterable[float], count: int) -> Cell:
    """The mean of so many values, with their standard deviation; nothing if there is none, or if one is lacking."""
    values = list(values)
    if not values or len(values) < count:
        return Cell()
    return Cell(fmean(values), deviation=stdev(values) if len(values) > 1 else None)


def deviation(found: Mapping[str, Seeds], measure: str) -> float | None:
    """The standard deviation between seeds, pooled over lines of several that all ended well; None if there is none."""
    groups = [list(numbers(seeds, measure).values()) for seeds in found.values() if well(seeds)]
    squares = [(len(group) - 1) * variance(group) for group in groups if len(group) > 1]
    free = sum(len(group) - 1 for group in groups if len(group) > 1)
    return (sum(squares) / free) ** 0.5 if free else None


def _difference(ones: Seeds, others: Seeds, measure: str, both: Sequence[int]) -> Cell:
    one, other = numbers(ones, measure), numbers(others, measure)
    cell = mean([one[seed] - other[seed] for seed in both if seed in one and seed in other], len(both))
    return cell if cell.value is None else replace(cell, shown=f"{cell.value:+.2f}")
