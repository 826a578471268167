"""Where reports are written, and what is read back."""

from __future__ import annotations

import json

import pytest

from amoc.refusal import Refusal
from amoc.reporting.reports import Report, page, read_metrics, write

NUMBERS = {"amoc": {"clean": 74.36, "l2_cw": None}}


def test_three_files(tmp_path):
    report = Report("table5", "demo", "# Table 5\n", "key,label\n", NUMBERS)
    folder = write(report, tmp_path)
    assert folder == tmp_path / "table5" / "demo"
    assert {file.name for file in folder.iterdir()} == {"table5.md", "table5.csv", "metrics.json"}
    assert (folder / "table5.md").read_text() == "# Table 5\n"
    assert (folder / "table5.csv").read_text() == "key,label\n"
    assert json.loads((folder / "metrics.json").read_text()) == NUMBERS
    assert read_metrics("table5", "demo", tmp_path) == NUMBERS


def test_missing_metrics_are_refused_but_in_the_paper_profile_empty(tmp_path):
    assert read_metrics("table5", "paper", tmp_path) == {}
    with pytest.raises(Refusal, match=r"small/metrics\.json is missing: `python -m stages\.report table5 small`"):
        read_metrics("table5", "small", tmp_path)


@pytest.mark.parametrize("content", [[1], {"amoc": 3}, {"amoc": {"clean": "high"}}, {"amoc": [1]}])
def test_metrics_that_are_no_numbers_by_row_and_column_are_refused(tmp_path, content):
    write(Report("table5", "demo", "", "", content), tmp_path)
    with pytest.raises(Refusal, match=r"metrics\.json is broken"):
        read_metrics("table5", "demo", tmp_path)


def test_sections_of_a_page_are_one_blank_line_apart():
    assert page("first\n", "\nsecond", "third\n\n") == "first\n\nsecond\n\nthird\n"
