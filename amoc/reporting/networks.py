"""A table of networks under attack, with a picture: what Tables 5 and 6 and the preprint's Tables 3 and 5 share.

Such a table is a value, a `NetworkTable`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from amoc.params import Params
from amoc.reporting import words
from amoc.reporting.departures import departures_of
from amoc.reporting.drawing.dot_plot import Entry, Panel, draw
from amoc.reporting.evidence import published, records
from amoc.reporting.evidence.records import Encoder, Record, UsedAttack
from amoc.reporting.judgement import verdicts
from amoc.reporting.judgement.judging import DOUBTFUL
from amoc.reporting.judgement.paper_claims import AGAIN, CLAIMS, floors
from amoc.reporting.reports import Report, page
from amoc.reporting.tables import NOT_MEASURED, Cell, Column, Row, Table, metrics, to_csv, to_markdown

DRAWN = (Panel("clean", "Clean"), Panel("linf_pgd20", "PGD20"), Panel("linf_autoattack", "AutoAttack"))
PEERS = "with the peers' step size: "
PREPRINTS = "l2_pgd50_v1"  # with the preprint's step: in its own table only
LAST, TWIN = "last", "early_stopped"


@dataclass(frozen=True)
class NetworkTable:
    """Which networks a table has, and which attacks."""

    name: str  # of the report
    title: str
    models: Mapping[str, str]  # key of a row -> network or encoder of params.yaml
    columns: tuple[str, ...]  # "clean" and attacks
    suite: str | None  # whose other attacks have columns too, behind those
    dataset: str = "cifar10"
    published: str | None = None  # the table whose printed numbers stand beside; None for the one of the same name

    def build(self, params: Params, profile: str, results: Path = records.RESULTS) -> Report:
        """Read results/<profile>/<dataset>/attack/<model>.json of the listed models, those that params.yaml has.

        Raises:
            Refusal: a result is missing in the demo, is broken, or was attacked unlike the others.
        """
        name, dataset = self.name, self.dataset
        lines = find(params, profile, self, results)
        table, on = tabulate(params, profile, self, lines), f", {words.DATASETS[dataset]}"
        numbers = metrics(table)
        for line in lines:
            if line.doubt:
                numbers[line.key][DOUBTFUL] = 1
        grounds = [floor for floor in floors(profile) if all(q.row in numbers for q in floor.reads)]
        text = page(
            words.stands_in(params, profile, dataset, networks=self.models.values()),
            f"# {self.title}: accuracy (%) under attack{on}",
            f"![{self.title}: clean, PGD20 and AutoAttack accuracy of each model{on}, {profile} profile]({name}.svg)",
            to_markdown(table),
            READING + (published.BELOW if profile == "paper" else ""),
            *verdicts.alone(name, numbers, "table", claims=(*CLAIMS, *AGAIN, *grounds)),
        )
        title, subtitle = _title(used(lines)), f"{profile}: {words.images(params, profile, dataset)}"
        picture = partial(draw, title, subtitle, DRAWN, _entries(lines, table.rows))
        return Report(name, profile, text, to_csv(table), numbers, picture)


@dataclass(frozen=True)
class Line:
    """What one row is about: a measurement of a model; record is None if the model has no result."""

    key: str
    measurement: str
    record: Record | None
    title: str  # what it is called without its settings
    settings: str = ""  # that were used, or are to be, in words
    doubt: str = ""  # what is to be said of the encoder that it was fine-tuned from
    departures: str = ""  # of an encoder, or of the one that it was fine-tuned from, from its method in params.yaml


READING = """\
Percentage of the test images that are still classified correctly under the attack. The brackets give epochs and batch
size (b); with a +, those of pre-training and of the training after it. **Bold** and _underscored_ mark the best and
second best at the last epoch. An early-stopped twin is the same network at its best epoch under PGD (Standard: on clean
images), the first of equals, judged on training images held out for this; it faces fewer attacks and is not ranked. No
whole network here is trained on the held-out images; the papers' networks are trained on all, as are our encoders and
their linear layers.
"""
SAME = "correct on the same images as the row above: the best epoch on held-out images is the last, or equivalent to it"


def find(params: Params, profile: str, attacked: NetworkTable, results: Path) -> list[Line]:
    """As the table lists them: a whole network and below it its twin, or an encoder under its linear protocol.

    Raises:
        Refusal: see `build`.
    """
    dataset = attacked.dataset
    networks, runs = params.networks(dataset), params.runs(dataset)
    lines = []
    for key, name in attacked.models.items():
        if name not in networks and name not in runs:
            continue
        record = records.find(params, "attack", profile, dataset, name, results)
        settings = _settings(params, record) if record else _planned(params, profile, dataset, name)
        apart = departures_of(params, record) if record else ""
        if name in networks:
            title, doubt = network(params, profile, dataset, name), doubts(params, profile, dataset, name, results)
            lines.append(Line(key, LAST, record, title, settings, doubt, apart))
            lines.append(Line(f"{key}_{TWIN}", TWIN, record, title))
        else:
            title, probe = _encoder(params, profile, dataset, name), params.attacked_probe
            title = f"{title}, {words.RECIPES.get(probe, probe)} probe"
            lines.append(Line(key, LAST, record, title, settings, departures=apart))
    records.compare_alike(line.record for line in lines if line.record is not None)
    return lines


def tabulate(params: Params, profile: str, attacked: NetworkTable, lines: Sequence[Line]) -> Table:
    """A row per line, a column per attack; beside the paper profile's numbers those that were published."""
    columns = _columns(params, profile, attacked, used(lines))
    table = attacked.published or attacked.name
    rows = tuple(_row(profile, table, line, columns) for line in lines)
    images = max((line.record.test_images for line in lines if line.record is not None), default=None)
    return Table("Model", columns, rows, images)


def used(lines: Iterable[Line]) -> dict[str, UsedAttack]:
    """The attacks that any of them was measured under, in the order of the tables."""
    outcomes = (item for line in lines if line.record is not None for item in line.record.outcomes)
    found = {attack: outcome.attack for attack, outcome in outcomes if outcome.attack}
    return {attack: found[attack] for attack in (*words.HEADINGS, *found) if attack in found}


def doubts(params: Params, profile: str, dataset: str, name: str, results: Path) -> str:
    """'its encoder collapsed: ...', of a network that was fine-tuned from one that did not end well; else nothing.

    Read from results/<profile>/<dataset>/evaluate/<encoder>.json.

    Raises:
        Refusal: that file is missing in the demo, or is broken.
    """
    run = params.classifying(profile, dataset, name).encoder
    encoder = records.find(params, "evaluate", profile, dataset, run, results) if run else None
    return "" if encoder is None or encoder.status == "ok" else f"its encoder {encoder.caveat}"


def network(params: Params, profile: str, dataset: str, name: str) -> str:
    """What a network is called: 'TRADES', 'AMOC fine-tuned'."""
    settings = params.classifying(profile, dataset, name)
    if settings.encoder is None:
        return words.OBJECTIVES[settings.recipe.objective]
    return f"{_encoder(params, profile, dataset, settings.encoder)} fine-tuned"


def _encoder(params: Params, profile: str, dataset: str, run: str) -> str:
    return words.encoder(params.pretraining(profile, dataset, run).plain())


def _columns(
    params: Params, profile: str, attacked: NetworkTable, used: Mapping[str, UsedAttack]
) -> tuple[Column, ...]:  # fmt: skip
    """The papers' columns, and what else the suite has; legends tell the attack that was used."""
    more = params.suite(profile, attacked.suite) if attacked.suite else ()
    keys = dict.fromkeys((*attacked.columns, *more))
    columns = []
    for key in keys:
        if key == PREPRINTS and key not in attacked.columns:
            continue
        attack = used.get(key)
        legend = words.attack(attack.model_dump()) if attack else ""
        if key == "linf_pgd20_peers" and legend:
            legend = PEERS + legend
        columns.append(Column(key, words.HEADINGS.get(key, key), legend, ranked=True, accuracy=True))
    return tuple(columns)


def _row(profile: str, table: str, line: Line, columns: Iterable[Column]) -> Row:
    """table: whose published numbers stand beside."""
    record, twin = line.record, line.measurement == TWIN
    cells = {column.key: _cell(profile, table, line, column.key) for column in columns}
    if twin:
        epoch = record.early_stopped_epoch if record else None
        label = "- early-stopped twin" + (f" (epoch {epoch})" if epoch else "")
        return Row(line.key, label, cells, ranked=False, notes=(SAME,) if _same(record) else ())
    if record is None:
        return Row(line.key, f"{line.title} ({line.settings}, not measured)", cells)
    bad = record.status != "ok"
    notes = (record.caveat, line.doubt, line.departures)
    label = f"{line.title} ({line.settings}){f', {record.status}' if bad else ''}"
    return Row(line.key, label, cells, not bad, notes)


def _same(record: Record | None) -> bool:
    """Whether a network and its twin are right on the same images, whatever both were attacked with."""
    last, twin = (record.measurements.get(name, {}) if record else {} for name in (LAST, TWIN))
    return bool(twin) and all(name in last and last[name].correct == twin[name].correct for name in twin)


def _settings(params: Params, record: Record) -> str:
    """'12 ep, b64', of an encoder and its probe '20 + 3 ep, b32 + b64', fine-tuned '20 + 12 ep TRADES, b32 + b64'."""
    used = record.settings
    if isinstance(used, Encoder):
        return _lengths(used, record.recipes.get(params.attacked_probe))
    return _lengths(record.encoder.settings if record.encoder else None, used.recipe, used.recipe.objective)


def _planned(params: Params, profile: str, dataset: str, name: str) -> str:
    """The same of what was not measured, by params.yaml."""
    if name not in params.networks(dataset):
        probe = params.recipe(profile, params.attacked_probe)
        return _lengths(params.pretraining(profile, dataset, name), probe)
    settings = params.classifying(profile, dataset, name)
    encoder = params.pretraining(profile, dataset, settings.encoder) if settings.encoder else None
    return _lengths(encoder, settings.recipe, settings.recipe.objective)


def _lengths(encoder: Any, recipe: Any, objective: str | None = None) -> str:
    """Of an encoder, what is made of it, or both: their epochs and batch sizes; the objective of what follows it."""
    parts = [part for part in (encoder, recipe) if part]
    how = f" {words.OBJECTIVES.get(objective, objective)}" if objective and encoder else ""
    epochs, batches = [str(part.epochs) for part in parts], [f"b{part.batch_size}" for part in parts]
    return f"{' + '.join(epochs)} ep{how}, {' + '.join(batches)}"


def _cell(profile: str, table: str, line: Line, attack: str) -> Cell:
    printed = published.beside(profile, table, line.key, attack.removesuffix("_v1"))
    outcome = line.record.outcome(line.measurement, attack) if line.record else None
    if outcome is not None:
        return Cell(outcome.exact, outcome.n, **printed)
    missing = line.record.status if line.record and line.record.status != "ok" else NOT_MEASURED
    return Cell(missing=missing, **printed)


def _title(used: Mapping[str, UsedAttack]) -> str:
    """Of the picture, with the radius of its attacks once they were measured."""
    radii = sorted({words.radius(used[panel.column].epsilon) for panel in DRAWN if panel.column in used})
    return r"Accuracy (%) under $\ell_\infty$ attacks" + (rf", $\varepsilon$ = {', '.join(radii)}" if radii else "")


def _entries(lines: Sequence[Line], rows: Sequence[Row]) -> tuple[Entry, ...]:
    """The models of the picture, each with its twin; 'AMOC fine-tuned' is AMOC, and below that fine-tuned; where
    that leaves two alike, their epochs tell them apart."""
    found = {line.key: row for line, row in zip(lines, rows, strict=True)}
    alike = Counter(line.title for line in lines if line.measurement == LAST)
    entries = []
    for line in lines:
        if line.measurement == LAST:
            name, _, how = line.title.partition(" ")
            status = line.record.status if line.record else "not measured"
            epochs = line.settings.partition(" ep")[0]
            length = f"{epochs} epochs" if epochs and alike[line.title] > 1 else ""
            notes = tuple(note for note in (how, length, status) if note not in ("", "ok"))
            look, twin = line.key.removesuffix("_long"), found.get(f"{line.key}_{TWIN}")
            entries.append(Entry(look, name.rstrip(","), notes, found[line.key], twin))
    return tuple(entries)
