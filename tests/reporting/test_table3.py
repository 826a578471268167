"""Table 3 has the journal's rows, each read from the run of its name."""

from __future__ import annotations

import pytest

from amoc.reporting import table3
from amoc.reporting.evidence import published
from amoc.reporting.judgement.paper_claims import MEASURES
from tests import shipped


def test_the_journals_rows_in_its_order():
    assert [line.key for line in table3.TABLE.lines] == list(published.numbers("table3"))
    assert all(line.run == line.key for line in table3.TABLE.lines)


@pytest.mark.parametrize("key", published.numbers("table3"))
def test_each_run_of_the_paper_profile_has_the_settings_that_the_journal_prints(key):
    settings = shipped.params().pretraining("paper", "cifar10", key)
    printed = published.numbers("table3")[key]
    assert (settings.epochs, settings.batch_size) == (printed["epochs"], printed["batch_size"])
    assert settings.seed == 1
    assert settings.method == ("acl" if key.startswith("acl") else "amoc")
    if settings.method == "amoc":
        assert settings.variant == ("ccc" if key.startswith("moco") else "aca")


def test_every_number_reaches_its_cell(made, save, timed, tmp_path):
    """Four numbers per run that no other has."""
    params, expected = shipped.params(), {}
    for at, run in enumerate(table3.TABLE.runs):
        numbers = (4 * at + 1, 4 * at + 2, 4 * at + 3, 4 * at + 4)
        seed = 2 if run.endswith("_seed2") else 1
        save(made.probed(run, numbers, seed=seed))
        timed("demo", run, device="another CPU" if run == "acl_long" else "a CPU")
        expected[run] = dict(zip(MEASURES, map(float, numbers), strict=True))
    report = table3.build(params, "demo", tmp_path / "results")
    assert "`acl_long` on another CPU. Each kind rounds in its own way" in " ".join(report.markdown.split())
    chance = {key for key, row in report.metrics.items() if row.pop("doubtful", 0)}
    assert chance == {"acl_b64", "moco_long"}  # of which 10 or so of 100 images are right
    shown = {key: row for key, row in report.metrics.items() if not key.endswith("_mean")}
    assert shown == {run: row for run, row in expected.items() if not run.endswith("_seed2")}
    for run in ("moco", "amoc"):
        both = (expected[run]["adev_clean"], expected[f"{run}_seed2"]["adev_clean"])
        assert report.metrics[f"{run}_mean"]["adev_clean"] == sum(both) / 2
    assert report.metrics.keys() - shown.keys() == {"moco_mean", "amoc_mean"}
