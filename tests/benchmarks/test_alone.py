from __future__ import annotations

import os

import psutil
import torch

from benchmarks.alone import alone, measure, peak_memory


def test_peak_memory_is_of_the_largest_moment():
    """Whatever the tests before it have used: a block that fills what is free again by now, and 256 MiB more."""
    before = peak_memory(torch.device("cpu"))
    free = before - psutil.Process().memory_info().rss
    block = torch.ones((free + 2**28) // 4)
    del block
    assert peak_memory(torch.device("cpu")) - before + 2**27 >= 2**28
    assert before > 2**26


def test_measured_in_a_process_of_its_own(small, engine):
    ballast = torch.ones(2**28)  # 1 GiB, which is not the step's
    assert alone(os.getpid) != os.getpid()
    measured = alone(measure, small(), engine, "float32", images=8, size=32, blocks=2, steps=1)
    assert 0 < measured.seconds.low <= measured.seconds.median <= measured.seconds.high
    assert 2**26 < measured.peak_memory < peak_memory(torch.device("cpu"))
    del ballast
