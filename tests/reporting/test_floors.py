"""The page of floors, from a Table 5 and results made by hand."""

from __future__ import annotations

import csv
import json
import re

import pytest

from amoc.refusal import Refusal
from amoc.reporting import floors
from amoc.reporting.judgement.paper_claims import floors as of_profile
from amoc.reporting.reports import Report, write

TABLE5 = {
    "standard": {"clean": 99.0, "linf_pgd20": 5.0},
    "pgd_at": {"clean": 86.0, "linf_pgd20": 39.0, "linf_autoattack": 30.0},
    "amoc_finetuned": {"clean": 90.0, "linf_pgd20": 60.0, "linf_autoattack": None},
}


@pytest.fixture
def project(made, save, params, tmp_path):
    """Encoders and networks of two seeds, and a Table 5."""
    params.raw["runs"]["cifar10"] = {
        **{f"amoc{suffix}": {"method": "amoc"} for suffix in ("", "_seed2")},
        **{f"moco{suffix}": {"method": "amoc", "variant": "ccc"} for suffix in ("", "_seed2")},
    }
    networks = ("standard", "pgd_at_seed2", "standard_seed2", "trades_seed2")  # no claim reads the last
    recipes = {name: name.removesuffix("_seed2") for name in networks}
    params.raw["classifiers"]["cifar10"] = {
        name: {"recipe": recipe, "encoder": None, "seed": 1} for name, recipe in recipes.items()
    }

    def write_all(profile: str = "demo"):
        for name, right in (("amoc", 4), ("amoc_seed2", 3), ("moco", 0), ("moco_seed2", 3)):
            measured = made.measurement("11111100", linf_pgd20="1" * right + "0" * (8 - right))
            save(made.result(name, "evaluate", made.encoder(), {"stdev": measured, "adev": measured}, profile=profile))
        for name, pgd20 in (("standard_seed2", "00000000"), ("pgd_at_seed2", "11110000")):
            measured = {"last": made.measurement("11111111", linf_pgd20=pgd20)}
            save(made.result(name, "attack", made.network("pgd_at"), measured, profile=profile))
        write(Report("table5", profile, "", "", TABLE5), tmp_path / "reports")
        return params, profile, tmp_path / "results", tmp_path / "reports"

    return write_all


def test_results_become_rows_of_the_tables_that_floors_read(project):
    measured = floors.measured(*project())
    four = {"stdev_clean": 75.0, "stdev_pgd20": 50.0, "adev_clean": 75.0, "adev_pgd20": 50.0}
    assert measured["table3"]["amoc"] == four
    assert set(measured["table3"]) == {"amoc", "amoc_seed2", "moco", "moco_seed2"}
    assert measured["table5"] == {
        "standard_seed2": {"clean": 100.0, "linf_pgd20": 0.0},
        "pgd_at_seed2": {"clean": 100.0, "linf_pgd20": 50.0},
        **TABLE5,
    }


def test_floors_are_counted(project):
    report = floors.build(*project())
    verdicts = {row["key"]: row["verdict"] for row in csv.DictReader(report.csv.splitlines())}
    assert {key: verdict for key, verdict in verdicts.items() if re.fullmatch(r"floor_.*_seed\d", key)} == {
        "floor_standard_seed1": "holds",
        "floor_pgd_at_seed1": "does not hold",
        "floor_amoc_seed1": "holds",
        "floor_standard_seed2": "holds",
        "floor_pgd_at_seed2": "holds",
        "floor_amoc_seed2": "does not hold",
    }
    assert report.metrics["floors"] == {"holds": 4, "does_not_hold": 2, "not_measured": 0}
    assert report.metrics["floor_pgd_at_seed1"] == {"holds": 0, "margin": -1.0, "seeds": None}
    assert "# Floors of the profile: 4 hold, 2 do not hold, 0 not measured\n" in report.markdown
    json.dumps(report.metrics, allow_nan=False)


def test_a_verdict_says_its_margin_and_why(project):
    markdown = floors.build(*project()).markdown
    row = next(line for line in markdown.splitlines() if line.startswith("| PGD-AT, seed 1 "))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["PGD-AT, seed 1 (demo profile)", "does not hold", "-1.00", "points"]
    assert "- PGD-AT, seed 1: fails most at pgd_at at least 40, linf_pgd20: pgd_at linf_pgd20 39\n" in markdown


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("results/demo/cifar10/evaluate/moco.json", "stages.evaluate demo cifar10 moco"),
        ("results/demo/cifar10/attack/pgd_at_seed2.json", "stages.attack demo cifar10 pgd_at_seed2"),
        ("reports/table5/demo/metrics.json", "stages.report table5 demo"),
    ],
)
def test_what_is_missing_is_refused_with_its_command(project, tmp_path, missing, command):
    arguments = project()
    (tmp_path / missing).unlink()
    with pytest.raises(Refusal, match=rf"{missing} is missing: .*`python -m {command}`"):
        floors.build(*arguments)


def test_what_no_floor_reads_is_not_asked_for(project):
    """Else the cheap page would wait for every encoder and network of params.yaml."""
    params, *rest = project()
    params.raw["runs"]["cifar10"] |= {"amoc_b64": {"method": "amoc"}, "acl": {"method": "acl"}}
    measured = floors.measured(params, *rest)
    assert set(measured["table3"]) == set(floors.ENCODERS) and "trades_seed2" not in measured["table5"]
    asked = {quantity.row for floor in of_profile("demo") for quantity in floor.reads if quantity.table == "table3"}
    assert asked == set(floors.ENCODERS)


def test_the_paper_profile_has_none(params, tmp_path):
    report = floors.build(params, "paper", tmp_path / "results", tmp_path / "reports")
    assert "There are none" in report.markdown and "|" not in report.markdown
    assert report.metrics == {"floors": {"holds": 0, "does_not_hold": 0, "not_measured": 0}}
