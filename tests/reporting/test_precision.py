"""The precision report: which run is which, what the rounding of a step says, what is refused."""

from __future__ import annotations

import csv
import json

import pytest

from amoc.params import Params
from amoc.refusal import Refusal
from amoc.reporting import precision
from tests import shipped

# percent right of 100 images on two seeds: StdEv clean and PGD20, AdEv clean and PGD20
FIGURES = {"amoc_float32": ((40, 20, 36, 24), (38, 23, 36, 22)), "amoc": ((41, 20, 35, 25), (35, 21, 36, 20))}
PATHS = {
    "float32": {"loss": 1e-7, "gradient": 2e-4, "drift": 0.0},
    "float32, compiled": {"loss": 2e-7, "gradient": 3e-4, "drift": 0.04},
    "bfloat16": {"loss": 5e-5, "gradient": 0.123, "drift": 0.0567},
}


@pytest.fixture
def params() -> Params:
    """The project's own: float32 and bfloat16 must be what params.yaml has."""
    return shipped.params()


@pytest.fixture
def everything(made, save, timed, tmp_path):
    def write(profile: str = "small", numerics: dict | None = None):
        for name, seeds in FIGURES.items():
            for seed, numbers in enumerate(seeds, start=1):
                run = name if seed == 1 else f"{name}_seed2"
                save(made.probed(run, numbers, seed=seed) | {"profile": profile})
                timed(profile, run)
        plain = {
            "profile": profile, "run": "amoc", "settings": {"batch_size": 64}, "device": "cpu", "dataset": "cifar10",
            "warm_up": 100, "batches": 4, "steps": 20, "paths": PATHS, "fingerprints": {"amoc": "0" * 32},
        }  # fmt: skip
        path = tmp_path / "results" / profile / "cifar10" / "numerics" / "amoc.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(plain | (numerics or {})))
        return tmp_path / "results"

    return write


def test_rows_are_precisions_and_the_difference_is_by_seed(params, everything):
    report = precision.build(params, "small", everything())
    assert "| AMOC in float32 " in report.markdown and "| AMOC in bfloat16 " in report.markdown
    numbers = report.metrics
    assert (numbers["amoc_float32"]["stdev_pgd20"], numbers["amoc"]["stdev_pgd20"]) == (21.5, 20.5)
    assert numbers["amoc_minus_float32"]["stdev_pgd20"] == ((20 - 20) + (21 - 23)) / 2
    between = ((0.5 * (23 - 20) ** 2 + 0.5 * (21 - 20) ** 2) / 2) ** 0.5  # half a squared difference is a variance
    assert numbers["spread"]["stdev_pgd20"] == pytest.approx(between, abs=1e-4)
    assert [row["key"] for row in csv.DictReader(report.csv.splitlines())] == ["amoc_float32", "amoc"]


def test_a_step_has_a_row_for_each_way(params, everything):
    report = precision.build(params, "small", everything())
    table = [line for line in report.markdown.splitlines() if line.startswith(("| float32", "| bfloat16"))]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert cells == [
        ["float32", "1e-07", "0.0002", "-"],
        ["float32, compiled", "2e-07", "0.0003", "0.04"],
        ["bfloat16", "5e-05", "0.12", "0.057"],
    ]
    assert report.metrics["step_float32_compiled"] == {"loss": 2e-7, "gradient": 0.0003, "drift": 0.04}
    how = "Measured on a CPU with batches of 64, after 100 steps in plain float32: loss and gradient on 4 batches"
    assert how in report.markdown


def test_without_the_step_it_says_so_except_in_the_demo(params, everything):
    results = everything()
    (results / "small" / "cifar10" / "numerics" / "amoc.json").unlink()
    assert "Not measured yet: run `python -m stages.numerics`" in precision.build(params, "small", results).markdown
    results = everything("demo")
    assert "computes in float32 anyway" in precision.build(params, "demo", results).markdown
    (results / "demo" / "cifar10" / "numerics" / "amoc.json").unlink()
    with pytest.raises(Refusal, match=r"stages\.numerics demo cifar10 amoc"):
        precision.build(params, "demo", results)


@pytest.mark.parametrize(
    "broken",
    [{"paths": {"float32": {"loss": -1.0, "gradient": 0.0, "drift": 0.0}}}, {"steps": "many"}, {"paths": None}],
)
def test_a_broken_file_is_refused(params, everything, broken):
    with pytest.raises(Refusal, match=r"numerics/amoc.json is broken: .*make it again with `python -m stages.numerics"):
        precision.build(params, "small", everything(numerics=broken))
