"""Where reports are written, and what is read back."""

from __future__ import annotations

import json

import pytest
from matplotlib.figure import Figure

from amoc.refusal import Refusal
from amoc.reporting.reports import Report, page, read_metrics, write

NUMBERS = {"amoc": {"clean": 74.36, "l2_cw": None}}


def test_three_files(tmp_path):
    report = Report("table5", "demo", "# Table 5\n", "key,label\n", NUMBERS)
    written = write(report, tmp_path)
    folder = tmp_path / "table5" / "demo"
    assert written == [folder / "table5.md", folder / "table5.csv", folder / "metrics.json"]
    assert set(folder.iterdir()) == set(written)
    assert (folder / "table5.md").read_text() == "# Table 5\n"
    assert (folder / "table5.csv").read_text() == "key,label\n"
    assert json.loads((folder / "metrics.json").read_text()) == NUMBERS
    assert read_metrics("table5", "demo", tmp_path) == NUMBERS


def test_a_picture_is_two_files_more(tmp_path):
    report = Report("table5", "demo", "", "", NUMBERS, draw=lambda: Figure(figsize=(1, 1)))
    written = write(report, tmp_path)
    assert [path.name for path in written] == ["table5.md", "table5.csv", "table5.svg", "table5.png", "metrics.json"]
    assert written[2].read_bytes().startswith(b"<?xml")
    assert written[3].read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_drawn_leaves_the_old_report(tmp_path):
    write(Report("table5", "demo", "old", "old", {}), tmp_path)
    with pytest.raises(ZeroDivisionError):
        write(Report("table5", "demo", "new", "new", NUMBERS, draw=lambda: 1 / 0), tmp_path)
    assert {file.read_text() for file in (tmp_path / "table5" / "demo").iterdir()} == {"old", "{}\n"}


def test_missing_metrics_are_refused_in_the_demo_and_empty_elsewhere(tmp_path):
    assert read_metrics("table5", "paper", tmp_path) == read_metrics("table5", "small", tmp_path) == {}
    with pytest.raises(Refusal, match=r"demo/metrics\.json is missing: `python -m stages\.report table5 demo`"):
        read_metrics("table5", "demo", tmp_path)


@pytest.mark.parametrize("content", [[1], {"amoc": 3}, {"amoc": {"clean": "high"}}, {"amoc": [1]}])
def test_metrics_that_are_no_numbers_by_row_and_column_are_refused(tmp_path, content):
    write(Report("table5", "demo", "", "", content), tmp_path)
    with pytest.raises(Refusal, match=r"metrics\.json is broken"):
        read_metrics("table5", "demo", tmp_path)


def test_sections_of_a_page_are_one_blank_line_apart():
    assert page("first\n", "\nsecond", "third\n\n") == "first\n\nsecond\n\nthird\n"
