"""The verdict on each of the papers' claims, from the reports that it is given, and on the profile's floors.

Which reports such a page is given is a value, a `Judgement`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from amoc.params import Params
from amoc.reporting import encoders, records, reports, table5, verdicts, words
from amoc.reporting.judging import judge
from amoc.reporting.paper_claims import CLAIMS, floors
from amoc.reporting.records import Record
from amoc.reporting.reports import Report, page

DATASET = "cifar10"
ENCODERS = ("amoc", "moco", "amoc_seed2", "moco_seed2")  # what the floors read of Table 3: read from their results


@dataclass(frozen=True)
class Judgement:
    """Which reports' numbers the claims are judged on."""

    name: str
    given: tuple[str, ...]  # names of reports

    def build(
        self, params: Params, profile: str, results: Path = records.RESULTS, written: Path = reports.REPORTS
    ) -> Report:  # fmt: skip
        """Judge the claims and floors on the metrics.json of the reports given, on the linear evaluations of the
        floors' encoders (as rows of table3) and on the networks of the second seed (as rows of table5).

        Raises:
            Refusal: a file is missing in the demo, or broken.
        """
        known = measured(params, profile, self.given, results, written)
        claims, grounds = judge(CLAIMS, known), judge(floors(profile), known)
        sections = [
            words.stands_in(params, profile, DATASET),
            f"# Claims of the papers: {verdicts.count(claims)}",
            verdicts.markdown(claims, "Claim"),
        ]
        if grounds:
            sections += [
                f"# Floors of the profile: {verdicts.count(grounds)}",
                "What must hold on two seeds for the profile to mean anything.",
                verdicts.markdown(grounds, "Floor"),
            ]
        both = (*claims, *grounds)
        numbers = {**verdicts.metrics(both), "claims": verdicts.counts(claims), "floors": verdicts.counts(grounds)}
        return Report(self.name, profile, page(*sections), verdicts.csv(both), numbers)


def measured(
    params: Params, profile: str, given: Iterable[str], results: Path, written: Path
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Table -> row -> column -> number, of everything that can be read without a report of its own; a report wins."""
    asked = {(q.table, q.row) for claim in (*CLAIMS, *floors(profile)) for q in claim.reads}
    runs = [run for run in ENCODERS if run in params.runs(DATASET)]
    others = [name for name in params.networks(DATASET) if ("table5", name) in asked and name not in table5.MODELS]
    probed = _found("evaluate", profile, runs, results)
    networks = _found("attack", profile, others, results)
    known: dict[str, dict[str, dict[str, float | None]]] = {
        "table3": {record.name: encoders.measured(record) for record in probed},
        "table5": {record.name: last(record) for record in networks},
    }
    for name in given:
        rows = reports.read_metrics(name, profile, written)
        known[name] = {**known.get(name, {}), **{row: dict(columns) for row, columns in rows.items()}}
    return known


def last(record: Record) -> dict[str, float | None]:
    """The columns of table5 of one network, at its last epoch."""
    return {attack: outcome.exact for attack, outcome in record.measurements.get("last", {}).items()}


def _found(kind: records.Kind, profile: str, names: Iterable[str], results: Path) -> list[Record]:
    found = (records.find(kind, profile, DATASET, name, results) for name in names)
    return [record for record in found if record is not None]
