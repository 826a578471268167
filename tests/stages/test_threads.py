"""How OpenMP's threads wait for each other, in stages and benchmarks: they spin for a little, then sleep."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages import SPINS

ROOT = Path(__file__).resolve().parents[2]


def told(code: str, **environment: str) -> str:
    """What a fresh process prints, on both streams, that has no variables of OpenMP but these."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("GOMP_", "OMP_"))}
    python = [sys.executable, "-c", code]
    finished = subprocess.run(python, check=True, capture_output=True, text=True, env=own | environment)
    return finished.stdout + finished.stderr


@pytest.mark.parametrize("package", ["stages", "benchmarks"])
@pytest.mark.parametrize(
    ("asked", "spins"),
    [({}, SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "None")],
    ids=["by default", "as asked", "not at all, as asked"],
)
def test_threads_spin_for_a_little_unless_asked_otherwise(package, asked, spins):
    assert told(f"import {package}, os; print(os.environ.get('GOMP_SPINCOUNT'))", **asked) == f"{spins}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch has another OpenMP there")
def test_openmp_obeys():
    assert f"GOMP_SPINCOUNT = '{SPINS}'" in told("import stages, torch", OMP_DISPLAY_ENV="VERBOSE")


def test_make_asks_for_nothing_else():
    asked = subprocess.run(["make", "--dry-run", "demo", "bench"], check=True, capture_output=True, text=True, cwd=ROOT)
    assert "benchmarks.step" in asked.stdout and "OMP_" not in asked.stdout
