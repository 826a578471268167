"""Does robustness transfer? AMOC's encoder of CIFAR-10 under the linear protocols on CIFAR-100 and the other way round,
each beside the encoder that was pre-trained there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amoc.params import DATASETS, Params
from amoc.reporting import encoders, words
from amoc.reporting.departures import departures
from amoc.reporting.evidence import records
from amoc.reporting.evidence.records import Record
from amoc.reporting.judgement.paper_claims import MEASURES
from amoc.reporting.reports import Report, page
from amoc.reporting.tables import NOT_MEASURED, Cell, Column, Row, Table, decimals, metrics, to_csv, to_markdown

NAME = "transfer"
RUN = "amoc"  # of either data set
PAIRS = tuple((on, other) for on in DATASETS for other in DATASETS if other != on)  # evaluated on; transferred from
ENCODER = Column("encoder", "Encoder")
READING = """\
Percentage of the test images that are classified correctly. The linear layer is trained and tested on the data set that
the row names first, on a frozen encoder that was pre-trained on images of the data set that it names next. Compare
within one evaluated data set only, since the other has different classes. Each row is one run: a small difference may
be due to seeds, of which the report figure3 has more for CIFAR-10's own encoder. The brackets give the epochs and batch
size (b) of pre-training.
"""
DIGITS = """\
Here both data sets are the same digits: all upright in one; in the other every second digit is turned and counts as a
different class. The task differs, but the images hardly do.
"""


def build(params: Params, profile: str, results: Path = records.RESULTS) -> Report:
    """Read results/<profile>/<dataset>/evaluate/amoc.json and amoc.from_<other>.json of each data set.

    Raises:
        Refusal: a result is missing in the demo, is broken, or was measured unlike the other on its data set.
    """
    rows, counted = [], []
    for on, other in PAIRS:
        own, transferred = (find(params, profile, source, on, results) for source in (on, other))
        there = [record for record in (own, transferred) if record is not None]
        records.compare_alike(there)
        rows += [_row(params, profile, on, on, own), _row(params, profile, other, on, transferred)]
        rows.append(_difference(on, own, transferred))
        counted += there
    images = max((record.test_images for record in counted), default=None)
    columns = (ENCODER, *(encoders.column(measure, counted) for measure in MEASURES))
    table = Table("Evaluated on", columns, tuple(rows), images)
    first, second = (words.DATASETS[dataset] for dataset in DATASETS)
    text = page(
        words.stands_in(params, profile, *DATASETS, networks=()),
        f"# Transfer between {first} and {second}, accuracy (%)",
        to_markdown(table),
        READING + (DIGITS if params.data(profile).source == "digits" else ""),
    )
    return Report(NAME, profile, text, to_csv(table), metrics(table))


def find(params: Params, profile: str, source: str, on: str, results: Path) -> Record | None:
    """The record of a data set's encoder on its own or another one; None if params.yaml has no such encoder."""
    if RUN not in params.runs(source):
        return None
    return records.find(params, "evaluate", profile, on, RUN, results, pretrained_on=None if source == on else source)


def _row(params: Params, profile: str, source: str, on: str, record: Record | None) -> Row:
    key, label = f"{source}_on_{on}", words.DATASETS[on]
    if record is None:
        known = RUN in params.runs(source)
        settings = params.pretraining(profile, source, RUN).plain() if known else None
        cells = {ENCODER.key: Cell(_called(source, settings, "not measured"))} | {
            measure: Cell() for measure in MEASURES
        }
        return Row(key, label, cells, ranked=False)
    bad = record.status != "ok"
    cells = {ENCODER.key: Cell(_called(source, record.settings.model_dump(), record.status if bad else ""))}
    for measure in MEASURES:
        outcome = encoders.outcome(record, measure)
        missing = record.status if bad else NOT_MEASURED
        cells[measure] = Cell(outcome.exact, outcome.n) if outcome else Cell(missing=missing)
    notes = (record.caveat, departures(params, profile, source, RUN, record.settings.model_dump()))
    return Row(key, label, cells, ranked=False, notes=notes)


def _called(source: str, settings: Mapping[str, Any] | None, status: str) -> str:
    """'of CIFAR-10, AMOC (40 ep, b64)': the settings that were used."""
    of = f"of {words.DATASETS[source]}"
    if settings is None:
        return f"{of} (not in params.yaml)"
    return f"{of}, {words.trained(words.encoder(settings), settings, *filter(None, (status,)))}"


def _difference(on: str, own: Record | None, transferred: Record | None) -> Row:
    """The transferred encoder minus the one that was pre-trained there, in points."""
    cells = {ENCODER.key: Cell("transferred minus own")}
    for measure in MEASURES:
        both = [record and encoders.outcome(record, measure) for record in (own, transferred)]
        if None in both:
            cells[measure] = Cell()
        else:
            points = both[1].exact - both[0].exact
            cells[measure] = Cell(points, shown=f"{points:+.{decimals(both[0].n)}f}")
    return Row(f"{on}_difference", "-", cells, ranked=False)
