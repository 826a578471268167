"""What a profile must reach on two seeds to mean anything, from what a few networks and encoders reach."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from amoc.params import Params
from amoc.reporting import encoders, reports, table5, words
from amoc.reporting.evidence import records
from amoc.reporting.evidence.records import Record
from amoc.reporting.judgement import verdicts
from amoc.reporting.judgement.between_seeds import Reported
from amoc.reporting.judgement.judging import judge
from amoc.reporting.judgement.paper_claims import floors
from amoc.reporting.reports import Report, page

NAME = "floors"
DATASET = "cifar10"
ENCODERS = ("amoc", "moco", "amoc_seed2", "moco_seed2")


def build(
    params: Params, profile: str, results: Path = records.RESULTS, written: Path = reports.REPORTS
) -> Report:  # fmt: skip
    """Judge the profile's floors on Table 5, on the networks of the second seed and on the encoders' linear protocols.

    Raises:
        Refusal: a file is missing in the demo, or broken.
    """
    judged = judge(floors(profile), measured(params, profile, results, written))
    text = page(
        words.stands_in(params, profile, DATASET, networks=networks(profile)),
        f"# Floors of the profile: {verdicts.count(judged)}",
        "What must hold for each of two seeds if the profile is to mean anything."
        if judged
        else "There are none: this profile does not stand in for anything.",
        verdicts.markdown(judged, "Floor") if judged else "",
    )
    return Report(
        NAME, profile, text, verdicts.csv(judged), {**verdicts.metrics(judged), "floors": verdicts.counts(judged)}
    )


def measured(params: Params, profile: str, results: Path, written: Path) -> Reported:
    """Table -> row -> column -> number: encoders as rows of table3, networks as rows of table5."""
    asked = networks(profile) - set(table5.MODELS)
    probed = _found(params, "evaluate", profile, (run for run in ENCODERS if run in params.runs(DATASET)), results)
    attacked = _found(params, "attack", profile, (name for name in params.networks(DATASET) if name in asked), results)
    reported = reports.read_metrics("table5", profile, written)
    return {
        "table3": {record.name: encoders.measured(record) for record in probed},
        "table5": {record.name: last(record) for record in attacked} | dict(reported),
    }


def networks(profile: str) -> set[str]:
    """The whole networks that the floors are about, which are rows of table5."""
    return {quantity.row for floor in floors(profile) for quantity in floor.reads if quantity.table == "table5"}


def last(record: Record) -> dict[str, float | None]:
    """The columns of table5 of one network, at its last epoch."""
    return {attack: outcome.exact for attack, outcome in record.measurements.get("last", {}).items()}


def _found(
    params: Params, kind: records.Kind, profile: str, names: Iterable[str], results: Path
) -> list[Record]:  # fmt: skip
    found = (records.find(params, kind, profile, DATASET, name, results) for name in names)
    return [record for record in found if record is not None]
