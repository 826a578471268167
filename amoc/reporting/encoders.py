"""A table of encoders: what Tables 3 and 8, the preprint's, the sweeps and that of the peers' protocols share.

Such a table is a value, an `EncoderTable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from amoc.params import PROBES, Params
from amoc.refusal import Refusal
from amoc.reporting import words
from amoc.reporting.departures import departures
from amoc.reporting.evidence import clocks, published, records
from amoc.reporting.evidence.records import Outcome, Record
from amoc.reporting.judgement import verdicts
from amoc.reporting.judgement.judging import DOUBTFUL
from amoc.reporting.judgement.paper_claims import MEASURES
from amoc.reporting.reports import Report, page
from amoc.reporting.tables import NOT_MEASURED, Cell, Column, Row, Table, metrics, to_csv, to_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEAN = "_mean"  # ends the key of a row that is the mean over seeds
CHANCE = 10.0  # percent, of ten classes
AT_CHANCE = "at chance on clean images: training under this protocol learned nothing, however good the features are"
FAILED = (
    "less than half of what a linear layer reaches on the same encoder, on clean images: this training of the whole "
    "network failed, which says nothing about the features"
)
CLEAN_BRANCH = "evaluated through the clean norm branch, the others through the adversarial one"
READING = """\
Percentage of the test images that are classified correctly. The brackets give the epochs and batch size (b) of
pre-training. **Bold** and _underscored_ mark the best and second best of each column, all from single runs with the
seed that `params.yaml` sets.
"""
SEEDS = """\
A mean over seeds includes that run. It is given ± the standard deviation over the seeds, which two seeds determine only
roughly, and is not ranked.
"""
MACHINES = "Each kind rounds in its own way, so differences between rows from different kinds include that effect."

Found = Mapping[str, Record | None]  # run -> its record; None if it was not measured


@dataclass(frozen=True)
class Line:
    """One row."""

    run: str  # the encoder, of `runs` in params.yaml
    repeats: tuple[str, ...] = ()  # the same with other seeds
    row: str = ""  # its key, where that is not the run's

    @classmethod
    def twice(cls, run: str) -> Line:
        """With the repeat that is named after its second seed."""
        return cls(run, (f"{run}_seed2",))

    @property
    def runs(self) -> tuple[str, ...]:
        return (self.run, *self.repeats)

    @property
    def key(self) -> str:
        """Of the row, in the published table and in metrics.json."""
        return self.row or self.run


@dataclass(frozen=True)
class EncoderTable:
    """Which encoders a table has, and what it says about them."""

    name: str  # of the report, and of the published numbers if there are any
    title: str
    lines: tuple[Line, ...]
    caption: str = ""
    call: Callable[[Mapping[str, Any]], str] = words.encoder  # settings of an encoder -> what its row is called
    draw: Callable[[str, Found], Figure] | None = None  # (its subtitle, records by run) -> the picture
    dataset: str = "cifar10"
    measures: tuple[str, ...] = MEASURES  # the columns: a protocol and an attack, or clean
    protocols: str = PROBES  # which list of params.yaml they are of
    clocked: bool = False  # whether it says on which machines they were pre-trained
    about: str = ""  # another key of their settings that the names of its rows tell

    @property
    def runs(self) -> tuple[str, ...]:
        """Every encoder that the table reads, where params.yaml has it."""
        return tuple(dict.fromkeys(run for line in self.lines for run in line.runs))

    def build(self, params: Params, profile: str, results: Path = records.RESULTS) -> Report:
        """Read results/<profile>/<dataset>/evaluate/<run>.json of the listed runs that params.yaml has.

        Raises:
            Refusal: a result is missing in the demo, is broken, was measured unlike the others, or is
                no repeat of the run that it should repeat.
        """
        found = find(params, profile, self.dataset, self.runs, results, self.protocols)
        table = tabulate(params, profile, self, found)
        numbers = metrics(table)
        for line in self.lines:
            record = found.get(line.run)
            if record is not None and _doubtful(self, record):
                numbers[line.key][DOUBTFUL] = 1
        repeated = any(row.key.endswith(MEAN) for row in table.rows)
        compared = profile == "paper" and self.name in published.TABLES
        reading = READING + (SEEDS if repeated else "") + (published.BELOW if compared else "")
        text = page(
            words.stands_in(params, profile, self.dataset, networks=()),
            f"# {self.title}",
            f"![{self.title}, {profile} profile]({self.name}.svg)" if self.draw else None,
            to_markdown(table),
            reading + self.caption,
            machines(profile, self.dataset, found.values(), results) if self.clocked else None,
            *verdicts.alone(self.name, numbers, "table", words.sizes(params, profile)),
        )
        subtitle = f"{profile}: {words.images(params, profile, self.dataset)}"
        picture = partial(self.draw, subtitle, found) if self.draw else None
        return Report(self.name, profile, text, to_csv(table), numbers, picture)


def find(
    params: Params, profile: str, dataset: str, runs: Iterable[str], results: Path, protocols: str = PROBES
) -> dict[str, Record | None]:  # fmt: skip
    """The records of those runs that params.yaml has, checked to be comparable.

    Raises:
        Refusal: see `build`.
    """
    known = [run for run in runs if run in params.runs(dataset)]
    found = {run: records.find(params, "evaluate", profile, dataset, run, results, protocols) for run in known}
    records.compare_alike(record for record in found.values() if record is not None)
    return found


def machines(profile: str, dataset: str, found: Iterable[Record | None], results: Path) -> str | None:
    """On what the encoders were pre-trained, as a section, where it was not the same for all; else None.

    Read from results/<profile>/<dataset>/pretrain/<run>.clock.json.

    Raises:
        Refusal: such a file is missing in the demo, or is broken.
    """
    runs: dict[str, list[str]] = {}
    for record in found:
        if record is not None and (clock := clocks.find(profile, dataset, record.name, results)) is not None:
            runs.setdefault(clock.device, []).append(f"`{record.name}`")
    if len(runs) < 2:
        return None
    told = "; ".join(f"{', '.join(names)} on {device}" for device, names in runs.items())
    return words.paragraphs(f"Not all encoders were pre-trained on the same kind of machine: {told}. {MACHINES}")


def tabulate(params: Params, profile: str, listing: EncoderTable, found: Found) -> Table:
    """A row per line and, below it, the mean over seeds where it has repeats."""
    counted = [record for record in found.values() if record is not None]
    rows: list[Row] = []
    for line in listing.lines:
        rows.append(_row(params, profile, listing, line, found.get(line.run)))
        if len(by_seed := seeds(found, line)) > 1:
            rows.append(_mean(listing, line, by_seed))
    images = max((record.test_images for record in counted), default=None)
    return Table("Encoder", tuple(column(measure, counted) for measure in listing.measures), tuple(rows), images)


def seeds(found: Found, line: Line) -> dict[int, Record]:
    """Seed -> record of a line and its repeats, of those that were measured.

    Raises:
        Refusal: one of them differs in more than its seed, or has the seed of another.
    """
    by_seed: dict[int, Record] = {}
    for record in (found.get(run) for run in line.runs):
        if record is None:
            continue
        first = next(iter(by_seed.values()), record)
        if not repeats(record, first):
            different = sorted(key for key, value in _but_seed(record).items() if _but_seed(first).get(key) != value)
            raise Refusal(f"{record.name} does not repeat {first.name}: they differ in {', '.join(different)} too")
        if record.settings.seed in by_seed:
            same = by_seed[record.settings.seed]
            raise Refusal(f"{record.name} does not repeat {same.name}: both have the seed {record.settings.seed}")
        by_seed[record.settings.seed] = record
    return by_seed


def number(record: Record, measure: str) -> float | None:
    """A column, such as stdev_pgd20, in percent; None if it was not measured."""
    found = outcome(record, measure)
    return None if found is None else found.exact


def outcome(record: Record, measure: str) -> Outcome | None:
    """Of a column, such as stdev_pgd20; None if it was not measured."""
    recipe, _, attack = measure.partition("_")
    return record.outcome(recipe, attack if attack == "clean" else f"linf_{attack}")  # its name in params.yaml


def measured(record: Record) -> dict[str, float | None]:
    """Every protocol and attack of one encoder: stdev_clean, stdev_pgd20, adev_clean, ..."""
    return {
        f"{recipe}_{attack.removeprefix('linf_')}": outcome.exact
        for recipe, outcomes in record.measurements.items()
        for attack, outcome in outcomes.items()
    }


def repeats(one: Record | None, other: Record | None) -> bool:
    """Whether two encoders were measured that have the same settings, their seeds apart."""
    return one is not None and other is not None and _but_seed(one) == _but_seed(other)


def _but_seed(record: Record) -> dict[str, Any]:
    return {key: value for key, value in record.settings.model_dump().items() if key != "seed"}


def column(measure: str, counted: Sequence[Record]) -> Column:
    """A column; the legend tells the recipe, or the attack, that was used."""
    legend = ""
    for record in counted:
        found, used = outcome(record, measure), record.recipes.get(measure.partition("_")[0])
        if found is not None and used is not None:
            training = words.OBJECTIVES.get(used.objective, used.objective)
            what = "a linear layer on the frozen encoder" if used.train == "head" else "the whole network"
            trained = f"{what}, {training} training, {used.epochs} epochs"
            legend = words.attack(found.attack.model_dump()) if found.attack else trained
            break
    return Column(measure, words.measure(measure), legend, ranked=True, accuracy=True)


def _row(params: Params, profile: str, listing: EncoderTable, line: Line, record: Record | None) -> Row:
    cells = {measure: _cell(profile, listing, line, measure, record) for measure in listing.measures}
    if record is None:
        if line.run not in params.runs(listing.dataset):
            return Row(line.key, f"{line.run} (not in params.yaml)", cells)
        settings = params.pretraining(profile, listing.dataset, line.run).plain()
        return Row(line.key, words.trained(listing.call(settings), settings, "not measured"), cells)
    bad = record.status != "ok"
    settings = record.settings.model_dump()
    notes = (CLEAN_BRANCH,) if settings.get("branch") == "clean" else ()
    notes += (record.caveat, departures(params, profile, listing.dataset, line.run, settings, listing.about))
    name = words.trained(listing.call(settings), settings) + (f", {record.status}" if bad else "")
    return Row(line.key, name, cells, not bad, notes)


def _cell(profile: str, listing: EncoderTable, line: Line, measure: str, record: Record | None) -> Cell:
    printed = published.beside(profile, listing.name, line.key, measure)
    found = outcome(record, measure) if record else None
    if found is not None:
        own = (AT_CHANCE,) if _at_chance(measure, record) else ()
        own += (FAILED,) if _failed(measure, record) else ()
        return Cell(found.exact, found.n, notes=own, **printed)
    missing = record.status if record and record.status != "ok" else NOT_MEASURED
    return Cell(missing=missing, **printed)


def _at_chance(measure: str, record: Record) -> bool:
    """Whether chance is within the 95 % interval of what the measure's protocol reaches on clean images."""
    clean = outcome(record, f"{measure.partition('_')[0]}_clean")
    if clean is None or record.dataset != "cifar10":
        return False
    low, high = Cell(clean.exact, clean.n).interval
    return low <= CHANCE <= high


def _failed(measure: str, record: Record) -> bool:
    """Whether the measure is of the whole network, and that is far worse than the best linear layer on the encoder."""
    protocol = measure.partition("_")[0]
    whole = [name for name, recipe in record.recipes.items() if recipe.train == "all"]
    clean = {name: number(record, f"{name}_clean") or 0.0 for name in record.recipes}
    linear = [clean[name] for name in clean if name not in whole]
    return protocol in whole and clean[protocol] < max(linear, default=0.0) / 2


def _doubtful(listing: EncoderTable, record: Record) -> bool:
    """Whether the run collapsed, ended in NaN, or learned nothing under one of the protocols."""
    return record.status != "ok" or any(_at_chance(measure, record) for measure in listing.measures)


def _mean(listing: EncoderTable, line: Line, repeats: Mapping[int, Record]) -> Row:
    """Mean and standard deviation; nothing in a column that one of the seeds lacks, which would not be their mean."""
    cells, lost = {}, tuple(f"seed {seed}: {r.caveat}" for seed, r in repeats.items() if r.status != "ok")
    for measure in listing.measures:
        numbers = [number(record, measure) for record in repeats.values()]
        there = [value for value in numbers if value is not None]
        whole = len(there) == len(numbers)
        chance = [str(seed) for seed, record in repeats.items() if _at_chance(measure, record)]
        notes = (f"for seed {' and '.join(chance)}: {AT_CHANCE}",) if chance else ()
        cells[measure] = Cell(fmean(there), deviation=stdev(there), notes=notes) if whole else Cell()
    return Row(f"{line.key}{MEAN}", f"- mean of {len(repeats)} seeds", cells, ranked=False, notes=lost)
