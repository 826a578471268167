from __future__ import annotations

from benchmarks.columns import aligned


def test_cells_start_below_each_other():
    assert aligned([("", "AMOC", "MoCo"), ("seconds", "1.5", "0.25"), ("per", "step", "")]) == (
        "         AMOC  MoCo\nseconds  1.5   0.25\nper      step"
    )
