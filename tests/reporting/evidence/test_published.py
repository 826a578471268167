"""The printed numbers, spot-checked against the papers' text by hand."""

from __future__ import annotations

import csv

import pytest

from amoc.refusal import Refusal
from amoc.reporting.evidence import published
from amoc.reporting.table5 import COLUMNS


@pytest.mark.parametrize(
    ("table", "row", "column", "printed"),
    [
        ("table3", "moco", "stdev_pgd20", 0.17),
        ("table3", "amoc_long", "adev_pgd20", 50.28),
        ("table3", "acl_b64", "batch_size", 64),
        ("table4", "acl_long", "total_hours", 67.01),
        ("table5", "standard", "clean", 95.28),
        ("table5", "amoc_finetuned", "linf_autoattack", 48.75),
        ("table5", "trades", "l1_slide", 27.84),
        ("table6", "amoc", "l2_cw", 22.87),
        ("table8", "aac", "adev_clean", 10.00),
        ("v1_table3", "acc_finetuned", "linf_autoattack", 48.06),
        ("v1_table4", "acl", "robev_pgd20", 44.22),
        ("v1_table5", "aca_frozen_finetuned", "linf_pgd20", 52.97),
        ("v1_table6", "ccc", "robev_clean", 15.44),
        ("published_peers", "rocl", "slf_autoattack", 26.12),
        ("published_peers", "dynacl", "aff_autoattack", 50.52),
        ("published_peers", "dynacl_air_pp", "slf_clean", 81.80),
        ("published_peers", "deacl_authors", "alf_pgd20_peers", 55.30),
        ("published_peers", "astra", "aff_autoattack", 50.84),
    ],
)
def test_printed_numbers(table, row, column, printed):
    assert published.number(table, row, column) == printed


def test_every_cell_of_table5_is_there():
    printed = set(COLUMNS) - {"linf_pgd20_peers", "l2_autoattack"}
    rows = published.numbers("table5")
    assert list(rows) == ["standard", "pgd_at", "alp", "trades", "amoc", "amoc_finetuned"]
    assert all(set(row) == printed and all(0 <= number <= 100 for number in row.values()) for row in rows.values())


def test_every_file_is_a_table_and_every_number_of_it_is_read():
    assert {f"{name}.csv" for name in published.TABLES.values()} == {file.name for file in published.FOLDER.iterdir()}
    for table, name in published.TABLES.items():
        text = (published.FOLDER / f"{name}.csv").read_text()
        rows = list(csv.reader(text.splitlines()))
        numeric = sum(cell.replace(".", "", 1).isdigit() for row in rows[1:] for cell in row)
        assert sum(map(len, published.numbers(table).values())) == numeric
        assert len(published.numbers(table)) == len(rows) - 1  # no key twice


def test_what_is_not_printed_is_none():
    assert published.number("table5", "standard", "linf_pgd20_peers") is None
    assert published.number("table5", "acl", "clean") is None
    assert published.number("published_peers", "rocl", "slf_pgd20_peers") is None


def test_each_number_of_the_peers_has_a_source():
    rows = published.words("published_peers")
    assert rows.keys() == published.numbers("published_peers").keys()
    assert all(row["source"] and row["model"] and row["pretraining"] for row in rows.values())
    assert rows["deacl_authors"]["differs"].endswith("; ALF is TRADES there")


def test_an_unknown_table_is_refused():
    with pytest.raises(Refusal, match=r"'table9', allowed are table3, .*published_peers"):
        published.numbers("table9")


def test_each_typo_is_a_printed_cell_whose_note_quotes_it():
    for place, note in published.TYPOS.items():
        beside = published.beside("paper", *place)
        assert f"printed {beside['published']:.2f} " in note
        assert beside["published_notes"] == (note,)
    assert published.beside("paper", "table5", "trades", "clean")["published_notes"] == ()
    assert set(published.TYPOS) == {
        ("table3", "amoc", "adev_pgd20"),
        ("table4", "acl_long", "total_hours"),
        ("table5", "standard", "linf_deepfool"),
        ("table5", "amoc", "linf_pgd20"),
        ("table6", "standard", "l2_cw"),
        ("table8", "aca", "adev_pgd20"),
        ("v1_table5", "acl_finetuned_long", "clean"),  # these two are another paper's
        ("v1_table5", "acl_finetuned_long", "linf_pgd20"),
    }
