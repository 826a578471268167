"""Table 8: the variants by their letters, ACA and CCC from the runs of AMOC and MoCo."""

from __future__ import annotations

import pytest

from amoc.params import Params
from amoc.pretraining.variants import VARIANTS
from amoc.reporting import table8
from amoc.reporting.evidence import published
from amoc.reporting.judgement.paper_claims import MEASURES
from tests import shipped


@pytest.fixture
def settings() -> Params:
    """The project's, with the demo's scale held fast."""
    project = shipped.params()
    project.raw["profiles"]["demo"]["scale"] = {"short": 40, "long": 80, "batch_size": 0.25, "bank_length": 0.03125}
    return project


def test_it_has_every_variant_and_the_preprints(settings):
    keys = [line.key for line in table8.TABLE.lines]
    assert keys[:6] == ["aca", "acc", "aac", "aaa", "cac", "caa"] == list(published.numbers("table8"))
    assert set(keys) == {*VARIANTS, "aca_frozen"}
    runs = {line.key: line.run for line in table8.TABLE.lines}
    assert {key: run for key, run in runs.items() if key != run} == {"aca": "amoc", "ccc": "moco"}


def test_each_row_is_of_the_variant_that_its_key_says(settings):
    for line in table8.TABLE.lines:
        run = settings.pretraining("paper", "cifar10", line.run)
        assert (run.variant, run.bank_adv) == (line.key[:3], "frozen" if line.key == "aca_frozen" else "moving")
        assert (run.epochs, run.batch_size, run.seed) == (200, 256, 1)


def test_numbers_and_names(settings, made, save, timed, tmp_path):
    for at, run in enumerate(table8.TABLE.runs):
        resolved = settings.pretraining("demo", "cifar10", run).plain()
        save(made.probed(run, tuple(50 + 4 * at + add for add in range(4)), **resolved))
        timed("demo", run)
    report = table8.build(settings, "demo", tmp_path / "results")
    for at, line in enumerate(table8.TABLE.lines):
        assert [report.metrics[line.key][measure] for measure in MEASURES] == [50 + 4 * at + add for add in range(4)]
    assert "kind of machine" not in report.markdown
    rows = [line for line in report.markdown.splitlines() if line.startswith("| ") and " ep, b" in line]
    names = [row.split("|")[1].strip() for row in rows]
    clean = "(40 ep, b64) [1]"
    assert names[:9] == [
        *(f"{name} (40 ep, b64)" for name in ("ACA", "ACC", "AAC", "AAA")),
        *(f"{name} {clean}" for name in ("CAC", "CAA", "CCA", "CCC")),
        "ACA, frozen bank (40 ep, b64)",
    ]


@pytest.mark.parametrize(
    ("own", "name"),
    [
        ({"variant": "aca", "bank_adv": "moving"}, "ACA"),
        ({"variant": "caa", "bank_adv": "frozen"}, "CAA, frozen bank"),
        ({"variant": "acc", "bank_adv": "frozen"}, "ACC"),  # it does not read that bank
        ({"method": "acl", "form": "ds"}, "ACL"),
    ],
)
def test_letters(own, name):
    assert table8.letters({"method": "amoc"} | own) == name
