"""Table 4 from clocks made by hand."""

from __future__ import annotations

import csv
import json

import pytest

from amoc.params import Params
from amoc.reporting import table4
from amoc.reporting.evidence import clocks, published
from tests import shipped

MACHINE = {"device": "a GPU", "threads": 2, "torch": "2.11.0", "python": "3.11.7", "precision": "bfloat16"}
SECONDS = {"acl_b256": 40.0, "acl": 42.0, "acl_long": 41.0, "amoc_b64": 50.0, "amoc": 44.0}  # per epoch


@pytest.fixture
def settings() -> Params:
    """The project's, with the demo's scale held fast."""
    project = shipped.params()
    project.raw["profiles"]["demo"]["scale"] = {"short": 40, "long": 80, "batch_size": 0.25, "bank_length": 0.03125}
    return project


@pytest.fixture
def save(settings, tmp_path):
    def write(profile: str = "demo", **changes: dict):
        for run, seconds in SECONDS.items():
            epochs = settings.pretraining(profile, "cifar10", run).epochs
            train = seconds * epochs
            content = {
                **MACHINE, "epochs": epochs, "counts": {"images": epochs * 1000},
                "seconds": {"train": train, "total": train + 36},
                "flops_per_image": 1e9, "matmul_flops_per_second": 1e11,
            }  # fmt: skip
            path = clocks.path(profile, "cifar10", run, tmp_path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content | changes.get(run, {})))
        return tmp_path

    return write


def rows(report) -> dict[str, dict[str, str]]:
    return {row["key"]: row for row in csv.DictReader(report.csv.splitlines())}


def test_the_journals_rows(settings):
    assert list(table4.RUNS) == list(published.numbers("table4"))


def test_each_number_in_its_cell(settings, save):
    report = table4.build(settings, "demo", save())
    assert list(report.metrics) == list(table4.RUNS)
    for run, seconds in SECONDS.items():
        epochs = settings.pretraining("demo", "cifar10", run).epochs
        assert report.metrics[run] == pytest.approx({
            "epochs": epochs,
            "total_hours": (epochs * seconds + 36) / 3600,
            "seconds_per_epoch": seconds,
            "images_per_second": 1000 / seconds,
            "fraction_of_peak": 1000 / seconds / 100,
        }, abs=5e-5)  # fmt: skip
    json.dumps(report.metrics, allow_nan=False)


def test_each_row_tells_its_settings_and_its_machine(settings, save):
    shown = rows(table4.build(settings, "demo", save()))
    assert [row["label"] for row in shown.values()] == [
        "ACL (40 ep, b64)", "ACL (40 ep, b128)", "ACL (80 ep, b128)", "AMOC (40 ep, b16)", "AMOC (40 ep, b64)",
    ]  # fmt: skip
    assert {(row["device"], row["precision"], row["versions"]) for row in shown.values()} == {
        ("a GPU, 2 threads", "bfloat16", "torch 2.11.0, Python 3.11.7")
    }
    assert not any("published" in column for column in shown["amoc"])


def test_rows_of_different_machines_are_not_to_be_compared(settings, save):
    assert table4.DIFFERENT not in table4.build(settings, "demo", save()).markdown
    others = ({"device": "another"}, {"threads": 1}, {"stages_at_once": 2}, {"torch": "2.12"}, {"precision": "float32"})
    for other in (*others, {"matmul_flops_per_second": 0.7e11}):
        report = table4.build(settings, "demo", save(amoc=other))
        assert table4.DIFFERENT in report.markdown and "| 7. " in report.markdown
        assert report.markdown.count("| not measured") == 2 and "does not hold" not in report.markdown
        for run, seconds in SECONDS.items():  # in the table and in the CSV, for a reader who knows what they are
            assert float(rows(report)[run]["seconds_per_epoch"]) == seconds
            assert report.metrics[run]["seconds_per_epoch"] is report.metrics[run]["total_hours"] is None
            assert report.metrics[run]["images_per_second"] == pytest.approx(1000 / seconds, abs=5e-5)
    slower = {"matmul_flops_per_second": 0.9e11}
    assert table4.DIFFERENT not in table4.build(settings, "demo", save(amoc=slower)).markdown


def test_clocks_that_were_shared_do_not_compare_even_with_one_another(settings, save):
    shared = table4.build(settings, "demo", save(**{run: {"stages_at_once": 2} for run in SECONDS}))
    assert table4.DIFFERENT in shared.markdown and shared.metrics["amoc"]["seconds_per_epoch"] is None


def test_a_clock_without_a_peak_and_a_run_that_ended_early(settings, save):
    old = {"flops_per_image": None, "matmul_flops_per_second": None, "precision": None}
    report = table4.build(settings, "demo", save(amoc=old, acl={"epochs": 30}))
    assert report.metrics["amoc"]["fraction_of_peak"] is None
    assert float(rows(report)["amoc"]["seconds_per_epoch"]) == 44.0
    line = next(line for line in report.markdown.splitlines() if line.startswith("| AMOC (40 ep, b64)"))
    assert line.count("n/m") == 2
    assert "| ACL (30 ep, b128) [1] " in report.markdown and "- [1] ended after 30 of 40 epochs\n" in report.markdown


def test_claims_that_times_can_check(settings, save):
    markdown = table4.build(settings, "demo", save()).markdown
    # 40 epochs of 80 cannot take a fifth of the hours; 44 / 40 and 44 / 42 are within 0.8 to 1.25
    assert "not to be judged on acl_long epochs 80, amoc epochs 40" in " ".join(markdown.split())
    verdicts = {line.split("|")[1].strip()[:2]: line.split("|")[2].strip() for line in markdown.splitlines()
                if line.startswith(("| 5.", "| 7."))}  # fmt: skip
    assert verdicts == {"5.": "not measured", "7.": "holds"}


def test_a_fifth_of_the_hours_is_judged_where_there_is_a_fifth_of_the_epochs(settings, save):
    """200 * 44 + 36 = 8836 s of 1000 * 41 + 36 = 41036 s is 0.215."""
    for clock, verdict in (({}, "holds so far"), ({"seconds": {"total": 8e4, "train": 8e4}}, "does not hold")):
        results = save("paper", amoc={"epochs": 200} | clock, acl_long={"epochs": 1000})
        markdown = table4.build(settings, "paper", results).markdown
        (line,) = (line for line in markdown.splitlines() if line.startswith("| 5."))
        assert line.split("|")[2].strip() == verdict


def test_the_paper_profile_has_the_journals_times_beside_ours(settings, save):
    results = save("paper")
    clocks.path("paper", "cifar10", "acl", results).unlink()
    report = table4.build(settings, "paper", results)
    shown = rows(report)
    assert shown["acl_long"]["total_hours_published"] == "67.01"
    assert shown["amoc"]["seconds_per_epoch_published"] == "239.94"
    assert float(shown["amoc"]["seconds_per_epoch_difference"]) == pytest.approx(44 - 239.94)
    assert shown["acl"]["label"] == "ACL (200 ep, b512, not measured)" and shown["acl"]["total_hours"] == ""
    assert "67.01 [1]" in report.markdown and "are 66.99 h" in report.markdown and "RTX 2080 Ti" in report.markdown


def test_nothing_measured(settings, tmp_path):
    report = table4.build(settings, "paper", tmp_path)
    assert {tuple(row) for row in report.metrics.values()} == {("epochs", *(c.key for c in table4.TIMES))}
    assert all(number is None for row in report.metrics.values() for number in row.values())


def test_lines_fit_a_wide_terminal(settings, save):
    report = table4.build(settings, "demo", save())
    assert max(map(len, report.markdown.splitlines())) <= 150
