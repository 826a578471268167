"""The papers' own numbers, as printed: one CSV file per table, and the cells that are known to be misprinted.

What the peers published is a table too; there each row says where it was, and what stands against a comparison.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Any

from amoc.refusal import Refusal

FOLDER = Path(__file__).parent / "published"

TABLES = {
    "table3": "journal_table3",
    "table4": "journal_table4",
    "table5": "journal_table5",
    "table6": "journal_table6",
    "table8": "journal_table8",
    "v1_table3": "preprint_table3",
    "v1_table4": "preprint_table4",
    "v1_table5": "preprint_table5",
    "v1_table6": "preprint_table6",
    "published_peers": "peers",
}
_WORDS = {"key", "model", "method", "variant", "pretraining", "source", "differs"}  # columns that are not numbers


_PGD20_OF_AMOC = "printed 43.36 in the journal's Tables 3 and 8, but 43.46 in its Table 5"
_ACLS_OWN = "printed {} in the preprint, which took it from ACL's own paper; ours is fine-tuned as the others are"
BELOW = "Below each row are the numbers that the paper printed, and ours minus those.\n"  # of a table that has them
# (table, row, column) of a number not to tune towards -> what the authors' logs or other numbers of theirs say instead
TYPOS = {
    ("table3", "amoc", "adev_pgd20"): _PGD20_OF_AMOC,
    ("table4", "acl_long", "total_hours"): "printed 67.01 in the journal; 1000 times its 241.15 s are 66.99 h",
    ("table5", "standard", "linf_deepfool"): "printed 0.03 in the journal; the authors' log says 2.03",
    ("table5", "amoc", "linf_pgd20"): "printed 43.46 in the journal's Table 5, but 43.36 in its Tables 3 and 8",
    ("table6", "standard", "l2_cw"): "printed 0.64 in the journal; the authors' log says 0.07",
    ("table8", "aca", "adev_pgd20"): _PGD20_OF_AMOC,
    ("v1_table5", "acl_finetuned_long", "clean"): _ACLS_OWN.format("82.19"),
    ("v1_table5", "acl_finetuned_long", "linf_pgd20"): _ACLS_OWN.format("52.82"),
}


@cache
def numbers(table: str) -> dict[str, dict[str, float]]:
    """Row key -> column -> the number printed: accuracies in percent, batch sizes, epochs, hours or seconds.

    Args:
        table: a key of `TABLES`; `table5` is the journal's, `v1_table3` the preprint's.

    Raises:
        Refusal: no numbers of that table were printed.
    """
    rows = _read(table).items()
    return {key: {name: float(text) for name, text in row.items() if name not in _WORDS and text} for key, row in rows}


def words(table: str) -> dict[str, dict[str, str]]:
    """Row key -> column -> what is printed beside the numbers: the model, where it was, how it differs."""
    return {key: {name: text for name, text in row.items() if name in _WORDS} for key, row in _read(table).items()}


def _read(table: str) -> dict[str, dict[str, str]]:
    if table not in TABLES:
        raise Refusal(f"no published numbers for {table!r}, allowed are {', '.join(TABLES)}")
    with (FOLDER / f"{TABLES[table]}.csv").open(encoding="utf-8", newline="") as file:
        return {row["key"]: row for row in csv.DictReader(file)}


def beside(profile: str, table: str, row: str, column: str) -> dict[str, Any]:
    """What a cell has of a printed number, and of its misprint; nothing but in the paper profile."""
    if profile != "paper" or table not in TABLES:
        return {}
    typo = TYPOS.get((table, row, column))
    return {"published": number(table, row, column), "published_notes": (typo,) if typo else ()}


def number(table: str, row: str, column: str) -> float | None:
    """One printed number, None where the paper prints none."""
    return numbers(table).get(row, {}).get(column)
