"""Curves as CSV."""

from __future__ import annotations

import csv
from math import exp, sin

import numpy as np
import pytest

from amoc.engine.curves import write_curve

ROWS = [
    {"epoch": 1, "lr": 1e-4, "loss": 2.0 / 3, "accuracy": None, "note": "a, b"},
    {"epoch": 2, "lr": 0.1, "loss": 1234567.8, "accuracy": 50.0, "note": ""},
]


def test_bytes(tmp_path):
    write_curve(tmp_path / "new" / "curve.csv", ROWS)
    assert (tmp_path / "new" / "curve.csv").read_bytes() == (
        b'epoch,lr,loss,accuracy,note\n1,0.0001,0.666667,,"a, b"\n2,0.1,1.23457e+06,50,\n'
    )


def test_comes_back_with_six_digits(tmp_path):
    values = [exp(20 * sin(number)) for number in range(50)]
    write_curve(tmp_path / "curve.csv", [{"epoch": epoch, "loss": value} for epoch, value in enumerate(values)])
    with (tmp_path / "curve.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in read] == list(range(50))
    assert [float(row["loss"]) for row in read] == pytest.approx(values, rel=5e-6)


def test_numpys_floats_are_floats(tmp_path):
    write_curve(tmp_path / "curve.csv", [{"loss": np.float64(1 / 3)}])
    assert (tmp_path / "curve.csv").read_text() == "loss\n0.333333\n"


def test_a_run_without_an_epoch_gives_an_empty_file(tmp_path):
    write_curve(tmp_path / "curve.csv", [])
    assert (tmp_path / "curve.csv").read_bytes() == b""


def test_a_row_with_a_column_of_its_own_leaves_the_old_file(tmp_path):
    write_curve(tmp_path / "curve.csv", ROWS)
    before = (tmp_path / "curve.csv").read_bytes()
    with pytest.raises(ValueError, match="spread"):
        write_curve(tmp_path / "curve.csv", [*ROWS, {**ROWS[0], "spread": 1.0}])
    assert (tmp_path / "curve.csv").read_bytes() == before
