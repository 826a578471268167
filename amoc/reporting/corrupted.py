"""Networks compared on corrupted images: what the journal's Figure 4 and the preprint's Figure 2 share.

Which networks such a figure has is a value, a `CorruptionFigure`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from amoc.params import Params
from amoc.reporting import networks, words
from amoc.reporting.departures import departures_of
from amoc.reporting.drawing.corruption_plot import Gap, Series, draw
from amoc.reporting.evidence import corruption_records, records
from amoc.reporting.evidence.corruption_names import COMMON, CORRUPTIONS, WITHOUT_FROST
from amoc.reporting.evidence.corruption_records import FROST, PROCEDURAL, CorruptionRecord
from amoc.reporting.judgement import verdicts
from amoc.reporting.judgement.judging import DOUBTFUL
from amoc.reporting.reports import Report, page
from amoc.reporting.tables import NOT_MEASURED, Cell, Column, Row, Table, decimals, to_csv, to_markdown

DATASET = "cifar10"
MEANS = {  # column of metrics.json -> the corruptions
    "mean19": CORRUPTIONS,
    "mean18": WITHOUT_FROST,
    "mean15": CORRUPTIONS[:COMMON],
    "mean14": tuple(name for name in CORRUPTIONS[:COMMON] if name != FROST),
}
READING = """\
Percentage of the test images that are classified correctly, averaged over five severities. **Bold** and _underscored_
mark the best and second best of each row.
"""
SOURCES = {
    "official": "Corrupted images: **official**, the published files.\n",
    "regenerated": """\
Corrupted images: **regenerated** from the test images with the published severities; they are not the published files.
The published textures for frost are missing; the frost here is procedural, which is a different corruption, and counts
in no mean. The means are therefore over 18 of the 19 corruptions, and over 14 of the 15 common ones.
""",
    None: "Nothing is measured yet.\n",
}


@dataclass(frozen=True)
class Line:
    """One network, or one encoder under linear heads."""

    key: str  # in metrics.json
    name: str  # of `runs` or `classifiers` in params.yaml
    method: str  # key of LOOKS
    hollow: bool = False  # drawn so, where a method is there twice


@dataclass(frozen=True)
class CorruptionFigure:
    """Which networks are compared. The first head is shown and drawn, all are in the CSV."""

    name: str
    title: str
    lines: tuple[Line, ...]
    heads: tuple[str, ...]
    gaps: tuple[Gap, ...]
    caption: str = ""

    def build(self, params: Params, profile: str, results: Path = records.RESULTS) -> Report:
        """Read results/<profile>/<dataset>/corrupt/<name>.json of the networks that params.yaml has.

        Raises:
            Refusal: a result is missing in the demo, is broken, or was measured unlike the others.
        """
        known = {*params.runs(DATASET), *params.networks(DATASET)}
        found = {
            line.key: corruption_records.find(params, profile, DATASET, line.name, results)
            if line.name in known
            else None
            for line in self.lines
        }
        there = [record for record in found.values() if record is not None]
        records.compare_alike(there)
        images = there[0].images if there else None
        shown = tabulate(params, profile, self, found, self.heads[:1])
        whole = tabulate(params, profile, self, found, self.heads)
        numbers = {line.key: measured(found[line.key], self.heads) for line in self.lines}
        notes = []
        for line in self.lines:
            record, network = found[line.key], line.name in params.networks(DATASET)
            doubt = networks.doubts(params, profile, DATASET, line.name, results) if network else ""
            if doubt:
                numbers[line.key][DOUBTFUL] = 1
            apart = departures_of(params, record) if record else ""
            notes += [f"{label(params, profile, line.name, record)}: {said}." for said in (doubt, apart) if said]
        text = page(
            words.stands_in(params, profile, DATASET, networks=[line.name for line in self.lines]),
            f"# {self.title}",
            SOURCES[images],
            f"![{self.title}, {profile} profile]({self.name}.svg)",
            to_markdown(shown),
            READING + self.caption + "".join(map(words.paragraphs, notes)),
            *verdicts.alone(self.name, numbers, "figure"),
        )
        told = params.data(profile).test is not None  # how many test images there are
        count = f", {there[0].test_images} images" if there and not told else ""
        subtitle = f"{profile}: {words.images(params, profile, DATASET)}{count}"
        kind = f", {images}" if images else ""
        layer = words.RECIPES.get(self.heads[0])  # of encoders; a whole network has its own
        title = f"{f'{layer} accuracy' if layer else 'Accuracy'} (%) on corrupted images{kind}"
        names = {line.key: label(params, profile, line.name, found[line.key]) for line in self.lines}
        series = [Series(line.key, line.method, names[line.key], numbers[line.key], line.hollow) for line in self.lines]
        picture = partial(draw, title, subtitle, rows(images), series, self.gaps)
        return Report(self.name, profile, text, to_csv(whole), numbers, picture)


Found = Mapping[str, CorruptionRecord | None]  # key of a line -> its record; None if it was not measured


def measured(record: CorruptionRecord | None, heads: tuple[str, ...]) -> dict[str, float | None]:
    """Clean accuracy, each corruption and the means, of the first head; of the others with the head's name before.

    None for what was not measured, which is frost, and a mean that has it, where the images are regenerated.
    """
    numbers: dict[str, float | None] = {}
    for head in heads:
        own = {name: record.accuracy(head, name) if record else None for name in ("clean", *CORRUPTIONS, PROCEDURAL)}
        for mean, names in MEANS.items():
            values = [own[name] for name in names]
            own[mean] = None if None in values else fmean(values)
        prefix = "" if head == heads[0] else f"{head}_"
        numbers |= {f"{prefix}{name}": None if value is None else round(value, 4) for name, value in own.items()}
    return numbers


def rows(images: str | None) -> tuple[str, ...]:
    """What a table of such images has, from top to bottom."""
    if images == "official":
        return ("clean", *CORRUPTIONS, "mean19", "mean15")
    return ("clean", *WITHOUT_FROST, "mean18", "mean14", PROCEDURAL)


def tabulate(params: Params, profile: str, comparison: CorruptionFigure, found: Found, heads: tuple[str, ...]) -> Table:
    """A row per corruption, a column per network and head."""
    images, asked = next(((record.images, record.test_images) for record in found.values() if record), (None, None))
    columns, cells = [], {row: {} for row in rows(images)}
    for head in heads:
        for line in comparison.lines:
            record = found[line.key]
            key = line.key if head == comparison.heads[0] else f"{line.key}_{head}"
            heading = label(params, profile, line.name, record)
            columns.append(Column(key, heading if head == "last" else f"{heading}, {words.RECIPES[head]}"))
            numbers = measured(record, (head,))
            missing = record.status if record is not None and record.status != "ok" else NOT_MEASURED
            for row in cells:
                cells[row][key] = Cell(numbers[row], missing=missing)
    ranked = {row: _ranked(own, decimals(asked) if row == "clean" and asked else 2) for row, own in cells.items()}
    return Table("Corruption", tuple(columns), tuple(Row(row, call(row), own) for row, own in ranked.items()))


def _ranked(cells: dict[str, Cell], digits: int) -> dict[str, Cell]:
    """With the best and second best of a row marked, as `tables` marks those of a column."""
    values = {key: f"{cell.number:.{digits}f}" for key, cell in cells.items() if cell.number is not None}
    order = sorted(set(values.values()), key=float, reverse=True)
    marks = dict(zip(order, ("**", "_"), strict=False)) if len(order) > 1 else {}
    shown = {key: f"{marks.get(value, '')}{value}{marks.get(value, '')}" for key, value in values.items()}
    return {key: Cell(cell.value, shown=shown.get(key), missing=cell.missing) for key, cell in cells.items()}


def call(row: str) -> str:
    """'gaussian_noise' -> 'gaussian noise', 'mean18' -> 'mean of 18'."""
    if row == PROCEDURAL:
        return "procedural frost"
    return f"mean of {row.removeprefix('mean')}" if row in MEANS else row.replace("_", " ")


def label(params: Params, profile: str, name: str, record: CorruptionRecord | None) -> str:
    """'AMOC (80 ep, b64)', 'PGD-AT (12 ep)', 'AMOC fine-tuned (80 + 12 ep PGD-AT)'; the settings that were used."""
    if name in params.runs(DATASET):
        encoder = record.settings.model_dump() if record else params.pretraining(profile, DATASET, name).plain()
        return words.trained(words.encoder(encoder), encoder)
    if name not in params.networks(DATASET):
        return f"{name} (not in params.yaml)"
    settings = record.settings.model_dump() if record else params.classifying(profile, DATASET, name).plain()
    run, recipe = settings["encoder"], settings["recipe"]
    objective, epochs = words.OBJECTIVES[recipe["objective"]], recipe["epochs"]
    if run is None:
        return f"{objective} ({epochs} ep)"
    encoder = record.encoder.settings.model_dump() if record else params.pretraining(profile, DATASET, run).plain()
    return f"{words.encoder(encoder)} fine-tuned ({encoder['epochs']} + {epochs} ep {objective})"
