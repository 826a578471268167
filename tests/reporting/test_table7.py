"""Table 7 against the journal's, and against the rule for the adversarial bank."""

from __future__ import annotations

import csv

import pytest

from amoc.pretraining.variants import VARIANTS
from amoc.reporting import table7

# journal, Table 7: query perturbed, key perturbed, bank
JOURNAL = {
    "aca": ("yes", "no", "adv"),
    "acc": ("yes", "no", "clean"),
    "aaa": ("yes", "yes", "adv"),
    "aac": ("yes", "yes", "clean"),
    "caa": ("no", "yes", "adv"),
    "cac": ("no", "yes", "clean"),
}


@pytest.fixture
def rows(params) -> dict[str, dict[str, str]]:
    return {row["key"]: row for row in csv.DictReader(table7.build(params, "paper").csv.splitlines())}


def test_the_journals_marks(rows):
    columns = ("query_perturbed", "key_perturbed", "bank")
    marks = {key: tuple(row[column] for column in columns) for key, row in rows.items()}
    assert {key: marks[key] for key in JOURNAL} == JOURNAL


def test_every_variant_of_the_code_is_there(rows):
    assert set(rows) == {*VARIANTS, "aca_frozen"}
    assert next(iter(rows)) == "aca"


def test_what_fills_the_adversarial_bank(rows):
    filled = {key: row["filled"] for key, row in rows.items()}
    assert filled["aca"] == filled["cca"] == "f_k(c(x) + delta; adv)"
    assert filled["aaa"] == filled["caa"] == "f_k(c'(x) + delta'; adv)"
    assert filled["aca_frozen"] == "unit Gaussian noise"
    assert {filled[key] for key in ("acc", "aac", "cac", "ccc")} == {"not read"}


def test_evaluation_branch(rows):
    assert {key for key, row in rows.items() if row["evaluated"] == "clean"} == {"ccc", "cac", "caa", "cca"}


def test_markdown_row_and_metrics(params):
    report = table7.build(params, "demo")
    assert report.markdown.startswith("> **demo**: ")
    row = next(line for line in report.markdown.splitlines() if line.startswith("| CCA [2] "))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["no", "no", "adv", "f_k(c(x) + delta; adv)", "clean"]
    crafted = "- [2] delta is computed as for ACA, but only to fill the bank: the loss sees clean inputs\n"
    assert crafted in report.markdown
    assert report.metrics["acc"] == {"query_perturbed": 1.0, "key_perturbed": 0.0}
