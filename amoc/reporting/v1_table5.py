"""The preprint's Table 5: ACL and AMOC of short and of long pre-training, fine-tuned by PGD-AT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from amoc.params import Params
from amoc.reporting import networks, words
from amoc.reporting.evidence import published, records
from amoc.reporting.evidence.records import Record
from amoc.reporting.judgement import verdicts
from amoc.reporting.judgement.judging import DOUBTFUL, judge, narrow
from amoc.reporting.judgement.paper_claims import CLAIMS
from amoc.reporting.reports import Report, page
from amoc.reporting.tables import NOT_MEASURED, Cell, Column, Row, Table, metrics, to_csv, to_markdown

NAME = "v1_table5"
DATASET = "cifar10"
ROWS = {  # key -> the network whose encoder is short, and the one whose encoder is long
    "acl_finetuned": ("acl_b256_finetuned_v1", "acl_long_finetuned_v1"),
    "acc_finetuned": ("acc_finetuned_v1", "acc_long_finetuned_v1"),
    "aca_frozen_finetuned": ("aca_frozen_finetuned_v1", "aca_frozen_long_finetuned_v1"),
}
MODELS = tuple(name for both in ROWS.values() for name in both)
LENGTHS = ("200", "1000")  # the preprint's epochs, in the keys of columns; ours are in their headings
ATTACKS = {"clean": "clean", "pgd20": "linf_pgd20"}
READING = """\
Percent of the test images classified right by the last epoch of fine-tuning; the columns say how many epochs the
encoder had before. **Bold** and _underscored_ are the best and second best of the column.
"""
ACLS = (
    "The preprint took ACL's long number from its paper; ours is fine-tuned as the others are.\n"
    "Batches of pre-training, short and long: {}.\n"
)
COMPARING = "Below each row is what the preprint printed, and ours minus that.\n"


def build(params: Params, profile: str, results: Path = records.RESULTS) -> Report:
    """Read results/<profile>/cifar10/attack/<network>.json of the networks that params.yaml has.

    Raises:
        Refusal: a result is missing in the demo, is broken, or was attacked unlike the others.
    """
    known = params.networks(DATASET)
    found = {name: records.find("attack", profile, DATASET, name, results) for name in MODELS if name in known}
    counted = [record for record in found.values() if record is not None]
    records.compare_alike(counted)
    doubts = {name: networks.doubts(params, profile, DATASET, name, results) for name in found}
    rows = tuple(_row(params, profile, key, tuple(found.get(name) for name in ROWS[key]), doubts) for key in ROWS)
    images = max((record.test_images for record in counted), default=None)
    table = Table("Model", _columns(params, profile, counted), rows, images)
    numbers = metrics(table)
    for key, both in ROWS.items():
        if any(doubts.get(name) for name in both):
            numbers[key][DOUBTFUL] = 1
    text = page(
        words.stands_in(params, profile, DATASET, networks=MODELS),
        "# Preprint, Table 5: after fine-tuning, accuracy (%)",
        to_markdown(table),
        READING + ACLS.format(_batches(params, profile)) + (COMPARING if profile == "paper" else ""),
        "## What this table alone can check",
        *words.sizes(params, profile),
        verdicts.markdown(judge(narrow(CLAIMS, {NAME}), {NAME: numbers}), "Claim"),
    )
    return Report(NAME, profile, text, to_csv(table), numbers)


def _batches(params: Params, profile: str) -> str:
    """'ACL 64 and 128, AMOC-ACC 64 and 64', by the settings of the encoders."""
    told = []
    for both in ROWS.values():
        known = [name for name in both if name in params.networks(DATASET)]
        runs = [params.classifying(profile, DATASET, name).encoder for name in known]
        settings = [params.pretraining(profile, DATASET, run) for run in runs if run]
        if settings:
            name = words.encoder(settings[0].plain())
            told.append(f"{name} {' and '.join(str(each.batch_size) for each in settings)}")
    return ", ".join(told)


def _columns(params: Params, profile: str, counted: list[Record]) -> tuple[Column, ...]:
    scale = params.scale(profile)
    used = {attack: outcome.attack for record in counted for attack, outcome in record.outcomes if outcome.attack}
    columns = []
    for length, epochs in zip(LENGTHS, (scale.short, scale.long), strict=True):
        for short, attack in ATTACKS.items():
            legend = words.attack(used[attack].model_dump()) if attack in used else ""
            heading = f"{'Clean' if short == 'clean' else short.upper()}, {epochs} ep"
            columns.append(Column(f"{short}_{length}", heading, legend, ranked=True, accuracy=True))
    return tuple(columns)


def _row(
    params: Params, profile: str, key: str, both: tuple[Record | None, ...], doubts: Mapping[str, str]
) -> Row:  # fmt: skip
    """What was measured of the networks with a short and with a long encoder."""
    cells, notes, scale = {}, [], params.scale(profile)
    of_encoders: dict[str, list[int]] = {}
    for length, epochs, record in zip(LENGTHS, (scale.short, scale.long), both, strict=True):
        if record is not None and record.status != "ok":
            notes.append(f"{record.name}: {record.reservation}")
        elif record is not None and doubts[record.name]:
            of_encoders.setdefault(doubts[record.name], []).append(epochs)
        for short, attack in ATTACKS.items():
            column = f"{short}_{length}"
            printed = published.number(NAME, key, column) if profile == "paper" else None
            outcome = record.outcome(networks.LAST, attack) if record is not None else None
            missing = record.status if record is not None and record.status != "ok" else NOT_MEASURED
            number, n = (outcome.exact, outcome.n) if outcome is not None else (None, None)
            cells[column] = Cell(number, n, published=printed, missing=missing)
    ours = [name for name in ROWS[key] if name in params.networks(DATASET)]
    label = networks.network(params, profile, DATASET, ours[0]) if ours else f"{key} (not in params.yaml)"
    recipe = next((record.settings.recipe for record in both if record is not None), None)
    if recipe:
        objective = words.OBJECTIVES.get(recipe.objective, recipe.objective)
        label += f" ({recipe.epochs} ep {objective}, b{recipe.batch_size})"
    doubtful = (f"{' and '.join(map(str, epochs))} ep: {doubt}" for doubt, epochs in of_encoders.items())
    return Row(key, label, cells, ranked=not notes, notes=(*notes, *doubtful))
