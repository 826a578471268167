"""The page of verdicts, from reports and results made by hand."""

from __future__ import annotations

import csv
import json
import re

import pytest

from amoc.refusal import Refusal
from amoc.reporting import claims, claims_report, published
from amoc.reporting.paper_claims import MEASURES, SEED_PAIRS, floors
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


def everything(params, profile, results, reports):
    return claims_report.measured(params, profile, claims.PAGE.given, results, reports)


def test_results_become_rows_of_the_tables_that_claims_read(project):
    measured = everything(*project())
    four = {"stdev_clean": 75.0, "stdev_pgd20": 50.0, "adev_clean": 75.0, "adev_pgd20": 50.0}
    assert measured["table3"]["amoc"] == four
    assert set(measured["table3"]) == {"amoc", "amoc_seed2", "moco", "moco_seed2"}
    assert measured["table5"] == {
        "standard_seed2": {"clean": 100.0, "linf_pgd20": 0.0},
        "pgd_at_seed2": {"clean": 100.0, "linf_pgd20": 50.0},
        **TABLE5,
    }


def test_floors_and_claims_are_counted(project):
    report = claims.build(*project())
    verdicts = {row["key"]: row["verdict"] for row in csv.DictReader(report.csv.splitlines())}
    assert verdicts["claim9"] == "not measured"
    assert {key: verdict for key, verdict in verdicts.items() if re.fullmatch(r"floor_.*_seed\d", key)} == {
        "floor_standard_seed1": "holds",
        "floor_pgd_at_seed1": "does not hold",
        "floor_amoc_seed1": "holds",
        "floor_standard_seed2": "holds",
        "floor_pgd_at_seed2": "holds",
        "floor_amoc_seed2": "does not hold",
    }
    assert report.metrics["claims"] == {"holds": 0, "does_not_hold": 0, "not_measured": 18}
    assert report.metrics["floors"] == {"holds": 4, "does_not_hold": 2, "not_measured": 0}
    assert report.metrics["floor_pgd_at_seed1"] == {"holds": 0, "margin": -1.0}
    assert report.metrics["claim1"] == {"holds": None, "margin": None}
    assert "# Claims of the papers: 0 hold, 0 do not hold, 18 not measured\n" in report.markdown
    assert "# Floors of the profile: 4 hold, 2 do not hold, 0 not measured\n" in report.markdown
    json.dumps(report.metrics, allow_nan=False)


def test_a_verdict_says_its_margin_and_why(project):
    markdown = claims.build(*project()).markdown
    row = next(line for line in markdown.splitlines() if line.startswith("| PGD-AT, seed 1 "))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["PGD-AT, seed 1 (demo profile)", "does not hold", "-1.00", "points"]
    assert "- PGD-AT, seed 1: closest is pgd_at at least 40, linf_pgd20: pgd_at linf_pgd20 39\n" in markdown


def test_parts_are_listed_once_one_is_measured(project):
    markdown = claims.build(*project()).markdown
    assert "| - short: StdEv PGD20 under 1 " in markdown  # claim 4: MoCo is there, ACL is not
    assert "| - short: best clean accuracy " in markdown
    assert "| - ACA at least ACC" not in markdown  # claim 11: nothing is


def test_every_part_is_in_the_csv(project):
    rows = list(csv.DictReader(claims.build(*project()).csv.splitlines()))
    assert list(rows[0]) == ["key", "label", "verdict", "margin", "unit", "detail"]
    assert {"claim1_3", "claim9_7", "claim18_2", "floor_standard_seed1_2"} <= {row["key"] for row in rows}


def test_lines_fit_a_wide_terminal(project):
    assert max(map(len, claims.build(*project()).markdown.splitlines())) <= 150


def test_a_report_that_is_given_wins_over_results(project, tmp_path):
    params, profile, results, reports = project()
    write(Report("table3", "demo", "", "", {"amoc": {"stdev_clean": 1.0}}), reports)
    measured = claims_report.measured(params, profile, ["table3"], results, reports)
    assert measured["table3"]["amoc"] == {"stdev_clean": 1.0}
    assert measured["table3"]["moco"]["stdev_pgd20"] == 0.0


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
        claims.build(*arguments)


def test_encoders_that_no_floor_reads_are_judged_by_their_reports_only(project, made, save):
    """Else the cheap page would wait for every encoder of params.yaml."""
    params, *rest = project()
    params.raw["runs"]["cifar10"] |= {"amoc_b64": {"method": "amoc"}, "acl": {"method": "acl"}}
    assert set(everything(params, *rest)["table3"]) == set(claims_report.ENCODERS)
    asked = {quantity.row for floor in floors("demo") for quantity in floor.reads if quantity.table == "table3"}
    assert asked == set(claims_report.ENCODERS)


def test_the_claims_of_the_other_reports_are_judged_once_they_are_given(project, tmp_path):
    """On the journal's own numbers of Tables 3, 4 and 8, and p-values as its Figure 3 has them."""
    params, profile, results, reports = project()
    for name in ("table3", "table4", "table8"):
        write(Report(name, "demo", "", "", published.numbers(name)), reports)
    p_values = {pair: {f"p_{measure}": 0.001 for measure in MEASURES} for pair in SEED_PAIRS}
    write(Report("figure3", "demo", "", "", p_values), reports)
    given = ("table3", "table4", "table5", "table8", "figure3")
    report = claims_report.Judgement("some_claims", given).build(params, profile, results, reports)
    assert report.name == "some_claims"
    holding = {key for key in report.metrics if key.startswith("claim") and report.metrics[key].get("holds") == 1}
    assert holding == {"claim1", "claim2", "claim3", "claim4", "claim5", "claim6", "claim7", "claim11"}
    # ACA over ACC by 0.34 only; of the frozen bank the journal has no row
    assert report.metrics["claim18"]["holds"] == 0
    assert report.metrics["floor_amoc_seed2"]["holds"] == 0  # floors go on reading the second seeds


def test_the_paper_profile_judges_what_is_there(params, tmp_path):
    report = claims.build(params, "paper", tmp_path / "results", tmp_path / "reports")
    assert report.metrics["claims"] == {"holds": 0, "does_not_hold": 0, "not_measured": 18}
    assert "Floors" not in report.markdown
